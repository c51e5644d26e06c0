"""Six optimizers in one narrow valley: how many steps each takes to its floor.

A bowl with curvatures 1 and κ = 50, turned by 30°, so that rules which scale each axis alone get
no present. With the best rate, gradient descent shrinks the error by (κ - 1) / (κ + 1) a step and
momentum, in the end, by (√κ - 1) / (√κ + 1); the adaptive rules take the best rate of a grid.
RMSProp with a constant rate ends in hopping across the floor, and so needs a small one. Polyak,
*Introduction to Optimization* (1987), sec. 1.4 and 3.2; Goodfellow et al., *Deep Learning* (2016),
sec. 8.3 to 8.5; Prince, *Understanding Deep Learning* (2023), sec. 6.3 and 6.4.
"""

import math

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import optim

plt.style.use("tableau-colorblind10")
KAPPA, TURN, START, FLOOR, MOST = 50.0, math.radians(30), (-4.0, 1.0), 1e-4, 2000
ROOT = math.sqrt(KAPPA)
HEAVY = (ROOT - 1) / (ROOT + 1)  # Polyak's factor
AXES = np.array([[math.cos(TURN), math.sin(TURN)], [-math.sin(TURN), math.cos(TURN)]])
GRID = [a * 10.0**b for b in (-3, -2, -1, 0) for a in (1, 2, 5)]

# Rates from theory where there is one, else tried.
RULES = {
    "gradient descent": (optim.SGD(momentum=0.0), [2 / (1 + KAPPA)]),
    "momentum": (optim.SGD(momentum=HEAVY**2), [4 / (1 + ROOT) ** 2]),
    "Nesterov": (optim.SGD(momentum=HEAVY, nesterov=True), [1 / KAPPA]),
    "AdaGrad": (optim.Adagrad(), GRID),
    "RMSProp": (optim.RMSprop(alpha=0.9), GRID),
    "Adam": (optim.Adam(), GRID),
}


def descend(rule, rates):
    """For each rate the way down: points until the loss is FLOOR of the first."""
    w = gn.Parameter(START @ AXES, name="w")
    across = gn.Constant(AXES) @ w
    loss = gn.sum(gn.Constant([1.0, KAPPA], dtype="float64") * across * across) / 2.0
    step = gn.function([], loss, updates=rule.updates(loss, [w]))
    ways = []
    for rate in rates:
        rule.lr, w.value = rate, START @ AXES  # nothing is compiled anew
        for state in rule.state:
            state.value = np.zeros_like(state.value)
        way, losses = [w.value.copy()], [float(step())]
        while losses[-1] > FLOOR * losses[0] and len(way) <= MOST and losses[-1] < 1e3 * losses[0]:
            way.append(w.value.copy())
            losses.append(float(step()))
        ways.append((rate, np.array(way), losses[-1] <= FLOOR * losses[0]))
    return min(ways, key=lambda way: (not way[2], len(way[1])))


found = {name: descend(*given) for name, given in RULES.items()}
steps = {name: len(way) - 1 for name, (_, way, _) in found.items()}
table = Table(title=f"Steps until the loss is {FLOOR:g} of the first")
for heading in ("rule", "learning rate", "steps", "theory"):
    table.add_column(heading, justify="left" if heading == "rule" else "right")
theory = {
    "gradient descent": math.log(FLOOR) / 2 / math.log((KAPPA - 1) / (KAPPA + 1)),
    "momentum": math.log(FLOOR) / 2 / math.log(HEAVY),
}
for name, (rate, _, arrived) in found.items():
    assert arrived, name
    expected = f"{theory[name]:.0f}" if name in theory else ""
    table.add_row(name, f"{rate:.3g}", f"{steps[name]}", expected)
Console().print(table)
assert abs(steps["gradient descent"] - theory["gradient descent"]) < 3
assert theory["momentum"] < steps["momentum"] < 2 * theory["momentum"]  # it swings at first
assert steps["momentum"] < steps["Nesterov"] < steps["gradient descent"] / 3

figure, panels = plt.subplots(2, 3, figsize=(11, 6), layout="constrained", sharex=True, sharey=True)
span = np.linspace(-4.5, 2.5, 200), np.linspace(-4.2, 2.5, 200)
along, across = AXES @ np.array(np.meshgrid(*span)).reshape(2, -1)
height = ((along**2 + KAPPA * across**2) / 2).reshape(200, 200)
for panel, (name, (rate, way, _)) in zip(panels.flat, found.items(), strict=True):
    panel.contour(*span, height, levels=np.geomspace(0.05, 200, 12), colors="0.8", linewidths=0.7)
    panel.plot(*way.T, ".-", markersize=3, linewidth=0.8)
    panel.plot(0, 0, "k+")
    panel.set_title(f"{name}, lr = {rate:.3g}: {steps[name]} steps", fontsize="medium")
    panel.set_aspect("equal")
figure.savefig("optimizers_valley.png", dpi=150)
print("optimizers_valley.png")
