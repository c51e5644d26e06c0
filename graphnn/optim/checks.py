"""Settings of optimizers and schedules are checked where they are given."""

from __future__ import annotations

import numpy as np

from graphnn.errors import GraphError
from graphnn.values import is_number


def number(name: str, value: object) -> None:
    """A setting is a number, and no bool or text."""
    if not is_number(value):
        raise GraphError(f"{name}={value!r} is no number: give one such as {name}=0.1")


def check(name: str, value: float, good: bool, needed: str) -> None:
    """A setting is finite and in its range, or a GraphError says which range that is."""
    if not good or not np.isfinite(value):
        raise GraphError(f"{name}={value!r} is out of range: it must be {needed}")


def check_positive(name: str, value: float) -> None:
    """A setting is > 0."""
    number(name, value)
    check(name, value, value > 0, "> 0")


def check_at_least_0(name: str, value: float) -> None:
    """A setting is >= 0."""
    number(name, value)
    check(name, value, value >= 0, ">= 0")


def check_share(name: str, value: float) -> None:
    """A decay rate lies in [0, 1)."""
    number(name, value)
    check(name, value, 0 <= value < 1, "in [0, 1)")


def check_pair(name: str, values: object) -> None:
    """Two decay rates, each in [0, 1)."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise GraphError(f"{name} is a pair, for instance (0.9, 0.999); got {values!r}")
    for i, value in enumerate(values):
        check_share(f"{name}[{i}]", value)


def check_count(name: str, value: object, least: int = 1, most: int | None = None) -> None:
    """A number of steps, epochs or samples is a whole number >= 1, or >= another least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise GraphError(f"{name} is a whole number >= {least}; got {value!r}")
    if most is not None and value > most:
        raise GraphError(f"{name} is at most {most:,}; got {value!r}")


def check_rate(kind: str, lr: object) -> None:
    """A learning rate is a number > 0; parameters, which torch takes first, come later."""
    if not is_number(lr):
        raise GraphError(
            f"{kind}(lr=...) takes a number at first; got {type(lr).__name__}. The parameters come "
            f"later: model.compile({kind}(lr=1e-3), loss), or "
            f"{kind}(lr=1e-3).updates(loss, parameters)."
        )
    check_positive("lr", lr)  # type: ignore[arg-type]
