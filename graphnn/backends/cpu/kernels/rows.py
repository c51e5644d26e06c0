"""Kernels whose body an op brings: ``body(start, stop, *inputs, out)`` over rows."""

from __future__ import annotations

from graphnn.backends.cpu.kernels.source import POINTERS, SHARE, Kernel, Lines, in_each_part
from graphnn.op import LAST_AXES, Rows
from graphnn.schedule import Step
from graphnn.source import SUFFIX, Body
from graphnn.spec import FLOATS, DimLike, Shape, product


def rows(step: Step) -> Kernel:
    """The kernel around the body that an op brings."""
    last = step.group.last
    kernel = last.op.kernel
    assert isinstance(kernel, Rows)
    body = kernel.body
    operands = (*last.inputs, last)
    names = [f"x{i}" for i in range(len(last.inputs))] + ["y"]
    meta: list[DimLike | float] = [step.parts]
    quantum = in_each_part(_row_count(last.spec.shape, kernel.views[-1]), step.parts)
    meta.append(quantum)
    lines = Lines()
    lines.add("data = pointer_i64(data)", "meta = pointer_i64(meta)")
    lines.add("parts, quantum = meta[0], meta[1]", SHARE)
    for i, (name, node, view) in enumerate(zip(names, operands, kernel.views, strict=True)):
        dims = _viewed(node.spec.shape, view, last.attrs.get("axis", 0))
        places = ", ".join(f"meta[{len(meta) + j}]" for j in range(len(dims)))
        pointer = f"{POINTERS[node.dtype]}(data[{i}])"
        shape = f"({places},)" if len(dims) == 1 else f"({places})"
        lines.add(f"{name} = array_at({pointer}, {shape if dims else '(1,)'})")
        meta += dims
    arguments = ["start * quantum", "stop * quantum", *names]
    for key in body.keywords:
        value = last.attrs[key]
        place = f"meta[{len(meta)}]"
        arguments.append(f"float_of_bits_f64({place})" if isinstance(value, float) else place)
        meta.append(float(value) if isinstance(value, float) else value)
    dtype = next((node.dtype for node in reversed(operands) if node.dtype in FLOATS), "int64")
    inner = f"{last.op.name}_rows_{SUFFIX[dtype]}"
    lines.add(f"{inner}({', '.join(arguments)})")
    helpers = [
        callee.definition(
            callee.symbol(name, dtype), dtype, "all" if callee.is_formula else "float"
        )
        for name, callee in body.all_callees()
    ]
    text = lines.text(last.op.name, [*helpers, _positional(body, inner, dtype)])
    return Kernel(last.op.name, text, (*last.inputs, *step.targets), tuple(meta))


def _positional(body: Body, name: str, dtype: str) -> str:
    """The body's text, keyword-only parameters made positional."""
    return body.definition(name, dtype, "float").replace(", *, ", ", ", 1)


def _row_count(shape: Shape, view: str) -> DimLike:
    if view == "all":
        return shape[0] if shape else 1
    return product(shape[: len(shape) - LAST_AXES.get(view, 0)])


def _viewed(shape: Shape, view: str, axis: int) -> list[DimLike]:
    if view == "all":
        return list(shape)
    if view == "around":
        return [product(shape[:axis]), shape[axis], product(shape[axis + 1 :])]
    whole = len(shape) - LAST_AXES.get(view, 0)
    return [product(shape[:whole]), *shape[whole:]]
