"""Whole networks beside torch's: torch's names and weights, values, gradients, a step, inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install graphnn[torch]")
pytestmark = pytest.mark.torch
t = torch.nn
F = torch.nn.functional

TOLERANCE = {"float32": 1e-3, "float64": 1e-8}
RATE, MOMENTUM = 0.05, 0.9
CLASSES = 5

# ------------------------------------------------------ the same networks twice, as users write them


class MLP(nn.Module):
    """Batch norm, dropout, and a middle layer that is called twice."""

    def __init__(self, dtype, dropout=0.0):
        super().__init__()
        self.first = nn.Linear(12, 16, dtype=dtype)
        self.norm = nn.BatchNorm1d(16, dtype=dtype)
        self.middle = nn.Linear(16, 16, dtype=dtype)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(16, CLASSES, bias=False, dtype=dtype)

    def forward(self, x):
        h = gn.relu(self.norm(self.first(x)))
        for _ in range(2):
            h = self.dropout(gn.tanh(self.middle(h)))
        return self.last(h)


class TorchMLP(t.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.first = t.Linear(12, 16)
        self.norm = t.BatchNorm1d(16)
        self.middle = t.Linear(16, 16)
        self.dropout = t.Dropout(dropout)
        self.last = t.Linear(16, CLASSES, bias=False)

    def forward(self, x):
        h = torch.relu(self.norm(self.first(x)))
        for _ in range(2):
            h = self.dropout(torch.tanh(self.middle(h)))
        return self.last(h)


class LeNet(nn.Module):
    """Convolutions, both poolings and both activations; its features can be frozen."""

    def __init__(self, dtype):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2, dtype=dtype), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(4, 6, 3, dtype=dtype), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(6 * 3 * 3, 10, dtype=dtype), nn.Tanh(),
            nn.Linear(10, CLASSES, dtype=dtype),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x))


class TorchLeNet(t.Module):
    def __init__(self):
        super().__init__()
        self.features = t.Sequential(
            t.Conv2d(1, 4, 5, padding=2), t.Tanh(), t.AvgPool2d(2),
            t.Conv2d(4, 6, 3), t.ReLU(), t.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = t.Sequential(
            t.Flatten(), t.Linear(6 * 3 * 3, 10), t.Tanh(), t.Linear(10, CLASSES)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


WIDTHS = (4, "pool", 8, "pool", 8, 8, "pool")


class VGG(nn.Module):
    """3x3 convolutions with batch norm, in a list that grows by a configuration."""

    def __init__(self, dtype):
        super().__init__()
        layers, channels = [], 3
        for width in WIDTHS:
            if width == "pool":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv = nn.Conv2d(channels, width, kernel_size=3, padding=1, dtype=dtype)
                layers += [conv, nn.BatchNorm2d(width, dtype=dtype), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * 2 * 2, CLASSES, dtype=dtype)

    def forward(self, x):
        return self.classifier(gn.flatten(self.features(x)))


class TorchVGG(t.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for width in WIDTHS:
            if width == "pool":
                layers += [t.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv = t.Conv2d(channels, width, kernel_size=3, padding=1)
                layers += [conv, t.BatchNorm2d(width), t.ReLU(inplace=True)]
                channels = width
        self.features = t.Sequential(*layers)
        self.classifier = t.Linear(channels * 2 * 2, CLASSES)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class BasicBlock(nn.Module):
    """He, Zhang, Ren, Sun (2015), figure 5 left, with the projection of option B."""

    def __init__(self, channels, width, stride, dtype):
        super().__init__()
        options = {"bias": False, "dtype": dtype}
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, **options)
        self.bn1 = nn.BatchNorm2d(width, dtype=dtype)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, **options)
        self.bn2 = nn.BatchNorm2d(width, dtype=dtype)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, **options),
                nn.BatchNorm2d(width, dtype=dtype),
            )

    def forward(self, x):
        h = gn.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        shortcut = x if self.downsample is None else self.downsample(x)
        return gn.relu(h + shortcut)


class ResNet18(nn.Module):
    """Its 18 layers, from the 7x7 stem to global average pooling, an eighth as wide."""

    def __init__(self, dtype, widths=(8, 16, 32, 64)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False, dtype=dtype)
        self.bn1 = nn.BatchNorm2d(widths[0], dtype=dtype)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        blocks, channels = [], widths[0]
        for stage, width in enumerate(widths):
            first = BasicBlock(channels, width, 2 if stage else 1, dtype)
            blocks.append(nn.Sequential(first, BasicBlock(width, width, 1, dtype)))
            channels = width
        self.layer1, self.layer2, self.layer3, self.layer4 = blocks
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, CLASSES, dtype=dtype)

    def forward(self, x):
        h = self.maxpool(gn.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            h = layer(h)
        return self.fc(gn.flatten(self.avgpool(h)))


class TorchBasicBlock(t.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = t.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = t.BatchNorm2d(width)
        self.conv2 = t.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = t.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = t.Sequential(
                t.Conv2d(channels, width, 1, stride=stride, bias=False), t.BatchNorm2d(width)
            )

    def forward(self, x):
        h = torch.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(h + shortcut)


class TorchResNet18(t.Module):
    def __init__(self, widths=(8, 16, 32, 64)):
        super().__init__()
        self.conv1 = t.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = t.BatchNorm2d(widths[0])
        self.maxpool = t.MaxPool2d(3, stride=2, padding=1)
        channels = widths[0]
        for stage, width in enumerate(widths):
            first = TorchBasicBlock(channels, width, 2 if stage else 1)
            both = t.Sequential(first, TorchBasicBlock(width, width, 1))
            self.add_module(f"layer{stage + 1}", both)
            channels = width
        self.avgpool = t.AdaptiveAvgPool2d((1, 1))
        self.fc = t.Linear(channels, CLASSES)

    def forward(self, x):
        h = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            h = layer(h)
        return self.fc(torch.flatten(self.avgpool(h), 1))


# --------------------------------------------------------------------------------- the comparison


@dataclass(frozen=True)
class Pair:
    """One network on both sides, and the images that it takes."""

    ours: Callable
    theirs: Callable
    shape: tuple[int, ...]
    frozen: str = ""  # a child
    held: bool = False  # whether its running averages stay too

    def __str__(self) -> str:
        return self.ours.__name__ + ", frozen" * bool(self.frozen) + " and held" * self.held


PAIRS = [
    Pair(MLP, TorchMLP, (12,)),
    Pair(MLP, TorchMLP, (12,), frozen="norm"),
    Pair(MLP, TorchMLP, (12,), frozen="norm", held=True),
    Pair(LeNet, TorchLeNet, (1, 16, 16)),
    Pair(LeNet, TorchLeNet, (1, 16, 16), frozen="features"),
    Pair(VGG, TorchVGG, (3, 16, 16)),
    Pair(ResNet18, TorchResNet18, (3, 32, 32)),
]


def peer_of(pair: Pair, dtype: str):
    """Torch's network with weights, and statistics of batches before, that are no round numbers."""
    torch.manual_seed(0)
    peer = pair.theirs().to(getattr(torch, dtype))
    for module in peer.modules():
        if isinstance(module, t.BatchNorm1d | t.BatchNorm2d):
            for place, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 1.5),
            ):
                t.init.uniform_(place, low, high)
            module.num_batches_tracked += 3
    if pair.frozen:
        getattr(peer, pair.frozen).requires_grad_(False)
    return peer


def batch_of(pair: Pair, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((12, *pair.shape)).astype(dtype), rng.integers(0, CLASSES, 12)


def same(found: np.ndarray, wanted: torch.Tensor, what: str, least: float = 0.0) -> None:
    """Equal up to the dtype's tolerance, near 0 up to that of the array's largest number.

    ``least`` is the scale of an array that may be all 0 but for rounding.
    """
    theirs = wanted.detach().numpy()
    assert found.shape == theirs.shape, what
    assert found.dtype == theirs.dtype, what
    rtol = TOLERANCE.get(found.dtype.name, 0)
    scale = max(float(np.abs(theirs).max(initial=0)), least)
    np.testing.assert_allclose(found, theirs, rtol=rtol, atol=rtol * scale, err_msg=what)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_a_network_is_torchs(pair, dtype):
    peer, net = peer_of(pair, dtype), pair.ours(dtype)
    images, labels = batch_of(pair, dtype)
    assert net.load_torch_state_dict(peer.state_dict()) == ([], [])
    assert list(net.to_torch_state_dict()) == list(peer.state_dict())
    if pair.frozen:
        part = getattr(net, pair.frozen)
        assert (part.freeze() if pair.held else part.requires_grad_(False)) is part
    learned = {name: p for name, p in net.named_parameters() if p.trainable}
    assert list(learned) == [name for name, p in peer.named_parameters() if p.requires_grad]
    assert not pair.frozen or not any(name.startswith(pair.frozen) for name in learned)

    # A step of training.
    x, y = gn.Input((None, *pair.shape), dtype, name="x"), gn.Input((None,), "int64", name="y")
    logits = net(x)
    loss = gn.cross_entropy(logits, y)
    gradients = gn.grad(loss, list(learned.values()))
    rule = optim.SGD(RATE, momentum=MOMENTUM)
    step = gn.function([x, y], [logits, loss, *gradients], rule.updates(loss, net.parameters()))
    found = step(images, labels)

    peer.train()
    if pair.held:
        getattr(peer, pair.frozen).eval()
    stepper = torch.optim.SGD([p for p in peer.parameters() if p.requires_grad], RATE, MOMENTUM)
    expected = peer(torch.tensor(images))
    cost = F.cross_entropy(expected, torch.tensor(labels))
    cost.backward()
    theirs = dict(peer.named_parameters())
    same(found[0], expected, "outputs in training")
    same(np.asarray(found[1]), cost, "loss")
    # Of a bias before batch norm it is 0, and what is left of it rounding: in the network's scale.
    least = 1e-3 * max(float(theirs[name].grad.abs().max()) for name in learned)
    for name, gradient in zip(learned, found[2:], strict=True):
        same(gradient, theirs[name].grad, f"gradient of {name}", least)
    stepper.step()
    for name, value in net.state_dict().items():
        same(value, peer.state_dict()[name], f"{name} after a step")

    # Inference with what was learned, and torch's own with what came back.
    peer.eval()
    predicted = gn.function(x, logits)(images)
    same(predicted, peer(torch.tensor(images)), "outputs in inference")
    fresh = pair.theirs().to(getattr(torch, dtype))
    fresh.load_state_dict(net.to_torch_state_dict(), strict=True)
    same(predicted, fresh.eval()(torch.tensor(images)), "outputs of torch with our weights")


# ------------------------------------------------------------------------- one part, several names


def tied(kit, net):
    """A module and a parameter that stand in several places."""
    net.first, net.other = kit.Linear(3, 3), kit.Linear(3, 3)
    net.again = net.first
    net.other.weight = net.first.weight
    net.stack = kit.Sequential(net.first, kit.Linear(3, 2))
    return net


def test_what_is_shared_has_all_the_names_that_it_has_in_torch():
    peer, net = tied(t, t.Module()), tied(nn, nn.Module())
    state = peer.state_dict()
    assert {"first.weight", "again.weight", "other.weight", "stack.0.weight"} < set(state)
    assert net.load_torch_state_dict(state) == ([], [])
    assert len(net.parameters()) == 5
    found = net.to_torch_state_dict()
    assert list(found) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value)
    tied(t, t.Module()).load_state_dict(found, strict=True)


def test_a_shared_parameter_needs_one_of_its_names():
    net = tied(nn, nn.Module())
    state = net.state_dict()  # each parameter once
    assert tied(nn, nn.Module()).load_torch_state_dict(state) == ([], [])
    del state["first.weight"]
    with pytest.raises(gn.DataError, match=r"missing \['first.weight', 'other.weight', 'again.wei"):
        net.load_torch_state_dict(state)
    state["again.weight"] = np.full((3, 3), 2.0, np.float32)
    net.load_torch_state_dict(state)
    np.testing.assert_array_equal(net.other.weight.value, state["again.weight"])


def test_a_shared_parameter_has_one_value():
    net = tied(nn, nn.Module())
    before = net.state_dict()
    state = net.to_torch_state_dict() | {"other.weight": np.zeros((3, 3), np.float32)}
    with pytest.raises(gn.DataError, match=r"first.weight and other.weight are one parameter here"):
        net.load_torch_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
