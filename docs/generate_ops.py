"""Write docs/ops.md from the registry: ``python docs/generate_ops.py``.

A test compares the page with what this would write, so the two cannot drift apart.
"""

import inspect
from collections import defaultdict
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import declared_by

import graphnn as gn
from graphnn import ops
from graphnn.errors import GraphnnError
from graphnn.node import Input, Node, apply
from graphnn.op import Alias, Leaf, Mismatch, Op, Reduction, Rows, is_own, registry
from graphnn.ops.declare.tangents import no_gradient
from graphnn.render.document.formulas import written
from graphnn.spec import DTYPES, TensorSpec

PAGE = Path(__file__).parent / "ops.md"
ROOMS = Path(gn.__file__).parent / "ops"
HEAD = """\
# The ops

Every op that graphnn ships, {count} in all, as the registry has them, and the public functions that
declare them; a page that `docs/generate_ops.py` writes. The rooms are those of `graphnn/ops`:

{contents}

How to read it:

- **Declared by** names the functions (`gn.relu`), modules (`nn.ReLU`) and optimizers that declare
  the op. An op without one serves the gradients of others, or graphnn itself.
- **Shapes** are those of the op's first test example; `→` leads to the result. Elementwise ops
  broadcast as NumPy does.
- **Gradient** is what reverse mode declares for that example, as equations: `dy` is the cotangent
  of the result `y`, and the inputs are `x0`, `x1`, ... It is made of ops of this page, so it can be
  printed, drawn, scheduled and differentiated again. It is 0 where the derivative is zero wherever
  it exists, "derived" if it is made from the scalar formula, "none" if the result is no float or
  changes in jumps.
- **Forward mode** is a rule of the op's own ("yes"), or "derived" from its formula.
- **CPU** and **CUDA** are the kernels. `Scalar` formulas fuse with their neighbours, `Rows` kernels
  bring a body of their own, a view costs nothing. {cuda}
- **Source** is the paper or textbook that the docstrings cite.
"""


def main() -> str:
    """The whole page."""
    rooms: dict[str, list[Op]] = defaultdict(list)
    for op in shipped():
        rooms[room_of(op)].append(op)
    for name in composed():
        rooms[room_of_module(getattr(gn, name).__module__)] += []
    folders: dict[str, list[str]] = defaultdict(list)
    for room in sorted(rooms):
        folders[room.split("/")[0]].append(room)
    contents = "\n".join(
        f"- {folder}: {', '.join(f'[{named(room)}](#{named(room)})' for room in inside)}"
        for folder, inside in folders.items()
    )
    with_cuda = sum(op.cuda is not None for op in shipped())
    cuda = "No op has a CUDA kernel yet." if with_cuda == 0 else f"{with_cuda} have a CUDA kernel."
    lines = [HEAD.format(count=len(shipped()), contents=contents, cuda=cuda)]
    for folder, inside in folders.items():
        lines += [f"## ops/{folder}", "", text_of(import_module(f"graphnn.ops.{folder}")), ""]
        for room in inside:
            lines += section(room, sorted(rooms[room], key=lambda op: op.name))
    return "\n".join(lines).rstrip() + "\n"


def section(room: str, inside: list[Op]) -> list[str]:
    """What a room declares: a table, the details of each op, and functions made of other ops."""
    lines = [f"### {named(room)}", "", text_of(import_module(module_of(room))), ""]
    lines += [f"Source: [`graphnn/ops/{room}.py`](../graphnn/ops/{room}.py)", ""]
    if inside:
        lines += ["| op | declared by | formula | CPU | CUDA |", "|---|---|---|---|---|"]
        lines += [*map(row, inside), ""]
        for op in inside:
            lines += details(op)
        lines.append("")
    made = [n for n in composed() if getattr(gn, n).__module__ == module_of(room)]
    if made:
        lines += ["| made of other ops | what it is | ops in its example |", "|---|---|---|"]
        lines += [*map(composition, made), ""]
    return lines


def row(op: Op) -> str:
    """An op as a line of its room's table."""
    declared = ", ".join(f"`{name}`" for name in declared_by.owners().get(op.name, ()))
    if not declared:
        makers = serves().get(op.name)
        declared = f"the gradient of {', '.join(f'`{n}`' for n in makers)}" if makers else "-"
    cuda = "yes" if op.cuda is not None else "-"
    return cells(f"`{op.name}`", declared, op.formula or op.name, kernel(op), cuda)


def details(op: Op) -> list[str]:
    """An op's shapes, dtypes, derivatives and sources."""
    lines = [f"- **`{op.name}`**: {shapes(op)}; {dtypes(op)}. Forward mode: {forward(op)}."]
    parts = gradient(op)
    if len(parts) == 1:
        lines[0] += f" Gradient: {parts[0]}."
    else:
        lines[0] += " Gradient:"
        lines += [f"  - {part}" for part in parts]
    found = sources(op)
    if found:
        lines.append(f"  - Source: {'; '.join(found)}.")
    return lines


def sources(op: Op) -> list[str]:
    """What the op's own function cites, or else the functions that share it."""
    names = [n[3:] for n in declared_by.owners().get(op.name, ()) if n.startswith("gn.")]
    if op.name in names:
        return declared_by.cited(getattr(gn, op.name))
    return [f"{s} (`gn.{n}`)" for n in names for s in declared_by.cited(getattr(gn, n))]


def composition(name: str) -> str:
    """A function that declares no op by itself, as a line of a table."""
    thing = getattr(gn, name)
    modules = declared_by.modules_of().get(name, [])
    names = ", ".join(f"`{n}`" for n in (f"gn.{name}", *modules))
    made = ", ".join(f"`{op}`" for op in declared_by.made_in_example(name)) or "-"
    summary = inspect.getdoc(thing).split("\n\n")[0].replace("\n", " ")
    return cells(names, rolled(summary), made)


def cells(*texts: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def rolled(text: str) -> str:
    """A docstring's text as Markdown."""
    for role in (":func:", ":class:", ":mod:"):
        text = text.replace(role, "")
    return text.replace("``", "`")


def text_of(module: Any) -> str:
    """What a room's docstring says."""
    return rolled(str(inspect.getdoc(module)))


@cache
def shipped() -> tuple[Op, ...]:
    """Graphnn's own ops."""
    own = (op for op in registry.values() if op.examples and is_own(op))
    return tuple(op for op in own if not isinstance(op.kernel, Leaf))


@cache
def composed() -> tuple[str, ...]:
    """Public functions that declare no op by themselves."""
    owners = {name for names in declared_by.owners().values() for name in names}
    return tuple(name for name in ops.__all__ if f"gn.{name}" not in owners)


@cache
def serves() -> dict[str, list[str]]:
    """For each op without a public name the ops in whose gradient it stands."""
    found: dict[str, list[str]] = defaultdict(list)
    for op in shipped():
        inputs, node = first_call(op)
        floats = [x for x in inputs if x.dtype == "float32"]
        if gradient(op)[0][0] != "`":
            continue
        pulled = gn.vjp(node, floats, Input(node.shape, node.dtype))
        todo = [part for part in pulled if part is not None]
        seen = {node}
        while todo:
            part = todo.pop()
            if part not in seen:
                seen.add(part)
                todo += part.inputs
                name = part.op.name
                if op.name not in found[name] and name not in declared_by.owners():
                    found[name].append(op.name)
    return found


def room_of(op: Op) -> str:
    """The room that declares an op: that of its body, or of its shape rule."""
    body = getattr(op.kernel, "body", None)
    function = body.function if body is not None else op.spec
    room = room_of_module(function.__module__)
    return room if (ROOMS / f"{room}.py").exists() else "movement/copy"


def room_of_module(module: str) -> str:
    """``movement/copy`` of ``graphnn.ops.movement.copy``."""
    return module.removeprefix("graphnn.ops.").replace(".", "/")


def module_of(room: str) -> str:
    """The way back."""
    return f"graphnn.ops.{room.replace('/', '.')}"


def named(room: str) -> str:
    """The name of a room's section, also of its anchor: no two rooms share one."""
    return room.split("/")[1]


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
        return ", ".join(dict.fromkeys(draw.dtype or "" for draw in example.inputs))
    taken = [name for name in DTYPES if accepts(op, name)]
    if len(taken) == len(DTYPES):
        return "all dtypes"
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


def gradient(op: Op) -> list[str]:
    """The equations of reverse mode, or in a word why there is none."""
    inputs, node = first_call(op)
    floats = [x for x in inputs if x.dtype == "float32"]
    if op.vjp is no_gradient:
        return ["0"]
    if node.dtype != "float32" or not floats or (op.vjp is None and op.expand is None):
        return ["none"]
    if op.vjp is None:
        return ["derived"]
    dy = Input(node.shape, node.dtype, name="dy")
    pulled = gn.vjp(node, floats, dy)
    if all(part is None for part in pulled):
        return ["0"]
    names = {x: x.label for x in inputs} | {node: "y", dy: "dy"}
    return [
        f"`d{x.label} = {written(part, names)}`"
        for x, part in zip(floats, pulled, strict=True)
        if part is not None
    ]


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
