"""Backpropagation by hand and by graph: every derivative of Prince's toy function, side by side.

f = β₃ + ω₃ cos(β₂ + ω₂ exp(β₁ + ω₁ sin(β₀ + ω₀ x))) and l = (f - y)²: first the forward pass, then
∂l/∂f₃, ∂l/∂h₃, ∂l/∂f₂, ... backwards, each from the one before. Prince, *Understanding Deep
Learning* (2023), sec. 7.3; Rumelhart, Hinton, Williams, *Learning representations by
back-propagating errors* (1986).
"""

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn

values = {"β": (0.4, -0.3, 0.2, 0.1), "ω": (0.8, 1.1, -0.7, 1.5)}
X, Y = 1.3, 0.5

# The forward pass, as nodes.
x = gn.Input((), dtype="float64", name="x")
y = gn.Input((), dtype="float64", name="y")
beta = [gn.Parameter(v, name=f"β{k}", dtype="float64") for k, v in enumerate(values["β"])]
omega = [gn.Parameter(v, name=f"ω{k}", dtype="float64") for k, v in enumerate(values["ω"])]
functions = [gn.sin, gn.exp, gn.cos]
f, h = [], [x]
for k in range(4):
    f.append(gn.add(beta[k], omega[k] * h[k], name=f"f{k}"))
    if k < 3:
        h.append(functions[k](f[k], name=f"h{k + 1}"))
loss = gn.square(f[3] - y, name="loss")

# The reverse pass: one call, for any nodes.
nodes = [f[3], h[3], f[2], h[2], f[1], h[1], f[0], *reversed(beta), *reversed(omega)]
names = [node.label for node in nodes]
by_graph = dict(zip(names, gn.function([x, y], gn.grad(loss, nodes))(X, Y), strict=True))

# The same by hand.
b, w = values["β"], values["ω"]
f0 = b[0] + w[0] * X
h1 = np.sin(f0)
f1 = b[1] + w[1] * h1
h2 = np.exp(f1)
f2 = b[2] + w[2] * h2
h3 = np.cos(f2)
f3 = b[3] + w[3] * h3
d = {"f3": 2 * (f3 - Y)}
d["h3"] = w[3] * d["f3"]
d["f2"] = -np.sin(f2) * d["h3"]
d["h2"] = w[2] * d["f2"]
d["f1"] = np.exp(f1) * d["h2"]
d["h1"] = w[1] * d["f1"]
d["f0"] = np.cos(f0) * d["h1"]
for k, input_of_layer in enumerate([X, h1, h2, h3]):
    d[f"β{k}"] = d[f"f{k}"]
    d[f"ω{k}"] = d[f"f{k}"] * input_of_layer

table = Table(title="∂l/∂·, in the order of the reverse pass")
for name in ("by", "gn.grad", "by hand", "difference"):
    table.add_column(name, justify="left" if name == "by" else "right")
for name in names:
    difference = abs(by_graph[name] - d[name])
    assert difference <= 1e-14 * abs(d[name])  # both round, each in its own order
    table.add_row(name, f"{by_graph[name]:+.15f}", f"{d[name]:+.15f}", f"{difference:.0e}")
Console().print(table)
print(gn.render(loss, "chain_rule.png", passes="joint"))
