"""Graphs as pictures: the forward pass, and the reverse pass mirrored beneath it."""

from graphnn.render.static import render

__all__ = ["render"]
