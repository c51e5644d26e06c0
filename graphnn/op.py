"""What an op is: one declaration that every layer of graphnn reads.

Shape rule, gradient, kernels, NumPy reference, FLOP count, test examples and looks stand together
in one :class:`Op`, and the registry holds them by name. The test-suite is parametrised over the
registry: registering an op is what gets it tested.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.source import Body
from graphnn.spec import DimLike, TensorSpec

if TYPE_CHECKING:
    from graphnn.node import Node

Attrs: TypeAlias = Mapping[str, Any]
Vjp: TypeAlias = "Callable[[Node, Node], Sequence[Node | None]]"
Jvp: TypeAlias = "Callable[[Node, Sequence[Node | None]], Node | None]"
PartsVjp: TypeAlias = "Callable[[Node, Mapping[Node, Node], Sequence[bool]], Sequence[Node | None]]"
PartsJvp: TypeAlias = "Callable[[Node, Sequence[Node | None], Sequence[Node]], Mapping[Node, Node]]"
Rewrite: TypeAlias = "Callable[[Node, Sequence[Node]], Node]"


class Mismatch(Exception):  # noqa: N818 - becomes ShapeError or DTypeError
    """Raised by a shape rule; the graph adds node, shapes and the user's line.

    Parameters
    ----------
    expected
        What the op needs, as a relation between its arguments.
    fix
        One suggestion, or nothing.
    dtype
        Whether it is the dtypes that do not fit.
    """

    def __init__(self, expected: str, fix: str = "", *, dtype: bool = False) -> None:
        super().__init__(expected)
        self.expected, self.fix, self.dtype = expected, fix, dtype


@dataclass(frozen=True)
class Scalar:
    """Elementwise kernel: a formula over scalars, fused with its neighbours.

    ``body`` takes one scalar an input and returns one scalar.
    """

    body: Body


@dataclass(frozen=True)
class Reduction:
    """Kernel that reduces over ``attrs["axes"]``; ``kind`` is sum, mean, prod, max or min."""

    kind: str


@dataclass(frozen=True)
class Rows:
    """Kernel over rows: ``body(start, stop, *inputs, out)`` fills rows start..stop of ``out``.

    ``views`` says how each input, then the output, is handed over:

    - ``"rows"``: as (rows, last axis), of which the kernel touches only rows start..stop;
    - ``"planes"``: as (planes, last axis but one, last axis), of which it touches only its planes;
    - ``"each"``: as (rows,), one value a row, of which it touches only start..stop;
    - ``"flat"``: as (elements,), start and stop count elements;
    - ``"all"``: in its own shape, any part of it may be read;
    - ``"around"``: as (before, ``attrs["axis"]``, after), any part of it may be read.

    Keyword-only parameters of the body are filled from the node's attributes.
    """

    body: Body
    views: tuple[str, ...]


# How far from the kinks of its function a test example stays.
KINK_MARGIN = 0.1

# How many of the last axes a view keeps; those before them are counted as rows.
LAST_AXES = {"rows": 1, "planes": 2}


@dataclass(frozen=True)
class Strided:
    """Copies in a regular walk: ``out[i0, i1, ...] = x[offset + Σ iⱼ strideⱼ]``, x as one row.

    ``walk(x spec, **attrs)`` gives the offset, and a stride for each axis of the output.
    """

    walk: Callable[..., tuple[DimLike, Sequence[DimLike]]]


@dataclass(frozen=True)
class Pad:
    """Copies into a larger array, ``attrs`` ``low``, ``high`` and ``interior`` for each axis.

    Element j of an axis goes to ``low + j (interior + 1)``; what is not written is
    ``attrs["value"]``, and what lies outside is left out.
    """


@dataclass(frozen=True)
class Concat:
    """Copies all inputs behind each other along ``attrs["axis"]``."""


@dataclass(frozen=True)
class Gemm:
    """Matrix product, run by the backend's BLAS."""


@dataclass(frozen=True)
class Convolution:
    """Cross-correlation of planes by the backend's BLAS, or one of its two gradients.

    ``kind`` is ``"forward"``, ``"input"`` or ``"weight"``; ``scratch(out spec, *input specs,
    **attrs)`` says how many bytes each lane needs to lay out the columns that are multiplied.
    """

    kind: str
    scratch: Callable[..., DimLike]


@dataclass(frozen=True)
class Attention:
    """Attention in tiles by the backend's BLAS: one of its two results, or one of its gradients.

    ``kind`` is ``"output"`` or ``"logsumexp"``, ``"query"``, ``"key"`` or ``"value"``. Two nodes of
    which ``together`` is true are one kernel with several outputs, since they walk the same tiles.
    ``whole(node)`` says that lanes take blocks of any sample, not samples; ``scratch(out spec,
    *input specs, **attrs)`` how many bytes each lane needs for a tile.
    """

    kind: str
    together: Callable[[Node, Node], bool]
    whole: Callable[[Node], bool]
    scratch: Callable[..., DimLike]


@dataclass(frozen=True)
class Alias:
    """No kernel: the output is the input's memory under another shape."""


@dataclass(frozen=True)
class Loop:
    """Runs the steps of a body again and again; its values are read through its parts."""


@dataclass(frozen=True)
class Part:
    """No kernel: what a loop, the only input, leaves behind."""


@dataclass(frozen=True)
class Leaf:
    """No kernel: the value is given, not computed."""


Kernel: TypeAlias = (
    Scalar
    | Reduction
    | Rows
    | Strided
    | Pad
    | Concat
    | Gemm
    | Convolution
    | Attention
    | Alias
    | Loop
    | Part
    | Leaf
)


@dataclass(frozen=True)
class Draw:
    """One input of a test example: where its values are drawn from.

    Parameters
    ----------
    shape
        Shape of the array.
    low, high
        Uniform over [low, high); whole numbers if the dtype is one.
    dtype
        None: the float dtype under test.
    kinks
        Points from which floats keep a distance of 0.1: no difference quotient holds there.
    """

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None
    kinks: tuple[float, ...] = ()

    def sample(self, rng: np.random.Generator, dtype: str) -> NDArray[Any]:
        """An array drawn from the domain."""
        name = self.dtype or dtype
        if name == "bool":
            return rng.integers(0, 2, self.shape).astype(bool)
        if name.startswith(("int", "uint")):
            return rng.integers(int(self.low), int(self.high), self.shape).astype(name)
        drawn = np.asarray(rng.uniform(self.low, self.high, self.shape))
        for kink in self.kinks:
            side = np.where(drawn < kink, -KINK_MARGIN, KINK_MARGIN)
            drawn = np.where(np.abs(drawn - kink) < KINK_MARGIN, kink + side, drawn)
        return drawn.astype(name)


@dataclass(frozen=True)
class Example:
    """A call of an op that the test-suite makes: its inputs and attributes."""

    inputs: tuple[Draw, ...]
    attrs: Attrs = field(default_factory=dict)


def no_flops(_out: TensorSpec, *_inputs: TensorSpec, **_attrs: Any) -> DimLike:
    """Moving data is no arithmetic."""
    return 0


@dataclass(frozen=True, eq=False, kw_only=True)
class Op:
    """One operation, declared once for every part of graphnn.

    Parameters
    ----------
    name
        Its name in graphs, plans and messages.
    spec
        ``spec(*input specs, **attrs) -> TensorSpec``; raises :class:`Mismatch`.
    kernel
        How the CPU computes it.
    cuda
        A CUDA kernel of its own, where the CPU's body does not serve for both.
    vjp
        ``vjp(node, dy) -> [gradient node or None for each input]``; None: no gradient exists.
    jvp
        ``jvp(node, tangents) -> tangent of the node``, given one for each input or None where
        nothing changes; it may have any shape that broadcasts to the node's, or be None where
        nothing flows. None and no ``expand``: a ``jvp`` through the op raises.
    parts_vjp
        For a loop, whose parts have the cotangents: ``parts_vjp(node, {part: dy}, wanted) ->
        [gradient node or None for each input]``; ``wanted`` says for each whether it matters.
    parts_jvp
        For a loop: ``parts_jvp(node, tangents, parts) -> {part: tangent}``.
    reference
        ``reference(*arrays, **attrs) -> array`` in NumPy, slow and plain: the tests' oracle.
    flops
        ``flops(out spec, *input specs, **attrs)``: arithmetic operations.
    examples
        The calls that the tests make.
    expand
        ``expand(*inputs, **attrs) -> Node``: the op in terms of others, differentiated in its place
        where there is no ``vjp`` or no ``jvp``.
    bounds
        ``bounds(*input specs, **attrs) -> {place: (low, high)}``: ranges that whole-number inputs
        must keep to, checked before a call: labels, indices. An attribute ``ignore_index`` names
        one more value that may stand there.
    fits
        ``fits(*input specs, **attrs)``: sizes that must not be negative, checked when the batch
        size is known.
    waits
        Whether a view waits for its inputs behind the first, which it does not read.
    inference
        ``inference(node, inputs) -> Node``: what takes its place when a model is not trained.
    vanishes
        Places of inputs at which a zero makes the result zero; not needed where ``jvp`` says that
        the op is linear or bilinear.
    formula
        The op in the notation of the blackboard.
    slack
        How many times the usual tolerance of the tests a result may differ from the reference:
        more than 1 where long sums cancel.
    label, color
        How it is drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> op = gn.exp.op
    >>> op.name, op.formula
    ('exp', 'eˣ')
    >>> op.reference(np.float64(0.0))
    array(1.)
    """

    name: str
    spec: Callable[..., TensorSpec]
    kernel: Kernel
    reference: Callable[..., NDArray[Any]]
    cuda: Body | None = None
    vjp: Vjp | None = None
    jvp: Jvp | None = None
    parts_vjp: PartsVjp | None = None
    parts_jvp: PartsJvp | None = None
    flops: Callable[..., DimLike] = no_flops
    examples: tuple[Example, ...] = ()
    expand: Callable[..., Node] | None = None
    bounds: Callable[..., Mapping[int, tuple[int, DimLike]]] | None = None
    waits: bool = False
    fits: Callable[..., Sequence[DimLike]] | None = None
    inference: Rewrite | None = None
    vanishes: tuple[int, ...] = ()
    slack: float = 1.0
    formula: str = ""
    label: str = ""
    color: str = "#dbeafe"

    def __repr__(self) -> str:
        return f"Op({self.name})"


registry: dict[str, Op] = {}


def check_name(name: object, where: str) -> None:
    """The name of an op is a word of Python: kernels and plans bear it.

    Raises
    ------
    GraphError
        For any other name.
    """
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise GraphError(
            f"the name of an op is a word such as 'swish' (letters, digits, _); got {name!r}. "
            f"Declared at {where}."
        )


def is_own(op: Op) -> bool:
    """Whether an op is graphnn's own, not one of its user's."""
    body = getattr(op.kernel, "body", None)
    return body is None or body.is_own


def register(op: Op, *, replace: bool = False) -> Op:
    """Enter an op into the registry.

    Users' ops stand apart, under ``user.name``: theirs may have the name of one of graphnn's, now
    or later, and may be declared again, as a notebook's cell does.

    Raises
    ------
    GraphError
        If another op of graphnn's own has that name, unless ``replace``.
    """
    own = is_own(op)
    key = op.name if own else f"user.{op.name}"
    if own and key in registry and not replace:
        raise GraphError(f"an op named {op.name!r} is registered already; give it another name")
    registry[key] = op
    return op
