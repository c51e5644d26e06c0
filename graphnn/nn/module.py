"""The base of all layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.context import scope
from graphnn.errors import DataError, GraphError
from graphnn.nn.torch_state import from_torch, to_torch
from graphnn.node import Parameter


class Module:
    """A part of a network: parameters, other modules, and a ``forward`` that declares nodes.

    Parameters and modules are found among the attributes, and named after them, as in torch.
    Calling the module declares its nodes in the scope of its name; calling it twice shares its
    parameters.

    Parameters
    ----------
    name
        Scope of its nodes; by default the attribute under which another module keeps it.

    Examples
    --------
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> class Block(nn.Module):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.inner = nn.Linear(width, width)
    ...
    ...     def forward(self, x):
    ...         return x + gn.relu(self.inner(x))
    >>> block = Block(8)
    >>> block(gn.Input((None, 8))).shape
    (None, 8)
    >>> [name for name, _ in block.named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def forward(self, *inputs: Any) -> Any:
        """Declare the nodes that the module computes; subclasses write this."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Declare the module's nodes in its scope."""
        if "_name" not in self.__dict__:
            raise GraphError(f"{type(self).__name__}.__init__ must call super().__init__() first")
        if self._name is None:
            return self._declared(*inputs, **options)
        with scope(self._name):
            return self._declared(*inputs, **options)

    def _declared(self, *inputs: Any, **options: Any) -> Any:
        for key, value in vars(self).items():
            if isinstance(value, Parameter):
                value.name_once(key)
        return self.forward(*inputs, **options)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, with their names."""
        for key, value in vars(self).items():
            if isinstance(value, Module):
                yield key, value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name."""
        seen: set[int] = set()
        for name, parameter in self._all_parameters(prefix):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter

    def _all_parameters(self, prefix: str) -> Iterator[tuple[str, Parameter]]:
        for key, value in vars(self).items():
            if isinstance(value, Parameter):
                yield prefix + key, value
        for key, child in self.named_children():
            yield from child._all_parameters(f"{prefix}{key}.")

    def parameters(self) -> list[Parameter]:
        """Every parameter once."""
        return [parameter for _, parameter in self.named_parameters()]

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters by name."""
        return {name: parameter.value.copy() for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set all parameters by name; nothing is changed if anything does not fit.

        Raises
        ------
        DataError
            For names that are missing or unknown, and for other shapes.
        """
        load_parameters(dict(self.named_parameters()), state)

    def load_torch_state_dict(
        self, state: Mapping[str, Any], strict: bool = True
    ) -> tuple[list[str], list[str]]:
        """Set parameters from a torch module's ``state_dict()``: tensors or arrays by name.

        Parameters
        ----------
        state
            Of the same names, shapes and dtypes; nothing is cast, and nothing is changed if
            anything does not fit.
        strict
            Whether every name must be in both.

        Returns
        -------
        tuple of list
            Names that the state lacks, and names that the module lacks.

        Raises
        ------
        DataError, ShapeError, DTypeError
            For names, shapes or dtypes that do not fit.
        """
        return from_torch(dict(self.named_parameters()), state, strict=strict)

    def to_torch_state_dict(self) -> dict[str, Any]:
        """Copies of all parameters as torch tensors by name, for torch's ``load_state_dict``."""
        return to_torch(dict(self.named_parameters()))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or release what is learned here, for optimizers declared from now on.

        A frozen parameter still has a gradient for whoever asks; optimizers leave it alone. Running
        averages move on in training. A model that is compiled keeps its updates: compile it again.
        """
        for parameter in self.parameters():
            if parameter.learned:
                parameter.requires_grad_(requires_grad)
        return self

    def freeze(self) -> Self:
        """Keep what is learned here as it is: ``requires_grad_(False)``.

        Examples
        --------
        >>> from graphnn import nn
        >>> net = nn.Sequential(nn.Linear(4, 3).freeze(), nn.Linear(3, 2))
        >>> [name for name, p in net.named_parameters() if p.trainable]
        ['1.weight', '1.bias']
        """
        return self.requires_grad_(False)

    def __setattr__(self, key: str, value: object) -> None:
        if isinstance(value, Module) and value.__dict__.get("_name", "") is None:
            value._name = key
        super().__setattr__(key, value)

    def __repr__(self) -> str:
        inside = ", ".join(f"{key}={child!r}" for key, child in self.named_children())
        return f"{type(self).__name__}({inside})"


def load_parameters(parameters: Mapping[str, Parameter], state: Mapping[str, ArrayLike]) -> None:
    """Set parameters by name: all of them, or none.

    Raises
    ------
    DataError
        For names that are missing or unknown, and for other shapes or dtypes.
    """
    missing = [name for name in parameters if name not in state]
    unknown = [name for name in state if name not in parameters]
    if missing or unknown:
        raise DataError(
            f"the state does not fit: missing {missing or 'nothing'}, "
            f"unknown {unknown or 'nothing'}"
        )
    arrays = {name: np.asarray(value) for name, value in state.items()}
    for name, parameter in parameters.items():
        array, own = arrays[name], parameter.value
        if array.shape != own.shape or not np.can_cast(array.dtype, own.dtype, "same_kind"):
            raise DataError(
                f"the state does not fit: {name} is {own.dtype} {own.shape}, "
                f"the state has {array.dtype} {array.shape}"
            )
    for name, parameter in parameters.items():
        parameter.value = arrays[name]
