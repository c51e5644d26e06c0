"""Multi-head attention and the transformer against torch, and what they promise beyond."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError

torch = pytest.importorskip("torch", reason="torch is not installed: parity is not tested")
tn = torch.nn

TOLERANCE = {"float32": (1e-3, 1e-5), "float64": (1e-8, 1e-10)}


def rng():
    return np.random.default_rng(0)


def compared(ours, theirs, call, arrays, dtype="float64", backend="reference"):
    """Outputs and all gradients, of inputs and of parameters, beside torch's."""
    ours.load_torch_state_dict(theirs.state_dict())
    rtol, atol = TOLERANCE[dtype]
    nodes = [gn.Input(a.shape, dtype, name=f"x{i}") for i, a in enumerate(arrays)]
    y = call(ours, nodes)
    weights = rng().standard_normal(y.spec.shape).astype(dtype)
    loss = gn.sum(y * gn.Constant(weights))
    named = dict(ours.named_parameters())
    grads = gn.grad(loss, [*nodes, *named.values()])
    if backend == "reference":
        found = reference.evaluate([y, *grads], dict(zip(nodes, arrays, strict=True)))
    else:
        found = gn.function(nodes, [y, *grads])(*arrays)
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    wanted = call(theirs, tensors)
    theirs.zero_grad()
    (wanted * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(found[0], wanted.detach().numpy(), rtol=rtol, atol=atol)
    parameters = dict(theirs.named_parameters())
    assert list(parameters) == list(named)
    given = [*tensors, *parameters.values()]
    names = [*(f"input {i}" for i in range(len(tensors))), *parameters]
    for name, mine, other in zip(names, found[1:], given, strict=True):
        scale = max(float(other.grad.abs().max()), 1.0)
        np.testing.assert_allclose(
            mine, other.grad.numpy(), rtol=rtol, atol=atol * scale, err_msg=name
        )


# ------------------------------------------------------------------------ multi-head attention

B, L, S, E, H = 2, 5, 7, 8, 2
PADDING = np.zeros((B, S), bool)
PADDING[0, 4:] = PADDING[1, 6:] = True
PADDED = np.where(PADDING, -np.inf, 0.25)
MASK = np.random.default_rng(1).random((L, S)) < 0.3
MASK[:, 0] = False
FLOATS = np.random.default_rng(2).standard_normal((L, S))
EACH = np.random.default_rng(3).random((B * H, L, S)) < 0.3
EACH[..., 0] = False
CAUSAL = np.triu(np.ones((L, S), bool), 1)

MASKS = {
    "none": {},
    "padding": {"key_padding_mask": PADDING},
    "float padding": {"key_padding_mask": PADDED},
    "mask": {"attn_mask": MASK},
    "float mask": {"attn_mask": FLOATS},
    "mask of each head": {"attn_mask": EACH},
    "both": {"key_padding_mask": PADDING, "attn_mask": MASK},
    "both, floats": {"key_padding_mask": PADDED, "attn_mask": FLOATS},
    "both, of two kinds": {"key_padding_mask": PADDING, "attn_mask": FLOATS},
    "causal": {"attn_mask": CAUSAL, "is_causal": True},
    "causal floats": {"attn_mask": np.where(CAUSAL, -np.inf, 0.0)},
    "causal and padding": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
}


def sequences(dtype="float64", kdim=E, vdim=E, batch=(B,)):
    shapes = ((*batch, L, E), (*batch, S, kdim), (*batch, S, vdim))
    return [rng().standard_normal(shape).astype(dtype) for shape in shapes]


def in_torch(masks):
    """Torch's masks: it refuses masks of two kinds in one call, and warns of it."""
    given = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
    pair = given.get("key_padding_mask"), given.get("attn_mask")
    if None not in pair and pair[0].dtype == torch.bool != pair[1].dtype:
        nothing = torch.zeros(pair[0].shape, dtype=pair[1].dtype)
        given["key_padding_mask"] = nothing.masked_fill(pair[0], -torch.inf)
    return given


def attending(masks, dtype="float64"):
    masks = {k: np.asarray(v) if np.ndim(v) else v for k, v in masks.items()}
    masks = {
        k: v.astype(dtype) if v is not True and v.dtype != bool else v for k, v in masks.items()
    }

    def call(layer, inputs):
        given = in_torch(masks) if isinstance(layer, tn.Module) else masks
        return layer(*inputs, need_weights=False, **given)[0]

    return call


@pytest.mark.parametrize("masks", MASKS, ids=str)
def test_every_kind_of_mask(masks):
    ours = nn.MultiheadAttention(E, H, dtype="float64")
    theirs = tn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64)
    compared(ours, theirs, attending(MASKS[masks]), sequences())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masks", ["none", "both, floats", "causal and padding"])
def test_compiled(masks, dtype):
    ours = nn.MultiheadAttention(E, H, dtype=dtype)
    theirs = tn.MultiheadAttention(E, H, batch_first=True, dtype=getattr(torch, dtype))
    compared(ours, theirs, attending(MASKS[masks], dtype=dtype), sequences(dtype), dtype, "cpu")


@pytest.mark.parametrize(
    "options",
    [
        {"bias": False},
        {"kdim": 6, "vdim": 3},
        {"kdim": 6, "bias": False},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("masks", ["none", "both", "causal and padding"])
def test_options(options, masks):
    ours = nn.MultiheadAttention(E, H, dtype="float64", **options)
    theirs = tn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64, **options)
    arrays = sequences(kdim=options.get("kdim", E), vdim=options.get("vdim", E))
    compared(ours, theirs, attending(MASKS[masks]), arrays)


def test_one_sequence_and_length_first():
    ours = nn.MultiheadAttention(E, H, dtype="float64")
    theirs = tn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64)
    compared(ours, theirs, attending({"attn_mask": MASK}), sequences(batch=()))
    compared(ours, theirs, attending({"key_padding_mask": PADDING[0]}), sequences(batch=()))
    ours = nn.MultiheadAttention(E, H, batch_first=False, dtype="float64")
    theirs = tn.MultiheadAttention(E, H, dtype=torch.float64)
    turned = [np.swapaxes(a, 0, 1).copy() for a in sequences()]
    compared(ours, theirs, attending({"key_padding_mask": PADDING}), turned)


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("batch", [(B,), ()])
def test_weights_on_request(average, batch):
    ours = nn.MultiheadAttention(E, H, dtype="float64")
    theirs = tn.MultiheadAttention(E, H, batch_first=True, dtype=torch.float64)
    ours.load_torch_state_dict(theirs.state_dict())
    arrays = sequences(batch=batch)
    nodes = [gn.Input(a.shape, "float64") for a in arrays]
    options = {"average_attn_weights": average}
    y, weights = ours(*nodes, attn_mask=MASK, **options)
    wanted = theirs(*map(torch.tensor, arrays), attn_mask=torch.tensor(MASK), **options)
    found = reference.evaluate([y, weights], dict(zip(nodes, arrays, strict=True)))
    for mine, other in zip(found, wanted, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-8, atol=1e-10)
    assert ours(*nodes, need_weights=False)[1] is None


def test_weights_that_nobody_reads_cost_nothing():
    layer = nn.MultiheadAttention(E, H)
    x = gn.Input((None, 50, E), name="x")
    y, _ = layer(x, x, x)
    steps = gn.function(x, y).plan.steps
    assert not any(50 in node.spec.shape[-1:] for step in steps for node in step.group.nodes)


def test_initial_weights_are_torchs():
    gn.set_seed(0)
    ours, theirs = nn.MultiheadAttention(64, 4), tn.MultiheadAttention(64, 4)
    for name, parameter in theirs.named_parameters():
        mine, other = dict(ours.named_parameters())[name].value, parameter.detach().numpy()
        assert abs(mine.std() - other.std()) <= 0.05 * other.std()
        assert abs(np.abs(mine).max() - np.abs(other).max()) <= 0.02 * np.abs(other).max()


def test_messages():
    layer = nn.MultiheadAttention(8, 2)
    x = gn.Input((None, 5, 8), name="x")
    with pytest.raises(GraphError, match=r"embed_dim divisible by num_heads; got 8 and 3.*test_tr"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ShapeError, match=r"needs key.shape\[-1\] == 8; got \(None, 5, 6\) for 'k'"):
        layer(x, gn.Input((None, 5, 6), name="k"), x)
    with pytest.raises(ShapeError, match=r"needs query, key and value \(batch, length, features\)"):
        layer(x, gn.Input((5, 8)), x)
    with pytest.raises(ShapeError, match=r"attn_mask needs shape \(5, 5\) or \(2\*N, 5, 5\)"):
        layer(x, x, x, attn_mask=np.zeros((4, 5), bool))
    with pytest.raises(ShapeError, match=r"key_padding_mask needs shape \(None, 5\); got \(5,\)"):
        layer(x, x, x, key_padding_mask=np.zeros(5, bool))
    with pytest.raises(DTypeError, match=r"attn_mask is of bools, or float32 .*got int64 \(5, 5\)"):
        layer(x, x, x, attn_mask=np.zeros((5, 5), np.int64))
    with pytest.raises(GraphError, match=r"activation is 'relu', 'gelu' or a function.*'tanh'"):
        nn.TransformerEncoderLayer(8, 2, activation="tanh")
    with pytest.raises(GraphError, match=r"num_layers is a whole number >= 1; got 0"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 8), 0)


# ---------------------------------------------------------------------------------- transformer


def transformers(dtype, **options):
    sizes = (8, 2, 2, 2, 12)
    ours = nn.Transformer(*sizes, dropout=0.0, dtype=dtype, **options)
    given = {"batch_first": True, **options}
    theirs = tn.Transformer(*sizes, dropout=0.0, dtype=getattr(torch, dtype), **given)
    return ours, theirs


def pairs(dtype):
    return [rng().standard_normal((2, n, 8)).astype(dtype) for n in (7, 5)]


def translating(**masks):
    def call(net, inputs):
        kind = type(inputs[0])
        given = {k: torch.tensor(v) if kind is torch.Tensor else v for k, v in masks.items()}
        return net(*inputs, **given)

    return call


@pytest.mark.filterwarnings("ignore:.*nested_tensor")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [{}, {"norm_first": True, "activation": "gelu"}, {"bias": False}],
    ids=str,
)
def test_two_and_two_layers(options, dtype):
    ours, theirs = transformers(dtype, **options)
    compared(ours, theirs, lambda net, xs: net(*xs), pairs(dtype), dtype)


@pytest.mark.filterwarnings("ignore:.*nested_tensor")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_and_two_layers_with_all_masks_compiled(dtype):
    ours, theirs = transformers(dtype)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype)
    wanted = tn.Transformer.generate_square_subsequent_mask(5)
    np.testing.assert_array_equal(mask, wanted.numpy())
    padded = np.where(PADDING, -np.inf, 0).astype(dtype)
    masks = translating(
        tgt_mask=mask,
        src_key_padding_mask=padded,
        memory_key_padding_mask=padded,
        tgt_key_padding_mask=padded[:, :5],
        memory_mask=np.where(MASK, -np.inf, 0).astype(dtype),
        src_mask=rng().standard_normal((7, 7)).astype(dtype),
    )
    compared(ours, theirs, masks, pairs(dtype), dtype, "cpu")


@pytest.mark.filterwarnings("ignore:.*nested_tensor")
def test_encoder_and_decoder_alone():
    layer = tn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True, dtype=torch.float64)
    theirs = tn.TransformerEncoder(layer, 2)
    ours = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, 0.0, dtype="float64"), 2)
    compared(ours, theirs, lambda net, xs: net(xs[0]), pairs("float64")[:1])
    layer = tn.TransformerDecoderLayer(8, 2, 12, 0.0, dtype=torch.float64)
    theirs = tn.TransformerDecoder(layer, 1, tn.LayerNorm(8, dtype=torch.float64))
    own = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=False, dtype="float64")
    ours = nn.TransformerDecoder(own, 1, nn.LayerNorm(8, dtype="float64"))
    turned = [np.swapaxes(a, 0, 1).copy() for a in pairs("float64")]
    compared(ours, theirs, lambda net, xs: net(xs[1], xs[0]), turned)


def test_the_causal_mask_is_seen():
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0)
    x = gn.Input((None, 6, 8), name="x")
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    for y in (layer(x, mask), layer(x, is_causal=True), layer(x, gn.Constant(mask))):
        (node,) = [n for n in gn.Graph(y).nodes if n.op.name == "attention"]
        assert node.attrs["causal"]
        assert len(node.inputs) == 3


def test_layers_are_copies_that_begin_alike():
    layer = nn.TransformerEncoderLayer(8, 2, 12)
    net = nn.TransformerEncoder(layer, 2)
    first, second = (dict(one.named_parameters()) for one in net.layers)
    for name, parameter in first.items():
        np.testing.assert_array_equal(parameter.value, second[name].value)
        assert parameter is not second[name]
        assert parameter is not dict(layer.named_parameters())[name]
    again = pickle.loads(pickle.dumps(copy.deepcopy(net)))
    assert list(again.state_dict()) == list(net.state_dict())


def test_all_matrices_of_a_transformer_are_drawn_anew():
    net = nn.Transformer(16, 2, 2, 2, 32)
    state = net.state_dict()
    assert not np.array_equal(
        state["encoder.layers.0.linear1.weight"], state["encoder.layers.1.linear1.weight"]
    )
    bound = np.sqrt(6 / (16 + 32))
    assert 0.9 * bound < np.abs(state["decoder.layers.1.linear2.weight"]).max() <= bound


def test_a_transformer_learns_to_copy():
    gn.set_seed(0)
    embed = nn.Embedding(6, 16)
    place = nn.LearnedPositionalEncoding(16, max_len=5)
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1), 1)
    head = nn.Linear(16, 6)
    x = gn.Input((None, 5), "int64", name="x")
    logits = head(net(place(embed(x))))
    loss = gn.cross_entropy(gn.reshape(logits, (-1, 6)), gn.reshape(x[:, ::-1], (-1,)))
    parameters = [p for m in (embed, place, net, head) for p in m.parameters()]
    step = gn.function([x], [loss], updates=optim.Adam(lr=5e-3).updates(loss, parameters))
    data = rng().integers(0, 6, (64, 5))
    losses = [float(step(data)[0]) for _ in range(150)]
    assert losses[-1] < 0.2 * losses[0]


# -------------------------------------------------------------------------------------- position


def test_sinusoidal_encoding_is_the_formula():
    found = gn.function([], gn.sinusoidal_encoding(50, 12, dtype="float64"))()
    p, i = np.arange(50)[:, None], np.arange(6)
    angle = p / 10000 ** (2 * i / 12)
    np.testing.assert_allclose(found[:, 0::2], np.sin(angle), atol=1e-12)
    np.testing.assert_allclose(found[:, 1::2], np.cos(angle), atol=1e-12)
    with pytest.raises(GraphError, match="an even width"):
        gn.sinusoidal_encoding(5, 3)


def test_positional_encodings():
    x = gn.Input((None, 4, 6), name="x")
    given = rng().standard_normal((2, 4, 6)).astype("float32")
    for layer in (
        nn.SinusoidalPositionalEncoding(6, max_len=9),
        nn.LearnedPositionalEncoding(6, max_len=9),
    ):
        table = reference.evaluate(layer.table())
        found = gn.function(x, layer(x))(given)
        np.testing.assert_allclose(found, given + table[:4], rtol=1e-6)
        at = gn.Input((4,), "int64", name="at")
        found = gn.function([x, at], layer(x, at))(given, [8, 0, 3, 3])
        np.testing.assert_allclose(found, given + table[[8, 0, 3, 3]], rtol=1e-6)
        with pytest.raises(ShapeError, match=r"has 9 positions; got 10.*max_len=10"):
            layer(gn.Input((None, 10, 6)))
        with pytest.raises(ShapeError, match=r"needs \(batch, length, 6\); got \(None, 4, 5\)"):
            layer(gn.Input((None, 4, 5)))


def test_rotary_is_the_rotation_of_complex_numbers():
    x = rng().standard_normal((2, 5, 3, 8))
    node = gn.Input(x.shape, "float64")
    z = x[..., :4] + 1j * x[..., 4:]
    turned = z * np.exp(1j * np.arange(5)[:, None, None] / 10000 ** (np.arange(4) / 4))
    wanted = np.concatenate([turned.real, turned.imag], -1)
    found = reference.evaluate(gn.rotary(node, axis=1), {node: x})
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    at = gn.Input((1,), "int64")
    one = gn.rotary(node[:, 3:4], axis=1, positions=at, max_len=10)
    np.testing.assert_allclose(
        reference.evaluate(one, {node: x, at: [3]}), wanted[:, 3:4], rtol=1e-10, atol=1e-12
    )
    with pytest.raises(ShapeError, match="needs an axis of a known length"):
        gn.rotary(node, axis=-1)
    with pytest.raises(GraphError, match="needs max_len with positions"):
        gn.rotary(node, positions=at)


# ------------------------------------------------------------------------------------- embedding


def test_padding_of_embeddings_is_torchs():
    ours = nn.Embedding(7, 3, padding_idx=-2, dtype="float64")
    theirs = tn.Embedding(7, 3, padding_idx=-2, dtype=torch.float64)
    assert not ours.weight.value[5].any()
    assert ours.padding_idx == theirs.padding_idx
    ours.load_torch_state_dict(theirs.state_dict())
    indices = np.array([[5, 1, 5], [2, 5, 1]])
    x = gn.Input((None, 3), "int64")
    y = ours(x)
    loss = gn.sum(y * y * 3.0)
    found = gn.function(x, [y, gn.grad(loss, ours.weight)])(indices)
    wanted = theirs(torch.tensor(indices))
    (wanted * wanted * 3).sum().backward()
    np.testing.assert_allclose(found[0], wanted.detach().numpy())
    np.testing.assert_allclose(found[1], theirs.weight.grad.numpy())
    assert not found[1][5].any()
