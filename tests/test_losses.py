"""Losses and their options, beside torch: values and gradients of every argument that has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.testing import check_grads

RNG = np.random.default_rng(5)
A, B = RNG.uniform(-2, 2, (4, 3)), RNG.uniform(-2, 2, (4, 3))
P, Q = RNG.uniform(0.05, 0.95, (4, 3)), RNG.uniform(0.05, 0.95, (4, 3))
SIGNS = np.where(RNG.random((4, 3)) < 0.5, -1.0, 1.0)
LOGITS = RNG.uniform(-4, 4, (6, 5))
LABELS = np.array([0, 4, 2, 1, 2, 3])
SOFT = RNG.dirichlet(np.ones(5), 6)
WEIGHT = RNG.uniform(0.2, 2, 5)
REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True)
class Case:
    """A loss of ours and torch's of the same name; arrays of floats are differentiated."""

    name: str
    arrays: tuple[np.ndarray, ...]
    options: dict[str, Any]

    def __str__(self) -> str:
        options = ",".join(
            f"{k}=..." if isinstance(v, np.ndarray) else f"{k}={v}" for k, v in self.options.items()
        )
        return f"{self.name}({options})"


def cases(name: str, *arrays: np.ndarray, **options: Any) -> list[Case]:
    return [Case(name, arrays, {**options, "reduction": r}) for r in REDUCTIONS]


CASES = [
    *cases("mse_loss", A, B),
    *cases("l1_loss", A, B),
    *cases("huber_loss", A, B),
    *cases("huber_loss", A, B, delta=0.4),
    *cases("smooth_l1_loss", A, B),
    *cases("smooth_l1_loss", A, B, beta=0.3),
    *cases("smooth_l1_loss", A, B, beta=0.0),
    *cases("binary_cross_entropy", P, Q),
    *cases("binary_cross_entropy", P, Q, weight=P[0]),
    *cases("binary_cross_entropy_with_logits", A, Q),
    *cases("binary_cross_entropy_with_logits", A, Q, weight=P[:1], pos_weight=P[0] * 4),
    *cases("kl_div", np.log(SOFT), np.roll(SOFT, 1, 0)),
    *cases("kl_div", np.log(SOFT), np.log(np.roll(SOFT, 1, 0)), log_target=True),
    Case("kl_div", (np.log(SOFT), np.roll(SOFT, 1, 0)), {"reduction": "batchmean"}),
    *cases("hinge_embedding_loss", A, SIGNS),
    *cases("hinge_embedding_loss", A, np.zeros_like(A), margin=0.3),
    *cases("soft_margin_loss", A, SIGNS),
    *cases("multi_margin_loss", LOGITS, LABELS),
    *cases("multi_margin_loss", LOGITS, LABELS, p=2, margin=0.7, weight=WEIGHT),
    *cases("poisson_nll_loss", A, P * 4),
    *cases("poisson_nll_loss", P, P * 4, log_input=False, full=True),
    *cases("gaussian_nll_loss", A, B, P),
    *cases("gaussian_nll_loss", A, B, P, full=True, eps=0.5),
    *cases("cosine_embedding_loss", A, B, SIGNS[:, 0]),
    *cases("cosine_embedding_loss", A, B, SIGNS[:, 0], margin=0.2),
    Case("cosine_similarity", (A, B), {}),
    Case("cosine_similarity", (A, B), {"dim": 0}),
    *cases("nll_loss", np.log(SOFT), LABELS),
    *cases("nll_loss", np.log(SOFT), LABELS, weight=WEIGHT, ignore_index=2),
    *cases("cross_entropy", LOGITS, LABELS),
    *cases("cross_entropy", LOGITS, LABELS, weight=WEIGHT),
    *cases("cross_entropy", LOGITS, LABELS, ignore_index=2),
    *cases("cross_entropy", LOGITS, np.where(LABELS == 2, -7, LABELS), ignore_index=-7),
    *cases("cross_entropy", LOGITS, LABELS, label_smoothing=0.2),
    *cases("cross_entropy", LOGITS, LABELS, label_smoothing=0.2, weight=WEIGHT, ignore_index=2),
    *cases("cross_entropy", LOGITS, SOFT),
    *cases("cross_entropy", LOGITS, SOFT, weight=WEIGHT, label_smoothing=0.1),
]  # fmt: skip
COMPILED = [case for case in CASES if case.options.get("reduction", "mean") == "mean"]


def call(function: Callable, case: Case, values, convert) -> Any:
    options = {k: convert(v) if isinstance(v, np.ndarray) else v for k, v in case.options.items()}
    return function(*values, **options)


def theirs(case: Case, dtype: str, floats: list[int]) -> list[np.ndarray]:
    torch = pytest.importorskip("torch")

    def tensor(array: np.ndarray) -> Any:
        return torch.tensor(array.astype(dtype) if array.dtype.kind == "f" else array)

    values = [tensor(array) for array in case.arrays]
    for i in floats:
        values[i].requires_grad_(True)
    found = call(getattr(torch.nn.functional, case.name), case, values, tensor)
    weights = torch.tensor(np.random.default_rng(1).standard_normal(found.shape).astype(dtype))
    gradients = torch.autograd.grad(
        found, [values[i] for i in floats], weights, allow_unused=True, materialize_grads=True
    )
    return [t.detach().numpy() for t in (found, *gradients)]


def without_gradient(case: Case) -> set[int]:
    """Targets of signs and counts: torch differentiates some of them, which means nothing."""
    signs = ("hinge_embedding_loss", "cosine_embedding_loss", "soft_margin_loss")
    return {len(case.arrays) - 1} if case.name in signs else set()


def ours(case: Case, dtype: str, floats: list[int], backend: str) -> list[np.ndarray]:
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.arrays]
    inputs = [gn.Input((None, *a.shape[1:]), a.dtype, name=f"in{i}") for i, a in enumerate(arrays)]

    def constant(array: np.ndarray) -> gn.Constant:
        return gn.Constant(array.astype(dtype))

    node = call(getattr(gn, case.name), case, inputs, constant)
    weights = gn.Input(node.spec.shape, dtype, name="weights")
    gradients = gn.grad(gn.sum(node * weights), [inputs[i] for i in floats])
    if backend == "reference":
        given = dict(zip(inputs, arrays, strict=True))
        shape = reference.evaluate(node, given).shape
    else:
        shape = gn.function(inputs, node)(*arrays).shape
    drawn = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    if backend == "reference":
        return reference.evaluate([node, *gradients], {**given, weights: drawn})
    return gn.function([*inputs, weights], [node, *gradients])(*arrays, drawn)


def compare(case: Case, dtype: str, backend: str, rtol: float) -> None:
    floats = [
        i
        for i, a in enumerate(case.arrays)
        if a.dtype.kind == "f" and i not in without_gradient(case)
    ]
    expected = theirs(case, dtype, floats)
    for found, wanted in zip(ours(case, dtype, floats, backend), expected, strict=True):
        assert found.dtype == dtype
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol / 10)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")  # of kl_div, and right
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_option_is_torchs(case):
    compare(case, "float64", "reference", 1e-9)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:reduction. .mean. divides")
@pytest.mark.parametrize("case", COMPILED, ids=str)
def test_compiled_in_float32(case):
    compare(case, "float32", "cpu", 1e-4)


# --------------------------------------------------------------------- what torch does not have


def value(node: gn.Node, *pairs) -> np.ndarray:
    inputs, arrays = zip(*pairs, strict=True) if pairs else ((), ())
    return gn.function(list(inputs), node)(*arrays)


def test_squared_error_in_the_forms_of_the_lectures():
    y = gn.Input((3,), "float64", name="y")
    target, array = np.float64([1, 1, 1]), np.float64([1, 2, 4])
    for reduction, expected in (
        ("half_sum", 5),
        ("sum", 10),
        ("mean", 10 / 3),
        ("none", [0, 1, 9]),
    ):
        node = gn.squared_error(y, target, reduction)
        np.testing.assert_allclose(reference.evaluate(node, {y: array}), expected)
    slope = gn.grad(gn.squared_error(y, target), y)
    np.testing.assert_allclose(reference.evaluate(slope, {y: array}), array - target)
    assert gn.squared_error(y, target).name == "loss"
    with pytest.raises(GraphError, match="reduction is"):
        gn.mse_loss(y, target, reduction="half_sum")


def test_hinge_loss():
    x = gn.Input((4,), "float64", name="x")
    loss = gn.hinge_loss(x, np.float64([1, 1, -1, -1]), reduction="none")
    found = reference.evaluate(loss, {x: [2.0, 0.5, -3.0, 0.5]})
    np.testing.assert_allclose(found, [0, 0.5, 0, 1.5])


def test_losses_of_extreme_logits_are_finite_and_so_are_their_slopes():
    x = gn.Input((5,), name="x")
    big = np.float32([1e4, -1e4, 1e4, -1e4, 3e38])
    t = np.float32([1, 0, 0, 1, 1])
    loss = gn.binary_cross_entropy_with_logits(x, t, reduction="none")
    losses, slope = value([loss, gn.grad(gn.sum(loss), x)], (x, big))
    np.testing.assert_array_equal(losses, [0, 0, 1e4, 1e4, 0])
    np.testing.assert_array_equal(slope, [0, 0, 1, -1, 0])
    endless = value([loss, gn.grad(gn.sum(loss), x)], (x, np.sign(big) * np.float32(np.inf)))
    np.testing.assert_array_equal(endless, [[0, 0, np.inf, np.inf, 0], [0, 0, 1, -1, 0]])
    soft = gn.soft_margin_loss(x, t * 2 - 1, reduction="none")
    np.testing.assert_array_equal(value(soft, (x, big)), [0, 0, 1e4, 1e4, 0])
    rows = gn.Input((2, 2), name="rows")
    smooth = gn.cross_entropy(rows, np.array([0, 1]), reduction="none", label_smoothing=0.5)
    found = value(smooth, (rows, np.float32([[1e4, -1e4], [1e4, -1e4]])))
    np.testing.assert_allclose(found, [5e3, 1.5e4])


def test_probabilities_of_0_and_1_cost_100_and_wrong_ones_are_nan():
    p = gn.Input((5,), name="p")
    loss = gn.binary_cross_entropy(p, np.float32([1, 0, 1, 0, 1]), reduction="none")
    found = value(loss, (p, np.float32([0, 1, 1, 0, -0.5])))
    np.testing.assert_array_equal(found, [100, 100, 0, 0, np.nan])


def test_divergence_of_certain_targets():
    q, p = gn.Input((3,), name="q"), np.float32([0, 1, 0])
    loss = gn.kl_div(q, p, reduction="none")
    found = value([loss, gn.grad(gn.sum(loss), q)], (q, np.float32([-np.inf, 0, -1])))
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, -1, 0]])


def test_sequences_and_empty_batches():
    x, y = gn.Input((None, 7, 5), name="x"), gn.Input((None, 7), "int64", name="y")
    total = gn.cross_entropy(
        x, y, "sum", label_smoothing=0.1, ignore_index=-1, weight=np.ones(5, np.float32)
    )
    assert total.shape == ()
    assert value(total, (x, np.ones((0, 7, 5), np.float32)), (y, np.ones((0, 7), np.int64))) == 0
    found = value(total, (x, np.ones((2, 7, 5), np.float32)), (y, np.zeros((2, 7), np.int64)))
    np.testing.assert_allclose(found, 14 * np.log(5), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.2}, {"weight": np.ones(3)}])
def test_second_derivatives(options):
    check_grads(lambda x: gn.cross_entropy(x, LABELS[:3] % 3, **options), LOGITS[:3, :3], order=2)
    check_grads(
        lambda x: gn.nll_loss(x, LABELS[:3] % 3, ignore_index=2), LOGITS[:3, :3] * 0.1, order=1
    )


def test_labels_out_of_range_raise_and_the_ignored_one_does_not():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    rows = np.zeros((3, 3), np.float32)
    for loss in (gn.cross_entropy, gn.nll_loss):
        ask = gn.function([x, y], loss(x, y, ignore_index=-100))
        np.testing.assert_allclose(
            ask(rows, np.array([0, -100, 2])), loss is gn.cross_entropy and np.log(3), rtol=1e-6
        )
        with pytest.raises(DataError, match=r"y\[1\] = 3 is out of range.*0 <= label < 3 or -100"):
            ask(rows, np.array([-100, 3, 0]))
        with pytest.raises(DataError, match=r"y\[2\] = -1 is out of range"):
            ask(rows, np.array([-100, 0, -1]))
        strict = gn.function([x, y], loss(x, y))
        with pytest.raises(DataError, match=r"y\[0\] = -100 is out of range"):
            strict(rows, np.array([-100, 0, 0]))


def test_ignored_rows_count_nothing_even_where_they_are_not_finite():
    x = gn.Input((2, 2), name="x")
    loss = gn.cross_entropy(x, np.array([1, -1]), ignore_index=-1)
    assert np.isfinite(value(loss, (x, np.float32([[0, 1], [np.nan, np.inf]]))))


# ------------------------------------------------------------------------------- what teaches

PAIRED = ("mse_loss", "squared_error", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div", "binary_cross_entropy",
          "binary_cross_entropy_with_logits", "hinge_loss", "hinge_embedding_loss", "soft_margin_loss",
          "poisson_nll_loss")  # fmt: skip


@pytest.mark.parametrize("name", PAIRED)
def test_nothing_is_broadcast_or_cast_silently(name):
    p, t = gn.Input((None, 1), name="p"), gn.Input((None,), name="t")
    with pytest.raises(
        ShapeError,
        match=rf"{name} needs prediction.shape == target.shape; got \(None, 1\), \(None,\) for 'p' and 't'.*test_losses.py.*expand_dims\(target, -1\)",
    ):
        getattr(gn, name)(p, t)
    whole = gn.Input((None, 1), "int64", name="whole")
    with pytest.raises(
        DTypeError, match=rf"{name} needs one dtype, float32 or float64.*int64.*gn.cast"
    ):
        getattr(gn, name)(p, whole)
    with pytest.raises(GraphError, match="reduction is 'mean', 'sum' or 'none'; got 'avg'"):
        getattr(gn, name)(p, p, reduction="avg")


def test_two_softmaxes_are_one_too_many():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    with pytest.raises(
        GraphError,
        match="takes logits, and its own softmax would be a second; 'softmax' is the output of a softmax.*test_losses.py",
    ):
        gn.cross_entropy(gn.softmax(x), y)
    for wrapped in (
        gn.reshape(gn.softmax(gn.reshape(x, (3, -1))), (None, 3)),
        gn.transpose(gn.softmax(gn.Input((3, None)), 0)),
    ):
        with pytest.raises(GraphError, match="output of a softmax"):
            gn.cross_entropy(wrapped, y)
    with pytest.raises(
        GraphError, match="holds the sigmoid already; 'sigmoid' is the output of a sigmoid"
    ):
        gn.binary_cross_entropy_with_logits(gn.sigmoid(x), x)
    with pytest.raises(GraphError, match="takes logarithms of probabilities"):
        gn.nll_loss(gn.softmax(x), y)
    gn.nll_loss(gn.log_softmax(x), y)
    gn.binary_cross_entropy(gn.sigmoid(x), x)


X3 = gn.Input((None, 3), name="x")
IMAGE = gn.Input((None, 1, 8, 8), name="image")
RAW = {
    "linear": lambda: nn.Linear(3, 1)(X3),
    "no bias": lambda: nn.Linear(3, 1, bias=False)(X3),
    "by hand": lambda: X3 @ gn.Parameter(np.ones((3, 1), np.float32)) + gn.Parameter([0.0]),
    "bias first": lambda: gn.Parameter([0.0]) + X3 @ gn.Parameter(np.ones((3, 1), np.float32)),
    "a row": lambda: gn.squeeze(nn.Linear(3, 1)(X3), -1),
    "frozen": lambda: nn.Linear(3, 1).freeze()(X3),
    "behind relu and dropout": lambda: nn.Dropout(0.5)(gn.relu(nn.Linear(3, 1)(X3))),
    "conv2d": lambda: nn.Conv2d(1, 2, 3)(IMAGE),
    "conv1d": lambda: nn.Conv1d(1, 2, 3)(gn.Input((None, 1, 8))),
}
BOUNDED = {
    "sigmoid": lambda: gn.sigmoid(nn.Linear(3, 1)(X3)),
    "softmax": lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1))(X3),
    "clip": lambda: gn.clip(nn.Linear(3, 1)(X3), 0.0, 1.0),
    "a given probability": lambda: X3,
    "a mixture": lambda: gn.softmax(X3) @ np.float32([[0.1], [0.4], [1.0]]),
    "scaled": lambda: (gn.tanh(nn.Linear(3, 1)(X3)) + 1.0) / 2.0,
    "a parameter": lambda: gn.Parameter([0.5, 0.5]),
    "a step": lambda: nn.Step()(nn.Linear(3, 1)(X3)),
}


@pytest.mark.parametrize("name", RAW)
def test_binary_cross_entropy_of_logits(name):
    raw = RAW[name]()
    target = gn.Input(raw.shape, name="y")
    said = (
        r"outputs of a sigmoid; .* is raw: it comes out of a \w+ \(declared at test_losses\.py.*"
        r"binary_cross_entropy_with_logits, in compile loss='bce_with_logits'; or pass gn\.sigmoid"
    )
    with pytest.raises(GraphError, match=said):
        gn.binary_cross_entropy(raw, target)
    with pytest.raises(GraphError, match=said):
        nn.BCELoss()(raw, target)
    with pytest.raises(GraphError, match=said):
        gn.Model(gn.Graph(raw).inputs, raw).compile("sgd", "bce")
    gn.binary_cross_entropy(gn.sigmoid(raw), target)
    gn.binary_cross_entropy_with_logits(raw, target)


@pytest.mark.parametrize("name", BOUNDED)
def test_binary_cross_entropy_of_probabilities(name):
    p = BOUNDED[name]()
    assert gn.binary_cross_entropy(p, gn.Input(p.shape)).shape == ()


def test_a_loss_of_nan_names_binary_cross_entropy():
    x = gn.Input((None, 1), name="x")
    model = gn.Model(x, nn.Linear(1, 1)(x) * 10.0)  # nobody can see that it is raw
    model.compile("sgd", "bce")
    X = np.float32([[1], [2]])
    with pytest.warns(
        gn.NotFiniteWarning, match=r"NaN outside of \[0, 1\].*with_logits\. Look for"
    ):
        model.fit(X * 1e3, np.ones_like(X), verbose=0)
    model.compile("sgd", gn.mse_loss(model.outputs[0], x))
    with pytest.warns(gn.NotFiniteWarning, match=r"hardly recover\. Look for NaN or Inf"):
        model.fit(X * np.nan, verbose=0)


def test_arguments_of_cross_entropy():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    with pytest.raises(
        DTypeError, match=r"takes \(logits, labels\).*Swap them: cross_entropy\(x, y\)"
    ):
        gn.cross_entropy(y, x)
    with pytest.raises(ShapeError, match="at least two classes.*binary_cross_entropy_with_logits"):
        gn.cross_entropy(gn.Input((None, 1)), y)
    with pytest.raises(DTypeError, match="whole-number labels"):
        gn.cross_entropy(x, gn.Input((None,), name="floats"))
    with pytest.raises(ShapeError, match="probabilities of the shape and dtype of the logits"):
        gn.cross_entropy(x, gn.Input((None, 4)))
    with pytest.raises(DTypeError, match="probabilities of the shape and dtype of the logits"):
        gn.cross_entropy(x, gn.Input((None, 3), "float64"))
    with pytest.raises(ShapeError, match="One-hot labels"):
        gn.cross_entropy(x, gn.Input((None, 3), "int64"))
    with pytest.raises(GraphError, match=r"label_smoothing must be in \[0, 1\]; got 1.5"):
        gn.cross_entropy(x, y, label_smoothing=1.5)
    with pytest.raises(GraphError, match="ignore_index is a class index"):
        gn.cross_entropy(x, x, ignore_index=1)
    with pytest.raises(ShapeError, match=r"weight must be one float32 a class, \(3,\)"):
        gn.cross_entropy(x, y, weight=np.ones(4, np.float32))
    with pytest.raises(DTypeError, match="weight must be one float32 a class"):
        gn.cross_entropy(x, y, weight=np.ones(3))


def test_settings_out_of_range():
    x = gn.Input((None, 3), name="x")
    y = gn.Input((None,), "int64")
    for call, match in (
        (lambda: gn.huber_loss(x, x, delta=0), "delta > 0"),
        (lambda: gn.smooth_l1_loss(x, x, beta=-1), "beta >= 0"),
        (lambda: gn.multi_margin_loss(x, y, p=3), "p = 1 or 2"),
        (lambda: gn.binary_accuracy(x, x, 1.0, logits=True), r"probability in \(0, 1\)"),
    ):
        with pytest.raises(GraphError, match=match):
            call()
    with pytest.raises(ShapeError, match="weight must broadcast to the losses"):
        gn.binary_cross_entropy(x, x, weight=np.ones((2, 1, 3), np.float32))


# ------------------------------------------------------------------------------------ metrics


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_binary_accuracy(dtype):
    x, y = gn.Input((None, 1), name="x"), gn.Input((None, 1), dtype, name="y")
    truth = np.array([[1], [0], [1], [0]]).astype(dtype)
    probability = np.float32([[0.6], [0.2], [0.3], [0.9]])
    assert value(gn.binary_accuracy(x, y, logits=False), (x, probability), (y, truth)) == 0.5
    odds = np.log(probability / (1 - probability))
    assert value(gn.binary_accuracy(x, y, logits=True), (x, odds), (y, truth)) == 0.5
    strict = gn.binary_accuracy(x, y, 0.95, logits=True)
    assert value(strict, (x, odds), (y, truth)) == 0.5
    assert value(gn.binary_accuracy(x, y, 0.25, logits=False), (x, probability), (y, truth)) == 0.75
    with pytest.raises(ShapeError, match="binary_accuracy needs prediction.shape == target.shape"):
        gn.binary_accuracy(x, gn.Input((None,)), logits=True)


XOR = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
ODD = np.float32([[0], [1], [1], [0]])


@pytest.mark.parametrize("loss", ["bce", "bce_with_logits"])
def test_accuracy_of_a_model_with_one_output_is_binary(loss):
    x = gn.Input((None, 2), name="x")
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    if loss == "bce":
        net = nn.Sequential(net, nn.Sigmoid())
    model = gn.Model(x, net(x))
    model.compile(gn.optim.Adam(lr=0.1), loss=loss, metrics=["accuracy"])
    model.fit(XOR, ODD, epochs=150, batch_size=4, verbose=0)
    assert model.evaluate(XOR, ODD)["accuracy"] == 1
    border = 0.5 if loss == "bce" else 0.0
    np.testing.assert_array_equal(model.predict(XOR) > border, ODD > 0)


def test_accuracy_of_numbers_teaches():
    x = gn.Input((None, 2), name="x")
    model = gn.Model(x, nn.Linear(2, 1)(x))
    with pytest.raises(GraphError, match="accuracy counts right classes.*binary_accuracy"):
        model.compile("adam", loss="mse", metrics=["accuracy"])
    model.compile("adam", loss="mse", metrics=["mae"])


def test_a_softmax_before_cross_entropy_is_found_when_the_model_is_compiled():
    x = gn.Input((None, 2), name="x")
    model = gn.Model(x, nn.Sequential(nn.Linear(2, 3), nn.Softmax())(x))
    with pytest.raises(GraphError, match="output of a softmax"):
        model.compile("adam", loss="cross_entropy")


@pytest.mark.parametrize(
    "name",
    ["mae", "l1", "huber", "smooth_l1", "mse", "bce_with_logits", "kl_div", "hinge", "poisson_nll"],
)
def test_losses_by_name_declare_their_target(name):
    x = gn.Input((None, 2), name="x")
    model = gn.Model(x, nn.Linear(2, 3)(x))
    model.compile("sgd", loss=name)
    (target,) = model.targets
    assert (target.shape, target.dtype) == ((None, 3), "float32")
    nll = gn.Model(x, nn.Sequential(nn.Linear(2, 3), nn.LogSoftmax())(x))
    nll.compile("sgd", loss="nll")
    assert (nll.targets[0].shape, nll.targets[0].dtype) == ((None,), "int64")
