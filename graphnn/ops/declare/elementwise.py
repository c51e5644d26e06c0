"""Elementwise ops: one scalar formula, for every shape, dtype and backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from inspect import Parameter, Signature, cleandoc
from typing import Any, TypeAlias, overload

from graphnn.context import declared_at
from graphnn.errors import GraphError, KernelError
from graphnn.hints import unknown_keyword
from graphnn.node import Node, NodeLike, apply, as_nodes
from graphnn.op import Draw, Example, Jvp, Op, Scalar, Vjp, check_name, register
from graphnn.ops.declare.oracle import reference_from, reference_of
from graphnn.ops.declare.scalar_rules import (
    Derivatives,
    derivative,
    expand_of,
    flops_of,
    jvp_of,
    spec_rule,
    vjp_of,
)
from graphnn.source import Body, unassigned

# The interval that tests draw from, then the kinks inside it that they keep away from; "bool".
Domain: TypeAlias = "tuple[float, ...] | str"
REAL: Domain = (-2.0, 2.0)


class Elementwise:
    """An elementwise op made from a scalar function; call it on nodes.

    Made by :func:`elementwise`. ``body`` is the formula, ``op`` the registered op, ``defaults``
    the parameters that may be left out. Numbers take the dtype of the nodes beside them.
    """

    def __init__(self, op: Op, defaults: Mapping[str, float] | None = None, doc: str = "") -> None:
        self.op, self.defaults = op, dict(defaults or {})
        self.__name__ = op.name
        self.__doc__ = "\n\n".join(filter(None, [f"Elementwise {op.formula or op.name}.", doc]))
        self.__signature__ = _signature(self.body.params, self.defaults)

    @property
    def body(self) -> Body:
        """The scalar formula."""
        assert isinstance(self.op.kernel, Scalar)
        return self.op.kernel.body

    def __call__(self, *values: NodeLike, name: str | None = None, **keywords: NodeLike) -> Node:
        """A node that applies the op."""
        params = self.body.params
        try:
            bound = self.__signature__.bind(*values, **keywords)
        except TypeError:
            error = unknown_keyword(self.op.name, keywords, [*params, "name"])
            if error is not None:
                raise error from None
            got = [str(len(values)), *(f"{key}=" for key in keywords)]
            raise GraphError(
                f"{self.op.name} takes {len(params)} values ({', '.join(params)}); "
                f"got {' and '.join(got)}. Declared at {declared_at()}."
            ) from None
        given = {**self.defaults, **bound.arguments}
        return apply(
            self.op, as_nodes(*(given[param] for param in params), op=self.op.name), name=name
        )

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
        body, params = _returning(function, f"{self.op.name}.backward"), self.body.params
        if len(body.params) != len(params) + 2:
            raise KernelError(
                f"{self.op.name}.backward takes (dy, {', '.join(params)}, y); "
                f"got ({', '.join(body.params)})"
            )
        op = self.op

        @cache
        def derivatives() -> Derivatives:
            parts = [body.returned(i, len(params)) for i in range(len(params) if params[1:] else 0)]
            return [
                derivative(op, part, param)
                for part, param in zip(parts or [body], params, strict=True)
            ]

        if not body.is_own:
            derivatives()  # what does not fit is said where it is declared
        rules = {"vjp": vjp_of(derivatives), "jvp": jvp_of(derivatives)}
        self.op = register(replace(self.op, **rules), replace=True)  # type: ignore[arg-type]
        return self


def _signature(params: Sequence[str], defaults: Mapping[str, float]) -> Signature:
    """What ``help`` shows, and what arguments are bound by."""
    return Signature(
        [
            Parameter(p, Parameter.POSITIONAL_OR_KEYWORD, default=defaults.get(p, Parameter.empty))
            for p in params
        ]
    )


def _returning(function: Callable[..., object], label: str | None) -> Body:
    """The body of a formula, which has a value on every way through it."""
    body = Body(function).as_formula()
    if not body.is_own and not body.always_returns:
        raise KernelError(
            f"{label or body.name}: the formula must return a value on every way through it, for "
            f"it is the value of every element. End it with a return. Declared at {declared_at()}."
        )
    missing = None if body.is_own else unassigned(body.statements, (*body.params, *body.keywords))
    if missing:
        raise KernelError(
            f"{label or body.name}: {missing!r} is read where not every way has given it a value. "
            f"Assign it before the `if`, or in each branch. Declared at {declared_at()}."
        )
    return body


@overload
def elementwise(function: Callable[..., object], /) -> Elementwise: ...


@overload
def elementwise(
    *,
    domain: Sequence[Domain] | None = ...,
    reference: Callable[..., Any] | None = ...,
    result: str | None = ...,
    floats: bool = ...,
    formula: str = ...,
    color: str = ...,
    vjp: Vjp | None = ...,
    jvp: Jvp | None = ...,
    defaults: Mapping[str, float] | None = ...,
    name: str | None = ...,
) -> Callable[[Callable[..., object]], Elementwise]: ...


def elementwise(
    function: Callable[..., object] | None = None,
    /,
    *,
    domain: Sequence[Domain] | None = None,
    reference: Callable[..., Any] | None = None,
    result: str | None = None,
    floats: bool = True,
    formula: str = "",
    color: str = "#dbeafe",
    vjp: Vjp | None = None,
    jvp: Jvp | None = None,
    defaults: Mapping[str, float] | None = None,
    name: str | None = None,
) -> Elementwise | Callable[[Callable[..., object]], Elementwise]:
    """Make an elementwise op from a scalar function, for every shape, dtype and backend.

    Parameters
    ----------
    function
        Plain scalar Python: arithmetic, ``math`` functions, conditionals, numbers, calls of plain
        functions and of other elementwise ops. Its docstring becomes the op's.
    domain
        For each input the interval from which tests draw, followed by the kinks in it that they
        keep away from: ``(-2, 2, 0)``; or ``"bool"`` for a condition.
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
    defaults
        Values of parameters that may be left out, such as a slope: ``op(x)``, ``op(x, slope=0.2)``.
    name
        Name of the op; by default the function's.

    Returns
    -------
    Elementwise
        Call it on nodes; ``.backward`` declares the derivative.

    Raises
    ------
    KernelError
        If the source cannot be read, holds what a kernel cannot, or does not always return.

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
    options = (domain, reference, result, floats, formula, color, vjp, jvp, defaults, name)
    if function is None:
        return lambda body: _declared(body, *options)
    return _declared(function, *options)


def _declared(
    function: Callable[..., object],
    domain: Sequence[Domain] | None,
    reference: Callable[..., Any] | None,
    result: str | None,
    floats: bool,
    formula: str,
    color: str,
    vjp: Vjp | None,
    jvp: Jvp | None,
    defaults: Mapping[str, float] | None,
    name: str | None,
) -> Elementwise:
    body = _returning(function, name)
    label = body.name if name is None else name
    check_name(label, str(declared_at()))
    if not body.params:
        raise KernelError(
            f"{label}: an elementwise op needs an input, which gives the result its shape. "
            f"Declared at {declared_at()}. A number that never changes is gn.Constant(3.0)."
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
        expand=expand_of(label, body),
        flops=flops_of(body),
        examples=_examples(ranges, [p in (defaults or {}) for p in body.params]),
        formula=formula,
        label=label,
        color=color,
    )
    doc = cleandoc(function.__doc__ or "")
    return Elementwise(register(op), defaults, doc)


def _examples(ranges: Sequence[Domain], numbers: Sequence[bool]) -> tuple[Example, ...]:
    """Calls in the usual shapes; what has a default is usually a number."""

    def draw(shape: tuple[int, ...], domain: Domain, number: bool) -> Draw:
        shape = () if number else shape
        if isinstance(domain, str):
            return Draw(shape, dtype=domain)
        low, high, *kinks = domain
        return Draw(shape, low, high, kinks=tuple(kinks))

    count = len(ranges) - sum(numbers)
    rows: list[list[tuple[int, ...]]] = [[shape] * count for shape in ((3, 5), (17,), ())]
    if count > 1:
        rest: list[tuple[int, ...]] = [(4, 3)] * (count - 2)
        rows += [[(4, 3), (3,), *rest], [(4, 1), (1, 3), *rest], [(), (4, 3), *rest]]
        rows += [[(2, 1, 3), (4, 1), *[(2, 4, 3)] * (count - 2)]]
    examples = []
    for row in rows:
        shapes = iter(row)
        given = [(() if number else next(shapes)) for number in numbers]
        examples.append(Example(tuple(map(draw, given, ranges, numbers))))
    return tuple(examples)
