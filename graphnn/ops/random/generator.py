"""Random numbers by Philox 4x32-10: counted, not kept, so that every backend draws the same ones.

Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3* (SC 2011). The counter is
(index, step, stream), the key is the seed: any element can be drawn at any time by any thread.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.node import Constant, Node, Parameter, apply
from graphnn.op import Draw, Example, Mismatch, Op, Rows, register
from graphnn.source import Body
from graphnn.spec import Shape, TensorSpec

__all__ = ["set_seed"]

_ROUNDS = 10
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
RANDOM = "#ede9fe"


def philox(
    counter: tuple[int, int, int, int] | NDArray[np.uint64], key: tuple[int, int]
) -> NDArray[np.uint64]:
    """Philox 4x32-10 in NumPy: the oracle of the kernels.

    Parameters
    ----------
    counter
        Four 32-bit words, or an array (4, n) of them.
    key
        Two 32-bit words.

    Returns
    -------
    array, uint64
        (4,) or (4, n) random 32-bit words.

    Examples
    --------
    The first of the published test vectors:

    >>> [f"{int(word):08x}" for word in philox((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * np.uint64(_M0), c2 * np.uint64(_M1)
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            p1 & np.uint64(_MASK),
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            p0 & np.uint64(_MASK),
        )
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return np.stack([c0, c1, c2, c3])


def generator_spec(rng: TensorSpec) -> None:
    """Check that an input is the state of a generator."""
    if rng.shape != (2,) or rng.dtype != "int64":
        raise Mismatch("the state of a generator: (seed, step), int64 (2,)")


def _mask_spec(rng: TensorSpec, *, shape: Shape, threshold: int, stream: int) -> TensorSpec:
    generator_spec(rng)
    return TensorSpec(shape, "bool")


def _mask_flat(start, stop, rng, out, *, threshold, stream):  # type: ignore[no-untyped-def]
    # Element e takes word (e % 64) // 16 of counter 16 (e // 64) + e % 16: sixteen neighbours take
    # one word of sixteen neighbouring counters, so that a block is four plain vector stores.
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
                out[first] = c0 < threshold
                out[first + 16] = c1 < threshold
                out[first + 32] = c2 < threshold
                out[first + 48] = c3 < threshold
            else:
                if start <= first < stop:
                    out[first] = c0 < threshold
                if start <= first + 16 < stop:
                    out[first + 16] = c1 < threshold
                if start <= first + 32 < stop:
                    out[first + 32] = c2 < threshold
                if start <= first + 48 < stop:
                    out[first + 48] = c3 < threshold


def mulhilo(a: int, b: int) -> tuple[int, int]:
    """High and low 32 bits of a product of two 32-bit numbers held in 64 bits."""
    # The product needs 64 unsigned bits; in signed ones its bits are the same.
    product = a * b
    return (product >> 32) & 0xFFFFFFFF, product & 0xFFFFFFFF


def words_of(rng: NDArray[Any], size: int, stream: int) -> NDArray[np.uint64]:
    """The four random words of each element's counter, (4, size)."""
    e = np.arange(size, dtype=np.uint64)
    index = e // np.uint64(64) * np.uint64(16) + e % np.uint64(16)
    seed, step = int(rng[0]) & (2**64 - 1), int(rng[1])
    low, high = index & np.uint64(_MASK), index >> np.uint64(32)
    counter = np.stack([low, high, np.full_like(e, step & _MASK), np.full_like(e, stream)])
    return philox(counter, (seed & _MASK, seed >> 32))


def _mask_reference(
    rng: NDArray[Any], *, shape: tuple[int, ...], threshold: int, stream: int
) -> NDArray[Any]:
    size = int(np.prod(shape))
    words = words_of(rng, size, stream)
    chosen = np.take_along_axis(words, (np.arange(size) % 64 // 16)[None], 0)
    return np.asarray(chosen[0] < threshold).reshape(shape)


def _mask_example(shape: tuple[int, ...]) -> Example:
    attrs = {"shape": shape, "threshold": 3 << 30, "stream": 5}
    return Example((Draw((2,), 0, 1 << 40, "int64"),), attrs)


MASK_BODY = Body(_mask_flat)
DROPOUT_MASK = register(
    Op(
        name="dropout_mask",
        spec=_mask_spec,
        kernel=Rows(MASK_BODY, ("all", "flat")),
        reference=_mask_reference,
        flops=lambda out, *_rest, **_attrs: 25 * out.size,
        examples=(_mask_example((7, 33)), _mask_example((128,)), _mask_example((3, 64, 5))),
        formula="Philox(seed; index, step, stream) < keep",
        color=RANDOM,
    )
)


def _generators_spec(rng: TensorSpec, *, shape: Shape, stream: int) -> TensorSpec:
    generator_spec(rng)
    if shape[-1:] != (2,):
        raise Mismatch("a shape (..., 2), of a seed and a step each")
    return TensorSpec(shape, "int64")


def _generators_flat(start, stop, rng, out, *, stream):  # type: ignore[no-untyped-def]
    # Generator i takes the words of counter i: two make its seed, the third its step.
    for e in range(start, stop):
        c0 = (e >> 1) & 0xFFFFFFFF
        c1 = (e >> 33) & 0xFFFFFFFF
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
        out[e] = c2 if e & 1 else c0 | c1 << 32


def _generators_reference(
    rng: NDArray[Any], *, shape: tuple[int, ...], stream: int
) -> NDArray[Any]:
    index = np.arange(math.prod(shape) // 2, dtype=np.uint64)
    seed, step = int(rng[0]) & (2**64 - 1), int(rng[1])
    fixed = (np.full_like(index, word) for word in (step & _MASK, stream))
    counter = np.stack([index & np.uint64(_MASK), index >> np.uint64(32), *fixed])
    words = philox(counter, (seed & _MASK, seed >> 32))
    seeds = (words[0] | words[1] << np.uint64(32)).view(np.int64)
    return np.stack([seeds, words[2].astype(np.int64)], axis=-1).reshape(shape)


def _generators_example(shape: tuple[int, ...]) -> Example:
    return Example((Draw((2,), 0, 1 << 40, "int64"),), {"shape": shape, "stream": 5})


# Of one generator many: for the steps of a loop whose random numbers are kept nowhere.
GENERATORS = register(
    Op(
        name="random_generators",
        spec=_generators_spec,
        kernel=Rows(Body(_generators_flat), ("all", "flat")),
        reference=_generators_reference,
        flops=lambda out, *_rest, **_attrs: 50 * out.size,
        examples=tuple(map(_generators_example, ((7, 2), (3, 65, 2), (1, 2)))),
        formula="(seed, step) of each: Philox(seed; index, step, stream)",
        color=RANDOM,
    )
)


class Generator(Parameter):
    """The state of a source of random numbers, (seed, step), and the streams drawn from it.

    Parameters
    ----------
    seed
        A whole number in [0, 2⁶³).
    """

    __slots__ = ("_lock", "_streams")

    def __init__(self, seed: int = 0) -> None:
        super().__init__(np.array([seed, 0], np.int64), name="rng", trainable=False)
        object.__setattr__(self, "_lock", threading.Lock())
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin again, from a seed."""
        with self._lock:
            object.__setattr__(self, "_streams", itertools.count())
            self.value[...] = (seed, 0)

    def next_stream(self) -> int:
        """A number that no other random node of this generator has."""
        with self._lock:
            return next(self._streams)

    _lock: threading.Lock
    _streams: Iterator[int]


GENERATOR = Generator()  # what gn.set_seed seeds
_ONE_STEP = Constant(np.array([0, 1], np.int64), name="[0, 1]")
_present: ContextVar[Generator] = ContextVar("graphnn_generator", default=GENERATOR)


def generator() -> Generator:
    """What is drawn from by nodes that are declared now, here and in this thread."""
    return _present.get()


@contextmanager
def drawing_from(source: Generator) -> Iterator[None]:
    """Inside, weights, masks and orders come from another generator than :func:`set_seed`'s.

    Other threads are not touched: several networks can be trained at once, each repeatable.
    """
    token = _present.set(source)
    try:
        yield
    finally:
        _present.reset(token)


def next_stream() -> int:
    """A number that no other random node of this run has."""
    return generator().next_stream()


def set_seed(seed: int) -> None:
    """Seed everything random: initial weights, dropout, shuffling.

    Parameters
    ----------
    seed
        A whole number in [0, 2⁶³).

    Raises
    ------
    GraphError
        For anything else.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.set_seed(1)
    >>> first = gn.nn.Linear(2, 2).weight.value
    >>> gn.set_seed(1)
    >>> bool((gn.nn.Linear(2, 2).weight.value == first).all())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise GraphError(f"a seed is a whole number in [0, 2**63); got {seed!r}")
    GENERATOR.seed(int(seed))


def seed_and_stream() -> tuple[int, int]:
    """A key for a generator on the Python side: the seed, and a number used once."""
    return int(generator().value[0]), next_stream()


def advanced(source: Generator) -> Node:
    """The state of a generator after this call."""
    return source + _ONE_STEP


def kept_mask(shape: Shape, keep: float) -> Node:
    """True with probability ``keep``, drawn anew in each step of training."""
    attrs = {"shape": shape, "threshold": round(keep * 2**32), "stream": next_stream()}
    return apply(DROPOUT_MASK, [generator()], attrs)
