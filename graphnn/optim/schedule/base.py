"""What a schedule is: the learning rate as a node of the counter of steps."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.backends.reference import evaluate
from graphnn.calls import check_flags
from graphnn.errors import GraphError
from graphnn.hints import check_keywords
from graphnn.node import Constant, Node, Parameter
from graphnn.ops.elementwise.choice import where
from graphnn.ops.elementwise.rounding import floor
from graphnn.optim.checks import check_count, check_positive

Unit: TypeAlias = Literal["step", "epoch"]


class EpochClock:
    """From steps to epochs: ``⌊(steps + shift) / length⌋``, both set without compiling anew."""

    def __init__(self) -> None:
        self.told = False
        self._given = (1.0, 0.0)
        self._nodes: tuple[Parameter, Parameter] | None = None

    @property
    def used(self) -> bool:
        """Whether a schedule reads it."""
        return self._nodes is not None

    def set(self, length: float, shift: float) -> None:
        """How many steps an epoch has; how many steps lie before the first that is counted."""
        self.told, self._given = True, (float(length), float(shift))
        for node, value in zip(self._nodes or (), self._given, strict=False):
            node.value = np.float64(value)

    def epoch(self, steps: Node, who: str) -> Node:
        """The number of epochs that are done."""
        if not self.told:
            raise GraphError(
                f"{who} counts epochs, and nothing says how many steps one has: model.fit does so "
                "itself; before updates(...) for a function of your own, call "
                "optimizer.begin_epochs(steps, done=0)"
            )
        if self._nodes is None:
            names = ("epoch_length", "epoch_shift")
            self._nodes = tuple(  # type: ignore[assignment]
                Parameter(np.float64(value), name=name, trainable=False)
                for name, value in zip(names, self._given, strict=True)
            )
        assert self._nodes is not None
        length, shift = self._nodes
        return floor((steps + shift) / length)


class Schedule(ABC):
    """A learning rate that changes: a formula ``at(t)`` of the number of steps that are done.

    It is made of nodes, and so it runs inside the compiled step. The names, settings and values of
    the schedules are those of ``torch.optim.lr_scheduler``, but that the first argument is the
    learning rate in place of the optimizer. One of one's own writes ``at``.

    Parameters
    ----------
    lr
        Learning rate, > 0, that the schedule changes.
    per
        Whether t counts steps or epochs.

    Raises
    ------
    GraphError
        For settings out of range.

    Examples
    --------
    >>> import graphnn as gn
    >>> class Inverse(gn.optim.schedule.Schedule):
    ...     def at(self, t):
    ...         return self.lr / (1.0 + t)
    >>> Inverse(1.0).rates(4).round(3)
    array([1.   , 0.5  , 0.333, 0.25 ])
    >>> gn.optim.SGD(lr=Inverse(1.0)).lr
    Inverse(1.0)
    """

    def __new__(cls, *settings: Any, **options: Any) -> Self:
        """Say which setting was meant, where there is none of that name."""
        check_keywords(cls.__name__, cls.__init__, options)
        check_flags(cls.__name__, cls.__init__, (None, *settings), options)
        return super().__new__(cls)

    def __init__(self, lr: float, *, per: Unit = "step") -> None:
        check_positive("lr", lr)
        if per not in ("step", "epoch"):
            raise GraphError(f"per is 'step' or 'epoch'; got {per!r}")
        self.lr, self.per = lr, per

    @abstractmethod
    def at(self, t: Node) -> Node:
        """The learning rate after ``t`` steps or epochs, float64."""

    def node(self, steps: Node, clock: EpochClock) -> Node:
        """The learning rate after so many steps."""
        return self.at(steps if self.per == "step" else clock.epoch(steps, repr(self)))

    def rates(self, count: int) -> NDArray[np.float64]:
        """The first ``count`` learning rates, to look at them."""
        check_count("count", count)
        return evaluate(self.at(Constant(np.arange(count, dtype=np.float64))))

    def __repr__(self) -> str:
        shown = []
        for name, setting in inspect.signature(type(self).__init__).parameters.items():
            value: Any = getattr(self, name, inspect.Parameter.empty)
            if value is inspect.Parameter.empty or value == setting.default:
                continue
            plain = setting.kind is setting.POSITIONAL_OR_KEYWORD
            first = plain and setting.default is inspect.Parameter.empty
            shown.append(repr(value) if first else f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def either(condition: Node, a: Node | float, b: Node | float) -> Node:
    """``a`` where the condition holds, else ``b``; numbers are float64."""
    first = a if isinstance(a, Node) else Constant(np.float64(a))
    return where(condition, first, b)
