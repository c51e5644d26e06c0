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
from graphnn.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from graphnn.ops.elementwise import elementwise
from graphnn.ops.indexing import embedding, scatter_add, take, take_along_axis
from graphnn.ops.joining import concat, repeat, roll, split, stack, tile
from graphnn.ops.linalg import matmul
from graphnn.ops.loss import accuracy, cross_entropy, mse_loss, one_hot
from graphnn.ops.movement import (
    broadcast_to,
    expand,
    expand_dims,
    flatten,
    moveaxis,
    reshape,
    squeeze,
    stop_gradient,
    swapaxes,
    transpose,
)
from graphnn.ops.padding import pad
from graphnn.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from graphnn.ops.random import dropout, set_seed
from graphnn.ops.reduce import max, mean, sum
from graphnn.ops.slicing import flip, narrow
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
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
    "avg_pool1d",
    "avg_pool2d",
    "broadcast_to",
    "cast",
    "checkpoint",
    "concat",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cos",
    "cross_entropy",
    "datasets",
    "divide",
    "dropout",
    "elementwise",
    "embedding",
    "equal",
    "exp",
    "expand",
    "expand_dims",
    "flatten",
    "flip",
    "function",
    "get_num_threads",
    "grad",
    "greater",
    "greater_equal",
    "hvp",
    "jvp",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logical_and",
    "logical_or",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "minimum",
    "moveaxis",
    "mse_loss",
    "multiply",
    "narrow",
    "negative",
    "nn",
    "not_equal",
    "one_hot",
    "op",
    "optim",
    "pad",
    "power",
    "relu",
    "render",
    "repeat",
    "reshape",
    "roll",
    "scatter_add",
    "scope",
    "set_num_threads",
    "set_seed",
    "sigmoid",
    "sin",
    "softmax",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tanh",
    "tile",
    "transpose",
    "vjp",
    "where",
]
