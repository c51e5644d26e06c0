"""What it costs to watch: an epoch of a tiny network with metrics, schedule, clipping, progress on.

python tests/benchmarks/watching.py

Each is switched on alone, then all at once. Beside the time of a step of the epoch stand the
kernels of the same plan, called one after the other by a bare compiled loop: no batches, no sums,
no progress. What is left, the loop's own share, may not grow with what is on. Around the epoch,
``fit`` takes some milliseconds, whatever its length. The Python functions that it calls are counted
for two numbers of steps, ten times apart. All in one process, visited in turn; the fastest counts.
"""

import argparse
import contextlib
import io
import os
import sys
import time

import numba
import numpy as np
import tables

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu.intrinsics import call_kernel, pointer_i64

FEATURES, HIDDEN, CLASSES, BATCH = 4, 16, 3, 8
STEPS = 20_000  # of a timed epoch
METRICS = ["accuracy", "grad_norm", "lr"]
CASES = {
    "nothing": {},
    "metrics": {"metrics": METRICS},
    "schedule": {"lr": optim.schedule.CosineAnnealingLR(0.01, T_max=10 * STEPS)},
    "clipping": {"global_clipnorm": 1.0},
    "progress": {"verbose": 1},
}
CASES["all of them"] = {key: value for case in CASES.values() for key, value in case.items()}


class Terminal(io.StringIO):
    """A terminal that nobody looks at, for the progress bar."""

    def isatty(self):
        return True


def model_with(metrics=(), lr=0.01, **clipping):
    """A network of 4-16-3 that is trained by Adam."""
    gn.set_seed(0)
    x = gn.Input((None, FEATURES), name="x")
    net = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    model = gn.Model(x, net(x))
    model.compile(optim.Adam(lr=lr, **clipping), loss="cross_entropy", metrics=list(metrics))
    return model


def data_of(steps):
    """As many batches of noise as there are to be steps."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((steps * BATCH, FEATURES)).astype(np.float32)
    return x, draw.integers(0, CLASSES, len(x))


def epoch(model, data, verbose):
    """Seconds of a step of the epoch, by the clock in the loop, and of ``fit`` around the epoch."""
    start = time.perf_counter()
    history = model.fit(*data, batch_size=BATCH, verbose=verbose)
    whole, inside = time.perf_counter() - start, history.seconds[0]
    return inside / (len(data[0]) // BATCH), whole - inside


@numba.njit(nogil=True)
def call_all(table, rows, times):
    """The kernels of a plan without loops and with one lane, again and again."""
    words = pointer_i64(table)
    for _ in range(times):
        for i in range(rows):
            call_kernel(words[4 * i], words[4 * i + 1], words[4 * i + 2], 0, 1)


def step_of_kernels(model, times):
    """Seconds of one pass over the kernels of the training step, and how many they are."""
    bound = model.training.bind({"N": BATCH}, gathered=True)
    assert bound.plan.lanes == 1
    address = bound.table.__array_interface__["data"][0]
    call_all(address, bound.rows, 10)
    start = time.perf_counter()
    call_all(address, bound.rows, times)
    return (time.perf_counter() - start) / times, bound.rows


def python_calls(model, data, verbose):
    """Python functions that one ``fit`` calls, in the thread that waits for the compiled loop."""
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        model.fit(*data, batch_size=BATCH, verbose=verbose)
    finally:
        sys.setprofile(None)
    return calls


def measured(visits, steps):
    """For each case: step, pass over the kernels, time around the epoch, kernels, calls."""
    made = {}
    for name, settings in CASES.items():
        settings = dict(settings)
        made[name] = settings.pop("verbose", 0), model_with(**settings)
    data, few = data_of(steps), data_of(steps // 10)
    times = {name: ([], [], []) for name in made}
    kernels, calls = {}, {}
    for visit in range(visits + 1):  # the first one warms up
        for name, (verbose, model) in made.items():
            step, around = epoch(model, data, verbose)
            bare, kernels[name] = step_of_kernels(model, steps)
            if visit:
                for column, seconds in zip(times[name], (step, bare, around), strict=True):
                    column.append(seconds)
    for name, (verbose, model) in made.items():
        calls[name] = [python_calls(model, part, verbose) for part in (few, data)]
    return {name: (*map(min, times[name]), kernels[name], calls[name]) for name in made}


def report(found, steps):
    """The table in Markdown."""
    base = found["nothing"][0] - found["nothing"][1]
    rows = []
    for name, (step, bare, around, kernels, calls) in found.items():
        rest = step - bare
        times = [tables.duration(seconds) for seconds in (step, bare, rest)]
        more = f"{(rest - base) * 1e9:+.0f} ns"
        rows.append([name, str(kernels), *times, more, tables.duration(around), *map(str, calls)])
    head = ["on", "kernels", "a step", "its kernels", "the rest", "more", "around the epoch"]
    return tables.markdown([*head, f"calls, {steps // 10:,} steps", f"{steps:,} steps"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visits", type=int, default=15, help="timed visits to each case")
    parser.add_argument("--steps", type=int, default=STEPS, help="of an epoch")
    options = parser.parse_args()
    gn.set_num_threads(1)
    os.environ.setdefault("TERM", "xterm-256color")  # the bar is drawn as for a person
    with contextlib.redirect_stdout(Terminal()):
        found = measured(options.visits, options.steps)
    print(report(found, options.steps))


if __name__ == "__main__":
    main()
