"""Optimizers: they declare update nodes, and never compile anything."""

from typing import TYPE_CHECKING, NoReturn

from graphnn.hints import missing_name
from graphnn.optim.adam import Adam
from graphnn.optim.optimizer import Optimizer
from graphnn.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "by_name"]


def by_name(name: str) -> Optimizer:
    """The optimizer that a short name means: ``"adam"`` or ``"sgd"``.

    Raises
    ------
    GraphError
        For any other name.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.by_name("adam")
    Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0)
    """
    return Optimizer.named(name)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise missing_name(__name__, name, {n: f"optim.{n}" for n in __all__})
