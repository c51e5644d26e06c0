"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop."""

from graphnn import nn, optim
from graphnn.autodiff import grad, hvp, jvp, vjp
from graphnn.backends.cpu.executor import get_num_threads, set_num_threads
from graphnn.checkpoint import checkpoint
from graphnn.context import scope
from graphnn.data import datasets
from graphnn.errors import (
    DataError,
    DTypeError,
    GraphError,
    GraphnnError,
    KernelError,
    PlanError,
    ShapeError,
)
from graphnn.function import Function, function
from graphnn.graph import Graph
from graphnn.model import Model
from graphnn.node import Constant, Input, Node, Parameter
from graphnn.op import Op
from graphnn.ops.activation import relu, sigmoid, tanh
from graphnn.ops.arithmetic import (
    abs,
    add,
    cast,
    cos,
    divide,
    exp,
    log,
    multiply,
    negative,
    power,
    sin,
    sqrt,
    square,
    subtract,
)
from graphnn.ops.batch_norm import batch_norm
from graphnn.ops.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    hinge_loss,
    multi_margin_loss,
    soft_margin_loss,
)
from graphnn.ops.choice import (
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_or,
    maximum,
    minimum,
    not_equal,
    where,
)
from graphnn.ops.cross_entropy import cross_entropy, nll_loss
from graphnn.ops.dropout import alpha_dropout, dropout, dropout1d, dropout2d, gaussian_noise
from graphnn.ops.elementwise import elementwise
from graphnn.ops.labels import one_hot
from graphnn.ops.linalg import matmul
from graphnn.ops.loss import (
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    squared_error,
)
from graphnn.ops.metric import accuracy, binary_accuracy
from graphnn.ops.movement import (
    broadcast_to,
    expand_dims,
    flatten,
    reshape,
    squeeze,
    stop_gradient,
    transpose,
)
from graphnn.ops.norm import group_norm, instance_norm, layer_norm, rms_norm
from graphnn.ops.phase import phase, updating
from graphnn.ops.random import set_seed
from graphnn.ops.reduce import max, mean, sum
from graphnn.ops.softmax import log_softmax, softmax
from graphnn.ops.structured import op
from graphnn.render import render

__version__ = "0.1.0"

__all__ = [
    "Constant",
    "DTypeError",
    "DataError",
    "Function",
    "Graph",
    "GraphError",
    "GraphnnError",
    "Input",
    "KernelError",
    "Model",
    "Node",
    "Op",
    "Parameter",
    "PlanError",
    "ShapeError",
    "abs",
    "accuracy",
    "add",
    "alpha_dropout",
    "batch_norm",
    "binary_accuracy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "cast",
    "checkpoint",
    "cos",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "datasets",
    "divide",
    "dropout",
    "dropout1d",
    "dropout2d",
    "elementwise",
    "equal",
    "exp",
    "expand_dims",
    "flatten",
    "function",
    "gaussian_nll_loss",
    "gaussian_noise",
    "get_num_threads",
    "grad",
    "greater",
    "greater_equal",
    "group_norm",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "hvp",
    "instance_norm",
    "jvp",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logical_and",
    "logical_or",
    "matmul",
    "max",
    "maximum",
    "mean",
    "minimum",
    "mse_loss",
    "multi_margin_loss",
    "multiply",
    "negative",
    "nll_loss",
    "nn",
    "not_equal",
    "one_hot",
    "op",
    "optim",
    "phase",
    "poisson_nll_loss",
    "power",
    "relu",
    "render",
    "reshape",
    "rms_norm",
    "scope",
    "set_num_threads",
    "set_seed",
    "sigmoid",
    "sin",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "sqrt",
    "square",
    "squared_error",
    "squeeze",
    "stop_gradient",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "updating",
    "vjp",
    "where",
]
