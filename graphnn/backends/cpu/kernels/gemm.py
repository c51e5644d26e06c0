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
    next_a, next_b = meta[8] * SIZE, meta[9] * SIZE  # 0: one matrix for the whole batch
    start, stop = share(parts, lane, lanes), share(parts, lane + 1, lanes)
    lda = meta[7] if turn_a else inner
    ldb = inner if turn_b else columns
    if columns == 0 or start == stop or rows == 0:
        return
    if batched:
        for i in range(start * batched, stop * batched):
            GEMM(
                gemm, turn_b, turn_a, columns, rows, inner,
                b + i * next_b, ldb, a + i * next_a, lda, c + i * rows * columns * SIZE, columns,
                0,
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
    next_a, next_b = (product(x.spec.shape[-2:]) if x.ndim > 2 else 0 for x in (a, b))
    if b.ndim > 2 or (turn_a and a.ndim > 2):
        batched = product(batch[1:])
    elif batch:
        rows = product([*batch[1:], rows])  # rows that belong to one part
    else:
        rows = 1
    suffix = SUFFIX[last.dtype]
    text = _GEMM.replace("NAME", f"matmul_{suffix}").replace("GEMM", f"gemm_{suffix}")
    text = text.replace("SIZE", str(last.spec.itemsize))
    turns = (int(turn_a), int(turn_b))
    meta = (step.parts, rows, columns, inner, *turns, batched, lda, next_a, next_b)
    return Kernel(f"matmul_{suffix}", text, (a, b, *step.targets), meta)
