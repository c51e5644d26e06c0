"""Sums of products by Einstein's convention, as transposes, reshapes and matrix products."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node import Node, NodeLike, as_nodes
from graphnn.ops.declare.axes import as_axes
from graphnn.ops.linalg.diagonal import diagonal
from graphnn.ops.linalg.matmul import matmul
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.transpose import swapaxes, transpose
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import Dim, DimLike, format_shape, product

__all__ = ["dot", "einsum", "inner", "outer", "tensordot"]

Labels: TypeAlias = tuple[str, ...]
Term: TypeAlias = tuple[Node, Labels]

UNKNOWN_SIZE = 64  # what a size that is known only at run time counts when an order is chosen


def einsum(equation: str, *operands: NodeLike) -> Node:
    """Sum of products: ``"ij,jk->ik"`` is the matrix product.

    Parameters
    ----------
    equation
        A letter for each axis of each operand; what stands after ``->`` is kept, in that order, all
        else is summed. Without ``->``: the letters that occur once, sorted. A letter twice in one
        operand takes the diagonal; ``...`` are axes that broadcast.
    *operands
        One for each term, of one dtype, float32 or float64.

    Returns
    -------
    Node
        Of several operands the product is taken two at a time, in the order that
        ``numpy.einsum_path`` finds.

    Raises
    ------
    GraphError, ShapeError
        If the equation cannot be read, or does not fit the operands.

    Examples
    --------
    >>> import graphnn as gn
    >>> q, k = gn.Input((None, 5, 8, 16)), gn.Input((None, 7, 8, 16))
    >>> gn.einsum("bqhd,bkhd->bhqk", q, k).shape
    (None, 8, 5, 7)
    """
    nodes = as_nodes(*operands)
    terms, kept = _read(equation, nodes)
    _check_sizes(equation, terms)
    single = [_alone(_fitting(term, terms), terms, kept) for term in terms]
    for pair in _path(single, kept):
        chosen = [single.pop(place) for place in sorted(pair, reverse=True)][::-1]
        others = {label for _, labels in single for label in labels} | set(kept)
        result, *rest = chosen
        while rest:
            following, *rest = rest
            needed = others | {label for _, labels in rest for label in labels}
            result = _contracted(result, following, needed)
        single.append(result)
    ((node, labels),) = single
    gone = [i for i, label in enumerate(labels) if label not in kept]
    node = sum(node, gone) if gone else node
    left = [label for label in labels if label in kept]
    return transpose(node, [left.index(label) for label in kept])


def _wrong(equation: str, what: str) -> GraphError:
    return GraphError(f"einsum {equation!r}: {what}. Declared at {declared_at()}.")


def _read(equation: str, nodes: Sequence[Node]) -> tuple[list[Term], Labels]:
    """Each operand with a label for each axis, and the labels of the result."""
    if not isinstance(equation, str):
        raise _wrong(str(equation), "the equation is a text such as 'ij,jk->ik', and comes first")
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    for text in (*texts, right):
        letters = text.replace("...", "", 1)
        strange = set(letters) - set(string.ascii_letters)
        if strange:
            raise _wrong(
                equation, f"{min(strange)!r} is no letter; write letters, ',', '...', '->'"
            )
    if len(texts) != len(nodes):
        raise _wrong(equation, f"{len(texts)} terms for {len(nodes)} operands")
    terms = [(node, _labels(equation, text, node)) for node, text in zip(nodes, texts, strict=True)]
    wide = max((_dotted(labels) for _, labels in terms), key=len)
    if arrow:
        kept = _spelled_out(right, wide)
        if wide and "..." not in right:
            raise _wrong(equation, "axes of '...' are kept; write '...' after '->' too")
    else:
        every = [label for text in texts for label in text.replace("...", "")]
        kept = (*wide, *sorted(label for label in set(every) if every.count(label) == 1))
    known = {label for _, labels in terms for label in labels}
    for label in kept:
        if label not in known or kept.count(label) > 1:
            raise _wrong(equation, f"{label!r} stands once after '->', and in an operand")
    return terms, kept


def _dotted(labels: Labels) -> Labels:
    return tuple(label for label in labels if label.startswith("..."))


def _spelled_out(text: str, wide: Labels) -> Labels:
    before, dots, after = text.partition("...")
    return (*before, *(wide if dots else ()), *after)


def _labels(equation: str, text: str, node: Node) -> Labels:
    """A label for each axis; those of ``...`` are counted from the right, to broadcast."""
    count = node.ndim - len(text.replace("...", ""))
    if count < 0 or (count > 0 and "..." not in text):
        raise ShapeError(
            f"einsum {equation!r}: {text!r} for {node.name}, which has {node.ndim} axes, "
            f"{format_shape(node.spec.shape)}. Declared at {declared_at()}. "
            "Write a letter for each axis."
        )
    return _spelled_out(text, tuple(f"...{count - i}" for i in range(count)))


def _check_sizes(equation: str, terms: Sequence[Term]) -> None:
    sizes: dict[str, DimLike] = {}
    for node, labels in terms:
        for label, size in zip(labels, node.spec.shape, strict=True):
            if sizes.setdefault(label, size) == 1:
                sizes[label] = size
            if size not in (1, sizes[label]):
                raise ShapeError(
                    f"einsum {equation!r}: {label!r} is {sizes[label]} and, in {node.name} "
                    f"{format_shape(node.spec.shape)}, {size}. Declared at {declared_at()}."
                )


def _fitting(term: Term, terms: Sequence[Term]) -> Term:
    """The operand without axes of size 1 that others have longer: products broadcast them."""
    node, labels = term
    longer = {
        label
        for other, names in terms
        for label, size in zip(names, other.spec.shape, strict=True)
        if size != 1
    }
    gone = [
        i
        for i, (label, size) in enumerate(zip(labels, node.spec.shape, strict=True))
        if size == 1 and label in longer
    ]
    shape = tuple(size for i, size in enumerate(node.spec.shape) if i not in gone)
    return reshape(node, shape), tuple(label for i, label in enumerate(labels) if i not in gone)


def _alone(term: Term, terms: Sequence[Term], kept: Labels) -> Term:
    """Diagonals for labels that stand twice, sums over labels that stand nowhere else."""
    node, labels = term
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            node = diagonal(node, 0, first, second)
            labels = (*(x for i, x in enumerate(labels) if i not in (first, second)), label)
    counts = [name for _, names in terms for name in set(names)]
    gone = [i for i, x in enumerate(labels) if x not in kept and counts.count(x) == 1]
    if gone:
        node = sum(node, gone)
    return node, tuple(x for i, x in enumerate(labels) if i not in gone)


def _path(terms: Sequence[Term], kept: Labels) -> list[tuple[int, ...]]:
    """Which operands are multiplied first; each result is put behind the others."""
    if len(terms) < 3:
        return [tuple(range(len(terms)))]
    names = dict.fromkeys(label for _, labels in terms for label in labels)
    letters = dict(zip(names, string.ascii_letters, strict=False))
    if len(names) > len(letters):
        return [tuple(range(len(terms)))]
    texts = ["".join(letters[label] for label in labels) for _, labels in terms]
    equation = ",".join(texts) + "->" + "".join(letters[label] for label in kept if label in names)
    shapes = [[_guess(size) for size in node.spec.shape] for node, _ in terms]
    arrays = [np.broadcast_to(np.zeros(()), shape) for shape in shapes]
    found = np.einsum_path(equation, *arrays, optimize="greedy")[0]
    return [tuple(pair) for pair in found[1:]]


def _guess(size: DimLike) -> int:
    return UNKNOWN_SIZE if isinstance(size, Dim) else size


def _contracted(a: Term, b: Term, needed: set[str]) -> Term:
    """The product of two operands, summed over the labels that nobody needs any more."""
    (left, a_labels), (right, b_labels) = a, b
    shared = [label for label in a_labels if label in b_labels]
    batch = tuple(label for label in shared if label in needed)
    inner = tuple(label for label in shared if label not in needed)
    rows = tuple(label for label in a_labels if label not in shared)
    columns = tuple(label for label in b_labels if label not in shared)
    labels = (*batch, *rows, *columns)
    if not inner or not (rows or columns):
        product_labels = (*labels, *inner)
        value = _spread(left, a_labels, product_labels) * _spread(right, b_labels, product_labels)
        return sum(value, range(len(labels), len(product_labels))) if inner else value, labels
    sizes = dict(zip((*a_labels, *b_labels), (*left.spec.shape, *right.spec.shape), strict=True))
    value = matmul(
        _matrices(left, a_labels, batch, rows, inner),
        _matrices(right, b_labels, batch, inner, columns),
    )
    return reshape(value, tuple(sizes[label] for label in labels)), labels


def _spread(node: Node, labels: Labels, target: Labels) -> Node:
    """Axes in the order of ``target``, of size 1 where the operand has none."""
    present = [label for label in target if label in labels]
    turned = transpose(node, [labels.index(label) for label in present])
    sizes = dict(zip(present, turned.spec.shape, strict=True))
    return reshape(turned, tuple(sizes.get(label, 1) for label in target))


def _matrices(node: Node, labels: Labels, batch: Labels, rows: Labels, columns: Labels) -> Node:
    """The operand as a batch of matrices; the product absorbs the transpose of the last two."""
    size = dict(zip(labels, node.spec.shape, strict=True))
    lead = [size[label] for label in batch]
    high, wide = (product(size[label] for label in part) for part in (rows, columns))
    if labels == (*batch, *columns, *rows) and rows and columns:
        return swapaxes(reshape(node, (*lead, wide, high)), -1, -2)
    order = [labels.index(label) for label in (*batch, *rows, *columns)]
    return reshape(transpose(node, order), (*lead, high, wide))


@teaches
def tensordot(
    a: NodeLike, b: NodeLike, axes: int | tuple[int | Sequence[int], int | Sequence[int]] = 2
) -> Node:
    """Sum of products over the last ``axes`` axes of ``a`` and the first of ``b``, or over pairs.

    Examples
    --------
    >>> import graphnn as gn
    >>> a, b = gn.Input((None, 3, 4)), gn.Input((4, 3, 5))
    >>> gn.tensordot(a, b, ([1, 2], [1, 0])).shape
    (None, 5)
    """
    left, right = as_nodes(a, b)
    if isinstance(axes, int | np.integer):
        pairs: Sequence[object] = [list(range(left.ndim - axes, left.ndim)), list(range(axes))]
    else:
        pairs = axes
    first = as_axes(left, pairs[0], "tensordot")
    second = as_axes(right, pairs[1], "tensordot")
    sizes = [[x.spec.shape[axis] for axis in of] for x, of in ((left, first), (right, second))]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"tensordot: axes {pairs[0]} of {format_shape(left.spec.shape)} and {pairs[1]} of "
            f"{format_shape(right.spec.shape)} differ in size. Declared at {declared_at()}."
        )
    a_labels = tuple(f"a{i}" for i in range(left.ndim))
    b_labels = tuple(
        f"a{first[second.index(i)]}" if i in second else f"b{i}" for i in range(right.ndim)
    )
    needed = {x for x in (*a_labels, *b_labels) if not (x in a_labels and x in b_labels)}
    return _contracted((left, a_labels), (right, b_labels), needed)[0]


def dot(a: NodeLike, b: NodeLike) -> Node:
    """Sum over the last axis of ``a`` and the last but one of ``b`` (its only one), as NumPy.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.dot(gn.Input((None, 3)), gn.Input((3,))).shape
    (None,)
    """
    left, right = as_nodes(a, b)
    if left.ndim == 0 or right.ndim == 0:
        return left * right
    return tensordot(left, right, (-1, -1 if right.ndim == 1 else -2))


def inner(a: NodeLike, b: NodeLike) -> Node:
    """Sum of products over the last axes.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.inner(gn.Input((None, 3)), gn.Input((5, 3))).shape
    (None, 5)
    """
    left, right = as_nodes(a, b)
    return left * right if left.ndim == 0 or right.ndim == 0 else tensordot(left, right, (-1, -1))


def outer(a: NodeLike, b: NodeLike) -> Node:
    """Each element of ``a`` times each of ``b``, both as one row.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.outer(gn.Input((None,)), gn.Input((5,))).shape
    (None, 5)
    """
    left, right = as_nodes(a, b)
    return reshape(left, (left.spec.size, 1)) * reshape(right, (1, right.spec.size))
