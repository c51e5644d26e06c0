"""Optimizers and learning-rate schedules: they declare update nodes, and compile nothing."""

from typing import TYPE_CHECKING, Any, NoReturn

from graphnn.hints import teach
from graphnn.missing import missing_name
from graphnn.optim import schedule
from graphnn.optim.adadelta import Adadelta
from graphnn.optim.adagrad import Adagrad
from graphnn.optim.adam import Adam, AdamW
from graphnn.optim.clip import clip_grad_norm, clip_grad_value, get_total_norm
from graphnn.optim.groups import biases_and_norms
from graphnn.optim.lion import Lion
from graphnn.optim.nadam import NAdam
from graphnn.optim.optimizer import Optimizer
from graphnn.optim.plateau import ReduceLROnPlateau
from graphnn.optim.rmsprop import RMSprop
from graphnn.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "biases_and_norms",
    "by_name",
    "clip_grad_norm",
    "clip_grad_value",
    "get_total_norm",
    "schedule",
]


def by_name(name: str, **settings: Any) -> Optimizer:
    """The optimizer that a short name means: its class's name in lower case, such as ``"adam"``.

    ``"momentum"`` and ``"nesterov"`` are SGD with a momentum of 0.9.

    Parameters
    ----------
    name
        ``"adam"``, ``"adamw"``, ``"sgd"``, ``"rmsprop"``, ...
    settings
        In place of the defaults.

    Raises
    ------
    GraphError
        For any other name.
    TypeError
        For settings that it does not have.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.optim.by_name("adam", lr=0.01)
    Adam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False)
    """
    return Optimizer.named(name, **settings)


if not TYPE_CHECKING:
    teach(globals(), __all__)

    def __getattr__(name: str) -> NoReturn:
        known = {n: f"optim.schedule.{n}" for n in schedule.__all__}
        raise missing_name(__name__, name, known | {n: f"optim.{n}" for n in __all__})
