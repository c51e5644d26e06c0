"""Recurrent layers and cells beside torch's: values, states, all gradients, with lengths too."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install graphnn[torch]")
pytestmark = pytest.mark.torch

KINDS = ("RNN", "LSTM", "GRU")
TOLERANCE = {"float32": 1e-3, "float64": 1e-8}
IN, HIDDEN = 3, 4


def as_tuple(value):
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def same(found, wanted, what):
    rtol = TOLERANCE[found.dtype.name]
    assert found.shape == wanted.shape, what
    scale = float(np.abs(wanted).max(initial=0))
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale, err_msg=what)


def state_inputs(layer, batch, dtype):
    """Inputs for an initial state, in the form that the layer takes it."""
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [getattr(layer, "proj_size", 0) or layer.hidden_size, layer.hidden_size]
    sizes = sizes[: 2 if isinstance(layer, nn.LSTM) else 1]
    return [gn.Input((count, batch, size), dtype, name=f"s{i}") for i, size in enumerate(sizes)]


def probe_form(parts):
    return parts[0] if len(parts) == 1 else tuple(parts)


def torch_run(peer, x, lengths, state):
    """Torch's outputs over all steps, and its last states, with packed sequences for lengths."""
    hx = None if state is None else probe_form(state)
    if lengths is None:
        output, last = peer(x, hx)
        return output, as_tuple(last)
    pack, unpack = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    first = peer.batch_first
    packed = pack(x, torch.tensor(lengths), batch_first=first, enforce_sorted=False)
    output, last = peer(packed, hx)
    steps = x.shape[1 if first else 0]
    return unpack(output, batch_first=first, total_length=steps)[0], as_tuple(last)


def compare(
    kind, dtype, *, steps=5, batch=3, hidden=HIDDEN, lengths=None, given=True, first=True, **options
):
    """Outputs, last states, and the gradients of input, states and all weights."""
    torch.manual_seed(0)
    peer = getattr(torch.nn, kind)(IN, hidden, batch_first=first, **options)
    peer = peer.to(getattr(torch, dtype))
    layer = getattr(nn, kind)(IN, hidden, batch_first=first, dtype=dtype, **options)
    assert layer.load_torch_state_dict(peer.state_dict()) == ([], [])
    assert list(layer.to_torch_state_dict()) == list(peer.state_dict())

    shape = (None, steps, IN) if first else (steps, None, IN)
    x = gn.Input(shape, dtype, name="x")
    states = state_inputs(layer, None, dtype) if given else []
    inputs = [x, *states]
    marks = [] if lengths is None else [gn.Input((None,), "int64", name="lengths")]
    output, last = layer(
        x, probe_form(states) if given else None, lengths=marks[0] if marks else None
    )
    outputs = [output, *as_tuple(last)]
    rng = np.random.default_rng(1)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    arrays = [draw(*(batch if dim is None else dim for dim in node.shape)) for node in inputs]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    theirs = torch_run(peer, tensors[0], lengths, tensors[1:] if given else None)
    wanted = [theirs[0], *theirs[1]]
    # A loss that weighs every element of every output differently.
    factors = [draw(*value.shape) for value in wanted]
    sum((v * torch.tensor(f)).sum() for v, f in zip(wanted, factors, strict=True)).backward()
    weighed = [gn.Input(node.shape, dtype, name=f"f{i}") for i, node in enumerate(outputs)]
    loss = sum(gn.sum(a * b) for a, b in zip(outputs, weighed, strict=True))
    weights = dict(layer.named_parameters())
    gradients = gn.grad(loss, [*inputs, *weights.values()])
    found = gn.function([*inputs, *weighed, *marks], [*outputs, *gradients])(
        *arrays, *factors, *([] if lengths is None else [lengths])
    )
    peers = [*wanted, *(t.grad for t in tensors), *(p.grad for p in peer.parameters())]
    names = [f"output {i}" for i in range(len(outputs))]
    names += [f"gradient of {node.name}" for node in inputs] + [*weights]
    for name, own, other in zip(names, found, peers, strict=True):
        same(own, other.detach().numpy(), name)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", [None, [5, 1, 3]], ids=["whole", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_layer_is_torchs(kind, lengths, dtype):
    compare(kind, dtype, lengths=lengths)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", [None, [2, 5, 4]], ids=["whole", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_two_layers_in_both_directions_are_torchs(kind, lengths, dtype):
    compare(kind, dtype, num_layers=2, bidirectional=True, lengths=lengths)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 1}, {"batch": 1}, {"hidden": 1}, {"steps": 1, "batch": 1, "hidden": 1},
        {"given": False}, {"bias": False}, {"first": False},
        {"first": False, "lengths": [3, 5, 1], "given": False}, {"bidirectional": True},
    ],
    ids=lambda options: ", ".join(f"{key}={value}" for key, value in options.items()),
)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_odd_settings_are_torchs(kind, options):
    compare(kind, "float64", **options)


def test_relu_is_torchs():
    compare("RNN", "float64", nonlinearity="relu", num_layers=2)


@pytest.mark.parametrize("lengths", [None, [2, 5, 4]], ids=["whole", "lengths"])
def test_a_projection_is_torchs(lengths):
    compare("LSTM", "float64", proj_size=2, num_layers=2, bidirectional=True, lengths=lengths)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_are_torchs(kind, options, dtype):
    torch.manual_seed(0)
    peer = getattr(torch.nn, kind)(IN, HIDDEN, **options).to(getattr(torch, dtype))
    cell = getattr(nn, kind)(IN, HIDDEN, dtype=dtype, **options)
    assert cell.load_torch_state_dict(peer.state_dict()) == ([], [])
    assert list(cell.to_torch_state_dict()) == list(peer.state_dict())
    parts = 2 if kind == "LSTMCell" else 1
    x = gn.Input((None, IN), dtype, name="x")
    states = [gn.Input((None, HIDDEN), dtype, name=f"s{i}") for i in range(parts)]
    outputs = as_tuple(cell(x, cell(x, probe_form(states))))
    loss = sum(gn.sum(value * value * value) for value in outputs)
    weights = cell.parameters()
    gradients = gn.grad(loss, [x, *states, *weights])
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal((5, n)).astype(dtype) for n in (IN, *[HIDDEN] * parts)]
    found = gn.function([x, *states], [*outputs, *gradients])(*arrays)

    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    theirs = as_tuple(peer(tensors[0], peer(tensors[0], probe_form(tensors[1:]))))
    sum((value**3).sum() for value in theirs).backward()
    wanted = [*theirs, *(t.grad for t in tensors), *(p.grad for p in peer.parameters())]
    for own, other in zip(found, wanted, strict=True):
        same(own, other.detach().numpy(), kind)


@pytest.mark.parametrize("first", [True, False], ids=["batch first", "time first"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_probes_gradient_is_that_of_the_states(kind, first):
    """Torch's cell in a loop keeps each state's whole gradient."""
    gn.set_seed(0)
    layer = getattr(nn, kind)(IN, HIDDEN, dtype="float64", batch_first=first)
    shape = (None, 5, IN) if first else (5, None, IN)
    x = gn.Input(shape, "float64", name="x")
    probe = layer.probe(x)
    output, last = layer(x, probe=probe)
    loss = gn.sum(output**2.0) + sum(gn.sum(part**3.0) for part in as_tuple(last))
    data = np.random.default_rng(0).standard_normal((2, 5, IN))
    f = gn.function(x, [loss, *gn.grad(loss, as_tuple(probe))])
    value, *found = f(data if first else data.swapaxes(0, 1))

    cell = getattr(torch.nn, kind + "Cell")(IN, HIDDEN).double()
    state = layer.state_dict().items()
    cell.load_state_dict({k.removesuffix("_l0"): torch.tensor(v) for k, v in state})
    now, states = None, []
    for t in range(5):
        parts = as_tuple(cell(torch.tensor(data[:, t]), now))
        for part in parts:
            part.retain_grad()
        states.append(parts)
        now = probe_form(parts)
    total = sum((parts[0] ** 2).sum() for parts in states) + sum((p**3).sum() for p in states[-1])
    total.backward()
    np.testing.assert_allclose(value, total.item(), rtol=1e-12)
    for part, own in enumerate(found):
        wanted = torch.stack([parts[part].grad for parts in states], dim=1).numpy()
        own = own[0] if first else own[0].swapaxes(0, 1)
        np.testing.assert_allclose(own, wanted, rtol=1e-8, atol=1e-12)
