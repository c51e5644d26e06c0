"""Text of a picture that keeps to its box, whatever font the reader has."""

from __future__ import annotations

import html
import re

from graphnn.render.typography import width_of

_TEXT = re.compile(rb'<text ([^>]*\bfont-size="([\d.]+)"[^>]*)>([^<]+)</text>')
_FONTS = (b'"Helvetica,sans-Serif"', b'"Helvetica,Arial,Liberation Sans,Arimo,sans-serif"')


def held(svg: bytes) -> bytes:
    """An SVG whose lines of text each say how long they are.

    Boxes are as wide as their text is in Helvetica. Where that is missing another font takes its
    place, such as DejaVu, which is a sixth wider; it is then drawn narrower, and stays inside.
    """
    return _TEXT.sub(_measured, svg.replace(*_FONTS))


def _measured(found: re.Match[bytes]) -> bytes:
    attributes, size, text = found.groups()
    line = html.unescape(text.decode()).replace("\N{NO-BREAK SPACE}", " ")
    width = width_of(line, float(size), bold=b'font-weight="bold"' in attributes)
    return b'<text %s textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>' % (
        attributes,
        width,
        text,
    )
