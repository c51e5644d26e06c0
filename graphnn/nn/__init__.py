"""Layers: they hold parameters and declare nodes, and never compile anything."""

from typing import TYPE_CHECKING, NoReturn

from graphnn.hints import missing_name
from graphnn.nn import init
from graphnn.nn.activation import Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from graphnn.nn.container import ModuleDict, ModuleList, Sequential
from graphnn.nn.dropout import Dropout
from graphnn.nn.linear import Linear
from graphnn.nn.module import Module
from graphnn.nn.reshape import Flatten

__all__ = [
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "Module",
    "ModuleDict",
    "ModuleList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "init",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise missing_name(__name__, name, {n: f"nn.{n}" for n in __all__})
