"""Metrics of whole sets: equal to their formulas over all samples, whatever the batches."""

from __future__ import annotations

import io
import itertools
from contextlib import redirect_stdout

import numpy as np
import pytest

import graphnn as gn
from graphnn.backends.cpu import loop
from graphnn.errors import GraphError, ShapeError
from graphnn.train.epochs import EpochRun

AVERAGES = ["micro", "macro", "weighted"]


# By hand, in NumPy: the oracle where scikit-learn is not installed.


def counts(said, true, classes):
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (true, said), 1)
    return matrix


def ratio(a, b, empty=0.0):
    return np.where(b == 0, empty, a / np.where(b == 0, 1, b))


def scored(kind, average, said, true, classes, empty=0.0):
    m = counts(said, true, classes)
    right, p, t = np.diag(m), m.sum(0), m.sum(1)
    if average == "micro":
        right, p, t = (one.sum(keepdims=True) for one in (right, p, t))
    each = {
        "precision": ratio(right, p, empty),
        "recall": ratio(right, t, empty),
        "f1": ratio(2 * right, p + t, empty),
    }[kind]
    if average is None:
        return each
    if average == "micro":
        return each[0]
    if average == "binary":
        return each[1]
    weights = t if average == "weighted" else (p + t > 0).astype(float)
    return (each * weights).sum() / weights.sum()


def r2(said, true):
    return 1 - ((true - said) ** 2).sum(0) / ((true - true.mean(0)) ** 2).sum(0)


def classifier(metrics, classes=4, **inputs):
    """A model whose output is its input, so that every decision is known."""
    x = gn.Input((None, classes), name="x")
    model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    model.compile("sgd", "cross_entropy", metrics=metrics, lr=1e-30, **inputs)
    return model


def drawn(samples=2500, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, classes)).astype("f")
    Y = np.where(rng.random(samples) < 0.5, X.argmax(1), rng.integers(0, classes - 1, samples))
    return X, Y  # the last class is rare


KINDS = {"precision": gn.metrics.Precision, "recall": gn.metrics.Recall, "f1": gn.metrics.F1Score}


def test_metrics_of_classes_over_a_whole_set():
    """evaluate cuts 2500 samples into 1024, 1024 and 452; fit into 37s and a tail of 21."""
    X, Y = drawn()
    names = [f"{kind}_{average}" for kind in KINDS for average in AVERAGES]
    model = classifier([*names, "confusion_matrix", "accuracy"])
    expected = {f"{k}_{a}": scored(k, a, X.argmax(1), Y, 4) for k in KINDS for a in AVERAGES}
    found = model.evaluate(X, Y)
    history = model.fit(X, Y, batch_size=37, verbose=0, validation_data=(X[:999], Y[:999]))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-14)
        assert history[name] == pytest.approx([value], rel=1e-14)
    matrix = counts(X.argmax(1), Y, 4)
    assert found["confusion_matrix"] == matrix.tolist()
    assert history["confusion_matrix"] == [matrix.tolist()]
    assert history["val_confusion_matrix"] == [counts(X[:999].argmax(1), Y[:999], 4).tolist()]
    assert found["f1_micro"] == pytest.approx(found["accuracy"], rel=1e-6)


@pytest.mark.parametrize("average", [*AVERAGES, None])
@pytest.mark.parametrize("kind", KINDS)
def test_classes_that_never_occur(kind, average):
    X, Y = drawn(300)
    X[:, 3] = -9  # never said, and Y has it only by chance
    Y[Y == 3] = 0
    empty = 0.25
    metric = KINDS[kind](average, zero_division=empty)
    found = classifier([metric]).evaluate(X, Y)[metric.name]
    np.testing.assert_allclose(found, scored(kind, average, X.argmax(1), Y, 4, empty), rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["bce_with_logits", "bce"])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_of_yes_and_no(kind, loss, shape):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1500, *shape)).astype("f")
    X = logits if loss == "bce_with_logits" else (1 / (1 + np.exp(-logits))).astype("f")
    Y = (rng.random(X.shape) < 0.3).astype("f")
    x = gn.Input((None, *shape), name="x")
    model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    zeros = KINDS[kind]("binary", pos_label=0)
    zeros.name = "zeros"
    sure = KINDS[kind](threshold=0.8)
    sure.name = "sure"
    model.compile("sgd", loss, metrics=[kind, zeros, sure, f"{kind}_macro", "confusion_matrix"])
    found = model.evaluate(X, Y)
    said, true = (logits > 0).astype(int).ravel(), Y.astype(int).ravel()
    assert found[kind] == pytest.approx(scored(kind, "binary", said, true, 2), rel=1e-14)
    assert found["zeros"] == pytest.approx(scored(kind, None, said, true, 2)[0], rel=1e-14)
    assert found[f"{kind}_macro"] == pytest.approx(scored(kind, "macro", said, true, 2), rel=1e-14)
    said = (logits > np.log(4)).astype(int).ravel()
    assert found["sure"] == pytest.approx(scored(kind, "binary", said, true, 2), rel=1e-14)


def test_two_classes_of_logits_are_binary_too():
    X, Y = drawn(400, classes=3)
    X, Y = X[:, :2], Y.clip(0, 1)
    found = classifier(["f1", "precision", "recall"], classes=2).evaluate(X, Y)
    for kind in KINDS:
        expected = scored(kind, "binary", X.argmax(1), Y, 2)
        assert found[kind] == pytest.approx(expected, rel=1e-14)


def test_labels_of_sequences():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(70, 6, 3)).astype("f"), rng.integers(0, 3, (70, 6))
    x = gn.Input((None, 6, 3), name="x")
    model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    model.compile("sgd", "cross_entropy", metrics=["f1_macro", "top_k", gn.metrics.TopKAccuracy(2)])
    found = model.evaluate(X, Y)
    expected = scored("f1", "macro", X.argmax(-1).ravel(), Y.ravel(), 3)
    assert found["f1_macro"] == pytest.approx(expected, rel=1e-14)
    assert found["top_k"] == 1.0  # all of three classes are among five
    assert found["top_2"] == pytest.approx((np.argsort(X)[..., 1:] == Y[..., None]).sum() / 420)


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
@pytest.mark.parametrize("multioutput", ["uniform_average", "variance_weighted", "raw_values"])
def test_r2(shape, multioutput):
    rng = np.random.default_rng(2)
    Y = (rng.normal(size=(2100, *shape)) * 3 + 40).astype("f")
    X = (Y + rng.normal(size=Y.shape)).astype("f")
    x = gn.Input((None, *shape), name="x")
    model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    model.compile(
        "sgd", "mse", metrics=["r2", gn.metrics.R2Score(multioutput, name="own")], lr=1e-30
    )
    each = np.atleast_1d(r2(X.astype(float), Y.astype(float)))
    expected = {
        "uniform_average": each.mean(),
        "variance_weighted": np.average(each, weights=np.atleast_1d(Y.astype(float).var(0))),
        "raw_values": each,
    }[multioutput]
    found = model.evaluate(X, Y)
    np.testing.assert_allclose(found["own"], expected, rtol=1e-10)
    assert found["r2"] == pytest.approx(each.mean(), rel=1e-10)
    history = model.fit(X, Y, batch_size=100, epochs=2, verbose=0)
    np.testing.assert_allclose(history["own"], [expected] * 2, rtol=1e-10)


def test_r2_of_a_constant_is_scikit_learns():
    x = gn.Input((None, 1), name="x")
    model = gn.Model(x, x * gn.Parameter(np.float32(1), name="w"))
    model.compile("sgd", "mse", metrics=["r2"])
    Y = np.full((50, 1), 0.1, np.float32)
    assert model.evaluate(Y, Y)["r2"] == 1.0
    assert model.evaluate(Y + 1, Y)["r2"] == 0.0


def test_scikit_learn_agrees():
    sk = pytest.importorskip(
        "sklearn.metrics", reason="needs scikit-learn: pip install scikit-learn"
    )
    X, Y = drawn(1700, 7)
    said = X.argmax(1)
    metrics = [KINDS[k](a) for k in KINDS for a in AVERAGES]
    metrics += [gn.metrics.TopKAccuracy(3), gn.metrics.ConfusionMatrix()]
    found = classifier(metrics, 7).evaluate(X, Y)
    for kind, function in {
        "precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score,
    }.items():  # fmt: skip
        for average in AVERAGES:
            expected = function(Y, said, average=average, zero_division=0)
            assert found[f"{kind}_{average}"] == pytest.approx(expected, rel=1e-13)
    assert found["confusion_matrix"] == sk.confusion_matrix(Y, said).tolist()
    expected = sk.top_k_accuracy_score(Y, X, k=3, labels=range(7))
    assert found["top_3"] == pytest.approx(expected)


# ------------------------------------------------------------------------------- top k


def test_top_k():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(500, 8)).astype("f"), rng.integers(0, 8, 500)
    x, y = gn.Input((None, 8), name="x"), gn.Input((None,), "int64", name="y")
    one, three, all_ = gn.function(
        [x, y], [*(gn.top_k_accuracy(x, y, k) for k in (1, 3, 20))]
    )(X, Y)  # fmt: skip
    assert one == pytest.approx((X.argmax(1) == Y).mean())
    assert three == pytest.approx((np.argsort(X)[:, -3:] == Y[:, None]).any(1).mean())
    assert all_ == 1


def test_top_k_of_equal_logits_and_of_none():
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    f = gn.function([x, y], gn.top_k_accuracy(x, y, 2))
    X = np.ones((4, 4), np.float32)
    assert f(X, np.arange(4)) == 0.5  # of equal ones the first
    X[:, 0] = np.nan
    assert f(X, np.arange(4)) == 0
    with pytest.raises(GraphError, match="top_k_accuracy: k is a whole number >= 1; got 0"):
        gn.top_k_accuracy(x, y, 0)


# ------------------------------------------------------------------------- metrics of one's own


def rmse():
    def sums(output, target):
        return gn.stack([gn.sum((output - target) ** 2), gn.sum(gn.ones_like(target))])

    return gn.metrics.Metric(sums, lambda total: np.sqrt(total[0] / total[1]), name="rmse")


def test_a_metric_of_ones_own_by_name_and_in_a_dict():
    x = gn.Input((None, 2), name="x")
    y = gn.Input((None, 2), name="y")
    out = x * gn.Parameter(np.float32(1), name="w")
    X = np.random.default_rng(0).normal(size=(1300, 2)).astype("f")
    expected = np.sqrt(np.mean((2 * X.astype(float)) ** 2))
    for metrics in ([rmse()], rmse(), {"rmse": rmse()}, {"rmse": rmse()(out, y)}):
        model = gn.Model(x, out)
        model.compile("sgd", gn.mse_loss(out, y), metrics=metrics, lr=1e-30)
        assert model.evaluate(X, -X)["rmse"] == pytest.approx(expected, rel=1e-6)
        history = model.fit(X, -X, batch_size=100, epochs=2, verbose=0)
        assert history["rmse"] == pytest.approx([expected] * 2, rel=1e-6)


def test_the_sums_are_the_same_bits_on_any_number_of_threads(on_each_number_of_threads):
    X, Y = drawn(700)

    def run():
        model = classifier(["f1_macro", "confusion_matrix"])
        history = model.fit(X, Y, batch_size=64, epochs=2, verbose=0)
        return [np.array(history["f1_macro"]), np.array(history["confusion_matrix"])]

    on_each_number_of_threads(run)


def test_what_other_threads_write_is_whole_when_it_is_added_up(many_lanes):
    gn.set_num_threads(3)
    x = gn.Input((None, 1), name="x")
    each = gn.sum(gn.exp(x * np.zeros(999, np.float32)), 0)  # a third of it by each thread
    whole = gn.metrics.Metric(lambda output, _: output, np.array, array=True)(each, x)
    run = EpochRun(gn.function([x], [whole]), {x: np.ones((9000, 1), np.float32)}, 3)
    assert run.job.fields[loop.MEET]
    run.run()
    assert np.all(np.array(run.means()[0]) == 9000)


@pytest.mark.parametrize("verbose", [1, 2])
def test_lines_show_numbers_and_leave_arrays_out(verbose):
    X, Y = drawn(200)
    model = classifier(["confusion_matrix", "f1_macro"])
    out = io.StringIO()
    with redirect_stdout(out):
        history = model.fit(X, Y, epochs=2, verbose=verbose, validation_data=(X, Y))
    assert "f1_macro=0." in out.getvalue()
    assert "val_f1_macro=0." in out.getvalue()
    assert "confusion" not in out.getvalue()
    assert "confusion" not in repr(history)


def test_what_does_not_fit():
    x, y = gn.Input((None, 3), name="x"), gn.Input((None,), "int64", name="y")
    target = gn.Input((None, 3), name="target")
    f1 = gn.metrics.F1Score
    batchwise = gn.metrics.Metric(lambda o, t: o - t, float)
    for call, error, match in (
        (lambda: classifier(["f1"]), GraphError, "f1: average='binary' is of two classes, and the output has 4"),
        (lambda: classifier(["f2"]), GraphError, "a metric is one of .*'f1_macro'.*got 'f2'"),
        (lambda: classifier([f1]), GraphError, r"Make one: gn.metrics.F1Score\(\)"),
        (lambda: classifier([f1("macro"), f1("macro")]), GraphError, "two metrics are named 'f1_macro'"),
        (lambda: f1("median"), GraphError, "f1: average is one of binary, micro, macro, weighted or None"),
        (lambda: f1(pos_label=2), GraphError, "pos_label is 0 or 1"),
        (lambda: f1(zero_division="warn"), GraphError, "zero_division is a number"),
        (lambda: f1(threshold=1), GraphError, r"threshold is a probability in \(0, 1\)"),
        (lambda: f1(logits="yes"), GraphError, "logits is True, False or None"),
        (lambda: f1()(x, target), GraphError, "For yes and no say which the output is: logits=True"),
        (lambda: gn.metrics.R2Score("mean"), GraphError, "r2: multioutput is one of"),
        (lambda: gn.metrics.R2Score()(x, y), ShapeError, "r2 needs output.shape == target.shape"),
        (lambda: batchwise(x, target), ShapeError, "metric: sums must not have the batch axis"),
        (lambda: gn.metrics.Metric(lambda o, t: 3, float)(x, y), GraphError, "sums returns a node; got 3"),
        (lambda: gn.metrics.Metric("f1", float), GraphError, "a metric is Metric"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()


def test_arrays_stay_out_of_logs_and_curves_and_last_in_json(tmp_path):
    X, Y = drawn(200)
    model = classifier(["confusion_matrix", "f1_macro"])
    log = gn.callbacks.CSVLogger(tmp_path / "log.csv")
    stop = gn.callbacks.EarlyStopping("val_f1_macro", patience=1)
    history = model.fit(
        X, Y, epochs=5, verbose=0, validation_data=(X, Y), callbacks=[log, stop]
    )  # fmt: skip
    assert log.path.read_text().splitlines()[0] == "epoch,loss,f1_macro,val_loss,val_f1_macro"
    assert history.epochs == 2  # nothing gets better
    assert "f1_macro" in str(history)
    assert "confusion" not in str(history)
    assert gn.History.from_json(history.to_json()) == history
    assert np.shape(history["val_confusion_matrix"]) == (2, 4, 4)


def test_a_formula_that_returns_something_else_than_it_said():
    wrong = gn.metrics.Metric(lambda o, t: gn.sum(o, 0), lambda total: total, name="wrong")
    with pytest.raises(GraphError, match=r"finish returns shape \(4,\).*array=True"):
        classifier([wrong]).evaluate(*drawn(20))


def test_batches_of_several_sizes_from_a_stream():
    X, Y = drawn(500)
    cuts = [0, 64, 200, 211, 212, 500]
    parts = [(X[a:b], Y[a:b]) for a, b in itertools.pairwise(cuts)]
    batches = lambda: iter(parts)  # noqa: E731
    expected = scored("f1", "macro", X.argmax(1), Y, 4)
    model = classifier(["f1_macro", "confusion_matrix"])
    history = model.fit(batches, epochs=2, verbose=0, validation_data=batches)
    for name in ("f1_macro", "val_f1_macro"):
        assert history[name] == pytest.approx([expected] * 2, rel=1e-14)
    assert history["confusion_matrix"] == [counts(X.argmax(1), Y, 4).tolist()] * 2
    assert model.evaluate(batches)["f1_macro"] == pytest.approx(expected, rel=1e-14)
