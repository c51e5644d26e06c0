"""The transformer, with torch's names, arguments, state and initial weights; batch-first.

Vaswani et al., *Attention is all you need* (2017).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from graphnn.calls import check_whole, shown
from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn import init
from graphnn.nn.attention import check_heads
from graphnn.nn.module import Module
from graphnn.nn.norm import LayerNorm
from graphnn.nn.transformer_layers import (
    Activation,
    Mask,
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    check_sequences,
)
from graphnn.node import Node
from graphnn.spec import DimLike, as_dtype

L = TypeVar("L", bound=Module)


def _copies(layer: L, count: int) -> list[L]:
    """Copies with the same initial weights, as torch makes them."""
    check_whole("num_layers", count, 1)
    if not isinstance(layer, Module):
        raise GraphError(
            f"the layer of a transformer is a module, which is copied; got {shown(layer)}. "
            f"Declared at {declared_at()}. Give one, made: nn.TransformerEncoderLayer(512, 8)."
        )
    return [copy.deepcopy(layer) for _ in range(count)]


class TransformerEncoder(Module):
    """Layers one after the other, copies of one; then a norm, if one is given.

    Parameters
    ----------
    encoder_layer
        What is copied: all layers begin with its weights, as in torch.
    num_layers
        How many.
    norm
        A module for the end, or None.

    Raises
    ------
    GraphError
        If ``num_layers`` is less than 1.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.TransformerEncoderLayer(16, 4, dim_feedforward=32)
    >>> gn.nn.TransformerEncoder(layer, 2)(gn.Input((None, 10, 16))).shape
    (None, 10, 16)
    """

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.layers, self.num_layers, self.norm = (
            _copies(encoder_layer, num_layers),
            num_layers,
            norm,
        )

    def forward(
        self,
        src: Node,
        mask: Mask = None,
        src_key_padding_mask: Mask = None,
        is_causal: bool = False,
    ) -> Node:
        """Declare all layers; the masks are those of :class:`MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)

    def empty(self, batch: DimLike, longest: int) -> list[Node]:
        """What :meth:`extend` keeps of all layers, before the first element."""
        return [node for layer in self.layers for node in layer.empty(batch, longest)]

    def extend(self, src: Node, state: Sequence[Node], position: Node) -> tuple[Node, list[Node]]:
        """One element more, (batch, 1, d_model), as with ``is_causal=True``; see ``gn.Decoder``."""
        kept: list[Node] = []
        for i, layer in enumerate(self.layers):
            src, new = layer.extend(src, state[2 * i : 2 * i + 2], position)
            kept += new
        return (src if self.norm is None else self.norm(src)), kept


class TransformerDecoder(Module):
    """Layers one after the other, copies of one; then a norm, if one is given.

    Parameters as of :class:`TransformerEncoder`.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.TransformerDecoderLayer(16, 4, dim_feedforward=32)
    >>> target, memory = gn.Input((None, 5, 16)), gn.Input((None, 10, 16))
    >>> gn.nn.TransformerDecoder(layer, 2)(target, memory, tgt_is_causal=True).shape
    (None, 5, 16)
    """

    def __init__(
        self,
        decoder_layer: TransformerDecoderLayer,
        num_layers: int,
        norm: Module | None = None,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.layers, self.num_layers, self.norm = (
            _copies(decoder_layer, num_layers),
            num_layers,
            norm,
        )

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
        """Declare all layers; the masks are those of :class:`MultiheadAttention`."""
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                tgt_is_causal, memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)

    def begin(self, memory: Node, longest: int) -> list[Node]:
        """What :meth:`extend` keeps of all layers, before the first element."""
        return [node for layer in self.layers for node in layer.begin(memory, longest)]

    def extend(
        self, tgt: Node, state: Sequence[Node], position: Node, memory_mask: Node | None = None
    ) -> tuple[Node, list[Node]]:
        """One element more, (batch, 1, d_model), as with ``tgt_is_causal=True``.

        See ``gn.Decoder``. ``memory_mask`` broadcasts to (batch, nhead, 1, keys); True takes part.
        """
        kept: list[Node] = []
        for i, layer in enumerate(self.layers):
            tgt, new = layer.extend(tgt, state[4 * i : 4 * i + 4], position, memory_mask)
            kept += new
        return (tgt if self.norm is None else self.norm(tgt)), kept


class Transformer(Module):
    """An encoder, and a decoder that attends to what it made: (source, target) to features.

    Vaswani et al. (2017), figure 1, without the embeddings before and the dense layer behind.
    Initialised as in torch: all matrices by Glorot's uniform rule.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first
        As of :class:`TransformerEncoderLayer`.
    num_encoder_layers, num_decoder_layers
        How many.
    custom_encoder, custom_decoder
        Modules in their place.
    bias, dtype, name
        As there.

    Raises
    ------
    GraphError
        For arguments that do not fit.

    Examples
    --------
    >>> import graphnn as gn
    >>> net = gn.nn.Transformer(16, 4, 1, 1, dim_feedforward=32)
    >>> source, target = gn.Input((None, 10, 16)), gn.Input((None, 5, 16))
    >>> net(source, target, tgt_is_causal=True).shape
    (None, 5, 16)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_heads("nn.Transformer", d_model=d_model, nhead=nhead)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        shared = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder: Module = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*shared, dtype=dtype), num_encoder_layers, norm()
        )
        self.decoder: Module = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*shared, dtype=dtype), num_decoder_layers, norm()
        )
        for parameter in self.parameters():
            if parameter.ndim > 1:
                drawn = init.xavier_uniform(
                    parameter.value.shape, dtype=parameter.dtype, layout="oi"
                )
                parameter.value = drawn

    def forward(
        self,
        src: Node,
        tgt: Node,
        src_mask: Mask = None,
        tgt_mask: Mask = None,
        memory_mask: Mask = None,
        src_key_padding_mask: Mask = None,
        tgt_key_padding_mask: Mask = None,
        memory_key_padding_mask: Mask = None,
        src_is_causal: bool = False,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Node:
        """Declare encoder and decoder; the masks are those of :class:`MultiheadAttention`."""
        check_sequences("nn.Transformer", self.d_model, self.batch_first, {"src": src, "tgt": tgt})
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        y: Node = self.decoder(
            tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
            tgt_is_causal, memory_is_causal,
        )  # fmt: skip
        return y

    @staticmethod
    def generate_square_subsequent_mask(sz: int, dtype: object = "float32") -> NDArray[np.floating]:
        """0 where query i may see key j ≤ i, -∞ elsewhere: (sz, sz), for ``tgt_mask``.

        The layers know it when they see it, and leave out what it masks: it costs what
        ``tgt_is_causal=True`` costs.

        Examples
        --------
        >>> import graphnn as gn
        >>> gn.nn.Transformer.generate_square_subsequent_mask(2)
        array([[  0., -inf],
               [  0.,   0.]], dtype=float32)
        """
        return np.triu(np.full((sz, sz), -np.inf, as_dtype(dtype)), 1)
