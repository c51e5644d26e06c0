"""Python's numbers, lists and arrays of any package, as arrays of graphnn's dtypes."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.calls import no_node
from graphnn.context import declared_at
from graphnn.errors import DataError, DTypeError, GraphError
from graphnn.interop import Foreign, is_valued
from graphnn.spec import as_dtype, lossless


def is_number(value: object) -> bool:
    """Whether something is one real number, of Python or NumPy; a bool is none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def as_array(value: ArrayLike, dtype: object) -> NDArray[Any]:
    """An array keeps its dtype, of whatever package it is; Python's floats become float32."""
    if isinstance(value, Foreign):
        raise GraphError(f"a value is expected here, not a node; got {value!r}")
    refuse_masked("a parameter or constant", value)
    array = np.asarray(value)
    if dtype is not None:
        return array.astype(as_dtype(dtype))
    if not hasattr(value, "__array__") and array.dtype == np.float64:
        return array.astype(np.float32)
    return array.astype(as_dtype(array.dtype), copy=False)  # in the machine's byte order


def refuse_masked(what: str, value: object) -> None:
    """NumPy's masked arrays would lose their mask, and what it hides would be computed with.

    Raises
    ------
    DataError
        Says how to fill what is masked.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(
            f"{what} takes no masked array: the mask would be lost. Declared at {declared_at()}. "
            "Say what stands in the masked places: array.filled(0.0)."
        )


def in_range(array: NDArray[Any], low: int, high: int) -> bool:
    """Whether all whole numbers are in low <= index < high."""
    return array.size == 0 or bool(low <= array.min() and array.max() < high)


def check_range(
    what: str,
    array: NDArray[Any],
    limits: tuple[int, int],
    reader: str,
    who: str,
    ignored: int | None = None,
) -> None:
    """Check labels or indices against the range low <= index < high that an op needs.

    Parameters
    ----------
    what
        The array in words.
    array
        Whole numbers.
    limits
        The range.
    reader
        Name of the op that reads them, or "lengths".
    who
        The node that reads them, in words.
    ignored
        One more value that may stand there.

    Raises
    ------
    DataError
        Names the first that is out of range.
    """
    low, high = limits
    if in_range(array, low, high):
        return
    wrong = (array < low) | (array >= high)
    if ignored is not None:
        wrong &= array != ignored
    if not wrong.any():
        return
    place = np.argwhere(wrong)[0]
    where = f"[{', '.join(map(str, place))}]" if place.size else ""
    also = "" if ignored is None else f" or {ignored}"
    labels = ("cross_entropy", "nll", "counted_labels", "one_hot")
    word = "label" if reader.startswith(labels) else "index"
    if reader == "lengths":  # of recurrent layers
        word = "length"
    raise DataError(
        f"{what}{where} = {array[tuple(place)]} is out of range: {who} needs "
        f"{low} <= {word} < {high}{also}."
    )


def array_for(value: ArrayLike, dtype: str) -> NDArray[Any] | None:
    """``value`` with a dtype that it fits without loss, or None where it does not.

    Arrays keep their numbers: float32 fits float64, and not the other way round. Python's numbers,
    also in lists, take any dtype of their kind, and whole ones become floats.
    """
    refuse_masked("a parameter", value)
    array = np.asarray(value)
    own = np.dtype(dtype)
    if isinstance(value, int | float) or not hasattr(value, "__array__"):
        kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[own.kind]
        return array.astype(own) if array.dtype.kind in kinds else None
    return array.astype(own, copy=False) if lossless(array.dtype, own) else None


def check_operand(value: object, op: str, beside: str) -> None:
    """What stands beside a node is a number or an array, or a list of numbers.

    Raises
    ------
    GraphError
        For anything else: None, text, ragged lists. Names the op and the user's line.
    """
    good = is_valued(value) or isinstance(value, list | tuple)
    if good:
        try:
            good = np.asarray(value).dtype.kind in "biuf"
        except GraphError:  # nodes inside a list
            raise no_node(f"{op or 'an op'} takes nodes one by one", value) from None
        except ValueError:  # a ragged list
            good = False
    if not good:
        shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
        raise GraphError(
            f"{op or 'graphnn'} takes nodes, numbers and arrays; got {shown} "
            f"({type(value).__name__}){f' beside {beside}' if beside else ''}. "
            f"Declared at {declared_at()}."
        )


def check_number(value: bool | int | float, dtype: str, op: str, beside: str) -> None:
    """A Python number takes the dtype of the node beside it, if that holds it as it is.

    Raises
    ------
    DTypeError
        For a float beside whole numbers, a bool beside numbers, numbers beside bools, and for
        what is out of range.
    """
    own = np.dtype(dtype)
    if isinstance(value, bool):
        kind, fits = "a bool", own.kind == "b"
        fix = f"Write {int(value)}, or cast a condition with gn.cast(c, {dtype!r})."
    elif isinstance(value, float):
        kind, fits = "a float", own.kind == "f"
        fix = "Cast the value with gn.cast(..., 'float32')."
    else:
        kind, fits = "an int", own.kind in "fiu"
        fix = f"Cast the condition: gn.cast({beside}, 'int64')."
    where = f"{op}: " if op else ""
    if not fits:
        raise DTypeError(
            f"{where}{kind} beside a {dtype} value would promote silently; got {value!r} beside "
            f"{beside}. Declared at {declared_at()}. {fix}"
        )
    if not _holds(own, value):
        raise DTypeError(
            f"{where}{beside} is {dtype}, which cannot hold {value!r}. Declared at "
            f"{declared_at()}. Cast it to a wider dtype: gn.cast({beside}, ...)."
        )


def _holds(dtype: np.dtype[Any], value: bool | int | float) -> bool:
    """Whether a number is in the range of a dtype; what is infinite already may stay so."""
    try:
        with np.errstate(over="ignore"):
            held = np.array(value).astype(dtype)
    except OverflowError:
        return False
    if dtype.kind == "f":
        return bool(np.isfinite(held)) or not math.isfinite(value)
    return bool(held == value)
