"""Kernels as source: each step's loop, written out as a person would write it.

A kernel is ``void kernel(data, meta, lane, lanes)``: ``data`` is a table of addresses, ``meta``
one of sizes, ``lane`` of ``lanes`` says which parts of the work to do. Sizes come at run time, so
one kernel serves every batch and every layer of the same form; names in the source are canonical,
so that equal loops have equal sources.
"""

from __future__ import annotations

from collections.abc import Callable

from graphnn.backends.cpu.kernels.attention import attention
from graphnn.backends.cpu.kernels.concat import concat
from graphnn.backends.cpu.kernels.convolution import convolution
from graphnn.backends.cpu.kernels.elementwise import elementwise
from graphnn.backends.cpu.kernels.gemm import gemm
from graphnn.backends.cpu.kernels.pad import pad
from graphnn.backends.cpu.kernels.reduction import reduction
from graphnn.backends.cpu.kernels.rows import rows
from graphnn.backends.cpu.kernels.source import Kernel, LoopKernels
from graphnn.backends.cpu.kernels.strided import strided
from graphnn.op import (
    Attention,
    Concat,
    Convolution,
    Gemm,
    Pad,
    Reduction,
    Rows,
    Scalar,
    Strided,
)
from graphnn.schedule import Step

__all__ = ["Kernel", "LoopKernels", "kernel_of"]


def kernel_of(step: Step) -> Kernel:
    """The kernel that runs a step; for a loop those of its body."""
    if step.inner is not None:
        inside = tuple(map(kernel_of, step.inner.steps))
        return LoopKernels(step.group.name, "", (), (), inside)
    kinds: dict[type, Callable[[Step], Kernel]] = {
        Scalar: elementwise,
        Reduction: reduction,
        Rows: rows,
        Strided: strided,
        Pad: pad,
        Concat: concat,
        Gemm: gemm,
        Convolution: convolution,
        Attention: attention,
    }
    return kinds[type(step.group.last.op.kernel)](step)
