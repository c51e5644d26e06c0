"""What ``Model.compile`` makes: how a model learns from data, and is judged by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.errors import DataError, GraphError
from graphnn.feed import limits_of
from graphnn.function import Function
from graphnn.graph import Graph
from graphnn.node import Input, Node, Parameter
from graphnn.objectives import (
    WATCHED,
    Given,
    declared_loss,
    declared_metrics,
    per_sample,
    told_apart,
)
from graphnn.optim import Optimizer
from graphnn.train.callbacks.hooks import Hooks
from graphnn.train.fitting import Fitting
from graphnn.train.given import Whole
from graphnn.train.model_data import ModelData
from graphnn.train.rates import RateTable, rate_table
from graphnn.train.resume import Training
from graphnn.train.sources import Extended, Source
from graphnn.train.stream_run import opened, run_over, samples_of
from graphnn.weighting import (
    ClassWeight,
    check_class_weight,
    updates_going_on,
    weighted_loss,
    weights_of_samples,
)

INFERENCE_BATCH = 1024


class Learning:
    """A loss, measures and an optimizer, compiled for the outputs of a model.

    Parameters
    ----------
    inputs, outputs
        Those of the model.
    optimizer
        Whose updates are made.
    loss, metrics, device
        As :meth:`Model.compile` takes them.

    Attributes
    ----------
    training, evaluation
        The compiled step with updates, and the one without.
    targets
        Inputs of the loss that are none of the model's.

    Raises
    ------
    GraphError, ShapeError
        As :meth:`Model.compile`.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Sequence[Node],
        optimizer: Optimizer,
        loss: str | Node,
        metrics: Given,
        device: str,
    ) -> None:
        self.inputs, self.optimizer = tuple(inputs), optimizer
        self.loss = declared_loss(loss, tuple(outputs))
        found = Graph(self.loss)
        self.targets = tuple(node for node in found.inputs if node not in self.inputs)
        listed, self.watched = told_apart(metrics)  # the latter in training only
        self.metrics = declared_metrics(listed, tuple(outputs), self.targets, self.loss)
        results = [per_sample(node) for node in (self.loss, *self.metrics.values())]
        _check_trains(self.loss, found, Graph(outputs))
        optimizer.begin_epochs(1, 0)  # fit knows how many steps an epoch has
        updates = optimizer.updates(self.loss, found.parameters)
        extra = [WATCHED[name](optimizer) for name in self.watched]
        every = [*self.inputs, *self.targets]
        self.training = Function(every, [*results, *extra], updates, training=True, device=device)
        self.evaluation = Function(every, results, training=False, device=device)
        self.weight: Input | None = None  # of each sample, once there were any
        self._fixed = frozenset(p for p in found.parameters if p.fixed)

    @property
    def names(self) -> list[str]:
        """Of what validation measures."""
        return ["loss", *self.metrics]

    def check_frozen(self) -> None:
        """What is frozen or released after compile would go on as before, and nobody would know.

        Raises
        ------
        GraphError
            If something was.
        """
        changed = [p for p in Graph(self.loss).parameters if p.fixed != (p in self._fixed)]
        if changed:
            p = changed[0]
            raise GraphError(
                f"{p.name} was {'frozen' if p.fixed else 'released'} after compile; what is "
                "trained is fixed there. Call model.compile(...) again."
            )

    # Data.

    @property
    def reader(self) -> ModelData:
        """Reads what a user gives, which is never the weights."""
        return ModelData(self.evaluation, self.inputs, self.targets)

    def weighted(
        self, data: Whole, class_weight: ClassWeight | None, sample_weight: ArrayLike | None
    ) -> Whole:
        """The data with a weight for each sample, once weights were ever given.

        From the first ones on, the training step is one of weighted samples.

        Raises
        ------
        DataError, ShapeError, DTypeError, GraphError
            For weights that do not fit, and a loss that is no mean over samples.
        """
        given = class_weight is not None or sample_weight is not None
        if not given and self.weight is None:
            return data
        weight = self.weight
        if weight is None:
            weight = Input((None,), self.loss.dtype, name="sample_weight")
        if isinstance(data, Source):
            if sample_weight is not None:
                raise DataError(
                    "sample_weight is for arrays in memory, a weight for each of their samples: in "
                    "batches let it be an input of the loss"
                )
            if class_weight is not None:
                check_class_weight(class_weight)  # at once, and not in a thread

            def more(arrays: Sequence[ArrayLike]) -> list[NDArray[Any]]:
                return [self._weights(weight, arrays, class_weight)]

            weighted: Whole = Extended(data, more)
        else:
            arrays = [data[node] for node in self.evaluation.inputs]
            weighted = {**data, weight: self._weights(weight, arrays, class_weight, sample_weight)}
        if self.weight is None:
            self._take(weight)
        return weighted

    def _weights(
        self,
        weight: Input,
        arrays: Sequence[ArrayLike],
        class_weight: ClassWeight | None,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """Those of some samples."""
        held = dict(zip(self.evaluation.inputs, map(np.asarray, arrays), strict=True))
        targets = {node: held[node] for node in self.targets}
        samples = len(next(iter(held.values())))
        limits = limits_of(Graph(self.loss))
        return weights_of_samples(weight, samples, targets, class_weight, sample_weight, limits)

    def _take(self, weight: Input) -> None:
        """Make the training step one of weighted samples."""
        score = weighted_loss(self.loss, weight)
        updates = updates_going_on(self.optimizer, score, self.training.updates)
        shown = [per_sample(node) for node in (score, *self.metrics.values())]
        shown += [WATCHED[name](self.optimizer) for name in self.watched]
        inputs = [*self.inputs, *self.targets, weight]
        self.training, self.weight = Function(inputs, shown, updates, training=True), weight

    # Training and judging.

    def begin_epochs(self, steps: int | None, before: int) -> None:
        """Say how many steps an epoch has, for schedules that count epochs.

        Raises
        ------
        DataError
            If there is such a schedule, and nobody knows.
        """
        if steps is not None:
            self.optimizer.begin_epochs(steps, before)
        elif self.optimizer.counts_epochs:
            raise DataError(
                f"{self.optimizer.lr!r} counts epochs, and nothing says how many batches one has: "
                "give steps_per_epoch, or data with a len"
            )

    def over(
        self,
        data: Whole,
        held: Whole | None,
        terms: Mapping[str, Any],
        hooks: Hooks,
        weights: Mapping[str, Parameter],
        before: int,
    ) -> Training:
        """All that one fit is made of; nothing is changed yet.

        Parameters
        ----------
        data, held
            What is trained on, and what judges after each epoch.
        terms
            ``batch_size``, ``shuffle`` and ``steps``, which a run that goes on must have too.
        hooks
            The callbacks.
        weights
            The model's parameters by name.
        before
            Epochs that were trained so far.
        """
        validate = None if held is None else lambda: self.evaluated(held)
        fitting = Fitting(
            self.training, [*self.names, *self.watched], hooks,
            terms["batch_size"], terms["shuffle"], validate, self.names, before,
        )  # fmt: skip
        rate = self.optimizer.lr
        fitting.rate = rate if isinstance(rate, float) else None  # or a schedule
        others = [
            *self.training.parameters, *self.evaluation.parameters, *self.optimizer.state,
        ]  # fmt: skip
        return Training(fitting, weights, others, {"samples": samples_of(data), **terms})

    def evaluated(self, data: Whole) -> dict[str, Any]:
        """Loss and measures over a data set, dropout off."""
        with opened(self.evaluation, data, batch_size=INFERENCE_BATCH) as ready:
            run = run_over(self.evaluation, ready, INFERENCE_BATCH)
            run.run()
        return dict(zip(self.names, run.means(), strict=True))

    def rates(self, data: Whole, **settings: Any) -> RateTable:
        """Losses by learning rate; see :meth:`Model.find_lr`."""
        if isinstance(data, Source):
            raise DataError("find_lr draws its batches from all samples: give arrays in memory")
        trained = [p for p in Graph(self.loss).parameters if p.trainable]
        return rate_table(
            [*self.inputs, *self.targets], self.loss, per_sample(self.loss), self.optimizer,
            trained, data, **settings,
        )  # fmt: skip


def _check_trains(score: Node, found: Graph, outputs: Graph) -> None:
    """A loss of another network's output would leave this one as it is."""
    trainable = [p for p in found.parameters if p.trainable]
    own = [p for p in outputs.parameters if p.trainable]
    if own and trainable and not set(own) & set(trainable):
        raise GraphError(
            f"{score.name} (declared at {score.origin}) depends on no parameter of the model, "
            f"such as {own[0].name} (declared at {own[0].origin}): it would train another "
            "network. Declare it from the model's own output."
        )
