"""Estimators for scikit-learn: its own checks, its own linear models as oracles, its tools."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.backends.cpu.compile import counts
from graphnn.ops.random.generator import GENERATOR

pytest.importorskip("sklearn", reason="pip install 'graphnn[sklearn]'")

import joblib
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_regression
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from graphnn.sklearn import GraphClassifier, GraphRegressor


@dataclass(frozen=True)
class Layers:
    """Builds a network; its name is the same in each process of a test run."""

    dtype: str

    def __call__(self, n_features, n_outputs):
        first = nn.Linear(n_features, 32, dtype=self.dtype)
        return nn.Sequential(first, nn.SiLU(), nn.Linear(32, n_outputs, dtype=self.dtype))


@parametrize_with_checks(
    [
        GraphClassifier(),
        GraphRegressor(),
        GraphClassifier(build=Layers("float64"), optimizer="rmsprop"),
        GraphRegressor((64, 32), activation="tanh", optimizer=optim.AdamW(lr=0.01)),
    ]
)
def test_what_scikit_learn_asks_of_estimators(estimator, check):
    check(estimator)  # no failure is expected of any


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), load_iris().target_names[y]


@pytest.fixture(scope="module")
def yes_no():
    X, y = make_classification(120, 5, random_state=3, flip_y=0.2)
    return StandardScaler().fit_transform(X), y


def linear(**settings):
    """No hidden layer: what it finds is known."""
    defaults = {"lr": 0.1, "epochs": 1500, "random_state": 0}
    return {"hidden_layer_sizes": (), **defaults, **settings}


# Linear models of scikit-learn, as oracles.


@pytest.mark.parametrize("decay", [0.02, 0.5])
def test_two_classes_without_hidden_layers_are_logistic_regression(yes_no, decay):
    X, y = yes_no
    found = GraphClassifier(**linear(weight_decay=decay)).fit(X, y)
    # λ/2 ‖w‖² beside a mean over n samples is their sum with C = 1 / (n λ); biases are free.
    known = LogisticRegression(C=1 / (len(X) * decay), tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(found.decision_function(X), known.decision_function(X), atol=1e-4)
    np.testing.assert_allclose(found.predict_proba(X), known.predict_proba(X), atol=1e-4)


def test_many_classes_without_hidden_layers_are_multinomial_regression(iris):
    X, y = iris
    found = GraphClassifier(**linear(weight_decay=0.1)).fit(X, y)
    known = LogisticRegression(C=1 / (len(X) * 0.1), tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(found.predict_proba(X), known.predict_proba(X), atol=1e-4)
    np.testing.assert_allclose(found.predict_log_proba(X), known.predict_log_proba(X), atol=1e-3)
    assert (found.predict(X) == known.predict(X)).all()
    assert found.classes_.tolist() == ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize("targets", [1, 3])
def test_regression_without_hidden_layers_is_ridge_regression(targets):
    X, y = make_regression(100, 4, n_targets=targets, random_state=0, noise=5.0)
    y = StandardScaler().fit_transform(y.reshape(100, -1)).reshape(y.shape)
    found = GraphRegressor(**linear(weight_decay=0.3)).fit(X, y)
    # The mean over outputs divides each one's share of the loss; the penalty is not divided.
    known = Ridge(alpha=100 * 0.3 / 2 * targets, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(found.predict(X), known.predict(X), atol=1e-4)
    assert found.n_outputs_ == targets
    np.testing.assert_allclose(
        GraphRegressor(**linear()).fit(X, y).predict(X), LinearRegression().fit(X, y).predict(X),
        atol=1e-4,
    )  # fmt: skip


def test_each_loss_of_a_regressor_finds_its_own_centre():
    X, y = np.zeros((5, 1)), np.array([0.0, 0.1, 0.2, 0.3, 9.4])
    settings = linear(lr=optim.schedule.ExponentialLR(0.1, gamma=0.997), epochs=3000)
    found = {
        loss: GraphRegressor(loss=loss, **settings).fit(X, y).predict(X[:1])[0]
        for loss in ("squared_error", "absolute_error", "huber")
    }
    assert found["squared_error"] == pytest.approx(2.0, abs=1e-3)  # the mean
    assert found["absolute_error"] == pytest.approx(0.2, abs=1e-2)  # the median
    assert found["huber"] == pytest.approx(0.4, abs=1e-3)  # Σ (c - yᵢ) of four = 1


# Weights of samples and classes.


def test_a_weight_counts_as_so_many_samples(iris):
    X, y = iris
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    settings = {"epochs": 50, "batch_size": 10_000, "random_state": 1}
    weighted = GraphClassifier((8,), **settings).fit(X, y, weights)
    repeated = GraphClassifier((8,), **settings).fit(X.repeat(weights, 0), y.repeat(weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7)


def test_class_weights_are_weights_of_samples(iris):
    X, y = iris[0][:110], iris[1][:110]
    classes = np.unique(y)
    each = compute_class_weight("balanced", classes=classes, y=y)
    balanced = dict(zip(classes, each, strict=True))
    settings = {"hidden_layer_sizes": (4,), "epochs": 20, "random_state": 0}
    by_sample = GraphClassifier(**settings).fit(X, y, [balanced[name] for name in y])
    for given in ("balanced", balanced):
        found = GraphClassifier(**settings, class_weight=given).fit(X, y)
        np.testing.assert_allclose(found.predict_proba(X), by_sample.predict_proba(X), rtol=1e-7)
    plain = GraphClassifier(**settings).fit(X, y)
    assert np.abs(plain.predict_proba(X) - by_sample.predict_proba(X)).max() > 1e-3


def test_a_class_of_which_no_sample_counts_is_not_there(iris):
    X, y = iris
    found = GraphClassifier((4,), epochs=2).fit(X, y, y != "setosa")
    assert found.classes_.tolist() == ["versicolor", "virginica"]
    assert found.predict_proba(X).shape == (150, 2)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(150), "all sample weights are zero"),
        (-np.ones(150), "below zero"),
        (np.ones(3), "a number for each of 150 samples"),
        (np.full(150, np.nan), "NaN"),
    ],
)
def test_weights_that_cannot_be(iris, weights, message):
    with pytest.raises(ValueError, match=message):
        GraphClassifier().fit(*iris, weights)


# Random numbers.

RANDOM = {"hidden_layer_sizes": (16,), "dropout": 0.3, "epochs": 6, "batch_size": 16}


def test_random_state_decides_every_bit_and_set_seed_none(iris):
    X, y = iris
    made = [GraphClassifier(**RANDOM, random_state=7).fit(X, y).decision_function(X)]
    gn.set_seed(123)
    first = nn.Linear(3, 3).weight.value.copy()
    gn.set_seed(123)
    state = GENERATOR.value.copy()
    made.append(GraphClassifier(**RANDOM, random_state=7).fit(X, y).decision_function(X))
    assert (GENERATOR.value == state).all()
    assert (nn.Linear(3, 3).weight.value == first).all()  # no stream was used up
    assert made[0].tobytes() == made[1].tobytes()
    other = GraphClassifier(**RANDOM, random_state=8).fit(X, y).decision_function(X)
    assert (other != made[0]).any()


def test_estimators_trained_at_once_do_not_disturb_each_other(iris):
    X, y = iris

    def fitted(seed):
        return GraphClassifier(**RANDOM, random_state=seed).fit(X, y).decision_function(X)

    alone = [fitted(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(fitted, range(6)))
    assert [a.tobytes() for a in alone] == [t.tobytes() for t in together]


def test_dropout_is_there_in_training_and_only_there(iris):
    X, y = iris
    found = GraphClassifier(**RANDOM, random_state=0).fit(X, y)
    assert (found.predict_proba(X) == found.predict_proba(X)).all()
    without = GraphClassifier(**{**RANDOM, "dropout": 0.0}, random_state=0).fit(X, y)
    assert (found.loss_curve_[0], found.loss_) != (without.loss_curve_[0], without.loss_)


# Copies.


def test_a_pickle_asks_and_learns_as_the_estimator_does(iris, tmp_path):
    X, y = iris
    found = GraphClassifier(**RANDOM, random_state=0).fit(X, y)
    joblib.dump(found, tmp_path / "found.joblib")
    copies = [
        pickle.loads(pickle.dumps(found)),
        copy.deepcopy(found),
        joblib.load(tmp_path / "found.joblib"),
        pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(found)))),  # never asked between
    ]
    wanted = found.decision_function(X)
    for made in copies:
        assert made.decision_function(X).tobytes() == wanted.tobytes()
    found.partial_fit(X, y)  # weights, Adam's moments, masks and orders go on
    for made in copies:
        made.partial_fit(X, y)
        assert made.decision_function(X).tobytes() == found.decision_function(X).tobytes()
        assert made.loss_curve_ == found.loss_curve_


def test_a_clone_is_not_fitted_and_has_an_optimizer_of_its_own(iris):
    rule = optim.SGD(lr=optim.schedule.StepLR(0.1, 10), momentum=0.9, clipnorm=1.0)
    found = GraphClassifier((4,), optimizer=rule, epochs=3, random_state=0).fit(*iris)
    again = clone(found)
    assert repr(again.optimizer) == repr(rule)
    with pytest.raises(NotFittedError, match="not fitted"):
        again.predict(iris[0])
    assert again.fit(*iris).loss_curve_ == found.loss_curve_
    assert rule.state == []  # each fit makes a fresh one


def test_epochs_one_by_one_are_epochs_together(iris):
    X, y = iris
    together = GraphClassifier(**RANDOM, random_state=0).fit(X, y)
    one_by_one = GraphClassifier(**RANDOM, random_state=0)
    for _ in range(RANDOM["epochs"]):
        one_by_one.partial_fit(X, y, classes=np.unique(y))
    assert one_by_one.loss_curve_ == together.loss_curve_
    assert one_by_one.decision_function(X).tobytes() == together.decision_function(X).tobytes()
    warm = GraphClassifier(**{**RANDOM, "epochs": 3}, random_state=0, warm_start=True)
    assert warm.fit(X, y).fit(X, y).decision_function(X).tobytes() == (
        together.decision_function(X).tobytes()
    )
    assert warm.n_iter_ == 6


def test_partial_fit_of_a_part_of_the_classes(iris):
    X, y = iris
    found = GraphClassifier((4,), random_state=0)
    with pytest.raises(ValueError, match="needs classes="):
        found.partial_fit(X, y)
    found.partial_fit(X[:50], y[:50], classes=np.unique(y))
    assert found.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match=r"has the classes \['rose'\]; the network knows"):
        found.partial_fit(X[:2], ["rose", "rose"])
    with pytest.raises(ValueError, match="needs all samples at once"):
        GraphClassifier(class_weight="balanced").partial_fit(X, y, classes=np.unique(y))
    line = GraphRegressor(**linear()).partial_fit(X[:, :2], X[:, 2])
    with pytest.raises(ValueError, match=r"has 1 outputs; y has shape \(150, 2\)"):
        line.partial_fit(X[:, :2], X[:, 2:])


# Stopping early.


def test_training_stops_early_and_the_best_weights_stay(iris, capsys):
    X, y = iris
    settings = {"lr": 0.05, "epochs": 300, "n_iter_no_change": 5, "random_state": 0}
    found = GraphClassifier((16,), early_stopping=True, verbose=1, **settings).fit(X, y)
    assert found.n_iter_ == len(found.validation_scores_) == len(found.loss_curve_) < 300
    assert found.best_validation_score_ == max(found.validation_scores_)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == found.n_iter_
    assert said[0].startswith("epoch 1/300  loss=")
    best = int(np.argmax(found.validation_scores_)) + 1  # trained so long, it is the same network
    again = GraphClassifier((16,), early_stopping=True, **{**settings, "epochs": max(best, 2)})
    assert again.fit(X, y).decision_function(X).tobytes() == found.decision_function(X).tobytes()
    assert not hasattr(
        found.set_params(early_stopping=False, epochs=2).fit(X, y), "validation_scores_"
    )


def test_a_regressor_stops_early_too():
    X, y = make_regression(200, 3, random_state=0, noise=1.0)
    found = GraphRegressor((8,), early_stopping=True, lr=0.1, random_state=0).fit(X, y)
    assert found.n_iter_ < 200
    assert found.best_validation_score_ == max(found.validation_scores_)


# Kinds of targets and data.


def test_several_labels_a_sample(iris):
    X = iris[0]
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0], axis=1).astype(int)
    found = GraphClassifier((16,), lr=0.05, random_state=0).fit(X, labels)
    assert found.predict(X).shape == (150, 3)
    assert found.score(X, labels) > 0.9
    assert ((found.predict_proba(X) > 0.5) == found.predict(X)).all()
    np.testing.assert_allclose(np.exp(found.predict_log_proba(X)), found.predict_proba(X))
    with pytest.raises(ValueError, match="several labels"):
        GraphClassifier(class_weight="balanced").fit(X, labels)


def test_logarithms_of_probabilities_that_round_to_one():
    X = np.array([[-1e3], [1e3]])
    found = GraphClassifier(**linear(epochs=50)).fit(X, [0, 1])
    logs = found.predict_log_proba(X)
    assert np.isfinite(logs).all()
    assert logs[0, 1] < -60
    assert logs[0, 1] == pytest.approx(found.decision_function(X)[0])


def test_regression_keeps_the_shape_of_its_targets():
    X, y = make_regression(50, 3, random_state=0)
    settings = {"hidden_layer_sizes": (4,), "epochs": 2}
    assert GraphRegressor(**settings).fit(X, y).predict(X).shape == (50,)
    assert GraphRegressor(**settings).fit(X, y[:, None]).predict(X).shape == (50, 1)
    assert GraphRegressor(**settings).fit(X, np.stack([y, y], 1)).predict(X).shape == (50, 2)


@pytest.mark.parametrize(
    ("build", "given", "inside"),
    [
        (None, "float32", "float32"),
        (None, "float64", "float64"),
        (None, "int64", "float64"),
        (Layers("float32"), "float64", "float32"),
        (Layers("float64"), "float32", "float64"),
    ],
)
def test_which_numbers_a_network_has(iris, build, given, inside):
    X, y = iris[0].astype(given), iris[1]
    found = GraphClassifier((4,), build=build, epochs=2).fit(X, y)
    assert {p.dtype for p in found.model_.parameters.values() if p.trainable} == {inside}
    assert found.decision_function(X).dtype == inside
    assert np.abs(found.predict_proba(X).sum(axis=1) - 1).max() < 1e-14
    assert found.predict(X.astype("float64")).shape == (150,)


def test_the_model_can_be_drawn(iris, tmp_path):
    found = GraphClassifier((4,), epochs=1).fit(*iris)
    assert found.model_.render(tmp_path / "net.svg").exists()
    assert sum(p.size for p in found.model_.state_dict().values()) == 4 * 4 + 4 + 4 * 3 + 3


def test_a_second_fit_compiles_nothing(iris):
    X, y = iris
    GraphClassifier(**RANDOM).fit(X, y).predict(X)
    before = counts["compiled"], counts["loaded"]
    GraphClassifier(**RANDOM, lr=0.01, weight_decay=0.0).fit(X, y).predict(X)
    assert (counts["compiled"], counts["loaded"]) == before


# The tools of scikit-learn.


def test_grid_search_pipelines_and_cross_validation(iris):
    X, y = load_iris().data, iris[1]
    pipeline = make_pipeline(StandardScaler(), GraphClassifier(epochs=60, lr=0.01, random_state=0))
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.9
    grid = {
        "graphclassifier__weight_decay": [0.0, 10.0],
        "graphclassifier__hidden_layer_sizes": [(), (8,)],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_params_["graphclassifier__weight_decay"] == 0.0
    assert search.score(X, y) > 0.9


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_fits_in_other_processes_and_threads_are_the_same_bits(iris, backend):
    estimator = GraphClassifier(**RANDOM, random_state=0)
    grid = [{"lr": [0.001, 0.01]}, {"optimizer": [optim.SGD(momentum=0.9)]}]
    alone = GridSearchCV(estimator, grid, cv=2, scoring="neg_log_loss").fit(*iris)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        shared = GridSearchCV(estimator, grid, cv=2, scoring="neg_log_loss").fit(*iris)
    for name in ("split0_test_score", "split1_test_score"):
        assert (alone.cv_results_[name] == shared.cv_results_[name]).all()
    X = iris[0]
    assert shared.predict_proba(X).tobytes() == alone.predict_proba(X).tobytes()


def test_bagging_averages_restarts(iris):
    X, y = iris
    restarts = BaggingClassifier(
        GraphClassifier((8,), epochs=30), n_estimators=4, bootstrap=False, random_state=0
    ).fit(X, y)
    each = [member.predict_proba(X) for member in restarts.estimators_]
    assert np.ptp([p[0, 0] for p in each]) > 0  # each has weights of its own
    np.testing.assert_allclose(restarts.predict_proba(X), np.mean(each, axis=0))
    bags = BaggingClassifier(GraphClassifier((8,), epochs=60, lr=0.05), 3, random_state=0)
    assert bags.fit(X, y).score(X, y) > 0.9  # samples drawn anew for each


# What cannot be.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes are whole numbers >= 1.*\(8, 0\)"),
        ({"hidden_layer_sizes": "8"}, "hidden_layer_sizes are whole numbers"),
        ({"activation": "rellu"}, "activation is one of .* Did you mean 'relu'"),
        ({"optimizer": "adma"}, "optimizer is one of .*adam"),
        ({"optimizer": optim.Adam(), "lr": 0.1}, "lr belong to the optimizer that is given"),
        ({"build": nn.ReLU()}, r"makes a network, a new one for each fit; got ReLU\(\)"),
        ({"build": 3}, "build is called with"),
        ({"build": lambda n, m: None}, "build returns a module"),
        ({"build": lambda n, m: nn.Linear(n, 7)}, r"must give \(N, 3\); it gives \(None, 7\)"),
        ({"dropout": 1.5}, "Dropout"),
        ({"epochs": 0}, "epochs is a whole number >= 1"),
        ({"batch_size": 0}, "batch_size is a whole number >= 1"),
        ({"class_weight": {"rose": 2.0}}, r"class_weight has \['rose'\]"),
        ({"class_weight": "heavy"}, "class_weight is None, 'balanced' or a dict"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"random_state": "none"}, "seed"),
    ],
)
def test_parameters_that_cannot_be(iris, settings, message):
    with pytest.raises(ValueError, match=message):
        GraphClassifier(**settings).fit(*iris)


def test_targets_that_cannot_be(iris):
    X, y = iris
    with pytest.raises(ValueError, match=r"two classes or more; the data has 1 class: \['rose'\]"):
        GraphClassifier().fit(X, ["rose"] * 150)
    with pytest.raises(ValueError, match=r"loss is one of .*Did you mean 'huber'"):
        GraphRegressor(loss="hubr").fit(X, X[:, 0])
    with pytest.warns(DataConversionWarning, match="1d array was expected"):
        GraphClassifier((4,), epochs=1).fit(X, y[:, None])
    found = GraphClassifier((4,), epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="expecting 4 features"):
        found.predict(X[:, :3])


def test_without_scikit_learn_the_message_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import graphnn.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'graphnn[sklearn]'" in done.stderr
