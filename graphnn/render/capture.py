"""What a graph computes on given data: every value of one step, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.feed import by_input
from graphnn.function import Function
from graphnn.node import Node
from graphnn.op import Leaf, Loop
from graphnn.ops.random.generator import Generator
from graphnn.render.differences import measured_gradients
from graphnn.render.document.planned import Planned, planned
from graphnn.render.document.records import (
    Captures,
    Document,
    Histogram,
    Mode,
    Snapshot,
    Statistics,
)
from graphnn.render.document.whole import described, dumped

MODES: tuple[Mode, ...] = ("stats", "values", "full")
FEW = 16  # elements that are kept as they are
BINS = 16


@dataclass(frozen=True, eq=False)
class Captured:
    """A graph with the values of one step; made by :func:`capture`.

    Parameters
    ----------
    document
        The graph, with statistics of every value.
    arrays
        The values by name, as ``print(graph)`` names them.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> seen = gn.capture(gn.sum(gn.exp(x)), [0.0, 1.0])
    >>> seen["exp"]
    array([1.       , 2.7182817], dtype=float32)
    """

    document: Document
    arrays: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise GraphError(
                f"nothing named {name!r} was captured; there are {', '.join(self.arrays)}"
            )
        return self.arrays[name]

    def to_json(self, indent: int | None = None) -> str:
        """The graph with its values, as JSON: see :func:`gn.to_json`."""
        return dumped(self.document, indent)

    def __repr__(self) -> str:
        return f"<Captured: {len(self.arrays)} values>"


def capture(
    target: object,
    data: Any,
    *,
    mode: Mode = "values",
    reverse: bool = True,
    differences: bool = False,
) -> Captured:
    """Run one step on given data and keep every value on the way, also of the reverse pass.

    Each value gets memory of its own for that; nothing is updated, and no random number is used up.

    Parameters
    ----------
    target
        A node, several nodes, a :class:`gn.Graph`, a :class:`gn.function`, or a model.
    data
        One batch: an array for each input in their order, a dict by name, or the one array of the
        only input. For a compiled model the targets are inputs, too.
    mode
        ``"stats"``: of each value mean, standard deviation, extremes, root mean square, zeros,
        NaNs, infinities, a histogram; ``"values"``: also all elements of values that have 16 or
        fewer; ``"full"``: all elements of all.
    reverse
        Whether the gradients of the loss are derived where the graph has no reverse pass.
    differences
        Whether each gradient of 16 or fewer elements is also measured by finite differences: the
        forward pass is run again by NumPy, with one element of one value moved at a time.

    Returns
    -------
    Captured
        ``seen["name"]`` is an array; ``gn.render(seen, path)`` draws them.

    Raises
    ------
    DataError, ShapeError, DTypeError
        If the data does not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> w = gn.Parameter([3.0, 4.0], name="w")
    >>> seen = gn.capture(gn.sum(w * x), {"x": [1.0, 2.0]})
    >>> seen["sum"], seen["d_multiply"]
    (array(11., dtype=float32), array([1., 2.], dtype=float32))
    """
    if mode not in MODES:
        raise GraphError(f"mode is one of {', '.join(MODES)}; got {mode!r}")
    found = planned(target, reverse=reverse)
    values, sizes = values_of(found, data)
    document, ids = described(found.sized(sizes))
    names = {node.id: node.name for node in document.graph.nodes}
    seen = {ids[node]: statistics(array, mode) for node, array in values.items()}
    if differences:
        for gradient, measured in measured_gradients(document, ids, values, sizes).items():
            seen[gradient] = replace(seen[gradient], difference=measured)
    document = replace(document, captured=Captures(mode, (Snapshot(0, seen),)))
    return Captured(document, {names[ids[node]]: array for node, array in values.items()})


def values_of(found: Planned, data: Any) -> tuple[dict[Node, NDArray[Any]], dict[str, int]]:
    """All values of one step, but for constants, and the size of each symbol."""
    graph, given = found.program.graph, by_input(data, found.inputs)
    computed = [node for node in graph.nodes if not isinstance(node.op.kernel, Leaf | Loop)]
    watched = Function.watching(found.inputs, found.program, computed)
    arrays, sizes = watched.checked([given[node] for node in found.inputs])
    sources = [node for node in graph.parameters if isinstance(node, Generator)]
    states = [source.value.copy() for source in sources]
    results = watched(*arrays)
    for source, state in zip(sources, states, strict=True):
        source.value = state
    values: dict[Node, NDArray[Any]] = dict(zip(found.inputs, arrays, strict=True))
    values |= {node: node.value.copy() for node in graph.parameters}
    values |= dict(zip(computed, results, strict=True))
    kept = [node for node in graph.nodes if node in values]
    return {node: values[node] for node in kept}, sizes


def statistics(array: NDArray[Any], mode: Mode) -> Statistics:
    """What a value looks like."""
    flat = np.asarray(array).ravel()
    wide = flat.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    keep = mode == "full" or (mode == "values" and flat.size <= FEW)
    made = Statistics(
        count=flat.size,
        zeros=int((wide == 0).sum()),
        nans=int(np.isnan(wide).sum()),
        infs=int(np.isinf(wide).sum()),
        data=tuple(_shortest(flat)) if keep else None,
    )
    if not finite.size:
        return made
    low, high = float(finite.min()), float(finite.max())
    with np.errstate(over="ignore"):
        return replace(
            made,
            mean=_rounded(finite.mean()),
            std=_rounded(finite.std()),
            min=_rounded(low),
            max=_rounded(high),
            rms=_rounded(_root_mean_square(finite)),
            histogram=_histogram(finite, low, high),
        )


def _root_mean_square(values: NDArray[np.float64]) -> float:
    scale = float(np.abs(values).max()) or 1.0  # squares of small gradients vanish
    return scale * float(np.sqrt(np.mean(np.square(values / scale))))


def _histogram(values: NDArray[np.float64], low: float, high: float) -> Histogram | None:
    if not low < high or not np.isfinite(high - low):
        return None
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    return Histogram(_rounded(low), _rounded(high), tuple(counts.tolist()))


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


def _shortest(flat: NDArray[Any]) -> list[float]:
    """Each element by the fewest digits that tell it from its neighbours in its own dtype."""
    if flat.dtype == np.float32:
        return [float(text) for text in flat.astype(str)]
    return [float(value) for value in flat]
