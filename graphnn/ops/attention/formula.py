"""What attention computes, as plain nodes and in NumPy, with all T² weights in memory.

The nodes are differentiated where the tiles of :mod:`graphnn.ops.attention` have no rule of their
own: forward mode, and derivatives of the gradients. The NumPy code is the oracle of the tests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphnn.node import Constant, Node, apply
from graphnn.ops.elementwise.arithmetic import exp
from graphnn.ops.elementwise.choice import equal, where
from graphnn.ops.linalg.diagonal import tril
from graphnn.ops.linalg.matmul import matmul
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.transpose import transpose
from graphnn.ops.random.dropout import DROPOUT
from graphnn.ops.random.generator import DROPOUT_MASK, words_of
from graphnn.ops.reduction.statistics import logsumexp

# The order of the axes (batch, heads, length, features) and of (batch, heads, length), if the
# heads stand inside: each its own inverse.
INSIDE = (0, 2, 1, 3)


def heads_outside(x: Node, heads: int) -> Node:
    """(batch, heads, length, ...) of either layout; changing it back is the same."""
    return x if heads == 1 else transpose(x, INSIDE[: x.ndim])


def threshold(dropout: float) -> int:
    """The random words below it keep a weight."""
    return round((1 - dropout) * 2**32)


class Formula:
    """The weights of attention as nodes (batch, heads, queries, keys).

    Parameters
    ----------
    of
        Inputs of the op by name: query, key, and value where it is needed.
    rest
        The mask if there is one, then the generator if there is dropout.
    attrs
        Of the op.
    """

    def __init__(
        self, of: Mapping[str, Node], rest: Sequence[Node], attrs: Mapping[str, Any]
    ) -> None:
        self.heads, self.scale = attrs["heads"], attrs["scale"]
        self.causal, self.dropout = attrs["causal"], attrs["dropout"]
        self.stream = attrs.get("stream")
        self.of = {name: heads_outside(node, self.heads) for name, node in of.items()}
        self.query, self.key = self.of["query"], self.of["key"]
        self.rng = rest[-1] if self.dropout else None
        self.mask = rest[0] if len(rest) > bool(self.dropout) else None

    def scores(self) -> Node:
        """``scale Q Kᵀ`` with what is masked at -∞."""
        found: Node = matmul(self.query, self.key.mT) * self.scale
        if self.mask is not None:
            masked = self.mask.dtype == "bool"
            found = where(self.mask, found, -math.inf) if masked else found + self.mask
        if self.causal:
            seen = tril(broadcast_to(Constant(True), found.spec.shape[-2:]))
            found = where(seen, found, -math.inf)
        return found

    def logsumexp(self) -> Node:
        """(batch, heads, queries)."""
        return logsumexp(self.scores(), -1)

    def weights(self, lse: Node) -> Node:
        """Rows of probabilities, given the logarithms of their sums; 0 where all is -∞."""
        shift = where(equal(lse, -math.inf), 0.0, lse)
        return exp(self.scores() - _column(shift))

    def dropped(self, weights: Node) -> Node:
        """The weights after dropout."""
        if self.rng is None:
            return weights
        shape = weights.spec.shape
        attrs = {"shape": shape, "threshold": threshold(self.dropout), "stream": self.stream}
        kept = apply(DROPOUT_MASK, [self.rng], attrs)
        return apply(
            DROPOUT, [weights, kept, Constant(1 / (1 - self.dropout), dtype=weights.dtype)]
        )

    def output(self) -> Node:
        """The mean of the values."""
        return matmul(self.dropped(self.weights(self.logsumexp())), self.of["value"])

    def slope(self, lse: Node, delta: Node, dy: Node) -> Node:
        """The gradient with respect to the scores, before they are scaled."""
        into = self.dropped(matmul(heads_outside(dy, self.heads), self.of["value"].mT))
        return self.weights(lse) * (into - _column(delta))


def _column(x: Node) -> Node:
    return reshape(x, (*x.spec.shape, 1))


def composed(
    kind: str, given: Mapping[str, Node], rest: Sequence[Node], attrs: Mapping[str, Any]
) -> Node:
    """Any of the five results, of plain nodes."""
    f = Formula(given, rest, attrs)
    of = f.of
    if kind == "output":
        found = f.output()
    elif kind == "logsumexp":
        found = f.logsumexp()
    elif kind == "value":
        found = matmul(f.dropped(f.weights(of["lse"])).mT, of["dy"])
    elif kind == "query":
        found = matmul(f.slope(of["lse"], of["delta"], given["dy"]), f.key) * f.scale
    else:
        found = matmul(f.slope(of["lse"], of["delta"], given["dy"]).mT, f.query) * f.scale
    return heads_outside(found, f.heads)


# The same in NumPy.

Array = NDArray[Any]


def _outside(x: Array, heads: int) -> Array:
    return x if heads == 1 else np.transpose(x, INSIDE[: x.ndim])


def reference(
    kind: str, given: Mapping[str, Array], rest: Sequence[Array], *, heads: int, scale: float,
    causal: bool, dropout: float, stream: int = 0, **_: Any,
) -> Array:  # fmt: skip
    """Any of the five results."""
    of = {name: _outside(array, heads) for name, array in given.items()}
    q, k = of["query"], of["key"]
    s = q @ np.swapaxes(k, -1, -2) * scale
    if len(rest) > bool(dropout):
        s = np.where(rest[0], s, -np.inf) if rest[0].dtype == bool else s + rest[0]
    if causal:
        s = np.where(np.tril(np.ones(s.shape[-2:], bool)), s, -np.inf)
    kept = _kept(s.shape, rest[-1], dropout, stream) if dropout else 1.0
    p = _weights(s, of["lse"] if "lse" in of else _logsumexp(s))
    if kind == "logsumexp":
        found = _logsumexp(s)
    elif kind == "output":
        found = (p * kept) @ of["value"]
    elif kind == "value":
        found = np.swapaxes(p * kept, -1, -2) @ of["dy"]
    else:
        into = of["dy"] @ np.swapaxes(of["value"], -1, -2) * kept
        ds = p * (into - of["delta"][..., None]) * scale
        found = ds @ k if kind == "query" else np.swapaxes(ds, -1, -2) @ q
    return _outside(found, heads)


def _logsumexp(scores: Array) -> Array:
    top = scores.max(-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top)
    return np.asarray(np.log(np.exp(scores - top).sum(-1)) + top[..., 0])


def _weights(scores: Array, lse: Array) -> Array:
    return np.asarray(np.exp(scores - np.where(lse == -np.inf, 0, lse)[..., None]))


def _kept(shape: tuple[int, ...], rng: Array, dropout: float, stream: int) -> Array:
    size = math.prod(shape)
    words = words_of(rng, size, stream)
    chosen = np.take_along_axis(words, (np.arange(size) % 64 // 16)[None], 0)[0]
    return np.asarray((chosen < threshold(dropout)).reshape(shape) / (1 - dropout))
