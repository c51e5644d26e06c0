"""Convolutions as matrix products: what the weights meet is laid out as columns, tile by tile.

A column holds, for one pixel of the result, the pixels under the kernel ("im2col": Chellapilla,
Puri, Simard, *High performance convolutional neural networks for document processing*, 2006). Each
lane has a scratch of its own for the columns of a tile. Images are shared out among the lanes; for
the gradient of the weights it is the rows of the columns, so that every lane adds up its own part
of the result over all images, always in the same order.
"""

from __future__ import annotations

from graphnn.backends.cpu.kernels.source import Kernel
from graphnn.op import Convolution
from graphnn.ops.convolution.correlation import is_pointwise, tile_of
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import DimLike

_SIZES = """\
    parts, images, groups, inside, outside = meta[0], meta[1], meta[2], meta[3], meta[4]
    height, width, inner = meta[5], meta[6], meta[3] * meta[7] * meta[8]
    out_height, out_width = meta[9], meta[10]
    tile_rows, tile_columns, pointwise = meta[17], meta[18], meta[19]
    plane, result = height * width, out_height * out_width"""

_FORWARD = '''\
def NAME(data, meta, lane, lanes):
    """For each image and group: the weights times the columns, tile by tile."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    x, w, y, gemm, columns = data[0], data[1], data[2], data[3], data[4] + lane * meta[20]
HEAD
    for i in range(share(parts, lane, lanes) * groups, share(parts, lane + 1, lanes) * groups):
        image = x + i * inside * plane * SIZE
        weight = w + i % groups * outside * inner * SIZE
        target = y + i * outside * result * SIZE
        if pointwise:
            n = result
            PRODUCT(gemm, 0, 0, outside, n, inner, weight, inner, image, n, target, n, 0)
            continue
        for top in range(0, out_height, tile_rows):
            rows = min(tile_rows, out_height - top)
            for left in range(0, out_width, tile_columns):
                wide = min(tile_columns, out_width - left)
                FILL(image, columns, 0, inner, top, rows, left, wide, meta)
                part = target + (top * out_width + left) * SIZE
                n = rows * wide
                PRODUCT(gemm, 0, 0, outside, n, inner, weight, inner, columns, n, part, result, 0)
'''

_INPUT = '''\
def NAME(data, meta, lane, lanes):
    """For each image and group: the columns are the weights turned times dy, and are added back."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    dy, w, dx, gemm, columns = data[0], data[1], data[2], data[3], data[4] + lane * meta[20]
HEAD
    for i in range(share(parts, lane, lanes) * groups, share(parts, lane + 1, lanes) * groups):
        image = dx + i * inside * plane * SIZE
        weight = w + i % groups * outside * inner * SIZE
        source = dy + i * outside * result * SIZE
        if pointwise:
            n = result
            PRODUCT(gemm, 1, 0, inner, n, outside, weight, inner, source, n, image, n, 0)
            continue
        pixels = POINTER(image)
        for j in range(inside * plane):
            pixels[j] = 0
        for top in range(0, out_height, tile_rows):
            rows = min(tile_rows, out_height - top)
            for left in range(0, out_width, tile_columns):
                wide = min(tile_columns, out_width - left)
                part = source + (top * out_width + left) * SIZE
                n = rows * wide
                PRODUCT(gemm, 1, 0, inner, n, outside, weight, inner, part, result, columns, n, 0)
                ADD_BACK(image, columns, inner, top, rows, left, wide, meta)
'''

_WEIGHT = '''\
def NAME(data, meta, lane, lanes):
    """This lane's columns of the gradient: dy times the columns turned, summed over all images."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    x, dy, dw, gemm, columns = data[0], data[1], data[2], data[3], data[4] + lane * meta[20]
HEAD
    start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)
    for group in range(groups):
        first, last = max(start - group * inner, 0), min(stop - group * inner, inner)
        if first >= last:
            continue
        own = last - first
        target = dw + (group * outside * inner + first) * SIZE
        for o in range(outside):
            row = POINTER(target + o * inner * SIZE)
            for j in range(own):
                row[j] = 0
        for i in range(images):
            image = x + (i * groups + group) * inside * plane * SIZE
            source = dy + (i * groups + group) * outside * result * SIZE
            if pointwise:
                image += first * plane * SIZE
                n = result
                PRODUCT(gemm, 0, 1, outside, own, n, source, n, image, n, target, inner, 1)
                continue
            for top in range(0, out_height, tile_rows):
                rows = min(tile_rows, out_height - top)
                for left in range(0, out_width, tile_columns):
                    wide = min(tile_columns, out_width - left)
                    FILL(image, columns, first, last, top, rows, left, wide, meta)
                    part = source + (top * out_width + left) * SIZE
                    n = rows * wide
                    PRODUCT(gemm, 0, 1, outside, own, n, part, result, columns, n, target, inner, 1)
'''

_PRODUCT = '''\
@helper
def PRODUCT(gemm, turn_a, turn_b, rows, columns, inner, a, lda, b, ldb, c, ldc, beta):
    """C = op(A) op(B) + beta C, row-major: the column-major product with the factors exchanged."""
    if rows > 0 and columns > 0:
        GEMM(
            gemm, turn_b, turn_a, columns, rows, inner,
            b, max(ldb, 1), a, max(lda, 1), c, max(ldc, 1), beta,
        )
'''

_REACH = '''\
@helper
def inside_of(size, stride, shift, count):
    """The places i < count for which 0 <= i stride + shift < size: from the first to the last."""
    first = min((max(-shift, 0) + stride - 1) // stride, count)
    last = min((max(size - shift, 0) + stride - 1) // stride, count)
    return first, max(first, last)
'''

_FILL = '''\
@helper
def FILL(image, columns, first, last, top, rows, left, wide, meta):
    """Rows first..last of a tile's columns: what one tap of one channel meets, 0 outside."""
    height, width, kernel_width, taps = meta[5], meta[6], meta[8], meta[7] * meta[8]
    down, across = meta[11], meta[12]
    for r in range(first, last):
        channel, tap = r // taps, r % taps
        y = top * down + tap // kernel_width * meta[15] - meta[13]
        x = left * across + tap % kernel_width * meta[16] - meta[14]
        low, high = inside_of(height, down, y, rows)
        begin, end = inside_of(width, across, x, wide)
        row = columns + (r - first) * rows * wide * SIZE
        zero_from(row, 0, low * wide)
        for i in range(low, high):
            line = image + ((channel * height + y + i * down) * width + x) * SIZE
            target = row + i * wide * SIZE
            zero_from(target, 0, begin)
            if across == 1:
                copy_bytes(target + begin * SIZE, line + begin * SIZE, (end - begin) * SIZE)
            else:
                to, of = POINTER(target), POINTER(line)
                for j in range(begin, end):
                    to[j] = of[j * across]
            zero_from(target, end, wide)
        zero_from(row, high * wide, rows * wide)
'''

_ZERO = '''\
@helper
def zero_from(address, first, last):
    """Zeros at the places first..last."""
    numbers = POINTER(address)
    for j in range(first, last):
        numbers[j] = 0
'''

_ADD_BACK = '''\
@helper
def ADD_BACK(image, columns, inner, top, rows, left, wide, meta):
    """Add each of a tile's columns to the pixels that it came from."""
    height, width, kernel_width, taps = meta[5], meta[6], meta[8], meta[7] * meta[8]
    down, across = meta[11], meta[12]
    for r in range(inner):
        channel, tap = r // taps, r % taps
        y = top * down + tap // kernel_width * meta[15] - meta[13]
        x = left * across + tap % kernel_width * meta[16] - meta[14]
        low, high = inside_of(height, down, y, rows)
        begin, end = inside_of(width, across, x, wide)
        for i in range(low, high):
            to = POINTER(image + ((channel * height + y + i * down) * width + x) * SIZE)
            of = POINTER(columns + (r * rows + i) * wide * SIZE)
            if across == 1:
                for j in range(begin, end):
                    to[j] += of[j]
            else:
                for j in range(begin, end):
                    to[j * across] += of[j]
'''

_KINDS = {
    "forward": (_FORWARD, (_PRODUCT, _REACH, _ZERO, _FILL)),
    "input": (_INPUT, (_PRODUCT, _REACH, _ADD_BACK)),
    "weight": (_WEIGHT, (_PRODUCT, _REACH, _ZERO, _FILL)),
}


def convolution(step: Step) -> Kernel:
    """The kernel; behind the operands stand the addresses of BLAS and of the scratch."""
    last = step.group.last
    form = last.op.kernel
    assert isinstance(form, Convolution)
    suffix = SUFFIX[last.dtype]
    name = "convolution" if form.kind == "forward" else f"convolution_{form.kind}"
    body, helpers = _KINDS[form.kind]
    text = "\n\n".join((body, *helpers)).replace("HEAD", _SIZES)
    for word, stands in {
        "NAME": f"{name}_{suffix}",
        "PRODUCT": f"product_{suffix}",
        "GEMM": f"gemm_{suffix}",
        "POINTER": f"pointer_{suffix}",
        "FILL": f"fill_columns_{suffix}",
        "ADD_BACK": f"add_back_{suffix}",
        "SIZE": str(last.spec.itemsize),
    }.items():
        text = text.replace(word, stands)
    return Kernel(f"{name}_{suffix}", text, (*last.inputs, *step.targets), _meta(step, form.kind))


def _meta(step: Step, kind: str) -> tuple[DimLike, ...]:
    """All sizes, with an axis of size 1 before the only one of a signal."""
    last = step.group.last
    first, second = last.inputs
    x, w, y = {
        "forward": (first, second, last),
        "input": (last, second, first),
        "weight": (first, last, second),
    }[kind]
    groups = last.attrs["groups"]
    ones = (1,) * (4 - x.ndim)
    padding = (*((0, 0),) * len(ones), *last.attrs["padding"])
    kernel = (*ones, *w.spec.shape[2:])
    stride = (*ones, *last.attrs["stride"])
    tile = tile_of(w.spec, y.spec)
    flat = is_pointwise(kernel, stride, padding)
    return (
        step.parts, x.spec.shape[0], groups, w.spec.shape[1], _share(w.spec.shape[0], groups),
        *ones, *x.spec.shape[2:], *kernel, *ones, *y.spec.shape[2:], *stride,
        padding[0][0], padding[1][0], *ones, *last.attrs["dilation"], *tile, int(flat),
    )  # fmt: skip


def _share(outputs: DimLike, groups: int) -> DimLike:
    assert isinstance(outputs, int)
    return outputs // groups
