"""A team of threads that runs one function together, and a main thread that may be interrupted.

Only the main thread gets Ctrl-C, so it does nothing that must not be left half done: one thread of
the team leads, starts the others, and says when all are done. ``Thread.join`` and ``is_alive`` do
not serve for that: in Python 3.11 a KeyboardInterrupt inside ``join`` marks a running thread as
stopped.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.02
START_SECONDS = 1.0


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


class Team:
    """Threads that all call ``work(number, size)``, or none of them if one cannot be started.

    Parameters
    ----------
    work
        What each thread does; numbers run from 0 to ``size - 1``.
    size
        Number of threads.
    """

    def __init__(self, work: Callable[[int, int], object], size: int) -> None:
        self.work, self.size = work, size
        self.error: BaseException | None = None
        self._begun = Signal()
        self._gate = threading.Event()
        self._open = False
        self._done = Signal()

    def run(self, watch: Callable[[], None] | None, stop: Callable[[], None]) -> None:
        """Run to the end; call ``watch`` now and then.

        If ``watch`` or Ctrl-C raises, ``stop`` is called, and the exception goes on once every
        thread has returned.
        """
        leader = threading.Thread(target=self._lead, name="graphnn-0", daemon=True)
        try:
            leader.start()
            while not self._done.wait(POLL_SECONDS):
                if watch is not None:
                    watch()
        except BaseException:
            stop()
            self._until_done()
            raise
        if self.error is not None:
            raise self.error

    def _until_done(self) -> None:
        """Wait for the end of the step under way; another Ctrl-C does not cut it short."""
        begun = self._patiently(self._begun, START_SECONDS)
        if begun:
            self._patiently(self._done, math.inf)

    @staticmethod
    def _patiently(signal: Signal, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not signal.given and time.monotonic() < end:
            try:
                signal.wait(POLL_SECONDS)
            except KeyboardInterrupt:
                continue
        return signal.given

    def _lead(self) -> None:
        self._begun.give()
        others: list[threading.Thread] = []
        try:
            for number in range(1, self.size):
                other = threading.Thread(
                    target=self._follow, args=(number,), name=f"graphnn-{number}", daemon=True
                )
                other.start()
                others.append(other)
            self._open = True
        except BaseException as error:  # a system that has no thread left
            self.error = error
        finally:
            self._gate.set()
        try:
            if self._open:
                self.work(0, self.size)
        except BaseException as error:
            self.error = error
        finally:
            for other in others:
                other.join()
            self._done.give()

    def _follow(self, number: int) -> None:
        self._gate.wait()
        if self._open:
            self.work(number, self.size)
