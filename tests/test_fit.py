"""Training: what ``fit`` trains, in which order, what it remembers and shows, how it is stopped."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu import executor
from graphnn.ops.random.generator import GENERATOR, philox

on_posix = pytest.mark.skipif(
    sys.platform == "win32", reason="needs a pseudo-terminal and POSIX signals"
)


def classifier(widths=(5, 8, 3), p=0.3, optimizer=None, metrics=("accuracy",)):
    """A compiled network with dropout behind each hidden layer; its weights follow the seed."""
    x = gn.Input((None, widths[0]), name="x")
    y = gn.Input((None,), dtype="int64", name="y")
    layers = []
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(p)]
    logits = nn.Sequential(*layers, nn.Linear(*widths[-2:]))(x)
    model = gn.Model(inputs=x, outputs=logits)
    rule = optim.Adam(lr=1e-2) if optimizer is None else optimizer
    model.compile(rule, loss=gn.cross_entropy(logits, y), metrics=metrics)
    return model


def samples(n, width=5, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)).astype(np.float32), rng.integers(0, classes, n)


def everything(model):
    """All that training changes: weights, the optimizer's state, the generator."""
    state = {f"{i} {p.label}": p.value.copy() for i, p in enumerate(model.optimizer.state)}
    return {**model.state_dict(), **state, "generator": GENERATOR.value.copy()}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].tobytes() == array.tobytes(), f"{name} differs"


def assert_different(found, other):
    assert any(found[name].tobytes() != array.tobytes() for name, array in other.items())


# --------------------------------------------------------------------------- data


@pytest.mark.parametrize(
    "form",
    [
        lambda X, y: ({"y": y, "x": X},),
        lambda X, y: (X.tolist(), y.tolist()),
        lambda X, y: (np.asfortranarray(X), y.astype(np.int32)),
        lambda X, y: (np.repeat(X, 2, axis=0)[::2], np.repeat(y, 2)[::2]),
        lambda X, y: ({"x": X}, {"y": y}),
    ],
    ids=["one dict", "lists", "Fortran order and int32", "strided", "two dicts"],
)
def test_the_form_of_the_data_does_not_matter(form):
    X, y = samples(20)
    found = []
    for data in [(X, y), form(X, y)]:
        gn.set_seed(0)
        model = classifier()
        if len(data) == 2 and isinstance(data[0], dict):
            data = ({**data[0], **data[1]},)
        model.fit(*data, epochs=2, batch_size=8, verbose=0)
        found.append(everything(model))
    assert_same_bits(found[1], found[0])


def two_inputs_two_outputs():
    a, b = gn.Input((None, 2), name="a"), gn.Input((None, 3), name="b")
    left, right = gn.Input((None, 1), name="left"), gn.Input((None, 1), name="right")
    one = nn.Linear(2, 1, name="one")(a)
    two = nn.Linear(3, 1, name="two")(b) + one
    model = gn.Model(inputs=[a, b], outputs=[one, two])
    loss = gn.mse_loss(one, left, name="first") + gn.mse_loss(two, right, name="second")
    model.compile(optim.SGD(lr=0.05), loss=loss)
    return model


def test_several_inputs_and_targets(rng):
    arrays = [rng.normal(size=(12, k)).astype(np.float32) for k in (2, 3, 1, 1)]
    found = []
    names = ["a", "b", "left", "right"]
    for data in [
        (arrays[:2], arrays[2:]),
        (tuple(arrays[:2]), tuple(arrays[2:])),
        (dict(zip(names, arrays, strict=True)),),
        (dict(zip(names[:2], arrays[:2], strict=True)), arrays[2:]),
    ]:
        gn.set_seed(0)
        model = two_inputs_two_outputs()
        if len(data) == 2 and isinstance(data[0], dict):
            with pytest.raises(gn.DataError, match="one dict by name, or x and y; not both"):
                model.fit(*data, verbose=0)
            continue
        history = model.fit(*data, epochs=20, batch_size=4, verbose=0)
        assert history.history["loss"][-1] < 0.9 * history.history["loss"][0]
        found.append(everything(model))
    for state in found[1:]:
        assert_same_bits(state, found[0])


def test_a_loss_without_a_target(rng):
    """An autoencoder: the target is the input."""
    x = gn.Input((None, 4), name="x")
    decoded = nn.Linear(2, 4)(nn.Linear(4, 2)(x))
    model = gn.Model(x, decoded)
    model.compile(optim.Adam(lr=0.05), loss=gn.mse_loss(decoded, x))
    X = rng.normal(size=(32, 4)).astype(np.float32)
    losses = model.fit(X, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert model.evaluate(X) == model.evaluate({"x": X})
    with pytest.raises(gn.DataError, match="the loss has no target: fit and evaluate take x alone"):
        model.fit(X, X, verbose=0)


def test_an_axis_of_a_named_size(rng):
    x = gn.Input((None, "T", 4), name="x")
    model = gn.Model(x, nn.Linear(4, 1)(x))
    model.compile("sgd", loss="mse")
    X, Y = rng.normal(size=(7, 3, 4)).astype(np.float32), np.ones((7, 3, 1), np.float32)
    losses = model.fit(X, Y, epochs=40, batch_size=2, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    value = np.mean((model.predict(X, batch_size=3) - Y) ** 2)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(value, rel=1e-5)


# --------------------------------------------------------------------------- every sample counts


def by_hand(model, X, y, batch_size, epochs):
    """The same epochs through gn.function, a batch a call: the loss of each batch."""
    optimizer = optim.Adam(lr=1e-2)
    parameters = list(model.parameters.values())
    step = gn.function(
        [*model.inputs, *model.targets],
        [model.loss, *model.metrics.values()],
        updates=optimizer.updates(model.loss, parameters),
    )
    rows = []
    for _ in range(epochs):
        for i in range(0, len(X), batch_size):
            cut = slice(i, i + batch_size)
            rows.append([len(X[cut]), *map(float, step(X[cut], y[cut]))])
    state = {f"{i} {p.label}": p.value.copy() for i, p in enumerate(optimizer.state)}
    return {**model.state_dict(), **state, "generator": GENERATOR.value.copy()}, np.array(rows)


@pytest.mark.parametrize(
    ("n", "batch_size"),
    [(24, 8), (20, 8), (17, 8), (9, 8), (8, 8), (5, 8), (1, 8), (1, 1), (7, 1), (33, 32)],
)
def test_every_sample_is_trained_in_its_turn(n, batch_size):
    """Tail batches, batches larger than the data, single samples: the bits of a loop by hand."""
    X, y = samples(n)
    model = classifier()
    start = model.state_dict()
    gn.set_seed(3)
    history = model.fit(X, y, epochs=3, batch_size=batch_size, shuffle=False, verbose=0)
    found = everything(model)

    model.load_state_dict(start)
    gn.set_seed(3)
    expected, rows = by_hand(model, X, y, batch_size, epochs=3)
    assert_same_bits(found, expected)
    assert_different(found, start)
    # History: the mean over samples, so that a tail counts by its size.
    size, *values = rows.T
    for name, value in zip(["loss", "accuracy"], values, strict=True):
        means = (size * value).reshape(3, -1).sum(1) / n
        np.testing.assert_allclose(history.history[name], means, rtol=1e-12, err_msg=name)


def test_the_tail_of_a_network_of_several_lanes(monkeypatch):
    """BLAS may round a tail differently when it is split differently: equal up to rounding."""
    monkeypatch.setattr(executor, "machine_lanes", lambda: 2)
    X, y = samples(300, 64, 10)
    model = classifier((64, 128, 10))
    start = model.state_dict()
    model.fit(X, y, epochs=2, batch_size=128, shuffle=False, verbose=0)
    assert model.training.plan.lanes == 2
    found = model.state_dict()
    model.load_state_dict(start)
    gn.set_seed(0)
    expected, _ = by_hand(model, X, y, 128, epochs=2)
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
        assert np.abs(array - start[name]).max() > 1e-3


def test_a_second_fit_continues():
    X, y = samples(21)
    found = []
    for epochs in [(5,), (2, 3), (1, 1, 1, 1, 1)]:
        gn.set_seed(0)
        model = classifier()
        losses = [
            loss
            for count in epochs
            for loss in model.fit(X, y, epochs=count, batch_size=8, verbose=0).history["loss"]
        ]
        found.append((everything(model), losses))
    for state, losses in found[1:]:
        assert_same_bits(state, found[0][0])
        assert losses == found[0][1]


def test_another_size_of_data_and_batch_in_between():
    """Buffers move when a batch grows; nothing that was learnt may be lost by that."""
    X, y = samples(300)
    model = classifier()
    before = model.evaluate(X, y)["loss"]
    for n, batch_size in [(10, 4), (300, 200), (9, 9), (300, 300), (10, 4)]:
        model.fit(X[:n], y[:n], batch_size=batch_size, verbose=0)
        assert model.predict(X[:n]).shape == (n, 3)
    assert model.optimizer.state[0].value == 3 + 2 + 1 + 1 + 3
    assert model.evaluate(X, y)["loss"] != before
    assert all(np.isfinite(array).all() for array in model.state_dict().values())


# --------------------------------------------------------------------------- order


class Diary:
    """Twelve samples whose order training writes down: the momentum is a number in base 16.

    The loss of sample i is i w, its gradient i; with μ = 1/16 and one sample a batch the momentum
    is Σ sample / 16^age, and every digit is exact in float64.
    """

    samples = 12

    def __init__(self):
        x = gn.Input((None,), dtype="float64", name="x")
        w = gn.Parameter(np.float64(0), name="w")
        self.model = gn.Model(inputs=x, outputs=x * w)
        self.optimizer = optim.SGD(lr=1e-9, momentum=1 / 16)
        self.model.compile(self.optimizer, loss=gn.mean(x * w))

    def fit(self, **options):
        X = np.arange(self.samples, dtype=np.float64)
        self.model.fit(X, batch_size=1, verbose=0, **options)
        return self.order()

    def order(self):
        """The order of the last epoch: older ones lie behind the last digit."""
        digits = math.floor(float(self.optimizer.state[0].value) * 16 ** (self.samples - 1))
        return [digits >> 4 * age & 15 for age in range(self.samples)]


def fisher_yates(n, seed, epoch):
    """The order of an epoch, from the oracle of the generator."""
    order = list(range(n))
    key = (seed & 0xFFFFFFFF, seed >> 32)
    for i in range(n - 1, 0, -1):
        word = int(philox((i, 0, epoch, 0x53485546), key)[0])
        j = word * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def test_without_shuffling_the_order_is_that_of_the_data():
    diary = Diary()
    assert diary.fit(shuffle=False) == list(range(12))
    assert diary.fit(shuffle=False, epochs=3) == list(range(12))


def test_each_epoch_is_a_permutation_of_its_own():
    diary = Diary()
    orders = [diary.fit() for _ in range(30)]
    for order in orders:
        assert sorted(order) == list(range(12))
        assert order != list(range(12))
    assert len(set(map(tuple, orders))) == 30


def test_one_fit_of_many_epochs_shuffles_as_many_fits_of_one():
    for epochs in (1, 2, 5):
        many, single = Diary(), Diary()
        orders = [single.fit() for _ in range(epochs)]
        assert many.fit(epochs=epochs) == orders[-1]


def test_the_order_follows_from_the_seed():
    orders = {}
    for seed in (0, 1, 2**40 + 1):
        for _ in range(2):
            gn.set_seed(seed)
            diary = Diary()
            orders.setdefault(seed, []).append([diary.fit() for _ in range(3)])
    for seed, (first, again) in orders.items():
        assert first == again
        assert first == [fisher_yates(12, seed, epoch) for epoch in range(3)]
    assert orders[0][0] != orders[1][0] != orders[2**40 + 1][0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_order_is_that_of_one_thread(threads, many_lanes):
    gn.set_num_threads(threads)
    diary = Diary()
    assert [diary.fit() for _ in range(3)] == [fisher_yates(12, 0, epoch) for epoch in range(3)]
    assert diary.model.training.plan.lanes == 3


def test_a_shuffled_tail_has_other_members_each_epoch():
    """Weight i falls by one over the size of the batch that sample i was in."""
    x = gn.Input((None, 50), dtype="float64", name="x")
    w = gn.Parameter(np.zeros(50), name="w")
    chosen = gn.matmul(x, w)
    model = gn.Model(inputs=x, outputs=chosen)
    model.compile(optim.SGD(lr=1.0), loss=gn.mean(chosen))
    tails = []
    for _ in range(4):
        w.value = np.zeros(50)
        model.fit(np.eye(50), batch_size=8, verbose=0)
        assert sorted(set(w.value)) == [-1 / 2, -1 / 8]  # 6 batches of 8, one of 2
        tails.append(tuple(np.flatnonzero(w.value == -1 / 2)))
        assert len(tails[-1]) == 2
    assert len(set(tails)) > 1


# --------------------------------------------------------------------------- threads


def trained_on(threads, widths, n, batch_size, epochs):
    gn.set_num_threads(threads)
    gn.set_seed(5)
    model = classifier(widths)
    X, y = samples(n, widths[0], widths[-1])
    model.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0)
    history = {name: np.array(column) for name, column in model.history.history.items()}
    found = {**everything(model), **history, "predicted": model.predict(X)}
    return found, model.training.plan.lanes


@pytest.mark.parametrize("n", [16, 21])
def test_a_tiny_network_has_the_same_bits_on_any_threads(many_lanes, n):
    expected, lanes = trained_on(1, (5, 8, 3), n, 8, epochs=6)
    assert lanes == 3
    for threads in (2, 3):
        found, _ = trained_on(threads, (5, 8, 3), n, 8, epochs=6)
        assert_same_bits(found, expected)


def test_a_large_network_has_the_same_bits_on_any_threads(monkeypatch):
    """784-256-128-10 with dropout and Adam, batch 128, a tail: work enough for several lanes."""
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)
    network = ((784, 256, 128, 10), 300, 128)
    expected, lanes = trained_on(1, *network, epochs=3)
    assert lanes == 3
    for threads in (2, 3):
        found, _ = trained_on(threads, *network, epochs=3)
        assert_same_bits(found, expected)


def test_more_threads_than_lanes(monkeypatch):
    monkeypatch.setattr(executor, "SPLIT_SECONDS", -1.0)
    monkeypatch.setattr(executor, "machine_lanes", lambda: 2)
    expected, lanes = trained_on(1, (5, 8, 3), 21, 8, epochs=2)
    assert lanes == 2
    found, _ = trained_on(5, (5, 8, 3), 21, 8, epochs=2)
    assert_same_bits(found, expected)


def test_a_seed_repeats_a_run_and_another_does_not():
    found = []
    for seed in (0, 0, 1):
        gn.set_seed(seed)
        model = classifier()
        model.fit(*samples(20), epochs=2, verbose=0)
        found.append(everything(model))
    assert_same_bits(found[1], found[0])
    assert_different(found[2], found[0])


# --------------------------------------------------------------------------- history, evaluation


def test_history_has_a_value_an_epoch():
    model = classifier()
    X, y = samples(20)
    history = model.fit(X, y, epochs=4, validation_data=(X[:7], y[:7]), verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(column) == 4 for column in history.history.values())
    assert all(isinstance(v, float) for column in history.history.values() for v in column)
    assert history.epoch == [0, 1, 2, 3]
    assert len(history.seconds) == 4
    assert min(history.seconds) > 0
    assert history is model.history
    assert repr(history).startswith("<History of 4 epochs: loss=")
    assert model.fit(X, y, verbose=0).epoch == [0]  # a new one for each fit


def test_validation_values_are_those_of_evaluate():
    X, y = samples(40)
    held = {"x": X[20:], "y": y[20:]}
    gn.set_seed(0)
    model = classifier()
    expected = []
    for _ in range(3):
        model.fit(X[:20], y[:20], batch_size=8, verbose=0)
        expected.append(model.evaluate(held))
    bits = everything(model)
    gn.set_seed(0)
    model = classifier()
    history = model.fit(
        X[:20], y[:20], epochs=3, batch_size=8, validation_data=held, verbose=0
    ).history
    for name in ("loss", "accuracy"):
        assert history[f"val_{name}"] == [values[name] for values in expected]
    assert_same_bits(everything(model), bits)


def test_validation_changes_nothing():
    """No weight, no mask, no order: a run with validation has the bits of one without."""
    X, y = samples(20)
    found = []
    for held in (None, (X[:3], y[:3])):
        gn.set_seed(0)
        model = classifier()
        model.fit(X, y, epochs=3, batch_size=8, validation_data=held, verbose=0)
        found.append((everything(model), model.history.history["loss"]))
    assert_same_bits(found[1][0], found[0][0])
    assert found[1][1] == found[0][1]


def forward(model, X):
    """Inference in NumPy and float64."""
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    weights = [state[name] for name in state if name.endswith("weight")]
    biases = [state[name] for name in state if name.endswith("bias")]
    h = X.astype(np.float64)
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        h = h @ W.T + b
        if i < len(weights) - 1:
            h = np.maximum(h, 0)
    return h


@pytest.mark.parametrize("n", [1, 37, 1024, 1500])
def test_evaluate_against_numpy(n):
    model = classifier(p=0.5)
    X, y = samples(n)
    model.fit(X, y, epochs=2, verbose=0)
    logits = forward(model, X)
    rows = np.log(np.exp(logits).sum(1)) - logits[np.arange(n), y]
    values = model.evaluate(X, y)
    assert list(values) == ["loss", "accuracy"]
    assert values["loss"] == pytest.approx(rows.mean(), rel=1e-5)
    assert values["accuracy"] == pytest.approx((logits.argmax(1) == y).mean(), abs=1e-6)


def test_evaluate_and_predict_change_nothing():
    model = classifier()
    X, y = samples(20)
    before = everything(model)
    first = (model.evaluate(X, y), model.predict(X))
    second = (model.evaluate({"x": X, "y": y}), model.predict({"x": X}))
    assert first[0] == second[0]
    assert first[1].tobytes() == second[1].tobytes()
    assert_same_bits(everything(model), before)


@pytest.mark.parametrize(("n", "batch_size"), [(37, 8), (37, 37), (37, 100), (1, 1), (1100, 1024)])
def test_predict_in_batches_is_one_prediction(n, batch_size):
    model = classifier()
    X, _ = samples(n)
    parts = model.predict(X, batch_size=batch_size)
    assert parts.shape == (n, 3)
    assert parts.dtype == np.float32
    np.testing.assert_allclose(parts, model.predict(X, batch_size=n), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts, forward(model, X), rtol=1e-4, atol=1e-5)


def test_predict_nothing():
    assert classifier().predict(np.zeros((0, 5), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("batch_size", [4, 100])
def test_predict_several_outputs(rng, batch_size):
    model = two_inputs_two_outputs()
    a = rng.normal(size=(11, 2)).astype(np.float32)
    b = rng.normal(size=(11, 3)).astype(np.float32)
    one, two = model.predict([a, b], batch_size=batch_size)
    state = model.state_dict()
    first = a @ state["one.weight"].T + state["one.bias"]
    second = b @ state["two.weight"].T + state["two.bias"] + first
    np.testing.assert_allclose(one, first, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two, second, rtol=1e-5, atol=1e-6)


def test_training_learns():
    """Three clouds of points, far enough apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    X = (rng.normal(size=(300, 5)) + 3 * np.eye(5)[y]).astype(np.float32)
    model = classifier((5, 16, 3))
    losses = model.fit(X, y, epochs=30, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert model.evaluate(X, y)["accuracy"] > 0.95


# --------------------------------------------------------------------------- what it says


def test_verbose_0_is_silent(capsys):
    classifier().fit(*samples(20), epochs=2, validation_data=samples(5), verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("validated", [False, True])
def test_lines_where_there_is_no_terminal(capsys, verbose, validated):
    model = classifier()
    held = samples(5) if validated else None
    model.fit(*samples(20), epochs=3, validation_data=held, verbose=verbose)
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "\r" not in out
    lines = [line for line in out.splitlines() if not line.startswith("compiled ")]
    assert len(lines) == 3
    history = model.history.history
    for i, line in enumerate(lines):
        facts = "  ".join(f"{name}={column[i]:.4f}" for name, column in history.items())
        said = rf"epoch {i + 1}/3  \d+\.\d\d s  {re.escape(facts)}"
        assert re.fullmatch(said, line), line
    assert ("val_loss" in out) == validated


def test_fit_speaks_unless_told_otherwise(capsys):
    classifier().fit(*samples(20))
    assert capsys.readouterr().out.splitlines()[-1].startswith("epoch 1/1 ")


# A child trains; ``speed`` decides how long an epoch takes.
CHILD = textwrap.dedent(
    """
    import signal, sys, time
    import numpy as np
    import graphnn as gn
    from graphnn import nn, optim

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have ignored it

    def declared(widths):
        gn.set_seed(4)
        x = gn.Input((None, widths[0]), name="x")
        y = gn.Input((None,), dtype="int64", name="y")
        logits = nn.Sequential(
            nn.Linear(widths[0], widths[1]), nn.ReLU(), nn.Dropout(0.4),
            nn.Linear(widths[1], widths[2]),
        )(x)
        model = gn.Model(inputs=x, outputs=logits)
        loss = gn.cross_entropy(logits, y)
        model.compile(optim.Adam(lr=1e-3), loss=loss, metrics=["accuracy"])
        return model

    def data(widths, n):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, widths[0])).astype(np.float32)
        return X, rng.integers(0, widths[2], n)

    def everything(model):
        kept = [*model.parameters.values(), *model.optimizer.state]
        return [p.value.copy() for p in kept]
    """
)


def environment(**changes):
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    return {**kept, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **changes}


def on_a_terminal(script, interrupt_after=None, **changes):
    """Output and status of a Python script whose output is a pseudo-terminal."""
    import pty

    ours, theirs = pty.openpty()
    terminal = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **changes}
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**terminal),
    )
    os.close(theirs)
    output = b""
    try:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says EIO when the last writer is gone
                break
            if not part:
                break
            output += part
            if interrupt_after is not None and interrupt_after in output:
                interrupt_after = None
                child.send_signal(signal.SIGINT)
        status = child.wait(timeout=60)
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return output.decode("utf-8"), status


def plain(output):
    """Terminal output without colours and cursor movements, each drawing on a line of its own."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output).replace("\r", "\n")


# Epochs of about half a second, so that there is a bar to see in each of them.
SLOW = """
widths = (256, 256, 4)
model, (X, y) = declared(widths), data(widths, 8000)
"""


@on_posix
@pytest.mark.parametrize("columns", ["120", "80"])
@pytest.mark.parametrize("validated", [False, True])
def test_progress_bar_on_a_terminal(validated, columns):
    held = "(X[:50], y[:50])" if validated else "None"
    script = f"""{CHILD}{SLOW}
model.fit(X, y, epochs=2, batch_size=1, validation_data={held})
print("the prompt")
"""
    output, status = on_a_terminal(script, COLUMNS=columns)
    assert status == 0, output
    shown = plain(output)
    bar = "[^ ] epoch {}/2 [━╸╺]+ +{}/8000 loss \\d\\.\\d{{4}}  accuracy \\d\\.\\d{{4}} +"
    speed = r"\d+k? samples/s ETA (\d+:\d\d|-:--)"
    for epoch in (1, 2):
        assert re.search(bar.format(epoch, r"[1-9]\d{0,4}") + speed, shown), shown
        # A finished epoch leaves one line above the bar.
        val = r" val \d\.\d{4}" if validated else ""
        said = rf"^epoch {epoch}/2 +\d+\.\d\d s  loss \d\.\d{{4}}{val}  accuracy \d\.\d{{4}}{val}$"
        assert len(re.findall(said, shown, re.MULTILINE)) == 1, shown
    assert "None" not in shown
    assert max(map(len, shown.splitlines())) <= int(columns)
    drawn = [line for line in shown.splitlines() if "━" in line]
    assert max(map(len, drawn)) <= int(columns)
    assert all("epoch" in line and "ETA" in line for line in drawn)  # one line, however narrow
    # It goes away in the end: the cursor is shown, and the line that it stood on is erased.
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 1
    ending = output[output.rindex("\x1b[?25h") :]
    assert "\x1b[2K" in ending
    assert plain(ending).strip() == "the prompt"


@on_posix
def test_lines_on_a_dumb_terminal():
    script = f"""{CHILD}
model, (X, y) = declared((8, 8, 4)), data((8, 8, 4), 200)
model.fit(X, y, epochs=2)
"""
    output, status = on_a_terminal(script, TERM="dumb")
    assert status == 0, output
    assert "\x1b" not in output
    assert [line[:9] for line in output.split("\r\n")] == ["epoch 1/2", "epoch 2/2", ""]


@on_posix
@pytest.mark.parametrize("moment", [b"epoch 1/100000", b"loss", b"samples/s"])
def test_ctrl_c_under_a_progress_bar_leaves_the_terminal_in_order(moment):
    """At the first drawing, while it runs, and later."""
    script = f"""{CHILD}{SLOW}
try:
    model.fit(X, y, epochs=100_000, batch_size=16)
except KeyboardInterrupt:
    print("stopped")
"""
    output, status = on_a_terminal(script, interrupt_after=moment)
    assert status == 0, output
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") == 1
    ending = output[output.rindex("\x1b[?25h") :]
    assert plain(ending).strip() == "stopped"


# --------------------------------------------------------------------------- errors

X10, y10 = samples(10)

BAD_DATA = {
    "missing target": ((X10,), gn.DataError, r"need targets: fit\(x, y\), or a dict with \['x'"),
    "missing name": (({"x": X10},), gn.DataError, r"must have the names \['x', 'y'\]; got \['x'\]"),
    "wrong name": (
        ({"x": X10, "label": y10},), gn.DataError, r"must have the names .*; got \['label', 'x'\]"
    ),
    "both forms": (({"x": X10, "y": y10}, y10), gn.DataError, "one dict by name, or x and y"),
    "no sample": ((X10[:0], y10[:0]), gn.DataError, r"there is no sample: \{'x': 0, 'y': 0\}"),
    "unequal lengths": (
        (X10, y10[:9]), gn.ShapeError, r"input y .*got .* shape \(9,\): its axis 0 has 9, another input has 10 there"
    ),
    "wrong width": (
        (X10[:, :4], y10), gn.ShapeError, r"input x is declared \(None, 5\) at test_fit\.py:\d+;"
    ),
    "wrong rank": ((X10, y10[:, None]), gn.ShapeError, r"input y is declared \(None,\) .*10, 1"),
    "ragged": (([[1.0], [1.0, 2.0]], [0, 1]), gn.ShapeError, "input x: .*inhomogeneous.* Pad sequences to one length"),
    "float64": (
        (X10.astype(np.float64), y10),
        gn.DTypeError,
        r"input x is declared float32 .*float64\. Convert it: array\.astype\('float32'\)",
    ),
    "uint8": ((X10.astype(np.uint8), y10), gn.DTypeError, "input x .* got an array of uint8"),
    "text": ((X10.astype(str), y10), gn.DTypeError, "input x is declared float32"),
    "object": ((X10.astype(object), y10), gn.DTypeError, "input x .* got an array of object"),
    "float labels": (
        (X10, y10.astype(np.float32)), gn.DTypeError, "input y is declared int64 .* of float32"
    ),
    "NaN label": (
        (X10, np.where(y10 == 1, np.nan, y10)), gn.DTypeError, "input y is declared int64"
    ),
    "NaN label in a list": ((X10, [0, math.nan] * 5), gn.DTypeError, "input y is declared int64"),
    "bool labels": ((X10, y10 > 0), gn.DTypeError, "input y is declared int64 .* of bool"),
    "label too large": (
        (X10, np.where(np.arange(10) == 7, 3, y10)),
        gn.DataError,
        r"input y\[7\] = 3 is out of range: .* needs 0 <= label < 3",
    ),
    "label below 0": (
        (X10, np.where(np.arange(10) == 2, -1, y10)), gn.DataError, r"input y\[2\] = -1 is out of r"
    ),
    "a node": ((gn.Input((None, 5)), y10), gn.DataError, "input x takes an array, not a node"),
}  # fmt: skip


@pytest.fixture
def model():
    """One that has trained already, so that there is something to lose."""
    made = classifier()
    made.fit(X10, y10, epochs=2, verbose=0)
    return made


def assert_refused(model, call, error, message):
    before, history, epochs = everything(model), model.history, model._epochs_done
    with pytest.raises(error, match=message):
        call()
    assert_same_bits(everything(model), before)
    assert model.history is history
    assert model._epochs_done == epochs


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_changes_nothing(model, name, capsys):
    data, error, message = BAD_DATA[name]
    assert_refused(model, lambda: model.fit(*data), error, message)
    assert_refused(model, lambda: model.evaluate(*data), error, message)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", sorted(BAD_DATA.keys() - {"both forms"}))
def test_bad_validation_data_is_found_before_training(model, name):
    data, error, message = BAD_DATA[name]
    if name == "missing target":
        data, message = data[0], r"validation_data is \(x, y\) or a dict"
    held = data[0] if len(data) == 1 else data
    assert_refused(model, lambda: model.fit(X10, y10, validation_data=held), error, message)


@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True])
@pytest.mark.parametrize("name", ["epochs", "batch_size"])
def test_bad_counts(model, name, value):
    said = rf"{name} is a whole number >= 1; got {re.escape(repr(value))}"
    assert_refused(model, lambda: model.fit(X10, y10, **{name: value}), gn.GraphError, said)


@pytest.mark.parametrize("value", [3, -1, "auto", None])
def test_bad_verbose(model, value):
    said = rf"verbose is 0, 1 or 2; got {re.escape(repr(value))}"
    assert_refused(model, lambda: model.fit(X10, y10, verbose=value), gn.GraphError, said)


@pytest.mark.parametrize("value", [0, 2.0, None])
def test_bad_batch_size_of_predict(model, value):
    with pytest.raises(gn.GraphError, match=r"batch_size is a whole number >= 1"):
        model.predict(X10, batch_size=value)


def test_fit_before_compile():
    x = gn.Input((None, 5), name="x")
    model = gn.Model(x, nn.Linear(5, 3)(x))
    for call in (model.fit, model.evaluate):
        with pytest.raises(gn.GraphError, match=r"call model\.compile\(optimizer, loss\) before"):
            call(X10, y10)
    assert model.predict(X10).shape == (10, 3)  # needs no compile


def test_wrong_number_of_arrays():
    model = two_inputs_two_outputs()
    a, b = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    with pytest.raises(gn.DataError, match=r"give a list of 2 arrays \(a, b\) or a dict"):
        model.fit([a], [a[:, :1], a[:, :1]])
    with pytest.raises(gn.DataError, match=r"give a list of 2 arrays \(left, right\) or a dict"):
        model.fit([a, b], a[:, :1])
    with pytest.raises(gn.DataError, match=r"must have the names \['a', 'b'\]; got \['a', 'c'\]"):
        model.predict({"a": a, "c": b})


def test_data_that_cannot_be_cut_into_batches():
    x = gn.Input((3, None), name="x")
    w = gn.Parameter(np.float32(1), name="w")
    model = gn.Model(x, x * w)
    model.compile("sgd", loss=gn.mean(gn.square(x * w)))
    with pytest.raises(
        gn.GraphError, match=r"cut into batches along the first axis: input x .* it is \(3, None\)"
    ):
        model.fit(np.ones((3, 4), np.float32), verbose=0)
    assert w.value == 1


def test_infinite_data_trains_on_and_shows_it():
    """What the numbers are is the user's affair: NaN is reported, not hidden."""
    model = classifier()
    X = X10.copy()
    X[4, 2] = np.nan
    said = r"^epoch 1: the loss is nan.*np\.isfinite\(x\)\.all\(\).*lower the learning rate"
    with pytest.warns(gn.NotFiniteWarning, match=said) as caught:
        history = model.fit(X, y10, epochs=3, verbose=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert math.isnan(history["loss"][0])
    assert history.epochs == 3


# --------------------------------------------------------------------------- Ctrl-C

# The issue promises 0.2 s. A child on a busy machine may wait for a processor: five times that.
PROMISED, PATIENCE = 0.2, 5

INTERRUPTED = """
widths, batch, presses = {widths}, {batch}, {presses}
gn.set_num_threads({threads})
model, (X, y) = declared(widths), data(widths, 10 * batch)
model.fit(X, y, epochs=1, batch_size=batch, shuffle=False, verbose=0)  # warm
deaf = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
print("begun", flush=True)
try:
    try:
        model.fit(X, y, epochs=10**7, batch_size=batch, shuffle=False, verbose=0)
        sys.exit("the run came to its end")
    except KeyboardInterrupt:
        deaf()
except KeyboardInterrupt:  # pressed again, between the lines
    deaf()
print("stopped", time.time(), flush=True)
found, steps = everything(model), int(model.optimizer.state[0].value)
assert steps > 10, steps
time.sleep(0.2)  # a thread that was left behind would go on
for a, b in zip(found, everything(model), strict=True):
    assert a.tobytes() == b.tobytes()
assert all(np.isfinite(array).all() for array in found)
if presses == 1:
    losses = model.history.history["loss"]
    assert len(losses) == len(model.history.seconds) == len(model.history.history["accuracy"])
    assert abs(len(losses) - (steps - 10) // 10) <= 1, (len(losses), steps)
    assert np.isfinite(losses).all()

# The same number of whole steps, without an interruption: the last epoch by hand.
again = declared(widths)
again.fit(X, y, epochs=steps // 10, batch_size=batch, shuffle=False, verbose=0)
for i in range(steps % 10):
    cut = slice(i * batch, (i + 1) * batch)
    again.training(X[cut], y[cut])
assert again.optimizer.state[0].value == steps
for a, b in zip(found, everything(again), strict=True):
    assert a.tobytes() == b.tobytes(), abs(a - b).max()

# And on it goes.
model.fit(X, y, epochs=2, batch_size=batch, verbose=0)
assert model.optimizer.state[0].value == steps + 20
assert len(model.history.history["loss"]) == 2
assert all(np.isfinite(array).all() for array in everything(model))
assert model.predict(X[:3]).shape == (3, widths[2])
print("went on", flush=True)
"""


@on_posix
@pytest.mark.parametrize(
    ("widths", "batch", "threads", "presses"),
    [
        ((8, 8, 4), 16, 1, 1),
        ((784, 256, 10), 128, 1, 1),
        ((784, 256, 10), 128, 2, 1),
        ((784, 2048, 10), 1024, 2, 3),  # a step of 0.1 s: time to press again while it ends
    ],
    ids=["tiny", "large on 1", "large on 2", "impatient"],
)
def test_ctrl_c_stops_after_a_whole_step(widths, batch, threads, presses):
    script = CHILD + INTERRUPTED.format(
        widths=widths, batch=batch, threads=threads, presses=presses
    )
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        if child.stdout.readline() == "begun\n":
            time.sleep(0.4)  # into the middle of the run
        sent = time.time()
        for _ in range(presses):
            child.send_signal(signal.SIGINT)
            time.sleep(0.02 if presses > 1 else 0)
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, out + err
    assert err == ""
    stopped, went_on = out.splitlines()
    assert went_on == "went on"
    assert float(stopped.split()[1]) - sent < PROMISED * PATIENCE


@on_posix
def test_ctrl_c_that_nobody_catches_ends_the_process():
    script = f"""{CHILD}
model, (X, y) = declared((784, 256, 10)), data((784, 256, 10), 1280)
print("begun", flush=True)
model.fit(X, y, epochs=10**7, batch_size=128, verbose=0)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert child.stdout.readline() == "begun\n"
        time.sleep(1.0)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode in (-signal.SIGINT, 130, 1)
