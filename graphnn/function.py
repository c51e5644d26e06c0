"""``gn.function``: a graph compiled into one call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn.backends.cpu import binding, executor
from graphnn.backends.cpu.binding import Bound, Places, address_of
from graphnn.backends.cpu.executor import Job
from graphnn.backends.cpu.kernels import kernel_of
from graphnn.barriers import Layout
from graphnn.errors import GraphError
from graphnn.feed import symbols
from graphnn.fusion import root
from graphnn.hints import teaches
from graphnn.looks import Describable
from graphnn.loop import offset_of
from graphnn.node import Constant, Input, Node, Parameter, Size
from graphnn.plan import Memory, Plan
from graphnn.program import Program, Updates, checked_updates, program_of
from graphnn.signature import Shapes, Signature, check_declared
from graphnn.spec import evaluate

if TYPE_CHECKING:
    from graphnn.train.history import History

MOST_SIZES = 64  # for which bound plans are kept
SHOWN_BATCH = 32  # the batch for which a plan is shown before any call has said another

# Who looks at each step of a run, if anybody: (function, arrays, what runs it, where it is).
Inspector: TypeAlias = (
    "Callable[[Function, Sequence[NDArray[Any]], Callable[[], list[NDArray[Any]]], "
    "Callable[[int | None], str]], list[NDArray[Any]]]"
)
inspecting: ContextVar[Inspector | None] = ContextVar("graphnn_inspecting", default=None)

# What a function does with the rooms above it: they enter themselves here.
methods: dict[str, Callable[..., Any]] = {}

# All functions that there are. After a fork nobody is left who would release what is held. No
# WeakSet: Ctrl-C is lost in the Python code that it runs when one of them is collected.
_all: list[ref[Function]] = []


def _known(function: Function) -> None:
    if len(_all) & (len(_all) - 1) == 0:  # now and then
        _all[:] = [one for one in _all if one() is not None]
    _all.append(ref(function))


def _released() -> None:
    for one in _all:
        function = one()
        if function is not None:
            function.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_released)


@dataclass
class _Call:
    """What a call runs for arrays of some shapes.

    Parameters
    ----------
    bound, job
        The plan and its run.
    read
        For each input where its address is written; nothing for one that nothing reads.
    found
        For each result where it lies afterwards; None for what is an input's.
    """

    bound: Bound
    job: Job
    read: list[tuple[Places, Places] | tuple[()]]
    found: list[NDArray[Any] | None]


class Function(Describable):
    """A compiled graph; call it with arrays. Made by :func:`function`.

    Attributes
    ----------
    inputs, outputs
        The nodes as they were given.
    updates
        Pairs (parameter, node of its new value).
    parameters
        All parameters that it reads or writes.
    epochs, history
        How many epochs :meth:`loop` has run, and what the last one brought, also after Ctrl-C.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((2,), name="x")
    >>> w = gn.Parameter(np.float32([10, 1]), name="w")
    >>> f = gn.function(x, gn.sum(w * x))
    >>> float(f([1, 2]))
    12.0
    >>> f.parameters
    (<w: parameter float32 (2,)>,)
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Node | Sequence[Node],
        updates: Updates = (),
        *,
        training: bool | None = None,
        device: str = "cpu",
    ) -> None:
        self.inputs = tuple(inputs)
        self.single = isinstance(outputs, Node)
        if not isinstance(outputs, Node | list | tuple):
            raise GraphError(f"outputs are a node, or a list of nodes; got {outputs!r}")
        self.outputs: tuple[Node, ...] = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        self.updates = checked_updates(updates)
        self.training = bool(self.updates) if training is None else training
        _check_device(device)
        check_declared(self.inputs, [*self.outputs, *(new for _, new in self.updates)])
        self._take(program_of(self.outputs, self.updates, self.training))

    @classmethod
    def watching(cls, inputs: Sequence[Input], program: Program, nodes: Sequence[Node]) -> Function:
        """A function that returns what nodes of a program hold; it changes no parameter."""
        made = cls.__new__(cls)
        made.inputs, made.outputs, made.updates = tuple(inputs), tuple(nodes), ()
        made.single, made.training = False, True
        made._take(program.watching(nodes))
        return made

    def _take(self, program: Program) -> None:
        """Run a program from now on."""
        self.program = program
        self._results, self._new = self.program.results, self.program.new
        targets = list(self._new.values())
        self._kernels = tuple(kernel_of(step) for step in self.program.steps)
        self.graph = self.program.graph
        self.parameters = self._all_parameters(targets)
        _settle(self.parameters)
        homes = [(address_of(target.value), target.value.nbytes) for target in targets]
        self._homes = [(home, home + nbytes) for home, nbytes in homes]
        self._memory = binding.Memory()
        self._bound: dict[object, Bound] = {}
        self._calls: dict[Shapes, _Call] = {}
        self._last: Plan | None = None
        self.lock = threading.RLock()
        _known(self)
        self.epochs = 0
        self.history: History | None = None
        self._signature = Signature(self.inputs, self.graph)

    # Declaration.

    def _all_parameters(self, targets: Sequence[Parameter]) -> tuple[Parameter, ...]:
        found = dict.fromkeys([*self.graph.parameters, *targets])
        return tuple(sorted(found, key=lambda p: (not p.trainable, p.serial)))

    # Planning.

    @property
    def plan(self) -> Plan:
        """The schedule for the last size that was called (before any call, a batch of 32)."""
        if self._last is None:
            guess = self.plan_for(dict.fromkeys(symbols(self.inputs), SHOWN_BATCH))
            self._last = replace(guess, guessed=bool(guess.sizes))
        return self._last

    @property
    def memory(self) -> Memory:
        """Planned peak against the sum of all buffers."""
        return self.plan.memory

    def plan_for(
        self, sizes: Mapping[str, int], *, gathered: bool = False, layout: Layout | None = None
    ) -> Plan:
        """The schedule for given sizes.

        Parameters
        ----------
        sizes
            Size of each symbol; the batch is ``"N"``.
        gathered
            Whether batches of the inputs are gathered into the arena, as in training loops.
        layout
            A layout for larger sizes to keep to, so that both plans find values in one place.
        """
        gathers = self.inputs if gathered else ()
        layout = layout or self.program.laid_out(sizes, executor.machine_lanes(), gathers)
        plan = Plan(self.graph, self.program.steps, layout, self._kernels, dict(sizes), 1)
        return replace(plan, lanes=executor.lanes_for(*plan.work, plan.waits))

    def bind(
        self, sizes: Mapping[str, int], *, gathered: bool = False, like: Bound | None = None
    ) -> Bound:
        """The plan for given sizes, compiled and bound to addresses.

        ``like``: the plan of a larger batch, whose places in the arena it shares.
        """
        layout = like.plan.layout if like is not None else None
        key = (tuple(sorted(sizes.items())), gathered, id(layout))
        with self.lock:
            if key not in self._bound:
                self._signature.check_sizes(sizes)
                plan = self.plan_for(sizes, gathered=gathered, layout=layout)
                if like is not None:  # run by the same job: split alike, however small
                    plan = replace(plan, lanes=like.plan.lanes)
                if self._memory.reserve(plan.layout.nbytes):
                    self._bound.clear()
                    self._calls.clear()
                while len(self._bound) >= MOST_SIZES:  # what was bound first goes first
                    self._bound.pop(next(iter(self._bound)))
                    self._calls.clear()
                self._bound[key] = binding.bind(plan, self._kernels, self._memory)
            if like is None:
                self._last = self._bound[key].plan
            return self._bound[key]

    # Running.

    def __call__(self, *values: ArrayLike) -> Any:
        """Run the graph once.

        Parameters
        ----------
        *values
            One array for each input, in their order.

        Returns
        -------
        array or list of arrays
            Copies of the outputs, in their order.

        Raises
        ------
        ShapeError, DTypeError, DataError
            If an array does not fit its input.
        """
        arrays, sizes = self.checked(values)
        look = inspecting.get()
        if look is None:
            results = self._run(arrays, sizes)
        else:
            results = look(self, arrays, lambda: self._run(arrays, sizes), lambda _row: "")
        return results[0] if self.single else results

    def _run(self, arrays: Sequence[NDArray[Any]], sizes: Mapping[str, int]) -> list[NDArray[Any]]:
        """The results for arrays that fit."""
        with self.lock:
            call = self._call(tuple(array.shape for array in arrays), sizes)
            bound = call.bound
            self._last = bound.plan
            arrays = [self.apart(array) for array in arrays] if self._homes else arrays
            for read, array in zip(call.read, arrays, strict=True):
                if read:
                    bound.give(*read, address_of(array))
            threads = 1 if executor.is_short(bound) else executor.get_num_threads()
            if threads == 1:
                call.job.run_here()
            else:
                call.job.run(threads)
            return [
                self.read(node, bound, arrays) if found is None else found.copy()
                for node, found in zip(self._results, call.found, strict=True)
            ]

    @teaches
    def loop(
        self,
        data: Any,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        on_epoch: Callable[[int, Mapping[str, float]], bool | None] | None = None,
        shuffle: bool = True,
        steps_per_epoch: int | None = None,
        verbose: int = 1,
    ) -> History:
        """Run over all batches of a data set, whole epochs inside the compiled executor.

        Parameters
        ----------
        data
            Arrays for the inputs, samples along the first axis: one, a list in the order of the
            inputs, or a dict by name. Or batches of them, as :meth:`Model.fit` takes them.
        batch_size
            Samples a step; a smaller last batch is run too.
        epochs
            How often the data is gone through.
        on_epoch
            ``on_epoch(epoch, logs)`` is called after each epoch with its number, from 0, and the
            means of the outputs by name. If it returns True, the loop ends there; None or False
            go on.
        shuffle
            Whether each epoch has an order of its own, repeatable by ``gn.set_seed``. The next
            loop of this function goes on with orders of its own.
        steps_per_epoch
            Of batches without an end: how many an epoch has.
        verbose
            0: silent; 1: a progress bar, or lines where there is no terminal; 2: a line an epoch.

        Returns
        -------
        History
            Of each output, by the name of its node, the mean over the samples of each epoch.

        Raises
        ------
        GraphError
            If an output is no float scalar, or there is no input.
        DataError, ShapeError, DTypeError
            For data that does not fit; nothing is run then.
        KeyboardInterrupt
            After Ctrl-C; the parameters are those of the last whole step.

        Warns
        -----
        NotFiniteWarning
            Once, when the mean of the first output is NaN or infinite.

        Examples
        --------
        >>> import numpy as np
        >>> import graphnn as gn
        >>> x = gn.Input((None, 2), name="x")
        >>> w = gn.Parameter(np.float32([1, 1]), name="w")
        >>> loss = gn.mean((x @ w - 3.0) ** 2, name="loss")
        >>> step = gn.function(x, loss, updates=gn.optim.SGD(0.1).updates(loss, [w]))
        >>> history = step.loop(np.eye(2, dtype=np.float32), batch_size=2, epochs=50, verbose=0)
        >>> round(history["loss"][0], 3), round(history["loss"][-1], 3)
        (4.0, 0.0)
        """
        return methods["loop"](  # type: ignore[no-any-return]
            self, data, batch_size, epochs, on_epoch=on_epoch, shuffle=shuffle,
            steps_per_epoch=steps_per_epoch, verbose=verbose,
        )  # fmt: skip

    def _call(self, shapes: Shapes, sizes: Mapping[str, int]) -> _Call:
        """What to run for arrays of some shapes: made once for each."""
        call = self._calls.get(shapes)
        if call is None:
            executor.get_num_threads()  # a setting that is no number is said at the first call
            bound = self.bind(sizes)
            read = [bound.inputs.get(node, ()) for node in self.inputs]
            found = [self._found(node, bound) for node in self._results]
            call = self._calls[shapes] = _Call(bound, Job(bound), read, found)
        return call

    def checked(self, values: Sequence[ArrayLike]) -> tuple[list[NDArray[Any]], dict[str, int]]:
        """Arrays that fit the inputs, and the size of each symbol."""
        return self._signature.checked(values)

    def apart(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array, copied if it shows memory of a parameter that the function changes."""
        start = address_of(array)
        end = start + array.nbytes
        shared = any(start < home_end and home < end for home, home_end in self._homes)
        return array.copy() if shared else array

    def read(self, node: Node, bound: Bound, arrays: Sequence[NDArray[Any]] = ()) -> NDArray[Any]:
        """A copy of a value after a run."""
        found = self._found(node, bound)
        if found is None:
            given = arrays[self.inputs.index(root(node))]
            found = given.reshape(node.spec.concrete(bound.plan.sizes))
        return found.copy()

    def _found(self, node: Node, bound: Bound) -> NDArray[Any] | None:
        """Where a value lies after a run, for good; None for what is an input's."""
        source = self._new.get(root(node), root(node))
        shape = node.spec.concrete(bound.plan.sizes)
        if isinstance(source, Parameter):
            return source.value.reshape(shape)
        if isinstance(source, Constant):
            return source.array.reshape(shape)
        if isinstance(source, Size):
            return np.array(evaluate(source.dim, bound.plan.sizes), node.dtype)
        return None if isinstance(source, Input) else self.view(node, bound)

    def view(self, node: Node, bound: Bound) -> NDArray[Any]:
        """A computed value where it lies in the arena."""
        start = bound.offsets[root(node)] + evaluate(offset_of(node), bound.plan.sizes)
        count = evaluate(node.spec.nbytes, bound.plan.sizes)
        flat = bound.arena[start : start + count].view(node.dtype)
        return flat.reshape(node.spec.concrete(bound.plan.sizes))

    def result(self, index: int) -> Node:
        """The node that holds output ``index`` after all rewrites."""
        return self._results[index]

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise GraphError(
            "a compiled function is not copied or pickled: declare it again, and keep the values "
            "of its parameters"
        )

    def __repr__(self) -> str:
        ins = ", ".join(node.name for node in self.inputs)
        outs = ", ".join(node.name for node in self.outputs)
        return f"<function ({ins}) -> ({outs}), {len(self.updates)} updates>"


@teaches
def function(
    inputs: Input | Sequence[Input],
    outputs: Node | Sequence[Node],
    updates: Updates = (),
    *,
    training: bool | None = None,
    device: str = "cpu",
) -> Function:
    """Compile a graph into one call.

    Parameters
    ----------
    inputs
        What is given at each call; also inputs that no output needs.
    outputs
        What a call returns: one node or several.
    updates
        Pairs (parameter, node of its new value), as ``optim.SGD(...).updates(loss, parameters)``
        makes them. All new values are computed from the old ones.
    training
        Which phase of the graph is meant: True, dropout drops, batch normalisation takes the
        statistics of the batch and moves its running averages; False, nothing random is done and
        nothing moves but ``updates``. None: True if there are ``updates``, else False.
    device
        ``"cpu"``.

    Returns
    -------
    Function
        ``fn(*arrays)``; ``print(fn.plan)`` shows its schedule.

    Raises
    ------
    GraphError
        For inputs that are missing or given twice, and for impossible updates.

    Examples
    --------
    >>> import numpy as np
    >>> import graphnn as gn
    >>> x = gn.Input((None, 2), name="x")
    >>> f = gn.function(x, gn.sum(x * x))
    >>> float(f(np.ones((3, 2), np.float32)))
    6.0
    """
    given = [inputs] if isinstance(inputs, Node) else list(inputs)
    return Function(given, outputs, updates, training=training, device=device)


def _check_device(device: str) -> None:
    if device != "cpu":
        raise GraphError(
            f"device={device!r} is not there: this version runs on device='cpu' only. "
            "graphnn never falls back silently."
        )


def _settle(parameters: Sequence[Parameter]) -> None:
    """Give parameters that have none yet a home: one aligned slab, each after the other."""
    homeless = [p for p in parameters if not p.settled]
    spans = [-(-p.value.nbytes // 64) * 64 for p in homeless]
    slab = binding.aligned(sum(spans))
    at = 0
    for parameter, span in zip(homeless, spans, strict=True):
        value = parameter.value
        home = slab[at : at + value.nbytes].view(value.dtype).reshape(value.shape)
        parameter.move_to(home)
        at += span
