"""The elementary functions: errors in units in the last place against mpmath, and vector code."""

from __future__ import annotations

import math
import re

import mpmath
import numpy as np
import pytest
from llvmlite import binding as llvm
from scipy import special

import graphnn as gn
from graphnn.backends.cpu import compile as compiler
from graphnn.backends.cpu import vecmath

# The bounds that vecmath's docstring states.
BOUNDS = {"exp": 1.5, "log": 1.0, "tanh": 2.0, "expm1": 2.0, "log1p": 1.5, "erf": 1.5}
BOUNDS |= {"sin": 2.0, "cos": 2.0}
TRUE = {name: getattr(mpmath, name) for name in BOUNDS}
DTYPES = ("float32", "float64")
DENSE = 200_000  # against the next wider float
EXACT = 1500  # an interval, against mpmath

INTERVALS = {
    "exp": {
        "float32": [(-0.4, 0.4), (-1, 1), (-88, 88.7), (-103.9, -87)],
        "float64": [(-0.4, 0.4), (-1, 1), (-709, 709.7), (-745, -708)],
    },
    "log": {
        "float32": [(0.5, 2), (0.99, 1.01), (1e-3, 1e4), (1e-38, 3e38), (1e-45, 1e-38)],
        "float64": [(0.5, 2), (0.99, 1.01), (1e-3, 1e4), (1e-308, 1e308), (5e-324, 2e-308)],
    },
    "tanh": {
        "float32": [(-0.1, 0.1), (0.5, 0.7), (-2, 2), (-30, 30), (1e-38, 1e-3)],
        "float64": [(-0.1, 0.1), (0.5, 0.7), (-2, 2), (-30, 30), (1e-300, 1e-3)],
    },
    "expm1": {
        "float32": [(-0.4, 0.4), (-1.1, 1.1), (-19, 5), (-88, 88.7), (1e-38, 1e-3)],
        "float64": [(-0.4, 0.4), (-1.1, 1.1), (-39, 5), (-709, 709.7), (1e-300, 1e-3)],
    },
    "log1p": {
        "float32": [(-0.5, 0.5), (-0.999999, 2), (0.3, 1.1), (1e-38, 3e38), (1e-9, 1e-3)],
        "float64": [(-0.5, 0.5), (-0.999999, 2), (0.3, 1.1), (1e-300, 1e300), (1e-17, 1e-3)],
    },
    "erf": {
        "float32": [(-0.1, 0.1), (0.9, 1.1), (-2, 2), (-5, 5), (1e-38, 1e-3)],
        "float64": [(-0.1, 0.1), (0.9, 1.1), (-2, 2), (-7, 7), (1e-300, 1e-3)],
    },
    **{
        name: {"float32": [(-0.8, 0.8), (-7, 7), (-1e3, 1e3), (-1e5, 1e5), (1e-30, 3.4e38)]}
        for name in ("sin", "cos")
    },
}
WIDER = {name: special.erf if name == "erf" else getattr(np, name) for name in BOUNDS}
LIBMS = [("sin", "float64"), ("cos", "float64"), ("cosine_squasher", "float64")]
CASES = [(n, d) for n in BOUNDS for d in DTYPES if (n, d) not in LIBMS]
# erf has no long double.
WIDE_CASES = [case for case in CASES if case != ("erf", "float64")]


@pytest.fixture(scope="module")
def compiled():
    functions = {}
    for name, dtype in CASES:
        x = gn.Input((None,), dtype)
        functions[name, dtype] = gn.function([x], getattr(gn, name)(x))
    return functions


def drawn(low: float, high: float, count: int, dtype: str) -> np.ndarray:
    """Uniform; over many powers of ten, uniform in the exponent."""
    rng = np.random.default_rng(7)
    if low > 0 and high / low > 1e6:
        return np.exp(rng.uniform(math.log(low), math.log(high), count)).astype(dtype)
    return rng.uniform(low, high, count).astype(dtype)


def unit(true: mpmath.mpf, dtype: str) -> mpmath.mpf:
    """The unit in the last place of the float that is nearest to the true value."""
    digits, lowest = (24, -126) if dtype == "float32" else (53, -1022)
    _, exponent = mpmath.frexp(true)
    return mpmath.mpf(2) ** (max(int(exponent) - 1, lowest) - digits + 1)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_error_against_mpmath(name, dtype, compiled):
    for low, high in INTERVALS[name][dtype]:
        points = drawn(low, high, EXACT, dtype)
        found = compiled[name, dtype](points)
        with mpmath.workprec(320 if high > 1e30 else 160):
            for x, y in zip(points.tolist(), found.tolist(), strict=True):
                true = TRUE[name](mpmath.mpf(x))
                if true == 0:
                    assert y == 0
                    continue
                error = abs(mpmath.mpf(y) - true) / unit(true, dtype)
                assert error <= BOUNDS[name], f"{name}({x!r}) = {y!r}: {float(error):.3f} ULP"


@pytest.mark.parametrize(("name", "dtype"), WIDE_CASES)
def test_error_on_many_points(name, dtype, compiled):
    """Against the next wider float, whose own error is beyond the eleventh bit behind the last."""
    wide = np.float64 if dtype == "float32" else np.longdouble
    if np.finfo(wide).nmant < np.finfo(dtype).nmant + 10:
        pytest.skip(f"no float wider than {dtype} on this machine: long double is float64")
    digits, lowest = (24, -126) if dtype == "float32" else (53, -1022)
    for low, high in INTERVALS[name][dtype]:
        points = drawn(low, high, DENSE, dtype)
        true = WIDER[name](points.astype(wide))
        _, exponent = np.frexp(true)
        units = np.ldexp(wide(1), np.maximum(exponent - 1, lowest) - digits + 1)
        errors = np.abs((compiled[name, dtype](points).astype(wide) - true) / units)
        worst = np.argmax(errors)
        assert errors[worst] <= BOUNDS[name], f"{name}({points[worst]!r}): {errors[worst]:.3f} ULP"


def test_the_docstring_states_these_bounds():
    for name, bound in BOUNDS.items():
        wide = "libm's" if (name, "float64") in LIBMS else f"<= {bound}"
        line = rf"``{name}``\s+<= {bound} \(.*?\)\s+{wide} "
        assert re.search(line, vecmath.__doc__), name


INF, NAN = math.inf, math.nan
SPECIAL = {
    "exp": [(NAN, NAN), (INF, INF), (-INF, 0.0), (0.0, 1.0), (-0.0, 1.0), (1e-30, 1.0)],
    "log": [
        (NAN, NAN),
        (INF, INF),
        (-INF, NAN),
        (0.0, -INF),
        (-0.0, -INF),
        (-1.0, NAN),
        (1.0, 0.0),
    ],
    "tanh": [(NAN, NAN), (INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (50.0, 1.0)],
    "expm1": [(NAN, NAN), (INF, INF), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e4, INF)],
    "log1p": [(NAN, NAN), (INF, INF), (-INF, NAN), (-1.0, -INF), (-1.5, NAN), (0.0, 0.0)],
    "sin": [(NAN, NAN), (INF, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30)],
    "cos": [(NAN, NAN), (INF, NAN), (-INF, NAN), (0.0, 1.0), (-0.0, 1.0), (1e-30, 1.0)],
    "erf": [(NAN, NAN), (INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (50.0, 1.0)],
}


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_special_values(name, dtype, compiled):
    """As C99 has them, but for the sign of zero: in vector code and in what is left of a loop."""
    points, expected = np.array(SPECIAL[name], dtype).T
    for count in (1, 5, 67):
        many = np.resize(points, count)
        found = compiled[name, dtype](many)
        np.testing.assert_array_equal(found, np.resize(expected, count))


def test_next_to_the_zeros_of_sine_and_cosine(compiled):
    """The floats that lie nearest to multiples of π/2 lose no digit: the reduction is exact."""
    sine, cosine = compiled["sin", "float32"], compiled["cos", "float32"]
    nearest = (np.arange(1, 4000) * (np.pi / 2)).astype(np.float32)
    # Of all float32 this one comes nearest: Muller, Elementary Functions, table of worst cases.
    nearest = np.append(nearest, np.float32(16367173 * 2.0**72))
    with mpmath.workprec(320):
        for function, true in ((sine, mpmath.sin), (cosine, mpmath.cos)):
            wanted = [float(true(mpmath.mpf(x))) for x in nearest.tolist()]
            np.testing.assert_allclose(function(nearest), wanted, rtol=2.5e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_at_the_edges(dtype, compiled):
    info = np.finfo(dtype)
    exp = compiled["exp", dtype]
    last = np.dtype(dtype).type(np.log(np.float64(info.max)))  # rounded, either way
    below = np.array([np.nextafter(last, last * 0)])
    above = np.array([np.nextafter(last, last * 2)])
    with mpmath.workprec(100):
        assert mpmath.exp(below.item()) < mpmath.mpf(float(info.max)) < mpmath.exp(above.item())
    assert np.isfinite(exp(below)[0])
    assert exp(above * above.dtype.type(1.0001))[0] == INF
    assert exp(np.array([1e4], dtype))[0] == INF
    # Down through the subnormals to zero.
    smallest = np.array([math.log(float(info.smallest_subnormal)) + 0.1], dtype)
    assert exp(smallest)[0] == info.smallest_subnormal
    assert exp(smallest - dtype_one(dtype))[0] == 0
    assert exp(np.array([-1e4], dtype))[0] == 0


def dtype_one(dtype: str):
    return np.dtype(dtype).type(1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormals(dtype, compiled):
    info = np.finfo(dtype)
    tiny = np.array(
        [info.smallest_subnormal, info.smallest_normal / 2, info.smallest_normal], dtype
    )
    np.testing.assert_array_equal(compiled["tanh", dtype](tiny), tiny)
    np.testing.assert_array_equal(compiled["exp", dtype](tiny), np.ones(3, dtype))
    np.testing.assert_allclose(
        compiled["log", dtype](tiny), np.log(tiny.astype(np.longdouble)).astype(dtype), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_bounded_and_rising(dtype, compiled):
    points = np.linspace(0, 25, 20_001, dtype=dtype)
    found = compiled["tanh", dtype](points)
    np.testing.assert_array_equal(compiled["tanh", dtype](-points), -found)
    assert found.max() == 1
    assert np.all(np.diff(found) >= 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_that_numba_brings(dtype):
    """One vocabulary: every name has a function of each width that keeps to its width."""
    x = np.array([0.3, 0.9, 0.61], dtype)

    @gn.elementwise(name=f"numbas_{dtype}")
    def all_of_them(x):
        round_ones = math.floor(x * 3) + math.ceil(x * 3) + math.trunc(x * -3)
        waves = math.sin(x) + math.cos(x) + math.tan(x) + math.asin(x) + math.acos(x) + math.atan(x)
        powers = math.sinh(x) + math.cosh(x) + math.pow(x, 2) + math.atan2(x, 2) + math.erf(x)
        small = math.expm1(x) + math.log1p(x) + math.sqrt(x) + math.fabs(-x)
        return round_ones + waves + powers + small + math.copysign(x, -1)

    expected = [all_in_python(value) for value in x.astype(float)]
    node = gn.Input((3,), dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    np.testing.assert_allclose(gn.function([node], all_of_them(node))(x), expected, rtol=tolerance)


def all_in_python(x: float) -> float:
    round_ones = math.floor(x * 3) + math.ceil(x * 3) + math.trunc(x * -3)
    waves = math.sin(x) + math.cos(x) + math.tan(x) + math.asin(x) + math.acos(x) + math.atan(x)
    powers = math.sinh(x) + math.cosh(x) + math.pow(x, 2) + math.atan2(x, 2) + math.erf(x)
    small = math.expm1(x) + math.log1p(x) + math.sqrt(x) + math.fabs(-x)
    return round_ones + waves + powers + small + math.copysign(x, -1)


# ------------------------------------------------------------------------------- vector code


def vector_width(dtype: str) -> int:
    """Elements that a vector of this machine holds, or a skip that says why there is none."""
    features = llvm.get_host_cpu_features()
    if features.get("avx2"):
        return 8 if dtype == "float32" else 4
    if features.get("neon"):
        return 4 if dtype == "float32" else 2
    return pytest.skip(
        "this machine has neither AVX2 nor NEON: loops are not expected to vectorise"
    )


ELEMENTWISE = (
    *("exp", "log", "tanh", "expm1", "log1p", "erf", "sqrt", "rsqrt", "square", "reciprocal"),
    *(
        "abs",
        "sign",
        "floor",
        "round",
        "sigmoid",
        "log_sigmoid",
        "softplus",
        "silu",
        "mish",
        "gelu",
    ),
    *("elu", "selu", "celu", "leaky_relu", "relu6", "hard_sigmoid", "hard_swish", "softsign"),
    *("tanhshrink", "softshrink", "hardshrink", "step", "sin", "cos", "cosine_squasher"),
)


def one_step(name: str, dtype: str) -> gn.Node:
    x = gn.Input((None, 64), dtype)
    p = gn.Parameter(np.zeros((8, 64), dtype))
    return {
        **{name: lambda name=name: getattr(gn, name)(x) for name in ELEMENTWISE},
        "derivative of gelu": lambda: gn.grad(gn.sum(gn.gelu(x)), x),
        "derivative of mish": lambda: gn.grad(gn.sum(gn.mish(x)), x),
        "relu of a sum": lambda: gn.relu(x + gn.Input((64,), dtype)),
        "derivative of tanh": lambda: gn.grad(gn.sum(gn.tanh(x)), x),
        "sum of rows": lambda: gn.sum(x, 1),
        "mean of columns": lambda: gn.mean(x, 0),
        "softmax": lambda: gn.softmax(x),
        "sgd": lambda: p - 0.1 * gn.Input((8, 64), dtype),
    }[name]()


LOOPS = [
    *ELEMENTWISE,
    "derivative of gelu",
    "derivative of mish",
    "relu of a sum",
    "derivative of tanh",
    "sum of rows",
    "mean of columns",
    "softmax",
    "sgd",
]


INTRINSICS = "fma|fmuladd|sqrt|floor|rint"


VECTORISED = [(n, d) for n in LOOPS for d in DTYPES if (n, d) not in LIBMS]


@pytest.mark.parametrize(("name", "dtype"), VECTORISED)
def test_loops_vectorise(name, dtype, tmp_path, monkeypatch):
    """The optimised code computes in vectors as wide as the machine's, and calls no libm."""
    added_in = "float64" if name == "mean of columns" else dtype
    width = vector_width(added_in)
    node = one_step(name, dtype)
    function = gn.function(list(gn.Graph(node).inputs), node)
    kernel = function.plan.kernels[-1]
    monkeypatch.setenv("GRAPHNN_CACHE_DIR", str(tmp_path))
    compiler._compiled(kernel.source, kernel.name, "kernel", "0" * 40)
    code = compiler._libraries.pop().inspect_llvm()
    scalar = "float" if added_in == "float32" else "double"
    arithmetic = re.findall(rf"= f(?:add|sub|mul|div|cmp)\b[^<\n]*<(\d+) x {scalar}>", code)
    arithmetic += re.findall(rf"call [^<\n]*<(\d+) x {scalar}> @llvm\.(?:{INTRINSICS})", code)
    assert max(map(int, arithmetic), default=1) >= width, code
    assert not re.search(r"@(?:exp|log|tanh|expm1|log1p|erf|sin|cos)f?\(", code)
