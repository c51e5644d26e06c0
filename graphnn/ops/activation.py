"""Activation functions of the neuron."""

from __future__ import annotations

import math

import numpy as np

from graphnn.ops.elementwise import elementwise

ACTIVATION = "#dcfce7"


@elementwise(reference=np.tanh, formula="tanh x", color=ACTIVATION)
def tanh(x):  # type: ignore[no-untyped-def]
    return math.tanh(x)


@tanh.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * (1 - y * y)


@elementwise(reference=lambda x: 1 / (1 + np.exp(-x)), formula="1 / (1 + e⁻ˣ)", color=ACTIVATION)
def sigmoid(x):  # type: ignore[no-untyped-def]
    return 1 / (1 + math.exp(-x))


@sigmoid.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy * y * (1 - y)


@elementwise(reference=lambda x: np.maximum(x, 0), formula="max(x, 0)", color=ACTIVATION)
def relu(x):  # type: ignore[no-untyped-def]
    return 0 if x < 0 else x


@relu.backward
def _(dy, x, y):  # type: ignore[no-untyped-def]
    return dy if y > 0 else 0
