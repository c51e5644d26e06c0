"""More images out of few: digits shifted, turned, bent and covered, each anew in every step.

Augmentation is part of the graph: it runs inside the compiled training loop, draws by Philox, and
is the identity when nothing is trained. Goodfellow, Bengio, Courville, *Deep Learning* (2016), sec.
7.4; Simard, Steinkraus, Platt, *Best practices for convolutional neural networks applied to visual
document analysis* (ICDAR 2003); Zhong et al., *Random erasing data augmentation* (AAAI 2020).
"""

import numpy as np
from matplotlib import pyplot as plt
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn

COLUMNS = 10

gn.set_seed(0)
(digits, labels), _ = gn.datasets.mnist10k(flatten=False)  # (10000, 1, 28, 28), between 0 and 1
chosen = np.stack([digits[np.flatnonzero(labels == k)[0]] for k in range(COLUMNS)])

layers = {
    "as they are": nn.Identity(),
    "noise": nn.GaussianNoise(0.15),
    "shift": nn.RandomShift(4),
    "rotation": nn.RandomRotation(25),
    "affine": nn.RandomAffine(10, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=20),
    "elastic": nn.ElasticDeformation(alpha=34, sigma=4),
    "erasing": nn.RandomErasing(p=1.0, scale=(0.05, 0.15), value=0.5),
    "shift + rotation + elastic": nn.Sequential(
        nn.RandomShift(2), nn.RandomRotation(15), nn.ElasticDeformation(alpha=34, sigma=4)
    ),
}
x = gn.Input((None, 1, 28, 28), name="x")
made = [layer(x) for layer in layers.values()]
training = gn.function(x, made, training=True)
rows = training(chosen)

# When nothing is trained, every layer is the identity; a seed draws the same again.
for image in gn.function(x, made)(chosen):
    assert np.array_equal(image, chosen)
again = training(chosen)
assert not any(np.array_equal(a, b) for a, b in zip(rows[1:], again[1:], strict=True))
gn.set_seed(0)
assert all(np.array_equal(a, b) for a, b in zip(rows, training(chosen), strict=True))

# What each does to the digits, on average over all of them: ink and where it lies.
table = Table("layer", "ink", "moved by", "changed pixels", title="500 digits")
where = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"))[:, None, None]


def middle(images: np.ndarray) -> np.ndarray:
    """The centre of each image's ink, (2, images)."""
    return (images * where).sum((2, 3, 4)) / images.sum((1, 2, 3))


some = digits[:500]
for name, images in zip(layers, training(some), strict=True):
    moved = np.hypot(*(middle(images) - middle(some))).mean()
    changed = (np.abs(images - some) > 0.1).mean()
    ink = images.sum() / some.sum()
    table.add_row(name, f"{ink:.2f}", f"{moved:.1f} px", f"{changed:.0%}")
Console().print(table)

figure, axes = plt.subplots(len(layers), COLUMNS, figsize=(9, 7.8), layout="constrained")
for row, name, images in zip(axes, layers, rows, strict=True):
    row[0].set_ylabel(name.replace(" + ", "\n+ "), rotation=0, ha="right", va="center")
    for panel, image in zip(row, images, strict=True):
        panel.imshow(image[0], cmap="gray", vmin=0, vmax=1)
        panel.set(xticks=[], yticks=[])
figure.savefig("augmentation.png", dpi=110)
print("augmentation.png")
