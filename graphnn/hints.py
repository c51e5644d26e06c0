"""What to say to a person who asks for a name that is not there.

One table holds what is called otherwise in torch, Keras, NumPy and JAX.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from graphnn.calls import check_flags, check_twice, places_of

P = ParamSpec("P")
R = TypeVar("R")

# What people who come from NumPy, torch, Keras or JAX ask a node for, and what graphnn says.
ATTRIBUTES: Mapping[str, str] = {
    "backward": "declare the gradient as nodes: dW, db = gn.grad(loss, [W, b])",
    "grad": "declare it as a node: gn.grad(loss, x)",
    "requires_grad": "what is trained is a gn.Parameter; gn.grad(loss, x) takes any node",
    "requires_grad_": "what is trained is a gn.Parameter; gn.grad(loss, x) takes any node",
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

# What is asked of a parameter, which has a value, or set.
OF_PARAMETER: Mapping[str, str] = {
    "requires_grad": "p.trainable says it, and p.requires_grad_(False) freezes it",
    "data": "p.value, which can be set: p.value = array",
    "numpy": "p.value, a live view",
    "item": "p.value.item()",
    "freeze": "p.requires_grad_(False)",
    "tolist": "p.value.tolist()",
}

OF_SETTING: Mapping[str, str] = {
    "requires_grad": "p.requires_grad_(False), or freeze a whole module: net.freeze()",
    "trainable": "p.requires_grad_(False), or freeze a whole module: net.freeze()",
    "data": "p.value = array, of a gn.Parameter",
    "grad": "gn.grad(loss, p), which declares it",
}

# What torch and Keras have as methods of modules, models and optimizers.
OF_MODULE: Mapping[str, str] = {
    "eval": "a graph is declared for both phases: predict, evaluate and gn.function(x, y) infer",
    "train": "a graph is declared for both phases: fit and gn.function(..., updates) train; "
    "training=True says so of others",
    "zero_grad": "gradients are nodes and never add up: gn.grad(loss, parameters)",
    "to": "everything runs on the CPU; a module takes dtype= when it is made",
    "cuda": "everything runs on the CPU",
    "cpu": "everything runs on the CPU",
    "half": "a module takes dtype= when it is made, 'float32' or 'float64'",
    "float": "a module takes dtype= when it is made: dtype='float32'",
    "double": "a module takes dtype= when it is made: dtype='float64'",
    "apply": "for m in net.modules(): ...",
    "buffers": "[p for p in net.parameters() if not p.learned]",
    "named_buffers": "[(name, p) for name, p in net.named_parameters() if not p.learned]",
    "register_buffer": "self.name = gn.Parameter(value, trainable=False)",
    "register_parameter": "self.name = gn.Parameter(value)",
    "add_module": "self.name = module",
    "add": "net.append(module)",
    "compile": "gn.Model(x, net(x)).compile(optimizer, loss)",
    "fit": "gn.Model(x, net(x)), then compile and fit",
    "predict": "gn.Model(x, net(x)).predict(array)",
    "summary": "gn.Model(x, net(x)).summary()",
    "save": "gn.Model(x, net(x)).save(path)",
    "trainable": "net.freeze(); net.requires_grad_(True) releases",
}
OF_MODEL: Mapping[str, str] = {
    "eval": "model.evaluate(x, y), and model.predict(x), infer",
    "train": "model.fit(x, y) trains",
    "forward": "model.predict(array) computes; net(x) declares nodes",
    "layers": "the network's: net.named_modules()",
    "weights": "model.parameters, a dict by name",
    "trainable_weights": "[p for p in model.parameters.values() if p.trainable]",
    "get_weights": "model.state_dict()",
    "set_weights": "model.load_state_dict(state)",
    "save_weights": "model.save(path)",
    "load_weights": "model.load(path)",
    "named_parameters": "model.parameters, a dict by name",
    "freeze": "the network's: net.freeze(), then compile",
    "add": "nn.Sequential(...).append(module), before the model is made",
    "to": "everything runs on the CPU",
    "cuda": "everything runs on the CPU",
    "load_checkpoint": "model.fit(..., resume=path) goes on; model.load(path) takes its weights",
    "predict_classes": "model.predict(x).argmax(axis=-1)",
    "train_on_batch": "model.fit(x, y, batch_size=len(x)), or gn.function(..., updates)",
}
OF_OPTIMIZER: Mapping[str, str] = {
    "zero_grad": "gradients are nodes and never add up: leave it out",
    "minimize": "optimizer.updates(loss, parameters), for gn.function",
    "param_groups": "optimizer.groups; they are set by optim.SGD(0.1, groups=[{'params': ...}])",
    "learning_rate": "optimizer.lr",
    "state_dict": "optimizer.state, a list of parameters",
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
    "clamp": "clip",
    "hstack": "concat",
    "vstack": "concat",
    "softmax_cross_entropy_with_logits": "cross_entropy",
    "sigmoid_cross_entropy_with_logits": "binary_cross_entropy_with_logits",
    "dim": "axis",
    "dims": "axes",
    "axis": "dim",
    "keepdim": "keepdims",
    "train": "training",
    "is_training": "training",
    "units": "out_features",
    "filters": "out_channels",
    "strides": "stride",
    "pool_size": "kernel_size",
    "dilation_rate": "dilation",
    "use_bias": "bias",
    "rate": "p",
    "mask": "attn_mask",
    "stddev": "std",
    "go_backwards": "reverse",
    "time_major": "batch_first",
    "kaiming_normal": "he_normal",
    "kaiming_normal_": "he_normal",
    "kaiming_uniform": "he_uniform",
    "kaiming_uniform_": "he_uniform",
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "fill": "constant",
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
    "min_delta": "threshold",
    "log_dir": "folder",
    "beta_1": "betas",
    "beta_2": "betas",
}


# Names that packages have elsewhere, and what they are here.
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(
        ("zeros", "ones", "full", "empty", "arange", "linspace"),
        "A NumPy array is a constant: np.{}(..., dtype=np.float32); gn.zeros_like(x) and its kin "
        "follow a node's shape",
    ),
    **dict.fromkeys(
        ("rand", "randn", "randint", "random"),
        "Draw with NumPy, rng = np.random.default_rng(0), and give it as a constant or an input; "
        "in a graph: gn.dropout, gn.gaussian_noise",
    ),
    "from_numpy": "A NumPy array is a constant by itself: x + array",
    "as_tensor": "A NumPy array is a constant by itself: x + array",
    "no_grad": "Nothing is needed: only gn.grad declares gradients",
    "inference_mode": "Nothing is needed: gn.function without updates infers",
    "autograd": "gn.grad(loss, parameters) declares gradients",
    "GradientTape": "gn.grad(loss, parameters) declares gradients",
    "save": "model.save(path) writes weights",
    "load": "model.load(path) reads weights",
    "functional": "Functions are gn.relu, gn.cross_entropy and so on",
    "vmap": "Declare the batch axis: gn.Input((None, ...))",
    "device": "Everything runs on the CPU",
    "cuda": "Everything runs on the CPU",
    "float32": "A dtype is a text: 'float32'",
    "float64": "A dtype is a text: 'float64'",
    "int64": "A dtype is a text: 'int64'",
    "long": "A dtype is a text: 'int64'",
    "Parameter": "Write gn.Parameter",
    "DataLoader": "model.fit(x, y, batch_size=...) cuts and shuffles arrays",
}

# Arguments that are needed elsewhere or nowhere.
KEYWORDS: Mapping[str, str] = {
    "filepath": "The first argument is a folder: ModelCheckpoint('run1')",
    "save_best_only": "monitor= keeps the weights of the best epoch too, as best.safetensors",
    "save_weights_only": "model.save(path) writes weights alone; a checkpoint is all of a run",
    "class_weight": "The loss takes it: gn.cross_entropy(logits, y, weight=...)",
    "sample_weight": "Declare it as an input, and multiply the losses by it",
    "inplace": "Leave it out: the memory planner decides what is overwritten",
    "activation": "An activation is a module of its own: nn.Sequential(layer, nn.ReLU())",
    "input_shape": "The first sizes say it: nn.Linear(in_features, out_features)",
    "input_dim": "The first sizes say it: nn.Linear(in_features, out_features)",
    "kernel_initializer": "Set the value: layer.weight.value = nn.init.he_normal(shape)",
    "bias_initializer": "Set the value: layer.bias.value = nn.init.zeros(shape)",
    "kernel_regularizer": "Optimizers take weight_decay=",
    "device": "Leave it out: everything runs on the CPU",
    "requires_grad": "gn.Parameter(value, trainable=False), or p.requires_grad_(False)",
    "return_sequences": "A recurrent layer returns both: output, state = layer(x)",
    "return_state": "A recurrent layer returns both: output, state = layer(x)",
    "unroll": "Leave it out: a loop is compiled once, whatever the number of steps",
    "from_logits": "gn.cross_entropy takes logits, gn.nll_loss logarithms of probabilities",
    "transpose_a": "Transpose it before: gn.swapaxes(a, -1, -2)",
    "transpose_b": "Transpose it before: gn.swapaxes(b, -1, -2)",
    "strict": "net.load_torch_state_dict(state, strict=False) takes a part of a state",
    "retain_graph": "Leave it out: a graph stays",
    "create_graph": "Leave it out: gradients are nodes, to be differentiated again",
    "training": "A graph is declared for both phases; gn.function(..., training=True) chooses",
}


def unknown_keyword(called: str, given: Iterable[str], known: Iterable[str]) -> TypeError | None:
    """What to raise for the first argument that something does not take, and what was meant."""
    names = [name for name in known if name not in ("self", "cls")]
    for name in given:
        if name not in names:
            text = f" {KEYWORDS[name]}." if name in KEYWORDS else did_you_mean(name, names, "{}=")
            if ALIASES.get(name) in names:
                text = did_you_mean(name, names, "{}=")
            takes = f"it takes {', '.join(names)}" if names else "it takes none"
            return TypeError(f"{called} has no argument {name!r}; {takes}.{text}")
    return None


def check_keywords(called: str, function: Callable[..., Any], given: Iterable[str]) -> None:
    """Raise where a function is given an argument that it does not take.

    Raises
    ------
    TypeError
        Names what it takes, and what may have been meant.
    """
    known = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
        error = unknown_keyword(called, given, known)
        if error is not None:
            raise error


def teaches(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which says what to write for arguments by other packages' names.

    It also says so where a flag is neither True nor False. What packages make public is taught by
    :func:`teach` in one place; methods are where they stand.
    """
    if hasattr(function, "taught"):
        return function
    flagged, name = bool(places_of(function, "bool")), function.__qualname__
    name = name.removesuffix(".__init__")

    @functools.wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        if flagged:
            check_flags(name, function, args, options)
        try:
            return function(*args, **options)
        except TypeError:
            check_keywords(name, function, options)
            check_twice(name, function, args, options)
            _check_count(function, args)
            raise

    called.taught = True  # type: ignore[attr-defined]
    return called


def teach(namespace: dict[str, Any], public: Iterable[str]) -> None:
    """Have the public functions of a package say what to write, there and in their own rooms."""
    for name in public:
        function = namespace[name]
        if inspect.isfunction(function):
            home = vars(sys.modules[function.__module__])
            namespace[name] = home[function.__name__] = teaches(function)


def _check_count(function: Callable[..., Any], args: Sequence[object]) -> None:
    """Raise where sizes or axes are given one by one, as methods of tensors take them."""
    known = list(inspect.signature(function).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in known) or len(args) <= len(known):
        return
    place = next((i for i, p in enumerate(known) if p.name in ("shape", "axes")), None)
    rest = args[place:] if place is not None else ()
    if rest and all(value is None or isinstance(value, int) for value in rest):
        fix = f"Give one tuple: gn.{function.__name__}(x, {tuple(rest)})."
        raise TypeError(
            f"{function.__name__} takes {', '.join(p.name for p in known)}; got {len(args)} "
            f"arguments. {fix}"
        )


def lacking(thing: object, name: str, hints: Mapping[str, str]) -> AttributeError:
    """What something raises for an attribute that it does not have."""
    hint = f": {hints[name]}" if name in hints else ""
    return AttributeError(f"{type(thing).__name__} has no attribute {name!r}{hint}")


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
