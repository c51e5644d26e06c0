"""The layers of the transformer, with torch's names, arguments and state; batch-first.

Vaswani et al., *Attention is all you need* (2017); with ``norm_first`` the norms stand before the
sublayers (Xiong et al., *On layer normalization in the transformer architecture*, 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn.attention import MultiheadAttention, check_batch, check_heads
from graphnn.nn.linear import Linear
from graphnn.nn.module import Module
from graphnn.nn.norm import LayerNorm
from graphnn.node import Node, NodeLike
from graphnn.ops.activation.sigmoid import gelu, relu
from graphnn.ops.random.dropout import checked_share, dropout
from graphnn.spec import DimLike, format_shape

Activation: TypeAlias = Literal["relu", "gelu"] | Callable[[Node], Node]
Mask: TypeAlias = "NodeLike | None"


KNOWN: dict[object, Callable[[Node], Node]] = {"relu": relu, "gelu": gelu}


def _checked_activation(given: Activation) -> Activation:
    if not callable(given) and given not in KNOWN:
        raise GraphError(
            f"activation is 'relu', 'gelu' or a function of a node; got {given!r}. "
            f"Declared at {declared_at()}."
        )
    return given


def check_sequences(what: str, d_model: int, batch_first: bool, given: Mapping[str, Node]) -> None:
    """Raise where a transformer's sequences do not fit it, or each other.

    Raises
    ------
    ShapeError
        With their names and shapes.
    """
    ranks = {x.ndim for x in given.values()}
    got = ", ".join(f"{name} {format_shape(x.spec.shape)}" for name, x in given.items())
    if len(ranks) > 1 or not ranks <= {2, 3}:
        raise ShapeError(
            f"{what} needs (batch, length, {d_model}), or (length, {d_model}) of one sample; got "
            f"{got}. Declared at {declared_at()}."
        )
    if any(x.spec.shape[-1] != d_model for x in given.values()):
        raise ShapeError(
            f"{what} needs d_model={d_model} features on the last axis; got {got}. "
            f"Declared at {declared_at()}."
        )
    if ranks == {3}:
        check_batch(what, batch_first, given)


@dataclass(frozen=True)
class _Options:
    """What all parts of a layer are made with."""

    d_model: int
    nhead: int
    dim_feedforward: int
    dropout: float
    layer_norm_eps: float
    batch_first: bool
    bias: bool
    dtype: object

    def attention(self) -> MultiheadAttention:
        """Multi-head attention."""
        return MultiheadAttention(
            self.d_model,
            self.nhead,
            self.dropout,
            self.bias,
            batch_first=self.batch_first,
            dtype=self.dtype,
        )

    def feedforward(self) -> tuple[Linear, Linear]:
        """There and back."""
        inner = self.dim_feedforward
        return (
            Linear(self.d_model, inner, self.bias, dtype=self.dtype),
            Linear(inner, self.d_model, self.bias, dtype=self.dtype),
        )

    def norm(self) -> LayerNorm:
        """Of each element."""
        return LayerNorm(self.d_model, self.layer_norm_eps, bias=self.bias, dtype=self.dtype)


class _Layer(Module):
    """What a layer of the encoder and of the decoder share."""

    self_attn: MultiheadAttention
    linear1: Linear
    linear2: Linear

    def __init__(
        self,
        d_model: int,
        nhead: int,
        batch_first: bool,
        dropout: float,
        activation: Activation,
        norm_first: bool,
        name: str | None,
    ) -> None:
        super().__init__(name)
        check_heads(f"nn.{type(self).__name__}", d_model=d_model, nhead=nhead)
        self.d_model, self.batch_first = d_model, batch_first
        self.norm_first, self.activation = norm_first, _checked_activation(activation)
        self.dropout = checked_share(f"nn.{type(self).__name__}", dropout)

    def check(self, **given: Node) -> None:
        """Raise where sequences do not fit."""
        check_sequences(f"nn.{type(self).__name__}", self.d_model, self.batch_first, given)

    def around(self, x: Node, norm: LayerNorm, sublayer: Callable[[Node], Node]) -> Node:
        """``x + sublayer(norm(x))``, or ``norm(x + sublayer(x))``, with dropout of the sublayer."""
        if self.norm_first:
            return x + dropout(sublayer(norm(x)), self.dropout)
        y: Node = norm(x + dropout(sublayer(x), self.dropout))
        return y

    def feedforward(self, x: Node) -> Node:
        """Two dense layers, each element by itself."""
        given = self.activation
        activation = given if callable(given) else KNOWN[given]
        y: Node = self.linear2(dropout(activation(self.linear1(x)), self.dropout))
        return y


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feedforward network, each with a residual and a norm.

    Vaswani et al. (2017), section 3.1. Dropout acts on the weights of the attention, between the
    two dense layers, and on the result of each sublayer.

    Parameters
    ----------
    d_model
        Features of each element.
    nhead
        Number of heads, a divisor of ``d_model``.
    dim_feedforward
        Features between the two dense layers.
    dropout
        Probability of dropping, in [0, 1).
    activation
        ``"relu"``, ``"gelu"``, or a function of a node.
    layer_norm_eps
        Keeps the norms' roots away from 0.
    batch_first
        True, unlike torch's default: (batch, length, features); False: (length, batch, features).
    norm_first
        Whether the norms stand before the sublayers.
    bias
        Whether dense layers, projections and norms have biases.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Raises
    ------
    GraphError
        For arguments that do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.TransformerEncoderLayer(16, 4, dim_feedforward=32)
    >>> layer(gn.Input((None, 10, 16)), is_causal=True).shape
    (None, 10, 16)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(d_model, nhead, batch_first, dropout, activation, norm_first, name)
        parts = _Options(
            d_model, nhead, dim_feedforward, dropout, layer_norm_eps, batch_first, bias, dtype
        )
        self.self_attn = parts.attention()
        self.linear1, self.linear2 = parts.feedforward()
        self.norm1, self.norm2 = parts.norm(), parts.norm()

    def forward(
        self,
        src: Node,
        src_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> Node:
        """Declare the layer; the masks are those of :class:`MultiheadAttention`."""
        self.check(src=src)

        def attention(x: Node) -> Node:
            y: Node = self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]
            return y

        x = self.around(src, self.norm1, attention)
        return self.around(x, self.norm2, self.feedforward)

    def empty(self, batch: DimLike, longest: int) -> list[Node]:
        """What :meth:`extend` keeps, before the first element: keys and values."""
        return self.self_attn.empty(batch, longest)

    def extend(self, src: Node, state: Sequence[Node], position: Node) -> tuple[Node, list[Node]]:
        """One element more, (batch, 1, d_model), which sees those before it; see ``gn.Decoder``."""
        kept: list[Node] = []

        def attention(x: Node) -> Node:
            y, *new = self.self_attn.extend(x, state[0], state[1], position)
            kept.extend(new)
            return y

        x = self.around(src, self.norm1, attention)
        return self.around(x, self.norm2, self.feedforward), kept


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory, and a feedforward network.

    Vaswani et al. (2017), section 3.1. Parameters as of :class:`TransformerEncoderLayer`.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.TransformerDecoderLayer(16, 4, dim_feedforward=32)
    >>> target, memory = gn.Input((None, 5, 16)), gn.Input((None, 10, 16))
    >>> layer(target, memory, tgt_is_causal=True).shape
    (None, 5, 16)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(d_model, nhead, batch_first, dropout, activation, norm_first, name)
        parts = _Options(
            d_model, nhead, dim_feedforward, dropout, layer_norm_eps, batch_first, bias, dtype
        )
        self.self_attn, self.multihead_attn = parts.attention(), parts.attention()
        self.linear1, self.linear2 = parts.feedforward()
        self.norm1, self.norm2, self.norm3 = parts.norm(), parts.norm(), parts.norm()

    def forward(
        self,
        tgt: Node,
        memory: Node,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Node:
        """Declare the layer; the masks are those of :class:`MultiheadAttention`."""
        self.check(tgt=tgt, memory=memory)

        def to_itself(x: Node) -> Node:
            y: Node = self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]
            return y

        def to_memory(x: Node) -> Node:
            y: Node = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask,
                is_causal=memory_is_causal,
            )[0]  # fmt: skip
            return y

        x = self.around(tgt, self.norm1, to_itself)
        x = self.around(x, self.norm2, to_memory)
        return self.around(x, self.norm3, self.feedforward)

    def begin(self, memory: Node, longest: int) -> list[Node]:
        """What :meth:`extend` keeps, before the first element: keys, values, and the memory's."""
        heads = (self.multihead_attn.heads_of(which, memory) for which in ("key", "value"))
        return [*self.self_attn.empty(memory.spec.shape[0], longest), *heads]

    def extend(
        self, tgt: Node, state: Sequence[Node], position: Node, memory_mask: Node | None = None
    ) -> tuple[Node, list[Node]]:
        """One element more, (batch, 1, d_model), which sees those before it and the memory.

        ``memory_mask`` broadcasts to (batch, nhead, 1, keys); True takes part. See ``gn.Decoder``.
        """
        keys, values, memory_keys, memory_values = state
        kept: list[Node] = []

        def to_itself(x: Node) -> Node:
            y, *new = self.self_attn.extend(x, keys, values, position)
            kept.extend(new)
            return y

        def to_memory(x: Node) -> Node:
            return self.multihead_attn.attend_to(x, memory_keys, memory_values, memory_mask)

        x = self.around(tgt, self.norm1, to_itself)
        x = self.around(x, self.norm2, to_memory)
        return self.around(x, self.norm3, self.feedforward), [*kept, memory_keys, memory_values]
