"""Any target as a graph that is planned: what is to be described."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphnn.autodiff import vjp
from graphnn.backends.cpu import executor
from graphnn.backends.cpu.kernels import kernel_of
from graphnn.context import role
from graphnn.errors import GraphError
from graphnn.function import SHOWN_BATCH, Function
from graphnn.graph import Graph
from graphnn.loop import with_bodies
from graphnn.node import Constant, Input, Node, Parameter
from graphnn.plan import Plan
from graphnn.program import Program, program_of
from graphnn.spec import FLOATS, symbols_in

Pairs = tuple[tuple[Parameter, Node], ...]


@dataclass(frozen=True)
class Planned:
    """A graph and its schedule.

    Parameters
    ----------
    declared
        All nodes as the user declared them.
    inputs
        What is given at a call.
    program, plan
        What runs.
    training
        The phase that was chosen.
    """

    declared: Graph
    inputs: tuple[Input, ...]
    program: Program
    plan: Plan
    training: bool

    def sized(self, sizes: Mapping[str, int]) -> Planned:
        """The same for given sizes."""
        layout = self.program.laid_out(sizes, executor.machine_lanes())
        plan = replace(self.plan, layout=layout, sizes=dict(sizes), guessed=False)
        return replace(self, plan=plan)


def planned(target: object, *, reverse: bool = False) -> Planned:
    """Whatever a user wants described.

    Parameters
    ----------
    target
        A node, several nodes, a :class:`gn.Graph`, a :class:`gn.function`, or a model. Nodes and
        graphs are planned as a function in training would be.
    reverse
        Whether the gradients of the loss by all trainable parameters are derived where the graph
        has no reverse pass.

    Raises
    ------
    GraphError
        For any other target, and where there is nothing to differentiate.
    """
    compiled = getattr(target, "training", None)  # of a model, once it is compiled
    target = compiled if isinstance(compiled, Function) else target
    if isinstance(target, Function):
        declared = Graph([*target.outputs, *(new for _, new in target.updates)])
        if not (reverse and needs_reverse(declared)):
            return Planned(declared, target.inputs, target.program, target.plan, target.training)
        found = _declared(target.outputs, target.updates, True, target.training)
        return replace(found, inputs=target.inputs)
    graph = target if isinstance(target, Graph) else getattr(target, "graph", target)
    if isinstance(graph, Graph):
        outputs: Iterable[Node] = graph.outputs
    elif isinstance(graph, Node):
        outputs = (graph,)
    elif isinstance(graph, Sequence) and not isinstance(graph, str):
        outputs = Graph(graph).outputs
    else:
        raise GraphError(
            "render and to_json take a node, several nodes, a gn.Graph, a gn.function or a "
            f"gn.Model; got {type(target).__name__}.{_fix(target)}"
        )
    targets = {node: _updated_by(node) for node in outputs}
    updates = tuple((p, node) for node, p in targets.items() if p is not None)
    results = [node for node, parameter in targets.items() if parameter is None]
    return _declared(results, updates, reverse, True)


def _fix(target: object) -> str:
    if callable(getattr(target, "forward", None)):
        return " Call it, net(x), and give the node that it returns."
    return ""


def needs_reverse(graph: Graph) -> bool:
    """Whether no node of a graph belongs to a reverse pass."""
    return not any(node.role == "backward" for node in with_bodies(graph.nodes))


def _declared(
    results: Sequence[Node],
    updates: Pairs,
    reverse: bool,
    training: bool,
) -> Planned:
    """A plan for nodes, as a function would make it, but no parameter is moved by it."""
    graph = Graph([*results, *(new for _, new in updates)])
    if reverse and needs_reverse(graph):
        results = [*results, *_gradients(results)]
        graph = Graph([*results, *(new for _, new in updates)])
    results = [*results, *unread(graph)]
    program = program_of(results, updates, training)
    declared = Graph([*results, *(new for _, new in updates)])
    within = with_bodies([*declared.nodes, *program.graph.nodes])
    symbols = {name for node in within for dim in node.spec.shape for name in symbols_in(dim)}
    sizes = dict.fromkeys(sorted(symbols), SHOWN_BATCH)
    kernels = tuple(kernel_of(step) for step in program.steps)
    layout = program.laid_out(sizes, executor.machine_lanes())
    plan = Plan(program.graph, program.steps, layout, kernels, sizes, 1, bool(sizes))
    return Planned(declared, declared.inputs, program, plan, training)


def _updated_by(node: Node) -> Parameter | None:
    """The parameter that an update node, being an output, gives a new value."""
    if node.role != "update":
        return None
    named = [node.forward_of] if node.forward_of in node.inputs else []
    read = [value for value in (*named, *node.inputs) if isinstance(value, Parameter)]
    return next((value for value in read if value.spec == node.spec), None)


def unread(graph: Graph) -> list[Node]:
    """Forward nodes whose gradients a graph holds, while their own values are read by nobody."""
    known = set(graph.nodes)
    named = [forward_of(node) for node in graph.nodes if node.role == "backward"]
    return [of for of in dict.fromkeys(named) if of is not None and of not in known]


def forward_of(node: Node) -> Node | None:
    """The forward node whose gradient a node makes, as it was declared."""
    of = node.forward_of
    while of is not None and of.role == "backward":  # a gradient of a gradient
        of = of.forward_of
    return of


def _gradients(results: Sequence[Node]) -> list[Node]:
    loss = next((n for n in results if n.spec.shape == () and n.dtype in FLOATS), None)
    if loss is None:
        found = ", ".join(f"{node.name} {node.spec}" for node in results) or "nothing"
        raise GraphError(
            f"a reverse pass starts at a float scalar, the loss; this graph computes {found}. "
            "Draw the loss, or only the forward pass: passes='forward'."
        )
    graph = Graph(loss)
    wrt: list[Node] = [node for node in graph.parameters if node.trainable]
    wrt = wrt or [node for node in graph.inputs if node.dtype in FLOATS]
    if not wrt:
        raise GraphError(
            f"{loss.name} depends on no trainable parameter and on no float input, so that there "
            "is no reverse pass to draw. Use passes='forward'."
        )
    with role("backward", forward_of=loss):
        one = Constant(1, dtype=loss.dtype)
    reached = [node for node in vjp(loss, wrt, one) if node is not None]
    if not reached:
        raise GraphError(
            f"no gradient flows from {loss.name} to {', '.join(node.name for node in wrt)}: "
            "gn.stop_gradient or ops without a gradient lie between. Use passes='forward'."
        )
    return reached
