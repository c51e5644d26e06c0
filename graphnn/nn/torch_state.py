"""Weights from torch and to torch, by name. Torch itself is needed only to hand tensors back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.node import Parameter
from graphnn.spec import DTYPES, format_shape


def to_torch(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Copies of parameters as torch tensors by name.

    Raises
    ------
    GraphError
        If torch is not installed.
    """
    try:
        import torch  # noqa: PLC0415 - never a dependency
    except ImportError as error:
        raise GraphError(
            "to_torch_state_dict makes torch tensors, and torch is not installed: "
            "pip install torch, or use state_dict() for NumPy arrays."
        ) from error
    return {name: torch.from_numpy(p.value.copy()) for name, p in parameters.items()}


def from_torch(
    parameters: Mapping[str, Parameter], state: Mapping[str, Any], *, strict: bool
) -> tuple[list[str], list[str]]:
    """Set parameters from tensors or arrays by name; nothing is changed if anything does not fit.

    A parameter that is shared has several names, of which the state needs one.

    Returns
    -------
    tuple of list
        Names of parameters that the state lacks, and names that no parameter has; both are empty
        if ``strict``.

    Raises
    ------
    DataError
        With ``strict``, for names that are missing or unknown; for a shared parameter whose names
        have different values.
    ShapeError, DTypeError
        For values of another shape or dtype.
    """
    if not isinstance(state, Mapping):
        raise DataError(f"a state is a dict of tensors by name; got {state!r}")
    given = {parameter for name, parameter in parameters.items() if name in state}
    missing = [name for name, parameter in parameters.items() if parameter not in given]
    unknown = [name for name in state if name not in parameters]
    if strict and (missing or unknown):
        raise DataError(
            f"the state does not fit: missing {missing or 'nothing'}, unknown "
            f"{unknown or 'nothing'}."
            f"{other_names(missing, unknown) or ' Pass strict=False to load what fits.'}"
        )
    arrays = {name: _array(name, value) for name, value in state.items() if name in parameters}
    for name, array in arrays.items():
        _check(name, array, parameters[name])
    _check_shared(parameters, arrays)
    for name, array in arrays.items():
        parameters[name].value = array
    return missing, unknown


def _array(name: str, value: Any) -> NDArray[Any]:
    if not hasattr(value, "detach"):
        return np.asarray(value)
    try:
        return np.asarray(value.detach().cpu().numpy())
    except TypeError as error:  # bfloat16 and its like
        raise DTypeError(
            f"{name} is {value.dtype}, which NumPy does not have. Convert it: tensor.float()."
        ) from error


def _check(name: str, array: NDArray[Any], parameter: Parameter) -> None:
    own = parameter.value
    if array.shape != own.shape:
        raise ShapeError(
            f"{name} has shape {format_shape(own.shape)}; the state has "
            f"{format_shape(array.shape)}. {parameter.name} is declared at {parameter.origin}."
        )
    if array.dtype != own.dtype:
        known = array.dtype.name in DTYPES
        other = f", or declare the layer with dtype={array.dtype.name!r}" if known else ""
        raise DTypeError(
            f"{name} is {own.dtype}; the state has {array.dtype}, and nothing is cast silently. "
            f"Convert it: array.astype({own.dtype.name!r}) or tensor.to(torch.{own.dtype.name})"
            f"{other}."
        )


def _check_shared(parameters: Mapping[str, Parameter], arrays: Mapping[str, NDArray[Any]]) -> None:
    """A parameter of several names has one value."""
    first: dict[Parameter, str] = {}
    for name, array in arrays.items():
        other = first.setdefault(parameters[name], name)
        if not np.array_equal(array, arrays[other], equal_nan=True):
            raise DataError(
                f"{other} and {name} are one parameter here, and the state has different values "
                "for them. Declare two modules, or leave one of the names out."
            )


def other_names(missing: list[str], unknown: list[str]) -> str:
    """What to do where the names differ by what stands in front of all of them."""
    for longer, shorter, fix in (
        (unknown, missing, "{{name.removeprefix({!r}): v for name, v in state.items()}}"),
        (missing, unknown, "{{{!r} + name: v for name, v in state.items()}}"),
    ):
        front = longer[0].removesuffix(shorter[0]) if longer and shorter else ""
        if front and [front + name for name in shorter] == longer:
            return f" Names differ by {front!r}: {fix.format(front)}."
    return ""
