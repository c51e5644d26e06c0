"""Convolution finds edges: two 3×3 filters, one for vertical and one for horizontal ones.

Each output is a weighted sum of the pixels under the filter: on a flat patch the weights cancel.
Prewitt (1970) and Sobel (1968) filters; Goodfellow, Bengio, Courville, *Deep Learning* (2016), sec.
9.1 and fig. 9.6; Prince, *Understanding Deep Learning* (2023), sec. 10.2-10.3; LeCun et al. (1998).
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table
from scipy.signal import correlate2d

import graphnn as gn

VERTICAL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)  # Sobel
HORIZONTAL = VERTICAL.T

# A drawn square, and the first handwritten 4 of MNIST: (2, 1, 28, 28), one channel.
square = np.zeros((28, 28), np.float32)
square[6:22, 6:22] = 1
(images, digits), _ = gn.datasets.mnist10k(flatten=False)
pictures = np.stack([square[None], images[np.flatnonzero(digits == 4)[0]]])

x = gn.Input((None, 1, 28, 28), name="x")
filters = gn.Constant(np.stack([VERTICAL, HORIZONTAL])[:, None])  # (2 out, 1 in, 3, 3)
edges = gn.conv2d(x, filters, padding=1)  # (batch, 2, 28, 28)
strength = gn.sqrt(gn.sum(edges * edges, axis=1))
found, size = gn.function(x, [edges, strength])(pictures)

# What is called a convolution is the cross-correlation: nothing is flipped.
for picture, maps in zip(pictures, found, strict=True):
    for taps, values in zip((VERTICAL, HORIZONTAL), maps, strict=True):
        expected = correlate2d(picture[0], taps, mode="same")
        assert np.allclose(values, expected, atol=1e-5)

# On the square: the vertical filter answers at the left and the right side only, and so on.
sides = {
    "left side": (slice(8, 20), slice(5, 7)),
    "right side": (slice(8, 20), slice(21, 23)),
    "upper side": (slice(5, 7), slice(8, 20)),
    "lower side": (slice(21, 23), slice(8, 20)),
    "inside": (slice(8, 20), slice(8, 20)),
    "outside": (slice(1, 4), slice(1, 27)),
}
answers = {name: found[0][:, *place].mean(axis=(1, 2)) for name, place in sides.items()}
truth = [(4, 0), (-4, 0), (0, 4), (0, -4), (0, 0), (0, 0)]
assert np.allclose(list(answers.values()), truth)
table = Table("on the square", "vertical filter", "horizontal filter", title="Mean answers")
for name, values in answers.items():
    table.add_row(name, *(f"{value:+.1f}" for value in values))
Console().print(table)

titles = ("image", "vertical edges", "horizontal edges", "strength")
figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
for row, picture, maps, total in zip(axes, pictures, found, size, strict=True):
    for panel, title, values in zip(row, titles, (picture[0], *maps, total), strict=True):
        signed = "edges" in title
        limits = {"cmap": "RdBu", "vmin": -4, "vmax": 4} if signed else {"cmap": "gray"}
        drawn = panel.imshow(values, **limits)
        panel.set(title=title, xticks=[], yticks=[])
        figure.colorbar(drawn, ax=panel, shrink=0.8)
figure.savefig("edge_detection.png", dpi=150)
print("edge_detection.png")
