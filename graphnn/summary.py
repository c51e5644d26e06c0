"""The table of a model's layers: ops, shapes, parameters, FLOPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphnn.graph import Graph
from graphnn.node import Node, Parameter
from graphnn.op import Leaf
from graphnn.plan import readable_count
from graphnn.spec import Dim, DimLike, evaluate


def print_summary(graph: Graph, parameters: Mapping[str, Parameter]) -> None:
    """Print layer, ops, output shape, parameters and FLOPs a sample."""
    from rich.console import Console  # noqa: PLC0415 - 50 ms that only this needs
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="graphnn model", title_justify="left")
    for head, side in (
        ("layer", "left"), ("ops", "left"), ("output", "left"),
        ("parameters", "right"), ("FLOPs a sample", "right"),
    ):  # fmt: skip
        table.add_column(head, justify=side)  # type: ignore[arg-type]
    for scope, nodes in _layers(graph).items():
        read = {value for node in nodes for value in node.inputs}
        owned = [p for p in parameters.values() if p in read]
        table.add_row(
            scope or "-",
            ", ".join(dict.fromkeys(node.op.name for node in nodes)),
            str(nodes[-1].shape),
            f"{sum(p.value.size for p in owned):,}",
            _readable_flops(nodes),
        )
    Console().print(table)
    total = sum(p.value.size for p in graph.parameters if p.trainable)
    print(f"{total:,} trainable parameters")


def _layers(graph: Graph) -> dict[str, list[Node]]:
    layers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if not isinstance(node.op.kernel, Leaf):
            layers.setdefault(node.scope, []).append(node)
    return layers


def _readable_flops(nodes: Sequence[Node]) -> str:
    """FLOPs of some nodes for one sample, or on which other sizes they depend."""
    count: DimLike = 0
    for node in nodes:
        count += node.op.flops(node.spec, *(v.spec for v in node.inputs), **node.attrs)
    terms = count.terms if isinstance(count, Dim) else ()
    others = {name for monomial, _ in terms for name in monomial} - {"N"}
    if others:
        return f"depends on {', '.join(sorted(others))}"
    return readable_count(evaluate(count, {"N": 1}))
