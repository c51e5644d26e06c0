"""Augmentation: the images that SciPy makes of the same draws, phases, threads, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

import graphnn as gn
from graphnn import nn
from graphnn.backends import reference
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.node import apply
from graphnn.op import registry
from graphnn.ops.image.warping import gaussian_blur
from graphnn.testing import check_grads

LAYERS = [
    nn.RandomShift(3),
    nn.RandomShift((0.25, 2), fill=0.5),
    nn.RandomCrop(12, padding=3),
    nn.RandomHorizontalFlip(0.4),
    nn.RandomErasing(0.7, value=2.0),
    nn.RandomRotation(40, fill=-1.0),
    nn.RandomAffine(30, (0.1, 0.2), (0.8, 1.3), (-10, 10, -5, 5)),
    nn.ElasticDeformation(8, 2),
    nn.GaussianNoise(0.2),
]
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=repr)


def images(count: int = 5, channels: int = 2, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, channels, 12, 12))
    return drawn.astype(dtype)


def with_draws(y: gn.Node) -> list[gn.Node]:
    """The image, and what was drawn for it, in the order of declaration."""
    nodes = gn.Graph(y).nodes
    kinds = ("random_uniform", "dropout_mask")
    drawn = sorted((n for n in nodes if n.op.name in kinds), key=lambda n: n.attrs["stream"])
    return [y, *drawn]


def trained(layer: nn.Module, X: np.ndarray) -> list[np.ndarray]:
    x = gn.Input((None, *X.shape[1:]), X.dtype, name="x")
    return gn.function(x, with_draws(layer(x)), training=True)(X)


# ------------------------------------------------------------------------------ all layers


@each_layer
def test_the_identity_in_inference_with_its_slope(layer):
    X = images()
    x = gn.Input((None, 2, 12, 12), name="x")
    y = layer(x)
    f = gn.function(x, [y, gn.grad(gn.sum(y * 3.0), x)])
    found, slope = f(X)
    np.testing.assert_array_equal(found, X)
    np.testing.assert_array_equal(slope, np.full_like(X, 3))
    names = {n.op.name for s in f.plan.steps for n in s.group.nodes}
    assert not names & {"random_uniform", "dropout_mask", "bilinear", "window_at", "where"}


@each_layer
def test_each_sample_and_each_step_draws_anew_and_a_seed_repeats_it(layer):
    X = np.repeat(images(1), 40, 0)
    x = gn.Input((None, 2, 12, 12), name="x")
    f = gn.function(x, layer(x), training=True)
    first, second = f(X), f(X)
    assert not np.array_equal(first, second)
    assert len(np.unique(first.reshape(40, -1), axis=0)) > 1
    gn.set_seed(0)
    np.testing.assert_array_equal(f(X), first)


@each_layer
def test_every_number_of_threads_draws_alike(layer, on_each_number_of_threads):
    X = images(7)
    x = gn.Input((None, 2, 12, 12), name="x")
    y = layer(x)

    def run():
        gn.set_seed(7)
        return gn.function(x, [y, gn.grad(gn.sum(y * y), x)], training=True)(X)

    found = on_each_number_of_threads(run)
    gn.set_seed(7)
    np.testing.assert_allclose(found[0], reference.evaluate(y, {x: X}), rtol=1e-4, atol=1e-4)


@each_layer
def test_both_dtypes_draw_alike(layer):
    if isinstance(layer, nn.GaussianNoise):
        return  # its own test
    X = images(4)
    single = trained(layer, X)
    gn.set_seed(0)
    double = trained(layer, X.astype("float64"))
    assert double[0].dtype == np.float64
    for a, b in zip(single[1:], double[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(single[0], double[0], rtol=1e-3, atol=1e-4)


@each_layer
def test_the_gradient_is_that_of_the_images_that_were_made(layer):
    """Each layer is affine in the image: A x + b; and its derivatives ask for nothing random."""
    X = images(3, dtype="float64")
    x = gn.Input((None, 2, 12, 12), "float64", name="x")
    y = layer(x)
    weights = np.random.default_rng(1).normal(size=y.shape[1:])
    value = gn.sum(y * weights)
    f = gn.function(x, [value, gn.grad(value, x)], training=True)
    direction = np.random.default_rng(2).normal(size=X.shape)

    def at(t: float) -> tuple[float, np.ndarray]:
        gn.set_seed(3)
        return f(X + t * direction)

    up, slope = at(1.0)
    down, _ = at(-1.0)
    np.testing.assert_allclose(np.sum(slope * direction), (up - down) / 2, rtol=1e-9, atol=1e-9)


@each_layer
def test_without_a_wish_no_gradient_of_the_image_is_computed(layer):
    x = gn.Input((None, 1, 12, 12), name="x")
    w = gn.Parameter(np.float32(2), name="w")
    loss = gn.mean(layer(x) * w)
    step = gn.function(x, [loss, gn.grad(loss, w)], training=True)
    names = [n.op.name for s in step.plan.steps for n in s.group.nodes]
    assert "bilinear_transposed" not in names
    assert sum(name in ("bilinear", "window_at") for name in names) <= 1


@each_layer
@pytest.mark.parametrize("count", [0, 1])
def test_batches_of_no_and_of_one_image(layer, count):
    X = images(count)
    x = gn.Input((None, 2, 12, 12), name="x")
    y = layer(x)
    found, slope = gn.function(x, [y, gn.grad(gn.sum(y), x)], training=True)(X)
    assert found.shape == slope.shape == X.shape


# ----------------------------------------------------------------------- what each one does


def test_shift_moves_by_whole_pixels_as_it_draws():
    X = images(200)
    found, u, v = trained(nn.RandomShift((3, 0.25), fill=9.0), X)
    down, across = (np.floor(d * 7).astype(int) - 3 for d in (u, v))
    assert set(down) == set(across) == {*range(-3, 4)}
    for image, moved, dy, dx in zip(X, found, down, across, strict=True):
        wide = np.pad(image, ((0, 0), (3, 3), (3, 3)), constant_values=9)
        expected = wide[:, 3 + dy : 15 + dy, 3 + dx : 15 + dx]
        np.testing.assert_allclose(moved, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("size", "padding"), [((5, 8), 0), (12, (2, 4)), (14, 3), ((12, 9), 1)])
def test_crop(size, padding):
    X = images(60)
    layer = nn.RandomCrop(size, padding)
    found, u, v = trained(layer, X)
    (tall, wide), (p, q) = np.broadcast_to(size, 2), np.broadcast_to(padding, 2)
    bordered = np.pad(X, ((0, 0), (0, 0), (p, p), (q, q)))
    tops = np.floor(u * (13 + 2 * p - tall)).astype(int)
    lefts = np.floor(v * (13 + 2 * q - wide)).astype(int)
    assert tops.min() == 0
    assert tops.max() == 12 + 2 * p - tall
    for whole, cut, i, j in zip(bordered, found, tops, lefts, strict=True):
        np.testing.assert_array_equal(cut, whole[:, i : i + tall, j : j + wide])
    x = gn.Input((None, 2, 12, 12), name="x")
    middle = gn.function(x, layer(x))(X)
    i, j = p + (12 - tall) // 2, q + (12 - wide) // 2
    np.testing.assert_array_equal(middle, bordered[:, :, i : i + tall, j : j + wide])


def test_flip():
    X = images(300)
    found, turned = trained(nn.RandomHorizontalFlip(0.3), X)
    np.testing.assert_array_equal(found, np.where(turned, X[..., ::-1], X))
    assert abs(turned.mean() - 0.3) < 4 * math.sqrt(0.21 / 300)


def test_erasing_covers_a_rectangle_as_drawn():
    X = images(500) + 10
    found, area, shape, place, touched = trained(nn.RandomErasing(0.6, (0.02, 0.7), value=-5.0), X)
    area = 144 * (0.02 + 0.68 * area.astype(float))
    shape = np.exp(math.log(0.3) + math.log(11) * shape.astype(float))
    tall, wide = np.rint(np.sqrt(area * shape)), np.rint(np.sqrt(area / shape))
    fits = (tall < 12) & (wide < 12)
    assert not fits[:, 0].all()
    expected = X.copy()
    for n in range(500):
        if touched[n] and fits[n].any():
            k = fits[n].argmax()
            h, w = int(tall[n, k]), int(wide[n, k])
            i, j = (int(u * (13 - size)) for u, size in zip(place[n], (h, w), strict=True))
            expected[n, :, i : i + h, j : j + w] = -5
    np.testing.assert_array_equal(found, expected)
    assert abs(touched.mean() - 0.6) < 4 * math.sqrt(0.24 / 500)


def scipy_affine(image: np.ndarray, matrix: np.ndarray, offset: np.ndarray, fill: float):
    """Each channel at matrix (row, column) + offset; outside counts as ``fill``."""
    options = {"order": 1, "mode": "grid-constant", "cval": fill}
    return np.stack([ndimage.affine_transform(c, matrix, offset, **options) for c in image])


def test_rotation_is_scipys():
    X = images(20, dtype="float64")
    found, u = trained(nn.RandomRotation((-50, 120), fill=0.7), X)
    angles = np.radians(-50 + 170 * u.ravel())
    middle = np.array([5.5, 5.5])
    for image, turned, angle in zip(X, found, angles, strict=True):
        c, s = math.cos(angle), math.sin(angle)
        matrix = np.array([[c, s], [-s, c]])  # of (row, column)
        expected = scipy_affine(image, matrix, middle - matrix @ middle, 0.7)
        np.testing.assert_allclose(turned, expected, rtol=1e-9, atol=1e-9)


def test_a_quarter_turns_against_the_clock():
    X = images(3, dtype="float64")
    found = trained(nn.RandomRotation((90, 90)), X)[0]
    np.testing.assert_allclose(found, np.rot90(X, axes=(2, 3)), atol=1e-12)
    clockwise = trained(nn.RandomAffine((90, 90)), X)[0]
    np.testing.assert_allclose(clockwise, np.rot90(X, -1, axes=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("shear", [None, 20, (5, 30), (-10, 10, 5, 25)])
def test_affine_is_torchvisions_map_by_scipy(shear):
    X = images(12, dtype="float64")[:, :, :, :10].copy()  # 12 rows of 10
    layer = nn.RandomAffine((10, 40), (0.2, 0.4), (0.7, 1.4), shear, fill=0.3)
    x = gn.Input((None, 2, 12, 10), "float64", name="x")
    found, *drawn = gn.function(x, with_draws(layer(x)), training=True)(X)
    drawn = [d.ravel() for d in drawn]
    angle = np.radians(10 + 30 * drawn.pop(0))
    pairs = {None: [], 20: [(-20, 20)], (5, 30): [(5, 30)]}.get(shear, [(-10, 10), (5, 25)])
    sheared = [np.radians(low + (high - low) * drawn.pop(0)) for low, high in pairs]
    sheared += [np.zeros(12)] * (2 - len(pairs))
    scale = 0.7 + 0.7 * drawn.pop(0)
    tx, ty = (np.rint((2 * drawn.pop(0) - 1) * reach) for reach in (2.0, 4.8))
    assert not drawn
    assert np.ptp(tx) > 1
    for n in range(12):
        # Forward, in (x, y): T R(angle) [shear along x of shear along y] scale, as torchvision has
        # it: a = cos(r - sy) / cos sy, ... (torchvision.transforms.functional).
        r, sx, sy = angle[n], sheared[0][n], sheared[1][n]
        a, c = math.cos(r - sy) / math.cos(sy), math.sin(r - sy) / math.cos(sy)
        b, d = -a * math.tan(sx) - math.sin(r), -c * math.tan(sx) + math.cos(r)
        inverse = np.linalg.inv(scale[n] * np.array([[a, b], [c, d]]))
        matrix = inverse[::-1, ::-1]  # of (row, column)
        middle = np.array([5.5, 4.5])
        offset = middle - matrix @ (middle + np.array([ty[n], tx[n]]))
        expected = scipy_affine(X[n], matrix, offset, 0.3)
        np.testing.assert_allclose(found[n], expected, rtol=1e-9, atol=1e-9)


def test_elastic_deformation_is_simards_by_scipy():
    X = images(6, dtype="float64")[:, :, :, :9].copy()
    x = gn.Input((None, 2, 12, 9), "float64", name="x")
    y = nn.ElasticDeformation(20, 2.5, fill=0.1)(x)
    found, u, v = gn.function(x, with_draws(y), training=True)(X)
    i, j = np.meshgrid(np.arange(12), np.arange(9), indexing="ij")
    for n in range(6):
        down, across = (
            20 * ndimage.gaussian_filter(2 * d[n] - 1, 2.5, mode="constant") for d in (u, v)
        )
        assert np.abs(down).max() > 1
        places = np.stack([i + down, j + across])
        for channel, bent in zip(X[n], found[n], strict=True):
            expected = ndimage.map_coordinates(
                channel, places, order=1, mode="grid-constant", cval=0.1
            )
            np.testing.assert_allclose(bent, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_the_blur_is_scipys(sigma):
    image = images(1, 1, dtype="float64")[0, 0][:, :7]
    found = gaussian_blur(12, sigma) @ image @ gaussian_blur(7, sigma)
    expected = ndimage.gaussian_filter(image, sigma, mode="constant")
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_uniform_numbers_are_uniform():
    x = gn.Input((None, 1, 1, 1), name="x")
    u = next(n for n in with_draws(gn.random_rotation(x, 10))[1:])
    drawn = gn.function(x, u, training=True)(np.zeros((100_000, 1, 1, 1), "f")).ravel()
    n = drawn.size
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 / math.sqrt(12 * n)
    counts = np.histogram(drawn, 64, (0, 1))[0]
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * math.sqrt(126)


# ----------------------------------------------------------------- values at any place


def test_places_outside_and_places_that_are_no_numbers_count_as_zero():
    x = gn.Input((1, 1, 2, 2), "float64")
    r, c = gn.Input((1, 1, None), "float64"), gn.Input((1, 1, None), "float64")
    y = apply(registry["bilinear"], [x, r, c], {"dr": 0, "dc": 0})
    rows = np.array([[[0, -0.5, -1, 1.5, 2, np.nan, np.inf, -np.inf, 1e30, 0.5]]])
    f = gn.function([x, r, c], y)
    X = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    expected = [[[[1, 0.5, 0, 1.5, 0, 0, 0, 0, 0, 2]]]]
    np.testing.assert_array_equal(f(X, rows, np.zeros_like(rows)), expected)
    expected = [[[[1, 0.5, 0, 1, 0, 0, 0, 0, 0, 1.5]]]]
    np.testing.assert_array_equal(f(X, np.zeros_like(rows), rows), expected)


def test_what_lies_beside_a_place_does_not_count_if_it_is_outside():
    x = gn.Input((1, 1, 1, 2))
    r, c = gn.Input((1, 1, 1)), gn.Input((1, 1, 1))
    y = apply(registry["bilinear"], [x, r, c], {"dr": 0, "dc": 0})
    f = gn.function([x, r, c], y)
    found = f(
        np.float32([[[[np.inf, 1]]]]), np.zeros((1, 1, 1), "f"), np.full((1, 1, 1), -0.5, "f")
    )
    assert found.item() == np.inf


@pytest.mark.torch
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_grids_are_torchs_forward_and_backward(align_corners, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3, 2, 5, 7)).astype(dtype)
    T = (np.eye(2, 3) + rng.normal(scale=0.3, size=(3, 2, 3))).astype(dtype)
    W = rng.normal(size=(2, 4, 6)).astype(dtype)
    tx, tt = (torch.tensor(a, requires_grad=True) for a in (X, T))
    grid = torch.nn.functional.affine_grid(tt, (3, 2, 4, 6), align_corners=align_corners)
    expected = torch.nn.functional.grid_sample(tx, grid, align_corners=align_corners)
    (expected * torch.tensor(W)).sum().backward()
    x = gn.Input((None, 2, 5, 7), dtype, name="x")
    theta = gn.Input((None, 2, 3), dtype, name="theta")
    y = gn.grid_sample(x, gn.affine_grid(theta, (None, 2, 4, 6), align_corners), align_corners)
    value = gn.sum(y * W)
    found = gn.function([x, theta], [y, *gn.grad(value, [x, theta])])(X, T)
    tolerance = (
        {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-11}
    )
    for ours, theirs in zip(found, (expected.detach(), tx.grad, tt.grad), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), **tolerance)


def test_grids_are_differentiated_twice():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2, 1, 4, 5))
    T = np.eye(2, 3) * 0.8 + rng.normal(scale=0.05, size=(2, 2, 3))
    check_grads(
        lambda x, t: gn.grid_sample(x, gn.affine_grid(t, (2, 1, 3, 3))), X, T, order=2,
        backend="reference", rtol=1e-5, step=1e-5,
    )  # fmt: skip


# ------------------------------------------------------------------------ in a training loop


def test_it_trains_in_the_loop_and_evaluates_as_it_is():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(50, 64)).astype("f"), rng.integers(0, 3, 50)

    def run(threads: int):
        gn.set_num_threads(threads)
        gn.set_seed(4)
        x = gn.Input((None, 64), name="x")
        images = gn.reshape(x, (-1, 1, 8, 8))
        net = nn.Sequential(
            nn.RandomShift(1), nn.RandomRotation(20), nn.RandomErasing(0.5), nn.Flatten(),
            nn.Linear(64, 3),
        )  # fmt: skip
        model = gn.Model(x, net(images))
        model.compile("sgd", loss="cross_entropy", metrics=["accuracy"], lr=0.1)
        losses = model.fit(X, Y, epochs=3, batch_size=16, verbose=0)["loss"]
        return losses, model.evaluate(X, Y), model.predict(X)

    first, second = run(1), run(2)
    assert first[:2] == second[:2]
    np.testing.assert_array_equal(first[2], second[2])


# ----------------------------------------------------------------------------- messages


def test_settings_that_do_not_fit():
    x, flat = gn.Input((None, 1, 8, 8), name="x"), gn.Input((None, 64), name="flat")
    loose = gn.Input((None, 1, None, None), name="loose")
    whole = gn.Input((None, 1, 8, 8), "int64", name="whole")
    for call, error, match in (
        (lambda: nn.RandomShift(2)(flat), ShapeError, r"random_shift needs images \(batch, channels, height, width\).*got \(None, 64\) for 'flat'.*test_augmentation.py:\d+.*gn.reshape"),
        (lambda: gn.random_rotation(loose, 3), ShapeError, "of a known size"),
        (lambda: gn.random_affine(whole, 3), DTypeError, "random_affine needs float32 or float64"),
        (lambda: gn.random_shift(x, -1), GraphError, "shift is a whole number of pixels"),
        (lambda: gn.random_shift(x, 1.0), GraphError, "got 1.0"),
        (lambda: gn.random_shift(x, 8), GraphError, "less than the image has"),
        (lambda: gn.random_shift(x, (1, 2, 3)), GraphError, "or a pair"),
        (lambda: gn.random_crop(x, 11, padding=1), GraphError, r"window \(11, 11\) does not fit into images \(8, 8\)"),
        (lambda: gn.random_crop(x, 0), GraphError, "size is a whole number >= 1"),
        (lambda: nn.RandomHorizontalFlip(1.5)(x), GraphError, "random_horizontal_flip needs 0 <= p <= 1; got p=1.5"),
        (lambda: gn.random_erasing(x, scale=(0.5, 0.2)), GraphError, r"scale is a pair \(low, high\)"),
        (lambda: gn.random_erasing(x, ratio=0.3), GraphError, "ratio is a pair"),
        (lambda: gn.random_rotation(x, -3), GraphError, "degrees is a number of degrees >= 0"),
        (lambda: gn.random_affine(x, 3, translate=0.1), GraphError, "translate is a pair"),
        (lambda: gn.random_affine(x, 3, scale=(0, 1)), GraphError, "scale is a pair"),
        (lambda: gn.random_affine(x, 3, shear=(1, 2, 3)), GraphError, "shear is a number of degrees"),
        (lambda: gn.elastic_deformation(x, np.inf, 2), GraphError, "alpha is a finite number"),
        (lambda: gn.elastic_deformation(x, 3, 0), GraphError, "sigma is a finite number"),
        (lambda: gn.grid_sample(x, x), ShapeError, "grid_sample needs images"),
        (lambda: gn.affine_grid(x, (1, 1, 2, 2)), ShapeError, r"affine_grid needs theta \(batch, 2, 3\)"),
        (lambda: gn.affine_grid(gn.Input((None, 2, 3)), (2, 2)), GraphError, "affine_grid: size is"),
    ):  # fmt: skip
        with pytest.raises(error, match=match):
            call()
