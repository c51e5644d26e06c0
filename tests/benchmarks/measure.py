"""Run one peer in a process of its own and bring back what it measured."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
TIMEOUT = 900.0  # seconds; torch under contention is slow, a deadlock is slower


@dataclass(frozen=True)
class Peer:
    """A program of `peers/`: what the tables call it, and the package that it needs."""

    label: str
    script: str
    package: str
    arguments: tuple[str, ...] = ()


@dataclass
class Series:
    """What one peer measured: a time a round, or the reason why there is none."""

    samples: list[float] = field(default_factory=list)
    problem: str = ""
    line: dict = field(default_factory=dict)

    def add(self, seconds: float, line: dict) -> None:
        """Take one round's time, and the peer's own report (the last one is kept)."""
        self.samples.append(seconds)
        self.line = line

    @property
    def failed(self) -> bool:
        return self.problem.startswith("FAILED")

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


class PeerFailedError(RuntimeError):
    """A peer's process ended badly; the message is the last line it wrote."""


def has_package(python: str, package: str) -> bool:
    """Whether that interpreter finds the package (without importing it)."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"
    # From the folder of the peers, as they run: else a checkout would pass for an installation.
    return subprocess.run([python, "-c", code], cwd=PEERS, check=False).returncode == 0


def confine(threads: int) -> str:
    """Keep this process, and so every peer, on `threads` CPUs; return what was done, in words."""
    if not hasattr(os, "sched_setaffinity"):
        return "not confined: this system cannot, and jax takes every CPU"
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        raise SystemExit(f"--threads {threads}: this process may use {len(allowed)} CPUs only")
    os.sched_setaffinity(0, allowed[:threads])
    return f"confined to {threads} of {os.cpu_count()} CPUs"


def measured_by_peer(python: str, peer: Peer, arguments: list[str]) -> tuple[float, dict]:
    """Return the median of the times that the peer took itself, and its whole report."""
    command = [python, str(PEERS / peer.script), *peer.arguments, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise PeerFailedError(_last_line(done.stderr))
    line = json.loads(done.stdout.splitlines()[-1])
    return statistics.median(line["seconds"]), line


def measured_from_outside(
    python: str, peer: Peer, arguments: list[str], environment: Mapping[str, str]
) -> float:
    """Return the seconds from just before the process starts until it says that it is done."""
    command = [python, str(PEERS / peer.script), *peer.arguments, *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | environment,
        )
        with process:
            said = process.stdout.readline()
            seconds = time.perf_counter() - start
        if process.returncode != 0 or "done" not in said:
            errors.seek(0)
            raise PeerFailedError(_last_line(errors.read()))
    return seconds


@contextlib.contextmanager
def empty_caches() -> Iterator[Mapping[str, str]]:
    """Give the environment in which graphnn, numba and jax keep compiled code in a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "GRAPHNN_CACHE_DIR": f"{folder}/graphnn",
            "NUMBA_CACHE_DIR": f"{folder}/numba",
            "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }


@contextlib.contextmanager
def busy_neighbour() -> Iterator[None]:
    """Have another program burn one of the cores."""
    command = [sys.executable, str(PEERS / "busy.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            yield
        finally:
            process.terminate()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
