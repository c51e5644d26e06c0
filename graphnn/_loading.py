"""Garbage collection rests while graphnn is imported.

Importing makes a million objects that stay; walking over them again and again takes a fifth of the
import. ``graphnn/__init__.py`` imports this room first, and calls :func:`done` last.
"""

import gc

_collecting = gc.isenabled()
gc.disable()


def done() -> None:
    """Collect again, if it was so before."""
    if _collecting:
        gc.enable()
