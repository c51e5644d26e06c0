"""Learning-rate schedules: torch's values, in the compiled loop; the rate on a plateau."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.optim import schedule

STEPS = 100
LR = 0.3

# Each with the same settings here and in torch.
SCHEDULES = {
    "constant": ("ConstantLR", {"factor": 0.25, "total_iters": 7}),
    "linear": ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 13}),
    "step": ("StepLR", {"step_size": 9, "gamma": 0.7}),
    "multi-step": ("MultiStepLR", {"milestones": [1, 20, 20, 55], "gamma": 0.5}),
    "exponential": ("ExponentialLR", {"gamma": 0.97}),
    "polynomial": ("PolynomialLR", {"total_iters": 60, "power": 1.0}),
    "polynomial-2": ("PolynomialLR", {"total_iters": 60, "power": 2.5}),
    "cosine": ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.01}),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 12, "eta_min": 0.02}),
    "restarts-2": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2}),
    "restarts-3": ("CosineAnnealingWarmRestarts", {"T_0": 7, "T_mult": 3, "eta_min": 0.1}),
}
TURNING = {
    "one-cycle": ("OneCycleLR", {"max_lr": 0.7, "total_steps": STEPS}),
    "one-cycle-linear": (
        "OneCycleLR",
        {"max_lr": 0.7, "total_steps": STEPS, "anneal_strategy": "linear", "pct_start": 0.4,
         "div_factor": 10.0, "final_div_factor": 100.0},
    ),
    "three-phase": ("OneCycleLR", {"max_lr": 0.7, "total_steps": STEPS, "three_phase": True}),
    "cyclic": ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 7}),
    "cyclic-2": (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 7, "step_size_down": 4,
         "mode": "triangular2"},
    ),
    "cyclic-range": (
        "CyclicLR",
        {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 5, "mode": "exp_range", "gamma": 0.98},
    ),
}  # fmt: skip


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")


def peer_rates(torch, make, steps=STEPS):
    """The rates that torch's optimizer uses, step by step."""
    weight = torch.nn.Parameter(torch.zeros(1))
    rule = torch.optim.SGD([weight], lr=LR)
    peer = make(rule, torch.optim.lr_scheduler)
    rates = []
    for _ in range(steps):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        peer.step()
    return rates


def measured(made, steps=STEPS):
    """The rates by which the compiled step moves a weight: its slope is 1."""
    w = gn.Parameter(np.float64([0.0]), name="w")
    rule = optim.SGD(lr=made)
    step = gn.function([], [], updates=rule.updates(gn.sum(w), [w]))
    seen = []
    for _ in range(steps):
        w.value = np.zeros(1)
        step()
        seen.append(-w.value.item())
    return seen


@pytest.mark.torch
@pytest.mark.parametrize(("name", "settings"), SCHEDULES.values(), ids=SCHEDULES)
def test_rates_equal_torch(torch, name, settings):
    made = getattr(schedule, name)(LR, **settings)
    peers = peer_rates(torch, lambda rule, package: getattr(package, name)(rule, **settings))
    np.testing.assert_allclose(made.rates(STEPS), peers, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(measured(made), peers, rtol=1e-10, atol=1e-15)


@pytest.mark.torch
@pytest.mark.parametrize(("name", "settings"), TURNING.values(), ids=TURNING)
def test_cycles_equal_torch(torch, name, settings):
    made = getattr(schedule, name)(**settings)

    def make(rule, package):
        return getattr(package, name)(rule, cycle_momentum=False, **settings)

    steps = STEPS - 1  # torch refuses a step past the last of OneCycleLR
    peers = peer_rates(torch, make, steps)
    np.testing.assert_allclose(made.rates(steps), peers, rtol=1e-10)
    np.testing.assert_allclose(measured(made, steps), peers, rtol=1e-10)


@pytest.mark.torch
def test_one_after_the_other_equals_torch(torch):
    made = schedule.SequentialLR(
        [
            schedule.LinearLR(LR, 0.1, total_iters=10),
            schedule.CosineAnnealingLR(LR, 50),
            schedule.ExponentialLR(LR, 0.9),
        ],
        milestones=[10, 60],
    )

    def make(rule, package):
        parts = [
            package.LinearLR(rule, 0.1, total_iters=10),
            package.CosineAnnealingLR(rule, 50),
            package.ExponentialLR(rule, 0.9),
        ]
        return package.SequentialLR(rule, parts, milestones=[10, 60])

    peers = peer_rates(torch, make)
    np.testing.assert_allclose(made.rates(STEPS), peers, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(measured(made), peers, rtol=1e-10, atol=1e-15)


@pytest.mark.torch
def test_all_at_once_equal_torch(torch):
    made = schedule.ChainedScheduler(
        [schedule.ConstantLR(LR, 0.2, 6), schedule.ExponentialLR(LR, 0.95), schedule.StepLR(LR, 30)]
    )

    def make(rule, package):
        parts = [
            package.ConstantLR(rule, 0.2, 6),
            package.ExponentialLR(rule, 0.95),
            package.StepLR(rule, 30),
        ]
        return package.ChainedScheduler(parts)

    peers = peer_rates(torch, make)
    np.testing.assert_allclose(made.rates(STEPS), peers, rtol=1e-10)
    np.testing.assert_allclose(measured(made), peers, rtol=1e-10)


def test_a_formula_of_ones_own():
    made = schedule.LambdaLR(0.5, lambda t: gn.minimum((t + 1.0) / 10.0, gn.rsqrt(t + 1.0)))
    t = np.arange(1, STEPS + 1)
    expected = 0.5 * np.minimum(t / 10, t**-0.5)
    np.testing.assert_allclose(measured(made), expected, rtol=1e-12)


def test_one_cycle_stays_where_it_ends():
    made = schedule.OneCycleLR(1.0, total_steps=5)
    rates = made.rates(9)
    assert (rates[4:] == rates[4]).all()
    assert rates[4] == pytest.approx(1.0 / 25 / 1e4)


def test_restarts_far_out_are_where_they_belong():
    """The logarithm that finds the cycle is exact at its edges."""
    made = schedule.CosineAnnealingWarmRestarts(1.0, T_0=7, T_mult=3)
    edges = np.array([7 * (3**n - 1) // 2 for n in range(1, 14)], np.float64)
    t = gn.Constant(np.concatenate([edges - 1, edges]))
    before, at = np.split(gn.function([], made.at(t))(), 2)
    np.testing.assert_allclose(at, 1.0)
    assert (before < 0.06).all()


@pytest.mark.torch
def test_adam_with_a_schedule_equals_torch(torch, rng):
    """Bias corrections and rate share the counter."""
    X, Y = rng.normal(size=(16, 3)), rng.normal(size=(16, 2))
    x, y = gn.Input((None, 3), "float64", name="x"), gn.Input((None, 2), "float64", name="y")
    layer = nn.Linear(3, 2, dtype="float64")
    loss = gn.mse_loss(layer(x), y)
    peer = torch.nn.Linear(3, 2, dtype=torch.float64)
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in layer.state_dict().items()})
    rule = optim.AdamW(lr=schedule.CosineAnnealingLR(0.1, T_max=60), weight_decay=0.1)
    step = gn.function([x, y], loss, updates=rule.updates(loss, layer.parameters()))
    peer_rule = torch.optim.AdamW(peer.parameters(), lr=0.1, weight_decay=0.1)
    peer_schedule = torch.optim.lr_scheduler.CosineAnnealingLR(peer_rule, T_max=60)
    for _ in range(STEPS):
        step(X, Y)
        peer_rule.zero_grad()
        torch.nn.functional.mse_loss(peer(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        peer_rule.step()
        peer_schedule.step()
    for name, value in layer.state_dict().items():
        np.testing.assert_allclose(value, peer.state_dict()[name].numpy(), rtol=1e-8)


# --------------------------------------------------------------------------- epochs


def line(rule):
    """A model whose weight moves by the learning rate each step."""
    x = gn.Input((None,), dtype="float64", name="x")
    w = gn.Parameter(np.float64(0.0), name="w")
    model = gn.Model(x, x * w)
    model.compile(rule, loss=gn.mean(x * w))
    return model, w


def test_a_schedule_in_epochs_knows_their_length():
    rule = optim.SGD(lr=schedule.StepLR(1.0, 2, gamma=0.1, per="epoch"))
    model, w = line(rule)
    X = np.ones(10)
    model.fit(X, epochs=3, batch_size=4, verbose=0)  # 3 steps an epoch, the last one small
    assert w.value == pytest.approx(-(6 + 0.3))
    model.fit(X, epochs=1, batch_size=2, verbose=0)  # the fourth epoch, of 5 steps
    assert w.value == pytest.approx(-(6 + 0.3 + 0.5))
    model.fit(X, epochs=1, batch_size=10, verbose=0)
    assert w.value == pytest.approx(-(6 + 0.3 + 0.5 + 0.01))


def test_epochs_of_accumulated_steps():
    rate = schedule.StepLR(1.0, 1, gamma=0.5, per="epoch")
    model, w = line(optim.SGD(lr=rate, gradient_accumulation_steps=2))
    model.fit(np.ones(8), epochs=3, batch_size=2, verbose=0)  # 4 calls, 2 steps an epoch
    assert w.value == pytest.approx(-(2 + 1 + 0.5))


def test_epochs_that_nobody_knows():
    w = gn.Parameter(np.float64([0.0]), name="w")
    rule = optim.SGD(lr=schedule.ExponentialLR(1.0, 0.5, per="epoch"))
    with pytest.raises(gn.GraphError, match=r"ExponentialLR\(1.0, 0.5, per='epoch'\) counts epoch"):
        rule.updates(gn.sum(w), [w])
    rule.begin_epochs(2, done=1)
    step = gn.function([], [], updates=rule.updates(gn.sum(w), [w]))
    for _ in range(4):
        step()
    assert w.value[0] == -(0.5 + 0.5 + 0.25 + 0.25)


def test_the_rate_is_a_node_to_watch():
    rule = optim.SGD(lr=schedule.ExponentialLR(1.0, 0.5))
    w = gn.Parameter(np.float64([0.0]), name="w")
    updates = rule.updates(gn.sum(w), [w])
    step = gn.function([], rule.rate, updates=updates)
    assert [step().item() for _ in range(3)] == [1.0, 0.5, 0.25]


# --------------------------------------------------------------------------- plateau


@pytest.mark.torch
@pytest.mark.parametrize(
    "settings",
    [
        {"factor": 0.5, "patience": 2},
        {"factor": 0.5, "patience": 0, "cooldown": 3, "min_lr": 0.05},
        {"factor": 0.5, "patience": 1, "threshold": 0.3, "threshold_mode": "abs"},
        {"mode": "max", "factor": 0.3, "patience": 1, "threshold": 0.1},
        {"factor": 0.9, "patience": 0, "eps": 0.02},
    ],
)
def test_plateau_equals_torch(torch, rng, settings):
    scores = np.cumsum(rng.normal(size=60)).clip(0.5) + 1
    rule = optim.SGD(lr=LR)
    plateau = optim.ReduceLROnPlateau(rule, **settings)
    peer_rule = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(peer_rule, **settings)
    rates = []
    for score in scores:
        plateau.step(score)
        peer.step(score)
        assert rule.lr == pytest.approx(peer_rule.param_groups[0]["lr"], rel=1e-12)
        rates.append(rule.lr)
    assert rates[-1] < LR


def test_a_plateau_acts_on_the_compiled_step():
    model, w = line(optim.SGD(lr=1.0))
    plateau = optim.ReduceLROnPlateau(model.optimizer, factor=0.5, patience=0)
    compiled = model.training
    for score in (1.0, 2.0, 3.0):
        model.fit(np.ones(1), epochs=1, verbose=0)
        plateau.step(score)
    assert model.training is compiled
    assert w.value == -(1.0 + 1.0 + 0.5)


# --------------------------------------------------------------------------- finding a rate


def small_model(rng, rule):
    x = gn.Input((None, 5), name="x")
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1))
    model = gn.Model(x, nn.Linear(8, 1)(net(x)))
    model.compile(rule, loss="mse")
    X = rng.normal(size=(64, 5)).astype(np.float32)
    return model, X, X[:, :1] - X[:, 1:2]


def test_a_rate_is_found_and_nothing_is_changed(rng):
    rule = optim.SGD(lr=0.5, momentum=0.9)
    model, X, Y = small_model(rng, rule)
    before = model.state_dict()
    table = model.find_lr(X, Y, lowest=1e-5, highest=100.0, steps=80, batch_size=16)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert rule.lr == 0.5
    assert rule.state[0].value.max() == 0
    np.testing.assert_allclose(table.rates[:2], [1e-5, 1e-5 * 1e7 ** (1 / 79)])
    assert len(table.rates) == len(table.losses) == len(table.smoothed) < 80  # it was lost
    assert 1e-3 < table.steepest < 3.0
    assert table.smoothed.min() < 0.8 * table.smoothed[0]
    said = str(table).splitlines()
    assert said[0].split() == ["lr", "loss", "smoothed"]
    assert said[-1] == f"the loss falls fastest at lr = {table.steepest:.2g}"
    again = model.find_lr(X, Y, lowest=1e-5, highest=100.0, steps=80, batch_size=16)
    np.testing.assert_array_equal(again.losses, table.losses)


def test_the_first_losses_are_those_of_training(rng):
    """Rates that hardly move: each loss is that of its batch under the first weights."""
    x = gn.Input((None, 3), dtype="float64", name="x")
    w = gn.Parameter(np.ones(3), name="w")
    model = gn.Model(x, gn.sum(x * w, 1))
    model.compile("sgd", gn.sum(gn.sum(x * w, 1)), groups=[{"params": w, "lr_scale": 1e-9}])
    X = rng.normal(size=(12, 3))
    table = model.find_lr(X, lowest=1e-9, highest=1e-8, steps=3, batch_size=12)
    np.testing.assert_allclose(table.losses, X.sum(1).mean(), rtol=1e-6)


def test_rates_that_cannot_be_looked_at(rng):
    model, X, Y = small_model(rng, optim.SGD())
    with pytest.raises(gn.GraphError, match="go from lowest > 0 to a higher one.*lowest=1.0"):
        model.find_lr(X, Y, lowest=1.0, highest=0.5)
    with pytest.raises(gn.GraphError, match="steps is a whole number >= 3; got 2"):
        model.find_lr(X, Y, steps=2)
    with pytest.raises(gn.GraphError, match="the loss is lost: begin lower"):
        model.find_lr(X, Y * np.float32(1e30))


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedule.StepLR(0.0, 3), "lr=0.0 is out of range: it must be > 0"),
        (lambda: schedule.StepLR("a", 3), "lr='a' is no number"),
        (lambda: schedule.StepLR(0.1, 0), "step_size is a whole number >= 1; got 0"),
        (lambda: schedule.StepLR(0.1, 3, per="batch"), "per is 'step' or 'epoch'; got 'batch'"),
        (lambda: schedule.MultiStepLR(0.1, [3, 1]), r"milestones are whole numbers that grow"),
        (lambda: schedule.MultiStepLR(0.1, [1.5]), "a milestone is a whole number >= 1; got 1.5"),
        (lambda: schedule.ExponentialLR(0.1, 0.0), "gamma=0.0 is out of range"),
        (lambda: schedule.ConstantLR(0.1, factor=-1.0), "factor=-1.0 is out of range"),
        (lambda: schedule.PolynomialLR(0.1, power=0.0), "power=0.0 is out of range"),
        (lambda: schedule.CosineAnnealingLR(0.1, 5, -1.0), "eta_min=-1.0 is out of range"),
        (lambda: schedule.CosineAnnealingWarmRestarts(0.1, 5, 1.5), "T_mult is a whole number"),
        (lambda: schedule.OneCycleLR(0.1, 5, pct_start=2.0), r"pct_start=2.0 .* in \[0, 1\]"),
        (lambda: schedule.OneCycleLR(0.1, 5, anneal_strategy="sin"), "is 'cos' or 'linear'"),
        (lambda: schedule.CyclicLR(0.1, 0.2, mode="square"), "mode is 'triangular', "),
        (lambda: schedule.SequentialLR([], []), "SequentialLR takes a list of schedules"),
        (
            lambda: schedule.SequentialLR([schedule.StepLR(0.1, 3)] * 2, [1, 2]),
            "needs a milestone between each two, 1",
        ),
        (
            lambda: schedule.ChainedScheduler(
                [schedule.StepLR(0.1, 3), schedule.StepLR(0.1, 3, per="epoch")]
            ),
            "all schedules count steps, or all epochs",
        ),
        (lambda: schedule.LambdaLR(0.1, 3.0), "lr_lambda is a function of a node; got 3.0"),
        (
            lambda: schedule.LambdaLR(0.1, lambda t: 2.0).rates(3),
            "lr_lambda makes a float64 node of the shape of t",
        ),
        (lambda: schedule.StepLR(0.1, 3).rates(0), "count is a whole number >= 1; got 0"),
        (
            lambda: setattr(optim.SGD(lr=schedule.StepLR(0.1, 3)), "lr", 0.5),
            "a schedule is part of the compiled step",
        ),
        (
            lambda: setattr(optim.SGD(lr=0.5), "lr", schedule.StepLR(0.1, 3)),
            "a schedule is part of the compiled step",
        ),
        (
            lambda: optim.ReduceLROnPlateau(optim.SGD(lr=schedule.StepLR(0.1, 3))),
            "has a schedule, which decides its rate",
        ),
        (lambda: optim.ReduceLROnPlateau(0.1), "takes an optimizer; got 0.1"),
        (lambda: optim.ReduceLROnPlateau(optim.SGD(), "least"), "mode is 'min' or 'max'"),
        (lambda: optim.ReduceLROnPlateau(optim.SGD(), factor=1.0), r"factor=1.0 .* in \(0, 1\)"),
    ],
)
def test_settings_that_do_not_fit(make, message):
    with pytest.raises(gn.GraphError, match=message):
        make()


def test_schedules_show_their_settings():
    assert repr(schedule.StepLR(0.1, 30)) == "StepLR(0.1, 30)"
    warm = schedule.LinearLR(0.1, start_factor=0.5, per="epoch")
    assert repr(warm) == "LinearLR(0.1, start_factor=0.5, per='epoch')"
    with pytest.raises(AttributeError, match=r"Did you mean optim.schedule.CosineAnnealingLR\?"):
        schedule.CosineAnnealing  # noqa: B018
