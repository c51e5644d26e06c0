"""Layers: they hold parameters and declare nodes, and never compile anything."""

from graphnn.nn import init
from graphnn.nn.activation import Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from graphnn.nn.container import Sequential
from graphnn.nn.dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, GaussianNoise
from graphnn.nn.linear import Linear
from graphnn.nn.module import Module
from graphnn.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    LayerNorm,
    RMSNorm,
)
from graphnn.nn.reshape import Flatten

__all__ = [
    "AlphaDropout",
    "BatchNorm1d",
    "BatchNorm2d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Flatten",
    "GaussianNoise",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "LayerNorm",
    "Linear",
    "LogSoftmax",
    "Module",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "init",
]
