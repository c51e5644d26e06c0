"""Recurrent networks of a single step, for loops of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.context import declared_at
from graphnn.errors import ShapeError
from graphnn.nn.module import Module
from graphnn.nn.step import (
    State,
    check_nonlinearity,
    check_sizes,
    checked_state,
    gru_biases,
    gru_step,
    lstm_step,
    projected,
    rnn_step,
    weights,
    zero_state,
)
from graphnn.node import Node, NodeLike, Parameter
from graphnn.spec import format_shape


class _Cell(Module):
    """What all cells share: weights, and a step on a batch."""

    _gates = 1
    _parts = 1  # of the state

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_sizes(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.bias_ih = self.bias_hh = None
        made = weights(self._gates, input_size, hidden_size, hidden_size, bias, dtype)
        for key, parameter in made.items():
            self.__dict__.pop(key, None)  # so that the names stand in torch's order
            setattr(self, key, parameter)

    def _bias(self) -> Node | None:
        if self.bias_ih is None or self.bias_hh is None:
            return None
        return self.bias_ih + self.bias_hh

    def _started(self, x: Node, state: NodeLike | Sequence[NodeLike] | None) -> State:
        """The state as a tuple, checked; zeros if none is given."""
        if x.ndim != 2 or x.spec.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__} needs x (batch, {self.input_size}); got "
                f"{format_shape(x.spec.shape)}. Declared at {declared_at()}. "
                f"A whole sequence? Use nn.{type(self).__name__.removesuffix('Cell')}."
            )
        shape = (x.spec.shape[0], self.hidden_size)
        if state is None:
            return (zero_state(x, shape),) * self._parts
        what = f"the state of {type(self).__name__}"
        return checked_state(what, state, [shape] * self._parts, x.dtype)

    def __repr__(self) -> str:
        extra = "" if self.bias_ih is not None else ", bias=False"
        return f"{type(self).__name__}({self.input_size}, {self.hidden_size}{extra})"


class RNNCell(_Cell):
    """``h' = φ(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)``: one step of a simple recurrent network.

    x (N, in), h and h' (N, H). Elman, *Finding Structure in Time* (Cognitive Science 14, 1990).
    Initialised as in torch: all weights uniform over ±1/√H.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    bias
        Whether there are biases.
    nonlinearity
        φ: ``"tanh"`` or ``"relu"``.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh
        Parameters (H, in), (H, H), (H,), (H,); the biases None without bias.

    Raises
    ------
    ShapeError
        When called with x or a state of another shape.

    Examples
    --------
    >>> import graphnn as gn
    >>> cell, x = gn.nn.RNNCell(3, 5), gn.Input((None, 3))
    >>> h = cell(x)
    >>> cell(x, h).shape
    (None, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, dtype=dtype, name=name)
        check_nonlinearity("RNNCell", nonlinearity)
        self.nonlinearity = nonlinearity

    def forward(self, x: Node, state: NodeLike | None = None) -> Node:
        """Declare the step; without a state, from zeros."""
        start = self._started(x, state)
        step = projected(x, self.weight_ih, self._bias())
        return rnn_step(step, start, self.weight_hh, self.nonlinearity)[0]


class LSTMCell(_Cell):
    """One step of a long short-term memory: (h, c) to (h', c').

    ``i, f, g, o = σ, σ, tanh, σ of x W_ihᵀ + b_ih + h W_hhᵀ + b_hh``, ``c' = f ⊙ c + i ⊙ g``,
    ``h' = o ⊙ tanh(c')``: x (N, in), all else (N, H). Hochreiter, Schmidhuber, *Long Short-Term
    Memory* (Neural Computation 9, 1997), with the forget gate of Gers, Schmidhuber, Cummins (2000).
    Initialised as in torch: all weights uniform over ±1/√H.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    bias
        Whether there are biases.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh
        Parameters (4H, in), (4H, H), (4H,), (4H,), gates in the order i, f, g, o.

    Raises
    ------
    ShapeError, GraphError
        When called with x or a state of another shape, or a state that is no pair.

    Examples
    --------
    >>> import graphnn as gn
    >>> cell, x = gn.nn.LSTMCell(3, 5), gn.Input((None, 3))
    >>> h, c = cell(x)
    >>> [part.shape for part in cell(x, (h, c))]
    [(None, 5), (None, 5)]
    """

    _gates = 4
    _parts = 2

    def forward(self, x: Node, state: Sequence[NodeLike] | None = None) -> State:
        """Declare the step; without a state, from zeros."""
        start = self._started(x, state)
        return lstm_step(projected(x, self.weight_ih, self._bias()), start, self.weight_hh)


class GRUCell(_Cell):
    """One step of a gated recurrent unit.

    ``r, z = σ(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh)``,
    ``n = tanh(x W_inᵀ + b_in + r ⊙ (h W_hnᵀ + b_hn))``, ``h' = (1 - z) ⊙ n + z ⊙ h``: x (N, in),
    all else (N, H). Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder* (EMNLP
    2014), with r after the product, as in torch. Initialised as in torch: uniform over ±1/√H.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    bias
        Whether there are biases.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh
        Parameters (3H, in), (3H, H), (3H,), (3H,), gates in the order r, z, n.

    Raises
    ------
    ShapeError
        When called with x or a state of another shape.

    Examples
    --------
    >>> import graphnn as gn
    >>> cell, x = gn.nn.GRUCell(3, 5), gn.Input((None, 3))
    >>> cell(x, cell(x)).shape
    (None, 5)
    """

    _gates = 3

    def forward(self, x: Node, state: NodeLike | None = None) -> Node:
        """Declare the step; without a state, from zeros."""
        start = self._started(x, state)
        bias = inner = None
        if self.bias_ih is not None and self.bias_hh is not None:
            bias, inner = gru_biases(self.bias_ih, self.bias_hh)
        return gru_step(projected(x, self.weight_ih, bias), start, self.weight_hh, inner)[0]
