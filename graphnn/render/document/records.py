"""What a document of a graph holds: text, numbers and references by id, nothing else.

This is the one description from which pictures and pages are made, and the contract of
``to_json``. In JSON a field that has its default value is left out.

Ids: ``n12`` is a node, ``n12/n3`` a node of the body of the loop ``n12``, ``k4`` a kernel. Steps
are numbered as ``print(fn.plan)`` does it: ``"8"`` is a step, ``"8.1"`` one of the body of the
loop that is step 8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from graphnn.render.document.texts import Captures as Captures
from graphnn.render.document.texts import Histogram as Histogram
from graphnn.render.document.texts import Id as Id
from graphnn.render.document.texts import Kernel as Kernel
from graphnn.render.document.texts import Mode as Mode
from graphnn.render.document.texts import OpText as OpText
from graphnn.render.document.texts import Scope as Scope
from graphnn.render.document.texts import Snapshot as Snapshot
from graphnn.render.document.texts import Statistics as Statistics

VERSION = 1
FORMAT = "graphnn"

Pass: TypeAlias = Literal["forward", "backward", "update"]
NodeKind: TypeAlias = Literal[
    "input", "parameter", "state", "constant", "size", "slot", "op", "view", "loop", "part"
]
EdgeKind: TypeAlias = Literal["data", "saved", "gradient", "update", "turn", "write"]


@dataclass(frozen=True)
class Line:
    """A line of the user's: ``file`` is relative to the working directory, or its base name."""

    file: str
    line: int


@dataclass(frozen=True)
class GradientOf:
    """Of which value a node of the reverse pass holds the gradient.

    Parameters
    ----------
    node
        The value.
    whole
        False: only a contribution, which is added to others.
    loss
        What is differentiated, if it is a node of the graph.
    """

    node: Id
    whole: bool = True
    loss: Id | None = None


@dataclass(frozen=True)
class Node:
    """A value of the graph and how it is computed.

    Parameters
    ----------
    id, name
        ``name`` is that of ``print(graph)``; of constants and sizes it is their text.
    op
        Key into :attr:`Document.ops`.
    kind
        ``parameter`` is trained, ``state`` is not (running averages, momenta); a ``view`` shows
        the memory of its first input; a ``part`` is what a ``loop`` leaves behind.
    inputs
        Ids, in the order of the op's arguments; one value may stand in several places.
    shape, dims
        The shape as declared, its symbolic sizes as text (``"N"`` is the batch); and in numbers,
        for :attr:`Document.sizes`.
    bytes, flops
        For these sizes; of a loop the FLOPs of all its steps.
    pass_
        ``pass`` in JSON: the lane. What only new values need is an ``update``.
    scope, layer
        Dotted path of the modules around it, and the class of the innermost module.
    at
        The user's line; of a reverse node the line that it is the reverse of.
    equation
        How ``print(graph)`` writes it: ``relu(0.add)``.
    attrs
        The op's settings, as text.
    forward_of
        Of a reverse node: the forward node whose gradient rule made it.
    gradient_of
        Of a reverse node: the values whose gradient it holds.
    view_of
        The node whose memory it shows.
    step, slot
        The step that computes it, and the number of its buffer in :attr:`Memory.buffers`.
    home
        The parameter into whose memory it is written.
    text
        The value of a constant with few elements.
    """

    id: Id
    name: str
    op: str
    kind: NodeKind
    dtype: str
    inputs: tuple[Id, ...] = ()
    label: str | None = None
    shape: tuple[int | str, ...] = ()
    dims: tuple[int, ...] = ()
    bytes: int = 0
    flops: int = 0
    pass_: Pass = "forward"
    scope: str = ""
    layer: str | None = None
    at: Line | None = None
    equation: str = ""
    attrs: dict[str, str] = field(default_factory=dict)
    forward_of: Id | None = None
    gradient_of: tuple[GradientOf, ...] = ()
    view_of: Id | None = None
    step: str | None = None
    slot: int | None = None
    home: Id | None = None
    text: str | None = None


@dataclass(frozen=True)
class Edge:
    """A value on its way.

    Parameters
    ----------
    source, target
        Nodes.
    kind
        ``data``: forward to forward; ``saved``: a forward value that the reverse pass reads;
        ``gradient``: reverse to reverse or to an update; ``update``: any other that an update
        reads; ``turn``: from a loss to where its reverse pass starts, nothing is read;
        ``write``: from a new value to the parameter that takes it.
    places
        Where the value stands among the inputs.
    bytes
        Of the value.
    """

    source: Id
    target: Id
    kind: EdgeKind
    places: tuple[int, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class Step:
    """One kernel call of the schedule, or a loop.

    Parameters
    ----------
    number
        Its number.
    kernel
        Key into :attr:`Document.kernels`; None for a loop, whose steps are in its body.
    name
        Name of the kernel, or of the loop's op.
    nodes, inputs, outputs
        What it computes (more than one node: fused), what it reads from outside, and which of its
        nodes others read.
    targets
        For each output the node whose memory takes it: itself, or a parameter.
    over
        For each output the input over which it is written, or None.
    wait
        Whether all threads wait for each other before it.
    bytes, flops
        What one run of it moves and computes.
    scratch
        Bytes that it needs for itself, all lanes together.
    loop
        The loop whose body it runs.
    """

    number: str
    name: str
    nodes: tuple[Id, ...]
    pass_: Pass = "forward"
    kernel: Id | None = None
    inputs: tuple[Id, ...] = ()
    outputs: tuple[Id, ...] = ()
    targets: tuple[Id, ...] = ()
    over: tuple[Id | None, ...] = ()
    wait: bool = False
    bytes: int = 0
    flops: int = 0
    scratch: int = 0
    loop: Id | None = None


@dataclass(frozen=True)
class Buffer:
    """A place in the arena: ``first`` and ``last`` are the steps (of this level) that touch it.

    ``last`` is the number of steps where the value is read afterwards. ``nodes`` live there one
    after the other; without any it is the scratch of a step.
    """

    slot: int
    offset: int
    bytes: int
    first: int
    last: int
    nodes: tuple[Id, ...] = ()


@dataclass(frozen=True)
class Memory:
    """The arena, in bytes: its size, and what all buffers would need without sharing."""

    arena: int = 0
    unshared: int = 0
    gradients: int = 0
    parameters: int = 0
    buffers: tuple[Buffer, ...] = ()


@dataclass(frozen=True)
class Sum:
    """Where gradients meet: ``node`` is the sum of ``terms``, made by ``nodes``; it is the gradient
    of ``of``."""  # noqa: D205, D209 - one sentence

    node: Id
    nodes: tuple[Id, ...]
    terms: tuple[Id, ...]
    of: Id | None = None


@dataclass(frozen=True)
class Saved:
    """A forward value that is computed, and kept for the reverse pass.

    ``readers`` are reverse nodes; ``first`` is the step that computes it, ``last`` the last step
    of the reverse pass that reads it.
    """

    node: Id
    bytes: int
    readers: tuple[Id, ...]
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Update:
    """A parameter's new value.

    Parameters
    ----------
    parameter, new
        What is changed, and the node of its new value.
    nodes
        The update nodes that make it.
    state
        Other parameters that those read: momenta, counters, the learning rate.
    gradients
        What is read of the reverse pass.
    within
        The parameter whose update reads this one: a momentum's update lies within its weight's.
    """

    parameter: Id
    new: Id
    nodes: tuple[Id, ...] = ()
    state: tuple[Id, ...] = ()
    gradients: tuple[Id, ...] = ()
    within: Id | None = None


@dataclass(frozen=True)
class Cut:
    """Where the user wrote ``stop_gradient``: ``value`` flows on to ``readers``, nothing back."""

    value: Id
    readers: tuple[Id, ...]
    at: Line | None = None


@dataclass(frozen=True)
class Level:
    """The nodes of a graph, or of the body of a loop, in order."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    steps: tuple[Step, ...] = ()
    memory: Memory = Memory()
    sums: tuple[Sum, ...] = ()
    saved: tuple[Saved, ...] = ()
    loops: tuple[Loop, ...] = ()


@dataclass(frozen=True)
class Carried:
    """A state: its slot in the body, the value before the first step, the one after each step.

    ``trail`` and ``last`` are the parts that keep all its states, or the last one.
    """

    slot: Id
    first: Id
    next: Id
    trail: Id | None = None
    last: Id | None = None


@dataclass(frozen=True)
class Read:
    """A slot of a body, and what it shows: a slice of a sequence, or a value from outside."""

    slot: Id
    value: Id


@dataclass(frozen=True)
class Stacked:
    """A node of the body whose values at all steps a part of the loop keeps."""

    node: Id
    part: Id


@dataclass(frozen=True)
class Loop:
    """A loop over time: what its body computes at each of ``length`` steps.

    ``reverse``: the last slice comes first.
    """

    node: Id
    length: int
    length_text: str
    reverse: bool = False
    carries: tuple[Carried, ...] = ()
    slices: tuple[Read, ...] = ()
    outers: tuple[Read, ...] = ()
    stacks: tuple[Stacked, ...] = ()
    body: Level = Level()


@dataclass(frozen=True)
class Document:
    """A graph: see the fields of :class:`Level` for its nodes and schedule.

    Parameters
    ----------
    format, version
        ``"graphnn"``, and the version of this description.
    sizes
        The size of each symbol for which bytes, FLOPs and the schedule are told.
    guessed
        Whether nothing was called yet that tells the sizes.
    passes
        Those that the graph has.
    inputs, outputs, losses
        Nodes: what is given, what is returned, and what is differentiated.
    updates, cuts
        New values of parameters; where gradients are stopped.
    scopes
        Outer ones first.
    ops, kernels
        Texts, by name of the op and by id of the kernel.
    captured
        Values of one step, or of several.
    """

    format: str = FORMAT
    version: int = VERSION
    sizes: dict[str, int] = field(default_factory=dict)
    guessed: bool = False
    passes: tuple[Pass, ...] = ()
    inputs: tuple[Id, ...] = ()
    outputs: tuple[Id, ...] = ()
    losses: tuple[Id, ...] = ()
    updates: tuple[Update, ...] = ()
    cuts: tuple[Cut, ...] = ()
    scopes: tuple[Scope, ...] = ()
    graph: Level = Level()
    ops: dict[str, OpText] = field(default_factory=dict)
    kernels: dict[Id, Kernel] = field(default_factory=dict)
    captured: Captures | None = None
