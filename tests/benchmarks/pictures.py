"""How long a picture of a large graph takes: ``python tests/benchmarks/pictures.py``.

An encoder of N layers and its reverse pass, drawn to SVG: planning, describing, choosing what is
shown, placing it, and Graphviz. Each time is the best of three, in a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import pairwise

import graphnn as gn
from graphnn import nn
from graphnn.render.document import document_of
from graphnn.render.document.planned import planned
from graphnn.render.drawing import drawing_of
from graphnn.render.static import drawn, pictured


def measured(layers: int) -> str:
    """A row of the table."""
    x = gn.Input((None, 16, 64), name="x")
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0)
    loss = gn.mean(gn.square(nn.TransformerEncoder(layer, layers)(x)))
    found = planned(loss, reverse=True)  # also warms up what is made once
    times = [time.perf_counter()]
    document = document_of(loss, reverse=True)
    times.append(time.perf_counter())
    drawing = drawing_of(document)
    times.append(time.perf_counter())
    source = pictured(drawing, "light")
    times.append(time.perf_counter())
    drawn(source, "svg")
    times.append(time.perf_counter())
    parts = [b - a for a, b in pairwise(times)]
    nodes, boxes = len(found.program.graph.nodes), len(drawing.boxes)
    return f"{nodes} {boxes} {sum(parts):.2f} " + " ".join(f"{part:.2f}" for part in parts)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="*", default=[5, 20, 50])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measured(options.one))
        return
    print("| layers | nodes | boxes | seconds | plan, describe | choose | place | Graphviz |")
    print("|---|---|---|---|---|---|---|---|")
    for layers in options.layers:
        command = [sys.executable, __file__, "--one", str(layers)]
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                subprocess.run(
                    command, capture_output=True, text=True, check=True, cwd=folder
                ).stdout.split()
                for _ in range(3)
            ]
        best = min(rows, key=lambda row: float(row[2]))
        print(f"| {layers} | {' | '.join(best)} |")


if __name__ == "__main__":
    main()
