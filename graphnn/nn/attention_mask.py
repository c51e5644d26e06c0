"""The masks of multi-head attention, as torch gives them, as the one that the tiles take."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.node import Constant, Node, NodeLike, as_node
from graphnn.ops.attention.scaled_dot_product import check_mask, turned
from graphnn.ops.elementwise.choice import logical_not, logical_or, where
from graphnn.ops.linalg.diagonal import triu
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.padding import pad
from graphnn.ops.movement.reshape import reshape
from graphnn.spec import DimLike, format_shape


class Masks:
    """What a call of multi-head attention masks, as the one mask that the tiles take.

    A mask that is the causal one is no mask: the tiles know which keys to leave out.
    """

    def __init__(
        self,
        q: Node,
        k: Node,
        heads: int,
        extras: int,
        padding: NodeLike | None,
        mask: NodeLike | None,
        causal: bool,
        single: bool,
    ) -> None:
        self.like, self.extras = q, extras
        batch, queries = q.spec.shape[:2]
        keys = k.spec.shape[1]
        self.causal = (causal and mask is None) or _is_causal(mask, queries, keys)
        if self.causal and extras:  # which every query sees, though they stand last
            every = broadcast_to(Constant(True), (queries, keys))
            self.causal, mask = False, triu(every, 1)
        self.parts: list[Node] = []
        if mask is not None and not self.causal:
            given = self._checked(mask, "attn_mask")
            shapes = [(queries, keys), (batch * heads, queries, keys)]
            self._check_shape(given, shapes, "attn_mask")
            full = (1, 1, queries, keys) if given.ndim == 2 else (batch, heads, queries, keys)
            self.parts.append(reshape(given, full))
        if padding is not None:
            given = self._checked(padding, "key_padding_mask")
            self._check_shape(given, [(keys,) if single else (batch, keys)], "key_padding_mask")
            self.parts.append(reshape(given, (batch, 1, 1, keys)))

    def _checked(self, given: NodeLike, what: str) -> Node:
        mask = as_node(given, self.like)
        check_mask(what, mask, self.like)
        return mask

    def _check_shape(self, mask: Node, shapes: list[tuple[DimLike, ...]], what: str) -> None:
        if mask.spec.shape not in shapes:
            wanted = " or ".join(map(format_shape, shapes))
            fix = turned(mask.spec.shape, shapes) if what == "attn_mask" else ""
            if isinstance(mask, Constant) and not fix and shapes[-1][0] == self.like.spec.shape[0]:
                fix = f" One a batch is an input: gn.Input({format_shape(shapes[-1])}, 'bool')."
            raise ShapeError(
                f"{what} needs shape {wanted}; got {format_shape(mask.spec.shape)} for "
                f"{mask.name!r}. Declared at {declared_at()}.{fix}"
            )

    def joined(self) -> Node | None:
        """One mask: True takes part, or numbers that are added; None if nothing is masked."""
        parts = self.parts
        if not parts:
            return None
        if all(part.dtype == "bool" for part in parts):
            left_out = parts[0] if len(parts) == 1 else logical_or(parts[0], parts[1])
            return self._for_extras(logical_not(left_out), True)
        zero = Constant(0.0, dtype=self.like.dtype)
        added = [where(p, -math.inf, zero) if p.dtype == "bool" else p for p in parts]
        return self._for_extras(added[0] if len(added) == 1 else added[0] + added[1], 0.0)

    def _for_extras(self, mask: Node, value: float) -> Node:
        """The mask with columns for the keys behind the given ones, which all queries see."""
        extras = self.extras
        return (
            pad(mask, ((0, 0), (0, 0), (0, 0), (0, extras)), constant_values=value)
            if extras
            else mask
        )


def _is_causal(mask: NodeLike | None, queries: DimLike, keys: DimLike) -> bool:
    """Whether a mask is known to be the causal one, of bools or of floats."""
    array: ArrayLike | None = mask.array if isinstance(mask, Constant) else None
    if isinstance(mask, np.ndarray):
        array = mask
    if array is None or np.shape(array) != (queries, keys):
        return False
    found = np.asarray(array)
    above = np.triu(np.ones(found.shape, bool), 1)
    return np.array_equal(found, above if found.dtype == bool else np.where(above, -np.inf, 0.0))
