"""Teams of threads that run one function together, while a main thread may be interrupted.

Only the main thread gets Ctrl-C, so it does nothing that must not be left half done: one thread of
the team leads, wakes the others, and says when all are done. A team that has nothing to do sleeps,
and is taken by the next run: waking a thread costs a fraction of starting one.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Work: TypeAlias = Callable[[int, int], object]

POLL_SECONDS = 0.02
START_SECONDS = 1.0
IDLE_SECONDS = 10.0  # a team that nobody wants that long goes home


class Signal:
    """Given once by a thread, awaited by the main thread, which Ctrl-C may interrupt anywhere.

    ``threading.Event`` does not serve: a KeyboardInterrupt inside its ``wait`` can leave its lock
    held, and the thread that gives the signal then waits for that lock for ever. What counts here
    is a flag, which nobody locks; the lock only lets the main thread sleep.
    """

    def __init__(self) -> None:
        self.given = False
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def give(self) -> None:
        """Wake the main thread, now or when it next waits."""
        self.given = True
        self._asleep.release()

    def wait(self, seconds: float) -> bool:
        """Sleep until the signal is given, at most that long."""
        if not self.given:
            self._asleep.acquire(timeout=seconds)
        return self.given


@dataclass(eq=False)
class _Run:
    """One run of a team: what each thread does, and how it went."""

    work: Work
    begun: Signal = field(default_factory=Signal)
    done: Signal = field(default_factory=Signal)
    error: BaseException | None = None


# Teams with nothing to do, by their size. Its methods are atomic: no lock that Ctrl-C could leave
# held. After a fork the threads are the parent's.
_idle: defaultdict[int, deque[_Team]] = defaultdict(deque)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)


def run(work: Work, size: int, watch: Callable[[], None] | None, stop: Callable[[], None]) -> None:
    """Let ``size`` threads call ``work(number, size)``, or none of them if one cannot be started.

    The calling thread sleeps, and calls ``watch`` now and then. If that or Ctrl-C raises, ``stop``
    is called, and the exception goes on once every thread has returned.

    Parameters
    ----------
    work
        What each thread does; numbers run from 0 to ``size - 1``.
    size
        Number of threads.
    watch
        Called every 0.02 s.
    stop
        Makes ``work`` return soon.
    """
    this = _Run(work)
    try:
        _team(size).take(this)
        while not this.done.wait(POLL_SECONDS):
            if watch is not None:
                watch()
    except BaseException:
        stop()
        if _patiently(this.begun, START_SECONDS):
            _patiently(this.done, math.inf)
        raise
    if this.error is not None:
        raise this.error


def _patiently(signal: Signal, seconds: float) -> bool:
    """Wait for the end of the step under way; another Ctrl-C does not cut it short."""
    end = time.monotonic() + seconds
    while not signal.given and time.monotonic() < end:
        try:
            signal.wait(POLL_SECONDS)
        except KeyboardInterrupt:
            continue
    return signal.given


def _team(size: int) -> _Team:
    try:
        return _idle[size].pop()
    except IndexError:
        return _Team(size)


class _Team:
    """Threads that sleep until they are given something to do.

    Parameters
    ----------
    size
        Number of threads.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._run: _Run | None = None
        self._awake = _closed()
        self._others: list[_Follower] = []
        threading.Thread(target=self._lead, name="graphnn-0", daemon=True).start()

    def take(self, run: _Run) -> None:
        """Begin a run."""
        self._run = run
        self._awake.release()

    def _lead(self) -> None:
        while self._wanted():
            run = self._run
            assert run is not None
            run.begun.give()
            try:
                self._gather()
                self._together(run)
            except BaseException as error:  # also a system that has no thread left
                run.error = error
            self._run = None
            _idle[self.size].append(self)  # before anybody can want another one
            run.done.give()
            del run  # what it worked on need not wait for the next one
        for other in self._others:
            other.send_home()

    def _wanted(self) -> bool:
        """Wait for something to do; False: nobody wanted this team for a while."""
        while not self._awake.acquire(timeout=IDLE_SECONDS):
            try:
                _idle[self.size].remove(self)
            except ValueError:
                continue  # somebody has just taken it
            return False
        return True

    def _gather(self) -> None:
        while len(self._others) < self.size - 1:
            self._others.append(_Follower(len(self._others) + 1, self.size))

    def _together(self, run: _Run) -> None:
        for other in self._others:
            other.begin(run.work)
        try:
            run.work(0, self.size)
        finally:
            errors = [other.ended() for other in self._others]
        for error in errors:
            if error is not None:
                raise error


class _Follower:
    """A thread that its leader wakes."""

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size = number, size
        self._work: Work | None = None
        self._error: BaseException | None = None
        self._awake, self._ended = _closed(), _closed()
        threading.Thread(target=self._follow, name=f"graphnn-{number}", daemon=True).start()

    def begin(self, work: Work) -> None:
        self._work = work
        self._awake.release()

    def ended(self) -> BaseException | None:
        """Wait for the end of the work; what it raised."""
        self._ended.acquire()
        error, self._error = self._error, None
        return error

    def send_home(self) -> None:
        self._work = None
        self._awake.release()

    def _follow(self) -> None:
        while self._awake.acquire() and self._work is not None:
            try:
                self._work(self.number, self.size)
            except BaseException as error:
                self._error = error
            self._work = None
            self._ended.release()


def _closed() -> threading.Lock:
    """A lock that is held: who acquires it sleeps until somebody releases it."""
    lock = threading.Lock()
    lock.acquire()
    return lock
