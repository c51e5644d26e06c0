"""Write docs/gallery.md and its pictures: ``python docs/generate_gallery.py``.

``tests/test_gallery.py`` compares them with what this would write, so they cannot drift apart.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from graphnn.backends.cpu import executor
from graphnn.render import static
from graphnn.render.model import PASSES, Passes

FOLDER = Path(__file__).parent
GRAPHS = FOLDER / "gallery_graphs.py"
PICTURES = FOLDER / "gallery"
LANES = 2  # threads that the plans are laid out for, whatever the machine has


class Shown(NamedTuple):
    """A graph of the gallery, and how it is drawn."""

    title: str
    make: str
    options: dict[str, Any]
    text: str


GALLERY = {
    "neuron": Shown(
        "A neuron", "neuron", {},
        "Values are green, gradients red, as on a blackboard. Edges are as wide as their values "
        "are large, gradients as dark as their root mean square.",
    ),
    "chain_rule": Shown(
        "Sine, exponential, cosine", "chain_rule", {},
        "One number on several ways: `f` is read twice and `g` is read twice, so their gradients "
        "meet in a Σ each.",
    ),
    "xor": Shown(
        "XOR", "xor", {},
        "2-2-1, all four cases as one batch. Dashed edges are what the reverse pass needs of the "
        "forward pass, with its bytes.",
    ),
    "mlp": Shown(
        "784-256-128-10", "mlp", {},
        "Each parameter stands between the op that reads it and the update that Adam makes of its "
        "gradient.",
    ),
    "lenet": Shown(
        "LeNet", "lenet", {},
        "What is wider than a page goes on in a second row; the ends at the margins say where to.",
    ),
    "residual": Shown(
        "A residual block", "residual", {},
        "The gradient comes back on both ways. Each batch normalisation, 11 ops and 29 in reverse, "
        "is one box; `collapse=\"none\"` draws their ops.",
    ),
    "lstm": Shown(
        "LSTM, rolled", "lstm", {},
        "`gn.scan` is drawn once; the dashed boxes are the states of the step before, in reverse "
        "those of the step after. The four gates are four rows; what a step hands to the next runs "
        "along the frame.",
    ),
    "lstm_unrolled": Shown(
        "LSTM, unrolled", "lstm", {"rolled": False, "level": "layer"},
        "The same with `rolled=False`, and modules as boxes (`level`): one for each of four steps, "
        "forward and in reverse.",
    ),
    "transformer": Shown(
        "Encoder and decoder", "transformer", {},
        "The six layers of each are equal and drawn once, `0 … 5 ×6`; what is inside of attention, "
        "norm and linear layers is folded to keep below 150 boxes.",
    ),
}  # fmt: skip
HEAD = """\
# Gallery

What `render(target, "graph.svg")` draws: data goes right, blame comes back left. Each gradient
stands under the op that it belongs to, updates at their parameters. The numbers in a box are the
step that computes it, bytes, FLOPs; a tool-tip (open the picture itself) has formula, gradient
formula, kernel, buffer, and the line of [gallery_graphs.py](gallery_graphs.py) that declared it.

`python docs/generate_gallery.py` writes this page and its pictures; a test compares them.
"""


def page() -> str:
    """The text of docs/gallery.md."""
    parts = [HEAD]
    for name, shown in GALLERY.items():
        links = " · ".join(f"[{one}](gallery/{name}-{one}.svg)" for one in PASSES)
        parts.append(
            f"## {shown.title}\n\n{shown.text}\n\n"
            f"![{shown.title}, joint](gallery/{name}-joint.svg)\n\nEach pass: {links}\n"
        )
    return "\n".join(parts)


def targets(wanted: Iterable[str] = tuple(GALLERY)) -> dict[str, Any]:
    """The graphs; made of a file of that name, wherever it lies and from wherever this is run."""
    names: dict[str, Any] = {"__name__": "gallery_graphs"}
    exec(compile(GRAPHS.read_text("utf-8"), GRAPHS.name, "exec"), names)
    return {name: names[GALLERY[name].make]() for name in wanted}


def sources(target: Any, name: str) -> Iterator[tuple[Passes, str]]:
    """DOT of each pass."""
    for passes in PASSES:
        yield passes, static.dot_source(target, passes, **GALLERY[name].options)


def svg_of(source: str) -> str:
    """The picture, and in its first line which DOT it was made of."""
    svg = static.drawn(source, "svg").decode()
    digest = hashlib.sha256(source.encode()).hexdigest()
    return svg.replace("?>\n", f"?>\n<!-- of DOT {digest} -->\n", 1)


def main() -> None:
    """Write all."""
    PICTURES.mkdir(exist_ok=True)
    (FOLDER / "gallery.md").write_text(page(), encoding="utf-8")
    for name, target in targets().items():
        for passes, source in sources(target, name):
            (PICTURES / f"{name}-{passes}.svg").write_text(svg_of(source), encoding="utf-8")


if __name__ == "__main__":
    executor.machine_lanes = lambda: LANES
    sys.exit(main())
