"""A Jacobian by n forward passes or by m reverse passes: the cheaper mode has fewer directions.

f: Rⁿ → Rᵐ. A jvp is a column of the Jacobian, a vjp a row; each costs a small multiple of f. A loss
has m = 1: that is why networks are trained in reverse. Griewank and Walther, *Evaluating
Derivatives* (2nd ed. 2008), ch. 3-4; Baydin et al., *Automatic differentiation in machine learning:
a survey* (JMLR 2018), sec. 3; Prince, *Understanding Deep Learning* (2023), sec. 7.4.
"""

import os
import time

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

gn.set_seed(0)
gn.set_num_threads(1)
quick = bool(os.environ.get("GRAPHNN_QUICK"))
HIDDEN = 64


def network(n, m):
    """X (n,) and f(x) (m,), two layers."""
    x = gn.Input((n,), dtype="float64", name="x")
    first, second = nn.Linear(n, HIDDEN, dtype="float64"), nn.Linear(HIDDEN, m, dtype="float64")
    return x, gn.tanh(second(gn.tanh(first(x))))


def measured(x, outputs, value):
    """Results, FLOPs and seconds of one call, the best of several."""
    run = gn.function(x, outputs)
    results, seconds = run(value), []
    for _ in range(20 if quick else 200):
        start = time.perf_counter()
        run(value)
        seconds.append(time.perf_counter() - start)
    flops, _ = run.plan.work
    return np.array(results), flops, min(seconds)


table = Table(title=f"The Jacobian of f: Rⁿ → Rᵐ, {HIDDEN} hidden units")
for name in ("n", "m", "n jvps: kFLOP", "µs", "m vjps: kFLOP", "µs", "ratio of FLOP", "n / m"):
    table.add_column(name, justify="right")
for n, m in [(64, 1), (32, 2), (16, 4), (8, 8), (4, 16), (2, 32), (1, 64)]:
    x, f = network(n, m)
    value = np.linspace(-1, 1, n)
    columns = [gn.jvp(f, [x], [direction]) for direction in np.eye(n)]
    rows = [gn.vjp(f, [x], gn.Constant(direction))[0] for direction in np.eye(m)]
    by_column, forward_flops, forward_time = measured(x, columns, value)
    by_row, reverse_flops, reverse_time = measured(x, rows, value)
    assert np.allclose(by_column.T, by_row, rtol=1e-12, atol=1e-15)
    ratio = forward_flops / reverse_flops
    assert (ratio > 1) == (n > m) or n == m
    cells = [f"{forward_flops / 1e3:.0f}", f"{forward_time * 1e6:.0f}"]
    cells += [f"{reverse_flops / 1e3:.0f}", f"{reverse_time * 1e6:.0f}"]
    table.add_row(str(n), str(m), *cells, f"{ratio:.2g}", f"{n / m:.2g}")
Console().print(table)

# The gradient of a scalar: forward mode costs n times, reverse mode a small constant times f.
table = Table(title="The gradient of a loss of n inputs")
for name in ("n", "loss: FLOP", "gn.grad / loss", "n jvps / loss"):
    table.add_column(name, justify="right")
for n in (4, 16, 64):
    x, f = network(n, 1)
    loss = gn.sum(f * f)
    jvps = [gn.jvp(loss, [x], [direction]) for direction in np.eye(n)]
    cost = [gn.function(x, out).plan.work[0] for out in (loss, gn.grad(loss, x), jvps)]
    gradient, forward = cost[1] / cost[0], cost[2] / cost[0]
    assert gradient < 4  # Baur and Strassen (1983); Griewank's "cheap gradient principle"
    assert forward > n
    table.add_row(str(n), f"{cost[0]:,}", f"{gradient:.1f}", f"{forward:.1f}")
Console().print(table)
