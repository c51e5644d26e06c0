"""What to say to a person who asks for a name that is not there.

One table holds what is called otherwise in torch, Keras, NumPy and JAX.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec

# What people who come from NumPy, torch, Keras or JAX ask a node for, and what graphnn says.
ATTRIBUTES: Mapping[str, str] = {
    "backward": "declare the gradient as nodes: dW, db = gn.grad(loss, [W, b])",
    "grad": "declare it as a node: gn.grad(loss, x)",
    "requires_grad": "what is trained is a gn.Parameter; gn.grad(loss, x) takes any node",
    "detach": "gn.stop_gradient(x)",
    "item": "a node has no value yet: gn.function(inputs, x)(arrays) computes it",
    "numpy": "a node has no value yet: gn.function(inputs, x)(arrays) computes it",
    "tolist": "a node has no value yet: gn.function(inputs, x)(arrays) computes it",
    "value": "a node has no value yet: gn.function(inputs, x)(arrays) computes it",
    "data": "a node has no value yet: gn.function(inputs, x)(arrays) computes it",
    "eval": "gn.function(inputs, x)(arrays) computes it",
    "view": "gn.reshape(x, shape)",
    "ravel": "gn.reshape(x, -1)",
    "permute": "gn.transpose(x, axes)",
    "swapaxes": "gn.swapaxes(x, a, b)",
    "unsqueeze": "gn.expand_dims(x, axis)",
    "expand": "gn.expand(x, shape)",
    "astype": "gn.cast(x, dtype)",
    "to": "gn.cast(x, dtype)",
    "float": "gn.cast(x, 'float32')",
    "double": "gn.cast(x, 'float64')",
    "long": "gn.cast(x, 'int64')",
    "size": "x.shape; its elements are known at a call",
    "dim": "x.ndim",
    "copy": "nodes are immutable: use x itself",
    "clone": "nodes are immutable: use x itself",
}

# Functions of a node that are made of several ops: gn.std(x).
COMPOSED = frozenset(
    {"all", "any", "count_nonzero", "cumprod", "flatten", "flip", "median", "moveaxis", "narrow"}
    | {"norm", "repeat", "roll", "sort", "split", "squeeze", "std", "tile", "topk", "var"}
)

# The same things under the names of other packages.
ALIASES: Mapping[str, str] = {
    "Activation": "ReLU",
    "Conv2D": "Conv2d",
    "Conv1D": "Conv1d",
    "Conv3D": "Conv3d",
    "Dense": "Linear",
    "SimpleRNN": "RNN",
    "SimpleRNNCell": "RNNCell",
    "BatchNormalization": "BatchNorm2d",
    "LayerNormalization": "LayerNorm",
    "MaxPooling2D": "MaxPool2d",
    "AveragePooling2D": "AvgPool2d",
    "MaxPool2D": "MaxPool2d",
    "InputLayer": "Input",
    "Placeholder": "Input",
    "placeholder": "Input",
    "Variable": "Parameter",
    "Tensor": "Node",
    "tensor": "Constant",
    "array": "Constant",
    "constant": "Constant",
    "absolute": "abs",
    "amax": "max",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_sum": "sum",
    "average": "mean",
    "cat": "concat",
    "concatenate": "concat",
    "dot": "matmul",
    "mm": "matmul",
    "bmm": "matmul",
    "mul": "multiply",
    "sub": "subtract",
    "div": "divide",
    "true_divide": "divide",
    "neg": "negative",
    "pow": "power",
    "astype": "cast",
    "unsqueeze": "expand_dims",
    "permute": "transpose",
    "view": "reshape",
    "detach": "stop_gradient",
    "value_and_grad": "grad",
    "jit": "function",
    "compile": "function",
    "manual_seed": "set_seed",
    "seed": "set_seed",
    "CrossEntropyLoss": "cross_entropy",
    "MSELoss": "mse_loss",
    "bce": "binary_cross_entropy",
    "bce_with_logits": "binary_cross_entropy_with_logits",
    "BCELoss": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "mean_squared_error": "mse",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "acc": "accuracy",
    "learning_rate": "lr",
    "decay": "weight_decay",
    "l2": "weight_decay",
    "clip_norm": "clipnorm",
    "max_norm": "global_clipnorm",
    "max_grad_norm": "global_clipnorm",
    "lr_scheduler": "schedule",
    "schedules": "schedule",
    "CosineDecay": "CosineAnnealingLR",
    "CosineDecayRestarts": "CosineAnnealingWarmRestarts",
    "ExponentialDecay": "ExponentialLR",
    "PiecewiseConstantDecay": "MultiStepLR",
    "PolynomialDecay": "PolynomialLR",
    "epsilon": "eps",
    "beta_1": "betas",
    "beta_2": "betas",
}


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a person may have meant, by the table above or by its letters."""
    names = list(known)
    alias = ALIASES.get(name)
    if alias in names:
        return alias
    by_letters = {other.lower().replace("_", ""): other for other in reversed(names)}
    found = difflib.get_close_matches(name.lower().replace("_", ""), by_letters, n=1, cutoff=0.7)
    return by_letters[found[0]] if found else None


def did_you_mean(name: object, known: Iterable[str], template: str = "{!r}") -> str:
    """`` Did you mean 'adam'?``, or nothing where no known name comes close."""
    found = closest(name, known) if isinstance(name, str) else None
    return "" if found is None else f" Did you mean {template.format(found)}?"


def missing_name(module: str, name: str, known: Mapping[str, str]) -> AttributeError:
    """What a package raises for a name that it does not have.

    Parameters
    ----------
    module
        The package's name.
    name
        What was asked for.
    known
        What there is, and how its users write it: ``{"Linear": "nn.Linear"}``.
    """
    hint = ""
    if not name.startswith("_"):
        found = closest(name, known)
        if find_spec(f"{module}.{name}") is not None:
            hint = f" Import it first: import {module}.{name}"
        elif found is not None:
            hint = f" Did you mean {known[found]}?"
    return AttributeError(f"module {module!r} has no attribute {name!r}.{hint}")


def attribute_hint(name: str, functions: Iterable[str]) -> str:
    """What to write in place of an attribute that nodes do not have; empty where nobody knows."""
    names = COMPOSED.union(functions)
    if name in ATTRIBUTES:
        return ATTRIBUTES[name]
    found = name if name in names else ALIASES.get(name)
    return f"gn.{found}(x)" if found in names else ""
