"""Time graphnn beside torch, jax and numba: separate processes, interleaved rounds, medians.

python tests/benchmarks/run.py --tasks mlp,xor --python-peers path/to/python
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tables
from measure import (
    Peer,
    PeerFailedError,
    Series,
    busy_neighbour,
    confine,
    empty_caches,
    has_package,
    measured_by_peer,
    measured_from_outside,
)

TASKS = ("mlp", "xor", "lstm", "gru", "transformer", "startup", "busy")
MLP = (
    Peer("graphnn", "mlp_graphnn.py", "graphnn"),
    Peer("jax, jit + scan", "mlp_jax.py", "jax"),
    Peer("torch, fused Adam", "mlp_torch.py", "torch", ("--adam", "fused")),
    Peer("torch, default Adam", "mlp_torch.py", "torch", ("--adam", "default")),
    Peer("torch.compile", "mlp_torch_compile.py", "torch"),
)
BUSY = MLP[:3]
XOR = (
    Peer("graphnn", "xor_graphnn.py", "graphnn"),
    Peer("numba, by hand", "xor_numba.py", "numba"),
    Peer("jax, jit + scan", "xor_jax.py", "jax"),
    Peer("jax, products as sums", "xor_jax.py", "jax", ("--products", "sums")),
    Peer("torch", "xor_torch.py", "torch"),
)
STARTUP = (
    Peer("graphnn", "startup_graphnn.py", "graphnn"),
    Peer("jax", "startup_jax.py", "jax"),
    Peer("torch", "startup_torch.py", "torch"),
)

SEQUENCES = {
    kind: (
        Peer("graphnn", "sequence_graphnn.py", "graphnn", ("--kind", kind)),
        Peer("torch, fused Adam", "sequence_torch.py", "torch", ("--kind", kind)),
    )
    for kind in ("lstm", "gru", "transformer")
}

# One visit to a peer: its time and report for each case, such as "quiet" and "busy".
Visit = dict[str, tuple[float, dict]]


class Benchmark:
    """How each task is measured, with the interpreters and arguments of this run."""

    def __init__(self, options: argparse.Namespace):
        self.rounds = options.rounds
        self.python_peers = options.python_peers
        self.common = ["--threads", str(options.threads), "--repeats", str(options.repeats)]
        self.common += ["--synthetic"] if options.synthetic else []

    def mlp(self) -> dict[str, Series]:
        return self._interleave(MLP, self._alone)

    def xor(self) -> dict[str, Series]:
        return self._interleave(XOR, self._alone)

    def lstm(self) -> dict[str, Series]:
        return self._interleave(SEQUENCES["lstm"], self._alone)

    def gru(self) -> dict[str, Series]:
        return self._interleave(SEQUENCES["gru"], self._alone)

    def transformer(self) -> dict[str, Series]:
        return self._interleave(SEQUENCES["transformer"], self._alone)

    def startup(self) -> dict[str, Series]:
        return self._interleave(STARTUP, self._cold_then_warm)

    def busy(self) -> dict[str, Series]:
        return self._interleave(BUSY, self._quiet_then_busy)

    def _interleave(
        self, peers: Sequence[Peer], visit: Callable[[Peer], Visit]
    ) -> dict[str, Series]:
        """Visit A B C A B C …; return a series for each peer, or each "peer, case"."""
        series: dict[str, Series] = {}
        waiting = []
        for peer in peers:
            if has_package(self._python_of(peer), peer.package):
                waiting.append(peer)
            else:
                series[peer.label] = Series(problem=f"missing: {peer.package} is not installed")
        for number in range(self.rounds):
            for peer in list(waiting):
                print(f"round {number + 1}/{self.rounds}: {peer.label}", file=sys.stderr)
                try:
                    for case, (seconds, line) in visit(peer).items():
                        label = f"{peer.label}, {case}" if case else peer.label
                        series.setdefault(label, Series()).add(seconds, line)
                except (PeerFailedError, subprocess.TimeoutExpired) as error:
                    series[peer.label] = Series(problem=f"FAILED: {error}")
                    waiting.remove(peer)
        order = [peer.label for peer in peers]
        return dict(sorted(series.items(), key=lambda item: _place(item[0], order)))

    def _python_of(self, peer: Peer) -> str:
        return self.python_peers if peer.package in ("torch", "jax") else sys.executable

    def _alone(self, peer: Peer) -> Visit:
        return {"": measured_by_peer(self._python_of(peer), peer, self.common)}

    def _quiet_then_busy(self, peer: Peer) -> Visit:
        quiet = measured_by_peer(self._python_of(peer), peer, self.common)
        with busy_neighbour():
            busy = measured_by_peer(self._python_of(peer), peer, self.common)
        return {"quiet": quiet, "busy": busy}

    def _cold_then_warm(self, peer: Peer) -> Visit:
        python = self._python_of(peer)
        with empty_caches() as environment:
            return {
                case: (measured_from_outside(python, peer, self.common, environment), {})
                for case in ("cold", "warm")
            }


def _place(label: str, order: Sequence[str]) -> int:
    """Where a peer stands; of "torch" and "torch, fused Adam" the longer name is meant."""
    return order.index(max((name for name in order if label.startswith(name)), key=len))


def aims(results: dict[str, dict[str, Series]]) -> list[tuple[str, float | None, float]]:
    """What graphnn sets itself: (aim, value or None where it was not measured, the most)."""
    mlp, xor = results.get("mlp", {}), results.get("xor", {})
    startup, busy = results.get("startup", {}), results.get("busy", {})

    def seconds(series: Series | None) -> float | None:
        return series.median if series and series.samples else None

    def epoch_beside(peer: str) -> float | None:
        return tables.paired_ratio(mlp.get("graphnn"), mlp.get(peer))

    def step_beside_torch(kind: str) -> float | None:
        found = results.get(kind, {})
        return tables.paired_ratio(found.get("graphnn"), found.get("torch, fused Adam"))

    contention = tables.paired_ratio(busy.get("graphnn, busy"), busy.get("graphnn, quiet"))
    return [
        ("MNIST epoch ÷ jax", epoch_beside("jax, jit + scan"), 1.0),
        ("MNIST epoch ÷ torch, default Adam", epoch_beside("torch, default Adam"), 0.5),
        ("MNIST epoch ÷ torch, fused Adam", epoch_beside("torch, fused Adam"), 0.5),
        ("XOR, seconds a step", seconds(xor.get("graphnn")), 1e-6),
        *((f"{kind}, a training step ÷ torch", step_beside_torch(kind), 1.0) for kind in SEQUENCES),
        ("first step, cold, seconds", seconds(startup.get("graphnn, cold")), 3.0),
        ("first step, warm, seconds", seconds(startup.get("graphnn, warm")), 0.8),
        ("MNIST epoch, one core taken ÷ quiet", contention, 2.2),
    ]


def machine() -> str:
    """Name the processor; platform.processor() is empty on many systems."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {platform.system()}"


def report(results: dict[str, dict[str, Series]], conditions: str) -> str:
    """Return the whole report in Markdown."""
    titles = {
        "mlp": "One epoch of MNIST, 784-256-128-10, batch 128, Adam",
        "xor": "One step of XOR, 2-4-1, full batch, SGD",
        "lstm": "One training step of an LSTM, 28 steps, 28 → 128 units, batch 128, Adam",
        "gru": "One training step of a GRU, 28 steps, 28 → 128 units, batch 128, Adam",
        "transformer": "One training step of an encoder, 2 layers, 4 heads, width 128, 64 steps, batch 32",
        "startup": "Process start to the end of the first training step",
        "busy": "One epoch of MNIST while another program holds a core",
    }
    parts = [conditions]
    for task, series in results.items():
        parts += [f"## {titles[task]}", tables.times(series)]
        if task == "busy":
            parts.append(tables.contention(series))
        parts += tables.hidden_time(series)
    parts += ["## Aims", tables.targets(aims(results))]
    every = [peer for series in results.values() for peer in series.values()]
    return "\n\n".join([*parts, tables.versions(every)]) + "\n"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=",".join(TASKS), help="of " + ",".join(TASKS))
    parser.add_argument("--python-peers", default=sys.executable, help="has torch and jax")
    parser.add_argument("--rounds", type=int, default=3, help="visits to each peer")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats in a visit")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--synthetic", action="store_true", help="random data of MNIST's shape")
    parser.add_argument("--markdown", type=Path, help="write the report to this file too")
    options = parser.parse_args()
    interpreter = shutil.which(options.python_peers)
    if interpreter is None:
        parser.error(f"--python-peers {options.python_peers}: no such program")
    options.python_peers = os.path.abspath(interpreter)  # a venv's python must stay a link
    options.tasks = options.tasks.split(",")
    if unknown := set(options.tasks) - set(TASKS):
        parser.error(f"no such task: {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    reads_data = {"mlp", "busy"} & set(options.tasks) and not options.synthetic
    if reads_data and "GRAPHNN_DATA_HOME" not in os.environ:
        parser.error("set GRAPHNN_DATA_HOME to the folder that holds mnist/, or: --synthetic")
    return options


def main() -> int:
    """Return 1 if a peer failed; one that is not installed is listed, and no failure."""
    options = parse()
    conditions = (
        f"{machine()}; {confine(options.threads)}; {options.rounds} rounds of "
        f"{options.repeats} repeats; {'random' if options.synthetic else 'MNIST'} data"
    )
    if hasattr(os, "getloadavg"):
        conditions += f"; load at the start {os.getloadavg()[0]:.2f}"
    benchmark = Benchmark(options)
    results = {task: getattr(benchmark, task)() for task in options.tasks}
    text = report(results, conditions)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    failed = [s for series in results.values() for s in series.values() if s.failed]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
