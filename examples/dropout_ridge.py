"""Dropout on the inputs of linear regression is, in expectation, ridge regression.

With each input dropped with probability p and the others scaled by 1 / (1 - p), the expected loss
is E ‖y - X̃ w‖² = ‖y - X w‖² + p / (1 - p) ‖Γ w‖², Γ² = diag(XᵀX): a ridge that adapts to the size
of each input. Srivastava et al., *Dropout* (JMLR 2014), sec. 9.1; Wager, Wang, Liang (2013);
Prince, *Understanding Deep Learning* (2023), sec. 9.3.3.
"""

import os

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import optim

quick = bool(os.environ.get("GRAPHNN_QUICK"))
gn.set_seed(0)
P, SAMPLES, INPUTS = 0.4, 50, 5
rng = np.random.default_rng(0)
X = rng.normal(size=(SAMPLES, INPUTS)) * [0.5, 1, 1, 2, 3]
X[:, 2] += 0.9 * X[:, 1]  # correlated inputs: here ridge differs from mere shrinkage
y = X @ [2.0, -1, 1.5, 0.5, 0] + rng.normal(size=SAMPLES)

least_squares = np.linalg.solve(X.T @ X, X.T @ y)
penalty = P / (1 - P) * np.diag(np.diag(X.T @ X))
ridge = np.linalg.solve(X.T @ X + penalty, X.T @ y)


def sum_of_squares(w):
    return np.sum((y - X @ w) ** 2) + w @ penalty @ w


# The same by sampling masks: one step of gradient descent a mask, then the mean of all weights.
x = gn.Input((None, INPUTS), dtype="float64", name="x")
target = gn.Input((None,), dtype="float64", name="y")
w = gn.Parameter(np.zeros(INPUTS), name="w")
loss = gn.sum((target - gn.dropout(x, P) @ w) ** 2.0)
updates = optim.SGD(lr=5e-4).updates(loss, [w])
train = gn.function([x, target], loss, updates)
for _ in range(2_000):  # forget the start
    train(X, y)
mean = np.zeros(INPUTS)
STEPS = 50_000 if quick else 200_000
for _ in range(STEPS):
    train(X, y)
    mean += w.value / STEPS

# The expected loss at the ridge solution, against the mean over masks: training=True drops.
w.value = ridge
sampled = gn.function([x, target], loss, training=True)
losses = [float(sampled(X, y)) for _ in range(20_000)]
error = np.std(losses) / np.sqrt(len(losses))
assert abs(np.mean(losses) - sum_of_squares(ridge)) < 4 * error
plain = gn.function([x, target], loss, training=False)
assert np.isclose(plain(X, y), np.sum((y - X @ ridge) ** 2), rtol=1e-12)
assert np.abs(mean - ridge).max() < 0.02
assert np.abs(mean - least_squares).max() > 0.2

table = Table(title=f"Weights, dropout p = {P}")
for name in ("input", "least squares", "ridge, closed form", "trained with dropout"):
    table.add_column(name, justify="right")
for j, row in enumerate(zip(least_squares, ridge, mean, strict=True)):
    table.add_row(f"x{j + 1}", *(f"{value:+.4f}" for value in row))
Console().print(table)
print(
    f"expected loss at the ridge solution: {sum_of_squares(ridge):.2f}; "
    f"mean over masks: {np.mean(losses):.2f} ± {error:.2f}"
)
