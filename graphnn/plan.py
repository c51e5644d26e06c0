"""The plan: the schedule as a table that a person can read and the executor can run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from graphnn.barriers import Buffer, Layout, overlaps, races, rounds_of
from graphnn.errors import GraphError, PlanError
from graphnn.fusion import Group, is_computed, root
from graphnn.graph import Graph, equation
from graphnn.hints import did_you_mean
from graphnn.node import Node, Parameter
from graphnn.op import Leaf
from graphnn.schedule import Inner, Step
from graphnn.spec import evaluate

SHORTEST = 12  # no column of a table is cut to less


class KernelText(Protocol):
    """What a backend tells of a kernel."""

    @property
    def name(self) -> str:
        """Name of the kernel."""

    @property
    def source(self) -> str:
        """Its source."""


@dataclass(frozen=True)
class Memory:
    """What a plan needs, in bytes.

    Parameters
    ----------
    peak
        The arena: all values of a step, sharing memory where their lives do not meet.
    total
        The same values if each had memory of its own.
    parameters
        Parameters and the state of optimizers, outside the arena.
    gradients
        The slice of the arena that holds the gradients of the parameters.
    scratch
        The most that the lanes of one step need for themselves while it runs, in the arena too.
    """

    peak: int
    total: int
    parameters: int
    gradients: int
    scratch: int = 0

    def __str__(self) -> str:
        saved = 1 - self.peak / self.total if self.total else 0.0
        scratch = f", scratch {readable_bytes(self.scratch)}" if self.scratch else ""
        return (
            f"arena {readable_bytes(self.peak)} (sum of all buffers {readable_bytes(self.total)}, "
            f"{saved:.0%} saved), of which gradients {readable_bytes(self.gradients)}"
            f"{scratch}; "
            f"parameters and state {readable_bytes(self.parameters)}"
        )


def _waits(steps: Sequence[Step], layout: Layout, sizes: Mapping[str, int]) -> int:
    total = 0
    for i, step in enumerate(steps):
        if step.inner is not None:
            body, inner = step.inner.loop.attrs["body"], layout.inner[i]
            once = sum(inner.barriers) + _waits(step.inner.steps, inner, sizes)
            total += once * evaluate(body.length, sizes)
    return total


@dataclass(frozen=True)
class Plan:
    """A schedule with its memory and its kernels, for one size of the batch.

    ``print(plan)`` shows it as a table, :meth:`source` a kernel, :meth:`check` proves it sound.
    ``guessed`` says that nothing was called yet that told the sizes.
    """

    graph: Graph
    steps: tuple[Step, ...]
    layout: Layout
    kernels: tuple[KernelText, ...]
    sizes: Mapping[str, int]
    lanes: int
    guessed: bool = False

    @property
    def memory(self) -> Memory:
        """Planned peak against the sum of all buffers."""
        owned = {
            node
            for step in self.steps
            for node in (*map(root, step.group.inputs), *step.targets)
            if isinstance(node, Parameter)
        }
        return Memory(
            self.layout.nbytes,
            self.layout.total,
            sum(evaluate(node.spec.nbytes, {}) for node in owned),
            self.layout.gradient_bytes,
            max((buffer.nbytes for buffer in self.layout.scratch.values()), default=0),
        )

    def flops(self, group: Group) -> int:
        """Arithmetic operations of one kernel call."""
        return sum(
            evaluate(
                node.op.flops(node.spec, *(v.spec for v in node.inputs), **node.attrs), self.sizes
            )
            for node in group.nodes
        )

    def nbytes(self, group: Group) -> int:
        """Bytes that one kernel call reads and writes."""
        return sum(
            evaluate(node.spec.nbytes, self.sizes) for node in (*group.inputs, *group.outputs)
        )

    @property
    def work(self) -> tuple[int, int]:
        """FLOPs and bytes of one run."""
        groups = [step.group for step in self.steps]
        return sum(map(self.flops, groups)), sum(map(self.nbytes, groups))

    @property
    def waits(self) -> int:
        """How often all threads meet inside loops."""
        return _waits(self.steps, self.layout, self.sizes)

    def check(self) -> None:
        """Prove the invariants on which the executor relies.

        Every node is computed once, after its inputs; nothing overwrites a parameter before its
        last reader; buffers that are alive together do not overlap, scratch included; every lane
        has the scratch that its step needs; there is a barrier wherever threads could meet.

        Raises
        ------
        PlanError
            Naming the first thing that is wrong.
        """
        done = self._check_order(self.steps)
        missing = [n for n in self.graph.nodes if is_computed(n) and n not in done]
        if missing:
            raise PlanError(f"no step computes {missing[0].name}")
        self._check_updates()
        self._check_memory(self.steps, self.layout, races(self.steps, self.layout))

    def _check_memory(self, steps: Sequence[Step], layout: Layout, met: Sequence[int]) -> None:
        """Of the steps, and of those in the bodies of loops."""
        self._check_scratch(steps, layout)
        for a, b in overlaps(layout):
            raise PlanError(f"{self._named(a)} and {self._named(b)} share memory while alive")
        for i in met:
            raise PlanError(f"step {i} meets the work of other threads without a barrier")
        for i, step in enumerate(steps):
            if step.inner is not None:
                below = layout.inner[i]
                self._check_order(step.inner.steps)
                self._check_memory(
                    step.inner.steps, below, races(step.inner.steps, below, rounds_of(step.inner))
                )

    @staticmethod
    def _check_order(steps: Sequence[Step]) -> set[Node]:
        done: set[Node] = set()
        for i, step in enumerate(steps):
            for value in step.group.inputs:
                source = root(value)
                if not isinstance(source.op.kernel, Leaf) and source not in done:
                    raise PlanError(f"step {i} reads {source.name} before it is computed")
            twice = done.intersection(step.group.nodes)
            if twice:
                raise PlanError(f"step {i} computes {twice.pop().name} again")
            done.update(step.group.nodes)
        return done

    def _check_updates(self) -> None:
        last_read: dict[Node, int] = {}
        for i, step in enumerate(self.steps):
            last_read.update((root(value), i) for value in step.group.inputs)
        for i, step in enumerate(self.steps):
            for target in step.targets:
                if isinstance(target, Parameter) and last_read.get(target, i) > i:
                    raise PlanError(f"step {i} overwrites {target.name} before its last reader")

    def _check_scratch(self, steps: Sequence[Step], layout: Layout) -> None:
        places, each = layout.scratch, layout.lane_bytes
        for i, step in enumerate(steps):
            need = evaluate(step.scratch, self.sizes)
            have = min(each, places[i].nbytes // self.lanes) if i in places else 0
            if have < need:
                raise PlanError(f"step {i} needs {need} bytes of scratch for each lane, has {have}")

    @staticmethod
    def _named(buffer: Buffer) -> str:
        return buffer.nodes[-1].name if buffer.nodes else f"the scratch of step {buffer.first}"

    def source(self, step: int | str) -> str:
        """The source of a step's kernel, with the equations that it computes.

        Parameters
        ----------
        step
            Number of a step; ``"5.3"`` is a step in the body of the loop that is step 5, and a loop
            itself gives all of its body. Or name of a kernel: the first step that runs it.

        Raises
        ------
        GraphError
            If there is no such step or kernel.
        """
        found = {row[0]: place for row, place in zip(self.rows(), self._places(), strict=True)}
        if isinstance(step, int):
            if not -len(self.steps) <= step < len(self.steps):
                raise GraphError(
                    f"the plan has {len(self.steps)} steps, from 0 to {len(self.steps) - 1}; got "
                    f"{step}. "
                    "print(plan) shows them."
                )
            step = str(range(len(self.steps))[step])
        if step not in found:
            named = {kernel.name: number for number, (_, kernel, _) in reversed(found.items())}
            if step not in named:
                raise GraphError(
                    f"the plan has no kernel {step!r}; it has {', '.join(reversed(named))}."
                    f"{did_you_mean(step, list(named))}"
                )
            step = named[step]
        return _source(*found[step])

    def _places(self) -> list[_Placed]:
        """For each row of the table the step, its kernel and the names of its nodes."""
        return list(_placed(self.steps, self.kernels, self.graph.names()))

    def rows(self) -> list[tuple[str, ...]]:
        """The table's cells, a row a step; below a loop those of its body."""
        return self._rows(self.steps, self.kernels, self.layout, self.graph.names(), "", "")

    def _rows(
        self,
        steps: Sequence[Step],
        kernels: Sequence[KernelText],
        layout: Layout,
        names: Mapping[Node, str],
        number: str,
        slot: str,
    ) -> list[tuple[str, ...]]:
        places = {node: i for i, buffer in enumerate(layout.buffers) for node in buffer.nodes}
        scratch = {
            b.first: f"scratch@{slot}{i}" for i, b in enumerate(layout.buffers) if not b.nodes
        }

        def shown(node: Node) -> str:
            if isinstance(node, Parameter):
                return f"{names[node]}!"
            return f"{names[node]}@{slot}{places[node]}" if node in places else names[node]

        rows: list[tuple[str, ...]] = []
        for i, (step, kernel, wait) in enumerate(zip(steps, kernels, layout.barriers, strict=True)):
            within = f"{number}{i}"
            rows.append(
                (
                    within,
                    step.group.role,
                    kernel.name,
                    " ".join(names[node] for node in step.group.nodes),
                    " ".join(names[value] for value in step.group.inputs),
                    " ".join([*map(shown, step.targets), *([scratch[i]] if i in scratch else [])]),
                    readable_bytes(self.nbytes(step.group)),
                    readable_count(self.flops(step.group)),
                    "wait" if wait else "",
                )
            )
            if step.inner is not None:
                rows += self._rows(
                    step.inner.steps,
                    _below(kernel),
                    layout.inner[i],
                    _names_in(step.inner),
                    f"{within}.",
                    f"{slot}{within}.",
                )
        return rows

    def __str__(self) -> str:
        head = ("step", "pass", "kernel", "inputs", "outputs", "bytes", "flops", "wait")
        # The nodes of a kernel stand in front of its source; here its name says enough.
        rows = [(*row[:3], *row[4:]) for row in self.rows()]
        flops, nbytes = self.work
        count = readable_count(flops)
        waits = sum(self.layout.barriers)
        summary = (
            f"{len(self.steps)} steps, {len({k.name for k in self.kernels})} kernels, "
            f"{waits} barriers, {count}{'' if ' ' in count else ' '}FLOP, "
            f"{readable_bytes(nbytes)} moved{self._sizes()}"
        )
        table = aligned_table([head, *rows])
        return "\n".join([summary, table, *self._legend(), str(self.memory)])

    def _sizes(self) -> str:
        sizes = ", ".join(f"{name} = {value}" for name, value in sorted(self.sizes.items()))
        guess = " (a guess, until a call tells)" if self.guessed else ""
        return f"; {sizes}{guess}" if sizes else ""

    def _legend(self) -> list[str]:
        targets = [target for step in self.steps for target in step.targets]
        stored = {node for buffer in self.layout.buffers for node in buffer.nodes}
        parts = [
            ("h@3: h lies in slot 3 of the arena", any(t in stored for t in targets)),
            ("W!: W is overwritten", any(isinstance(t, Parameter) for t in targets)),
            ("wait: all threads meet before the step", any(self.layout.barriers)),
        ]
        said = [text for text, there in parts if there]
        return ["; ".join(said)] if said else []

    def __repr__(self) -> str:
        kernels = len({kernel.name for kernel in self.kernels})
        return f"<Plan of {len(self.steps)} steps, {kernels} kernels{self._sizes()}>"


_Placed: TypeAlias = tuple[Step, KernelText, Mapping[Node, str]]


def _placed(
    steps: Sequence[Step], kernels: Sequence[KernelText], names: Mapping[Node, str]
) -> Iterator[_Placed]:
    for step, kernel in zip(steps, kernels, strict=True):
        yield step, kernel, names
        if step.inner is not None:
            yield from _placed(step.inner.steps, _below(kernel), _names_in(step.inner))


def _below(kernel: KernelText) -> Sequence[KernelText]:
    """The kernels of a loop's body."""
    found: Sequence[KernelText] = getattr(kernel, "kernels", ())
    return found


def _names_in(inner: Inner) -> dict[Node, str]:
    return Graph([*inner.nexts, *inner.stacks]).names()


def _source(step: Step, kernel: KernelText, names: Mapping[Node, str]) -> str:
    equations = [f"# {names[node]} = {equation(node, names)}" for node in step.group.nodes]
    if step.inner is None:
        return "\n".join([*equations, kernel.source])
    within = _placed(step.inner.steps, _below(kernel), _names_in(step.inner))
    return "\n\n".join(["\n".join(equations), *(_source(*one) for one in within)])


def fitting(cell: str, width: int) -> str:
    """A cell cut to a width: names lose their outer layers first, ``…self_attn.slice@7``."""
    words = cell.split(" ")
    while len(" ".join(words)) > width and any("." in word for word in words):
        deepest = max(range(len(words)), key=lambda i: words[i].count("."))
        words[deepest] = "…" + words[deepest].partition(".")[2]
    text = " ".join(words)
    return text if len(text) <= width else text[: width - 1] + "…"


def aligned_table(rows: Sequence[Sequence[str]], width: int = 120) -> str:
    """Rows as text with aligned columns; the widest are cut, with an ellipsis, to fit ``width``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > SHORTEST:
        widths[widths.index(max(widths))] -= 1
    cut = [[fitting(cell, wide) for cell, wide in zip(row, widths, strict=True)] for row in rows]
    lines = [
        "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in cut
    ]
    return "\n".join([lines[0], "  ".join("-" * w for w in widths), *lines[1:]])


def readable_bytes(count: float) -> str:
    """1536 as ``1.5 KiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def readable_count(count: float) -> str:
    """51380224 as ``51.4 M``."""
    for unit in ("", " k", " M", " G"):
        if count < 1000 or unit == " G":
            return f"{count:.0f}{unit}" if unit == "" else f"{count:.1f}{unit}"
        count /= 1000
    raise AssertionError
