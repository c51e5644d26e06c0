"""Arrays for inputs: what fits, what is cast, what is refused, and which sizes they tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError, DTypeError, ShapeError
from graphnn.fusion import root
from graphnn.graph import Graph
from graphnn.loop import with_bodies
from graphnn.node import Constant, Input, Node, Parameter
from graphnn.op import Loop
from graphnn.ops.elementwise.cast import CAST
from graphnn.ops.movement.broadcast import BROADCAST
from graphnn.ops.movement.transpose import TRANSPOSE
from graphnn.spec import (
    BATCH,
    DTYPES,
    FLOATS,
    Dim,
    DimLike,
    evaluate,
    format_shape,
    lossless,
    symbol_name,
    symbols_in,
)
from graphnn.values import check_range, in_range, refuse_masked

Data: TypeAlias = "ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]"


def by_input(data: Data, nodes: Sequence[Input]) -> dict[Input, ArrayLike]:
    """Which array is for which input: from a dict by name, or in the order of the inputs."""
    if isinstance(data, Mapping):
        names = {node.name: node for node in nodes}
        wrong = [key for key in data if not isinstance(key, str)]
        if wrong:
            raise DataError(
                f"the keys of the data are the names of inputs, {sorted(names)}; got {wrong[0]!r} "
                f"({type(wrong[0]).__name__})"
            )
        if set(data) != set(names):
            raise DataError(f"the data must have the names {sorted(names)}; got {sorted(data)}")
        return {names[name]: array for name, array in data.items()}
    if len(nodes) == 1:
        return {nodes[0]: _only(nodes[0], data)}
    if not isinstance(data, list | tuple) or len(data) != len(nodes):
        raise DataError(
            f"give a list of {len(nodes)} arrays ({', '.join(n.name for n in nodes)}) or a dict"
        )
    return dict(zip(nodes, data, strict=True))


def _only(node: Input, data: Any) -> ArrayLike:
    """The array for the only input, also where it stands in a list of one, as for several."""
    listed = isinstance(data, list | tuple) and len(data) == 1 and hasattr(data[0], "__array__")
    if listed and np.ndim(data[0]) == node.ndim:
        return data[0]  # type: ignore[no-any-return]
    return data  # type: ignore[no-any-return]


def fitting(node: Input, value: ArrayLike) -> NDArray[Any]:
    """``value`` as an array that fits an input: contiguous, of its dtype and rank.

    Raises
    ------
    DTypeError, ShapeError
        If it does not fit. Only lossless casts within whole numbers or within floats are made.
    """
    if type(value) is np.ndarray and _is_ready(node, value):
        return value
    if isinstance(value, Node):
        raise DataError(f"input {node.name} takes an array, not a node; got {value!r}")
    if isinstance(value, Iterator):
        raise DataError(
            f"input {node.name} takes an array; got a {type(value).__name__}. Collect what comes "
            "piece by piece first: np.concatenate(list(pieces))."
        )
    refuse_masked(f"input {node.name}", value)
    array = value if isinstance(value, np.ndarray) else _plain(node, value)
    one_hot = array.ndim == node.ndim + 1 and np.dtype(node.dtype).kind in "iu"
    if one_hot and array.shape[-1:] != (1,):
        raise ShapeError(f"{_declared(node, array)} One-hot labels? Give their argmax(axis=-1).")
    if not lossless(array.dtype, np.dtype(node.dtype)):
        raise DTypeError(
            f"input {node.name} is declared {node.dtype} at {node.origin}; got an array of "
            f"{array.dtype}. {_other_dtype(node, array)}"
        )
    if array.ndim != node.ndim:
        raise ShapeError(_declared(node, array) + _other_rank(node, array))
    # A 0-d array stays one: ascontiguousarray would make it 1-d.
    array = np.asarray(array, dtype=node.dtype, order="C")
    return array if array.flags.aligned else array.copy()


_KINDS = {name: np.dtype(name) for name in DTYPES}


def _is_ready(node: Input, array: NDArray[Any]) -> bool:
    """Whether nothing has to be asked or done: most calls give just such an array."""
    spec, flags = node.spec, array.flags
    own = array.dtype is _KINDS[spec.dtype] and array.ndim == len(spec.shape)
    return own and flags.c_contiguous and flags.aligned


def _declared(node: Input, array: NDArray[Any]) -> str:
    return (
        f"input {node.name} is declared {format_shape(node.spec.shape)} at {node.origin}; "
        f"got an array of shape {format_shape(array.shape)}."
    )


def _other_dtype(node: Input, array: NDArray[Any]) -> str:
    """What to do with an array of another dtype."""
    kind, own = array.dtype.kind, np.dtype(node.dtype).kind
    if array.dtype == object and not array.ndim:
        return f"{type(array.item()).__name__} is no array."
    fix = f"Convert it: array.astype({node.dtype!r})."
    if kind == "O":
        return f"{fix} It must hold numbers alone: no None, no text, no rows of other lengths."
    if kind in "US":
        return f"{fix} Words become numbers by np.unique(array, return_inverse=True)[1]."
    if kind == "f" and own in "iu":
        return f"{fix} That cuts off what is behind the point."
    if kind == "c":
        return f"{fix} That leaves the imaginary part out; array.real says so."
    return fix


def _other_rank(node: Input, array: NDArray[Any]) -> str:
    """What a person who gives an array of another rank may have meant."""
    own, given, name = node.spec.shape, array.shape, node.label or "x"
    if node.ndim == len(given) + 1 and _agree(own[1:], given):
        return f" One sample? Give {name}[None]."
    if node.ndim == len(given) + 1 and own[-1] == 1 and _agree(own[:-1], given):
        return f" Give {name}[..., None]."
    if given[-1:] == (1,) and _agree(own, given[:-1]):
        return f" Give {name}.ravel()." if node.ndim == 1 else f" Give {name}[..., 0]."
    known = all(isinstance(dim, int) for dim in own)
    if known and given[1:] == own:
        return f" A batch? Declare gn.Input({format_shape((None, *own))})."
    rest = own[1:]
    known = all(isinstance(dim, int) for dim in rest)
    if own and rest and given and known and math.prod(rest) == math.prod(given[1:]):
        shape = ", ".join(map(str, rest)) if len(rest) > 1 else "-1"
        return f" Give {name}.reshape(len({name}), {shape})."
    return f" It needs {node.ndim} axes."


def _agree(dims: Sequence[DimLike], shape: Sequence[int]) -> bool:
    """Whether sizes fit, each known one being equal."""
    pairs = zip(dims, shape, strict=False)
    return len(dims) == len(shape) and all(isinstance(d, Dim) or d == s for d, s in pairs)


def _plain(node: Input, value: ArrayLike) -> NDArray[Any]:
    """Lists and numbers take the dtype of the input, if they are of its kind; arrays keep theirs.

    An array is what has ``__array__``: also a table of pandas, and what a list of arrays holds.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        fix = ""
        if "inhomogeneous" in str(error):
            fix = " Pad sequences to one length, and give the lengths to a layer: lengths=."
        raise ShapeError(f"input {node.name}: {error}.{fix}".replace("..", ".")) from None
    except RuntimeError as error:  # a tensor of torch that wants a gradient
        raise DataError(f"input {node.name} is no array: {error}") from None
    leaf: Any = value
    while isinstance(leaf, list | tuple) and leaf:
        leaf = leaf[0]
    kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[np.dtype(node.dtype).kind]
    holds_arrays = hasattr(leaf, "__array__") and (leaf is value or np.ndim(leaf) > 0)
    if holds_arrays or array.dtype.kind not in kinds:
        return array
    if node.dtype not in (*FLOATS, "bool") and array.size:
        limits = np.iinfo(node.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise DataError(
                f"input {node.name} is declared {node.dtype} at {node.origin}, from {limits.min} "
                f"to {limits.max}; got values from {array.min()} to {array.max()}."
            )
    return array.astype(node.dtype)


def solve(node: Input, shape: Sequence[int], sizes: dict[str, int]) -> None:
    """Learn the sizes of plain symbols from an array's shape."""
    for dim, size in zip(node.spec.shape, shape, strict=True):
        name = symbol_name(dim)
        if name is not None:
            sizes.setdefault(name, size)


def check_shape(node: Input, shape: Sequence[int], sizes: Mapping[str, int]) -> None:
    """Check an array's shape against the sizes that all inputs agree on."""
    for axis, (dim, size) in enumerate(zip(node.spec.shape, shape, strict=True)):
        expected = evaluate(dim, sizes)
        if expected != size:
            said = f"the input has {expected} there"
            if isinstance(dim, Dim):
                said = _said_before(node, dim, expected, shape)
            raise ShapeError(
                f"input {node.name} is declared {format_shape(node.spec.shape)} at {node.origin}; "
                f"got an array of shape {format_shape(shape)}: its axis {axis} has {size}, "
                f"{said}.{_other_order(node, shape)}"
            )


def _other_order(node: Input, shape: Sequence[int]) -> str:
    """Images whose channels lie on the other side than declared."""
    own, axes, name = node.spec.shape, range(1, node.ndim - 1), node.label or "x"
    last = node.ndim - 1
    for order in ((0, last, *axes), (0, *axes[1:], last, 1)):
        if node.ndim > 2 and _agree(own, [shape[axis] for axis in order]):
            return f" Give {name}.transpose{order}."
    return ""


def _said_before(node: Input, dim: Dim, size: int, shape: Sequence[int]) -> str:
    """Where a size was told before: on another axis of the same array, or by another input."""
    for axis, (other, own) in enumerate(zip(node.spec.shape, shape, strict=True)):
        if other == dim and own == size:
            said = f"its axis {axis}, declared to be of the same size {dim}, has {size}"
            return said if dim != BATCH else f"{said}. {_named_apart(node)}"
    return f"another input has {size} there"


def _named_apart(node: Input) -> str:
    """How to declare an input of which several axes are None, and only the first is the batch."""
    dims: list[str] = []
    names = iter(["T", "S", *(f"T{k}" for k in range(2, 99))])
    taken = set(map(str, node.spec.shape))
    for dim in node.spec.shape:
        named = symbol_name(dim) is not None and dim != BATCH
        again = dim == BATCH and "None" in dims
        text = next(name for name in names if name not in taken) if again else str(dim)
        dims.append(f'"{text}"' if named or again else text)
    return f"An axis with a size of its own has a name: gn.Input(({', '.join(dims)}))"


def symbols(inputs: Iterable[Input]) -> set[str]:
    """The sizes that are known only when arrays are given."""
    return {name for node in inputs for dim in node.spec.shape if (name := symbol_name(dim))}


def check_fits(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Check that no slice of the graph is longer than what it is taken from.

    Raises
    ------
    ShapeError
        With the node, the sizes, and the user's line.
    """
    for node in with_bodies(graph.nodes):
        if node.op.fits is None:
            continue
        for dim in node.op.fits(*(v.spec for v in node.inputs), **node.attrs):
            if evaluate(dim, sizes) < 0:
                known = ", ".join(f"{name} = {sizes[name]}" for name in sorted(symbols_in(dim)))
                more = isinstance(dim, Dim) and any(c > 0 for powers, c in dim.terms if powers)
                fix = "a larger batch, or slice less" if more else "less, or slice what is longer"
                raise ShapeError(
                    f"{node.name}: {node.op.name} of {format_shape(node.inputs[0].spec.shape)} "
                    f"needs {_room(dim)}; got {known}. Declared at {node.origin}. "
                    f"Give {fix}."
                )


def _room(dim: DimLike) -> str:
    """That a size is not below 0, without minus signs: ``9 >= T`` of ``9 - T``."""
    terms = dim.terms if isinstance(dim, Dim) else (((), dim),)
    sides = [Dim(tuple((m, abs(c)) for m, c in terms if c * sign > 0)) for sign in (1, -1)]
    return " >= ".join(str(side) or "0" for side in sides).replace("None", "N")  # as sizes say it


Limits: TypeAlias = tuple[int, DimLike, Node]


def limits_of(graph: Graph) -> dict[Node, list[Limits]]:
    """For leaves that are labels or indices: the ranges they must keep to, and who says so."""
    found: dict[Node, list[Limits]] = {}
    filled: dict[Node, Node] = {}  # what stands in the slots of loops
    for node in with_bodies(graph.nodes):
        if isinstance(node.op.kernel, Loop):
            filled.update(zip(node.attrs["body"].slots, node.inputs, strict=True))
        if node.op.bounds is None:
            continue
        bounds = node.op.bounds(*(v.spec for v in node.inputs), **node.attrs)
        for place, (low, high) in bounds.items():
            source = _source(node.inputs[place], filled)
            found.setdefault(source, []).append((low, high, node))
    return found


def _source(node: Node, filled: Mapping[Node, Node]) -> Node:
    """Where all values of a node come from: views, transposes and repetitions keep each of them.

    A state of a loop that stays as it begins, too.
    """
    node = root(node)
    while True:
        if node in filled:
            node = root(filled[node])
        elif node.op in (TRANSPOSE, BROADCAST, CAST) and node.dtype not in (*FLOATS, "bool"):
            node = root(node.inputs[0])
        else:
            return node


def check_limits(
    node: Node, array: NDArray[Any], limits: Sequence[Limits], sizes: Mapping[str, int]
) -> None:
    """Check labels and indices against the ranges that their readers need.

    A range that depends on a size that is not known yet is not looked at.
    """
    for low, bound, reader in limits:
        if symbols_in(bound) <= set(sizes):
            high = evaluate(bound, sizes)
            if in_range(array, low, high):
                continue  # before words are made of it
            ignored = reader.attrs.get("ignore_index")
            kind = "input" if isinstance(node, Input) else node.op.name
            own, name = reader.op.name, reader.name
            if reader.label == "lengths" and reader.layer is not None:
                own, name = "lengths", f"nn.{reader.layer.kind}(x, lengths=...)"
            who = f"{name} (declared at {reader.origin})"
            check_range(f"{kind} {node.name}", array, (low, high), own, who, ignored)


def check_known(limits: Mapping[Node, Sequence[Limits]], sizes: Mapping[str, int]) -> None:
    """Check labels and indices that are no inputs: constants, and parameters as they are now."""
    for node, wanted in limits.items():
        if isinstance(node, Constant):
            check_limits(node, node.array, wanted, sizes)
        elif isinstance(node, Parameter):
            check_limits(node, node.value, wanted, sizes)
