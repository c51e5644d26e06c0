"""What graphs, functions and models share: they can be described as JSON, and show a picture.

How that is done belongs to a floor above, which enters its functions here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

looks: dict[str, Callable[..., Any]] = {}


class Describable:
    """A graph, or what holds one; in a notebook its picture."""

    def to_json(self, *, reverse: bool = False, indent: int | None = None) -> str:
        """Nodes, schedule, memory, gradients and sources as JSON: see :func:`gn.to_json`.

        Parameters
        ----------
        reverse
            Whether the gradients of the loss are derived where the graph has no reverse pass.
        indent
            Spaces an indentation; None: all on one line.
        """
        text: str = looks["to_json"](self, reverse=reverse, indent=indent)
        return text

    def _repr_html_(self) -> str:
        """The picture that a notebook shows."""
        html: str = looks["html"](self)
        return html
