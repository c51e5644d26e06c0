"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop."""

from typing import TYPE_CHECKING, NoReturn

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
    NotFiniteWarning,
    PlanError,
    ShapeError,
)
from graphnn.function import Function, function
from graphnn.graph import Graph
from graphnn.hints import missing_name
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
from graphnn.ops.elementwise import elementwise
from graphnn.ops.linalg import matmul
from graphnn.ops.loss import accuracy, cross_entropy, mse_loss, one_hot
from graphnn.ops.movement import (
    broadcast_to,
    expand_dims,
    flatten,
    reshape,
    squeeze,
    stop_gradient,
    transpose,
)
from graphnn.ops.random import dropout, set_seed
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
    "NotFiniteWarning",
    "Op",
    "Parameter",
    "PlanError",
    "ShapeError",
    "abs",
    "accuracy",
    "add",
    "broadcast_to",
    "cast",
    "cos",
    "cross_entropy",
    "datasets",
    "divide",
    "dropout",
    "elementwise",
    "equal",
    "exp",
    "expand_dims",
    "flatten",
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
    "maximum",
    "mean",
    "minimum",
    "mse_loss",
    "multiply",
    "negative",
    "nn",
    "not_equal",
    "one_hot",
    "op",
    "optim",
    "power",
    "relu",
    "render",
    "reshape",
    "scope",
    "set_num_threads",
    "set_seed",
    "sigmoid",
    "sin",
    "softmax",
    "sqrt",
    "square",
    "squeeze",
    "stop_gradient",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "vjp",
    "where",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        known = {own: f"gn.{own}" for own in __all__}
        known |= {layer: f"nn.{layer}" for layer in nn.__all__}
        known |= {rule: f"optim.{rule}" for rule in optim.__all__}
        raise missing_name(__name__, name, known)
