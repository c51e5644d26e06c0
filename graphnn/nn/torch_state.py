"""Weights from torch and to torch, by name. Torch itself is needed only to hand tensors back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.node import Parameter
from graphnn.spec import format_shape


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

    Returns
    -------
    tuple of list
        Names of parameters that the state lacks, and names that no parameter has; both are empty
        if ``strict``.

    Raises
    ------
    DataError
        With ``strict``, for names that are missing or unknown.
    ShapeError, DTypeError
        For values of another shape or dtype.
    """
    if not isinstance(state, Mapping):
        raise DataError(f"a state is a dict of tensors by name; got {state!r}")
    missing = [name for name in parameters if name not in state]
    unknown = [name for name in state if name not in parameters]
    if strict and (missing or unknown):
        raise DataError(
            f"the state does not fit: missing {missing or 'nothing'}, unknown "
            f"{unknown or 'nothing'}. Pass strict=False to load what fits."
        )
    arrays = {name: _array(name, value) for name, value in state.items() if name in parameters}
    for name, array in arrays.items():
        _check(name, array, parameters[name])
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
        raise DTypeError(
            f"{name} is {own.dtype}; the state has {array.dtype}, and nothing is cast silently. "
            f"Convert it: array.astype({own.dtype.name!r}) or tensor.to(torch.{own.dtype.name}), "
            f"or declare the layer with dtype={array.dtype.name!r}."
        )
