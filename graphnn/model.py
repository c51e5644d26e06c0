"""``gn.Model``: a graph with inputs and outputs that can be trained, asked, drawn and kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from numpy.typing import ArrayLike, NDArray

from graphnn import optim
from graphnn.errors import GraphError
from graphnn.feed import Data
from graphnn.function import Function
from graphnn.graph import Graph
from graphnn.hints import OF_MODEL, lacking, teaches
from graphnn.io import load_weights, save_weights
from graphnn.learning import INFERENCE_BATCH, Learning
from graphnn.looks import Describable
from graphnn.nn.module import Module, load_parameters
from graphnn.node import Input, Node, Parameter
from graphnn.objectives import Given, chosen_optimizer
from graphnn.ops.random.generator import Generator
from graphnn.optim.checks import check_count
from graphnn.render import Capture, render
from graphnn.render.recording import looking
from graphnn.summary import print_summary
from graphnn.train.alone import Turns, alone
from graphnn.train.callbacks import Callback
from graphnn.train.callbacks.hooks import Hooks, as_callbacks
from graphnn.train.checkpoint import write_checkpoint
from graphnn.train.checks import MOST_EPOCHS, check_verbose
from graphnn.train.held_back import held_back
from graphnn.train.history import History
from graphnn.train.prediction import predicted
from graphnn.train.progress import reporter
from graphnn.train.rates import RateTable
from graphnn.train.resume import Training, checkpoint_at
from graphnn.train.stream_run import opened, steps_of
from graphnn.weighting import ClassWeight

Pass: TypeAlias = Literal["forward", "backward", "joint"]


class Model(Describable):
    """Inputs and outputs of a graph, to be trained and asked.

    Parameters
    ----------
    inputs
        What is given for a prediction: one input or several.
    outputs
        What is predicted: one node or several.

    Attributes
    ----------
    training
        The compiled training step, after :meth:`compile`.
    history
        What the last :meth:`fit` brought, also after Ctrl-C.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> from graphnn import nn
    >>> x = gn.Input((None, 2), name="x")
    >>> model = gn.Model(inputs=x, outputs=nn.Linear(2, 1)(x))
    >>> model.compile("sgd", loss="mse")
    >>> X = np.ones((8, 2), np.float32)
    >>> history = model.fit(X, X[:, :1], epochs=3, verbose=0)
    >>> len(history.history["loss"])
    3
    """

    @teaches
    def __init__(self, inputs: Input | Sequence[Input], outputs: Node | Sequence[Node]) -> None:
        for given in (inputs, outputs):
            _check_declared(given)
        self.inputs: tuple[Input, ...] = (inputs,) if isinstance(inputs, Node) else tuple(inputs)
        self.outputs: tuple[Node, ...] = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        self.graph = Graph(self.outputs)
        self.history = History()
        self.stop_training = False  # as in Keras: a callback may set it
        self._learning: Learning | None = None
        self._prediction = Function(self.inputs, outputs, training=False)
        self._epochs_done = 0
        self._last: Training | None = None
        self._turns = Turns()

    # Declaring how it is trained.

    @teaches
    def compile(
        self,
        optimizer: str | optim.Optimizer = "adam",
        loss: str | Node = "cross_entropy",
        metrics: Given = (),
        device: str = "cpu",
        **settings: Any,
    ) -> None:
        """Say how the model is trained. Kernels are compiled when they are first needed.

        Parameters
        ----------
        optimizer
            An optimizer, or a name such as ``"adam"`` or ``"sgd"``.
        loss
            A scalar node; its inputs beyond the model's are the targets. Or a name, such as
            ``"cross_entropy"``, ``"bce_with_logits"``, ``"mse"`` or ``"mae"``, which declares the
            target as an input ``y`` itself. What is trained is this node; what is reported is its
            mean over the samples, also of a sum over the batch (``reduction="sum"``).
        metrics
            Names (``"accuracy"``, ``"mae"``, ``"mse"``, ``"top_k"``; of the whole set
            ``"f1_macro"``, ``"recall"``, ``"r2"``, ``"confusion_matrix"``, ...), objects of
            :mod:`gn.metrics`, or scalar nodes by name. ``"accuracy"`` counts classes, and yes or no
            beside a binary cross-entropy. ``"grad_norm"``, the norm of all gradients before they
            are clipped, and ``"lr"`` are there in training only.
        device
            ``"cpu"``.
        settings
            Of an optimizer that is named: ``compile("adam", lr=0.01, global_clipnorm=1.0)``.

        Raises
        ------
        GraphError, ShapeError
            For unknown names, a loss without a gradient, metrics that are no scalars, or several
            candidates for the target; the model stays as it was.
        """
        rule = chosen_optimizer(optimizer, settings)
        self._learning = Learning(self.inputs, self.outputs, rule, loss, metrics, device)

    @property
    def training(self) -> Function | None:
        """The compiled training step, after :meth:`compile`."""
        return None if self._learning is None else self._learning.training

    @property
    def loss(self) -> Node | None:
        """What is trained, after :meth:`compile`."""
        return None if self._learning is None else self._learning.loss

    @property
    def optimizer(self) -> optim.Optimizer | None:
        """The rule of the updates, after :meth:`compile`."""
        return None if self._learning is None else self._learning.optimizer

    @property
    def metrics(self) -> dict[str, Node]:
        """What is measured beside the loss, by name."""
        return {} if self._learning is None else self._learning.metrics

    @property
    def targets(self) -> tuple[Input, ...]:
        """Inputs of the loss that are none of the model's."""
        return () if self._learning is None else self._learning.targets

    # Training and asking.

    @teaches
    @alone
    def fit(
        self,
        x: Any,
        y: Data | None = None,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Callback | Iterable[Callback] = (),
        class_weight: ClassWeight | None = None,
        sample_weight: ArrayLike | None = None,
        steps_per_epoch: int | None = None,
        capture: Capture | None = None,
        verbose: int = 1,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train on a data set, whole epochs inside the compiled executor.

        Parameters
        ----------
        x, y
            Arrays for the model's inputs and for the targets; or one dict with all of them by name.
            Samples lie along the first axis. Arrays may be memory maps. Or ``x`` alone: batches
            ``(x, y)`` or dicts, from a generator, a loader, or a function that returns such; a data
            set of samples, ``len`` and ``[i]``; what pyarrow reads (see ``docs/data.md``). A thread
            prepares them while others are trained; their order and size is theirs.
        epochs
            How often the data is gone through.
        batch_size
            Samples a step; a smaller last batch is trained too.
        shuffle
            Whether each epoch has an order of its own, repeatable by ``gn.set_seed``.
        validation_data
            ``(x, y)``, a dict, or batches: evaluated after each epoch.
        validation_split
            Share of the samples, in [0, 1), that is held back for that: the last ones, whatever
            ``shuffle`` says.
        callbacks
            Objects of :mod:`gn.callbacks`: early stopping, logs, or one's own.
        class_weight
            Weights by class, ``{0: 1.0, 1: 5.0}``; a class that is not named counts 1.
        sample_weight
            One weight a sample. With weights the loss is ``Σ wᵢ lossᵢ / n``, as in Keras: divided
            by the number of samples, not by the sum of the weights; both kinds multiply.
            Penalties, metrics and validation are not weighted.
        steps_per_epoch
            How many batches an epoch has, if they come without an end, or are to be cut.
        capture
            Looks at all values of the first samples again and again, for a page.
        verbose
            0: silent; 1: a progress bar, or lines where there is no terminal, about a hundred for
            many short epochs; 2: a line an epoch.
        resume
            A checkpoint, or a folder of them, from whose last whole one training goes on to
            ``epochs`` in all, with the bits of a run that was not interrupted. A folder without any
            is where a run begins that writes them by ``callbacks.ModelCheckpoint(folder)``.

        Returns
        -------
        History
            Loss and metrics by epoch.

        Raises
        ------
        DataError, ShapeError, DTypeError
            For data that does not fit, and a checkpoint of another run; nothing is trained then.
        GraphError
            While the model is being trained, as from a callback.
        KeyboardInterrupt
            After Ctrl-C; the parameters are those of the last whole step.

        Warns
        -----
        NotFiniteWarning
            Once, when the loss of an epoch is NaN or infinite. As an error, it stops training.

        Examples
        --------
        >>> import numpy as np
        >>> import graphnn as gn
        >>> from graphnn import nn
        >>> x = gn.Input((None, 2), name="x")
        >>> model = gn.Model(x, nn.Linear(2, 1)(x))
        >>> model.compile("sgd", loss="mse")
        >>> X = np.ones((10, 2), np.float32)
        >>> stop = gn.callbacks.EarlyStopping("val_loss", patience=2)
        >>> history = model.fit(
        ...     X, X[:, :1], epochs=5, verbose=0, validation_split=0.2, callbacks=[stop]
        ... )
        >>> list(history)
        ['loss', 'val_loss']
        """
        learning = self._compiled()
        learning.check_frozen()
        check_count("epochs", epochs, 1, MOST_EPOCHS)
        check_count("batch_size", batch_size)
        check_verbose(verbose)
        if steps_per_epoch is not None:
            check_count("steps_per_epoch", steps_per_epoch)
        data, held = learning.reader.read(x, y, batch_size, shuffle), None
        if validation_data is not None:
            held = learning.reader.validation(validation_data, INFERENCE_BATCH)
        data = learning.weighted(data, class_weight, sample_weight)
        if validation_split:
            data, held = held_back(data, held, validation_split, INFERENCE_BATCH)
        looks = as_callbacks(looking(capture, data, batch_size))
        called = [*as_callbacks(callbacks), *looks]
        terms = {"batch_size": int(batch_size), "shuffle": bool(shuffle), "steps": steps_per_epoch}
        hooks = Hooks(called, self)
        training = learning.over(data, held, terms, hooks, self.parameters, self._epochs_done)
        begun = None if resume is None else checkpoint_at(resume, called)
        if begun is not None:
            training.check(begun)
        fitting = training.fitting
        self.history, self._last = fitting.history, training
        steps = steps_of(data, batch_size, steps_per_epoch)
        learning.begin_epochs(steps, self._epochs_done)
        if begun is not None:
            training.restore(begun)
        with (
            opened(
                fitting.function, data, epochs, fitting.before, steps_per_epoch,
                batch_size=batch_size, shuffle=shuffle,
            ) as fitting.data,
            reporter(verbose, epochs, fitting.names) as fitting.shown,
        ):  # fmt: skip
            try:
                fitting.run(epochs, {"epochs": epochs, "steps": steps, "batch_size": batch_size})
            finally:
                self._epochs_done = fitting.before + self.history.epochs
        return self.history

    def save_checkpoint(self, path: str | os.PathLike[str]) -> Path:
        """Write all that training needs to go on, whole or not at all.

        Parameters, the optimizer's state, the counter of random numbers, schedules, the place in
        the epoch, what callbacks keep, the history: ``fit(..., resume=path)`` goes on from there.
        :class:`gn.callbacks.ModelCheckpoint` does it while a model trains.

        Raises
        ------
        GraphError
            Before the first :meth:`fit`.
        DataError
            If the file cannot be written; an older one is kept.
        """
        if self._last is None:
            raise GraphError(
                "there is nothing to go on from before model.fit; model.save(path) "
                "writes the weights"
            )
        return write_checkpoint(path, self._last.checkpoint())

    @alone
    def find_lr(
        self,
        x: Data,
        y: Data | None = None,
        *,
        lowest: float = 1e-6,
        highest: float = 10.0,
        steps: int = 100,
        batch_size: int = 32,
    ) -> RateTable:
        """A table of learning rates and losses: train while the rate grows, then undo it.

        Smith, *Cyclical learning rates for training neural networks* (WACV 2017), sec. 3.3, with a
        rate that grows by one factor each step. It ends early when the loss is lost.

        Parameters
        ----------
        x, y
            As for :meth:`fit`.
        lowest, highest
            The first rate and the last.
        steps
            How many batches are trained.
        batch_size
            Samples a step.

        Returns
        -------
        RateTable
            ``rates``, ``losses``, ``smoothed`` losses, and ``steepest``, a rate to begin with.

        Raises
        ------
        GraphError, DataError, ShapeError
            For rates out of range, and data that does not fit.
        """
        learning = self._compiled()
        learning.check_frozen()
        check_count("steps", steps, 3)
        check_count("batch_size", batch_size)
        data = learning.reader.read(x, y, batch_size)
        return learning.rates(
            data, lowest=lowest, highest=highest, steps=steps, batch_size=batch_size
        )

    @teaches
    def evaluate(self, x: Any, y: Data | None = None) -> dict[str, Any]:
        """Loss and metrics on a data set, dropout off.

        Returns
        -------
        dict
            Means over the samples by name; a metric that is an array as nested lists.
        """
        learning = self._compiled()
        return learning.evaluated(learning.reader.read(x, y, INFERENCE_BATCH))

    @teaches
    def predict(self, x: Any, batch_size: int = INFERENCE_BATCH) -> Any:
        """The outputs for given inputs, dropout off.

        Parameters
        ----------
        x
            Arrays for the model's inputs, or batches of them.
        batch_size
            Samples a call; batches keep their own size.

        Returns
        -------
        array, or list of arrays for several outputs
        """
        check_count("batch_size", batch_size)
        return predicted(self._prediction, x, batch_size)

    def _compiled(self) -> Learning:
        if self._learning is None:
            raise GraphError(
                "call model.compile(optimizer, loss) before training, evaluating, or drawing more "
                "than the forward pass: render(path, passes='forward')"
            )
        return self._learning

    # Parameters.

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter of the layers by its name in the graph."""
        names = self.graph.names()
        # The generator of dropout's masks belongs to gn.set_seed, not to any one model.
        own = [p for p in self.graph.parameters if not isinstance(p, Generator)]
        return {names[parameter]: parameter for parameter in own}

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Copies of all parameters by name."""
        return {name: p.value.copy() for name, p in self.parameters.items()}

    @teaches
    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set all parameters by name; nothing is changed if anything does not fit."""
        load_parameters(self.parameters, state)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the parameters to a safetensors file, whole or not at all.

        The graph and the optimizer's state are not in it: declare the model again, then
        :meth:`load`.

        Raises
        ------
        DataError
            If the file cannot be written, or has the suffix of another format.
        """
        return save_weights(path, self.state_dict())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the parameters from a safetensors file; nothing is changed if it does not fit.

        Of a checkpoint the weights are taken; ``fit(resume=path)`` goes on with all of it.
        """
        self.load_state_dict(load_weights(path))

    # Looking.

    @property
    def updates(self) -> tuple[tuple[Parameter, Node], ...]:
        """The update of each parameter, after :meth:`compile`."""
        return () if self.training is None else self.training.updates

    def render(self, path: str | os.PathLike[str], passes: Pass = "joint", **options: Any) -> Path:
        """Draw the graph as SVG, PNG, PDF, DOT, Mermaid or a page, by the suffix of ``path``.

        Parameters
        ----------
        path
            File to write.
        passes
            ``"forward"``, ``"backward"`` or ``"joint"``; the last two need :meth:`compile`.
        options
            Those of :func:`gn.render`: ``level``, ``collapse``, ``rolled``, ``capture``, ``theme``.
        """
        if passes in ("backward", "joint"):  # any other is complained of in render
            if self._learning is None:
                raise GraphError(
                    "before model.compile(optimizer, loss) a model has no reverse pass to draw: "
                    "compile it, or draw the forward pass alone, passes='forward'"
                )
            return render(self._learning.training, path, passes=passes, **options)
        return render(self.graph, path, passes=passes, **options)

    def summary(self) -> None:
        """Print a table: layer, output shape, parameters, what is trained, FLOPs, memory."""
        print_summary(self.graph, self.parameters)

    def __call__(self, *_values: Any) -> Any:
        """A model is asked with :meth:`predict`; networks are what is called."""
        raise GraphError(
            "a model is not called: model.predict(array) computes its outputs; to declare more "
            "nodes, call the network that it was made of, net(x)"
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise lacking(self, name, OF_MODEL)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise GraphError(
            "a model is not copied or pickled, since it is compiled code: keep its weights with "
            "model.save(path) or model.state_dict(), declare the model again, and load them"
        )

    def __repr__(self) -> str:
        return (
            f"<Model: {', '.join(n.name for n in self.inputs)} -> "
            f"{', '.join(n.name for n in self.outputs)}>"
        )


def _check_declared(given: object) -> None:
    """A network is called before a model is made of what it declares."""
    if isinstance(given, Module):
        raise GraphError(
            f"a model is made of nodes; got {given!r}. Call the network: "
            "x = gn.Input((None, ...)), gn.Model(x, net(x))."
        )
    if isinstance(given, Mapping):
        raise GraphError(
            f"a model's inputs and outputs are a node or a list of nodes; got {given!r}. Give a "
            "list: list(outputs.values())."
        )
