"""Data sets to learn from: ``from graphnn.datasets import mnist10k``."""

from graphnn.data.datasets import data_home, default, mnist, mnist10k, nyse, spambase

__all__ = ["data_home", "default", "mnist", "mnist10k", "nyse", "spambase"]
