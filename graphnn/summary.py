"""The table of a model's layers: types, shapes, parameters, what is trained, FLOPs, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from graphnn.context import Layer
from graphnn.graph import Graph
from graphnn.node import Node, Parameter
from graphnn.op import Alias, Leaf
from graphnn.plan import readable_bytes, readable_count
from graphnn.spec import Dim, DimLike, evaluate


def print_summary(graph: Graph, parameters: Mapping[str, Parameter]) -> None:
    """Print name, type, output shape and parameters of each layer, its FLOPs and bytes a sample.

    A layer is a module, however often it is called; nodes outside of modules that follow each
    other in one scope share a row, which names their ops. Parameters are what is learned; running
    averages and other buffers are counted apart. Bytes are those of all values that it computes;
    how few of them are alive at once is what ``function.memory`` tells.
    """
    from rich.console import Console  # noqa: PLC0415 - 50 ms that only this needs
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title="graphnn model; FLOPs and memory for one sample",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for head in ("layer", "type"):
        table.add_column(head, overflow="fold")  # half a name would tell nothing
    table.add_column("output")
    for head in ("params", "train", "FLOPs", "memory"):
        table.add_column(head, justify="left" if head == "train" else "right", no_wrap=True)
    counted: set[Node] = set()
    for nodes in layers(graph):
        read = {value for node in nodes for value in node.inputs}
        owned = [p for p in parameters.values() if p.learned and p in read and p not in counted]
        counted.update(owned)
        ops = ", ".join(dict.fromkeys(node.op.name for node in nodes))
        table.add_row(
            nodes[0].scope or "-",
            ops if nodes[0].layer is None else nodes[0].layer.kind,
            str(nodes[-1].shape),
            f"{_count(owned):,}",
            _trainable(owned),
            _readable_flops(nodes),
            _readable_memory(nodes),
        )
    Console().print(table)
    print(_totals(parameters.values()))
    shared = [name for name in parameters if _is_numbered(name, parameters)]
    if shared:
        print(
            f"{shared[0]} shares its name with another parameter. Name the networks:\n"
            "nn.Sequential(..., name='encoder')"
        )


def _is_numbered(name: str, parameters: Mapping[str, Parameter]) -> bool:
    """Whether a parameter has a number behind its name, since another one bears it already."""
    return name != parameters[name].name


def _count(parameters: Iterable[Parameter]) -> int:
    return sum(p.value.size for p in parameters)


def _trainable(owned: Sequence[Parameter]) -> str:
    kinds = {p.trainable for p in owned}
    return "in part" if len(kinds) > 1 else "yes" if True in kinds else "no" if kinds else ""


def _totals(parameters: Iterable[Parameter]) -> str:
    """Parameters, trainable or frozen, and apart from them what no optimizer ever moves."""
    found = list(parameters)
    learned = [p for p in found if p.learned]
    trainable = _count(p for p in learned if p.trainable)
    frozen, buffers = _count(learned) - trainable, _count(found) - _count(learned)
    lines = [f"{_count(learned):,} parameters: {trainable:,} trainable, {frozen:,} frozen"]
    if buffers:
        lines.append(f"{buffers:,} numbers in buffers (running statistics), never trained")
    return "\n".join(lines)


def layers(graph: Graph) -> list[list[Node]]:
    """The nodes of each module, and each run of nodes outside of modules, in order."""
    found: list[list[Node]] = []
    of_module: dict[Layer, list[Node]] = {}
    last: Node | None = None
    for node in graph.nodes:
        if isinstance(node.op.kernel, Leaf) or node.role == "update":
            continue  # how a running average moves is a part of training, not of the layer
        if node.layer is not None:
            if node.layer not in of_module:
                of_module[node.layer] = []
                found.append(of_module[node.layer])
            of_module[node.layer].append(node)
        elif last is not None and last.layer is None and last.scope == node.scope:
            found[-1].append(node)
        else:
            found.append([node])
        last = node
    return found


def _readable_flops(nodes: Sequence[Node]) -> str:
    """FLOPs of some nodes for one sample, or on which other sizes they depend."""
    count: DimLike = 0
    for node in nodes:
        count += node.op.flops(node.spec, *(v.spec for v in node.inputs), **node.attrs)
    return _of_a_sample(count, readable_count)


def _readable_memory(nodes: Sequence[Node]) -> str:
    """Bytes of the values that some nodes compute for one sample; a view has none."""
    count: DimLike = 0
    for node in nodes:
        if not isinstance(node.op.kernel, Alias):
            count += node.spec.nbytes
    return _of_a_sample(count, readable_bytes)


def _of_a_sample(count: DimLike, readable: Callable[[int], str]) -> str:
    terms = count.terms if isinstance(count, Dim) else ()
    others = {name for monomial, _ in terms for name in monomial} - {"N"}
    if others:
        return f"depends on {', '.join(sorted(others))}"
    return readable(evaluate(count, {"N": 1}))
