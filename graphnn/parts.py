"""How work is split: into how many parts, and which values a part of the work touches in parts."""

from __future__ import annotations

from graphnn.fusion import Group
from graphnn.loop import offset_of
from graphnn.node import Node
from graphnn.op import (
    LAST_AXES,
    Attention,
    Concat,
    Convolution,
    Gemm,
    Loop,
    Pad,
    Reduction,
    Rows,
    Strided,
)
from graphnn.spec import DimLike, Shape, product


def leading(shape: Shape) -> tuple[int, DimLike]:
    """The axis along which a value is split: the first that is not 1, and its size."""
    for axis, dim in enumerate(shape):
        if dim != 1:
            return axis, dim
    return 0, 1


def parts_of(group: Group) -> DimLike:
    """Into how many parts the work of a group can be split."""
    kernel, out = group.last.op.kernel, group.last.spec.shape
    if isinstance(kernel, Convolution):
        return _columns_of(group.last) if kernel.kind == "weight" else out[0]
    if isinstance(kernel, Loop):
        return 1
    if isinstance(kernel, Gemm | Attention):
        return out[0]
    if isinstance(kernel, Rows):
        return _parts_in_view(out, kernel.views[-1])
    return leading(out)[1]


def _columns_of(node: Node) -> DimLike:
    """Into how many parts the gradient of a kernel is split: its columns, in all groups."""
    return product(node.spec.shape[1:]) * int(node.attrs["groups"])


def _parts_in_view(shape: Shape, view: str) -> DimLike:
    """Into how many parts a value is split that a kernel over rows sees in this way."""
    if view == "all":
        return shape[0] if shape else 1
    return leading(shape[: len(shape) - LAST_AXES.get(view, 0)])[1]


def own_part(group: Group, value: Node) -> bool:
    """Whether part i of the result needs only part i of an input."""
    last, kernel = group.last, group.last.op.kernel
    shape, out = value.spec.shape, last.spec.shape
    if isinstance(kernel, Loop) or offset_of(value) != 0:
        return False
    if isinstance(kernel, Strided):
        return _walked_in_parts(last, value, kernel)
    if isinstance(kernel, Pad):
        return leading(shape) == leading(out) and _unpadded(last, leading(out)[0])
    if isinstance(kernel, Concat):
        return leading(out)[0] < last.attrs["axis"] and leading(shape) == leading(out)
    if isinstance(kernel, Convolution):
        images, other = last.inputs
        return kernel.kind != "weight" and value is images and value is not other
    if isinstance(kernel, Gemm):
        return _own_factor(last, value)
    if isinstance(kernel, Attention):
        return not kernel.whole(last) and leading(shape) == (0, out[0])
    if isinstance(kernel, Rows):
        parts = _parts_in_view(out, kernel.views[-1])
        views = {v for v, node in zip(kernel.views, last.inputs, strict=False) if node is value}
        own = parts != 1 and not views & {"all", "around"}
        return own and all(_parts_in_view(shape, view) == parts for view in views)
    axis, dim = leading(group.shape)
    if isinstance(kernel, Reduction) and axis in last.attrs["axes"]:
        return False
    loads = [node for node in group.loads if value in node.inputs]
    if loads and not all(_loaded_in_parts(node, value, group.shape) for node in loads):
        return False
    if value not in group.operands:
        return True
    place = axis - (len(group.shape) - len(shape))
    return dim != 1 and place >= 0 and leading(shape) == (place, dim)


def _walked_in_parts(node: Node, value: Node, kernel: Strided) -> bool:
    """Whether a step along the leading axis of the output is one along that of the input."""
    _, strides = kernel.walk(value.spec, **node.attrs)
    (place, dim), (axis, size) = leading(node.spec.shape), leading(value.spec.shape)
    return dim == size != 1 and strides[place] == product(value.spec.shape[axis + 1 :])


def _loaded_in_parts(node: Node, value: Node, shape: Shape) -> bool:
    """Whether part i of a kernel over ``shape`` reads only part i of what a load walks over."""
    axis, dim = leading(shape)
    kernel, place = node.op.kernel, axis - (len(shape) - node.ndim)
    return (
        isinstance(kernel, Strided)
        and place >= 0
        and leading(node.spec.shape) == (place, dim)
        and _walked_in_parts(node, value, kernel)
    )


def _stored_in_parts(node: Node, shape: Shape) -> bool:
    """Whether part i of the pieces, of this shape, is written into part i of a concat."""
    return leading(shape)[0] < node.attrs["axis"] and leading(node.spec.shape) == leading(shape)


def _unpadded(node: Node, axis: int) -> bool:
    low, high, interior = (node.attrs[key][axis] for key in ("low", "high", "interior"))
    return bool(low == high == interior == 0)


def _own_factor(node: Node, value: Node) -> bool:
    a, b = node.inputs
    if a is b:
        return False
    if value is a:
        return a.ndim > 2 or (b.ndim == 2 and not node.attrs.get("transpose_a", False))
    return b.ndim > 2


def writes_across(group: Group, node: Node) -> bool:
    """Whether a part of the work is no part of the result: steps, columns, blocks of any sample."""
    if node in group.stores:
        return not _stored_in_parts(node, group.shape)
    kernel = group.last.op.kernel
    if isinstance(kernel, Loop):
        return True
    if isinstance(kernel, Attention):
        return kernel.whole(group.last)
    return isinstance(kernel, Convolution) and kernel.kind == "weight"


def scratch_of(node: Node) -> DimLike:
    """Bytes that each lane needs for itself while the node is computed."""
    kernel = node.op.kernel
    if not isinstance(kernel, Convolution | Attention):
        return 0
    return kernel.scratch(node.spec, *(value.spec for value in node.inputs), **node.attrs)
