"""Matrix products, by BLAS."""

from __future__ import annotations

from graphnn.backends.cpu.kernels.source import Kernel
from graphnn.schedule import Step
from graphnn.source import SUFFIX
from graphnn.spec import DimLike, product

_GEMM = '''\
def NAME(data, meta, lane, lanes):
    """C = op(A) op(B), row-major: the column-major product with the factors exchanged."""
    data = pointer_i64(data)
    meta = pointer_i64(meta)
    a, b, c, gemm = data[0], data[1], data[2], data[3]
    parts, rows, columns, inner = meta[0], meta[1], meta[2], meta[3]
    turn_a, turn_b, batched = meta[4], meta[5], meta[6]
    start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)
    lda = meta[7] if turn_a else inner
    ldb = inner if turn_b else columns
    if columns == 0 or start == stop or rows == 0:
        return
    if batched:
        for i in range(start * batched, stop * batched):
            GEMM(
                gemm, turn_b, turn_a, columns, rows, inner,
                b + i * inner * columns * SIZE, ldb, a + i * rows * inner * SIZE, lda,
                c + i * rows * columns * SIZE, columns, 0,
            )
    else:
        first = start * rows
        a += first * SIZE if turn_a else first * inner * SIZE
        c += first * columns * SIZE
        rows *= stop - start
        GEMM(gemm, turn_b, turn_a, columns, rows, inner, b, ldb, a, lda, c, columns, 0)
'''


def gemm(step: Step) -> Kernel:
    """The product by BLAS; the address of the BLAS function stands behind the operands."""
    last = step.group.last
    a, b = last.inputs
    turn_a = bool(last.attrs.get("transpose_a", False))
    turn_b = bool(last.attrs.get("transpose_b", False))
    *batch, rows, columns = last.spec.shape
    inner = a.spec.shape[-2] if turn_a else a.spec.shape[-1]
    batched: DimLike = 0
    lda: DimLike = rows
    if b.ndim > 2:
        batched = product(batch[1:])
    elif batch:
        rows = product([*batch[1:], rows])  # rows that belong to one part
    else:
        rows = 1
    suffix = SUFFIX[last.dtype]
    text = _GEMM.replace("NAME", f"matmul_{suffix}").replace("GEMM", f"gemm_{suffix}")
    text = text.replace("SIZE", str(last.spec.itemsize))
    meta = (step.parts, rows, columns, inner, int(turn_a), int(turn_b), batched, lda)
    return Kernel(f"matmul_{suffix}", text, (a, b, *step.targets), meta)
