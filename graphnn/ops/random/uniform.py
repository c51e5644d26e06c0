"""Uniform numbers, from which random decisions for each sample are made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.ops.elementwise.cast import cast
from graphnn.ops.elementwise.rounding import floor
from graphnn.ops.random.generator import (
    RANDOM,
    generator,
    generator_spec,
    mulhilo,
    next_stream,
    words_of,
)
from graphnn.source import Body
from graphnn.spec import FLOATS, Shape, TensorSpec

__all__: list[str] = []

STEP = 2.0**-24  # all multiples below 1 are numbers of float32


def _uniform_spec(rng: TensorSpec, *, shape: Shape, dtype: str, stream: int) -> TensorSpec:
    generator_spec(rng)
    if dtype not in FLOATS:
        raise Mismatch("float32 or float64", dtype=True)
    return TensorSpec(shape, dtype)


def _uniform_flat(start, stop, rng, out, *, stream):  # type: ignore[no-untyped-def]
    # As dropout's mask: element e takes word (e % 64) // 16 of counter 16 (e // 64) + e % 16.
    for block in range(start // 64, (stop + 63) // 64):
        for lane in range(16):
            c0 = (block * 16 + lane) & 0xFFFFFFFF
            c1 = ((block * 16 + lane) >> 32) & 0xFFFFFFFF
            c2 = rng[1] & 0xFFFFFFFF
            c3 = stream
            k0 = rng[0] & 0xFFFFFFFF
            k1 = (rng[0] >> 32) & 0xFFFFFFFF
            for _ in range(10):
                h0, l0 = mulhilo(0xD2511F53, c0)
                h1, l1 = mulhilo(0xCD9E8D57, c2)
                c0, c1, c2, c3 = h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0
                k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
                k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
            first = block * 64 + lane
            if start <= block * 64 and block * 64 + 64 <= stop:
                out[first] = (c0 >> 8) * STEP
                out[first + 16] = (c1 >> 8) * STEP
                out[first + 32] = (c2 >> 8) * STEP
                out[first + 48] = (c3 >> 8) * STEP
            else:
                if start <= first < stop:
                    out[first] = (c0 >> 8) * STEP
                if start <= first + 16 < stop:
                    out[first + 16] = (c1 >> 8) * STEP
                if start <= first + 32 < stop:
                    out[first + 32] = (c2 >> 8) * STEP
                if start <= first + 48 < stop:
                    out[first + 48] = (c3 >> 8) * STEP


def _uniform_reference(
    rng: NDArray[Any], *, shape: tuple[int, ...], dtype: str, stream: int
) -> NDArray[Any]:
    size = int(np.prod(shape))
    words = words_of(rng, size, stream)
    chosen = np.take_along_axis(words, (np.arange(size) % 64 // 16)[None], 0)[0]
    return np.asarray((chosen >> np.uint64(8)) * STEP, dtype).reshape(shape)


UNIFORM = register(
    Op(
        name="random_uniform",
        spec=_uniform_spec,
        kernel=Rows(Body(_uniform_flat), ("all", "flat")),
        reference=_uniform_reference,
        flops=lambda out, *_rest, **_attrs: 25 * out.size,
        examples=tuple(
            Example(
                (Draw((2,), 0, 1 << 40, "int64"),), {"shape": shape, "dtype": dtype, "stream": 5}
            )
            for shape, dtype in (((7, 33), "float32"), ((128,), "float64"), ((3, 64, 5), "float32"))
        ),
        formula="Philox(seed; index, step, stream) / 2³², of 24 bits",
        color=RANDOM,
    )
)


def uniform(
    shape: Shape, low: float, high: float, dtype: str = "float32", name: str | None = None
) -> Node:
    """Numbers in [low, high), drawn anew in each step; those of both dtypes are alike."""
    attrs = {"shape": shape, "dtype": dtype, "stream": next_stream()}
    drawn = apply(UNIFORM, [generator()], attrs, name=name)
    return drawn if (low, high) == (0, 1) else drawn * float(high - low) + float(low)


def whole_numbers(shape: Shape, low: int, high: int) -> Node:
    """Whole numbers low, ..., high, both included; int64, at most 2²⁴ of them."""
    # u < 1 - 2⁻²⁴, so that u count rounds to less than count.
    return cast(floor(uniform(shape, 0, high - low + 1)), "int64") + low
