"""Sums that are carried over a whole epoch, and the formula that ends them.

A measure such as F1 is no mean over samples: its sums of all batches are added up by the compiled
loop, and Python computes it once, from the sums of the whole set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Node, apply
from graphnn.op import Alias, Draw, Example, Mismatch, Op, register
from graphnn.ops.declare.tangents import no_flow, no_gradient
from graphnn.ops.training.phase import PHASE_COLOR
from graphnn.spec import FLOATS, TensorSpec

__all__: list[str] = []

Finish: TypeAlias = "Callable[[NDArray[np.float64]], float | NDArray[np.float64]]"


def _spec(sums: TensorSpec, **_attrs: Any) -> TensorSpec:
    if sums.dtype not in FLOATS:
        raise Mismatch("float sums", "Cast them: gn.cast(x, 'float64').", dtype=True)
    return sums


TALLY = register(
    Op(
        name="tally",
        spec=_spec,
        kernel=Alias(),
        reference=lambda sums, **_attrs: sums,
        vjp=no_gradient,
        jvp=no_flow,
        examples=(Example((Draw((3, 4)),)), Example((Draw(()),))),
        formula="Σ over the batches of an epoch",
        color=PHASE_COLOR,
    )
)


def tally(sums: Node, finish: Finish, array: bool = False, name: str | None = None) -> Node:
    """Sums over a batch that are added up over an epoch; ``finish`` makes a measure of the total.

    ``array`` says that this is one. Called by a ``gn.function`` it is the batch's sums themselves.
    """
    return apply(TALLY, [sums], {"_finish": finish, "_array": array}, name=name)
