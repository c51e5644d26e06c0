"""Sequences as they are used: any length in fit, very long ones, threads of the user's, clipping."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu import executor
from graphnn.backends.cpu.compile import counts

KINDS = ("RNN", "LSTM", "GRU")


def drawn(*shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --------------------------------------------------------------------- lengths that come with data


def readers(kind="GRU", steps="T"):
    """A model that reads sequences of any length, and says one number of each."""
    gn.set_seed(0)
    x = gn.Input((None, steps, 3), name="x")
    layer, head = getattr(nn, kind)(3, 8), nn.Linear(8, 1)
    model = gn.Model(x, head(layer(x)[0][:, -1])[:, 0])
    model.compile(optim.Adam(lr=1e-2), loss="mse")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_one_model_is_fitted_to_sequences_of_every_length(kind):
    """The same numbers as of models that are declared for one length; nothing is compiled anew."""
    free = readers(kind)
    for steps in (6, 11, 2, 1, 6):
        X = drawn(40, steps, 3, seed=steps)
        Y = X[:, :, 0].sum(1)
        fixed = readers(kind, steps)
        fixed.load_state_dict(free.state_dict())
        free.compile(optim.Adam(lr=1e-2), loss="mse")
        results = []
        for model in (free, fixed):
            seen = dict(counts)
            losses = model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)["loss"]
            results.append([losses, model.predict(X), model.evaluate(X, Y)["loss"]])
            assert model is fixed or steps == 6 or counts == seen
        for mine, other in zip(*results, strict=True):
            np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)


def test_lengths_may_change_from_fit_to_validation():
    model = readers()
    X, V = drawn(32, 9, 3), drawn(20, 4, 3, seed=1)
    history = model.fit(
        X, X[:, :, 0].mean(1), epochs=2, verbose=0, validation_data=(V, V[:, :, 0].mean(1))
    )
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(V, V[:, :, 0].mean(1))["loss"])


def test_none_twice_is_one_size():
    """Two axes that are None are one batch's: the error says how to name the other."""

    def ones(*shape):
        return np.ones(shape, np.float32)

    x = gn.Input((None, None, 3), name="x")
    f = gn.function(x, gn.sum(x))
    assert f(ones(2, 2, 3)) == 12
    wanted = r'axis 0, declared to be of the same size None, has 64.*gn.Input\(\(None, "T", 3\)\)'
    with pytest.raises(gn.ShapeError, match=wanted):
        f(ones(64, 7, 3))
    x, y = gn.Input((None, "T", None), name="x"), gn.Input((None,), name="y")
    f = gn.function([x, y], [gn.sum(x), y])
    with pytest.raises(gn.ShapeError, match=r'gn.Input\(\(None, "T", "S"\)\)'):
        f(ones(2, 2, 3), ones(2))
    with pytest.raises(gn.ShapeError, match=r"another input has 2 there\.$"):
        f(ones(2, 2, 2), ones(3))


# ------------------------------------------------------------------------------ very long sequences

STEPS = 100_000


def by_hand(layer, x):
    """The last state of an LSTM, torch's equations in float64."""
    values = {name: p.value.astype(np.float64) for name, p in layer.named_parameters()}
    w, u = values["weight_ih_l0"], values["weight_hh_l0"]
    b = values["bias_ih_l0"] + values["bias_hh_l0"]
    h = c = np.zeros(u.shape[1])
    for z in x.astype(np.float64) @ w.T + b:
        i, f, g, o = np.split(z + u @ h, 4)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    return h


def quickly(f, *arrays):
    """A call's result; it takes 0.1 to 0.3 s of one core."""
    begun = time.process_time()
    found = f(*arrays)
    assert time.process_time() - begun < 5
    return found


def test_an_lstm_over_a_hundred_thousand_steps():
    """Its memory: the input, projected, and states that are read, where they lie and batch-first."""
    gn.set_num_threads(1)  # one sample is one lane's work
    layer, width = nn.LSTM(3, 8), 8
    x = gn.Input((1, "T", 3), name="x")
    output, (h, _) = layer(x)
    given = drawn(1, STEPS, 3)
    f = gn.function(x, h)
    f(given[:, :10])  # compiles
    last = quickly(f, given).ravel()
    assert f.memory.peak <= 4 * (3 + 4 * width) * STEPS + 4096
    # What an LSTM has read 300 steps ago it has forgotten: each piece by itself ends alike.
    np.testing.assert_allclose(last, by_hand(layer, given[0, -300:]), rtol=1e-4, atol=1e-5)
    f = gn.function(x, output)
    f(given[:, :10])
    states = quickly(f, given)[0]
    assert f.memory.peak <= 4 * (4 + 2) * width * STEPS + 4096
    for t in (299, 4_096, 65_537, 99_999):
        wanted = by_hand(layer, given[0, t - 299 : t + 1])
        np.testing.assert_allclose(states[t], wanted, rtol=1e-4, atol=1e-5)


def test_a_truncated_step_over_a_hundred_thousand_steps():
    """Nothing grows with time but the projection and its gradient, and what is left is 2 a unit."""
    gn.set_num_threads(1)
    layer, width = nn.LSTM(3, 8, truncate=100), 8
    x = gn.Input((1, STEPS, 3), name="x")
    _, (h, _) = layer(x)
    loss = gn.sum(h * h)
    f = gn.function(x, [loss, *gn.grad(loss, layer.parameters())])
    given = drawn(1, STEPS, 3)
    f.bind({})  # compiles
    value, *slopes = quickly(f, given)
    assert f.memory.peak <= 4 * STEPS * (2 * 4 * width + 4)
    assert value == pytest.approx((by_hand(layer, given[0, -300:]) ** 2).sum(), rel=1e-4)
    assert all(np.isfinite(slope).all() and slope.any() for slope in slopes)


# -------------------------------------------------------------------------------- threads of users


@pytest.mark.parametrize("lanes", [1, 3])
def test_four_threads_call_one_function_at_once(lanes, request):
    """Each gets the results of its own arrays, of several lengths and batches."""
    if lanes == 3:
        request.getfixturevalue("many_lanes")
        gn.set_num_threads(3)
    layer = nn.LSTM(3, 8, num_layers=2, bidirectional=True)
    x = gn.Input((None, "T", 3), name="x")
    output, (h, _) = layer(x)
    loss = gn.mean(output * output)
    f = gn.function(x, [output, h, *gn.grad(loss, layer.parameters())])
    data = [drawn(2 + k, 5 + 3 * k, 3, seed=k) for k in range(4)]
    alone = [f(one) for one in data]
    together, errors = [[] for _ in data], []
    gate = threading.Barrier(len(data))

    def call(k):
        try:
            gate.wait(30)
            for _ in range(25):
                together[k].append(f(data[k]))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=(k,)) for k in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    for wanted, calls in zip(alone, together, strict=True):
        assert len(calls) == 25
        for found in calls:
            for one, two in zip(found, wanted, strict=True):
                assert one.tobytes() == two.tobytes()


# ---------------------------------------------------------------------------------------- clipping

SETTINGS = {
    "global_clipnorm": {"global_clipnorm": 0.05},
    "clipnorm": {"clipnorm": 0.02},
    "clipvalue": {"clipvalue": 0.003},
}


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        *(("RNN", setting) for setting in SETTINGS),
        ("LSTM", "global_clipnorm"),
        ("GRU", "clipvalue"),
    ],
)
def test_clipped_training_through_time_equals_torch(kind, setting):
    """Model.fit of a recurrent network, beside torch's loop with its clipping functions."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")
    gn.set_seed(0)
    X, Y = drawn(24, 7, 3, dtype="float64"), 3 * drawn(24, dtype="float64", seed=1)
    x = gn.Input((None, "T", 3), "float64", name="x")
    layer, head = getattr(nn, kind)(3, 5, dtype="float64"), nn.Linear(5, 1, dtype="float64")
    model = gn.Model(x, head(layer(x)[0][:, -1])[:, 0])
    model.compile(optim.SGD(lr=0.5, momentum=0.9, **SETTINGS[setting]), loss="mse")

    theirs = getattr(torch.nn, kind)(3, 5, batch_first=True, dtype=torch.float64)
    last = torch.nn.Linear(5, 1, dtype=torch.float64)
    pairs = []
    for mine, other in ((layer, theirs), (head, last)):
        values = dict(mine.named_parameters())
        for name, peer in other.named_parameters():
            peer.data = torch.from_numpy(values[name].value.copy())
            pairs.append((values[name], peer))
    peers = [peer for _, peer in pairs]
    rule = torch.optim.SGD(peers, lr=0.5, momentum=0.9)
    bites = 0
    for _ in range(3):
        for k in range(0, 24, 8):
            rule.zero_grad()
            found = last(theirs(torch.from_numpy(X[k : k + 8]))[0][:, -1])[:, 0]
            torch.nn.functional.mse_loss(found, torch.from_numpy(Y[k : k + 8])).backward()
            before = [peer.grad.clone() for peer in peers]
            (limit,) = SETTINGS[setting].values()
            if setting == "global_clipnorm":
                torch.nn.utils.clip_grad_norm_(peers, limit)
            elif setting == "clipnorm":
                for peer in peers:
                    torch.nn.utils.clip_grad_norm_([peer], limit)
            else:
                torch.nn.utils.clip_grad_value_(peers, limit)
            bites += any(
                not torch.equal(a, peer.grad) for a, peer in zip(before, peers, strict=True)
            )
            rule.step()
    assert bites == 9  # each step was clipped
    model.fit(X, Y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    for mine, peer in pairs:
        # torch adds 1e-6 to the norm that it divides by.
        np.testing.assert_allclose(mine.value, peer.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("batch", "length", "lanes"), [(1, 20_000, 1), (64, 200, 3)])
def test_threads_do_not_meet_at_every_step_of_little_work(monkeypatch, batch, length, lanes):
    """A loop of pieces has a barrier between them: the work must be worth all of them."""
    monkeypatch.setattr(executor, "machine_lanes", lambda: 3)
    x = gn.Input((None, length, 3), name="x")
    net = nn.LSTM(3, 32, truncate=10)
    loss = gn.mean(net(x)[0][:, -1])
    step = gn.function(x, loss, updates=optim.SGD(lr=0.1).updates(loss, net.parameters()))
    plan = step.plan_for({"N": batch})
    assert plan.waits >= length // 10
    assert plan.lanes == lanes
