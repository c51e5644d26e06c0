"""What all optimizers share: gradients in, pairs (parameter, new value) out."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np

from graphnn.autodiff import grad
from graphnn.context import role
from graphnn.errors import GraphError
from graphnn.hints import OF_OPTIMIZER, check_keywords, did_you_mean, lacking
from graphnn.node import Node, Parameter
from graphnn.ops.arithmetic import cast
from graphnn.ops.update import decayed
from graphnn.values import is_number

Pairs = list[tuple[Parameter, Node]]


class Optimizer(ABC):
    """Declares update nodes for parameters; an optimizer of one's own writes ``step``.

    Parameters
    ----------
    lr
        Learning rate, > 0.
    weight_decay
        λ of an L2 penalty λ/2 ‖p‖², added to the gradient as in torch; >= 0.

    Attributes
    ----------
    rate
        The learning rate as a parameter: setting ``optimizer.lr`` changes compiled functions too.
    state
        Parameters that the optimizer keeps: momenta, counters.

    Raises
    ------
    GraphError
        For settings out of range.
    TypeError
        For settings that it does not have.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> w = gn.Parameter(np.float32([1, 2]), name="w")
    >>> loss = gn.sum(w * w)
    >>> optimizer = gn.optim.SGD(lr=0.25)
    >>> step = gn.function([], loss, updates=optimizer.updates(loss, [w]))
    >>> optimizer.lr = 0.5  # the compiled step follows
    >>> float(step()), w.value
    (5.0, array([0., 0.], dtype=float32))
    """

    names: ClassVar[dict[str, type[Optimizer]]] = {}
    rate: Parameter
    weight_decay: float
    state: list[Parameter]

    def __new__(cls, *settings: Any, **options: Any) -> Self:
        """Say which setting was meant, where there is none of that name."""
        check_keywords(f"optim.{cls.__name__}", cls.__init__, options)
        if settings and "lr" in options:  # before Python complains of an lr that is given twice
            _check_number(cls.__name__, settings[0])
        return super().__new__(cls)

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        _check_number(type(self).__name__, lr)
        check("lr", lr, lr > 0, "> 0")
        number("weight_decay", weight_decay)
        check("weight_decay", weight_decay, weight_decay >= 0, ">= 0")
        self.rate = Parameter(np.float64(lr), name="lr", trainable=False)
        self.weight_decay = weight_decay
        self.state = []

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Optimizer.names[cls.__name__.lower()] = cls

    @classmethod
    def named(cls, name: str) -> Optimizer:
        """An optimizer with its default settings, by its class's name in lower case."""
        if name not in cls.names:
            raise GraphError(
                f"optimizer is one of {sorted(cls.names)}; got {name!r}."
                f"{did_you_mean(name, cls.names)}"
            )
        made = cls.names[name]
        return made()  # type: ignore[call-arg]

    @property
    def lr(self) -> float:
        """The learning rate."""
        return float(self.rate.value)

    @lr.setter
    def lr(self, value: float) -> None:
        number("lr", value)
        check("lr", value, value > 0, "> 0")
        self.rate.value = np.float64(value)

    def __repr__(self) -> str:
        settings = [
            f"{name}={getattr(self, name)!r}"
            for name in inspect.signature(type(self).__init__).parameters
            if hasattr(self, name)
        ]
        return f"{type(self).__name__}({', '.join(settings)})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise lacking(self, name, OF_OPTIMIZER)

    def updates(self, loss: Node, parameters: Sequence[Parameter] | Parameter) -> Pairs:
        """Pairs (parameter, node of its new value), for ``gn.function``.

        Parameters
        ----------
        loss
            Float scalar.
        parameters
            What is changed; ones that are not trainable are left alone.

        Raises
        ------
        GraphError
            For what are no parameters, and where none of them is trainable.
        """
        given = [parameters] if isinstance(parameters, Parameter) else parameters
        wrong = [p for p in given if not isinstance(p, Parameter)] if _is_listed(given) else [given]
        if wrong:
            raise GraphError(
                f"updates takes a list of parameters; got {wrong[0]!r}. Write "
                "optimizer.updates(loss, net.parameters())."
            )
        chosen = [parameter for parameter in given if parameter.trainable]
        if not chosen:
            frozen = any(parameter.learned for parameter in given)
            fix = " All are frozen: net.requires_grad_(True) releases them." if frozen else ""
            raise GraphError(f"there is no trainable parameter to update.{fix}")
        gradients = grad(loss, chosen)
        with role("update"):
            shared = self.shared_nodes()
        pairs = shared
        for parameter, gradient in zip(chosen, gradients, strict=True):
            with role("update", forward_of=parameter):
                if self.weight_decay:
                    gradient = decayed(gradient, parameter, self.weight_decay)
                pairs = pairs + self.step(parameter, gradient)
        return pairs

    def rate_for(self, parameter: Parameter) -> Node:
        """The learning rate in the dtype of a parameter."""
        return cast(self.rate, parameter.dtype)

    def keep(self, parameter: Parameter, name: str) -> Parameter:
        """A new state of the shape of ``parameter``, zero at first."""
        made = Parameter(
            np.zeros_like(parameter.value), name=f"{parameter.label}.{name}", trainable=False
        )
        self.state.append(made)
        return made

    def shared_nodes(self) -> Pairs:
        """Updates that all parameters share: step counters and what follows from them."""
        return []

    @abstractmethod
    def step(self, parameter: Parameter, gradient: Node) -> Pairs:
        """The updates of one parameter and of its state."""


def _is_listed(given: object) -> bool:
    return isinstance(given, Iterable) and not isinstance(given, Node | Mapping)


def _check_number(kind: str, lr: object) -> None:
    if not is_number(lr):
        raise GraphError(
            f"{kind}(lr=...) takes a number at first; got {type(lr).__name__}. The parameters come "
            f"later: model.compile({kind}(lr=1e-3), loss), or "
            f"{kind}(lr=1e-3).updates(loss, parameters)."
        )


def number(name: str, value: object) -> None:
    """A setting is a number, and no bool or text."""
    if not is_number(value):
        raise GraphError(f"{name}={value!r} is no number: give one such as {name}=0.1")


def check(name: str, value: float, good: bool, needed: str) -> None:
    """A setting is finite and in its range, or a GraphError says which range that is."""
    if not good or not np.isfinite(value):
        raise GraphError(f"{name}={value!r} is out of range: it must be {needed}")


def check_share(name: str, value: float) -> None:
    """A decay rate lies in [0, 1)."""
    number(name, value)
    check(name, value, 0 <= value < 1, "in [0, 1)")
