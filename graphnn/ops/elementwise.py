"""Elementwise ops: one scalar formula, for every shape, dtype and backend."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import GraphError, KernelError
from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Jvp, Mismatch, Op, Scalar, Vjp, is_own, register, registry
from graphnn.ops.lift import lift
from graphnn.ops.tangents import added
from graphnn.source import MATH_FUNCTIONS, Body
from graphnn.spec import FLOATS, DimLike, TensorSpec, broadcast_shapes

REAL = (-2.0, 2.0)


class Elementwise:
    """An elementwise op made from a scalar function; call it on nodes.

    Made by :func:`elementwise`. ``body`` is the formula, ``op`` the registered op.
    """

    def __init__(self, op: Op) -> None:
        self.op = op
        self.__name__ = op.name
        self.__doc__ = f"Elementwise {op.formula or op.name}."

    @property
    def body(self) -> Body:
        """The scalar formula."""
        assert isinstance(self.op.kernel, Scalar)
        return self.op.kernel.body

    def __call__(self, *values: NodeLike, name: str | None = None) -> Node:
        """A node that applies the op."""
        params = self.body.params
        if len(values) != len(params):
            raise GraphError(
                f"{self.op.name} takes {len(params)} values ({', '.join(params)}); "
                f"got {len(values)}"
            )
        return apply(self.op, as_nodes(*values), name=name)

    def backward(self, function: Callable[..., object]) -> Elementwise:
        """Declare the derivative: ``function(dy, *inputs, y)`` returns dl/d input.

        Parameters
        ----------
        function
            Scalar formula of the cotangent ``dy``, the inputs and the output ``y``. For several
            inputs it returns a tuple, one derivative for each.

        Returns
        -------
        Elementwise
            The op itself.

        Raises
        ------
        KernelError
            If the parameters do not fit.
        """
        body, params = Body(function), self.body.params
        if len(body.params) != len(params) + 2:
            raise KernelError(
                f"{self.op.name}.backward takes (dy, {', '.join(params)}, y); "
                f"got ({', '.join(body.params)})"
            )
        derivatives = [
            _derivative(self.op, body if len(params) == 1 else body.returned(i, len(params)), param)
            for i, param in enumerate(params)
        ]
        rules = {"vjp": _vjp_of(derivatives), "jvp": _jvp_of(derivatives)}
        self.op = register(replace(self.op, **rules), replace=True)  # type: ignore[arg-type]
        return self


def _derivative(op: Op, body: Body, param: str) -> tuple[Op, list[int]]:
    """The op for one derivative, and which of (dy, *inputs, y) it reads."""
    used = body.used_params()
    several = len(body.params) > 3
    name = f"{op.name}_backward" + (f"_{param}" if several else "")
    own = body.renamed(name, used)
    kernel = Scalar(own)
    made = Op(
        name=name,
        spec=_spec_of(op, body, used),
        kernel=kernel,
        reference=reference_of(own),
        flops=_flops_of(own),
        expand=_expand_of(name, own),
        formula=f"d loss / d {param} of {op.name}",
        label=f"{op.label or op.name}'",
        color=op.color,
    )
    return register(made, replace=True), [body.params.index(p) for p in used]


def _spec_of(op: Op, body: Body, used: Sequence[str]) -> Callable[..., TensorSpec]:
    conditions = {p for p, d in zip(body.params[1:], _example_dtypes(op), strict=False) if d}
    return spec_rule(len(used), tuple(i for i, p in enumerate(used) if p in conditions))


def _example_dtypes(op: Op) -> list[bool]:
    return [draw.dtype == "bool" for draw in op.examples[0].inputs] if op.examples else []


def _vjp_of(derivatives: Sequence[tuple[Op, list[int]]]) -> Vjp:
    def vjp(node: Node, dy: Node) -> list[Node | None]:
        values = [dy, *node.inputs, node]
        return [
            apply(op, [values[i] for i in places]) if value.dtype in FLOATS else None
            for (op, places), value in zip(derivatives, node.inputs, strict=True)
        ]

    return vjp


def _jvp_of(derivatives: Sequence[tuple[Op, list[int]]]) -> Jvp:
    """The Jacobian of an elementwise op is diagonal: forward and reverse mode share its entries."""

    def jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
        parts = []
        for (op, places), tangent in zip(derivatives, tangents, strict=True):
            if tangent is not None:
                values = [tangent, *node.inputs, node]
                parts.append(apply(op, [values[i] for i in places]))
        return added(parts)

    return jvp


def _expand_of(name: str, body: Body) -> Callable[..., Node]:
    def expand(*inputs: Node) -> Node:
        return lift(name, body, inputs)

    return expand


def spec_rule(
    count: int, conditions: Sequence[int] = (), result: str | None = None, floats: bool = False
) -> Callable[..., TensorSpec]:
    """The shape rule of elementwise ops: broadcasting, one dtype, no promotion.

    Parameters
    ----------
    count
        Number of inputs.
    conditions
        Places of inputs that are bool.
    result
        Dtype of the output, if it is not the inputs'.
    floats
        Whether only floats are taken.
    """

    def rule(*specs: TensorSpec, **_attrs: Any) -> TensorSpec:
        for place in conditions:
            if specs[place].dtype != "bool":
                raise Mismatch("a bool condition", "Compare first: x > 0.", dtype=True)
        dtypes = {s.dtype for i, s in enumerate(specs) if i not in conditions}
        if len(dtypes) > 1:
            raise Mismatch("one dtype", "Cast one of them: gn.cast(x, 'float32').", dtype=True)
        if dtypes == {"bool"} and not (result or conditions):
            raise Mismatch("numbers", "Cast it: gn.cast(x, 'float32').", dtype=True)
        if floats and dtypes - set(FLOATS):
            raise Mismatch("float32 or float64", "Cast it: gn.cast(x, 'float32').", dtype=True)
        shape = broadcast_shapes(*(spec.shape for spec in specs))
        if shape is None:
            raise Mismatch(
                "shapes that broadcast (equal from the right, or 1)",
                "Reshape one of them with gn.reshape.",
            )
        return TensorSpec(shape, result or (dtypes.pop() if dtypes else "bool"))

    return rule


def reference_of(body: Body) -> Callable[..., NDArray[Any]]:
    """The scalar function itself, an element at a time in float64."""
    source = body.definition("formula", "float64")
    # NumPy's scalars follow IEEE where Python raises: 1 / 0, log(0).
    names: dict[str, Any] = {f"{f}_f64": _ieee(f) for f in MATH_FUNCTIONS}
    names |= {"float64": np.float64, "INF": np.inf, "NAN": np.nan}
    for name, callee in body.all_callees():
        exec(callee.definition(callee.symbol(name, "float64"), "float64"), names)
    exec(source, names)
    formula = names["formula"]

    def reference(*arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        with np.errstate(all="ignore"):
            values = [formula(*row) for row in zip(*(_flat(a, shape) for a in arrays), strict=True)]
        return np.array(values).reshape(shape)

    return reference


def _ieee(name: str) -> Callable[..., Any]:
    """NumPy's function for a name of the math module; Python's where NumPy has none."""
    names = {"pow": "power", **{f"a{f}": f"arc{f}" for f in ("sin", "cos", "tan", "tan2")}}
    found: Callable[..., Any] | None = getattr(np, names.get(name, name), None)
    return found or getattr(math, name)


def _flat(array: NDArray[Any], shape: tuple[int, ...]) -> list[Any]:
    wide = np.broadcast_to(array, shape).ravel()
    return list(wide if wide.dtype == bool else wide.astype(np.float64))


def _flops_of(body: Body) -> Callable[..., DimLike]:
    arithmetic = (ast.BinOp, ast.Call, ast.Compare, ast.UnaryOp)
    count = sum(isinstance(n, arithmetic) for s in body.statements for n in ast.walk(s))

    def flops(out: TensorSpec, *_inputs: TensorSpec, **_attrs: Any) -> DimLike:
        return out.size * count

    return flops


@overload
def elementwise(function: Callable[..., object], /) -> Elementwise: ...


@overload
def elementwise(
    *,
    domain: Sequence[tuple[float, float] | str] | None = ...,
    reference: Callable[..., Any] | None = ...,
    result: str | None = ...,
    floats: bool = ...,
    formula: str = ...,
    color: str = ...,
    vjp: Vjp | None = ...,
    jvp: Jvp | None = ...,
    name: str | None = ...,
) -> Callable[[Callable[..., object]], Elementwise]: ...


def elementwise(
    function: Callable[..., object] | None = None,
    /,
    *,
    domain: Sequence[tuple[float, float] | str] | None = None,
    reference: Callable[..., Any] | None = None,
    result: str | None = None,
    floats: bool = True,
    formula: str = "",
    color: str = "#dbeafe",
    vjp: Vjp | None = None,
    jvp: Jvp | None = None,
    name: str | None = None,
) -> Elementwise | Callable[[Callable[..., object]], Elementwise]:
    """Make an elementwise op from a scalar function, for every shape, dtype and backend.

    Parameters
    ----------
    function
        Plain scalar Python: arithmetic, ``math`` functions, conditionals, numbers.
    domain
        For each input the interval from which tests draw, or ``"bool"`` for a condition.
    reference
        NumPy's function for the tests; by default the scalar function itself.
    result
        Dtype of the output where it is not the inputs'.
    floats
        Whether only float32 and float64 are taken.
    formula, color
        How it is written and drawn.
    vjp
        Gradient as nodes; or use ``.backward`` for a scalar formula. Without either it is derived
        from the scalar code.
    jvp
        Forward-mode rule as nodes; ``.backward`` makes it too.
    name
        Name of the op; by default the function's.

    Returns
    -------
    Elementwise
        Call it on nodes; ``.backward`` declares the derivative.

    Raises
    ------
    KernelError
        If the source cannot be read or holds what a kernel cannot.

    Examples
    --------
    >>> import math
    >>> import graphnn as gn
    >>> @gn.elementwise
    ... def swish(x):
    ...     return x / (1 + math.exp(-x))
    >>> swish(gn.Input((None, 3), name="x")).shape
    (None, 3)
    """
    options = (domain, reference, result, floats, formula, color, vjp, jvp, name)
    if function is None:
        return lambda body: _declared(body, *options)
    return _declared(function, *options)


def _declared(
    function: Callable[..., object],
    domain: Sequence[tuple[float, float] | str] | None,
    reference: Callable[..., Any] | None,
    result: str | None,
    floats: bool,
    formula: str,
    color: str,
    vjp: Vjp | None,
    jvp: Jvp | None,
    name: str | None,
) -> Elementwise:
    body = Body(function)
    label = name or body.name
    known = registry.get(label)
    if known is not None and is_own(known):
        raise GraphError(
            f"an op named {label!r} is graphnn's own; rename the function or pass name="
        )
    ranges = domain or [REAL] * len(body.params)
    if len(ranges) != len(body.params):
        raise GraphError(f"{label}: domain has {len(ranges)} entries for {len(body.params)} inputs")
    op = Op(
        name=label,
        spec=spec_rule(
            len(ranges), tuple(i for i, r in enumerate(ranges) if r == "bool"), result, floats
        ),
        kernel=Scalar(body),
        reference=reference_from(reference) if reference else reference_of(body),
        vjp=vjp,
        jvp=jvp,
        expand=_expand_of(label, body),
        flops=_flops_of(body),
        examples=_examples(ranges),
        formula=formula,
        label=label,
        color=color,
    )
    return Elementwise(register(op, replace=known is not None))


def reference_from(function: Callable[..., Any]) -> Callable[..., NDArray[Any]]:
    """A NumPy function that ignores attributes."""

    def reference(*arrays: NDArray[Any], **_attrs: Any) -> NDArray[Any]:
        return np.asarray(function(*arrays))

    return reference


def _examples(ranges: Sequence[tuple[float, float] | str]) -> tuple[Example, ...]:
    def draw(shape: tuple[int, ...], domain: tuple[float, float] | str) -> Draw:
        return Draw(shape, dtype=domain) if isinstance(domain, str) else Draw(shape, *domain)

    shapes: list[list[tuple[int, ...]]] = [
        [(3, 5)] * len(ranges),
        [(17,)] * len(ranges),
        [()] * len(ranges),
    ]
    if len(ranges) > 1:
        rest: list[tuple[int, ...]] = [(4, 3)] * (len(ranges) - 2)
        shapes += [[(4, 3), (3,), *rest], [(4, 1), (1, 3), *rest], [(), (4, 3), *rest]]
        shapes += [[(2, 1, 3), (4, 1), *[(2, 4, 3)] * (len(ranges) - 2)]]
    return tuple(
        Example(tuple(draw(s, r) for s, r in zip(row, ranges, strict=True))) for row in shapes
    )
