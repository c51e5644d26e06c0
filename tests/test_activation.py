"""Activations: the lecture's values, their modules, what they refuse."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads, check_values

POINTS = np.array([-4.0, -1.5, -0.2, 0.0, 0.3, 1.2, 4.0])


def value(node: gn.Node, array: np.ndarray) -> np.ndarray:
    return reference.evaluate(node, {gn.Graph(node).inputs[0]: array})


def points(dtype: str = "float64") -> gn.Input:
    return gn.Input((None,), dtype)


# --------------------------------------------------------------------------------- values

FORMULAS = {  # of the lecture, at x = 1.2 and -1.2
    "identity": (1.2, -1.2),
    "step": (1, 0),
    "relu": (1.2, 0),
    "relu6": (1.2, 0),
    "sigmoid": (1 / (1 + math.exp(-1.2)), 1 / (1 + math.exp(1.2))),
    "log_sigmoid": (-math.log(1 + math.exp(-1.2)), -math.log(1 + math.exp(1.2))),
    "tanh": (math.tanh(1.2), -math.tanh(1.2)),
    "softplus": (math.log(1 + math.exp(1.2)), math.log(1 + math.exp(-1.2))),
    "softsign": (1.2 / 2.2, -1.2 / 2.2),
    "silu": (1.2 / (1 + math.exp(-1.2)), -1.2 / (1 + math.exp(1.2))),
    "swish": (1.2 / (1 + math.exp(-1.2)), -1.2 / (1 + math.exp(1.2))),
    "gelu": (0.6 * (1 + math.erf(1.2 / 2**0.5)), -0.6 * (1 - math.erf(1.2 / 2**0.5))),
    "elu": (1.2, math.exp(-1.2) - 1),
    "celu": (1.2, math.exp(-1.2) - 1),
    "leaky_relu": (1.2, -0.012),
    "hard_sigmoid": (0.7, 0.3),
    "hard_tanh": (1, -1),
    "hard_swish": (1.2 * 0.7, -1.2 * 0.3),
    "tanhshrink": (1.2 - math.tanh(1.2), math.tanh(1.2) - 1.2),
    "softshrink": (0.7, -0.7),
    "hardshrink": (1.2, -1.2),
    "cosine_squasher": (
        (1 + math.cos(1.2 + 1.5 * math.pi)) / 2,
        (1 + math.cos(-1.2 + 1.5 * math.pi)) / 2,
    ),
    "selu": (1.0507009873554805 * 1.2, 1.0507009873554805 * 1.6732632423543773 * math.expm1(-1.2)),
    "mish": (
        1.2 * math.tanh(math.log1p(math.exp(1.2))),
        -1.2 * math.tanh(math.log1p(math.exp(-1.2))),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formula(name):
    x = points()
    found = gn.function(x, getattr(gn, name)(x))(np.array([1.2, -1.2]))
    np.testing.assert_allclose(found, FORMULAS[name], rtol=1e-14)


def test_step_is_heavisides():
    x = points()
    for at_zero in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(
            value(gn.step(x, at_zero), POINTS), np.heaviside(POINTS, at_zero)
        )
    check_grads(gn.step, [-1.5, 0.4], order=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_that_lets_the_cotangent_through(dtype):
    """The same values, bit for bit; the derivative of the identity."""
    x = points(dtype)
    array = np.array([-np.inf, -1e30, -3, 0, 1e-30, 0.1, 7e20, np.inf], dtype)
    y = gn.step(x, straight_through=True)
    found, slope = gn.function(x, [y, gn.grad(gn.sum(2.0 * y), x)])(array)
    np.testing.assert_array_equal(found, np.heaviside(array, 1))
    np.testing.assert_array_equal(slope[1:-1], 2)
    flat = gn.grad(gn.sum(gn.step(x)), x)
    np.testing.assert_array_equal(gn.function(x, flat)(array), 0)


def test_the_squasher_is_flat_outside():
    x = points()
    y = gn.cosine_squasher(x)
    found, slope = gn.function(x, [y, gn.grad(gn.sum(y), x)])(np.array([-9, -1.6, 1.6, 50]))
    np.testing.assert_array_equal(found, [0, 0, 1, 1])
    np.testing.assert_array_equal(slope, 0)


def test_second_derivative_where_a_formula_has_a_modulus():
    """e^-|x| is in sigmoid's formula, and not in its derivative: at 0 nothing is lost."""
    for op, second in ((gn.sigmoid, 0.0), (gn.log_sigmoid, -0.25), (gn.softplus, 0.25)):
        x = gn.Input((), "float64")
        twice = gn.grad(gn.grad(op(x), x), x)
        np.testing.assert_allclose(value(twice, np.array(0.0)), second, atol=1e-16)
    for op, second in ((gn.silu, 0.5), (gn.mish, 0.64), (gn.gelu, math.sqrt(2 / math.pi))):
        x = gn.Input((), "float64")
        twice = gn.grad(gn.grad(op(x), x), x)
        np.testing.assert_allclose(value(twice, np.array(0.0)), second, rtol=1e-14)


def test_slopes_may_be_nodes_of_any_shape():
    check_grads(gn.leaky_relu, [[0.5, -0.3], [-1.0, 2.0]], [0.1, 0.3], order=2)
    check_grads(gn.elu, [[0.5, -0.3], [-1.0, 2.0]], [[0.1], [0.3]], order=2)
    x = gn.Input((None, 3))
    assert gn.elu(x, alpha=0.5).shape == (None, 3)
    assert gn.softplus(x, threshold=5.0, name="soft").name == "soft"


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3), (0, 3, 2), (1, 3)])
def test_prelu_learns_a_slope_for_each_channel(shape):
    rng = np.random.default_rng(0)
    array = rng.standard_normal(shape)
    check_grads(gn.prelu, array, rng.standard_normal(3))
    check_grads(gn.prelu, array, 0.25)
    x, w = gn.Input((None, *shape[1:]), "float64"), gn.Input((3,), "float64")
    check_values(gn.prelu(x, w), {x: array, w: [0.1, 0.2, 0.3]})


def test_clip_takes_numbers_nodes_and_whole_numbers():
    x, low = gn.Input((None, 2)), gn.Input((2,))
    array = np.float32([[-3, 5], [0.5, 0.2]])
    found = gn.function([x, low], gn.clip(x, low, 1.0))(array, np.float32([-1, 0.3]))
    np.testing.assert_array_equal(found, np.float32([[-1, 1], [0.5, 0.3]]))
    n = gn.Input((None,), "int64")
    ops = [gn.clip(n, max=3), gn.clip(n, -1, 2), gn.abs(n), gn.sign(n), gn.square(n)]
    ops += [gn.floor_divide(n, 3), gn.remainder(n, 3)]
    given = np.array([-7, 0, 5])
    found = gn.function(n, ops)(given)
    wanted = [np.minimum(given, 3), given.clip(-1, 2), abs(given), np.sign(given), given**2]
    wanted += [given // 3, given % 3]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.dtype == np.int64
        np.testing.assert_array_equal(mine, theirs)


# -------------------------------------------------------------------------------- modules

MODULES = {  # torch's name: arguments, beside the defaults
    "ReLU": [{}],
    "ReLU6": [{}],
    "LeakyReLU": [{}, {"negative_slope": 0.2}],
    "PReLU": [{}, {"num_parameters": 3, "init": 0.1}],
    "ELU": [{}, {"alpha": 0.5}],
    "SELU": [{}],
    "CELU": [{}, {"alpha": 0.5}],
    "Softplus": [{}, {"beta": 2.0, "threshold": 1.0}],
    "SiLU": [{}],
    "Mish": [{}],
    "GELU": [{}, {"approximate": "tanh"}],
    "Sigmoid": [{}],
    "LogSigmoid": [{}],
    "Tanh": [{}],
    "Hardsigmoid": [{}],
    "Hardtanh": [{}, {"min_val": -2.0, "max_val": 0.5}],
    "Hardswish": [{}],
    "Softsign": [{}],
    "Tanhshrink": [{}],
    "Softshrink": [{}, {"lambd": 0.2}],
    "Hardshrink": [{}, {"lambd": 0.2}],
    "Threshold": [{"threshold": 0.1, "value": 20.0}],
    "Identity": [{}],
}


@pytest.mark.torch
@pytest.mark.parametrize("name", MODULES)
def test_modules_are_torchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    array = np.random.default_rng(0).standard_normal((4, 3, 2)).astype(np.float32) * 2
    for arguments in MODULES[name]:
        module, theirs = getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)
        x = gn.Input((None, 3, 2))
        expected = theirs(torch.tensor(array)).detach().numpy()
        np.testing.assert_allclose(value(module(x), array), expected, rtol=1e-5, atol=1e-6)
        ours = inspect.signature(type(module)).parameters
        for key, parameter in inspect.signature(type(theirs)).parameters.items():
            if key in ("inplace", "device", "dtype", "args", "kwargs", "min_value", "max_value"):
                continue  # of torch's own, or out of use
            assert ours[key].default == parameter.default


def test_a_module_is_written_as_its_call():
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.GELU("tanh")) == "GELU(approximate='tanh')"
    assert repr(nn.Softplus(beta=2)) == "Softplus(beta=2, threshold=20.0)"
    assert repr(nn.PReLU(8)) == "PReLU(num_parameters=8)"
    assert repr(nn.Step(straight_through=True)) == "Step(at_zero=1.0, straight_through=True)"
    assert "activation=ELU(alpha=1.0)" in repr(_Block())


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation = nn.ELU()
        self.slope = nn.PReLU(3, dtype="float64")

    def forward(self, x):
        return self.slope(self.activation(x))


def test_the_slope_is_a_parameter():
    block = _Block()
    assert [name for name, _ in block.named_parameters()] == ["slope.weight"]
    x = gn.Input((None, 3), "float64")
    y = block(x)
    (slope,) = gn.grad(gn.sum(y), block.parameters())
    assert slope.shape == (3,)
    assert block.slope.weight.scope == "slope"
    np.testing.assert_array_equal(block.slope.weight.value, np.full(3, 0.25))


def test_other_modules():
    x = points()
    np.testing.assert_array_equal(value(nn.Step()(x), POINTS), np.heaviside(POINTS, 1))
    squashed = value(nn.CosineSquasher()(x), POINTS)
    np.testing.assert_array_equal(squashed, value(gn.cosine_squasher(x), POINTS))


# --------------------------------------------------------------------------------- errors


def test_what_is_refused():
    x = gn.Input((None, 3))
    with pytest.raises(ShapeError, match=r"prelu needs one weight, or one for each of the 3 chann"):
        gn.prelu(x, gn.Input((4,)))
    with pytest.raises(ShapeError, match=r"test_activation.py:\d+. Did you mean nn.PReLU\(3\)"):
        nn.PReLU(2)(x)
    with pytest.raises(GraphError, match=r"nn.PReLU needs num_parameters >= 1; got 0"):
        nn.PReLU(0)
    with pytest.raises(GraphError, match=r"gelu: approximate is 'none' or 'tanh'; got 'erf'"):
        gn.gelu(x, "erf")
    with pytest.raises(
        GraphError, match=r"clip needs min or max; both are None. .*gn.clip\(x, 0, 1"
    ):
        gn.clip(x)
    with pytest.raises(TypeError, match=r"elu has no argument 'beta'; it takes x, alpha"):
        gn.elu(x, beta=1.0)
    with pytest.raises(GraphError, match=r"threshold takes 3 values .*; got 1"):
        gn.threshold(x)
    with pytest.raises(DTypeError, match="relu needs float32 or float64"):
        gn.relu(gn.Input((2,), "int64"))
    with pytest.raises(DTypeError, match="a float beside a int64 value would promote silently"):
        gn.clip(gn.Input((2,), "int64"), 0.5, 2)


def test_help_shows_defaults_and_source():
    assert str(inspect.signature(gn.softplus)) == "(x, beta=1.0, threshold=20.0)"
    assert "1511.07289" in gn.elu.__doc__
    assert "else α" in gn.elu.__doc__
