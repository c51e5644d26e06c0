"""``gn.function``: a graph compiled into one call."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphnn import passes
from graphnn.backends.cpu import executor
from graphnn.backends.cpu.executor import Bound, Job, address_of
from graphnn.backends.cpu.kernels import kernel_of
from graphnn.errors import DataError, DTypeError, GraphError, PlanError, ShapeError
from graphnn.fusion import Group, fuse, is_computed, root
from graphnn.graph import Constant, Graph, Input, Node, Parameter, Size, apply
from graphnn.memory import Layout, lay_out
from graphnn.op import Leaf, Scalar
from graphnn.ops.movement import COPY
from graphnn.ops.random import GENERATOR, advanced
from graphnn.plan import Memory, Plan
from graphnn.schedule import Step, schedule, with_reuse
from graphnn.spec import FLOATS, DimLike, evaluate, format_shape, symbol_name, symbols_in

Updates: TypeAlias = "Iterable[tuple[Parameter, Node]] | Mapping[Parameter, Node]"
SHOWN_BATCH = 32  # the batch for which a plan is shown before any call has said another


class Function:
    """A compiled graph; call it with arrays. Made by :func:`function`.

    Attributes
    ----------
    inputs, outputs
        The nodes as they were given.
    updates
        Pairs (parameter, node of its new value).
    parameters
        All parameters that it reads or writes.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        outputs: Node | Sequence[Node],
        updates: Updates = (),
        *,
        training: bool = True,
        device: str = "cpu",
    ) -> None:
        self.inputs = tuple(inputs)
        self.single = isinstance(outputs, Node)
        self.outputs: tuple[Node, ...] = (outputs,) if isinstance(outputs, Node) else tuple(outputs)
        self.updates = _checked_updates(updates)
        self.training = training
        _check_device(device)
        self._check_inputs()
        wanted = [*self.outputs, *(new for _, new in self.updates)]
        targets = [parameter for parameter, _ in self.updates]
        if training and GENERATOR in Graph(wanted).nodes and GENERATOR not in targets:
            wanted.append(advanced())
            targets.append(GENERATOR)
        if not training:
            wanted = passes.for_inference(wanted)
        wanted = passes.simplified(wanted)
        count = len(self.outputs)
        # What is returned is the old value, like all that is computed from it.
        wanted[:count] = [
            apply(COPY, [node]) if root(node) in targets else node for node in wanted[:count]
        ]
        self._results = wanted[:count]
        steps, self._new = _scheduled(wanted[:count], targets, wanted[count:])
        self._gradients = _gradients(steps, targets)
        self._steps = with_reuse(steps, [*self._results, *self._gradients])
        self._kernels = tuple(kernel_of(step) for step in self._steps)
        self.graph = Graph([*self._results, *self._new.keys()])
        self.parameters = self._all_parameters(targets)
        _settle(self.parameters)
        self._memory = executor.Memory()
        self._bound: dict[object, Bound] = {}
        self._jobs: dict[int, Job] = {}
        self._last: Plan | None = None
        self._lock = threading.RLock()
        self._limits = _limits(self.graph)

    # Declaration.

    def _check_inputs(self) -> None:
        for node in self.inputs:
            if not isinstance(node, Input):
                raise GraphError(
                    f"the inputs of a function are gn.Input nodes; got {node!r}. To compute from a "
                    "node in the middle, declare an Input in its place."
                )
        if len(set(self.inputs)) < len(self.inputs):
            raise GraphError("an input is given twice")
        graph = Graph([*self.outputs, *(new for _, new in self.updates)])
        unknown = [node for node in graph.inputs if node not in self.inputs]
        if unknown:
            found = ", ".join(f"{node.name} (declared at {node.origin})" for node in unknown)
            raise GraphError(f"the outputs need inputs that are not given: {found}")
        known = _symbols(self.inputs)
        for value in dict.fromkeys([*self.inputs, *graph.nodes]):
            missing = {name for dim in value.spec.shape for name in symbols_in(dim)} - known
            if missing:
                raise GraphError(
                    f"{value.name} has shape {format_shape(value.spec.shape)} (declared at "
                    f"{value.origin}), but no input tells the size {missing.pop()}: declare one "
                    "that has an axis of just that size."
                )

    def _all_parameters(self, targets: Sequence[Parameter]) -> tuple[Parameter, ...]:
        found = dict.fromkeys([*self.graph.parameters, *targets])
        return tuple(sorted(found, key=lambda p: (not p.trainable, p.serial)))

    # Planning.

    @property
    def plan(self) -> Plan:
        """The schedule for the last size that was called (before any call, a batch of 32)."""
        if self._last is None:
            self._last = self.plan_for(dict.fromkeys(_symbols(self.inputs), SHOWN_BATCH))
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
        layout = layout or lay_out(
            self._steps,
            sizes,
            [node for node in self._results if is_computed(root(node)) and node not in self._new],
            self._gradients,
            self.inputs if gathered else (),
        )
        plan = Plan(self.graph, tuple(self._steps), layout, self._kernels, dict(sizes), 1)
        return Plan(
            self.graph,
            plan.steps,
            layout,
            self._kernels,
            plan.sizes,
            executor.lanes_for(*plan.work),
        )

    def bind(
        self, sizes: Mapping[str, int], *, gathered: bool = False, like: Bound | None = None
    ) -> Bound:
        """The plan for given sizes, compiled and bound to addresses.

        ``like``: the plan of a larger batch, whose places in the arena it shares.
        """
        layout = like.plan.layout if like is not None else None
        key = (tuple(sorted(sizes.items())), gathered, id(layout))
        with self._lock:
            if key not in self._bound:
                plan = self.plan_for(sizes, gathered=gathered, layout=layout)
                if self._memory.reserve(plan.layout.nbytes):
                    self._bound.clear()
                    self._jobs.clear()
                self._bound[key] = executor.bind(plan, self._kernels, self._memory)
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
        with self._lock:
            bound = self.bind(sizes)
            for node, array in zip(self.inputs, arrays, strict=True):
                if node in bound.inputs:
                    bound.data[bound.inputs[node]] = address_of(array)
            job = self._jobs.get(id(bound))
            if job is None:
                job = self._jobs[id(bound)] = Job(bound)
            threads = executor.get_num_threads()
            if bound.plan.lanes == 1 or threads == 1 or bound.seconds < executor.THREAD_SECONDS:
                job.run_here()
            else:
                job.run(threads)
            results = [self.read(node, bound, arrays) for node in self._results]
        return results[0] if self.single else results

    def checked(self, values: Sequence[ArrayLike]) -> tuple[list[NDArray[Any]], dict[str, int]]:
        """Arrays that fit the inputs, and the size of each symbol."""
        if len(values) != len(self.inputs):
            names = ", ".join(node.name for node in self.inputs)
            raise GraphError(
                f"the function takes {len(self.inputs)} arrays ({names}); got {len(values)}"
            )
        arrays = [fitting(node, v) for node, v in zip(self.inputs, values, strict=True)]
        sizes: dict[str, int] = {}
        for node, array in zip(self.inputs, arrays, strict=True):
            _solve(node, array.shape, sizes)
        for node, array in zip(self.inputs, arrays, strict=True):
            _check_shape(node, array.shape, sizes)
            _check_limits(node, array, self._limits.get(node, ()), sizes)
        return arrays, sizes

    def read(self, node: Node, bound: Bound, arrays: Sequence[NDArray[Any]] = ()) -> NDArray[Any]:
        """A copy of a value after a run."""
        source = self._new.get(root(node), root(node))
        shape = node.spec.concrete(bound.plan.sizes)
        if isinstance(source, Parameter):
            return source.value.reshape(shape).copy()
        if isinstance(source, Constant):
            return source.array.reshape(shape).copy()
        if isinstance(source, Size):
            return np.array(evaluate(source.dim, bound.plan.sizes), node.dtype)
        if isinstance(source, Input):
            return arrays[self.inputs.index(source)].reshape(shape).copy()
        return self.view(node, bound).copy()

    def view(self, node: Node, bound: Bound) -> NDArray[Any]:
        """A computed value where it lies in the arena."""
        start = bound.offsets[root(node)]
        count = evaluate(node.spec.nbytes, bound.plan.sizes)
        flat = self._memory.arena[start : start + count].view(node.dtype)
        return flat.reshape(node.spec.concrete(bound.plan.sizes))

    def result(self, index: int) -> Node:
        """The node that holds output ``index`` after all rewrites."""
        return self._results[index]

    def __repr__(self) -> str:
        ins = ", ".join(node.name for node in self.inputs)
        outs = ", ".join(node.name for node in self.outputs)
        return f"<function ({ins}) -> ({outs}), {len(self.updates)} updates>"


def function(
    inputs: Input | Sequence[Input],
    outputs: Node | Sequence[Node],
    updates: Updates = (),
    *,
    training: bool = True,
    device: str = "cpu",
) -> Function:
    """Compile a graph into one call.

    Parameters
    ----------
    inputs
        What is given at each call.
    outputs
        What a call returns: one node or several.
    updates
        Pairs (parameter, node of its new value), as ``optim.SGD(...).updates(loss, parameters)``
        makes them. All new values are computed from the old ones.
    training
        Whether dropout drops.
    device
        ``"cpu"``.

    Returns
    -------
    Function
        ``fn(*arrays)``; ``print(fn.plan)`` shows its schedule.

    Raises
    ------
    GraphError
        For inputs that are missing, given twice or unused names, and for impossible updates.

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


def _checked_updates(updates: Updates) -> tuple[tuple[Parameter, Node], ...]:
    pairs = tuple(updates.items() if isinstance(updates, Mapping) else updates)
    seen: set[Node] = set()
    for target, new in pairs:
        if not isinstance(target, Parameter) or not isinstance(new, Node):
            raise GraphError(f"an update is a pair (Parameter, Node); got ({target!r}, {new!r})")
        if target in seen:
            raise GraphError(f"{target.name} is updated twice; declared at {target.origin}")
        if target.spec != new.spec:
            raise ShapeError(
                f"the update of {target.name} must be {target.spec}; got {new.spec} "
                f"({new.name}, declared at {new.origin})"
            )
        seen.add(target)
    return pairs


# Updates: straight into the parameter's memory where that is safe, else by a copy.


def _scheduled(
    results: Sequence[Node], targets: Sequence[Parameter], new: Sequence[Node]
) -> tuple[list[Step], dict[Node, Parameter]]:
    """The steps, and which computed value lies in which parameter's memory."""
    first = {node: i for i, node in reversed(list(enumerate(new)))}
    # A value that is given, a reshape, or one that two parameters take, has no kernel to aim.
    copied = {i for i, node in enumerate(new) if not is_computed(node) or first[node] < i}
    while True:
        nodes = [_copy_of(node, i in copied) for i, node in enumerate(new)]
        groups = fuse([*results, *nodes])
        maker = {node: group for group in groups for node in group.nodes}
        unsafe = {
            i
            for i, (node, target) in enumerate(zip(nodes, targets, strict=True))
            if i not in copied and not _safe_in_place(maker[node], node, target)
        }
        if unsafe:
            copied |= unsafe
            continue
        where = dict(zip(nodes, targets, strict=True))
        try:
            return schedule(groups, where), where
        except PlanError:
            if len(copied) == len(new):
                raise
            copied = set(range(len(new)))


def _copy_of(node: Node, copied: bool) -> Node:
    if not copied:
        return node
    made = apply(COPY, [node])
    return apply(COPY, [made]) if isinstance(root(node).op.kernel, Leaf) else made


def _safe_in_place(group: Group, node: Node, target: Parameter) -> bool:
    """Whether the kernel may write over the parameter while it reads it."""
    if node not in group.outputs:
        return False
    reads = any(root(value) is target for value in group.inputs)
    elementwise = isinstance(group.last.op.kernel, Scalar)
    return not reads or elementwise


def _gradients(steps: Sequence[Step], targets: Sequence[Parameter]) -> list[Node]:
    """The gradients that the update steps of trainable parameters read."""
    trained = [p for p in targets if p.trainable]
    found: dict[Node, None] = {}
    for step in steps:
        if not any(target in trained for target in step.targets):
            continue
        shapes = {target.spec.shape for target in step.targets}
        for value in step.group.inputs:
            source = root(value)
            if is_computed(source) and source.role == "backward" and value.spec.shape in shapes:
                found[source] = None
    return list(found)


def _settle(parameters: Sequence[Parameter]) -> None:
    """Give parameters that have none yet a home: one aligned slab, each after the other."""
    homeless = [p for p in parameters if not p.settled]
    spans = [-(-p.value.nbytes // 64) * 64 for p in homeless]
    slab = executor.aligned(sum(spans))
    at = 0
    for parameter, span in zip(homeless, spans, strict=True):
        value = parameter.value
        home = slab[at : at + value.nbytes].view(value.dtype).reshape(value.shape)
        parameter.move_to(home)
        at += span


# Arrays.


def fitting(node: Input, value: ArrayLike) -> NDArray[Any]:
    """``value`` as an array that fits an input: contiguous, of its dtype and rank.

    Raises
    ------
    DTypeError, ShapeError
        If it does not fit. Only lossless casts within whole numbers or within floats are made.
    """
    if isinstance(value, Node):
        raise DataError(f"input {node.name} takes an array, not a node; got {value!r}")
    array = value if isinstance(value, np.ndarray) else _plain(node, value)
    if array.dtype.name != node.dtype:
        same_kind = array.dtype.kind.replace("u", "i") == np.dtype(node.dtype).kind
        if not (same_kind and np.can_cast(array.dtype, node.dtype, "safe")):
            raise DTypeError(
                f"input {node.name} is declared {node.dtype} at {node.origin}; got an array of "
                f"{array.dtype}. Convert it: array.astype({node.dtype!r})."
            )
    if array.ndim != node.ndim:
        raise ShapeError(
            f"input {node.name} is declared {format_shape(node.spec.shape)} at {node.origin}; "
            f"got an array of shape {format_shape(array.shape)}."
        )
    # A 0-d array stays one: ascontiguousarray would make it 1-d.
    array = np.asarray(array, dtype=node.dtype, order="C")
    return array if array.flags.aligned else array.copy()


def _plain(node: Input, value: ArrayLike) -> NDArray[Any]:
    """Lists and numbers take the dtype of the input, if they are of its kind."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"input {node.name}: {error}") from None
    kinds = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[np.dtype(node.dtype).kind]
    if isinstance(value, np.generic) or array.dtype.kind not in kinds:
        return array
    if node.dtype not in (*FLOATS, "bool") and array.size:
        limits = np.iinfo(node.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise DataError(
                f"input {node.name} is declared {node.dtype} at {node.origin}, from {limits.min} "
                f"to {limits.max}; got values from {array.min()} to {array.max()}."
            )
    return array.astype(node.dtype)


def _solve(node: Input, shape: Sequence[int], sizes: dict[str, int]) -> None:
    """Learn the sizes of plain symbols from an array's shape."""
    for dim, size in zip(node.spec.shape, shape, strict=True):
        name = symbol_name(dim)
        if name is not None:
            sizes.setdefault(name, size)


def _check_shape(node: Input, shape: Sequence[int], sizes: Mapping[str, int]) -> None:
    """Check an array's shape against the sizes that all inputs agree on."""
    for dim, size in zip(node.spec.shape, shape, strict=True):
        expected = evaluate(dim, sizes)
        if expected != size:
            where = f" (another input has {expected} there)" if symbols_in(dim) else ""
            raise ShapeError(
                f"input {node.name} is declared {format_shape(node.spec.shape)} at {node.origin}; "
                f"got an array of shape {format_shape(shape)}{where}."
            )


def _symbols(inputs: Iterable[Input]) -> set[str]:
    return {name for node in inputs for dim in node.spec.shape if (name := symbol_name(dim))}


Limits: TypeAlias = tuple[int, DimLike, Node]


def _limits(graph: Graph) -> dict[Node, list[Limits]]:
    """For inputs that are labels or indices: the ranges they must keep to, and who says so."""
    found: dict[Node, list[Limits]] = {}
    for node in graph.nodes:
        if node.op.bounds is None:
            continue
        for place, (low, high) in node.op.bounds(*(v.spec for v in node.inputs)).items():
            found.setdefault(root(node.inputs[place]), []).append((low, high, node))
    return found


def _check_limits(
    node: Input, array: NDArray[Any], limits: Sequence[Limits], sizes: Mapping[str, int]
) -> None:
    if not limits or array.size == 0:
        return
    least, most = array.min(), array.max()
    for low, bound, reader in limits:
        high = evaluate(bound, sizes)
        if low <= least and most < high:
            continue
        place = np.argwhere((array < low) | (array >= high))[0]
        where = ", ".join(map(str, place))
        raise DataError(
            f"input {node.name}[{where}] = {array[tuple(place)]} is out of range: {reader.name} "
            f"(declared at {reader.origin}) needs {low} <= label < {high}."
        )
