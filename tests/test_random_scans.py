"""Random loops: compiled, on three lanes, beside the oracle, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphnn as gn
from graphnn import walks
from graphnn.backends import reference
from graphnn.backends.cpu import executor

SIZE = 4  # states and slices are (N, SIZE)

UNARY = {
    "tanh": gn.tanh,
    "row sums": lambda a: a - gn.sum(a, axis=-1, keepdims=True),
    "column means": lambda a: a + gn.mean(a, axis=0, keepdims=True),
    "softmax": gn.softmax,
    "flip": lambda a: a[:, ::-1],
    "halves": lambda a: gn.concat([a[:, 2:], a[:, :2]], axis=-1),
    "rows": lambda a: gn.flip(a, 0),
    "pieces": lambda a: gn.concat([gn.tanh(a[:, :2]), gn.sin(a[:, 2:])], axis=-1),
    "twice": lambda a: gn.sum(gn.stack([gn.sin(a), a * 0.5], axis=0), axis=0),
}
BINARY = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * gn.sigmoid(b),
    "where": lambda a, b: gn.where(a > b, a, b * 0.5),
}


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch):
    """However short: slices are read where they lie, pieces written where they belong."""
    monkeypatch.setattr(walks, "SHORTEST_RUN", 1)
    monkeypatch.setattr(walks, "LONG_RUN", 1)


@st.composite
def bodies(draw):
    """What a step does: (op, operands...) by number, and which values are states and results."""
    carries = draw(st.integers(0, 3))
    values = carries + 2  # the states, the slice, a value from outside
    steps = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([*UNARY, *BINARY, "matmul", "rows", "column means", "scan"]))
        near = st.one_of(st.integers(0, max(carries - 1, 0)), st.integers(0, values - 1))
        steps.append((kind, draw(near), draw(near)))
        values += 1
    pick = st.integers(0, values - 1)
    nexts = [values - 1 - draw(st.integers(0, 2)) for _ in range(carries)]
    return {
        "carries": carries,
        "steps": steps,
        "nexts": nexts,
        "ys": draw(st.lists(pick, min_size=1, max_size=3)),
        "reverse": draw(st.booleans()),
        "more": draw(st.sampled_from([{}, {}, {"checkpoint": True}, {"truncate": 2}])),
        "length": draw(st.sampled_from([0, 1, 4, 5])),
    }


def declared(body, x, outside, w, length):
    def step(states, x):
        values = [*states, x, outside]
        for kind, i, j in body["steps"]:
            a, b = values[i], values[j]
            if kind in UNARY:
                new = UNARY[kind](a)
            elif kind in BINARY:
                new = BINARY[kind](a, b)
            elif kind == "matmul":
                new = a @ w
            else:
                new, ys = gn.scan(
                    lambda s, _, b=b: (gn.tanh(s @ w + b), s), a, length=2, checkpoint=i % 2 == 0
                )
                new = new + gn.sum(ys, axis=0)
            values.append(new)
        return [values[i] for i in body["nexts"]], [values[i] for i in body["ys"]]

    init = [x[0] * 0.0 + float(k) if length else outside for k in range(body["carries"])]
    return gn.scan(step, init, x, reverse=body["reverse"], **body["more"])


@pytest.fixture(autouse=True)
def three_lanes(monkeypatch):
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)
    monkeypatch.setattr(executor, "SPLIT_SECONDS", -1.0)
    monkeypatch.setattr(executor, "THREAD_SECONDS", 0.0)
    yield
    gn.set_num_threads(None)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(bodies(), st.integers(0, 2**31))
def test_a_random_loop(body, seed):
    rng = np.random.default_rng(seed)
    length = body["length"]
    x = gn.Input((length, None, SIZE), "float64", name="x")
    outside = gn.Input((None, SIZE), "float64", name="outside")
    w = gn.Parameter(rng.normal(size=(SIZE, SIZE)) / 2, name="w")
    last, ys = declared(body, x, outside, w, length)
    loss = sum((gn.sum(value * value) for value in ys), gn.sum(outside * outside) + gn.sum(w))
    loss = loss + gn.sum(x)
    for value in last:
        loss = loss + gn.sum(gn.sin(value))
    outputs = [*last, *ys, *gn.grad(loss, [x, outside, w])]
    arrays = [rng.normal(size=(length, 5, SIZE)), rng.normal(size=(5, SIZE))]
    f = gn.function([x, outside], outputs)
    results = []
    for threads in (1, 3):
        gn.set_num_threads(threads)
        results.append(f(*arrays))
    f.plan.check()
    oracle = reference.evaluate(outputs, dict(zip((x, outside), arrays, strict=True)))
    for one, other, wanted in zip(*results, oracle, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_allclose(one, wanted, rtol=1e-8, atol=1e-10)
