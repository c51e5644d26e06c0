"""Gradient descent from 0 finds, of all solutions of a least-squares problem, the shortest one.

With more weights than samples there are many w with X w = y. The gradient Xᵀ(X w - y) never leaves
the span of the samples, so from 0 descent ends in X⁺y, and from w₀ in X⁺y plus the part of w₀ that
the samples do not see. Prince, *Understanding Deep Learning* (2023), sec. 9.2; Zhang et al.,
*Understanding deep learning requires rethinking generalization* (ICLR 2017), sec. 5.
"""

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import optim

SAMPLES, WEIGHTS = 10, 30
rng = np.random.default_rng(0)
X, y = rng.normal(size=(SAMPLES, WEIGHTS)), rng.normal(size=SAMPLES)
shortest = np.linalg.pinv(X) @ y

x = gn.Input((None, WEIGHTS), dtype="float64", name="x")
target = gn.Input((None,), dtype="float64", name="y")
w = gn.Parameter(np.zeros(WEIGHTS), name="w")
loss = gn.mse_loss(x @ w, target)
train = gn.function([x, target], loss, optim.SGD(lr=0.1).updates(loss, [w]))
measure = gn.function([x, target], loss)


def descend(start, title):
    """Where descent ends; prints a table of the way."""
    w.value = start
    table = Table(title=title)
    for name in ("step", "train error", "‖w‖", "‖w - X⁺y‖"):
        table.add_column(name, justify="right")
    for step in range(1001):
        if step in (0, 1, 3, 10, 30, 100, 300, 1000):
            sizes = (np.linalg.norm(v) for v in (w.value, w.value - shortest))
            row = (float(measure(X, y)), *sizes)
            table.add_row(str(step), *(f"{value:.3g}" for value in row))
        train(X, y)
    Console().print(table)
    assert measure(X, y) < 1e-20  # a solution, whichever
    return w.value.copy()


end = descend(np.zeros(WEIGHTS), "From 0")
assert np.allclose(end, shortest, atol=1e-10)

start = rng.normal(size=WEIGHTS)
unseen = start - np.linalg.pinv(X) @ X @ start  # the part of it that is orthogonal to all samples
end = descend(start, "From a random start")
assert np.allclose(end, shortest + unseen, atol=1e-10)
print(f"the shortest solution has norm {np.linalg.norm(shortest):.3f}")
print(f"from 0: it. From w₀: norm {np.linalg.norm(end):.3f}, off by w₀'s unseen part, as predicted")
