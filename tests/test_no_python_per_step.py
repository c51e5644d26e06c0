"""The compiled loop runs whole epochs without Python, whatever is watched: calls are counted."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu import executor, team

EVERYTHING = {"metrics": ["accuracy", "grad_norm", "lr"], "global_clipnorm": 1.0, "verbose": 2}
CASES = {
    "nothing": {},
    "metrics": {"metrics": EVERYTHING["metrics"]},
    "schedule": {"lr": optim.schedule.CosineAnnealingLR(0.01, T_max=10_000)},
    "clipping": {"global_clipnorm": 1.0},
    "lines": {"verbose": 2},
    "all": {**EVERYTHING, "lr": optim.schedule.CosineAnnealingLR(0.01, T_max=10_000)},
}
SAMPLES = 4000


class Count:
    """Counts Python functions that begin; ``sys.setprofile`` calls it."""

    def __init__(self):
        self.calls = 0

    def __call__(self, _frame, event, _argument):
        self.calls += event == "call"


def fitting(metrics=(), lr=0.01, verbose=0, callbacks=(), **clipping):
    """A tiny model, and its ``fit`` in batches of a given size."""
    x = gn.Input((None, 3), name="x")
    model = gn.Model(x, nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))(x))
    model.compile(optim.Adam(lr=lr, **clipping), loss="cross_entropy", metrics=list(metrics))
    draw = np.random.default_rng(0)
    data = draw.standard_normal((SAMPLES, 3)).astype(np.float32), draw.integers(0, 2, SAMPLES)
    options = {"verbose": verbose, "callbacks": list(callbacks)}
    return lambda batch: model.fit(*data, batch_size=batch, **options)


def calls_of(fit, batch):
    """Python functions that ``fit`` calls here, once all is planned and bound."""
    fit(batch)
    count = Count()
    sys.setprofile(count)
    try:
        fit(batch)
    finally:
        sys.setprofile(None)
    return count.calls


@pytest.fixture
def inside(monkeypatch):
    """What is counted in each thread while it runs the compiled loop; nobody polls it."""
    counts, compiled = [], executor._execute()

    def profiled(*arguments):
        count = Count()
        sys.setprofile(count)
        try:
            return compiled(*arguments)
        finally:
            sys.setprofile(None)
            counts.append(count.calls)

    monkeypatch.setattr(executor, "_execute", lambda: profiled)
    monkeypatch.setattr(team, "POLL_SECONDS", 60.0)
    gn.set_num_threads(1)
    return counts


@pytest.mark.parametrize("case", CASES)
def test_calls_do_not_grow_with_the_number_of_steps(case, inside):
    fit = fitting(**CASES[case])
    assert calls_of(fit, 1) == calls_of(fit, 1000) > 0  # 4,000 steps, and 4
    assert inside == [0] * 4  # and none at all in the thread that runs the steps


def test_a_callback_at_each_step_is_counted(inside):
    class Each(gn.callbacks.Callback):
        def on_step_end(self, step, logs):
            pass

    fit = fitting(callbacks=[Each()])
    assert calls_of(fit, 100) - calls_of(fit, 1000) >= 36  # 40 steps, and 4
