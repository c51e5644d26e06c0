"""Multi-head attention, with torch's names, arguments and initial weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from graphnn.context import declared_at
from graphnn.errors import GraphError, ShapeError
from graphnn.nn import init
from graphnn.nn.attention_mask import Masks
from graphnn.nn.linear import Linear
from graphnn.nn.module import Module
from graphnn.node import Constant, Node, NodeLike, Parameter
from graphnn.ops.attention.formula import Formula
from graphnn.ops.attention.tiles import attend
from graphnn.ops.elementwise.choice import less_equal
from graphnn.ops.indexing.dynamic import dynamic_update_slice
from graphnn.ops.indexing.take import take
from graphnn.ops.linalg.matmul import product_of
from graphnn.ops.movement.broadcast import broadcast_to
from graphnn.ops.movement.joining import concat
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.movement.transpose import swapaxes
from graphnn.ops.normalisation.softmax import softmax
from graphnn.ops.random.dropout import checked_share
from graphnn.ops.reduction.reduce import mean
from graphnn.spec import DimLike, as_dtype, format_shape

INSIDE = 2  # heads stand inside: (batch, length, heads, width), as the projections leave them


def check_heads(what: str, **sizes: int) -> None:
    """Raise where features, the first of two sizes, cannot be shared out among heads."""
    (wide, features), (many, heads) = sizes.items()
    whole = all(isinstance(size, int) and size >= 1 for size in sizes.values())
    needed = f"{wide} divisible by {many}" if whole else f"whole numbers >= 1 for {wide} and {many}"
    if not whole or features % heads:
        raise GraphError(
            f"{what} needs {needed}; got {features!r} and {heads!r}. Declared at {declared_at()}."
        )


def check_batch(what: str, batch_first: bool, given: Mapping[str, Node]) -> None:
    """Raise where sequences of three axes are not of one batch."""
    axis = 0 if batch_first else 1
    if len({x.spec.shape[axis] for x in given.values()}) > 1:
        got = ", ".join(f"{name} {format_shape(x.spec.shape)}" for name, x in given.items())
        layout = "(batch, length, features)" if batch_first else "(length, batch, features)"
        raise ShapeError(
            f"{what} needs one batch: {layout}; got {got}. Declared at {declared_at()}."
        )


class MultiheadAttention(Module):
    """``concat(head₁, ..., headₕ) Woᵀ + bo``, headᵢ = attention(q Wqᵢᵀ, k Wkᵢᵀ, v Wvᵢᵀ).

    Vaswani et al., *Attention is all you need* (2017), section 3.2.2; the attention itself is that
    of :func:`graphnn.scaled_dot_product_attention`, whose memory does not grow with the product of
    the lengths. Sequences are batch-first, (batch, length, features), unlike torch's default.

    Initialised as in torch: projections in by Glorot's uniform rule, biases 0, the projection out
    as ``nn.Linear``.

    Parameters
    ----------
    embed_dim
        Features of queries and results.
    num_heads
        Divides ``embed_dim``.
    dropout
        Probability of dropping a weight in training.
    bias
        Whether the projections have biases.
    add_bias_kv
        Whether one key and value more are learned, behind the others.
    add_zero_attn
        Whether a key and a value of zeros stand behind the others.
    kdim, vdim
        Features of keys and of values; None: ``embed_dim``.
    batch_first
        False: (length, batch, features).
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    in_proj_weight
        Parameter (3 embed_dim, embed_dim): for query, key and value. None with ``kdim`` or
        ``vdim``, where ``q_proj_weight``, ``k_proj_weight`` and ``v_proj_weight`` stand for it.
    in_proj_bias
        Parameter (3 embed_dim,), or None.
    out_proj
        The projection of the joined heads.
    bias_k, bias_v
        Parameters (1, 1, embed_dim), or None.

    Raises
    ------
    GraphError
        If ``num_heads`` does not divide ``embed_dim``.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.MultiheadAttention(16, 4)
    >>> x = gn.Input((None, 10, 16), name="x")
    >>> y, weights = layer(x, x, x)
    >>> y.shape, weights.shape
    ((None, 10, 16), (None, 10, 10))
    >>> list(layer.state_dict())
    ['in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias']
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        check_heads("nn.MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout = checked_share("nn.MultiheadAttention", dropout)
        self.batch_first, self.add_zero_attn = batch_first, add_zero_attn
        self.dtype = as_dtype(dtype)
        self._make_projections()
        zeros = np.zeros(3 * embed_dim, self.dtype)
        self.in_proj_bias = Parameter(zeros) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        if self.out_proj.bias is not None:
            self.out_proj.bias.value[...] = 0
        self.bias_k = self._extra() if add_bias_kv else None
        self.bias_v = self._extra() if add_bias_kv else None

    def _make_projections(self) -> None:
        wide, own = self.embed_dim, (self.embed_dim,) * 2
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if (self.kdim, self.vdim) == own:
            self.in_proj_weight = self._weight((3 * wide, wide))
            return
        self.q_proj_weight = self._weight((wide, wide))
        self.k_proj_weight = self._weight((wide, self.kdim))
        self.v_proj_weight = self._weight((wide, self.vdim))

    def _weight(self, shape: tuple[int, int]) -> Parameter:
        return Parameter(init.xavier_uniform(shape, dtype=self.dtype, layout="oi"))

    def _extra(self) -> Parameter:
        # Glorot's normal rule for (1, 1, embed_dim): as many inputs as outputs.
        std = math.sqrt(2 / (2 * self.embed_dim))
        return Parameter(init.normal((1, 1, self.embed_dim), std=std, dtype=self.dtype))

    def forward(
        self,
        query: Node,
        key: Node,
        value: Node,
        key_padding_mask: NodeLike | None = None,
        need_weights: bool = True,
        attn_mask: NodeLike | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Node, Node | None]:
        """Declare the projections, the attention, and its weights for whoever asks for them.

        Parameters
        ----------
        query, key, value
            (batch, queries, embed_dim), (batch, keys, kdim), (batch, keys, vdim); without the
            axis of the batch for one sample.
        key_padding_mask
            (batch, keys). Of bools: True is left out, as in torch and unlike the mask of
            ``gn.scaled_dot_product_attention``. Of floats: added to the scores.
        need_weights
            False: None in place of the weights. They are no part of what computes the result:
            weights that nothing reads cost nothing. Of a query that the masks leave no key they
            are NaN, as torch's; its result is 0, where torch's is NaN.
        attn_mask
            (queries, keys) or (batch · num_heads, queries, keys), of bools or floats as above.
        average_attn_weights
            The mean over the heads.
        is_causal
            Query i sees the keys 0..i. With an ``attn_mask`` it is that mask that counts.

        Returns
        -------
        tuple of Node
            The result (batch, queries, embed_dim); the weights before dropout, (batch, queries,
            keys), or (batch, num_heads, queries, keys) if they are not averaged.

        Raises
        ------
        ShapeError, DTypeError
            If anything does not fit.
        """
        self._check(query, key, value)
        single = query.ndim == 2
        q, k, v = (self._batch_first(x, single) for x in (query, key, value))
        masks = Masks(
            q, k, self.num_heads, self.extras, key_padding_mask, attn_mask, is_causal, single
        )
        q, k, v = self.heads_of("query", q), self.heads_of("key", k), self.heads_of("value", v)
        k, v = self._with_extras(k, v)
        mask = masks.joined()
        scale = 1 / math.sqrt(self.embed_dim // self.num_heads)
        mixed = attend(q, k, v, mask, self.dropout, masks.causal, scale, INSIDE)
        y = self._as_given(self.joined(mixed), single)
        if not need_weights:
            return y, None
        attrs = {"heads": INSIDE, "scale": scale, "causal": masks.causal, "dropout": 0}
        rest = [] if mask is None else [mask]
        found = softmax(Formula({"query": q, "key": k}, rest, attrs).scores())
        found = mean(found, 1) if average_attn_weights else found
        return y, reshape(found, found.spec.shape[1:]) if single else found

    def extend(self, x: Node, keys: Node, values: Node, position: Node) -> tuple[Node, Node, Node]:
        """Attend from one element to itself and to those before it, whose heads are kept.

        Parameters
        ----------
        x
            (batch, 1, embed_dim): the element at ``position``.
        keys, values
            (batch, longest, num_heads, width): heads of the elements before it; see
            :meth:`empty`.
        position
            A whole number, ().

        Returns
        -------
        tuple of Node
            The result (batch, 1, embed_dim); keys and values with those of ``x`` at ``position``.

        Raises
        ------
        GraphError
            With ``add_bias_kv`` or ``add_zero_attn``.
        """
        if self.extras:
            raise GraphError(
                "extend has no add_bias_kv and add_zero_attn, whose keys stand behind all others. "
                f"Declared at {declared_at()}."
            )
        longest = keys.spec.shape[1]
        if isinstance(longest, int):  # a position that the caches have no place for is refused
            position = take(Constant(np.arange(longest)), position)
        keys = dynamic_update_slice(keys, self.heads_of("key", x), position, 1)
        values = dynamic_update_slice(values, self.heads_of("value", x), position, 1)
        assert isinstance(longest, int)  # else the update has refused it
        seen = less_equal(np.arange(longest), position)
        return self.attend_to(x, keys, values, reshape(seen, (1, 1, 1, -1))), keys, values

    def attend_to(self, x: Node, keys: Node, values: Node, mask: Node | None = None) -> Node:
        """Attend to heads that are projected already.

        Parameters
        ----------
        x
            (batch, queries, embed_dim).
        keys, values
            (batch, keys, num_heads, width).
        mask
            Broadcasts to (batch, num_heads, queries, keys); True takes part.
        """
        scale = 1 / math.sqrt(self.embed_dim // self.num_heads)
        q = self.heads_of("query", x)
        return self.joined(attend(q, keys, values, mask, self.dropout, False, scale, INSIDE))

    def empty(self, batch: DimLike, longest: int) -> list[Node]:
        """Keys and values of no element yet, for :meth:`extend`."""
        shape = (batch, longest, self.num_heads, self.embed_dim // self.num_heads)
        return [broadcast_to(Constant(0, dtype=self.dtype), shape) for _ in range(2)]

    def heads_of(self, which: str, x: Node) -> Node:
        """Queries, keys or values of all heads, (batch, length, num_heads, width), projected."""
        place = ("query", "key", "value").index(which) * self.embed_dim
        rows = slice(place, place + self.embed_dim)
        own = {"query": self.q_proj_weight, "key": self.k_proj_weight, "value": self.v_proj_weight}
        weight = own[which] if self.in_proj_weight is None else self.in_proj_weight[rows]
        assert weight is not None
        z = product_of(x, weight, False, True)
        z = z if self.in_proj_bias is None else z + self.in_proj_bias[rows]
        return self._split(z)

    def joined(self, heads: Node) -> Node:
        """The heads side by side, projected."""
        y: Node = self.out_proj(reshape(heads, (*heads.spec.shape[:2], self.embed_dim)))
        return y

    def _split(self, x: Node) -> Node:
        width = self.embed_dim // self.num_heads
        return reshape(x, (*x.spec.shape[:2], self.num_heads, width))

    def _with_extras(self, k: Node, v: Node) -> tuple[Node, Node]:
        """Keys and values with what is learned behind them, and zeros behind that."""
        one = (k.spec.shape[0], 1, *k.spec.shape[2:])
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (
                concat([x, broadcast_to(self._split(extra), one)], 1)
                for x, extra in ((k, self.bias_k), (v, self.bias_v))
            )
        if self.add_zero_attn:
            nothing = broadcast_to(Constant(0, dtype=k.dtype), one)
            k, v = concat([k, nothing], 1), concat([v, nothing], 1)
        return k, v

    @property
    def extras(self) -> int:
        """How many keys stand behind the given ones."""
        return (self.bias_k is not None) + self.add_zero_attn

    def _batch_first(self, x: Node, single: bool) -> Node:
        if single:
            return reshape(x, (1, *x.spec.shape))
        return x if self.batch_first else swapaxes(x, 0, 1)

    def _as_given(self, y: Node, single: bool) -> Node:
        if single:
            return reshape(y, y.spec.shape[1:])
        return y if self.batch_first else swapaxes(y, 0, 1)

    def _check(self, query: Node, key: Node, value: Node) -> None:
        wanted = (self.embed_dim, self.kdim, self.vdim)
        given = (query, key, value)
        ranks = {x.ndim for x in given}
        if len(ranks) > 1 or not ranks <= {2, 3}:
            got = ", ".join(format_shape(x.spec.shape) for x in given)
            raise ShapeError(
                "nn.MultiheadAttention needs query, key and value (batch, length, features), or "
                f"all without a batch; got {got}. Declared at {declared_at()}."
            )
        for what, x, size in zip(("query", "key", "value"), given, wanted, strict=True):
            if x.spec.shape[-1] != size:
                raise ShapeError(
                    f"nn.MultiheadAttention needs {what}.shape[-1] == {size}; got "
                    f"{format_shape(x.spec.shape)} for {x.name!r}. Declared at {declared_at()}."
                )
        if query.ndim == 3:
            of = {"query": query, "key": key, "value": value}
            check_batch("nn.MultiheadAttention", self.batch_first, of)
        length = 0 if query.ndim == 2 else int(self.batch_first)
        if key.spec.shape[length] != value.spec.shape[length]:
            raise ShapeError(
                "nn.MultiheadAttention needs as many values as keys; got "
                f"{format_shape(key.spec.shape)} for {key.name!r} and "
                f"{format_shape(value.spec.shape)} for {value.name!r}. Declared at {declared_at()}."
            )

    def __repr__(self) -> str:
        return f"MultiheadAttention({self.embed_dim}, {self.num_heads})"
