"""The records of a document that describe no node's place: texts, scopes, captured values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Id: TypeAlias = str
Mode: TypeAlias = Literal["stats", "values", "full"]


@dataclass(frozen=True)
class OpText:
    """What there is to tell of an op.

    Parameters
    ----------
    label
        How it is drawn, if not by its name.
    form
        Form of its CPU kernel: ``Scalar``, ``Gemm``, ``Reduction``, ...
    formula
        The op as on the blackboard.
    gradient
        Its reverse rule as equations of ``dy``, ``y`` and ``x0``, ``x1``, ...
    params
        Of a scalar formula the names of its inputs.
    source
        Its body, or else its NumPy reference, in Python.
    """

    form: str
    label: str = ""
    formula: str = ""
    gradient: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    source: str = ""
    color: str = ""


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel: its name and its source, once for all steps that run it."""

    name: str
    source: str


@dataclass(frozen=True)
class Scope:
    """A module, or a ``gn.scope``: dotted path, and the class of the module."""

    path: str
    layer: str | None = None


@dataclass(frozen=True)
class Histogram:
    """How many finite elements fall into each of some equal bins between ``low`` and ``high``."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Statistics:
    """What a captured value looks like; of its finite elements, but for the counts.

    ``data`` are the elements in C order: of small values, or of all if that was asked for. NaN and
    infinities are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` in JSON. ``difference``
    is what finite differences say of the elements of a small gradient.
    """

    count: int
    mean: float = 0.0
    std: float = 0.0
    min: float = 0.0
    max: float = 0.0
    rms: float = 0.0
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    histogram: Histogram | None = None
    data: tuple[float, ...] | None = None
    difference: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Snapshot:
    """All values of one step of training, by node; ``step`` counts from the start."""

    step: int
    values: dict[Id, Statistics] = field(default_factory=dict)


@dataclass(frozen=True)
class Captures:
    """What was looked at while the graph ran."""

    mode: Mode
    snapshots: tuple[Snapshot, ...] = ()
