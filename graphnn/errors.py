"""What graphnn raises; every message names what was expected, what was found, and one fix."""

from typing import Any


class GraphnnError(Exception):
    """Base of every error that graphnn raises on purpose."""


class ShapeError(GraphnnError, ValueError):
    """Shapes that an op cannot take; raised at the line that declares the node."""


class DTypeError(GraphnnError, TypeError):
    """Dtypes that an op cannot take; graphnn never promotes silently."""


class GraphError(GraphnnError, ValueError):
    """A graph that cannot be: unknown nodes, duplicate names, cycles, a missing gradient."""


class PlanError(GraphnnError, RuntimeError):
    """A schedule or a memory plan whose invariants do not hold."""


class KernelError(GraphnnError, RuntimeError):
    """A kernel that cannot be generated or compiled; names the op."""


class DataError(GraphnnError, ValueError):
    """Data that is missing, damaged, or does not fit what was declared."""


class NotFiniteError(GraphnnError, ArithmeticError):
    """A step made NaN or Inf inside ``gn.debug.nan_check()``.

    Attributes
    ----------
    node
        The first that is not finite though its inputs are; or the input or parameter that was not.
    value
        What it holds.
    inputs
        The values of its inputs by node.
    """

    node: Any
    value: Any
    inputs: Any


class NotFiniteWarning(RuntimeWarning):
    """The loss of an epoch is NaN or infinite: what is trained from there on is of no use."""


class LargePageWarning(UserWarning):
    """A page of more than 5 MB: slow to open, and to send."""
