"""NaN, infinities, zeros of both signs, subnormals, huge numbers: every elementwise op, as torch."""

from __future__ import annotations

import numpy as np
import pytest

import graphnn as gn

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install graphnn[torch]")
pytestmark = pytest.mark.torch
F = torch.nn.functional

DTYPES = ("float32", "float64")


def odd(dtype: str) -> np.ndarray:
    info = np.finfo(dtype)
    sizes = [0, info.smallest_subnormal, info.smallest_normal, 1e-30, 1e-4, 0.5, 1, 3, 6, 7.5, 20]
    sizes += [30, 88.6, 100, 1e4, 1e5, 1e18, 1e30, float(info.max), np.inf]
    return np.array([np.nan, *sizes, *(-s for s in sizes)]).astype(dtype)


# name: (ours, torch's)
ONE = {
    **{
        name: (getattr(gn, name), getattr(torch, name))
        for name in (
            *("abs", "sign", "floor", "ceil", "trunc", "round", "square", "reciprocal", "sqrt"),
            *("rsqrt", "exp", "log", "log1p", "expm1", "log2", "log10", "sinh", "cosh", "tan"),
            *("arctan", "arcsin", "arccos", "erf", "sin", "cos", "tanh", "sigmoid", "relu"),
        )
    },
    "power 3": (lambda x: x**3.0, lambda x: x**3.0),
    "clip": (lambda x: gn.clip(x, -1, 3), lambda x: x.clamp(-1, 3)),
    "clip above": (lambda x: gn.clip(x, max=6), lambda x: x.clamp(max=6)),
    "clip below": (lambda x: gn.clip(x, 0.5), lambda x: x.clamp(0.5)),
    "clip crossed": (lambda x: gn.clip(x, 3, -1), lambda x: x.clamp(3, -1)),
    "remainder": (lambda x: gn.remainder(x, 7.5), lambda x: torch.remainder(x, 7.5)),
    "log_sigmoid": (gn.log_sigmoid, F.logsigmoid),
    "softplus": (gn.softplus, F.softplus),
    "softplus 2, 5": (lambda x: gn.softplus(x, 2, 5), lambda x: F.softplus(x, 2, 5)),
    "silu": (gn.silu, F.silu),
    "mish": (gn.mish, F.mish),
    "gelu": (gn.gelu, F.gelu),
    "gelu tanh": (lambda x: gn.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "softsign": (gn.softsign, F.softsign),
    "tanhshrink": (gn.tanhshrink, F.tanhshrink),
    "relu6": (gn.relu6, F.relu6),
    "hard_tanh": (lambda x: gn.hard_tanh(x, -1, 3), lambda x: F.hardtanh(x, -1.0, 3.0)),
    "leaky_relu": (lambda x: gn.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2)),
    "prelu": (lambda x: gn.prelu(x, 0.2), lambda x: F.prelu(x, torch.tensor(0.2, dtype=x.dtype))),
    "elu": (lambda x: gn.elu(x, 0.7), lambda x: F.elu(x, 0.7)),
    "selu": (gn.selu, F.selu),
    "celu": (lambda x: gn.celu(x, 0.5), lambda x: F.celu(x, 0.5)),
    "hard_sigmoid": (gn.hard_sigmoid, F.hardsigmoid),
    "hard_swish": (gn.hard_swish, F.hardswish),
    "softshrink": (lambda x: gn.softshrink(x, 0.5), lambda x: F.softshrink(x, 0.5)),
    "hardshrink": (lambda x: gn.hardshrink(x, 0.5), lambda x: F.hardshrink(x, 0.5)),
    "threshold": (lambda x: gn.threshold(x, 0.5, 7), lambda x: F.threshold(x, 0.5, 7)),
}


# Where torch is not followed, and what the value is instead.
INF, NAN = np.inf, np.nan
HUGE = {dtype: float(np.finfo(dtype).max) for dtype in DTYPES}
INSTEAD = {
    "value of sign": {NAN: NAN},  # as NumPy
    "value of gelu": {**{huge: huge for huge in HUGE.values()}, INF: INF, -3: -0.00404969409489028},
    "slope of softsign": {INF: 0, -INF: 0},
    "value of hard_swish": {**{huge: huge for huge in HUGE.values()}, -INF: 0},
    "slope of hardshrink": {NAN: 1},  # as it passes the value
}
# torch keeps 1/6 in float32.
COARSE = {"slope of hard_sigmoid"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ONE)
def test_values_and_gradient_are_torchs(name, dtype):
    ours, theirs = ONE[name]
    array = odd(dtype)
    t = torch.tensor(array, requires_grad=True)
    expected = theirs(t)
    (slope,) = torch.autograd.grad(expected.sum(), t)
    x = gn.Input((None,), dtype)
    y = ours(x)
    found = gn.function([x], [y, gn.grad(gn.sum(y), x)])(array)
    tolerance = (
        {"rtol": 2e-6, "atol": 1e-7} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-15}
    )
    for what, mine, wanted in zip(("value", "slope"), found, (expected, slope), strict=True):
        key = f"{what} of {name}"
        wanted = wanted.detach().numpy().copy()
        for point, value in INSTEAD.get(key, {}).items():
            with np.errstate(over="ignore"):
                wanted[np.isnan(array) if np.isnan(point) else array == point] = value
        limits = {"rtol": 1e-6} if key in COARSE else tolerance
        same = np.isclose(mine, wanted, **limits, equal_nan=True)
        table = [f"{a:g}: {m:g}, torch {w:g}" for a, m, w in zip(array, mine, wanted, strict=True)]
        wrong = [row for row, good in zip(table, same, strict=True) if not good]
        assert not wrong, f"{key}: {wrong}"


NUMPYS = ("isnan", "isinf", "isfinite", "sign", "floor", "ceil", "trunc", "round", "reciprocal")
PAIRS = ("arctan2", "copysign", "floor_divide", "remainder", "power", "maximum", "minimum")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NUMPYS)
def test_values_are_numpys(name, dtype):
    array = odd(dtype)
    x = gn.Input((None,), dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(array)
    found = gn.function(x, getattr(gn, name)(x))(array)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PAIRS)
def test_values_of_every_pair_are_numpys(name, dtype):
    points = np.array(
        [np.nan, np.inf, -np.inf, 0, -0.0, 1, -1, 2, -2, 0.5, -2.5, 1e-3, 3e30], dtype
    )
    a, b = np.meshgrid(points, points)
    x, y = gn.Input((None, 13), dtype), gn.Input((None, 13), dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(a, b)
    found = gn.function([x, y], getattr(gn, name)(x, y))(a, b)
    np.testing.assert_allclose(found, expected, rtol=2e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_gradient_is_torchs(dtype):
    """Whole exponents of negative bases, 0⁰, and slopes at 0."""
    base = np.array([0, 0, 0, 0, -2, -2, -2, -2, 2, 2, 0.5, -3], dtype)
    exponent = np.array([0, 1, 2, 0.5, 2, 3, -1, 0, 0, -2, 0.5, 0.5], dtype)
    t, p = torch.tensor(base, requires_grad=True), torch.tensor(exponent, requires_grad=True)
    expected = t**p
    slopes = torch.autograd.grad(expected.sum(), [t, p])
    x, n = gn.Input((None,), dtype), gn.Input((None,), dtype)
    y = gn.power(x, n)
    found = gn.function([x, n], [y, *gn.grad(gn.sum(y), [x, n])])(base, exponent)
    for mine, wanted in zip(found, (expected, *slopes), strict=True):
        np.testing.assert_allclose(mine, wanted.detach().numpy(), rtol=1e-6)


def test_small_results_keep_their_digits():
    """Where 1 + eˣ or 1 - eˣ would have rounded them away."""
    x = gn.Input((None,), "float32")
    nodes = [gn.sigmoid(x), gn.log_sigmoid(-x), gn.softplus(x), gn.log1p(gn.exp(x)), gn.expm1(x)]
    array = np.array([-1e-6, -20, -60, -95, -1e4], np.float32)
    found = gn.function(x, nodes)(array)
    wide = array.astype(np.float64)
    power = np.exp(wide)
    small = [
        power / (1 + power),
        -np.log1p(power),
        np.log1p(power),
        np.log1p(power),
        np.expm1(wide),
    ]
    for mine, true in zip(found, small, strict=True):
        np.testing.assert_allclose(mine, true.astype(np.float32), rtol=1e-6, atol=1.5e-45)
