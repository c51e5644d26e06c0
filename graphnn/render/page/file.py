"""A page as a file, of any target."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from graphnn.errors import GraphError
from graphnn.files import target_of, write_whole
from graphnn.render.capture import Captured
from graphnn.render.capture import capture as captured_by
from graphnn.render.document.records import Document
from graphnn.render.document.whole import document_of
from graphnn.render.model import PASSES, Passes
from graphnn.render.page.page import page_of


def write_page(
    target: object, file: Path, passes: Passes = "joint", *, capture: Any = None
) -> Path:
    """Write the page of a target, and print its size.

    Parameters
    ----------
    target, file, passes, capture
        As for :func:`gn.render`; the page can hide the reverse pass, but ``"forward"`` has none.
    """
    if passes not in PASSES:
        raise GraphError(f"passes is 'forward', 'backward' or 'joint'; got {passes!r}")
    if not file.parent.is_dir():
        raise GraphError(
            f"{file.name} cannot be written: the folder {str(file.parent)!r} does not exist. "
            f"Make it first: os.makedirs({str(file.parent)!r})."
        )
    place = target_of(file)
    document = shown(target, passes != "forward", capture)
    if not document.graph.nodes:
        raise GraphError("there is nothing to step through: the graph has no nodes")
    data = page_of(document, file.stem)
    write_whole(place, data)
    print(f"{file}: {_size(len(data))}", file=sys.stderr)
    return file


def shown(target: object, reverse: bool, capture: Any) -> Document:
    """What the page is of: a graph, with the values of one step or of several."""
    recorded = getattr(capture, "document", None)  # of a training, or of one step
    if isinstance(recorded, Document):
        return recorded
    if capture is not None:
        return captured_by(target, capture, reverse=reverse).document
    if isinstance(target, Captured):
        return target.document
    return document_of(target, reverse=reverse)


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"
