"""What was captured of a value, as a box shows it."""

from __future__ import annotations

from graphnn.render.document.records import Document, Statistics
from graphnn.render.model import Seen
from graphnn.render.sketch import Piece

_PER_LINE = 4  # elements


def seen_of(document: Document, piece: Piece) -> Seen | None:
    """The captured value of a box's last node, if there is one."""
    captured = document.captured
    if captured is None or not captured.snapshots or piece.kind in ("layer", "update"):
        return None
    found = captured.snapshots[0].values.get(piece.last)
    return None if found is None else _seen(found)


def _seen(found: Statistics) -> Seen:
    lost = found.nans + found.infs > 0
    tone = "lost" if lost else "zero" if found.zeros == found.count else "value"
    bars: tuple[float, ...] = ()
    if not found.count:
        lines = ["no elements"]
    elif found.data is not None and found.count <= 16:
        lines = _elements(found.data)
    else:
        lines = [
            f"mean {_short(found.mean)} ± {_short(found.std)}",
            f"{_short(found.min)} … {_short(found.max)}",
        ]
        if found.histogram is not None:
            highest = max(found.histogram.counts)
            bars = tuple(count / highest for count in found.histogram.counts)
    odd = [f"{found.nans} NaN"] * (found.nans > 0) + [f"{found.infs} infinite"] * (found.infs > 0)
    if odd:
        lines.append(", ".join(odd))
    return Seen(tuple(lines), bars, tone, found.rms)  # type: ignore[arg-type]


def _elements(data: tuple[float, ...]) -> list[str]:
    texts = [_short(value) for value in data]
    return [", ".join(texts[i : i + _PER_LINE]) for i in range(0, len(texts), _PER_LINE)]


def _short(value: float) -> str:
    """Three digits."""
    text = f"{value:.3g}".replace("nan", "NaN").replace("inf", "Inf")
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")
