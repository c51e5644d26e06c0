"""A network as an estimator keeps it: declared, trained, asked, pickled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from graphnn.errors import GraphError
from graphnn.model import Model
from graphnn.nn import Module
from graphnn.node import Input, Node
from graphnn.ops.loss.binary import binary_cross_entropy_with_logits
from graphnn.ops.loss.cross_entropy import cross_entropy
from graphnn.ops.loss.distance import huber_loss, l1_loss, mse_loss
from graphnn.ops.movement.reshape import reshape
from graphnn.ops.random.generator import Generator, drawing_from
from graphnn.ops.reduction.reduce import mean
from graphnn.optim import Optimizer
from graphnn.spec import BATCH, FLOATS
from graphnn.train import History

# What is lost by one sample, by name: each a function (output, target, reduction="none").
LOSSES: Mapping[str, Callable[..., Node]] = {
    "absolute_error": l1_loss,
    "binary_cross_entropy": binary_cross_entropy_with_logits,
    "cross_entropy": cross_entropy,
    "huber": huber_loss,
    "squared_error": mse_loss,
}


@dataclass(frozen=True)
class Design:
    """All that a network is declared from.

    Parameters
    ----------
    build
        Called with the numbers of features and of outputs; makes the layers.
    n_features, n_outputs
        Sizes of the last axes.
    vector
        Whether the one output is an axis less: (N,) in place of (N, 1).
    loss
        A key of :data:`LOSSES`.
    optimizer
        Its settings; it is made anew for this network.
    seed
        Of first weights, dropout and the order of samples.
    device
        Where it runs.
    """

    build: Callable[[int, int], Module]
    n_features: int
    n_outputs: int
    vector: bool
    loss: str
    optimizer: Optimizer
    seed: int
    device: str


class Network:
    """A compiled network of its own random numbers; a copy or a pickle keeps its whole state.

    What is pickled is the design and numbers: weights, the optimizer's state, the generator's, the
    count of epochs. It is declared again when it is first used, and goes on as if nothing had been.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self._kept: dict[str, Any] | None = None
        self._lock = threading.RLock()
        self._declare()

    def _declare(self) -> None:
        design = self.design
        self._generator = Generator(design.seed)
        with drawing_from(self._generator):
            net = design.build(design.n_features, design.n_outputs)
            if not isinstance(net, Module):
                raise GraphError(f"build returns a module, such as nn.Sequential; got {net!r}")
            x = Input((None, design.n_features), _dtype_of(net), name="X")
            output = _checked(net(x), design)
            self._model = Model(inputs=x, outputs=output)
            rule = design.optimizer.with_lr(design.optimizer.lr)
            self._model.compile(rule, loss=_loss(output, design.loss), device=design.device)
        self._rule = rule

    # The network when it is needed.

    @property
    def model(self) -> Model:
        """The compiled model; after a pickle it is declared here."""
        with self._lock:
            if self._kept is not None:
                kept, self._kept = self._kept, None
                self._declare()
                self._restore(kept)
        return self._model

    @property
    def dtype(self) -> str:
        """Of the data that it takes."""
        return self.model.inputs[0].dtype

    @property
    def epochs(self) -> int:
        """How many epochs it has been trained."""
        return self.model._epochs_done

    def train(
        self, x: NDArray[Any], y: NDArray[Any], weights: NDArray[Any], **options: Any
    ) -> History:
        """Train by :meth:`graphnn.Model.fit`; ``weights`` count samples, 1 in the mean."""
        model = self.model
        target, weight = sorted(model.targets, key=lambda node: node.name != "y")
        data = {"X": x, "y": y.astype(target.dtype), "weights": weights.astype(weight.dtype)}
        with self._lock, drawing_from(self._generator):
            return model.fit(data, **options)

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The outputs for samples, dropout off."""
        outputs: NDArray[Any] = self.model.predict(x.astype(self.dtype, copy=False))
        return outputs

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copies of all weights by name."""
        return self.model.state_dict()

    def set_weights(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Put weights back."""
        self.model.load_state_dict(weights)

    # Its state.

    def _state(self) -> dict[str, Any]:
        return {
            "weights": self.weights(),
            "optimizer": [parameter.value.copy() for parameter in self._rule.state],
            "generator": self._generator.value.copy(),
            "epochs": self.epochs,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._model.load_state_dict(state["weights"])
        for parameter, value in zip(self._rule.state, state["optimizer"], strict=True):
            parameter.value = value
        self._generator.value = state["generator"]
        self._model._epochs_done = state["epochs"]

    def __getstate__(self) -> dict[str, Any]:
        kept = self._kept
        return {"design": self.design, "_kept": self._state() if kept is None else kept}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()


def _dtype_of(net: Module) -> str:
    """The dtype of a network's weights; one without any takes float32."""
    kinds = {p.dtype for p in net.parameters() if p.dtype in FLOATS}
    if len(kinds) > 1:
        raise GraphError(f"the weights of {net!r} are of several dtypes: {sorted(kinds)}")
    return kinds.pop() if kinds else "float32"


def _checked(output: object, design: Design) -> Node:
    """The output of a network, (N, n_outputs), or (N,) where an estimator wants a vector."""
    wanted = (BATCH, design.n_outputs)
    if not isinstance(output, Node) or output.spec.shape != wanted:
        found = output.shape if isinstance(output, Node) else repr(output)
        raise GraphError(
            f"the network of build(n_features={design.n_features}, n_outputs={design.n_outputs}) "
            f"must give (N, {design.n_outputs}); it gives {found}. Its last layer is "
            f"nn.Linear(..., n_outputs), with no softmax or sigmoid behind it."
        )
    return reshape(output, (-1,)) if design.vector else output


def _loss(output: Node, name: str) -> Node:
    """The mean of the samples' weighted losses; those of several outputs are averaged first."""
    shape = [None if dim == BATCH else dim for dim in output.spec.shape]
    weights = Input((None,), output.dtype, name="weights")
    if name == "cross_entropy":
        rows = cross_entropy(output, Input((None,), "int64", name="y"), reduction="none")
    else:
        rows = LOSSES[name](output, Input(shape, output.dtype, name="y"), reduction="none")
        rows = mean(rows, -1) if rows.ndim > 1 else rows
    return mean(rows * weights, name="loss")
