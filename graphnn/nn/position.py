"""Positional encodings as modules: what they add to a sequence says where each element stands."""

from __future__ import annotations

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn import init
from graphnn.nn.module import Module
from graphnn.node import Node, NodeLike, Parameter
from graphnn.ops.attention.position import sinusoidal_encoding
from graphnn.ops.indexing.take import take
from graphnn.ops.movement.slicing import narrow
from graphnn.ops.random.dropout import checked_share, dropout
from graphnn.spec import format_shape


class _PositionalEncoding(Module):
    """What both share: a table with a row for each position."""

    def __init__(
        self, d_model: int, max_len: int = 5000, dropout: float = 0.0, *, name: str | None = None
    ) -> None:
        super().__init__(name)
        own = f"nn.{type(self).__name__}"
        if d_model < 1 or max_len < 1:
            raise GraphError(
                f"{own} takes sizes >= 1; got {d_model} and {max_len}. Declared at {declared_at()}."
            )
        self.d_model, self.max_len = d_model, max_len
        self.dropout = checked_share(own, dropout)

    def table(self) -> Node:
        """(max_len, d_model)."""
        raise NotImplementedError

    def forward(self, x: Node, positions: NodeLike | None = None) -> Node:
        """Declare the sum, and dropout of it.

        Parameters
        ----------
        x
            (batch, length, d_model).
        positions
            (length,), whole numbers in [0, max_len): where the elements stand, as when a sequence
            is made one by one. None: 0, 1, 2, ...

        Raises
        ------
        ShapeError
            For another width, or a sequence longer than ``max_len``.
        """
        length = x.spec.shape[-2] if x.ndim > 1 else 0
        if x.ndim < 2 or x.spec.shape[-1] != self.d_model:
            raise ShapeError(
                f"{type(self).__name__} needs (batch, length, {self.d_model}); got "
                f"{format_shape(x.spec.shape)} for {x.name!r}. Declared at {declared_at()}."
            )
        if positions is None and isinstance(length, int) and length > self.max_len:
            raise ShapeError(
                f"{type(self).__name__} has {self.max_len} positions; got {length}. Declared at "
                f"{declared_at()}. Give it max_len={length}."
            )
        table = self.table()
        rows = take(table, positions, axis=0) if positions is not None else None
        rows = narrow(table, 0, 0, length) if rows is None else rows
        return dropout(x + rows, self.dropout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.d_model})"


class SinusoidalPositionalEncoding(_PositionalEncoding):
    """``x + PE``, waves of many lengths: nothing is learned; see ``gn.sinusoidal_encoding``.

    Vaswani et al., *Attention is all you need* (2017), section 3.5.

    Parameters
    ----------
    d_model
        Features of each element, an even number.
    max_len
        Longest sequence.
    dropout
        Probability of dropping an element of the sum in training.
    base
        Of the longest wave.
    dtype
        float32 or float64.

    Raises
    ------
    GraphError
        For other numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.SinusoidalPositionalEncoding(16)(gn.Input((None, 10, 16))).shape
    (None, 10, 16)
    """

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        dropout: float = 0.0,
        base: float = 10000.0,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(d_model, max_len, dropout, name=name)
        self._table = sinusoidal_encoding(max_len, d_model, base, dtype)

    def table(self) -> Node:
        """(max_len, d_model), a constant."""
        return self._table


class LearnedPositionalEncoding(_PositionalEncoding):
    """``x + W[position]``: a vector is learned for each position.

    Gehring et al., *Convolutional sequence to sequence learning* (2017). Initialised as GPT-2:
    normal with a standard deviation of 0.02.

    Parameters
    ----------
    d_model
        Features of each element.
    max_len
        Longest sequence.
    dropout
        Probability of dropping an element of the sum in training.
    dtype
        float32 or float64.

    Attributes
    ----------
    weight
        Parameter (max_len, d_model).

    Raises
    ------
    GraphError
        For other numbers.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.LearnedPositionalEncoding(16, max_len=100)
    >>> layer(gn.Input((None, 10, 16))).shape, layer.weight.shape
    ((None, 10, 16), (100, 16))
    """

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        dropout: float = 0.0,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(d_model, max_len, dropout, name=name)
        self.weight = Parameter(init.normal((max_len, d_model), std=0.02, dtype=dtype))

    def table(self) -> Node:
        """(max_len, d_model), the parameter."""
        return self.weight
