"""Tables of vectors, one for each word of a vocabulary."""

from __future__ import annotations

from graphnn.context import declared_at
from graphnn.errors import GraphError
from graphnn.nn import init
from graphnn.nn.module import Module
from graphnn.node import Node, Parameter
from graphnn.ops.indexing.take import embedding


class Embedding(Module):
    """Rows of a table, chosen by whole numbers: (...,) to (..., embedding_dim).

    Initialised as in torch: standard normal, zeros in the row of ``padding_idx``.

    Parameters
    ----------
    num_embeddings
        Rows of the table.
    embedding_dim
        Size of a row.
    padding_idx
        A row of zeros that is not learned: what fills short sequences up.
    dtype
        float32 or float64.
    name
        Scope of its nodes.

    Attributes
    ----------
    weight
        Parameter (num_embeddings, embedding_dim).

    Raises
    ------
    GraphError
        If ``padding_idx`` is no row.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.nn.Embedding(1000, 16, padding_idx=0)(gn.Input((None, 7), "int64")).shape
    (None, 7, 16)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: object = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise GraphError(
                f"nn.Embedding: padding_idx={padding_idx} is no row of {num_embeddings}. "
                f"Declared at {declared_at()}."
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        table = init.normal((num_embeddings, embedding_dim), std=1.0, dtype=dtype)
        if self.padding_idx is not None:
            table[self.padding_idx] = 0
        self.weight = Parameter(table)

    def forward(self, indices: Node) -> Node:
        """Declare the choice of rows."""
        return embedding(self.weight, indices, self.padding_idx)

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.num_embeddings}, {self.embedding_dim}{padding})"
