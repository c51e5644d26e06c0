"""Layers: they hold parameters and declare nodes, and never compile anything."""

from graphnn.nn import init
from graphnn.nn.activation import Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from graphnn.nn.container import Sequential
from graphnn.nn.conv import Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from graphnn.nn.dropout import Dropout
from graphnn.nn.linear import Linear
from graphnn.nn.module import Module
from graphnn.nn.pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)
from graphnn.nn.reshape import Flatten

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "init",
]
