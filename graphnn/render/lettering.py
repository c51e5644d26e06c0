"""Text of a picture that keeps to its box, whatever font the reader has, and an SVG made short."""

from __future__ import annotations

import html
import re

from graphnn.render.typography import width_of

_TEXT = re.compile(rb'<text ([^>]*\bfont-size="([\d.]+)"[^>]*)>([^<]+)</text>')
_FONT = b' font-family="Helvetica,sans-Serif"'
_FONTS = b' font-family="Helvetica,Arial,Liberation Sans,Arimo,sans-serif"'
_ROOT = b'<g id="graph0" class="graph"'
_SPACES = re.compile(rb' xml:space="preserve"([^>]*>)(?!\s|[^<]*\s\s|[^<]*\s<)')
_NAMES = re.compile(rb"<!-- [^>]* -->\n(?=<g )|<title>[^<]*</title>\n(?=<)")
_IDS = re.compile(rb' id="(?:edge|node|clust)\d+"')
_LINKS = re.compile(rb'<g id="a_[^"]*"><a ')
_DRAWN = re.compile(rb' (?:d|points|x|y|font-size)="[^"]*"')
_FINE = re.compile(rb"-?\d+\.\d\d+")


def held(svg: bytes) -> bytes:
    """An SVG whose lines of text each say how long they are.

    Boxes are as wide as their text is in Helvetica. Where that is missing another font takes its
    place, such as DejaVu, which is a sixth wider; it is then drawn narrower, and stays inside.
    """
    return _TEXT.sub(_measured, shortened(svg))


def shortened(svg: bytes) -> bytes:
    """An SVG without what says nothing: a quarter shorter, and it looks the same.

    The font stands once, spaces are kept only where there are two, boxes have no numbers
    as ids, titles, comments and groups, and places are in tenths of a point.
    """
    svg = svg.replace(_FONT, b"").replace(_ROOT, _ROOT + _FONTS, 1)
    svg = svg.replace(b' text-anchor="start"', b"").replace(b"&#45;", b"-")
    svg = _LINKS.sub(b"<a ", _NAMES.sub(b"", svg)).replace(b"</a>\n</g>", b"</a>")
    svg = _SPACES.sub(rb"\1", _IDS.sub(b"", svg))
    return _DRAWN.sub(lambda found: _FINE.sub(_tenths, found[0]), svg)


def _tenths(found: re.Match[bytes]) -> bytes:
    return (b"%.1f" % float(found[0])).removesuffix(b".0")


def _measured(found: re.Match[bytes]) -> bytes:
    attributes, size, text = found.groups()
    line = html.unescape(text.decode()).replace("\N{NO-BREAK SPACE}", " ")
    width = width_of(line, float(size), bold=b'font-weight="bold"' in attributes)
    return b'<text %s textLength="%.1f" lengthAdjust="spacingAndGlyphs">%s</text>' % (
        attributes,
        width,
        text,
    )
