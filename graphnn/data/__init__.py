"""Data sets, and the readers of the files they come in."""

from graphnn.data import datasets
from graphnn.data.idx import read_idx

__all__ = ["datasets", "read_idx"]
