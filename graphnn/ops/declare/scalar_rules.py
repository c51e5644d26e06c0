"""The rules of an elementwise op, made from its formula: shapes, derivatives, operations."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

from graphnn.node import Node, apply
from graphnn.op import Jvp, Mismatch, Op, Scalar, Vjp, register
from graphnn.ops.declare.lift import lift
from graphnn.ops.declare.oracle import reference_of
from graphnn.ops.declare.tangents import added
from graphnn.source import Body
from graphnn.spec import FLOATS, DimLike, TensorSpec, broadcast_shapes

# For each input the op of its derivative, and which of (dy, *inputs, y) that op reads.
Derivatives: TypeAlias = "list[tuple[Op, list[int]]]"


def derivative(op: Op, body: Body, param: str) -> tuple[Op, list[int]]:
    """The op for one derivative, and which of (dy, *inputs, y) it reads."""
    used = body.used_params() or body.params[:1]  # a slope of 0 still has the shape of dy
    several = len(body.params) > 3
    name = f"{op.name}_backward" + (f"_{param}" if several else "")
    own = body.renamed(name, used)
    kernel = Scalar(own)
    made = Op(
        name=name,
        spec=_spec_of(op, body, used),
        kernel=kernel,
        reference=reference_of(own),
        flops=flops_of(own),
        expand=expand_of(name, own),
        vanishes=tuple(i for i, p in enumerate(used) if p == body.params[0]),
        formula=f"d loss / d {param} of {op.name}",
        label=f"{op.label or op.name}'",
        color=op.color,
    )
    return register(made, replace=True), [body.params.index(p) for p in used]


def _spec_of(op: Op, body: Body, used: Sequence[str]) -> Callable[..., TensorSpec]:
    conditions = {p for p, d in zip(body.params[1:], _example_dtypes(op), strict=False) if d}
    return spec_rule(len(used), tuple(i for i, p in enumerate(used) if p in conditions))


def _example_dtypes(op: Op) -> list[bool]:
    return [draw.dtype == "bool" for draw in op.examples[0].inputs] if op.examples else []


def vjp_of(derivatives: Callable[[], Derivatives]) -> Vjp:
    def vjp(node: Node, dy: Node) -> list[Node | None]:
        values = [dy, *node.inputs, node]
        return [
            apply(op, [values[i] for i in places]) if value.dtype in FLOATS else None
            for (op, places), value in zip(derivatives(), node.inputs, strict=True)
        ]

    return vjp


def jvp_of(derivatives: Callable[[], Derivatives]) -> Jvp:
    """The Jacobian of an elementwise op is diagonal: forward and reverse mode share its entries."""

    def jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
        parts = []
        for (op, places), tangent in zip(derivatives(), tangents, strict=True):
            if tangent is not None:
                values = [tangent, *node.inputs, node]
                parts.append(apply(op, [values[i] for i in places]))
        return added(parts)

    return jvp


def expand_of(name: str, body: Body) -> Callable[..., Node]:
    def expand(*inputs: Node) -> Node:
        return lift(name, body, inputs)

    return expand


def spec_rule(
    count: int, conditions: Sequence[int] = (), result: str | None = None, floats: bool = False
) -> Callable[..., TensorSpec]:
    """The shape rule of elementwise ops: broadcasting, one dtype, no promotion.

    Parameters
    ----------
    count
        Number of inputs.
    conditions
        Places of inputs that are bool.
    result
        Dtype of the output, if it is not the inputs'.
    floats
        Whether only floats are taken.
    """

    def rule(*specs: TensorSpec, **_attrs: Any) -> TensorSpec:
        for place in conditions:
            if specs[place].dtype != "bool":
                raise Mismatch("a bool condition", "Compare first: x > 0.", dtype=True)
        dtypes = {s.dtype for i, s in enumerate(specs) if i not in conditions}
        if len(dtypes) > 1:
            raise Mismatch("one dtype", "Cast one of them: gn.cast(x, 'float32').", dtype=True)
        if dtypes == {"bool"} and not (result or conditions):
            raise Mismatch("numbers", "Cast it: gn.cast(x, 'float32').", dtype=True)
        if floats and dtypes - set(FLOATS):
            raise Mismatch("float32 or float64", "Cast it: gn.cast(x, 'float32').", dtype=True)
        shape = broadcast_shapes(*(spec.shape for spec in specs))
        if shape is None:
            raise Mismatch(
                "shapes that broadcast (equal from the right, or 1)",
                "Reshape one of them with gn.reshape.",
            )
        return TensorSpec(shape, result or (dtypes.pop() if dtypes else "bool"))

    return rule


def flops_of(body: Body) -> Callable[..., DimLike]:
    arithmetic = (ast.BinOp, ast.Call, ast.Compare, ast.UnaryOp)

    @cache
    def count() -> int:
        return sum(isinstance(n, arithmetic) for s in body.statements for n in ast.walk(s))

    def flops(out: TensorSpec, *_inputs: TensorSpec, **_attrs: Any) -> DimLike:
        return out.size * count()

    return flops
