"""SVG as PDF, by Typst: wheels for every system, and nothing else to install."""

from __future__ import annotations

from typing import Any

from graphnn.errors import GraphError

# Without a date, so that the same picture has the same bytes.
_PAGE = b"""\
#set document(date: none)
#set page(width: auto, height: auto, margin: 0pt)
#image("picture.svg")
"""


def pdf_of(svg: bytes) -> bytes:
    """A PDF of one page, as large as the picture; its text stays text.

    The letters are the system's Helvetica where there is one, else those that Typst brings: the
    same bytes on one machine, not on all.

    Parameters
    ----------
    svg
        The picture.

    Raises
    ------
    GraphError
        If typst is not installed.
    """
    try:
        import typst  # noqa: PLC0415 - an optional package
    except ImportError:
        raise GraphError(
            "PDF is written by typst, which is not here. Run: pip install 'graphnn[pdf]'; or "
            "write an .svg file."
        ) from None
    files: Any = {"main.typ": _PAGE, "picture.svg": svg}  # a form that its types do not have
    made: bytes = typst.compile(files, format="pdf")
    return made
