"""Nodes: they know their op, their inputs, their shape, and the line that declared them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.context import Pass, SourceLine, context, declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.op import Attrs, Leaf, Mismatch, Op, register, registry
from graphnn.spec import (
    FLOATS,
    Dim,
    DimLike,
    TensorSpec,
    as_dtype,
    as_shape,
    format_shape,
)

NodeLike: TypeAlias = "Node | ArrayLike"

_serial = itertools.count()

# What ``x[key]`` and ``a @ b`` mean: functions of the rooms above, which enter themselves here.
operators: dict[str, Callable[..., Node]] = {}


class Node:
    """A value of the graph: an op applied to other nodes. Immutable.

    Attributes
    ----------
    op, inputs, attrs
        What is computed, from what.
    spec
        Shape and dtype of the result.
    label
        The name that the user gave, or None.
    scope
        Dotted path of the module that declared it.
    origin
        The user's file and line.
    role
        The pass it belongs to: forward, backward or update.
    forward_of
        For a backward node: the forward node whose gradient it makes.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "forward_of",
        "inputs",
        "label",
        "op",
        "origin",
        "role",
        "scope",
        "serial",
        "spec",
    )
    __array_ufunc__ = None  # numpy_array * node asks the node

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Node] = (),
        attrs: Attrs | None = None,
        *,
        spec: TensorSpec,
        name: str | None = None,
    ) -> None:
        here = context.get()
        fields = {
            "op": op,
            "inputs": tuple(inputs),
            "attrs": MappingProxyType(dict(attrs or {})),
            "spec": spec,
            "label": name,
            "scope": ".".join(here.scope),
            "origin": declared_at(),
            "role": here.role,
            "forward_of": here.forward_of,
            "serial": next(_serial),
        }
        for key, value in fields.items():
            object.__setattr__(self, key, value)

    op: Op
    inputs: tuple[Node, ...]
    attrs: Mapping[str, Any]
    spec: TensorSpec
    label: str | None
    scope: str
    origin: SourceLine
    role: Pass
    forward_of: Node | None
    serial: int

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"a node is immutable; cannot set {key!r} of {self}")

    @property
    def shape(self) -> tuple[DimLike | None, ...]:
        """The shape as declared; ``None`` is the batch size."""
        return tuple(None if str(dim) == "None" else dim for dim in self.spec.shape)

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.spec.ndim

    @property
    def name(self) -> str:
        """Scope and label: unique only within a printed graph."""
        base = self.label or _plain_name(self)
        return f"{self.scope}.{base}" if self.scope else base

    def __repr__(self) -> str:
        return f"<{self.name}: {self.op.name} {self.spec}>"

    def __bool__(self) -> bool:
        raise GraphError(
            f"{self.name} has no value while the graph is declared, so it has no truth value; "
            f"choose between values with gn.where(condition, a, b). Declared at {self.origin}."
        )

    def __iter__(self) -> Iterator[Node]:
        raise GraphError(
            f"{self.name} is a node and cannot be iterated. Declared at {self.origin}."
        )

    def __add__(self, other: NodeLike) -> Node:
        return call("add", self, other)

    def __radd__(self, other: NodeLike) -> Node:
        return call("add", other, self)

    def __sub__(self, other: NodeLike) -> Node:
        return call("subtract", self, other)

    def __rsub__(self, other: NodeLike) -> Node:
        return call("subtract", other, self)

    def __mul__(self, other: NodeLike) -> Node:
        return call("multiply", self, other)

    def __rmul__(self, other: NodeLike) -> Node:
        return call("multiply", other, self)

    def __truediv__(self, other: NodeLike) -> Node:
        return call("divide", self, other)

    def __rtruediv__(self, other: NodeLike) -> Node:
        return call("divide", other, self)

    def __pow__(self, other: NodeLike) -> Node:
        if type(other) in (int, float) and other == 2:
            return call("square", self)  # a product instead of a call of libm's pow
        return call("power", self, other)

    def __rpow__(self, other: NodeLike) -> Node:
        return call("power", other, self)

    def __neg__(self) -> Node:
        return call("negative", self)

    def __matmul__(self, other: NodeLike) -> Node:
        return operators["matmul"](self, other)

    def __rmatmul__(self, other: NodeLike) -> Node:
        return operators["matmul"](other, self)

    def __getitem__(self, key: object) -> Node:
        return operators["getitem"](self, key)

    def __gt__(self, other: NodeLike) -> Node:
        return call("greater", self, other)

    def __lt__(self, other: NodeLike) -> Node:
        return call("less", self, other)

    def __ge__(self, other: NodeLike) -> Node:
        return call("greater_equal", self, other)

    def __le__(self, other: NodeLike) -> Node:
        return call("less_equal", self, other)


def _plain_name(node: Node) -> str:
    backward = node.role == "backward" and not node.op.name.endswith("_backward")
    return f"d_{node.op.name}" if backward else node.op.name


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
    trainable
        Whether optimizers change it; counters and running averages say False.

    Attributes
    ----------
    learned
        Whether it was made for optimizers to change, be it frozen now or not.

    Raises
    ------
    DTypeError
        For a dtype that graphnn does not know.
    """

    __slots__ = ("_home", "learned", "trainable")

    trainable: bool
    learned: bool
    _home: list[NDArray[Any]]

    def __init__(
        self,
        value: ArrayLike,
        name: str | None = None,
        *,
        dtype: object = None,
        trainable: bool = True,
    ) -> None:
        array = _as_array(value, dtype)
        super().__init__(PARAMETER, spec=TensorSpec(array.shape, array.dtype.name), name=name)
        object.__setattr__(self, "trainable", trainable and array.dtype.name in FLOATS)
        object.__setattr__(self, "learned", self.trainable)
        object.__setattr__(self, "_home", [np.array(array, order="C", copy=True)])

    @property
    def value(self) -> NDArray[Any]:
        """The present value, as a live view: writing into it changes the parameter."""
        return self._home[0]

    @value.setter
    def value(self, new: ArrayLike) -> None:
        array = np.asarray(new)
        if array.shape != self._home[0].shape:
            raise ShapeError(
                f"{self.name}: the value of a parameter keeps its shape "
                f"{format_shape(self._home[0].shape)}; got {format_shape(array.shape)}. "
                f"Declared at {self.origin}."
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

    def name_once(self, name: str) -> None:
        """Take the name and the present scope, if the parameter has none yet."""
        if self.label is None:
            object.__setattr__(self, "label", name)
            object.__setattr__(self, "scope", ".".join(context.get().scope))

    @property
    def settled(self) -> bool:
        """Whether a backend has given the value a home, which it keeps for good."""
        return len(self._home) > 1

    def move_to(self, home: NDArray[Any]) -> None:
        """Keep the value in ``home`` from now on: a view of a backend's memory."""
        home[...] = self._home[0]
        self._home[:] = [home, home]


class Constant(Node):
    """A value that never changes."""

    __slots__ = ("array",)

    array: NDArray[Any]

    def __init__(self, value: ArrayLike, name: str | None = None, *, dtype: object = None) -> None:
        array = np.array(_as_array(value, dtype), order="C", copy=True)
        array.setflags(write=False)
        label = name or (f"{array.item():.6g}" if array.ndim == 0 else None)
        super().__init__(CONSTANT, spec=TensorSpec(array.shape, array.dtype.name), name=label)
        object.__setattr__(self, "array", array)


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


def _as_array(value: ArrayLike, dtype: object) -> NDArray[Any]:
    if isinstance(value, Node):
        raise GraphError(f"a value is expected here, not a node; got {value!r}")
    array = np.asarray(value)
    if dtype is not None:
        return array.astype(as_dtype(dtype))
    if not isinstance(value, np.ndarray | np.generic) and array.dtype == np.float64:
        return array.astype(np.float32)
    return array.astype(as_dtype(array.dtype), copy=False)  # in the machine's byte order


def as_node(value: NodeLike, like: Node | None = None) -> Node:
    """``value`` as a node: nodes pass, numbers and arrays become constants.

    A Python number takes the dtype of ``like``; an array keeps its own.
    """
    if isinstance(value, Node):
        return value
    if like is not None and isinstance(value, bool | int | float):
        if isinstance(value, float) and like.dtype not in FLOATS:
            raise DTypeError(
                f"{like.name}: a float beside a {like.dtype} value would promote silently; "
                f"got {value!r}. Declared at {declared_at()}. "
                "Cast the value with gn.cast(..., 'float32')."
            )
        return _number(value, like)
    return Constant(value)


def _number(value: float, like: Node) -> Node:
    """A Python number in the dtype of ``like``, if that can hold it."""
    try:
        with np.errstate(over="ignore"):
            held = np.array(value).astype(like.dtype)
        kept = held == value if isinstance(value, int) else np.isfinite(held) == np.isfinite(value)
    except OverflowError:
        kept = False
    if like.dtype in FLOATS and isinstance(value, int):
        kept = bool(np.isfinite(held))
    if not kept:
        raise DTypeError(
            f"{like.name} is {like.dtype}, which cannot hold {value!r}. "
            f"Declared at {declared_at()}. Cast it to a wider dtype: gn.cast({like.name}, ...)."
        )
    return Constant(held)


def as_nodes(*values: NodeLike) -> tuple[Node, ...]:
    """Several values as nodes; numbers take the dtype of the first node that is no condition."""
    nodes = [v for v in values if isinstance(v, Node)]
    like = next((v for v in nodes if v.dtype != "bool"), None)
    plain = [v for v in values if not isinstance(v, Node)]
    if like is None and nodes and all(isinstance(v, bool | np.bool_) for v in plain):
        like = nodes[0]
    return tuple(as_node(value, like) for value in values)


def call(name: str, *values: NodeLike, **attrs: Any) -> Node:
    """Apply a registered op by name."""
    return apply(registry[name], as_nodes(*values), attrs)


def apply(
    op: Op, inputs: Sequence[Node], attrs: Attrs | None = None, *, name: str | None = None
) -> Node:
    """A node that applies ``op``; shapes and dtypes are checked here, at the user's line.

    Raises
    ------
    ShapeError, DTypeError
        With node, op, shapes, what was expected, the user's file and line, and one fix.
    """
    for value in inputs:
        if not isinstance(value, Node):
            raise GraphError(f"{op.name} takes nodes; got {type(value).__name__}")
    try:
        spec = op.spec(*(value.spec for value in inputs), **(attrs or {}))
    except Mismatch as mismatch:
        raise _teach(op, inputs, name, mismatch) from None
    if not all(isinstance(dim, Dim) or (isinstance(dim, int) and dim >= 0) for dim in spec.shape):
        wrong = Mismatch(f"sizes that are whole numbers >= 0; they are {spec.shape}")
        raise _teach(op, inputs, name, wrong)
    return Node(op, inputs, attrs, spec=spec, name=name)


def rebuilt(
    node: Node,
    inputs: Sequence[Node],
    attrs: Attrs | None = None,
    spec: TensorSpec | None = None,
    *,
    like: Node | None = None,
) -> Node:
    """The same node on other inputs, with its name, scope, role and the user's line.

    ``like`` gives those four instead; the node itself comes back if nothing changes.
    """
    if (
        like is None
        and spec is None
        and (attrs is None or attrs == node.attrs)
        and all(a is b for a, b in zip(inputs, node.inputs, strict=True))
    ):
        return node
    kept = node.attrs if attrs is None else attrs
    spec = spec or node.op.spec(*(value.spec for value in inputs), **kept)
    model = node if like is None else like
    made = Node(node.op, inputs, kept, spec=spec, name=model.label)
    for key in ("scope", "origin", "role", "forward_of"):
        object.__setattr__(made, key, getattr(model, key))
    return made


def _teach(op: Op, inputs: Sequence[Node], name: str | None, mismatch: Mismatch) -> Exception:
    here = context.get()
    own = ".".join([*here.scope, name or op.name])
    got = [str(v.spec) if mismatch.dtype else format_shape(v.spec.shape) for v in inputs]
    joined = " @ ".join(got) if op.name == "matmul" else ", ".join(got)
    called = " and ".join(repr(v.name) for v in inputs)
    fix = f" {mismatch.fix}" if mismatch.fix else ""
    text = (
        f"{own}: {op.name} needs {mismatch.expected}; got {joined} for {called}. "
        f"Declared at {declared_at()}.{fix}"
    )
    return DTypeError(text) if mismatch.dtype else ShapeError(text)
