"""Turn series of times into Markdown tables that also read well in a terminal."""

import statistics
from collections.abc import Mapping, Sequence

from measure import Series

OURS = "graphnn"


def duration(seconds: float) -> str:
    """Three digits and a unit: 0.0000816 → 81.6 µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def paired_ratio(above: Series | None, below: Series | None) -> float | None:
    """Median over the rounds of above ÷ below, each taken in the same round."""
    if not above or not below or not above.samples or not below.samples:
        return None
    pairs = zip(above.samples, below.samples, strict=False)
    return statistics.median(a / b for a, b in pairs)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table whose columns are padded to one width."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (w + 2) for w in widths) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def times(series: Mapping[str, Series]) -> str:
    """One row a peer: median, the fastest and slowest round, how many times our time, the loss."""
    measured = [label for label in series if series[label].samples]
    ours = [label for label in measured if label.startswith(OURS)]
    base = (ours or measured or [""])[0]
    rows = []
    for label, peer in series.items():
        if peer.problem:
            rows.append([label, peer.problem, "", "", ""])
            continue
        ratio = paired_ratio(peer, series[base])
        rows.append(
            [
                label,
                duration(peer.median),
                f"{duration(min(peer.samples))} – {duration(max(peer.samples))}",
                f"{ratio:.2f}",
                f"{peer.line['loss']:.3g}" if "loss" in peer.line else "",
            ]
        )
    return markdown(["peer", "median", "fastest – slowest", f"÷ {base}", "loss"], rows)


def contention(series: Mapping[str, Series]) -> str:
    """One row a peer: how much longer its epoch takes beside a busy program."""
    rows = []
    for label, peer in series.items():
        if peer.problem:
            rows.append([label, peer.problem])
        elif label.endswith(", quiet"):
            name = label.removesuffix(", quiet")
            ratio = paired_ratio(series.get(f"{name}, busy"), peer)
            rows.append([name, "" if ratio is None else f"{ratio:.2f}"])
    return markdown(["peer", "one core taken ÷ quiet"], rows)


def hidden_time(series: Mapping[str, Series]) -> list[str]:
    """Say where the clock around a peer's whole run saw 5 % more than its epochs add up to."""
    return [
        f"{label}: {duration(peer.line['outside'])} an epoch by the clock around the whole run."
        for label, peer in series.items()
        if peer.samples and peer.line.get("outside", 0.0) > 1.05 * peer.samples[-1]
    ]


def targets(aims: Sequence[tuple[str, float | None, float]]) -> str:
    """One row an aim: what it is, the value, the most it may be, and whether it is met."""
    rows = []
    for aim, value, most in aims:
        if value is None:
            rows.append([aim, "", f"≤ {most:g}", "not measured"])
        else:
            rows.append([aim, f"{value:.3g}", f"≤ {most:g}", "met" if value <= most else "MISSED"])
    return markdown(["aim", "value", "limit", ""], rows)


def versions(series: Sequence[Series]) -> str:
    """Every package version that a peer reported, once."""
    found = {item for peer in series for item in peer.line.get("versions", {}).items()}
    return ", ".join(f"{name} {number}" for name, number in sorted(found))
