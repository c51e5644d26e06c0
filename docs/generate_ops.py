"""Write docs/ops.md from the registry: ``python docs/generate_ops.py``.

A test compares the page with what this would write, so the two cannot drift apart.
"""

import ast
import inspect
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import graphnn as gn
from graphnn.errors import GraphnnError
from graphnn.graph import equation
from graphnn.node import Input, Node, apply
from graphnn.op import Alias, Leaf, Mismatch, Op, Reduction, Rows, Scalar, is_own, registry
from graphnn.ops.declare.tangents import no_gradient
from graphnn.spec import DTYPES, TensorSpec

PAGE = Path(__file__).parent / "ops.md"
ROOMS = Path(gn.__file__).parent / "ops"
HEAD = """\
# The ops

Every op that graphnn ships, {count} in all, as the registry has them; a page that
`docs/generate_ops.py` writes.

- **Shapes** are those of the op's first test example; `→` leads to the result. Elementwise ops
  broadcast as NumPy does.
- **Gradient** is what reverse mode declares for that example, as equations: `dy` is the cotangent
  of the result `y`, and the inputs are `x0`, `x1`, ... It is made of ops of this page, so it can be
  printed, drawn, scheduled and differentiated again. "0" means that the derivative is zero wherever
  it exists, "derived" that it is made from the scalar formula, "none" that the result is no float
  or changes in jumps.
- **Forward** says whether the op has a forward-mode rule of its own, or one that is made from its
  formula ("derived").
- **Kernel** is how the CPU computes it: `Scalar` formulas fuse with their neighbours, `Rows`
  kernels bring a body of their own, a view costs nothing. No op has a CUDA kernel yet.
"""


def main() -> str:
    """The whole page."""
    rooms: dict[str, list[Op]] = defaultdict(list)
    for op in registry.values():
        if op.examples and not isinstance(op.kernel, Leaf) and is_own(op):
            rooms[room_of(op)].append(op)
    lines = [HEAD.format(count=sum(map(len, rooms.values())))]
    for room in sorted(rooms):
        module = import_module(f"graphnn.ops.{room.replace('/', '.')}")
        lines += [f"## {room}", "", str(inspect.getdoc(module)).splitlines()[0], ""]
        lines += [
            "| op | formula | shapes | dtypes | gradient | forward | kernel | CUDA |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [row(op) for op in sorted(rooms[room], key=lambda op: op.name)]
        lines += ["", f"Source: `graphnn/ops/{room}.py`.", ""]
    return "\n".join(lines).rstrip() + "\n"


def room_of(op: Op) -> str:
    """The module that declares an op: that of its body, or of its shape rule."""
    body = getattr(op.kernel, "body", None)
    function = body.function if body is not None else op.spec
    module = inspect.getmodule(function)
    assert module is not None
    inside = module.__name__.removeprefix("graphnn.ops.").replace(".", "/")
    return inside if (ROOMS / f"{inside}.py").exists() else "movement/copy"


def row(op: Op) -> str:
    """One op as a line of its table."""
    cells = [
        f"`{op.name}`", op.formula or op.name, shapes(op), dtypes(op), gradient(op), forward(op),
        kernel(op), "yes" if op.cuda is not None else "-",
    ]  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def first_call(op: Op, dtype: str = "float32") -> tuple[list[Input], Node]:
    """The op, called as its first example says."""
    example = op.examples[0]
    inputs = [
        Input(draw.shape, draw.dtype or dtype, name=f"x{i}")
        for i, draw in enumerate(example.inputs)
    ]
    return inputs, apply(op, inputs, example.attrs, name="y")


def shapes(op: Op) -> str:
    """What goes in and what comes out."""
    inputs, node = first_call(op)
    return ", ".join(str(x.shape) for x in inputs) + f" → {node.shape}"


def dtypes(op: Op) -> str:
    """What the op takes where its example leaves the dtype open."""
    example = op.examples[0]
    if all(draw.dtype for draw in example.inputs):
        return ", ".join(draw.dtype or "" for draw in example.inputs)
    taken = [name for name in DTYPES if accepts(op, name)]
    if len(taken) == len(DTYPES):
        return "all"
    return ", ".join(taken)


def accepts(op: Op, dtype: str) -> bool:
    """Whether the shape rule takes a dtype."""
    example = op.examples[0]
    specs = [TensorSpec(draw.shape, draw.dtype or dtype) for draw in example.inputs]
    try:
        op.spec(*specs, **example.attrs)
    except (Mismatch, GraphnnError):
        return False
    return True


def gradient(op: Op) -> str:
    """The equations of reverse mode."""
    inputs, node = first_call(op)
    floats = [x for x in inputs if x.dtype == "float32"]
    if op.vjp is no_gradient:
        return "0"
    if node.dtype != "float32" or not floats or (op.vjp is None and op.expand is None):
        return "none"
    if op.vjp is None:
        return "derived"
    dy = Input(node.shape, node.dtype, name="dy")
    pulled = gn.vjp(node, floats, dy)
    if all(part is None for part in pulled):
        return "0"
    names = {x: x.label for x in inputs} | {node: "y", dy: "dy"}
    parts = [
        f"`d{x.label} = {written(part, names)}`"
        for x, part in zip(floats, pulled, strict=True)
        if part is not None
    ]
    return "; ".join(parts)


def written(node: Node, names: dict[Node, str | None], depth: int = 3) -> str:
    """A node as one expression, three ops deep."""
    if node in names:
        return str(names[node])
    if isinstance(node.op.kernel, Leaf):
        return node.label or node.op.name
    if depth == 0:
        return "…"
    inside = {v: written(v, names, depth - 1) for v in node.inputs}
    return equation(node, inside) if not scalar(node.op) else formula(node.op, inside, node)


def scalar(op: Op) -> bool:
    """Whether an op is the derivative of an elementwise one, whose formula says more."""
    return isinstance(op.kernel, Scalar) and "_backward" in op.name


def formula(op: Op, inside: dict[Node, str], node: Node) -> str:
    """The scalar formula of a derivative."""
    assert isinstance(op.kernel, Scalar)
    body = op.kernel.body
    if not body.is_straight_line or len(body.statements) > 1:
        return f"{op.name}({', '.join(inside[v] for v in node.inputs)})"
    arguments = dict(zip(body.params, (inside[v] for v in node.inputs), strict=True))
    (last,) = body.statements
    assert isinstance(last, ast.Return)
    assert last.value is not None
    tree = ast.parse(ast.unparse(last.value), mode="eval")
    for name in ast.walk(tree):
        if isinstance(name, ast.Name) and name.id in arguments:
            name.id = arguments[name.id]
    return ast.unparse(tree).replace("math.", "")


def forward(op: Op) -> str:
    """Where the forward-mode rule comes from."""
    if op.jvp is not None:
        return "yes"
    return "derived" if op.expand is not None else "none"


def kernel(op: Op) -> str:
    """The form of the CPU kernel."""
    form = type(op.kernel).__name__
    if isinstance(op.kernel, Rows):
        return f"{form}({', '.join(op.kernel.views)})"
    if isinstance(op.kernel, Reduction):
        return f"{form}({op.kernel.kind})"
    return "view" if isinstance(op.kernel, Alias) else form


if __name__ == "__main__":
    PAGE.write_text(main(), encoding="utf-8")
    print(f"wrote {PAGE}")
