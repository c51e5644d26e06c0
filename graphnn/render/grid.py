"""Columns and rows of the forward lane; the reverse lane mirrors them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from graphnn.render.rows import settled

Place: TypeAlias = tuple[int, int]  # column, row
Span: TypeAlias = tuple[float, float]


def places(
    order: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    sources: Collection[str],
    end: str,
    layers: Mapping[str, str] | None = None,
    loops: Mapping[str, Sequence[str]] | None = None,
    delays: Collection[str] = (),
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
    loops
        The loops that each box is in, outer ones first. A loop does not start before all that it
        reads is there, and its boxes stand as near to its start as they can, so that equal branches
        stay parallel.
    delays
        The states of loops; all stand where their loop starts.

    Returns
    -------
    dict
        (column, row) of every box but the sources beside the road.
    """
    depth = _depths(order, inputs, sources)
    read = Counter(value for values in inputs.values() for value in values)
    road = _chain(end, inputs, _from_sources(order, inputs, sources, depth), set(), read)
    on_road = set(road)
    loops = loops or {}
    if layers or loops:
        waiting = _waiting(_after_entries(inputs, loops, sources), road, layers or {})
        later = [*TopologicalSorter(waiting).static_order()]
        depth = _depths(later, waiting, sources, {one: loops[one] for one in delays}, loops)
    computed = [box for box in order if box not in sources or box in on_road]
    columns = _pulled_to_readers(computed, inputs, depth, {*on_road, *loops})
    first = min(columns.values(), default=0)
    rows = _rows(computed, inputs, depth, columns, road, delays)
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


def _after_entries(
    inputs: Mapping[str, Sequence[str]],
    loops: Mapping[str, Sequence[str]],
    sources: Collection[str],
) -> dict[str, list[str]]:
    """What each box reads, and for one of a loop all that comes into the loop."""
    entries: dict[str, dict[str, None]] = {}
    for box, around in loops.items():
        for loop in around:
            outside = [v for v in inputs[box] if loop not in loops.get(v, ()) and v not in sources]
            entries.setdefault(loop, {}).update(dict.fromkeys(outside))
    needed = {
        loop: {one for entry in found for one in _ancestors(entry, inputs)}
        for loop, found in entries.items()
    }
    found = {box: [*values] for box, values in inputs.items()}
    for box, around in loops.items():
        for loop in around:
            found[box] += entries[loop] if box not in needed[loop] else ()
    return found


def _ancestors(box: str, inputs: Mapping[str, Sequence[str]]) -> set[str]:
    found, waiting = {box}, [box]
    while waiting:
        new = [value for value in inputs[waiting.pop()] if value not in found]
        found.update(new)
        waiting += new
    return found


def _depths(
    order: Sequence[str],
    inputs: Mapping[str, Sequence[str]],
    sources: Collection[str],
    states: Mapping[str, Sequence[str]] | None = None,
    loops: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, int]:
    """The longest way to each box; a state stands in one column with what its loop begins with."""
    depth: dict[str, int] = {}
    states, loops = states or {}, loops or {}
    for box in order:
        own = () if box in states else loops.get(box, ())
        beside = {value for value in inputs[box] if own and states.get(value) == own}
        before = [depth[value] - (value in beside) for value in inputs[box]]
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
    end: str,
    inputs: Mapping[str, Sequence[str]],
    depth: Mapping[str, int],
    taken: set[str],
    readers: Mapping[str, int],
) -> list[str]:
    """The longest way to ``end`` through boxes that no other chain has taken.

    Of two of one length it is the one through a box that few ``readers`` have.
    """
    chain = [end]
    while True:
        free = [value for value in inputs[chain[-1]] if value not in taken]
        if not free:
            return chain[::-1]
        chain.append(max(free, key=lambda value: (depth[value], -readers.get(value, 0))))


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
    delays: Collection[str],
) -> dict[str, int]:
    rows = dict.fromkeys(road, 0)
    kept = {box: [v for v in inputs[box] if v in columns] for box in computed}
    readers: dict[str, list[str]] = {box: [] for box in computed}
    for box in computed:
        for value in kept[box]:
            readers[value].append(box)
    counts = {box: len(found) for box, found in readers.items()}
    busy: list[list[Span]] = []  # for each row above the road, the spans that are taken
    chains: list[list[str]] = []
    for end in sorted(computed, key=lambda box: (-depth[box], box in delays)):
        if end in rows:
            continue
        chain = _chain(end, kept, depth, set(rows), counts)
        span = _span(columns, chain, kept[chain[0]], readers[end])
        row = _free_row(busy, span, rows[readers[end][0]] if readers[end] else 0)
        rows.update((box, row) for box in chain)
        chains.append(chain)
    across = {box: columns[box] - 0.5 * (box in delays) for box in rows}
    links = [(value, box) for box in computed for value in kept[box]]
    units = [unit for chain in chains for unit in _cut(chain, readers)]
    found = settled(rows, units, across, links, least=1)
    return {box: int(row) for box, row in found.items()}


def _cut(chain: Sequence[str], readers: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """A chain in parts that end where ways part."""
    part: list[str] = []
    for box in chain:
        part.append(box)
        if len(readers[box]) > 1:
            yield part
            part = []
    if part:
        yield part


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
