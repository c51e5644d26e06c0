"""The training loop: epochs inside the compiled executor, watched from outside."""

from graphnn.train.epochs import EpochRun
from graphnn.train.history import History
from graphnn.train.loops import loop

__all__ = ["EpochRun", "History", "loop"]
