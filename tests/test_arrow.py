"""Parquet files and Arrow tables as data."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import graphnn as gn
from graphnn import nn, optim
from graphnn.train import arrow

NAMES = ["a", "b", "c", "d"]
CHOSEN = {"x": NAMES, "y": "label"}


def samples(n=50):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 4)).astype(np.float32), rng.integers(0, 3, n)


def classifier():
    gn.set_seed(0)
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    logits = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))(x)
    model = gn.Model(x, logits)
    model.compile(optim.SGD(lr=0.1), loss=gn.cross_entropy(logits, y))
    return model


def bits(model):
    return [array.tobytes() for array in model.state_dict().values()]


def test_what_columns_are():
    shown = repr(gn.Columns("t.parquet", CHOSEN))
    assert shown == "<Columns of 't.parquet': x = [a, b, c, d], y = label>"
    for wrong in ({}, ["a"]):
        with pytest.raises(gn.GraphError, match="columns are a dict"):
            gn.Columns("t.parquet", wrong)
    for wrong in ({"x": 3}, {"x": []}, {"x": ["a", 1]}):
        with pytest.raises(gn.GraphError, match="input x: a column's name, or a list of them"):
            gn.Columns("t.parquet", wrong)


def test_without_pyarrow_it_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(arrow.importlib, "import_module", missing)
    with pytest.raises(gn.DataError, match=r"read by pyarrow: pip install 'graphnn\[arrow\]'"):
        classifier().fit("train.parquet", verbose=0)


@pytest.fixture
def pa():
    pytest.importorskip("pyarrow")
    importlib.import_module("pyarrow.parquet")
    importlib.import_module("pyarrow.dataset")
    return importlib.import_module("pyarrow")


def table_of(pa, X, y):
    """Wider floats and narrower labels than the inputs have."""
    columns = {name: X[:, i].astype(np.float64) for i, name in enumerate(NAMES)}
    return pa.table({**columns, "label": y.astype(np.int8), "rest": ["text"] * len(y)})


@pytest.fixture
def written(pa, tmp_path):
    X, y = samples()
    path = tmp_path / "train.parquet"
    pa.parquet.write_table(table_of(pa, X, y), path, row_group_size=13)
    return path


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_table_in_memory_trains_as_arrays_do(pa, shuffle):
    X, y = samples()
    found = []
    for given in ((X, y), (gn.Columns(table_of(pa, X, y), CHOSEN),)):
        model = classifier()
        history = model.fit(*given, epochs=3, batch_size=8, shuffle=shuffle, verbose=0)
        found.append((bits(model), history.history, model.evaluate(*given)))
    assert found[0] == found[1]


@pytest.mark.parametrize("form", [str, lambda path: path, lambda path: path.parent])
def test_files_train_as_arrays_do(pa, form, written):
    X, y = samples()
    given = gn.Columns(form(written), CHOSEN)
    model = classifier()
    model.fit(X, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    expected = bits(model)
    model = classifier()
    model.fit(given, epochs=3, batch_size=8, shuffle=False, verbose=0)
    assert bits(model) == expected
    assert model.evaluate(given) == model.evaluate(X, y)
    inputs = gn.Columns(form(written), {"x": NAMES})
    assert model.predict(inputs, batch_size=7).tobytes() == model.predict(X).tobytes()
    assert model.predict(gn.Columns(table_of(pa, X, y), {"x": NAMES})).shape == (50, 3)


def test_row_groups_are_mixed_and_every_row_is_taken_once(pa, written):
    data = pa.dataset.dataset(written, format="parquet")
    x, y = gn.Input((None, 4), name="x"), gn.Input((None,), "int64", name="y")
    source = arrow.arrow_data(gn.Columns(data, CHOSEN), [x, y], 8, shuffle=True)
    X, _ = samples()
    orders = []
    for epoch in (0, 1, 0):
        rows = np.concatenate([batch[0] for batch in source.batches(epoch)])
        orders.append([int(np.flatnonzero((row == X).all(1))[0]) for row in rows])
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] == orders[2] != orders[1]
    assert source.steps == 7
    assert [len(batch[0]) for batch in source.batches(0)] == [8] * 6 + [2]
    groups = [row // 13 for row in orders[0]]
    assert len([1 for a, b in zip(groups, groups[1:], strict=False) if a != b]) == 3


def test_columns_by_the_names_of_inputs_and_lists(pa, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(10, 12)).astype(np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), 12)
    target = rng.normal(size=10).astype(np.float32)
    path = tmp_path / "images.parquet"
    pa.parquet.write_table(pa.table({"x": lists, "y": target}), path)
    x, y = gn.Input((None, 1, 3, 4), name="x"), gn.Input((None,), name="y")
    loss = gn.mean(gn.sum(x, axis=(1, 2, 3)) * y)
    f = gn.function([x, y], loss)
    whole = float(f(images.reshape(10, 1, 3, 4), target))
    for given in (path, pa.parquet.read_table(path), pa.table({"x": lists, "y": target})):
        history = f.loop(given, 10, verbose=0, shuffle=False)
        assert next(iter(history.history.values())) == [whole]
    flat = gn.Input((None, 12), name="x")
    assert arrow.as_array(pa.table({"x": lists}), "x", flat).tobytes() == images.tobytes()
    other = gn.Input((None, 2, 3), name="x")
    with pytest.raises(gn.ShapeError, match="the lists of column 'x' have 12 elements"):
        arrow.as_array(pa.table({"x": lists}), "x", other)


def test_what_cannot_be_read(pa, written, tmp_path):
    model = classifier()
    X, y = samples()
    table = table_of(pa, X, y)

    def refused(said, given, error=gn.DataError, **more):
        with pytest.raises(error, match=said):
            model.fit(given, verbose=0, **more)

    refused(r"the table has no column 'x'; it has a, b, c.*gn\.Columns\(table", table)
    refused(
        "the table has no column 'lable'.*label", gn.Columns(written, {"x": NAMES, "y": "lable"})
    )
    refused(r"for the inputs \['x', 'y'\]; got \['x'\]", gn.Columns(written, {"x": NAMES}))
    refused(
        "column 'rest' holds string. Encode it",
        gn.Columns(table, {"x": NAMES, "y": "rest"}),
        gn.DTypeError,
    )
    refused(
        "column 'a' holds double. Cast it",
        gn.Columns(written, {"x": NAMES, "y": "a"}),
        gn.DTypeError,
    )
    refused("there is no file", gn.Columns(tmp_path / "no.parquet", CHOSEN))
    refused("a file of data is a .parquet file", gn.Columns(tmp_path / "x.csv", CHOSEN))
    refused("leave y out", gn.Columns(written, CHOSEN), y=y)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no more")
    refused("bad.parquet cannot be read", gn.Columns(tmp_path / "bad.parquet", CHOSEN))
    gaps = table.set_column(0, "a", pa.array([None, *X[1:, 0].tolist()]))
    refused("column 'a' has 1 missing values", gn.Columns(gaps, CHOSEN))
    refused("there is no sample", gn.Columns(table[:0], CHOSEN))
    empty = tmp_path / "empty.parquet"
    pa.parquet.write_table(table[:0], empty)
    refused("there is no row", gn.Columns(empty, CHOSEN))
    refused("a Dataset, or a path|pyarrow.Table, a pyarrow.dataset", gn.Columns(3, CHOSEN))
    small = gn.Input((None,), "int32", name="y")
    wide = pa.table({"y": pa.array([2**40])})
    with pytest.raises(gn.DataError, match="which int32 does not hold"):
        arrow.as_array(wide, "y", small)


def test_frames_of_pandas_are_arrays():
    pandas = pytest.importorskip("pandas")
    X, y = samples()
    found = []
    for given in ((X, y), (pandas.DataFrame(X, columns=NAMES), pandas.Series(y))):
        model = classifier()
        model.fit(*given, epochs=2, verbose=0)
        found.append(bits(model))
    assert found[0] == found[1]
