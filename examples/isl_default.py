"""Who will default on a credit card: exercise 10.10.7 of ISL, by scikit-learn's tools.

Fit a neural network of one hidden layer of 10 units with dropout to the Default data, and compare
it with linear logistic regression. James, Witten, Hastie, Tibshirani, *An Introduction to
Statistical Learning* (2nd ed.), sec. 10.10. Both are judged by the same ten-fold cross-validation;
the third row averages five networks, each from first weights of its own.
GRAPHNN_QUICK=1 takes simulated customers, fewer folds and epochs instead.
"""

import os

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import graphnn as gn
from graphnn.sklearn import GraphClassifier

quick = bool(os.environ.get("GRAPHNN_QUICK"))
FOLDS, EPOCHS = (3, 20) if quick else (10, 100)


def simulated(customers=2000):
    """Customers whose log-odds of a default are a straight line."""
    rng = np.random.default_rng(0)
    student = rng.random(customers) < 0.3
    balance = np.maximum(rng.normal(835, 484, customers), 0)
    income = np.where(student, 18_000, 40_000) + rng.normal(0, 9000, customers)
    odds = np.exp(-9.0 + 0.0057 * balance - 0.65 * student)
    default = rng.random(customers) < odds / (1 + odds)
    return {"default": default, "student": student, "balance": balance, "income": income}


data = simulated() if quick else gn.datasets.default()
X = np.stack([data["student"], data["balance"], data["income"]], axis=1).astype(np.float32)
y = data["default"].astype(int)

network = GraphClassifier((10,), dropout=0.2, lr=0.01, epochs=EPOCHS, random_state=0)
restarts = BaggingClassifier(network, n_estimators=5, bootstrap=False, random_state=0)
methods = {
    "nobody defaults": (DummyClassifier(), 0),
    "logistic regression": (LogisticRegression(C=np.inf), 3 + 1),
    "10 units, dropout": (network, 3 * 10 + 10 + 10 + 1),
    "mean of 5 networks": (restarts, 5 * (3 * 10 + 10 + 10 + 1)),
}
scores = {"error %": "accuracy", "found %": "recall", "log loss": "neg_log_loss", "AUC": "roc_auc"}
folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)

title = f"{len(X):,} {'simulated ' if quick else ''}customers, {FOLDS} folds, mean ± deviation"
table = Table("by", "parameters", title=title)
for name in scores:
    table.add_column(name, justify="right")
found = {}
for name, (method, parameters) in methods.items():
    each = cross_validate(make_pipeline(StandardScaler(), method), X, y, cv=folds, scoring=scores)
    error = 100 * (1 - each["test_error %"])
    recall, loss, area = (each[f"test_{score}"].mean() for score in list(scores)[1:])
    found[name] = error.mean(), -loss
    table.add_row(
        name, str(parameters), f"{error.mean():.2f} ± {error.std():.2f}", f"{100 * recall:.1f}",
        f"{-loss:.4f}", f"{area:.4f}",
    )  # fmt: skip
Console().print(table)
print("found: of those who default, at a probability of 1/2")

for name in ("logistic regression", "10 units, dropout", "mean of 5 networks"):
    assert found[name] < found["nobody defaults"], name
    assert found[name][1] < 0.7 * found["nobody defaults"][1], name
if not quick:  # the log-odds are all but a straight line: nothing is gained by hidden units
    error, loss = found["logistic regression"]
    assert abs(found["10 units, dropout"][0] - error) < 0.2
    assert abs(found["10 units, dropout"][1] - loss) < 0.01
