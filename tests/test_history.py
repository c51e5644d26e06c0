"""History: its table on a terminal, its figure, its file."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest

import graphnn as gn
from graphnn.train.curves import bars

FALLING = gn.History(
    {
        "loss": [2.3, 1.1, 0.6, 0.45, 0.4, 0.38],
        "accuracy": [0.31, 0.62, 0.8, 0.86, 0.87, 0.88],
        "val_loss": [1.5, 0.9, math.nan, 0.58, 0.57, 0.6],
        "val_accuracy": [0.5, 0.7, math.nan, 0.81, 0.82, 0.8],
        "lr": [1e-3] * 6,
    },
    [0.25] * 6,
)


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 40, "▁▂▃▄▅▆▇█"),
        ([7, 0], 40, "█▁"),
        ([3], 40, "▁"),
        ([2, 2, 2], 40, "▁▁▁"),
        ([0, 2, 7, 7], 2, "▁█"),  # 1 and 7
        (range(8000), 8, "▁▂▃▄▅▆▇█"),
        ([0, math.nan, math.inf, 1], 40, "▁··█"),
        ([math.nan] * 3, 40, "···"),
        ([-1e308, 1e308], 40, "▁▁"),  # their distance is no float64
        ([], 40, ""),
    ],
)
def test_bars(values, width, drawn):
    assert bars(list(values), width) == drawn


def test_print_shows_a_table():
    assert str(FALLING).splitlines() == [
        "6 epochs, 1.5 s",
        "                        min    max   last",
        "loss          █▄▂▁▁▁   0.38    2.3   0.38",
        "accuracy      ▁▅▇███   0.31   0.88   0.88",
        "val_loss      █▃·▁▁▁   0.57    1.5    0.6",
        "val_accuracy  ▁▅·███    0.5   0.82    0.8",
        "lr            ▁▁▁▁▁▁  0.001  0.001  0.001",
    ]
    assert repr(FALLING).startswith("<History of 6 epochs: loss=0.38, accuracy=0.88")
    assert len(FALLING.sparkline(width=3).splitlines()[2].split()[1]) == 3
    assert str(gn.History()) == "0 epochs, 0 s"
    assert str(gn.History({"loss": [1.0]}, [0.5])).startswith("1 epoch, 0.5 s\n")
    with pytest.raises(gn.GraphError, match="width is a whole number >= 1; got 0"):
        FALLING.sparkline(0)


def test_json_gives_back_the_same_bits(tmp_path, rng):
    odd = [math.nan, math.inf, -math.inf, 5e-324, 0.1, -0.0, *rng.normal(size=50)]
    history = gn.History({"loss": odd, "val_loss": odd[::-1]}, list(map(abs, odd[3:])))
    history.save(tmp_path / "history.json")
    for found in (
        gn.History.from_json(history.to_json()),
        gn.History.load(tmp_path / "history.json"),
    ):
        assert list(found) == list(history)
        for name in history:
            assert np.array(found[name]).tobytes() == np.array(history[name]).tobytes()
        assert found.seconds == history.seconds
        assert all(type(value) is float for value in found["loss"])

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(history.to_json(), parse_constant=refuse)  # plain JSON: any reader takes it


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"history": [], "seconds": []}',
        '{"history": {"a": 3}, "seconds": []}',
        '{"history": {"a": ["b"]}, "seconds": []}',
    ],
)
def test_what_is_no_history(text, tmp_path):
    with pytest.raises(gn.DataError, match="this is no history in JSON"):
        gn.History.from_json(text)
    with pytest.raises(gn.DataError, match="cannot be read"):
        gn.History.load(tmp_path / "nowhere")
    with pytest.raises(gn.DataError, match="cannot be written"):
        FALLING.save(tmp_path / "nowhere" / "history.json")


def test_plot_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gn.GraphnnError, match=r"pip install 'graphnn\[plot\]'"):
        FALLING.plot()


def test_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="needs graphnn[plot]")
    figure = FALLING.plot(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert [panel.get_title() for panel in shown] == ["loss", "accuracy", "lr"]
    for panel in shown:
        name = panel.get_title()
        drawn = {line.get_label(): line.get_ydata() for line in panel.get_lines()}
        np.testing.assert_array_equal(drawn["training"], FALLING[name])
        if name != "lr":
            np.testing.assert_array_equal(drawn["validation"], FALLING[f"val_{name}"])
    with pytest.raises(gn.DataError, match="cannot be written"):
        FALLING.plot(tmp_path / "curves.nonsense")
    with pytest.raises(gn.DataError, match="the history is empty"):
        gn.History().plot()
