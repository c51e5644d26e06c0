"""The curves of a history: on a terminal, and as a figure."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError, GraphnnError
from graphnn.files import target_of, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Mapping[str, Sequence[float]]

BARS = "▁▂▃▄▅▆▇█"
NOTHING = "·"  # in place of a bar for what is not finite
TRAINED, VALIDATED = "#2563eb", "#ea580c"


def bars(values: Sequence[float], width: int) -> str:
    """A bar for each value, or for the mean of as many as share a place; the lowest is ``▁``."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is drawn as such
        return _bars(np.asarray(values, np.float64), width)


def _bars(given: NDArray[np.float64], width: int) -> str:
    edges = np.linspace(0, len(given), min(width, len(given)) + 1).round().astype(int)
    means = np.array([given[a:b].mean() for a, b in pairwise(edges)])
    finite = np.isfinite(means)
    if not finite.any():
        return NOTHING * len(means)
    low, high = means[finite].min(), means[finite].max()
    heights = _heights(means, low, high)
    return "".join(BARS[h] if good else NOTHING for h, good in zip(heights, finite, strict=True))


def _heights(means: NDArray[np.float64], low: float, high: float) -> list[int]:
    spread = high - low
    if not 0 < spread < np.inf:
        return [0] * len(means)
    share = np.where(np.isfinite(means), (means - low) / spread, 0.0)
    return (share * (len(BARS) - 1)).round().astype(int).tolist()  # type: ignore[no-any-return]


def sparkline(columns: Columns, seconds: float, width: int) -> str:
    """A table: each name with its bars, lowest, highest and last value."""
    epochs = max(map(len, columns.values()), default=0)
    title = f"{epochs} epoch{'s' * (epochs != 1)}, {seconds:.3g} s"
    rows = [
        (name, bars(values, width), *_ends(values))
        for name, values in columns.items()
        if len(values)
    ]
    if not rows:
        return title
    table = [("", "", "min", "max", "last"), *rows]
    wide = [max(len(row[i]) for row in table) for i in range(5)]
    lines = [
        "  ".join(
            cell.ljust(size) if i < 2 else cell.rjust(size)
            for i, (cell, size) in enumerate(zip(row, wide, strict=True))
        )
        for row in table
    ]
    return "\n".join([title, *lines])


def _ends(values: Sequence[float]) -> tuple[str, str, str]:
    """The lowest, the highest and the last value, as texts."""
    known = [value for value in values if value == value] or [np.nan]
    return _figure(min(known)), _figure(max(known)), _figure(values[-1])


def _figure(value: float) -> str:
    return f"{value:.4g}"


def plot(columns: Columns, path: str | os.PathLike[str] | None) -> Figure:
    """A figure with a panel for each measure: training solid, validation dashed.

    Raises
    ------
    GraphnnError
        If matplotlib is not installed.
    DataError
        If there is nothing to draw, or the file cannot be written.
    """
    figure_of = _matplotlib()
    names = list(dict.fromkeys(name.removeprefix("val_") for name in columns))
    if not any(len(values) for values in columns.values()):
        raise DataError("the history is empty: there is nothing to draw before model.fit")
    across = 2 if len(names) == 4 else min(len(names), 3)
    down = -(-len(names) // across)
    figure: Figure = figure_of(figsize=(4.6 * across, 3.2 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for name, panel in zip(names, panels, strict=False):
        _panel(panel, name, columns)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    if path is not None:
        _save(figure, path)
    return figure


def _panel(panel: Axes, name: str, columns: Columns) -> None:
    for key, label, color, style in (
        (name, "training", TRAINED, "-"),
        (f"val_{name}", "validation", VALIDATED, "--"),
    ):
        values = columns.get(key, ())
        if len(values):
            epochs = range(1, len(values) + 1)
            few = "o" if len(values) < 20 else ""
            panel.plot(epochs, values, style, marker=few, ms=3, color=color, label=label)
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("epoch")
    locator: Any = panel.xaxis.get_major_locator()
    locator.set_params(integer=True)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if f"val_{name}" in columns:
        panel.legend(frameon=False, fontsize=9)


def _save(figure: Figure, path: str | os.PathLike[str]) -> None:
    target, drawn = target_of(path if Path(path).suffix else f"{os.fspath(path)}.png"), io.BytesIO()
    try:
        figure.savefig(drawn, dpi=150, format=target.suffix.removeprefix("."))
    except ValueError as error:  # a suffix that matplotlib does not know
        raise DataError(f"{path}: cannot be written: {error}") from error
    write_whole(target, drawn.getvalue())


def _matplotlib() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package
    except ImportError:
        raise GraphnnError(
            "history.plot draws by matplotlib, which is not installed: pip install 'graphnn[plot]'"
        ) from None
    return Figure
