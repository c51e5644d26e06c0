"""Graphs as pictures: the forward pass, and the reverse pass mirrored beneath it."""

from graphnn.looks import looks
from graphnn.render.capture import Captured, capture
from graphnn.render.document import to_json
from graphnn.render.recording import Capture
from graphnn.render.static import render

__all__ = ["Capture", "Captured", "capture", "render", "to_json"]

looks["to_json"] = to_json
