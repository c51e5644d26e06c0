"""How wide text is, so that boxes fit it without asking a font."""

from __future__ import annotations

import unicodedata

# Advance widths of Helvetica in thousandths of the font size, from Adobe's font metrics; Arial,
# Arimo and Liberation Sans have the same.
_WIDTHS = {
    222: "ijl'|",
    278: " !,./:;I[\\]ft",
    333: "()-`r",
    355: '"',
    389: "*",
    400: "°",
    469: "^",
    500: "Jckvxysz",
    556: "#$0123456789?Labdeghnopqu_",
    584: "+<=>~∂×",
    611: "FTZΣ",
    667: "ABEKPSVXY&",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1000: "←→…",
    1015: "@",
}
_WIDTH = {char: width for width, chars in _WIDTHS.items() for char in chars} | {"{": 334, "}": 334}
_BOLD = 1.07  # Helvetica Bold is that much wider, on average over small letters


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line in points."""
    thousandths = sum(_WIDTH.get(char) or _unknown(char) for char in text)
    return thousandths * size / 1000 * (_BOLD if bold else 1)


def _unknown(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 1000 if unicodedata.east_asian_width(char) in "WF" else 600
