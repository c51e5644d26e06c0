"""Convolutional and pooling layers beside torch's: state, values, gradients, a LeNet's training."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.errors import GraphError, ShapeError

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

LAYERS = [
    ("Conv1d", (4, 6, 3), {}, (2, 4, 9)),
    ("Conv1d", (4, 6, 4), {"padding": "same", "groups": 2}, (2, 4, 9)),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "circular", "dilation": 2}, (2, 4, 9)),
    ("Conv2d", (3, 4, 3), {"padding": 1}, (2, 3, 7, 6)),
    ("Conv2d", (3, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "bias": False}, (2, 3, 7, 6)),
    ("Conv2d", (4, 8, 3), {"groups": 4, "dilation": 2, "padding": "same"}, (2, 4, 7, 6)),
    *(
        ("Conv2d", (3, 4, (3, 4)), {"padding": padding, "padding_mode": mode}, (2, 3, 7, 6))
        for mode in ("circular", "reflect", "replicate")
        for padding in (2, "same")
    ),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "dilation": 2}, (2, 4, 5, 4)),
    (
        "ConvTranspose2d",
        (4, 6, (3, 4)),
        {"stride": (2, 3), "padding": (0, 1), "output_padding": (1, 2), "bias": False},
        (2, 4, 5, 4),
    ),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 4, 9)),
    ("MaxPool2d", (2,), {}, (2, 3, 7, 6)),
    ("MaxPool2d", (3,), {"stride": 1, "dilation": 2, "ceil_mode": True}, (2, 3, 7, 6)),
    ("AvgPool1d", (3,), {"padding": 1, "count_include_pad": False}, (2, 4, 9)),
    ("AvgPool2d", ((3, 2),), {"stride": 2, "ceil_mode": True}, (2, 3, 7, 6)),
    ("AvgPool2d", (2,), {"divisor_override": 3}, (2, 3, 7, 6)),
    ("AdaptiveAvgPool1d", (4,), {}, (2, 4, 9)),
    ("AdaptiveAvgPool2d", ((4, None),), {}, (2, 3, 7, 6)),
    ("AdaptiveMaxPool1d", (4,), {}, (2, 4, 9)),
    ("AdaptiveMaxPool2d", (1,), {}, (2, 3, 7, 6)),
]


@pytest.mark.parametrize(("kind", "arguments", "options", "shape"), LAYERS, ids=map(str, LAYERS))
def test_torchs_state_values_and_gradients(kind, arguments, options, shape, rng):
    peer = getattr(torch.nn, kind)(*arguments, **options).double()
    ours = getattr(nn, kind)(
        *arguments, **options, **({"dtype": "float64"} if "Conv" in kind else {})
    )
    state = {name: value.numpy() for name, value in peer.state_dict().items()}
    assert {n: v.shape for n, v in ours.state_dict().items()} == {
        n: v.shape for n, v in state.items()
    }
    ours.load_state_dict(state)
    array = rng.standard_normal(shape)
    tensor = torch.tensor(array, requires_grad=True)
    expected = peer(tensor)
    wanted = torch.autograd.grad((expected**2).sum(), [tensor, *peer.parameters()])

    x = gn.Input((None, *shape[1:]), "float64")
    y = ours(x)
    gradients = gn.grad(gn.sum(gn.square(y)), [x, *ours.parameters()])
    found = gn.function(x, [y, *gradients])(array)
    for a, b in zip(found, [expected, *wanted], strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "arguments", "options", "fan_in"),
    [
        ("Conv1d", (64, 128, 5), {}, 64 * 5),
        ("Conv2d", (64, 96, 3), {"groups": 2}, 32 * 9),
        ("ConvTranspose2d", (64, 96, 3), {"groups": 2}, 48 * 9),
    ],
)
def test_initial_weights_are_distributed_as_torchs(kind, arguments, options, fan_in):
    layer = getattr(nn, kind)(*arguments, **options)
    peer = getattr(torch.nn, kind)(*arguments, **options)
    bound = 1 / np.sqrt(fan_in)
    for ours, theirs in ((layer.weight, peer.weight), (layer.bias, peer.bias)):
        assert ours.shape == tuple(theirs.shape)
        for values in (ours.value, theirs.detach().numpy()):
            assert np.abs(values).max() <= bound
            assert np.abs(values).max() > 0.9 * bound
    assert layer.weight.value.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
    assert abs(layer.weight.value.mean()) < 0.02 * bound


class LeNet(nn.Module):
    """LeNet-5, its usual modern form."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * 5 * 5, 20), nn.Linear(20, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


def torchs_lenet():
    t = torch.nn
    net = t.Module()
    net.features = t.Sequential(
        t.Conv2d(1, 6, 5, padding=2), t.ReLU(), t.MaxPool2d(2),
        t.Conv2d(6, 16, 5), t.Tanh(), t.AvgPool2d(2),
    )  # fmt: skip
    net.classifier = t.Sequential(t.Flatten(), t.Linear(16 * 5 * 5, 20), t.Linear(20, 10))
    return net


def test_a_lenet_learns_as_torchs(rng):
    """Ten steps of SGD with momentum from the same weights: the same losses and weights."""
    net, peer = LeNet(), torchs_lenet()
    images = rng.standard_normal((16, 1, 28, 28)).astype(np.float32)
    labels = rng.integers(0, 10, 16)
    x, y = gn.Input((None, 1, 28, 28)), gn.Input((None,), "int64")
    loss = gn.cross_entropy(net(x), y)
    peer.load_state_dict({n: torch.tensor(v) for n, v in net.state_dict().items()})
    updates = optim.SGD(0.05, momentum=0.9).updates(loss, net.parameters())
    step = gn.function([x, y], loss, updates)
    stepper = torch.optim.SGD(peer.parameters(), 0.05, momentum=0.9)
    for _ in range(10):
        stepper.zero_grad()
        h = peer.classifier(peer.features(torch.tensor(images)))
        expected = torch.nn.functional.cross_entropy(h, torch.tensor(labels))
        expected.backward()
        stepper.step()
        assert float(step(images, labels)) == pytest.approx(expected.item(), rel=1e-3)
    step.plan.check()
    for name, theirs in peer.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], theirs.numpy(), rtol=1e-2, atol=1e-4)


def test_a_lenet_has_the_same_bits_on_every_number_of_threads(rng, on_each_number_of_threads):
    net = LeNet()
    images = rng.standard_normal((7, 1, 28, 28)).astype(np.float32)
    labels = rng.integers(0, 10, 7)
    x, y = gn.Input((None, 1, 28, 28)), gn.Input((None,), "int64")
    loss = gn.cross_entropy(net(x), y)
    function = gn.function([x, y], [loss, *gn.grad(loss, net.parameters())])
    on_each_number_of_threads(lambda: function(images, labels))
    function.plan.check()


def test_fit_with_a_tail_batch(rng):
    """In the compiled loop the last batch is smaller, and lies where the larger one's scratch is."""
    images = rng.standard_normal((22, 1, 28, 28)).astype(np.float32)
    labels = rng.integers(0, 10, 22)
    net = LeNet()
    start = net.state_dict()
    x, y = gn.Input((None, 1, 28, 28)), gn.Input((None,), "int64")
    model = gn.Model(x, net(x))
    model.compile(optimizer=optim.SGD(0.1), loss="cross_entropy")
    model.fit(images, labels, epochs=2, batch_size=8, shuffle=False, verbose=0)
    fitted = net.state_dict()

    net.load_state_dict(start)
    loss = gn.cross_entropy(net(x), y)
    step = gn.function([x, y], loss, optim.SGD(0.1).updates(loss, net.parameters()))
    for _ in range(2):
        for first in (0, 8, 16):
            step(images[first : first + 8], labels[first : first + 8])
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(fitted[name], value, rtol=1e-4, atol=1e-6)
        assert not np.array_equal(value, start[name])


def test_how_layers_are_shown():
    assert repr(nn.Conv2d(1, 6, 5)) == "Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))"
    assert repr(nn.Conv1d(4, 6, 3, padding="same", groups=2, bias=False)) == (
        "Conv1d(4, 6, kernel_size=(3,), stride=(1,), padding='same', groups=2, bias=False)"
    )
    shown = repr(nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1))
    assert shown == (
        "ConvTranspose2d(4, 6, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))"
    )
    assert repr(nn.AdaptiveAvgPool2d(1)) == "AdaptiveAvgPool2d(output_size=1)"
    assert "kernel_size=2, stride=2" in repr(nn.MaxPool2d(2))


def test_names_and_scopes():
    x = gn.Input((None, 3, 8, 8))
    y = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), name="net")(x)
    assert y.name == "net.2.max_pool2d"
    assert [p.name for p in gn.Graph(y).parameters] == ["net.0.weight", "net.0.bias"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 divides both .*in_channels=3"),
        (lambda: nn.Conv2d(0, 4, 3), "nn.Conv2d: in_channels is a whole number >= 1; got 0"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size is a whole number >= 1, or 2 of them"),
        (lambda: nn.Conv1d(3, 4, (3, 3)), "kernel_size is a whole number >= 1; got"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="wrap"), "one of zeros, circular, reflect"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "needs stride=1"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding is a whole number >= 0"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "is 'zeros'"),
    ],
)
def test_arguments_that_do_not_fit(make, message):
    with pytest.raises(GraphError, match=message):
        make()


def test_inputs_that_do_not_fit():
    net = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular", name="first")
    with pytest.raises(ShapeError, match=r"first: conv2d needs .*4 axes .*gn.expand_dims"):
        net(gn.Input((3, 8, 8)))
    with pytest.raises(ShapeError, match=r"x.shape\[1\] == weight.shape\[1\]; got \(None, 1, "):
        net(gn.Input((None, 1, 8, 8)))


def test_a_length_that_is_too_short_is_said_when_it_is_known(rng):
    x = gn.Input((None, 2, "L"))
    function = gn.function(x, gn.conv1d(x, np.ones((3, 2, 5), np.float32)))
    assert function(np.ones((1, 2, 5), np.float32)).shape == (1, 3, 1)
    with pytest.raises(ShapeError, match=r"conv1d.* needs L >= 5; got L = 4"):
        function(np.ones((1, 2, 4), np.float32))
