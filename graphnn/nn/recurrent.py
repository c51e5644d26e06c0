"""Recurrent layers: whole sequences through RNN, LSTM and GRU."""

from __future__ import annotations

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn.over_time import Recurrent
from graphnn.nn.step import (
    Probe,
    State,
    check_nonlinearity,
    check_sizes,
    gru_biases,
    gru_step,
    lstm_step,
    rnn_step,
)
from graphnn.node import Node


class RNN(Recurrent):
    """``hₜ = φ(xₜ W_ihᵀ + b_ih + hₜ₋₁ W_hhᵀ + b_hh)``: a simple recurrent network.

    x (N, T, in) to the output (N, T, D H) and the last state (L D, N, H), for L layers and D
    directions. Elman, *Finding Structure in Time* (Cognitive Science 14, 1990); in both directions
    Schuster, Paliwal (1997). Initialised as in torch: all weights uniform over ±1/√H.

    Called as ``output, state = layer(x, state=None, lengths=None, probe=None)``:
    :meth:`forward` says what each is. ``output[:, -1]`` is the last step of sequences of one
    length; the last step of each sequence is in ``state``.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    num_layers
        Layers on top of each other: each takes the outputs of the one before.
    nonlinearity
        φ: ``"tanh"`` or ``"relu"``.
    bias
        Whether there are biases.
    batch_first
        Whether x and the output are (N, T, features), as all sequences in graphnn, and unlike
        torch's default; else (T, N, features).
    dropout
        Share of what is dropped between layers, in training; of one layer alone nothing is.
    bidirectional
        Whether each layer also reads from the end to the beginning; outputs are joined.
    truncate
        Through how many steps gradients flow back at most; None: through all.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
        Parameters (H, in), (H, H), (H,), (H,); of layer k ``_lk``, and backwards ``_lk_reverse``.

    Raises
    ------
    GraphError
        For sizes, a share or a nonlinearity that do not exist.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.RNN(3, 5, num_layers=2)
    >>> output, state = layer(gn.Input((None, 7, 3)))
    >>> output.shape, state.shape
    ((None, 7, 5), (2, None, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        truncate: int | None = None,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            truncate=truncate, dtype=dtype, name=name,
        )  # fmt: skip
        check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity

    def _step(self, x: Node, state: State, suffix: str, _inner: Node | None, probe: Probe) -> State:
        return rnn_step(x, state, self._weight("weight_hh" + suffix), self.nonlinearity, probe)


class LSTM(Recurrent):
    """Long short-term memory: gates decide what a cell keeps, takes in, and shows.

    With ``i, f, g, o = σ, σ, tanh, σ of xₜ W_ihᵀ + b_ih + hₜ₋₁ W_hhᵀ + b_hh``:
    ``cₜ = f ⊙ cₜ₋₁ + i ⊙ g``, ``hₜ = o ⊙ tanh(cₜ)``. x (N, T, in) to the output (N, T, D H) and the
    last states h, c (L D, N, H), for L layers and D directions. Hochreiter, Schmidhuber, *Long
    Short-Term Memory* (Neural Computation 9, 1997), with the forget gate of Gers, Schmidhuber,
    Cummins (2000). Initialised as in torch: all weights uniform over ±1/√H.

    Called as ``output, (h, c) = layer(x, state=None, lengths=None, probe=None)``:
    :meth:`forward` says what each is.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    num_layers
        Layers on top of each other: each takes the outputs of the one before.
    bias
        Whether there are biases.
    batch_first
        Whether x and the output are (N, T, features), as all sequences in graphnn, and unlike
        torch's default; else (T, N, features).
    dropout
        Share of what is dropped between layers, in training; of one layer alone nothing is.
    bidirectional
        Whether each layer also reads from the end to the beginning; outputs are joined.
    proj_size
        Where not 0, h is projected to this size P: ``hₜ = (o ⊙ tanh(cₜ)) W_hrᵀ`` (Sak, Senior,
        Beaufays, 2014).
    truncate
        Through how many steps gradients flow back at most; None: through all.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
        Parameters (4H, in), (4H, H), (4H,), (4H,), gates in the order i, f, g, o; of layer k
        ``_lk``, and backwards ``_lk_reverse``. With a projection also weight_hr_l0 (P, H).

    Raises
    ------
    GraphError
        For sizes or a share that do not exist.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.LSTM(3, 5, bidirectional=True)
    >>> output, (h, c) = layer(gn.Input((None, 7, 3)), lengths=gn.Input((None,), "int64"))
    >>> output.shape, h.shape, c.shape
    ((None, 7, 10), (2, None, 5), (2, None, 5))
    """

    _gates = 4
    _parts = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        truncate: int | None = None,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        check_sizes("LSTM", hidden_size=hidden_size)
        if type(proj_size) is not int or not 0 <= proj_size < hidden_size:
            raise GraphError(
                f"nn.LSTM: proj_size is smaller than hidden_size={hidden_size}, or 0; got "
                f"{proj_size!r}. Declared at {declared_at()}."
            )
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size=proj_size, truncate=truncate, dtype=dtype, name=name,
        )  # fmt: skip

    def _step(self, x: Node, state: State, suffix: str, _inner: Node | None, probe: Probe) -> State:
        projection = self._weight("weight_hr" + suffix) if self.proj_size else None
        return lstm_step(x, state, self._weight("weight_hh" + suffix), projection, probe)


class GRU(Recurrent):
    """Gated recurrent units: a gate mixes the old state with a new one.

    ``r, z = σ(xₜ W_ihᵀ + b_ih + hₜ₋₁ W_hhᵀ + b_hh)``,
    ``n = tanh(xₜ W_inᵀ + b_in + r ⊙ (hₜ₋₁ W_hnᵀ + b_hn))``, ``hₜ = (1 - z) ⊙ n + z ⊙ hₜ₋₁``.
    x (N, T, in) to the output (N, T, D H) and the last state (L D, N, H), for L layers and D
    directions. Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder* (EMNLP
    2014), with r after the product, as in torch. Initialised as in torch: all weights uniform over
    ±1/√H.

    Called as ``output, state = layer(x, state=None, lengths=None, probe=None)``:
    :meth:`forward` says what each is.

    Parameters
    ----------
    input_size, hidden_size
        Sizes in and H.
    num_layers
        Layers on top of each other: each takes the outputs of the one before.
    bias
        Whether there are biases.
    batch_first
        Whether x and the output are (N, T, features), as all sequences in graphnn, and unlike
        torch's default; else (T, N, features).
    dropout
        Share of what is dropped between layers, in training; of one layer alone nothing is.
    bidirectional
        Whether each layer also reads from the end to the beginning; outputs are joined.
    truncate
        Through how many steps gradients flow back at most; None: through all.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0
        Parameters (3H, in), (3H, H), (3H,), (3H,), gates in the order r, z, n; of layer k ``_lk``,
        and backwards ``_lk_reverse``.

    Raises
    ------
    GraphError
        For sizes or a share that do not exist.

    Examples
    --------
    >>> import graphnn as gn
    >>> output, state = gn.nn.GRU(3, 5)(gn.Input((None, 7, 3)))
    >>> output.shape, state.shape
    ((None, 7, 5), (1, None, 5))
    """

    _gates = 3

    def _biases(self, suffix: str) -> tuple[Node | None, Node | None]:
        if not self.bias:
            return None, None
        return gru_biases(self._weight("bias_ih" + suffix), self._weight("bias_hh" + suffix))

    def _step(self, x: Node, state: State, suffix: str, inner: Node | None, probe: Probe) -> State:
        return gru_step(x, state, self._weight("weight_hh" + suffix), inner, probe)
