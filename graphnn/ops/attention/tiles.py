"""The ops of attention in tiles: the result, the logarithm of each row's sum, three gradients.

Dao, *FlashAttention-2: faster attention with better parallelism and work partitioning* (2023). The
forward pass goes over tiles of the scores and keeps, for each query, the greatest score so far and
the sum of the powers (the online softmax of Milakov, Gimelshein, 2018); it leaves the result and
the logarithm of each row's sum. From these the reverse pass computes the tiles again.

Each is an op of one result. Those of the same tiles are computed by one kernel
(:mod:`graphnn.fusion`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from numpy.typing import NDArray

from graphnn.context import role
from graphnn.node import Node, apply, rebuilt
from graphnn.op import Attention, Draw, Example, Mismatch, Op, register
from graphnn.ops.attention.formula import Formula, composed, heads_outside, reference
from graphnn.ops.random.generator import generator, next_stream
from graphnn.ops.reduction.reduce import sum
from graphnn.spec import (
    FLOATS,
    DimLike,
    Shape,
    TensorSpec,
    broadcast_shapes,
    format_shape,
    product,
)

__all__: list[str] = []

# Queries and keys of a tile.
TILE = (128, 512)
# So many samples, or pairs of a sample and a head, keep all lanes busy without cutting them up.
MANY = 8
# Sequences from here on are long enough for lanes to share one.
LONG = 1024
# Multiply-adds of what OpenBLAS calls a small product.
SMALL = 1_000_000
COLOR = "#fde68a"
FORWARD = ("output", "logsumexp")
INPUTS = {
    "output": ("query", "key", "value"),
    "logsumexp": ("query", "key"),
    "query": ("query", "key", "value", "lse", "delta", "dy"),
    "key": ("query", "key", "value", "lse", "delta", "dy"),
    "value": ("query", "key", "lse", "dy"),
}
CARRIED = ("lse", "delta", "dy")
T = TypeVar("T")


# How the work is shared.


def _long(node: Node) -> bool:
    length = node.inputs[0].spec.shape[3 - node.attrs["heads"]]
    return isinstance(length, int) and length >= LONG


def _many(*dims: DimLike) -> bool:
    """Whether there are many; a batch axis is taken to be long."""
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return len(sizes) < len(dims) or math.prod(sizes) >= MANY


def _whole_forward(node: Node) -> bool:
    return not _many(node.spec.shape[0]) or _long(node)


def _whole_backward(node: Node) -> bool:
    return not _many(node.spec.shape[0])


def named_inputs(kind: str, inputs: Sequence[T]) -> tuple[dict[str, T], list[T]]:
    """What an op of a kind reads, by name, and behind it the mask and the generator, if any."""
    names = INPUTS[kind]
    return dict(zip(names, inputs, strict=False)), list(inputs[len(names) :])


def kind_of(node: Node) -> str:
    """Which of the results of attention a node is."""
    assert isinstance(node.op.kernel, Attention)
    return node.op.kernel.kind


def _together(node: Node, other: Node) -> bool:
    """Whether two results are made of the same tiles, and those are shared out alike."""
    kinds = kind_of(node), kind_of(other)
    if kinds[0] == kinds[1] or way_of(node) != way_of(other) or node.attrs != other.attrs:
        return False
    (own, rest), (others, more) = map(named_inputs, kinds, (node.inputs, other.inputs))
    return rest == more and all(own[name] is others[name] for name in own.keys() & others.keys())


def way_of(node: Node) -> str:
    """By what work is shared out: forward by queries, in reverse by heads where there are many.

    Where there are few, the gradient of the query is made by queries, the others by keys.
    """
    kind, query = kind_of(node), node.inputs[0].spec.shape
    if kind in FORWARD:
        return "forward"
    if _many(query[0], query[node.attrs["heads"]]):
        return "both"
    return "query" if kind == "query" else "key"


def tile_of(q: TensorSpec, k: TensorSpec, heads: int, tile: tuple[int, int]) -> tuple[int, int]:
    """Queries and keys of a tile: numbers, even where the lengths are not known yet."""
    lengths = (q.shape[3 - heads], k.shape[3 - heads])
    rows, columns = (
        max(min(most, n), 1) if isinstance(n, int) else most
        for n, most in zip(lengths, tile, strict=True)
    )
    return rows, columns


def is_small(q: TensorSpec, k: TensorSpec, heads: int, tile: tuple[int, int]) -> bool:
    """Whether the products of a tile are such that BLAS has a quick way for, but for transposes.

    For those up to 10⁶ multiply-adds OpenBLAS has kernels that copy nothing, of which the one for
    A Bᵀ in row-major order is missing: 64 x 64 x 32 runs at 52 GFLOP/s, A B at 110. A transposed
    copy of the keys costs less.
    """
    rows, columns = tile_of(q, k, heads, tile)
    width = q.shape[3]
    return isinstance(width, int) and rows * columns * width <= SMALL


def _scratch(kind: str) -> Callable[..., DimLike]:
    """Bytes for a tile or two, two numbers a row, transposed keys and values, and a mask."""

    def needed(out: TensorSpec, *specs: TensorSpec, heads: int, dropout: float,
        tile: tuple[int, int], **_attrs: Any,
    ) -> DimLike:  # fmt: skip
        of, _ = named_inputs(kind, specs)
        q, k = of["query"], of["key"]
        rows, columns = tile_of(q, k, heads, tile)
        forward = kind in FORWARD
        numbers: DimLike = rows * columns + 2 * rows if forward else 2 * rows * columns
        if is_small(q, k, heads, tile):
            depth = of.get("value", out).shape[3] if kind != "logsumexp" else 0
            numbers = numbers + columns * (q.shape[3] if forward else q.shape[3] + depth)
        return numbers * q.itemsize + (rows * columns if dropout else 0)

    return needed


# Shapes.


def _spec(kind: str) -> Callable[..., TensorSpec]:
    def rule(*specs: TensorSpec, heads: int, dropout: float, **_attrs: Any) -> TensorSpec:
        of, rest = named_inputs(kind, specs)
        q, k = of["query"], of["key"]
        v = of.get("value") or _value_like(k, of.get("dy", k))
        _check(q, k, v, heads)
        out, row = q.with_shape((*q.shape[:3], v.shape[3])), q.with_shape(q.shape[:3])
        carried = zip(CARRIED, (row, row, out), strict=True)
        if any(of.get(name, like) != like for name, like in carried):
            raise Mismatch("a logsumexp and a delta for each query, and the result's cotangent")
        scores = (q.shape[0], q.shape[heads], q.shape[3 - heads], k.shape[3 - heads])
        _check_rest(q, scores, rest, dropout)
        return {"output": out, "logsumexp": row, "query": q, "key": k, "value": v}[kind]

    return rule


def _value_like(k: TensorSpec, dy: TensorSpec) -> TensorSpec:
    """The value is like the key, but for its depth, which is that of the result."""
    return k.with_shape((*k.shape[:3], *dy.shape[3:]))


def _check(q: TensorSpec, k: TensorSpec, v: TensorSpec, heads: int) -> None:
    if q.dtype not in FLOATS or {q.dtype} != {k.dtype, v.dtype}:
        raise Mismatch("query, key and value of one dtype, float32 or float64", dtype=True)
    if not q.ndim == k.ndim == v.ndim == 4:
        raise Mismatch("query, key and value of four axes")
    for axis in (0, heads):
        if not q.shape[axis] == k.shape[axis] == v.shape[axis]:
            raise Mismatch("one batch and one number of heads")
    if q.shape[3] != k.shape[3]:
        raise Mismatch("query.shape[-1] == key.shape[-1]")
    if k.shape[3 - heads] != v.shape[3 - heads]:
        raise Mismatch("as many values as keys")


def _check_rest(q: TensorSpec, scores: Shape, rest: Sequence[TensorSpec], dropout: float) -> None:
    masks = rest[:-1] if dropout else rest
    if dropout and (not rest or rest[-1] != TensorSpec((2,), "int64")):
        raise Mismatch("the state of a generator where there is dropout")
    if len(masks) > 1 or any(mask.dtype not in ("bool", q.dtype) for mask in masks):
        raise Mismatch("a mask of bools, or of the dtype of the query", dtype=True)
    if any(mask.ndim != 4 or broadcast_shapes(mask.shape, scores) != scores for mask in masks):
        raise Mismatch(f"a mask that broadcasts to {format_shape(scores)}")


# The five ops.


def _work(kind: str) -> Callable[..., DimLike]:
    """Products of a tile: together the gradients' are five, of which each one's own is counted."""

    def flops(out: TensorSpec, q: TensorSpec, k: TensorSpec, *others: TensorSpec, heads: int,
        **_attrs: Any,
    ) -> DimLike:  # fmt: skip
        scores, width = product((*q.shape[:3], k.shape[3 - heads])), q.shape[3]
        if kind == "logsumexp":  # the output's tiles
            return 2 * scores
        depth = out.shape[3] if kind == "value" else others[0].shape[3]
        own = {"key": width, "query": width + depth + 2}
        return 2 * scores * own.get(kind, width + depth + 4)

    return flops


def _output_vjp(node: Node, dy: Node) -> list[Node | None]:
    q, k, v, *rest = node.inputs
    with role(node.role, node):
        lse = apply(OPS["logsumexp"], [q, k, *rest], node.attrs)
    delta = sum(dy * node, -1)  # Σ dp p of each row, whatever its length
    of = {"query": q, "key": k, "value": v, "lse": lse, "delta": delta, "dy": dy}
    made = [
        apply(OPS[kind], [*(of[name] for name in INPUTS[kind]), *rest], node.attrs)
        for kind in ("query", "key", "value")
    ]
    floats = (other.dtype in FLOATS for other in rest)
    return [*made, *(_mask_gradient(node, lse, delta, dy) if one else None for one in floats)]


def _mask_gradient(node: Node, lse: Node, delta: Node, dy: Node) -> Node:
    """That of the scores, all of them at once: nothing smaller has room for it."""
    heads = node.attrs["heads"]
    of, rest = named_inputs("output", node.inputs)
    lse, delta = heads_outside(lse, heads), heads_outside(delta, heads)
    return Formula(of, rest, node.attrs).slope(lse, delta, dy)


def _expand(kind: str) -> Callable[..., Node]:
    def expand(*inputs: Node, **attrs: Any) -> Node:
        of, rest = named_inputs(kind, inputs)
        return composed(kind, of, rest, attrs)

    return expand


def _reference(kind: str) -> Callable[..., NDArray[Any]]:
    def in_numpy(*arrays: NDArray[Any], **attrs: Any) -> NDArray[Any]:
        of, rest = named_inputs(kind, arrays)
        return reference(kind, of, rest, **attrs)

    return in_numpy


def _without_dropout(node: Node, inputs: Sequence[Node]) -> Node:
    if not node.attrs["dropout"]:
        return rebuilt(node, inputs)
    attrs = {key: value for key, value in node.attrs.items() if key != "stream"}
    return rebuilt(node, inputs[:-1], {**attrs, "dropout": 0.0})


def _attrs(
    scale: float, causal: bool = False, dropout: float = 0.0, heads: int = 1,
    stream: int | None = None, tile: tuple[int, int] = TILE,
) -> dict[str, Any]:  # fmt: skip
    attrs = {"scale": scale, "causal": causal, "dropout": dropout, "heads": heads, "tile": tile}
    return attrs if stream is None else {**attrs, "stream": stream}


def _example(
    kind: str, batch: int, heads: int, queries: int, keys: int, width: int, depth: int,
    mask: Draw | None = None, inside: bool = False, **attrs: Any,
) -> Example:  # fmt: skip
    def shape(length: int, *last: int) -> tuple[int, ...]:
        return (batch, *((length, heads) if inside else (heads, length)), *last)

    draws = {
        "query": Draw(shape(queries, width)),
        "key": Draw(shape(keys, width)),
        "value": Draw(shape(keys, depth)),
        "lse": Draw(shape(queries), 1.0, 3.0),
        "delta": Draw(shape(queries)),
        "dy": Draw(shape(queries, depth)),
    }
    inputs = [draws[name] for name in INPUTS[kind]]
    inputs += [] if mask is None else [mask]
    if attrs.get("dropout"):
        inputs.append(Draw((2,), 0, 1 << 40, "int64"))
    return Example(tuple(inputs), _attrs(0.5, heads=2 if inside else 1, tile=(2, 3), **attrs))


def _examples(kind: str) -> tuple[Example, ...]:
    """Few heads and many, masks of each kind, tiles that are cut off, more queries and fewer."""
    # Where all is masked the logarithm of the sum is -∞, of which there are no differences.
    kept = None if kind == "logsumexp" else "bool"
    return (
        _example(kind, 3, 2, 5, 7, 4, 3),
        _example(kind, 8, 1, 3, 4, 2, 2, causal=True),
        _example(kind, 3, 2, 4, 5, 2, 3, Draw((3, 1, 1, 5), dtype=kept), inside=True),
        _example(kind, 4, 2, 5, 3, 2, 2, Draw((1, 2, 5, 1)), inside=True, causal=True),
        _example(kind, 3, 1, 5, 6, 2, 2, Draw((3, 1, 5, 6)), dropout=0.25, stream=3),
        _example(kind, 4, 2, 3, 70, 2, 2, Draw((4, 2, 3, 70), dtype=kept), dropout=0.5, stream=0),
    )


def _op(kind: str, name: str, formula: str) -> Op:
    forward = kind in FORWARD
    return register(
        Op(
            name=name,
            spec=_spec(kind),
            kernel=Attention(
                kind,
                _together,
                _whole_forward if forward else _whole_backward,
                _scratch(kind),
            ),
            reference=_reference(kind),
            vjp=_output_vjp if kind == "output" else None,
            expand=_expand(kind),
            flops=_work(kind),
            examples=_examples(kind),
            inference=_without_dropout,
            slack=10.0,
            formula=formula,
            color=COLOR,
        )
    )


OPS = {
    kind: _op(kind, name, formula)
    for kind, name, formula in (
        ("output", "attention", "softmax(s Q Kᵀ + M) V"),
        ("logsumexp", "attention_logsumexp", "ln Σⱼ exp(s Q Kᵀ + M)"),
        ("query", "attention_query_gradient", "s dS K, dS = P (dY Vᵀ - δ)"),
        ("key", "attention_key_gradient", "s dSᵀ Q"),
        ("value", "attention_value_gradient", "Pᵀ dY"),
    )
}


def attend(
    query: Node,
    key: Node,
    value: Node,
    mask: Node | None,
    dropout: float,
    causal: bool,
    scale: float,
    heads: int,
    name: str | None = None,
) -> Node:
    """Attention of four axes, of which ``heads``, 1 or 2, is that of the heads."""
    rest = [] if mask is None else [mask]
    rest += [generator()] if dropout else []
    stream = next_stream() if dropout else None
    attrs = _attrs(float(scale), bool(causal), float(dropout), heads, stream)
    return apply(OPS["output"], [query, key, value, *rest], attrs, name=name)
