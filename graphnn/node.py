"""Nodes: they know their op, their inputs, their shape, and the line that declared them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.context import Layer, Pass, SourceLine, context, declared_at
from graphnn.errors import DTypeError, GraphError, ShapeError
from graphnn.hints import OF_SETTING
from graphnn.interop import Foreign
from graphnn.op import Attrs, Leaf, Mismatch, Op, register, registry
from graphnn.operators import Operators
from graphnn.spec import (
    FLOATS,
    Dim,
    DimLike,
    TensorSpec,
    as_dtype,
    as_shape,
    format_shape,
)
from graphnn.values import array_for, as_array, check_number, check_operand, check_range

NodeLike: TypeAlias = "Node | ArrayLike"

_serial = itertools.count()


class Node(Operators, Foreign):
    """A value of the graph: an op applied to other nodes. Immutable.

    ``==`` is identity, so that nodes can be keys; ``gn.equal`` compares values. Operators and
    NumPy's elementwise functions (``np.exp(x)``) declare nodes.

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
    layer
        The module that declared it, or None.

    Examples
    --------
    >>> import graphnn as gn
    >>> x = gn.Input((None, 3), name="x")
    >>> y = gn.exp(x) + 1.0
    >>> y.shape, y.dtype, y.op.name
    ((None, 3), 'float32', 'add')
    >>> print(gn.Graph(y))
    1 input, 0 parameters, 2 ops
      x   = input        float32 (None, 3)
      exp = exp(x)       float32 (None, 3)
      add = add(exp, 1)  float32 (None, 3)
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "forward_of",
        "inputs",
        "label",
        "layer",
        "op",
        "origin",
        "role",
        "scope",
        "serial",
        "spec",
    )

    def __init__(
        self,
        op: Op,
        inputs: Sequence[Node] = (),
        attrs: Attrs | None = None,
        *,
        spec: TensorSpec,
        name: str | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise GraphError(
                f"a name is text, or None; got {name!r} for {op.name}. Declared at {declared_at()}."
            )
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
            "layer": here.layer,
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
    layer: Layer | None
    serial: int

    def __setattr__(self, key: str, value: object) -> None:
        hint = f". Write {OF_SETTING[key]}" if key in OF_SETTING else ""
        raise AttributeError(f"a node is immutable; cannot set {key!r} of {self}{hint}")

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

    def _called(self, name: str, *values: NodeLike, **attrs: Any) -> Node:
        """What an operator means, or NumPy's function of that name."""
        return call(name, *values, **attrs)


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


def as_node(value: NodeLike, like: Node | None = None, op: str = "") -> Node:
    """``value`` as a node: nodes pass, numbers and arrays become constants.

    A Python number takes the dtype of ``like``; an array keeps its own. ``op`` is named where the
    value is neither.

    Raises
    ------
    DTypeError
        For a number that ``like``'s dtype cannot hold.
    GraphError
        For what is no node, number or array.
    """
    if isinstance(value, Node):
        return value
    if like is not None and isinstance(value, bool | int | float):
        check_number(value, like.dtype, op, like.name)
        return Constant(value, dtype=like.dtype)
    check_operand(value, op, "" if like is None else like.name)
    return Constant(value)


def as_nodes(*values: NodeLike, op: str = "") -> tuple[Node, ...]:
    """Several values as nodes; numbers take the dtype of the first node that is no condition."""
    nodes = [v for v in values if isinstance(v, Node)]
    like = next((v for v in nodes if v.dtype != "bool"), None)
    plain = [v for v in values if not isinstance(v, Node)]
    if like is None and nodes and all(isinstance(v, bool | np.bool_) for v in plain):
        like = nodes[0]
    return tuple(as_node(value, like, op) for value in values)


def call(name: str, *values: NodeLike, **attrs: Any) -> Node:
    """Apply a registered op by name."""
    return apply(registry[name], as_nodes(*values, op=name), attrs)


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
    _check_known_indices(op, inputs, attrs or {})
    return Node(op, inputs, attrs, spec=spec, name=name)


def _check_known_indices(op: Op, inputs: Sequence[Node], attrs: Attrs) -> None:
    """Labels and indices that are constants are checked at the user's line."""
    if op.bounds is None or not any(isinstance(value, Constant) for value in inputs):
        return
    bounds = op.bounds(*(value.spec for value in inputs), **attrs)
    for place, (low, high) in bounds.items():
        value = inputs[place]
        if isinstance(value, Constant) and isinstance(high, int):
            who = f"{op.name} (declared at {declared_at()})"
            ignored = attrs.get("ignore_index")
            check_range(value.name, value.array, (low, high), op.name, who, ignored)


def rebuilt(
    node: Node,
    inputs: Sequence[Node],
    attrs: Attrs | None = None,
    spec: TensorSpec | None = None,
    *,
    like: Node | None = None,
    role: Pass | None = None,
) -> Node:
    """The same node on other inputs, with its name, scope, role and the user's line.

    ``like`` gives those instead, ``role`` the role; the node itself comes back if nothing changes.
    """
    if (
        like is None
        and role in (None, node.role)
        and spec is None
        and (attrs is None or attrs == node.attrs)
        and all(a is b for a, b in zip(inputs, node.inputs, strict=True))
    ):
        return node
    kept = node.attrs if attrs is None else attrs
    spec = spec or node.op.spec(*(value.spec for value in inputs), **kept)
    model = node if like is None else like
    made = Node(node.op, inputs, kept, spec=spec, name=model.label)
    for key in ("scope", "origin", "role", "forward_of", "layer"):
        object.__setattr__(made, key, getattr(model, key))
    if role is not None:
        object.__setattr__(made, "role", role)
    return made


def _teach(op: Op, inputs: Sequence[Node], name: str | None, mismatch: Mismatch) -> Exception:
    here = context.get()
    own = ".".join([*here.scope, *([name] if name else [])])
    got = [str(v.spec) if mismatch.dtype else format_shape(v.spec.shape) for v in inputs]
    joined = " @ ".join(got) if op.name == "matmul" else ", ".join(got)
    called = " and ".join(repr(v.name) for v in inputs)
    fix = f" {mismatch.fix}" if mismatch.fix else ""
    text = (
        f"{own}{': ' * bool(own)}{op.name} needs {mismatch.expected}; got {joined} for {called}. "
        f"Declared at {declared_at()}.{fix}"
    )
    return DTypeError(text) if mismatch.dtype else ShapeError(text)
