"""Arrays in pieces: graphs rewritten so that kernels read slices and write concats in place.

The reverse of ``split`` is a sum of pads, one for each piece: the pieces behind each other. A slice
of an elementwise result is the result of slices: then nothing is computed that only a slice reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from graphnn.fusion import is_long
from graphnn.graph import needed
from graphnn.node import Constant, Node, apply, rebuilt
from graphnn.op import Loop, Op, Part, Scalar
from graphnn.ops.elementwise.arithmetic import accumulate
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import CONCAT
from graphnn.ops.movement.reshape import RESHAPE
from graphnn.ops.movement.slicing import PAD, SLICE, is_negative
from graphnn.spec import DimLike, Shape, divide
from graphnn.walks import is_even, is_load

MOST_COPIES = 16  # of elementwise nodes that slices go through: kernels should stay of one size

Sizes = tuple[DimLike, ...]
Range = tuple[DimLike, DimLike]  # where it begins, how long it is


def _made(op: Op, inputs: Sequence[Node], attrs: Mapping[str, object], like: Node) -> Node:
    node = apply(op, inputs, attrs)
    return rebuilt(node, node.inputs, like=like)


# Sums of pads.


class Pads:
    """Sums of pads that lie beside each other along an axis become one concat."""

    def __init__(self) -> None:
        self.terms: dict[Node, list[Node]] = {}

    def visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The node on its new inputs, or the concat that takes its place."""
        made = rebuilt(node, inputs)
        if made.op is not accumulate.op:
            return made
        terms = [*self.terms.get(inputs[0], inputs[:1]), inputs[1]]
        pads = [term for term in terms if _padded_axis(term) is not None]
        others = [term for term in terms if term not in pads]
        if not pads or len(others) > 1:
            return made
        whole = self._joined(pads, node) if len(pads) > 1 else None
        if whole is not None:
            # Each element is a sum of two at most: their order does not matter.
            made = rebuilt(made, [whole, *others]) if others else whole
        self.terms[made] = terms
        return made

    def _joined(self, pads: Sequence[Node], like: Node) -> Node | None:
        axis = _padded_axis(pads[0])
        if axis is None or any(_padded_axis(pad) != axis for pad in pads):
            return None
        sizes = [pad.inputs[0].spec.shape[axis] for pad in pads]
        spans = [(pad.attrs["low"][axis], size) for pad, size in zip(pads, sizes, strict=True)]
        order = in_order(spans, like.spec.shape[axis])
        if order is None:
            return None
        each = sizes[0] if all(size == sizes[0] for size in sizes) else None
        pieces: list[Node] = []
        for place, gap in order:
            if place is None:
                pieces += _zeros(pads[0].inputs[0], axis, gap, each, like)
            else:
                pieces.append(pads[place].inputs[0])
        return _made(CONCAT, pieces, {"axis": axis}, like)


def _padded_axis(node: Node) -> int | None:
    """The only axis along which a node is padded with zeros, if it is such a pad."""
    if node.op is not PAD or node.attrs["value"] != 0 or set(node.attrs["interior"]) > {0}:
        return None
    low, high = node.attrs["low"], node.attrs["high"]
    axes = [i for i, pair in enumerate(zip(low, high, strict=True)) if pair != (0, 0)]
    cut = any(map(is_negative, (*low, *high)))
    return axes[0] if len(axes) == 1 and not cut else None


def _zeros(piece: Node, axis: int, size: DimLike, each: DimLike | None, like: Node) -> list[Node]:
    """What lies between the pieces: in parts like them, if that comes out even."""
    count = None if each is None else divide(size, each)
    count, length = (count, each) if isinstance(count, int) else (1, size)
    shape = (*piece.spec.shape[:axis], length, *piece.spec.shape[axis + 1 :])
    zero = broadcast_to(Constant(0, dtype=piece.dtype), shape)
    return [rebuilt(zero, zero.inputs, like=like)] * count


def in_order(ranges: Sequence[Range], total: DimLike) -> list[tuple[int | None, DimLike]] | None:
    """The places of ranges one after the other, with (None, size) for gaps.

    None if they overlap, or if not every batch size has them in one order.
    """
    left, found = dict(enumerate(ranges)), list[tuple[int | None, DimLike]]()
    at: DimLike = 0
    while left:
        place = _next(left, at)
        if place is None:
            return None
        start, size = left.pop(place)
        if start != at:
            found.append((None, start - at))
        found.append((place, size))
        at = start + size
    if at != total:
        found.append((None, total - at))
    return found


def _next(left: Mapping[int, Range], at: DimLike) -> int | None:
    """The range that begins first, at ``at`` or behind it; an empty one before others."""
    here = [place for place, (start, _) in left.items() if start == at]
    if here:
        return min(here, key=lambda place: left[place][1] != 0)
    ahead: dict[int, int] = {}
    for place, (start, _) in left.items():
        gap = start - at
        if isinstance(gap, int):
            ahead[place] = gap
    if len(ahead) == len(left):
        first = min(ahead, key=ahead.__getitem__)
        return first if ahead[first] > 0 else None
    # How far lengths lie apart that are not known yet is not known, but that none begins before 0.
    return next(iter(left)) if len(left) == 1 and at == 0 else None


# Axes of size 1.


def without_new_axis(node: Node, inputs: tuple[Node, ...]) -> Node:
    """A stack is a concat of its pieces as they are, in another shape.

    And ``x[:, 3]`` is a slice of ``x`` with two axes seen as one: neither needs an axis of size 1.
    """
    made = rebuilt(node, inputs)
    if made.op is CONCAT:
        return _plain_stack(made)
    if made.op is RESHAPE and inputs[0].op is SLICE:
        return _plain_pick(made, inputs[0])
    return made


def _plain_stack(node: Node) -> Node:
    axis, out = node.attrs["axis"], node.spec.shape
    if axis == node.ndim - 1 or any(piece.op is not RESHAPE for piece in node.inputs):
        return node
    pieces = [piece.inputs[0] for piece in node.inputs]
    shape = (*out[:axis], *out[axis + 1 :])
    if any(piece.spec.shape != shape for piece in pieces):
        return node
    flat = _made(CONCAT, pieces, {"axis": axis}, node)
    return _made(RESHAPE, [flat], {"shape": out}, node)


def _plain_pick(node: Node, cut: Node) -> Node:
    (x,) = cut.inputs
    whole, part = x.spec.shape, cut.spec.shape
    low, high, step = (cut.attrs[key] for key in ("low", "high", "step"))
    for axis in range(x.ndim - 1):
        two = (*whole[axis : axis + 2], *low[axis : axis + 2], *high[axis : axis + 2])
        if (
            part[axis] == 1
            and whole[axis] != 1
            and node.spec.shape == (*part[:axis], *part[axis + 1 :])
            and all(isinstance(dim, int) for dim in two)
            and tuple(step[axis : axis + 2]) == (1, 1)
        ):
            total, inner = whole[axis] * whole[axis + 1], whole[axis + 1]
            start = low[axis] * inner + low[axis + 1]
            flat = (*whole[:axis], total, *whole[axis + 2 :])
            attrs = {
                "low": (*low[:axis], start, *low[axis + 2 :]),
                "high": (*high[:axis], total - start - part[axis + 1], *high[axis + 2 :]),
                "step": (*step[:axis], *step[axis + 1 :]),
            }
            return _made(SLICE, [_made(RESHAPE, [x], {"shape": flat}, cut)], attrs, node)
    return node


# Slices before what is computed.


class Slices:
    """Slices go before the elementwise nodes that only slices read."""

    def __init__(self, outputs: Sequence[Node]) -> None:
        self.cut = {node for one in _graphs(outputs) for node in _cut(one)}
        self.new: set[Node] = set()
        self.known: dict[tuple[Node, Sizes, Sizes], Node] = {}

    def visit(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The node on its new inputs, or, of a slice, the result of slices."""
        made = rebuilt(node, inputs)
        if node in self.cut:
            self.new.add(made)
        if node.op is SLICE and inputs[0] in self.new:
            return self._through(inputs[0], node.attrs["low"], node.attrs["high"], node)
        return made

    def _through(self, node: Node, low: Sizes, high: Sizes, cut: Node) -> Node:
        key = node, low, high
        if key not in self.known:
            parts = [self._part(value, node.spec.shape, low, high, cut) for value in node.inputs]
            self.known[key] = rebuilt(node, parts, like=node)
        return self.known[key]

    def _part(self, value: Node, shape: Shape, low: Sizes, high: Sizes, cut: Node) -> Node:
        if value in self.new and value.spec.shape == shape:
            return self._through(value, low, high, cut)
        missing = len(shape) - value.ndim
        sizes = zip(value.spec.shape, shape[missing:], strict=True)
        own = [0 if n == 1 and whole != 1 else 1 for n, whole in sizes]
        low = tuple(a * keeps for a, keeps in zip(low[missing:], own, strict=True))
        high = tuple(a * keeps for a, keeps in zip(high[missing:], own, strict=True))
        if set(low) | set(high) <= {0}:
            return value
        return _made(SLICE, [value], {"low": low, "high": high, "step": (1,) * value.ndim}, cut)


def _graphs(outputs: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """What is read of a graph, and of the body of each loop in it."""
    yield outputs
    order = needed(outputs)
    for loop in order:
        if isinstance(loop.op.kernel, Loop):
            parts = [n for n in order if isinstance(n.op.kernel, Part) and n.inputs[0] is loop]
            read = [part.attrs["of"] for part in parts if "of" in part.attrs]
            yield from _graphs([*loop.attrs["body"].nexts, *read])


def _cut(outputs: Sequence[Node]) -> set[Node]:
    """The elementwise nodes that nobody reads but slices beside each other."""
    order = needed(outputs)
    readers: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for value in dict.fromkeys(node.inputs):
            readers[value].append(node)
    kept = set(outputs)
    cuts: dict[Node, frozenset[tuple[Sizes, Sizes]]] = {}
    depth: dict[Node, int] = {}
    even: dict[Node, bool] = {}
    for node in reversed(order):
        if not isinstance(node.op.kernel, Scalar) or node in kept or "shape" in node.attrs:
            continue
        read = readers[node]
        if all(_is_plain(one) for one in read):
            found = frozenset((one.attrs["low"], one.attrs["high"]) for one in read)
            depth[node], even[node] = 1, all(map(is_even, read))
        elif all(one in cuts and one.spec.shape == node.spec.shape for one in read):
            found = cuts[read[0]]
            depth[node] = 1 + max(depth[one] for one in read)
            even[node] = even[read[0]]
            if any(cuts[one] != found for one in read):
                continue
        else:
            continue
        if is_long(node) and not even[node]:
            continue
        if depth[node] * len(found) <= MOST_COPIES and _are_beside(node.spec.shape, found):
            cuts[node] = found
    return set(cuts)


def _is_plain(node: Node) -> bool:
    return node.op is SLICE and set(node.attrs["step"]) <= {1} and is_load(node)


def _are_beside(shape: Shape, cuts: frozenset[tuple[Sizes, Sizes]]) -> bool:
    """Whether slices lie beside each other along one axis: nothing is computed twice."""
    axes = {
        axis
        for low, high in cuts
        for axis, pair in enumerate(zip(low, high, strict=True))
        if pair != (0, 0)
    }
    if len(cuts) == 1:
        return True
    if len(axes) != 1:
        return False
    (axis,) = axes
    spans = [(low[axis], shape[axis] - low[axis] - high[axis]) for low, high in cuts]
    return in_order(spans, shape[axis]) is not None
