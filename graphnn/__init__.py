"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop."""

from graphnn import nn, optim
from graphnn.autodiff import grad, hvp, jvp, vjp
from graphnn.backends.cpu.executor import get_num_threads, set_num_threads
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
from graphnn.ops.diagonal import diag, diagonal, eye, trace, tril, triu
from graphnn.ops.einsum import dot, einsum, inner, outer, tensordot
from graphnn.ops.elementwise import elementwise
from graphnn.ops.gated import glu
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
from graphnn.ops.random import dropout, set_seed
from graphnn.ops.reduce import max, mean, min, prod, sum
from graphnn.ops.scan import cumprod, cumsum
from graphnn.ops.slicing import flip, narrow
from graphnn.ops.softmax import log_softmax, softmax
from graphnn.ops.sorting import argmax, argmin, argsort, sort, topk
from graphnn.ops.statistics import (
    all,
    any,
    count_nonzero,
    logsumexp,
    median,
    norm,
    std,
    var,
)
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
    "all",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "broadcast_to",
    "cast",
    "concat",
    "cos",
    "count_nonzero",
    "cross_entropy",
    "cumprod",
    "cumsum",
    "datasets",
    "diag",
    "diagonal",
    "divide",
    "dot",
    "dropout",
    "einsum",
    "elementwise",
    "embedding",
    "equal",
    "exp",
    "expand",
    "expand_dims",
    "eye",
    "flatten",
    "flip",
    "function",
    "get_num_threads",
    "glu",
    "grad",
    "greater",
    "greater_equal",
    "hvp",
    "inner",
    "jvp",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logical_and",
    "logical_or",
    "logsumexp",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "moveaxis",
    "mse_loss",
    "multiply",
    "narrow",
    "negative",
    "nn",
    "norm",
    "not_equal",
    "one_hot",
    "op",
    "optim",
    "outer",
    "pad",
    "power",
    "prod",
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
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tanh",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "var",
    "vjp",
    "where",
]
