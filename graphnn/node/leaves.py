"""Nodes whose value is given, not computed: inputs, parameters, constants, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.context import context
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.hints import teaches
from graphnn.node.node import Node
from graphnn.op import Leaf, Op, register
from graphnn.spec import (
    FLOATS,
    Dim,
    DimLike,
    TensorSpec,
    as_dtype,
    as_shape,
    format_shape,
)
from graphnn.values import array_for, as_array


def _given(*_arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
    raise GraphError("the value of a leaf is given, not computed")


def _given_spec(*_specs: TensorSpec, **_attrs: Any) -> TensorSpec:
    raise GraphError("the shape of a leaf is declared, not inferred")


def _leaf(name: str, color: str) -> Op:
    op = Op(name=name, spec=_given_spec, kernel=Leaf(), reference=_given, color=color)
    return register(op)


INPUT = _leaf("input", "#e0f2fe")
PARAMETER = _leaf("parameter", "#fef3c7")
CONSTANT = _leaf("constant", "#f1f5f9")
SIZE = _leaf("size", "#f1f5f9")


class Input(Node):
    """A value that is given at every call.

    Parameters
    ----------
    shape
        Sizes of the axes; ``None`` for the batch axis, a name for any other size that is known only
        at run time.
    dtype
        float32 unless said otherwise.
    name
        By which :class:`Model` and error messages call it.

    Raises
    ------
    ShapeError, DTypeError
        For a shape or dtype that graphnn does not know.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.Input((None, 784), name="x").shape
    (None, 784)
    """

    __slots__ = ()

    @teaches
    def __init__(
        self,
        shape: int | Sequence[int | str | Dim | None],
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(INPUT, spec=TensorSpec(as_shape(shape), as_dtype(dtype)), name=name)


class Parameter(Node):
    """A value that lives from call to call, and that updates may change.

    Parameters
    ----------
    value
        Initial value; it is copied. Python floats and lists become float32, arrays keep their
        dtype.
    name
        By which ``state_dict`` and error messages call it.
    dtype
        Where another one is wanted.
    trainable
        Whether optimizers change it; counters and running averages say False.

    Attributes
    ----------
    learned
        Whether it was made for optimizers to change, be it frozen now or not.
    held
        Whether a counter or a running average stays as it is, also in training.

    Raises
    ------
    DTypeError
        For a dtype that graphnn does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.zeros(2, np.float32), name="w")
    >>> step = gn.function([], [], updates=[(w, w + 1.0)])
    >>> step()
    []
    >>> w.value
    array([1., 1.], dtype=float32)
    """

    __slots__ = ("_given_name", "_home", "held", "learned", "trainable")

    trainable: bool
    held: bool
    learned: bool
    _home: list[NDArray[Any]]
    _given_name: str | None

    @teaches
    def __init__(
        self,
        value: ArrayLike,
        name: str | None = None,
        *,
        dtype: object = None,
        trainable: bool = True,
    ) -> None:
        array = as_array(value, dtype)
        super().__init__(PARAMETER, spec=TensorSpec(array.shape, array.dtype.name), name=name)
        object.__setattr__(self, "trainable", trainable and array.dtype.name in FLOATS)
        object.__setattr__(self, "_given_name", name)
        object.__setattr__(self, "learned", self.trainable)
        object.__setattr__(self, "held", False)
        object.__setattr__(self, "_home", [np.array(array, order="C", copy=True)])

    @property
    def value(self) -> NDArray[Any]:
        """The present value, as a live view: writing into it changes the parameter.

        The first function that is compiled with a parameter moves it into the memory that kernels
        work in, for good. A view that was taken before then is no longer live: it keeps the old
        numbers. Ask for ``parameter.value`` when it is needed, and keep it only after that.

        Setting it takes numbers, lists, and arrays that fit without loss: float32 into float64,
        but not float64 into float32.
        """
        return self._home[0]

    @value.setter
    def value(self, new: ArrayLike) -> None:
        given, array = np.asarray(new), array_for(new, self.dtype)
        if given.shape != self._home[0].shape:
            turned = given.ndim > 1 and given.shape[::-1] == self._home[0].shape
            raise ShapeError(
                f"{self.name}: the value of a parameter keeps its shape "
                f"{format_shape(self._home[0].shape)}; got {format_shape(given.shape)}. "
                f"Declared at {self.origin}.{' Transpose it: array.T.' * turned}"
            )
        if array is None:
            raise DTypeError(
                f"{self.name}: a {self.dtype} parameter takes no {given.dtype} without loss. "
                f"Declared at {self.origin}. Convert it: array.astype({self.dtype!r})."
            )
        self._home[0][...] = array

    def __setattr__(self, key: str, value: Any) -> None:
        if key != "value":
            super().__setattr__(key, value)
        else:
            Parameter.value.fset(self, value)  # type: ignore[attr-defined]

    def requires_grad_(self, requires_grad: bool = True) -> Parameter:
        """Freeze (False) or release the parameter for optimizers that are declared from now on.

        Functions and models that are compiled already keep their updates: compile them again.

        Raises
        ------
        GraphError
            For a counter or a running average, which no optimizer may move.
        """
        if requires_grad and not self.learned:
            raise GraphError(
                f"{self.name} was made with trainable=False and stays so: no optimizer moves it. "
                f"Declared at {self.origin}."
            )
        object.__setattr__(self, "trainable", requires_grad)
        return self

    def hold(self, held: bool = True) -> Parameter:
        """Keep a counter or a running average as it is, or let it go, in what is compiled next.

        What no optimizer may move, training moves by :func:`updating`; not so what is held.
        """
        object.__setattr__(self, "held", held and not self.learned)
        return self

    @property
    def fixed(self) -> bool:
        """Whether neither an optimizer nor a phase of training changes it."""
        return not self.trainable if self.learned else self.held

    def name_once(self, name: str) -> None:
        """Take the name and the present scope, if the parameter has none yet."""
        if self.label is None:
            object.__setattr__(self, "label", name)
            object.__setattr__(self, "scope", ".".join(context.get().scope))

    def __reduce_ex__(self, _protocol: Any) -> Any:
        # A copy has a value of its own, and is named by the module that keeps it.
        state = (self.value.copy(), self._given_name, self.learned, self.trainable, self.held)
        return _copied, state

    @property
    def settled(self) -> bool:
        """Whether a backend has given the value a home, which it keeps for good."""
        return len(self._home) > 1

    def move_to(self, home: NDArray[Any]) -> None:
        """Keep the value in ``home`` from now on: a view of a backend's memory."""
        home[...] = self._home[0]
        self._home[:] = [home, home]


def _copied(
    value: NDArray[Any], name: str | None, learned: bool, trainable: bool, held: bool
) -> Parameter:
    made = Parameter(value, name, trainable=learned).hold(held)
    return made if trainable == learned else made.requires_grad_(trainable)


class Constant(Node):
    """A value that never changes: numbers in formulas become constants by themselves.

    Parameters
    ----------
    value
        It is copied. Python floats and lists of them become float32, arrays keep their dtype.
    name
        How graphs print it.
    dtype
        Where another one is wanted.

    Raises
    ------
    DTypeError
        For a dtype that graphnn does not know.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> gn.function(x, x + gn.Constant([1.0, 2.0]))(np.zeros((1, 2), np.float32))
    array([[1., 2.]], dtype=float32)
    """

    __slots__ = ("array",)

    array: NDArray[Any]

    @teaches
    def __init__(self, value: ArrayLike, name: str | None = None, *, dtype: object = None) -> None:
        array = np.array(as_array(value, dtype), order="C", copy=True)
        array.setflags(write=False)
        plain = name is None and array.ndim == 0
        label = f"{array.item():.6g}" if plain else name
        super().__init__(CONSTANT, spec=TensorSpec(array.shape, array.dtype.name), name=label)
        object.__setattr__(self, "array", array)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return Constant, (self.array, self.label)


class Size(Node):
    """A dimension as a scalar value: for instance the batch size, to divide by."""

    __slots__ = ("dim",)

    dim: DimLike

    def __init__(self, dim: DimLike, dtype: str) -> None:
        super().__init__(SIZE, spec=TensorSpec((), dtype), name=f"size({dim})")
        object.__setattr__(self, "dim", dim)


def size_of(dim: DimLike, dtype: str) -> Node:
    """A dimension as a scalar node, constant if it is known already."""
    return Size(dim, dtype) if isinstance(dim, Dim) else Constant(dim, dtype=dtype)
