"""graphnn: declare a graph, see its reverse pass, train it in one jitted loop."""

from graphnn import _loading

# isort: split

from typing import TYPE_CHECKING, NoReturn

from graphnn import nn, optim
from graphnn.autodiff import grad, jvp, vjp
from graphnn.backends.cpu.executor import get_num_threads, set_num_threads
from graphnn.checkpoint import checkpoint
from graphnn.context import scope
from graphnn.data import datasets
from graphnn.decode import Decoder
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
from graphnn.jacobian import hessian, hvp, jacobian
from graphnn.model import Model
from graphnn.node import Constant, Input, Node, Parameter
from graphnn.op import Op
from graphnn.ops.activation import (
    cosine_squasher,
    gelu,
    identity,
    log_sigmoid,
    mish,
    relu,
    sigmoid,
    silu,
    softplus,
    softsign,
    swish,
    tanh,
    tanhshrink,
)
from graphnn.ops.along import gather, take_along_axis
from graphnn.ops.arithmetic import (
    abs,
    add,
    cast,
    cos,
    divide,
    exp,
    floor_divide,
    log,
    mod,
    multiply,
    negative,
    pow,
    power,
    reciprocal,
    remainder,
    sin,
    sqrt,
    square,
    subtract,
)
from graphnn.ops.attention import scaled_dot_product_attention
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
    copysign,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    not_equal,
    where,
)
from graphnn.ops.conv import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from graphnn.ops.cross_entropy import cross_entropy, nll_loss
from graphnn.ops.diagonal import diag, diagonal, eye, trace, tril, triu
from graphnn.ops.dropout import alpha_dropout, dropout, dropout1d, dropout2d, gaussian_noise
from graphnn.ops.dynamic import dynamic_update_slice
from graphnn.ops.einsum import dot, einsum, inner, outer, tensordot
from graphnn.ops.elementwise import elementwise
from graphnn.ops.functions import (
    arccos,
    arcsin,
    arctan,
    arctan2,
    cosh,
    erf,
    expm1,
    log1p,
    log2,
    log10,
    rsqrt,
    sinh,
    tan,
)
from graphnn.ops.gated import glu
from graphnn.ops.indexing import embedding, scatter_add, take
from graphnn.ops.joining import concat, repeat, roll, split, stack, tile
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
from graphnn.ops.norm import group_norm, instance_norm, layer_norm, rms_norm
from graphnn.ops.padding import pad
from graphnn.ops.phase import phase, updating
from graphnn.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    global_avg_pool,
    global_max_pool,
    max_pool1d,
    max_pool2d,
)
from graphnn.ops.position import rotary, sinusoidal_encoding
from graphnn.ops.random import set_seed
from graphnn.ops.rectifier import (
    celu,
    elu,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    hardshrink,
    leaky_relu,
    prelu,
    relu6,
    selu,
    softshrink,
    step,
    threshold,
)
from graphnn.ops.reduce import max, mean, min, prod, sum
from graphnn.ops.rounding import ceil, clip, floor, round, sign, trunc
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

_loading.done()

__all__ = [
    "Constant",
    "DTypeError",
    "DataError",
    "Decoder",
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
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "add",
    "all",
    "alpha_dropout",
    "any",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "argsort",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_accuracy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "cast",
    "ceil",
    "celu",
    "checkpoint",
    "clip",
    "concat",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "copysign",
    "cos",
    "cosh",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cosine_squasher",
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
    "dropout1d",
    "dropout2d",
    "dynamic_update_slice",
    "einsum",
    "elementwise",
    "elu",
    "embedding",
    "equal",
    "erf",
    "exp",
    "expand",
    "expand_dims",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "floor",
    "floor_divide",
    "function",
    "gather",
    "gaussian_nll_loss",
    "gaussian_noise",
    "gelu",
    "get_num_threads",
    "global_avg_pool",
    "global_max_pool",
    "glu",
    "grad",
    "greater",
    "greater_equal",
    "group_norm",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "hardshrink",
    "hessian",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "hvp",
    "identity",
    "inner",
    "instance_norm",
    "isfinite",
    "isinf",
    "isnan",
    "jacobian",
    "jvp",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_sigmoid",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mish",
    "mod",
    "moveaxis",
    "mse_loss",
    "multi_margin_loss",
    "multiply",
    "narrow",
    "negative",
    "nll_loss",
    "nn",
    "norm",
    "not_equal",
    "one_hot",
    "op",
    "optim",
    "outer",
    "pad",
    "phase",
    "poisson_nll_loss",
    "pow",
    "power",
    "prelu",
    "prod",
    "reciprocal",
    "relu",
    "relu6",
    "remainder",
    "render",
    "repeat",
    "reshape",
    "rms_norm",
    "roll",
    "rotary",
    "round",
    "rsqrt",
    "scaled_dot_product_attention",
    "scatter_add",
    "scope",
    "selu",
    "set_num_threads",
    "set_seed",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "sinusoidal_encoding",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softplus",
    "softshrink",
    "softsign",
    "sort",
    "split",
    "sqrt",
    "square",
    "squared_error",
    "squeeze",
    "stack",
    "std",
    "step",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "swish",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tanhshrink",
    "tensordot",
    "threshold",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "updating",
    "var",
    "vjp",
    "where",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        known = {own: f"gn.{own}" for own in __all__}
        known |= {layer: f"nn.{layer}" for layer in nn.__all__}
        known |= {rule: f"optim.{rule}" for rule in optim.__all__}
        raise missing_name(__name__, name, known)
