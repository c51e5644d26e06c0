"""Rewrites of a graph: what they change, and that values stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphnn as gn
from graphnn.backends import reference
from graphnn.graph import needed
from graphnn.node import apply
from graphnn.op import registry
from graphnn.passes import (
    PASSES,
    neighbours,
    rewrite,
    simplified,
    with_absorbed_transposes,
    with_small_transposes,
    with_split_reductions,
    without_duplicates,
)
from graphnn.phases import in_phase


def ops(nodes, name: str) -> list[gn.Node]:
    return [node for node in needed(nodes) if node.op.name == name]


def assert_same(before, after, given):
    for old, new in zip(before, after, strict=True):
        assert new.spec == old.spec
        np.testing.assert_allclose(
            reference.evaluate(new, given), reference.evaluate(old, given), rtol=1e-12
        )


def test_a_rewrite_that_changes_nothing_returns_the_graph_itself():
    x = gn.Input((2, 3), name="x")
    outputs = [gn.sum(gn.exp(x)), gn.exp(x)]
    assert rewrite(outputs, lambda node, inputs: node) == outputs
    for one in (without_duplicates, with_absorbed_transposes, with_split_reductions):
        assert one([gn.sum(gn.tanh(x))])[0].op.name == "sum"
    plain = gn.sum(gn.tanh(x))
    assert with_absorbed_transposes([plain])[0] is plain
    assert in_phase([plain], training=False).outputs[0] is plain
    assert in_phase([plain], training=True).outputs[0] is plain


def test_the_passes_have_names():
    assert list(PASSES) == [
        "labels",
        "absorb transposes",
        "split reductions",
        "small transposes",
        "join pads",
        "drop new axes",
        "slice early",
        "common subexpressions",
    ]


# ------------------------------------------------------------------- common subexpressions


def test_equal_nodes_become_one():
    x = gn.Input((2, 3), "float64", name="x")
    before = [gn.exp(x) * 2.0 + gn.exp(x) * 2.0]
    after = without_duplicates(before)
    assert len(ops(before, "exp")) == 2
    assert len(ops(after, "exp")) == 1
    assert len(ops(after, "multiply")) == 1
    assert len(ops(after, "constant")) == 1
    assert_same(before, after, {x: np.ones((2, 3))})


def test_different_nodes_stay_apart():
    x, y = gn.Input((3,), name="x"), gn.Input((3,), name="y")
    pairs = [
        (gn.exp(x), gn.exp(y)),
        (x - y, y - x),
        (gn.sum(x), gn.sum(x, keepdims=True)),
        (x + 1, x + 2),
        (x + gn.Constant(np.float32(0.0)), x + gn.Constant(np.float32(-0.0))),
        (x + gn.Constant([1.0, 1.0, 1.0]), x + 1.0),
        (gn.exp(gn.Parameter([1.0])), gn.exp(gn.Parameter([1.0]))),
        (gn.cast(x, "float64"), gn.cast(x, "int64")),
    ]
    for a, b in pairs:
        left, right = without_duplicates([a, b])
        assert left is not right


def test_sizes_of_one_dimension_are_one():
    x = gn.Input((None, 3), name="x")
    after = without_duplicates([gn.grad(gn.mean(x), x) + gn.grad(gn.mean(x * 1.0), x)])
    assert len(ops(after, "size")) == 1


def test_two_dropouts_are_two():
    x = gn.Input((8,), name="x")
    left, right = without_duplicates([gn.dropout(x), gn.dropout(x)])
    assert left is not right


# ------------------------------------------------------------------------------- transposes


@pytest.mark.parametrize("turned_a", [False, True])
@pytest.mark.parametrize("turned_b", [False, True])
def test_a_product_takes_transposes_as_flags(turned_a, turned_b, rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 5))
    A = gn.Input((4, 3) if turned_a else (3, 4), "float64")
    B = gn.Input((5, 4) if turned_b else (4, 5), "float64")
    before = [gn.matmul(gn.transpose(A) if turned_a else A, gn.transpose(B) if turned_b else B)]
    after = with_absorbed_transposes(before)
    assert not ops(after, "transpose")
    attrs = after[0].attrs
    assert bool(attrs.get("transpose_a")) is turned_a
    assert bool(attrs.get("transpose_b")) is turned_b
    assert_same(before, after, {A: a.T if turned_a else a, B: b.T if turned_b else b})


def test_two_transposes_cancel():
    A, B = gn.Input((3, 4)), gn.Input((4, 5))
    node = gn.matmul(gn.transpose(gn.transpose(A)), B)
    (after,) = with_absorbed_transposes([node])
    assert after.inputs[0] is A
    assert not after.attrs.get("transpose_a")


def test_a_transpose_over_a_flag_turns_it_back():
    A, B = gn.Input((4, 3)), gn.Input((5, 4))
    node = apply(
        registry["matmul"], [A, gn.transpose(B)], {"transpose_a": True, "transpose_b": False}
    )
    other = apply(
        registry["matmul"],
        [A, gn.transpose(gn.Input((4, 5)))],
        {"transpose_a": True, "transpose_b": True},
    )
    assert with_absorbed_transposes([node])[0].attrs["transpose_b"] is True
    assert with_absorbed_transposes([other])[0].attrs["transpose_b"] is False


def test_transposes_of_batches(rng):
    a, b = rng.standard_normal((2, 4, 3)), rng.standard_normal((2, 4, 5))
    A, B = gn.Input(a.shape, "float64"), gn.Input(b.shape, "float64")
    before = [gn.matmul(gn.transpose(A, (0, 2, 1)), B)]
    after = with_absorbed_transposes(before)
    assert not ops(after, "transpose")
    assert_same(before, after, {A: a, B: b})


def test_transposes_that_no_product_can_absorb(rng):
    a, b = rng.standard_normal((2, 4, 3)), rng.standard_normal((4, 5))
    A, B = gn.Input(a.shape, "float64"), gn.Input(b.shape, "float64")
    for before in (
        [gn.matmul(gn.transpose(A, (0, 2, 1)), B)],  # a batch, turned, times one matrix
        [gn.matmul(gn.transpose(A, (2, 0, 1)), B)],  # other axes
    ):
        after = with_absorbed_transposes(before)
        assert len(ops(after, "transpose")) == 1
        assert_same(before, after, {A: a, B: b})


# ------------------------------------------------------------------------------- reductions


def test_neighbours():
    assert neighbours([]) == []
    assert neighbours([2]) == [(2,)]
    assert neighbours([0, 1, 3]) == [(0, 1), (3,)]
    assert neighbours([3, 0, 1]) == [(0, 1), (3,)]
    assert neighbours([0, 2, 4]) == [(0,), (2,), (4,)]


@given(
    axes=st.sets(st.integers(0, 3)),
    keepdims=st.booleans(),
    name=st.sampled_from(["sum", "mean", "max"]),
)
def test_every_set_of_axes_is_reduced_in_neighbouring_groups(axes, keepdims, name):
    x = gn.Input((2, 3, 4, 5), "float64")
    before = [apply(registry[name], [x], {"axes": tuple(sorted(axes)), "keepdims": keepdims})]
    after = with_split_reductions(before)
    assert all(len(neighbours(n.attrs["axes"])) <= 1 for n in ops(after, name))
    assert_same(before, after, {x: np.random.default_rng(0).standard_normal((2, 3, 4, 5))})


def test_a_split_reduction_keeps_name_and_line():
    x = gn.Input((2, 3, 4))
    node = gn.sum(x, (0, 2), name="total")
    (after,) = with_split_reductions([node])
    assert (after.name, after.origin, after.spec) == ("total", node.origin, node.spec)


# -------------------------------------------------------------------------------- inference


def test_dropout_passes_its_input_through():
    x = gn.Input((None, 4), name="x")
    node = gn.tanh(gn.dropout(gn.exp(x), 0.5))
    (after,) = in_phase([node], training=False).outputs
    assert not ops([after], "dropout")
    assert not ops([after], "dropout_mask")
    assert after.inputs[0].op.name == "exp"
    assert after.name == node.name


def test_simplified_does_all():
    x, W = gn.Input((None, 4), "float64"), gn.Input((3, 4), "float64")
    before = [
        gn.sum(x @ gn.transpose(W)) + gn.mean(x @ gn.transpose(W)),
        gn.sum(gn.reshape(x, (-1, 2, 2)), (0, 2)),
    ]
    after = simplified(before)
    assert len(ops(after, "matmul")) == 1
    assert not ops(after, "transpose")
    rng = np.random.default_rng(1)
    assert_same(before, after, {x: rng.standard_normal((5, 4)), W: rng.standard_normal((3, 4))})


@pytest.mark.parametrize(
    "cut",
    [
        np.s_[:, -1],
        np.s_[1:, :, ::-2],
        np.s_[-1, 1:3, 0],
        np.s_[:, ::-1, 1:],
        np.s_[:, 2:2],
    ],
)
@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 0, 1), (0, 2, 1)])
def test_a_transpose_goes_behind_the_slices_that_read_it(cut, axes):
    x = gn.Input((3, 4, 5), "float64", name="x")
    y = gn.transpose(x, axes)[cut]
    outputs = [y, gn.grad(gn.sum(gn.tanh(y)), x)]
    after = with_small_transposes(outputs)
    given = {x: np.random.default_rng(0).standard_normal((3, 4, 5))}
    assert_same(outputs, after, given)
    assert ops(after, "slice")
    for node in ops(after, "transpose"):
        assert node.inputs[0] is not x  # only of what was cut
    for node in ops(after, "pad"):
        assert all(
            reader.op.name != "transpose" for reader in needed(after) if node in reader.inputs
        )


def test_a_transpose_that_others_read_stays():
    x = gn.Input((4, 5), "float64", name="x")
    turned = x.T
    outputs = [turned[1:], gn.exp(turned)]
    assert with_small_transposes(outputs)[0].inputs[0].op.name == "transpose"
