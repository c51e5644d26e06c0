"""The ops: each declared in one place, and entered into the registry.

Each room that declares any is one line here; its ``__all__`` says what is public, as ``gn.name``.
"""

from typing import TYPE_CHECKING

from graphnn.ops.activation.gated import *
from graphnn.ops.activation.rectifier import *
from graphnn.ops.activation.sigmoid import *
from graphnn.ops.attention.position import *
from graphnn.ops.attention.scaled_dot_product import *
from graphnn.ops.attention.tiles import *
from graphnn.ops.convolution.adaptive import *
from graphnn.ops.convolution.average import *
from graphnn.ops.convolution.conv import *
from graphnn.ops.convolution.correlation import *
from graphnn.ops.convolution.largest import *
from graphnn.ops.convolution.pool import *
from graphnn.ops.elementwise.arithmetic import *
from graphnn.ops.elementwise.cast import *
from graphnn.ops.elementwise.choice import *
from graphnn.ops.elementwise.functions import *
from graphnn.ops.elementwise.rounding import *
from graphnn.ops.image.augmentation import *
from graphnn.ops.image.interpolation import *
from graphnn.ops.image.warping import *
from graphnn.ops.image.window import *
from graphnn.ops.indexing.along import *
from graphnn.ops.indexing.dynamic import *
from graphnn.ops.indexing.getitem import *
from graphnn.ops.indexing.sorting import *
from graphnn.ops.indexing.take import *
from graphnn.ops.linalg.diagonal import *
from graphnn.ops.linalg.einsum import *
from graphnn.ops.linalg.matmul import *
from graphnn.ops.loss.binary import *
from graphnn.ops.loss.comparison import *
from graphnn.ops.loss.cross_entropy import *
from graphnn.ops.loss.distance import *
from graphnn.ops.loss.labels import *
from graphnn.ops.loss.likelihood import *
from graphnn.ops.loss.margin import *
from graphnn.ops.loss.metric import *
from graphnn.ops.movement.broadcast import *
from graphnn.ops.movement.copy import *
from graphnn.ops.movement.filled import *
from graphnn.ops.movement.joining import *
from graphnn.ops.movement.padding import *
from graphnn.ops.movement.reshape import *
from graphnn.ops.movement.slicing import *
from graphnn.ops.movement.transpose import *
from graphnn.ops.normalisation.batch_norm import *
from graphnn.ops.normalisation.norm import *
from graphnn.ops.normalisation.softmax import *
from graphnn.ops.normalisation.standardize import *
from graphnn.ops.random.dropout import *
from graphnn.ops.random.generator import *
from graphnn.ops.random.uniform import *
from graphnn.ops.reduction.cumulative import *
from graphnn.ops.reduction.reduce import *
from graphnn.ops.reduction.statistics import *
from graphnn.ops.training.phase import *
from graphnn.ops.training.tally import *
from graphnn.ops.training.update import *

if not TYPE_CHECKING:  # type checkers read the stars, and no list that is put together
    __all__ = sorted(
        name for name, brought in globals().items() if callable(brought) and name[0] != "_"
    )
