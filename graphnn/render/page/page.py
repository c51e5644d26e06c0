"""A document as one HTML file: its text as data, our scripts, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import warnings
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from graphnn.errors import LargePageWarning
from graphnn.render.document.records import Document
from graphnn.render.document.whole import dumped

SCRIPTS = ("graph.js", "layout.js", "stage.js", "inspector.js", "panels.js", "app.js")
LARGE = 5_000_000  # bytes from which on a page is slow to open and to send


def page_of(document: Document, title: str = "backprop") -> bytes:
    """The page.

    Parameters
    ----------
    document
        What is shown; with values where it has any.
    title
        Shown above the graph.

    Returns
    -------
    bytes
        HTML in UTF-8, the same on every run. The only script that its security policy lets run is
        ours, by its hash, and nothing is loaded; so no name of a node can do anything.

    Warns
    -----
    LargePageWarning
        If it has more than 5 MB.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn.render.document.whole import document_of
    >>> x = gn.Input((2,), name="x")
    >>> page_of(document_of(gn.sum(x * x), reverse=True))[:15]
    b'<!doctype html>'
    """
    script = "\n".join(asset(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = Template(asset("page.html")).substitute(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        title=escape(title),
        style=asset("page.css"),
        document=_in_script(dumped(document)),
        script=script,
    )
    data = page.encode("utf-8", "replace")  # half of a surrogate pair is no letter
    if len(data) > LARGE:
        warnings.warn(
            f"the page has {len(data) / 1e6:.1f} MB. gn.capture(..., mode='stats') keeps no "
            "elements, and a graph of one layer less of everything.",
            LargePageWarning,
            stacklevel=4,
        )
    return data


def _in_script(text: str) -> str:
    """JSON that may stand in a script: nothing in it can end the element."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def asset(name: str) -> str:
    """One of the files that the page is made of."""
    found = files("graphnn.render.page").joinpath("assets", name).read_text("utf-8")
    return found.rstrip() + "\n"
