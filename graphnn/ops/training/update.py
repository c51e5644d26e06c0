"""The formulas of the optimizers, one elementwise op each: they fuse like everything else."""

from __future__ import annotations

import math

import numpy as np

from graphnn.ops.declare.elementwise import elementwise

__all__: list[str] = []

UPDATE = "#fde68a"
_ANY = (-2.0, 2.0)
_POSITIVE = (0.1, 2.0)


@elementwise(domain=[_ANY, _ANY, _POSITIVE], formula="p - lr g", color=UPDATE)
def sgd_update(p, g, lr):  # type: ignore[no-untyped-def]
    return p - lr * g


@elementwise(domain=[_ANY, _ANY, _POSITIVE], formula="g + λ p", color=UPDATE)
def decayed(g, p, decay):  # type: ignore[no-untyped-def]
    return g + decay * p


@elementwise(domain=[_ANY, _ANY, _POSITIVE], formula="μ v + g", color=UPDATE)
def momentum_update(v, g, mu):  # type: ignore[no-untyped-def]
    return mu * v + g


@elementwise(domain=[_ANY, _ANY, _POSITIVE, _POSITIVE], formula="β m + (1 - β) g", color=UPDATE)
def moment_update(m, g, beta, rest):  # type: ignore[no-untyped-def]
    return beta * m + rest * g  # rest = 1 - β, rounded once: 1 - float32(0.999) is 5e-5 off


@elementwise(
    domain=[_POSITIVE, _ANY, _POSITIVE, _POSITIVE], formula="β v + (1 - β) g²", color=UPDATE
)
def square_update(v, g, beta, rest):  # type: ignore[no-untyped-def]
    return beta * v + rest * g * g


@elementwise(
    domain=[_ANY, _ANY, _POSITIVE, _POSITIVE, _POSITIVE, (0.01, 0.1)],
    reference=lambda p, m, v, rate, root, eps: p - rate * m / (np.sqrt(v) / root + eps),
    formula="p - rate m / (√v / root + ε)",
    color=UPDATE,
)  # fmt: skip
def adam_update(p, m, v, rate, root, eps):  # type: ignore[no-untyped-def]
    return p - rate * m / (math.sqrt(v) / root + eps)


@elementwise(
    domain=[_ANY, _POSITIVE, (0.01, 0.1)],
    reference=lambda g, v, eps: g / (np.sqrt(v) + eps),
    formula="g / (√v + ε)",
    color=UPDATE,
)
def normalized_gradient(g, v, eps):  # type: ignore[no-untyped-def]
    return g / (math.sqrt(v) + eps)


@elementwise(
    domain=[_ANY, _POSITIVE, _POSITIVE, (0.01, 0.1)],
    reference=lambda g, u, v, eps: g * np.sqrt(u + eps) / np.sqrt(v + eps),
    formula="√(u + ε) / √(v + ε) g",
    color=UPDATE,
)
def adadelta_step(g, u, v, eps):  # type: ignore[no-untyped-def]
    return math.sqrt(u + eps) / math.sqrt(v + eps) * g


@elementwise(
    domain=[_ANY, _ANY, _ANY, *[_POSITIVE] * 4, (0.01, 0.1)],
    reference=lambda p, g, m, v, a, b, root, eps: p - (a * g + b * m) / (np.sqrt(v) / root + eps),
    formula="p - (a g + b m) / (√v / root + ε)",
    color=UPDATE,
)
def nadam_update(p, g, m, v, a, b, root, eps):  # type: ignore[no-untyped-def]
    return p - (a * g + b * m) / (math.sqrt(v) / root + eps)
