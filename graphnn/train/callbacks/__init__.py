"""Python between the pieces of a compiled training loop: ``gn.callbacks``."""

from graphnn.train.callbacks.callback import Callback
from graphnn.train.callbacks.early_stopping import EarlyStopping
from graphnn.train.callbacks.finite import TerminateOnNaN
from graphnn.train.callbacks.functions import LambdaCallback
from graphnn.train.callbacks.loggers import CSVLogger, JSONLogger
from graphnn.train.callbacks.model_checkpoint import ModelCheckpoint
from graphnn.train.callbacks.plateau import ReduceLROnPlateau
from graphnn.train.callbacks.tensorboard import TensorBoard

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "JSONLogger",
    "LambdaCallback",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
]
