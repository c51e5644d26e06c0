"""Columns and rows of the forward lane; the reverse lane mirrors them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

Place: TypeAlias = tuple[int, int]  # column, row
Span: TypeAlias = tuple[float, float]


def places(
    order: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    sources: Collection[str],
    end: str,
    layers: Mapping[str, str] | None = None,
) -> dict[str, Place]:
    """Column and row of every box of the forward lane.

    The longest way from an input to ``end`` is the main road, row 0. What is left is cut into
    chains, the longest first; each takes the row above the road that is free along its way and
    nearest to its reader.

    Parameters
    ----------
    order
        All boxes, each after those that it reads.
    inputs
        What each box reads.
    sources
        Boxes that read nothing; they get a place only if the road starts at one.
    end
        Where the road ends: the loss.
    layers
        The outermost layer of each box. A branch of a layer does not start before the road comes
        into it: a decoder stands to the right of its encoder.

    Returns
    -------
    dict
        (column, row) of every box but the sources beside the road.
    """
    depth = _depths(order, inputs, sources)
    road = _chain(end, inputs, _from_sources(order, inputs, sources, depth), set())
    on_road = set(road)
    if layers:
        waiting = _waiting(inputs, road, layers)
        depth = _depths([*TopologicalSorter(waiting).static_order()], waiting, sources)
    computed = [box for box in order if box not in sources or box in on_road]
    columns = _pulled_to_readers(computed, inputs, depth, on_road)
    first = min(columns.values(), default=0)
    rows = _rows(computed, inputs, depth, columns, road)
    return {box: (columns[box] - first, rows[box]) for box in computed}


def _waiting(
    inputs: Mapping[str, Sequence[str]], road: Sequence[str], layers: Mapping[str, str]
) -> dict[str, list[str]]:
    """What each box reads, and for a branch the last box of the road before its layer."""
    gates: dict[str, str] = {}
    for before, box in pairwise(road):
        if layers.get(box) and layers.get(box) != layers.get(before):
            gates.setdefault(layers[box], before)
    needed = {gate: _ancestors(gate, inputs) for gate in gates.values()}
    found: dict[str, list[str]] = {}
    for box, values in inputs.items():
        gate = gates.get(layers.get(box, ""))
        late = gate is not None and values and box not in needed[gate] and box not in road
        found[box] = [*values, gate] if late and gate is not None else [*values]
    return found


def _ancestors(box: str, inputs: Mapping[str, Sequence[str]]) -> set[str]:
    found, waiting = {box}, [box]
    while waiting:
        new = [value for value in inputs[waiting.pop()] if value not in found]
        found.update(new)
        waiting += new
    return found


def _depths(
    order: Sequence[str], inputs: Mapping[str, Sequence[str]], sources: Collection[str]
) -> dict[str, int]:
    depth: dict[str, int] = {}
    for box in order:
        before = [depth[value] for value in inputs[box]]
        depth[box] = 0 if box in sources else 1 + max(before, default=0)
    return depth


def _from_sources(
    order: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    sources: Collection[str],
    depth: Mapping[str, int],
) -> dict[str, int]:
    """Depths by which the road starts at an input, however long the way from first states is."""
    far = len(depth)
    found: dict[str, int] = {}
    for box in order:
        before = [found[value] for value in inputs[box]]
        reached = max([far * (box in sources), *before])
        found[box] = 1 + reached if reached >= far else depth[box]
    return found


def _chain(
    end: str, inputs: Mapping[str, Sequence[str]], depth: Mapping[str, int], taken: set[str]
) -> list[str]:
    """The longest way to ``end`` through boxes that no other chain has taken."""
    chain = [end]
    while True:
        free = [value for value in inputs[chain[-1]] if value not in taken]
        if not free:
            return chain[::-1]
        chain.append(max(free, key=lambda value: depth[value]))


def _pulled_to_readers(
    computed: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    depth: Mapping[str, int],
    on_road: Collection[str],
) -> dict[str, int]:
    """Columns by depth, but a box beside the road stands just before the first that reads it."""
    columns = {box: depth[box] for box in computed}
    first_reader: dict[str, int] = {}
    for box in reversed(computed):
        if box not in on_road and box in first_reader:
            columns[box] = first_reader[box] - 1
        for value in inputs[box]:
            first_reader[value] = min(first_reader.get(value, columns[box]), columns[box])
    return columns


def _rows(
    computed: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    depth: Mapping[str, int],
    columns: Mapping[str, int],
    road: Sequence[str],
) -> dict[str, int]:
    rows = dict.fromkeys(road, 0)
    kept = {box: [v for v in inputs[box] if v in columns] for box in computed}
    readers: dict[str, list[str]] = {box: [] for box in computed}
    for box in computed:
        for value in kept[box]:
            readers[value].append(box)
    busy: list[list[Span]] = []  # for each row above the road, the spans that are taken
    for end in sorted(computed, key=lambda box: -depth[box]):
        if end in rows:
            continue
        chain = _chain(end, kept, depth, set(rows))
        span = _span(columns, chain, kept[chain[0]], readers[end])
        row = _free_row(busy, span, rows[readers[end][0]] if readers[end] else 0)
        rows.update((box, row) for box in chain)
    return rows


def _span(
    columns: Mapping[str, int], chain: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> Span:
    """The columns that a chain takes, with half a column more where it leaves and joins others."""
    start = [columns[chain[0]], *(columns[box] + 0.5 for box in before)]
    stop = [columns[chain[-1]], *(columns[box] - 0.5 for box in after)]
    return min(start), max(stop)


def _free_row(busy: list[list[Span]], span: Span, near: int) -> int:
    """The row above the road nearest to ``near`` where ``span`` meets no other; it takes it."""
    free = [
        row
        for row, spans in enumerate(busy, start=1)
        if all(span[1] < start or stop < span[0] for start, stop in spans)
    ]
    row = min(free, key=lambda row: abs(row - near), default=len(busy) + 1)
    if row > len(busy):
        busy.append([])
    busy[row - 1].append(span)
    return row
