"""The optimizers against torch on a network, their one kernel, groups, averages, accumulation."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim

RULES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "dampening": ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    "maximize": ("SGD", {"lr": 0.01, "maximize": True}),
    "adagrad": ("Adagrad", {"lr": 0.05}),
    "adagrad-all": (
        "Adagrad",
        {"lr": 0.05, "lr_decay": 0.1, "weight_decay": 0.01, "initial_accumulator_value": 0.1},
    ),
    "rmsprop": ("RMSprop", {"lr": 0.005, "eps": 1e-4}),
    "rmsprop-all": (
        "RMSprop",
        {"lr": 0.002, "alpha": 0.9, "eps": 1e-2, "momentum": 0.5, "centered": True,
         "weight_decay": 0.01},
    ),
    "adam": ("Adam", {"lr": 0.01, "eps": 1e-5}),
    "amsgrad": ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-5, "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.01, "eps": 1e-5, "weight_decay": 0.1}),
    "adamw-amsgrad": ("AdamW", {"lr": 0.02, "eps": 1e-5, "amsgrad": True}),
    "adadelta": ("Adadelta", {"lr": 1.0, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01, "eps": 1e-5}),
    "nadam-all": (
        "NAdam",
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-4, "momentum_decay": 0.02,
         "weight_decay": 0.05, "decoupled_weight_decay": True},
    ),
    "nadam-decay": ("NAdam", {"lr": 0.01, "eps": 1e-5, "weight_decay": 0.05}),
}  # fmt: skip
STEPS = 100
every_rule = pytest.mark.parametrize(("name", "settings"), RULES.values(), ids=RULES)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch: install graphnn[torch]")


class Network:
    """6-7-3 with tanh and cross-entropy."""

    def __init__(self, rng, dtype="float64"):
        self.x = gn.Input((None, 6), dtype=dtype, name="x")
        self.y = gn.Input((None,), dtype="int64", name="y")
        self.net = nn.Sequential(
            nn.Linear(6, 7, dtype=dtype), nn.Tanh(), nn.Linear(7, 3, dtype=dtype)
        )
        self.loss = gn.cross_entropy(self.net(self.x), self.y)
        self.parameters = self.net.parameters()
        self.batches = [
            (rng.normal(size=(16, 6)).astype(dtype), rng.integers(0, 3, 16)) for _ in range(4)
        ]

    def train(self, updates, steps=STEPS, outputs=None):
        step = gn.function([self.x, self.y], outputs or self.loss, updates=updates)
        return [step(*self.batches[i % 4]) for i in range(steps)]

    def peer(self, torch):
        """The same in torch: a module with equal weights."""
        first, second = self.net[0], self.net[2]
        kind = getattr(torch, first.weight.dtype)
        made = torch.nn.Sequential(
            torch.nn.Linear(6, 7, dtype=kind), torch.nn.Tanh(), torch.nn.Linear(7, 3, dtype=kind)
        )
        state = {name: torch.from_numpy(value) for name, value in self.net.state_dict().items()}
        made.load_state_dict(state)
        assert second.weight.shape == tuple(made[2].weight.shape)
        return made

    def train_peer(self, torch, peer, optimizer, between=None, after=None, steps=STEPS):
        losses = []
        for i in range(steps):
            x, y = self.batches[i % 4]
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(peer(torch.from_numpy(x)), torch.from_numpy(y))
            loss.backward()
            losses.append(loss.item())
            if between:
                between(peer)
            optimizer.step()
            if after:
                after(peer)
        return losses

    def assert_like(self, peer, dtype="float64", rtol=1e-9):
        # atol: a weight that crosses zero has no relative error to speak of.
        near = {"rtol": rtol, "atol": rtol / 100}
        if dtype == "float32":
            near = {"rtol": 1e-5, "atol": 2e-6}
        for name, value in self.net.state_dict().items():
            np.testing.assert_allclose(value, peer.state_dict()[name].numpy(), err_msg=name, **near)


@pytest.mark.torch
@every_rule
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_100_steps_equal_torch(torch, rng, dtype, name, settings):
    network = Network(rng, dtype)
    peer = network.peer(torch)
    before = network.net.state_dict()
    rule = getattr(optim, name)(**settings)
    losses = network.train(rule.updates(network.loss, network.parameters))
    peers = network.train_peer(
        torch, peer, getattr(torch.optim, name)(peer.parameters(), **settings)
    )
    # Torch keeps NAdam's product of momenta in float32, whatever the weights are.
    wide = 1e-7 if name == "NAdam" else 1e-9
    np.testing.assert_allclose(losses, peers, rtol=1e-5 if dtype == "float32" else wide)
    network.assert_like(peer, dtype, wide)
    moved = [np.abs(value - before[key]).max() for key, value in network.net.state_dict().items()]
    assert min(moved) > 1e-2


@pytest.mark.torch
@pytest.mark.parametrize(
    "name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adadelta", "NAdam"]
)
def test_defaults_are_those_of_torch(torch, name):
    import inspect

    peers = inspect.signature(getattr(torch.optim, name).__init__).parameters
    own = getattr(optim, name)().settings
    for setting, value in own.items():
        if (name, setting) != ("SGD", "lr"):  # 1e-3 in torch, 0.01 in Keras and here
            assert value == peers[setting].default, setting


def lion(p, gradient, lr, betas, decay, steps):
    """Chen et al. (2023), algorithm 2."""
    m = np.zeros_like(p)
    for _ in range(steps):
        g = gradient(p)
        update = betas[0] * m + (1 - betas[0]) * g
        p = p - lr * (np.sign(update) + decay * p)
        m = betas[1] * m + (1 - betas[1]) * g
    return p


def nadam(p, gradient, lr, betas, decay, momentum_decay, eps, steps):
    """Torch's recurrences, with decoupled decay, in float64."""
    m = v = np.zeros_like(p)
    product = 1.0
    for t in range(1, steps + 1):
        g = gradient(p)
        now, then = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product *= now
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        root = np.sqrt(v / (1 - betas[1] ** t)) + eps
        p = p - lr * decay * p
        p = p - lr * (1 - now) / (1 - product) * g / root
        p = p - lr * then / (1 - product * then) * m / root
    return p


def test_nadam_is_the_published_one(rng):
    scale, target, start = rng.uniform(0.2, 2, (3, 4, 3))
    p = gn.Parameter(start, name="p")
    loss = gn.sum(gn.Constant(scale) * gn.square(p - gn.Constant(target)))
    rule = optim.NAdam(0.01, (0.8, 0.99), 1e-4, 0.05, 0.02, decoupled_weight_decay=True)
    step = gn.function([], loss, updates=rule.updates(loss, [p]))
    for _ in range(STEPS):
        step()
    expected = nadam(
        start, lambda p: 2 * scale * (p - target), 0.01, (0.8, 0.99), 0.05, 0.02, 1e-4, STEPS
    )
    np.testing.assert_allclose(p.value, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_lion_is_the_published_one(rng, dtype, decay):
    scale, target, start = rng.uniform(0.2, 2, (3, 4, 3)).astype(dtype)
    p = gn.Parameter(start, name="p")
    loss = gn.sum(gn.Constant(scale) * gn.square(p - gn.Constant(target)))
    rule = optim.Lion(lr=0.003, betas=(0.8, 0.95), weight_decay=decay)
    step = gn.function([], loss, updates=rule.updates(loss, [p]))
    for _ in range(STEPS):
        step()
    expected = lion(
        start.astype(dtype), lambda p: 2 * scale * (p - target), 0.003, (0.8, 0.95), decay, STEPS
    )
    assert np.abs(expected - start).max() > 0.1
    np.testing.assert_allclose(p.value, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


def test_centered_rmsprop_survives_a_constant_slope(rng):
    """The variance of a constant gradient is 0, and rounds to less."""
    p = gn.Parameter(np.zeros(400, np.float32), name="p")
    slopes = gn.Constant(rng.uniform(0.1, 3, 400).astype(np.float32))
    rule = optim.RMSprop(lr=1e-3, alpha=0.5, eps=1e-2, centered=True)
    step = gn.function([], [], updates=rule.updates(gn.sum(p * slopes), [p]))
    for _ in range(100):
        step()
    assert np.isfinite(p.value).all()


# --------------------------------------------------------------------------- kernels

KERNELS = {**RULES, "lion": ("Lion", {"weight_decay": 0.1})}
EXTRAS = {
    "plain": {},
    "l1": {"l1": 0.1},
    "average": {"ema_momentum": 0.9},
    "accumulate": {"gradient_accumulation_steps": 3, "ema_momentum": 0.9},
    "value": {"clipvalue": 0.1},
    "norm": {"global_clipnorm": 0.1},
}


def planned(rule, shapes):
    parameters = [gn.Parameter(np.ones(s, np.float32), name=f"p{i}") for i, s in enumerate(shapes)]
    loss = gn.sum(gn.stack([gn.sum(gn.square(p)) for p in parameters]))
    return gn.function([], loss, updates=rule.updates(loss, parameters)).plan


def update_steps(plan):
    """Steps of the update pass that loop over a parameter, by kernel."""
    return [
        kernel.name
        for step, kernel in zip(plan.steps, plan.kernels, strict=True)
        if step.group.role == "update" and step.group.shape != ()
    ]


@pytest.mark.parametrize(("name", "settings"), KERNELS.values(), ids=KERNELS)
def test_one_kernel_passes_over_each_parameter(name, settings):
    kind = getattr(optim, name)
    few = planned(kind(**settings), [(5,), (4, 3)])
    assert len(update_steps(few)) == 2
    assert len(set(update_steps(few))) == 1
    many = planned(kind(**settings), [(i + 2,) for i in range(9)] + [(i + 2, 3) for i in range(9)])
    assert len(update_steps(many)) == 18
    assert {k.source for k in many.kernels if k.name in update_steps(many)} == {
        k.source for k in few.kernels if k.name in update_steps(few)
    }


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_extras_join_the_kernel(extra):
    plan = planned(optim.Adam(**extra), [(5,), (4, 3), (6, 2)])
    passes = [name for name in update_steps(plan) if "adam_update" in name or "more" in name]
    assert len(passes) == 3
    rest = [name for name in update_steps(plan) if name not in passes]
    # Clipping by the norm: a sum for each, their join, and the sum over that.
    assert len(rest) == (5 if "global_clipnorm" in extra else 0)


def test_kernels_do_not_grow_with_the_parameters():
    rule = {"global_clipnorm": 1.0, "ema_momentum": 0.9}
    counts = [
        len({k.source for k in planned(optim.Adam(**rule), [(3,), (2, 2)] * n).kernels})
        for n in (3, 40)
    ]
    assert counts[0] == counts[1]


# --------------------------------------------------------------------------- groups


@pytest.mark.torch
def test_groups_equal_torch(torch, rng):
    network = Network(rng)
    peer = network.peer(torch)
    first, second = network.net[0], network.net[2]
    groups = [
        {"params": [first.bias, second.bias], "weight_decay": 0.0, "betas": (0.8, 0.9)},
        {"params": [second.weight], "lr": 0.05},
        {"params": [first.weight]},
    ]
    rule = optim.AdamW(lr=0.01, weight_decay=0.2)
    network.train(rule.updates(network.loss, groups))
    peer_groups = [
        {"params": [peer[0].bias, peer[2].bias], "weight_decay": 0.0, "betas": (0.8, 0.9)},
        {"params": [peer[2].weight], "lr": 0.05},
        {"params": [peer[0].weight]},
    ]
    network.train_peer(torch, peer, torch.optim.AdamW(peer_groups, lr=0.01, weight_decay=0.2))
    network.assert_like(peer)


@pytest.mark.torch
@pytest.mark.parametrize("who", ["predicate", "module", "parameter"])
def test_groups_of_the_optimizer(torch, rng, who):
    """No decay and a tenth of the rate for some, by a schedule that all follow."""
    network = Network(rng)
    peer = network.peer(torch)
    chosen = {
        "predicate": optim.biases_and_norms,
        "module": network.net[2],
        "parameter": network.net[0].weight,
    }[who]
    names = {"predicate": ["0.bias", "2.bias"], "module": ["2.weight", "2.bias"]}.get(
        who, ["0.weight"]
    )
    rule = optim.SGD(
        lr=optim.schedule.ExponentialLR(0.1, gamma=0.99),
        momentum=0.9,
        weight_decay=0.1,
        groups=[{"params": chosen, "weight_decay": 0.0, "lr_scale": 0.1}],
    )
    network.train(rule.updates(network.loss, network.parameters))
    split = {True: [], False: []}
    for name, parameter in peer.named_parameters():
        split[name in names].append(parameter)
    peer_rule = torch.optim.SGD(
        [{"params": split[True], "weight_decay": 0.0, "lr": 0.01}, {"params": split[False]}],
        lr=0.1, momentum=0.9, weight_decay=0.1,
    )  # fmt: skip
    decay = torch.optim.lr_scheduler.ExponentialLR(peer_rule, 0.99)
    network.train_peer(torch, peer, peer_rule, after=lambda _: decay.step())
    network.assert_like(peer)


def test_a_group_follows_the_rate_that_is_set():
    a, b = (gn.Parameter(np.float64([0.0]), name=name) for name in "ab")
    loss = gn.sum(a + b)
    rule = optim.SGD(lr=1.0, groups=[{"params": a, "lr_scale": 0.5}])
    step = gn.function([], [], updates=rule.updates(loss, [a, b]))
    rule.lr = 4.0
    step()
    assert (a.value[0], b.value[0]) == (-2.0, -4.0)


def test_the_first_group_that_fits_counts_and_l1_is_a_setting_of_groups():
    a, b = (gn.Parameter(np.float64([2.0]), name=name) for name in "ab")
    rule = optim.SGD(
        lr=1.0, l1=0.25, groups=[{"params": a, "l1": 0.0}, {"params": lambda p: True, "lr": 2.0}]
    )
    step = gn.function([], [], updates=rule.updates(gn.sum(a + b), [a, b]))
    step()
    assert (a.value[0], b.value[0]) == (1.0, -0.5)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"lr": 0.1}], 'group 0 has no "params"'),
        ([{"params": lambda p: True, "beta": 1}], r"group 0 has no setting 'beta'.*mean 'betas'"),
        ([{"params": lambda p: True, "lr": -1.0}], r"lr=-1.0 is out of range"),
        ([{"params": lambda p: True, "lr_scale": 0}], r"lr_scale=0 is out of range"),
        ([{"params": 3}], r'the "params" of group 0 are no parameters: 3'),
        ([{"params": []}], r'the "params" of group 0 are no parameters'),
        ({"params": 3}, r"groups are a list of dicts"),
        ([{"params": gn.Parameter([1.0], name="q")}], "group 0 holds none of the parameters"),
    ],
)
def test_groups_that_do_not_fit(groups, message):
    p = gn.Parameter([1.0, 2.0], name="p")
    with pytest.raises(gn.GraphError, match=message):
        optim.Adam(groups=groups).updates(gn.sum(gn.square(p)), [p])


def test_torch_groups_that_do_not_fit():
    p = gn.Parameter([1.0, 2.0], name="p")
    loss = gn.sum(gn.square(p))
    with pytest.raises(gn.GraphError, match="p is in two groups"):
        optim.SGD().updates(loss, [{"params": [p]}, {"params": p}])
    with pytest.raises(gn.GraphError, match="needs the parameters of each group, and no function"):
        optim.SGD().updates(loss, [{"params": lambda p: True}])


class Remembers(optim.Optimizer):
    """An optimizer of a user's, with a setting that it does or does not keep."""

    def __init__(self, lr, power=1.0, kept=True):
        super().__init__(lr)
        self.kept = kept
        if kept:
            self.power = power

    def step(self, parameter, gradient):
        return [(parameter, parameter - gradient * self.power)]


def test_groups_of_a_users_optimizer():
    p = gn.Parameter([1.0], name="p")
    groups = [{"params": [p], "power": 3.0}]
    step = gn.function([], [], updates=Remembers(0.1).updates(gn.sum(p), groups))
    step()
    assert p.value == -2.0
    with pytest.raises(gn.GraphError, match="say self.power = power in its __init__"):
        Remembers(0.1, kept=False).updates(gn.sum(p), groups)
    with pytest.raises(TypeError, match="Remembers has no setting 'clipnorm'"):
        Remembers(0.1, clipnorm=1.0)


# --------------------------------------------------------------------------- averages


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_averages_equal_torch(torch, rng, dtype):
    network = Network(rng, dtype)
    peer = network.peer(torch)
    rule = optim.SGD(lr=0.1, momentum=0.9, ema_momentum=0.95)
    network.train(rule.updates(network.loss, network.parameters))
    peer_average = torch.optim.swa_utils.AveragedModel(
        peer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.95)
    )
    peer_rule = torch.optim.SGD(peer.parameters(), lr=0.1, momentum=0.9)
    network.train_peer(torch, peer, peer_rule, after=peer_average.update_parameters)
    network.assert_like(peer, dtype)
    own = network.net.state_dict()
    with rule.averaged():
        network.assert_like(peer_average.module, dtype)
    for name, value in network.net.state_dict().items():
        np.testing.assert_array_equal(value, own[name])


def test_a_model_is_evaluated_with_averages(rng):
    x = gn.Input((None, 3), name="x")
    model = gn.Model(x, nn.Linear(3, 1)(x))
    rule = optim.SGD(lr=0.1, ema_momentum=0.9)
    model.compile(rule, loss="mse")
    X = rng.normal(size=(32, 3)).astype(np.float32)
    Y = X[:, :1]
    model.fit(X, Y, epochs=2, verbose=0)
    plain = model.predict(X)
    with pytest.raises(ZeroDivisionError), rule.averaged():
        assert np.abs(model.predict(X) - plain).max() > 1e-3
        1 / 0  # noqa: B018 - the weights come back
    np.testing.assert_array_equal(model.predict(X), plain)


def test_averages_that_are_not_there():
    p = gn.Parameter([1.0], name="p")
    rule = optim.SGD()
    rule.updates(gn.sum(p), [p])
    with (
        pytest.raises(gn.GraphError, match="make the optimizer with ema_momentum=0.999"),
        rule.averaged(),
    ):
        pass
    rule = optim.SGD(ema_momentum=0.5)
    rule.updates(gn.sum(p), [p])
    with (
        pytest.raises(gn.GraphError, match="nothing to average before the first step"),
        rule.averaged(),
    ):
        pass


# --------------------------------------------------------------------------- accumulation, scaling


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "settings"),
    [("SGD", {"lr": 0.1, "momentum": 0.9}), ("AdamW", {"lr": 0.01, "weight_decay": 0.1})],
)
def test_accumulated_gradients_equal_torch(torch, rng, name, settings):
    network = Network(rng)
    peer = network.peer(torch)
    rule = getattr(optim, name)(gradient_accumulation_steps=3, **settings)
    network.train(rule.updates(network.loss, network.parameters), steps=31)
    peer_rule = getattr(torch.optim, name)(peer.parameters(), **settings)
    for i in range(31):
        x, y = network.batches[i % 4]
        out = peer(torch.from_numpy(x))
        (torch.nn.functional.cross_entropy(out, torch.from_numpy(y)) / 3).backward()
        if i % 3 == 2:
            peer_rule.step()
            peer_rule.zero_grad()
    network.assert_like(peer)


def test_weights_move_at_every_third_call_only():
    p = gn.Parameter(np.float64([1.0]), name="p")
    rule = optim.Adam(lr=0.5, gradient_accumulation_steps=3, ema_momentum=0.5)
    step = gn.function([], [], updates=rule.updates(gn.sum(gn.square(p)), [p]))
    seen = []
    for _ in range(7):
        step()
        seen.append((p.value[0], rule.steps_done.value.item()))
    assert [steps for _, steps in seen] == [0, 0, 1, 1, 1, 2, 2]
    assert [value == 1.0 for value, _ in seen] == [True, True, *[False] * 5]
    assert seen[2][0] == seen[4][0] != seen[5][0]


def test_a_scaled_loss_gives_the_same_step(rng):
    starts = []
    for factor in (None, 1024.0):
        gn.set_seed(3)
        network = Network(np.random.default_rng(1))
        rule = optim.Adam(lr=0.01, loss_scale_factor=factor)
        network.train(rule.updates(network.loss, network.parameters), steps=5)
        starts.append(network.net.state_dict())
    for name, value in starts[0].items():
        np.testing.assert_allclose(starts[1][name], value, rtol=1e-12)


def test_l1_is_the_slope_of_the_norm():
    p = gn.Parameter(np.float64([2.0, -3.0, 0.0]), name="p")
    rule = optim.SGD(lr=1.0, l1=0.5)
    step = gn.function([], [], updates=rule.updates(gn.sum(p), [p]))
    step()
    np.testing.assert_array_equal(p.value, [0.5, -3.5, -1.0])


# --------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l1": -1.0}, r"l1=-1.0 is out of range"),
        ({"ema_momentum": 1.0}, r"ema_momentum=1.0 is out of range: it must be in \[0, 1\)"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is a whole number >= 1"),
        ({"loss_scale_factor": 0.0}, "loss_scale_factor=0.0 is out of range"),
        ({"clipnorm": -1.0}, "clipnorm=-1.0 is out of range"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "clipped in one way; got clipnorm and clipvalue"),
    ],
)
@pytest.mark.parametrize(
    "name", ["SGD", "Adadelta", "Adagrad", "AdamW", "Lion", "NAdam", "RMSprop"]
)
def test_common_settings_out_of_range(name, settings, message):
    with pytest.raises(gn.GraphError, match=message):
        getattr(optim, name)(**settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "needs dampening=0"),
        ("Adadelta", {"rho": 1.0}, "rho=1.0 is out of range"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value=-1 is out"),
        ("Adagrad", {"lr_decay": -1}, "lr_decay=-1 is out"),
        ("Lion", {"betas": (0.9, 1.0)}, r"betas\[1\]=1.0 is out of range"),
        ("NAdam", {"momentum_decay": -1}, "momentum_decay=-1 is out"),
        ("RMSprop", {"alpha": 1.0}, "alpha=1.0 is out of range"),
        ("RMSprop", {"eps": 0.0}, "eps=0.0 is out of range"),
    ],
)
def test_settings_of_each_out_of_range(name, settings, message):
    with pytest.raises(gn.GraphError, match=message):
        getattr(optim, name)(**settings)


def test_settings_that_there_are_not():
    with pytest.raises(TypeError, match=r"RMSprop has no setting 'centred'.*mean centered="):
        optim.RMSprop(centred=True)
    with pytest.raises(TypeError, match=r"Lion has no setting 'clip_norm'.*mean clipnorm="):
        optim.Lion(clip_norm=1.0)
    with pytest.raises(AttributeError, match=r"Did you mean optim.clip_grad_norm\?"):
        optim.clip_grad_norm_  # noqa: B018


def test_names():
    assert optim.by_name("rmsprop", centered=True).centered
    assert optim.by_name("momentum").momentum == 0.9
    assert optim.by_name("nesterov", lr=0.5).lr == 0.5
    with pytest.raises(TypeError, match="Adam has no setting 'momentum'"):
        optim.by_name("adam", momentum=0.9)


def test_an_optimizer_shows_what_was_set():
    shown = repr(optim.Lion(lr=optim.schedule.StepLR(0.1, 5), clipvalue=1.0))
    assert shown == "Lion(lr=StepLR(0.1, 5), betas=(0.9, 0.99), weight_decay=0.0, clipvalue=1.0)"
