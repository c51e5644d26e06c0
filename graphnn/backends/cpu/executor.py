"""The CPU executor: runs a bound plan on threads.

Python threads call one compiled loop without the GIL, each with its number; the main thread sleeps
and polls, so that progress, Ctrl-C and stopping cost the loop nothing.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import platform
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.cpu import blas, loop, team
from graphnn.backends.cpu.binding import Address, Bound, address_of, aligned
from graphnn.backends.cpu.compile import kernel_address
from graphnn.errors import GraphnnError
from graphnn.ops.random.generator import mulhilo

# Rough speeds of one core, only to choose the number of threads.
_FLOPS, _BYTES = 5e10, 2e10
SPLIT_SECONDS = 30e-6  # less work than this runs on one lane
THREAD_SECONDS = 150e-6  # a single call must be longer than this to be worth waking threads


@cache  # asking the system takes as long as a small graph
def machine_lanes() -> int:
    """Into how many lanes work is split: the processors of the machine, whatever runs on them.

    Results depend on the lanes (BLAS rounds differently for other row counts), never on the number
    of threads that share them.
    """
    return max(os.cpu_count() or 1, 1)


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_chosen_threads: int | None = None


def set_num_threads(count: int | None) -> None:
    """Use at most ``count`` threads from now on; None: the default of :func:`get_num_threads`.

    The results are the same bits for every number.

    Raises
    ------
    GraphnnError
        If ``count`` is not a whole number >= 1.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.set_num_threads(1)
    >>> gn.get_num_threads()
    1
    >>> gn.set_num_threads(None)
    """
    global _chosen_threads
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    if count is not None and (not whole or count < 1):
        raise GraphnnError(f"the number of threads is a whole number >= 1 or None; got {count!r}")
    _chosen_threads = None if count is None else int(count)


def get_num_threads() -> int:
    """The number of threads that large graphs run on.

    Set by :func:`set_num_threads`, else by ``GRAPHNN_NUM_THREADS``, else the processors at hand.

    Raises
    ------
    GraphnnError
        If ``GRAPHNN_NUM_THREADS`` is not a whole number >= 1.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.set_num_threads(1)
    >>> gn.get_num_threads()
    1
    >>> gn.set_num_threads(None)
    """
    if _chosen_threads is not None:
        return _chosen_threads
    given = os.environ.get("GRAPHNN_NUM_THREADS", "").strip()
    if not given:
        return min(available_processors(), machine_lanes())
    if not given.isdecimal() or int(given) < 1:
        raise GraphnnError(f"GRAPHNN_NUM_THREADS is a whole number >= 1; got {given!r}")
    return int(given)


def seconds_of(flops: float, nbytes: float) -> float:
    """About how long one core works."""
    return flops / _FLOPS + nbytes / _BYTES


def lanes_for(flops: float, nbytes: float) -> int:
    """How many lanes the work of a plan is split into."""
    return machine_lanes() if seconds_of(flops, nbytes) > SPLIT_SECONDS else 1


@cache
def _execute() -> Callable[[int, int, int], int]:
    """The compiled loop. ctypes lets go of the GIL while it runs."""
    address = kernel_address(_loop_source(), "execute", "executor")
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(address)


def is_short(bound: Bound) -> bool:
    """Whether one run of a plan is not worth starting threads for."""
    return bound.plan.lanes == 1 or seconds_of(*bound.work) < THREAD_SECONDS


def prepare() -> None:
    """Compile the loop, unless that has been done."""
    _execute()


def shuffled(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch, as the compiled loop draws it."""
    source = "\n\n".join(
        [
            "@helper\n" + inspect.getsource(mulhilo),
            "@helper\n" + inspect.getsource(loop.shuffle),
            inspect.getsource(loop.shuffle_alone),
        ]
    )
    address = kernel_address(source, "shuffle_alone", "executor")
    order = np.empty(samples, np.int64)
    asked = np.array([address_of(order), samples, seed, epoch], np.int64)
    ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(address)(address_of(asked), 0, 1)
    return order


def _loop_source() -> str:
    constants = [
        f"{name} = {value}"
        for name, value in vars(loop).items()
        if name.isupper() and isinstance(value, int)
    ]
    helpers: list[Any] = [
        mulhilo,
        loop.wait,
        loop.shuffle,
        loop.clock,
        loop.count_seconds,
        loop.accumulate,
        loop.gather,
        loop.turn,
        loop.run,
    ]
    texts = [f"@helper\n{inspect.getsource(function)}" for function in helpers]
    return "\n\n".join(["\n".join(constants), *texts, inspect.getsource(loop.execute)])


@dataclass(frozen=True)
class _System:
    """How threads sleep on this system."""

    syscall: Address
    futex: int
    give_way: Address
    now: Address


@cache
def _system() -> _System:
    numbers = {"x86_64": 202, "aarch64": 98}
    if sys.platform == "win32":
        switch = ctypes.windll.kernel32.SwitchToThread
        return _System(0, 0, ctypes.cast(switch, ctypes.c_void_p).value or 0, 0)
    library = ctypes.CDLL(None)

    def address(name: str) -> Address:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0

    linux = sys.platform == "linux"
    number = numbers.get(platform.machine(), 0) if linux else 0
    syscall = address("syscall") if number else 0
    return _System(
        syscall, number, address("sched_yield"), address("clock_gettime") if linux else 0
    )


# Loads before a thread sleeps. The MLP epoch, quiet / another program on one of two cores: 4,000
# loads 0.28 / 0.43 s, 20,000 0.23 / 0.44, 100,000 0.23 / 0.46. Waking costs more than spinning.
SPINS = 40_000
EVERYTHING = 2**62  # batches: a run that goes on to the end of its last epoch


class Job:
    """One run of the loop: a table of int64, and the memory that it points to.

    Parameters
    ----------
    bound
        The plan for whole batches.
    tail
        The plan for the last, smaller batch, if there is one.
    """

    def __init__(self, bound: Bound, tail: Bound | None = None) -> None:
        self.bound = bound
        self.fields = np.zeros(loop.FIELDS, np.int64)
        self.address = address_of(self.fields)
        self.control = aligned(loop.CONTROL_BYTES)
        self.progress = np.zeros(1, np.int64)  # batches done, of all epochs
        self.keep: list[Any] = [bound, tail]
        system = _system()
        small = tail or bound
        self.set(LANES=bound.plan.lanes, TABLE=address_of(bound.table), STEPS=bound.rows)
        self.set(TAIL_TABLE=address_of(small.table), TAIL_STEPS=small.rows)
        self.set(APART=bound.apart, TAIL_APART=small.apart)
        self.set(CONTROL=address_of(self.control), PROGRESS=address_of(self.progress))
        self.set(EPOCHS=1, SAMPLES=1, BATCH=1, SPIN=SPINS, UNTIL=EVERYTHING)
        self.set(SYSCALL=system.syscall, FUTEX=system.futex, YIELD=system.give_way, NOW=system.now)

    def set(self, **fields: int) -> None:
        """Fill fields of the table by name."""
        for name, value in fields.items():
            self.fields[getattr(loop, name)] = value

    def hold(self, *arrays: NDArray[Any]) -> None:
        """Keep memory alive as long as the job."""
        self.keep += arrays

    def stop(self) -> None:
        """End the run after the step that is under way."""
        self.control.view(np.int32)[loop.STOP // 4] = 1

    def _guarded(self) -> AbstractContextManager[None]:
        return blas.single_threaded() if self.bound.multiplies else nullcontext()

    def run_here(self) -> None:
        """Run on the calling thread alone."""
        with self._guarded():
            _execute()(self.address, 0, 1)

    def run(self, threads: int, watch: Callable[[], None] | None = None) -> None:
        """Run on ``threads`` threads; the calling thread sleeps and calls ``watch`` now and then.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, once the step under way is whole.
        """
        execute, job = _execute(), self.address
        threads = min(threads, self.bound.plan.lanes)  # more would find nothing to do
        with self._guarded():
            team.run(lambda number, size: execute(job, number, size), threads, watch, self.stop)
