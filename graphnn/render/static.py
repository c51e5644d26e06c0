"""Pictures as files: SVG, PNG and PDF, drawn by Graphviz; DOT; Mermaid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from graphnn.errors import GraphError
from graphnn.files import target_of, write_whole
from graphnn.render.capture import Captured
from graphnn.render.capture import capture as captured
from graphnn.render.collapse import Level
from graphnn.render.document import document_of
from graphnn.render.dot import dot_of
from graphnn.render.drawing import Collapse, check_options, drawing_of
from graphnn.render.layout import laid_out
from graphnn.render.lettering import held
from graphnn.render.mermaid import mermaid_of
from graphnn.render.model import THEMES, Drawing, Passes, Theme
from graphnn.render.page import write_page
from graphnn.render.pdf import pdf_of

FORMATS = {
    ".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot",
    ".mmd": "mermaid", ".mermaid": "mermaid",
}  # fmt: skip
PAGE = ".html"
MOST_DPI = 2400
_PROGRAM = "graphviz-pure"  # the PyPI wheel, and the executable that it brings


def render(
    target: object,
    path: str | os.PathLike[str],
    passes: Passes = "joint",
    *,
    level: Level = "op",
    collapse: Collapse = "auto",
    rolled: bool = True,
    capture: Any = None,
    theme: Theme = "light",
    dpi: int = 144,
) -> Path:
    """Draw a graph and how backprop flows through it.

    Parameters
    ----------
    target
        A node or several, a :class:`gn.Graph`, a :class:`gn.function`, a model, or what
        :func:`gn.capture` returned.
    path
        File to write; its suffix chooses the format: ``.svg``, ``.png``, ``.pdf`` (needs
        ``graphnn[pdf]``), ``.dot``, ``.gv``, ``.mmd`` (Mermaid, which places the boxes itself), or
        ``.html``, one page without any network in which the schedule is stepped through.
    passes
        ``"forward"``; ``"backward"``, the reverse pass with the forward values that it reads; or
        ``"joint"``. Where a graph has no reverse pass, the gradients of its loss by all trainable
        parameters are derived for the picture.
    level
        ``"op"``; ``"layer"``: each scope is one box; ``"block"``: each outermost scope is one.
    collapse
        ``"auto"``: a normalisation layer of more than 12 boxes, as batch normalisation is with its
        reverse pass, is one; where there are more than 150 boxes, equal layers that follow each
        other are drawn once, as ``0 … 11 ×12``, then inner scopes become single boxes; a note says
        so.
        ``"none"``; or a list of scopes that are drawn as single boxes.
    rolled
        Whether the body of a loop is drawn once, with an edge to its next step; else once for each
        step (of more than 12 the first and the last six). A page folds by itself: it takes no
        ``level``, ``collapse`` or ``rolled``.
    capture
        Data of one batch, as for :func:`gn.capture`: boxes then show values, edges are as wide as
        their values are large, gradients are coloured by log₁₀ of their root mean square, grey
        where they are zero, striped where they are NaN or infinite. Also what :func:`gn.capture`
        returned, and for a page the :class:`gn.Capture` of a training.
    theme
        ``"light"`` or ``"dark"``; a page follows the reader's settings.
    dpi
        Dots per inch of a PNG.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    GraphError
        For another target, suffix, pass or setting, a missing folder, a graph without a loss, and
        where Graphviz, or for a PDF typst, is missing.
    DataError
        If the file cannot be written; an older one is kept.

    Examples
    --------
    >>> import tempfile
    >>> import graphnn as gn
    >>> from graphnn.render import render
    >>> x = gn.Input((None, 2), name="x")
    >>> w = gn.Parameter([[1.0], [2.0]], name="w")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     render(gn.mean(x @ w), f"{folder}/backprop.svg").name
    'backprop.svg'
    """
    file = Path(path)
    check_options(passes, level, collapse)
    _check_looks(theme, dpi)
    if file.suffix.lower() == PAGE:
        if (level, collapse, rolled) != ("op", "auto", True):
            raise GraphError(
                "a page opens and closes scopes and loops itself: leave out level, collapse and "
                "rolled, or write an .svg"
            )
        return write_page(target, file, passes, capture=capture)
    form, place = _format_of(file), target_of(file)
    found = _drawing(target, passes, level, collapse, rolled, capture, theme)
    if form == "mermaid":
        data = mermaid_of(found, theme).encode()
    else:
        data = drawn(pictured(found, theme), form, dpi)
    write_whole(place, data)
    return file


def dot_source(
    target: object,
    passes: Passes = "joint",
    *,
    level: Level = "op",
    collapse: Collapse = "auto",
    rolled: bool = True,
    capture: Any = None,
    theme: Theme = "light",
) -> str:
    """The picture in DOT.

    Parameters
    ----------
    target, passes, level, collapse, rolled, capture, theme
        As for :func:`render`.
    """
    return pictured(_drawing(target, passes, level, collapse, rolled, capture, theme), theme)


def pictured(drawing: Drawing, theme: Theme) -> str:
    """A drawing in DOT, every box at its place."""
    return dot_of(drawing, laid_out(drawing), theme)


def _drawing(
    target: object,
    passes: Passes,
    level: Level,
    collapse: Collapse,
    rolled: bool,
    capture: Any,
    theme: Theme,
) -> Drawing:
    check_options(passes, level, collapse)
    _check_looks(theme)
    reverse = passes != "forward"
    if isinstance(capture, Captured):
        target = capture
    elif capture is not None:
        _check_one_step(capture)
        target = captured(target, capture, reverse=reverse)
    described = target.document if isinstance(target, Captured) else None
    document = described or document_of(target, reverse=reverse)
    return drawing_of(document, passes, level=level, collapse=collapse, rolled=rolled)


def _check_looks(theme: object, dpi: object = 144) -> None:
    if theme not in THEMES:
        raise GraphError(f"theme is 'light' or 'dark'; got {theme!r}")
    if isinstance(dpi, bool) or not isinstance(dpi, int) or not 1 <= dpi <= MOST_DPI:
        raise GraphError(f"dpi is a whole number from 1 to {MOST_DPI:,}; got {dpi!r}")


def _check_one_step(capture: object) -> None:
    """A picture has the values of one step, and not those of a training."""
    if hasattr(type(capture), "document"):
        raise GraphError(
            "a gn.Capture has many steps of a training, and a picture shows one: draw a page, "
            "'backprop.html', or give the data of one batch, capture=x"
        )


def _format_of(file: Path) -> str:
    form = FORMATS.get(file.suffix.lower())
    if form is None:
        raise GraphError(
            f"the suffix of a picture is one of {', '.join([*FORMATS, PAGE])}; got {str(file)!r}. "
            f"Did you mean {str(file.with_suffix('.svg')) if file.name else 'graph.svg'!r}?"
        )
    if not file.parent.is_dir():
        raise GraphError(
            f"{file.name} cannot be written: the folder {str(file.parent)!r} does not exist. "
            f"Make it first: os.makedirs({str(file.parent)!r})."
        )
    return form


def drawn(source: str, form: str, dpi: int = 144) -> bytes:
    """DOT drawn by Graphviz as ``"svg"``, ``"png"`` or ``"pdf"``; ``"dot"`` is itself.

    The places of the boxes are kept (``-n2``).
    """
    if form == "dot":
        return source.encode()
    if form == "pdf":
        return pdf_of(drawn(source, "svg"))
    command = [graphviz_program(), "-Kneato", "-n2", "-q", f"-T{form}"]
    if form == "png":
        command.append(f"-Gdpi={dpi}")
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise GraphError(f"{command[0]} could not draw the graph: {said[-500:]}")
    return held(done.stdout) if form == "svg" else done.stdout


def graphviz_program() -> str:
    """The program that draws: ``dot`` if it is installed, else the one that graphviz-pure brings.

    Raises
    ------
    GraphError
        If there is neither.
    """
    found = next((path for path in _candidates() if path and os.access(path, os.X_OK)), None)
    if found is None:
        raise GraphError(
            f"SVG and PNG are drawn by Graphviz, which is not here. Run: pip install {_PROGRAM}; "
            "or write a .dot file, which needs no program."
        )
    return found


def _candidates() -> Iterator[str | None]:
    yield shutil.which("dot")
    try:
        installed = files(_PROGRAM) or []
    except PackageNotFoundError:
        installed = []
    yield from (str(file.locate()) for file in installed if file.stem == _PROGRAM)
    for folder in (sysconfig.get_path("scripts"), os.path.dirname(sys.executable)):
        yield shutil.which(_PROGRAM, path=folder)
    yield shutil.which(_PROGRAM)
