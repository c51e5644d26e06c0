"""Convolution is equivariant to shifts, pooling makes it invariant: move the image and compare.

f is equivariant if f(shift x) = shift f(x), and invariant if f(shift x) = f(x). With circular
padding convolution is the one and global pooling the other; a dense layer is neither. Goodfellow,
Bengio, Courville, *Deep Learning* (2016), sec. 9.2-9.3; Prince, *Understanding Deep Learning*
(2023), sec. 10.1-10.4.
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

gn.set_seed(0)
(images, digits), _ = gn.datasets.mnist10k(flatten=False)
picture = images[np.flatnonzero(digits == 5)[0]][None]  # (1, 1, 28, 28)

x = gn.Input((None, 1, 28, 28), name="x")
weight = gn.Constant(nn.init.he_normal((4, 1, 3, 3)))
around = gn.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="wrap")  # the image as a torus
circular = gn.relu(gn.conv2d(around, weight))
results = {
    "convolution, circular": circular,
    "convolution, zeros": gn.relu(gn.conv2d(x, weight, padding=1)),
    "dense layer": gn.reshape(nn.Linear(784, 784)(gn.flatten(x)), (None, 1, 28, 28)),
    "max-pooled 2×2": gn.max_pool2d(circular, 2),
    "max-pooled 7×7": gn.max_pool2d(circular, 7),
    "global mean": gn.adaptive_avg_pool2d(circular, 1),
    "global maximum": gn.adaptive_max_pool2d(circular, 1),
}
run = gn.function(x, list(results.values()))


def change(a, b):
    """How far b is from a, relative to the size of a."""
    return np.linalg.norm(a - b) / np.linalg.norm(a)


before = dict(zip(results, run(picture), strict=True))
shifts = (1, 2, 4, 7)
tables = [
    Table("", *(f"{s} px" for s in shifts), title=f"‖f(shift x) - {f}‖ / ‖f(x)‖")
    for f in ("shift f(x)", "f(x)")
]
moved, changed = {}, {}
for shift in shifts:
    after = dict(zip(results, run(np.roll(picture, shift, axis=3)), strict=True))
    for name, value in after.items():
        pixels = 28 // value.shape[3]  # of the image for one of the map
        changed[name, shift] = change(before[name], value)
        if shift % pixels == 0:
            moved[name, shift] = change(np.roll(before[name], shift // pixels, axis=3), value)
for found, table in zip((moved, changed), tables, strict=True):
    for name in results:
        cells = [found.get((name, shift)) for shift in shifts]
        if any(cell is not None for cell in cells):
            table.add_row(name, *("-" if cell is None else f"{cell:.3f}" for cell in cells))
    Console().print(table)

EXACT = 1e-6  # rounding: sums of the same numbers in another order
for shift in shifts:
    assert moved["convolution, circular", shift] < EXACT
    assert moved["dense layer", shift] > 0.5
    assert changed["convolution, circular", shift] > 0.5
    assert changed["max-pooled 7×7", shift] < changed["convolution, circular", shift]
    assert max(changed["global mean", shift], changed["global maximum", shift]) < EXACT
assert moved["convolution, zeros", 7] > 0.1  # only borders spoil it, once the digit meets them
assert max(moved["max-pooled 2×2", 2], moved["max-pooled 7×7", 7]) < EXACT

figure, axes = plt.subplots(2, 4, figsize=(10, 4.8), layout="constrained")
rows = {"x": (picture, before), "x, 7 pixels to the right": (np.roll(picture, 7, axis=3), after)}
for row, (name, (shown, maps)) in zip(axes, rows.items(), strict=True):
    row[0].imshow(shown[0, 0], cmap="gray")
    row[0].set_title(name)
    for panel, key in zip(row[1:], ("convolution, circular", "max-pooled 7×7"), strict=False):
        panel.imshow(maps[key][0, 0], cmap="cividis")
        panel.set_title(key)
    for panel in row[:3]:
        panel.set(xticks=[], yticks=[])
    row[3].bar(range(4), maps["global mean"].ravel(), tick_label=list("1234"))
    row[3].set(title="global mean", xlabel="channel", box_aspect=1)
figure.savefig("translation.png", dpi=150)
print("translation.png")
