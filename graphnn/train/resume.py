"""From a training run to a checkpoint, and back: what it is made of, and whether it fits."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from graphnn.errors import DataError, GraphError
from graphnn.files import as_path
from graphnn.graph import Graph
from graphnn.node import Parameter
from graphnn.ops.random.generator import generator
from graphnn.train.callbacks.callback import Callback
from graphnn.train.callbacks.model_checkpoint import ModelCheckpoint
from graphnn.train.checkpoint import Arrays, Checkpoint, latest, read_checkpoint
from graphnn.train.fitting import Fitting, Place


def checkpoint_at(path: str | os.PathLike[str], callbacks: Sequence[Callback]) -> Checkpoint | None:
    """The checkpoint that a file is, or the last whole one of a folder.

    None where there is none yet, in the folder into which a callback is going to write them.

    Raises
    ------
    DataError
        If there is none, or it is damaged.
    """
    if not isinstance(path, str | os.PathLike):
        raise GraphError(
            f"resume is the folder of a run's checkpoints, or one of its files; got {path!r}. "
            "callbacks=[gn.callbacks.ModelCheckpoint('run')] writes them, resume='run' reads them."
        )
    place = as_path(path)
    found = latest(place) if place.is_dir() or not place.exists() else read_checkpoint(place)
    own = [one.folder.resolve() for one in callbacks if isinstance(one, ModelCheckpoint)]
    if found is None and place.resolve() not in own:
        raise DataError(
            f"resume={str(path)!r}: there is no checkpoint. A run that is to be resumed from that "
            f"folder begins with callbacks=[gn.callbacks.ModelCheckpoint({str(path)!r})]."
        )
    return found


@dataclass(frozen=True)
class Training:
    """A fitting with all that decides how it goes on.

    Parameters
    ----------
    fitting
        The epochs.
    weights
        The model's parameters by name.
    others
        All other parameters that the compiled functions read or change: the optimizer's.
    terms
        Settings that must be the same: ``samples``, ``batch_size``, ``shuffle``, ``steps``.
    """

    fitting: Fitting
    weights: Mapping[str, Parameter]
    others: Sequence[Parameter]
    terms: Mapping[str, Any]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter by its name in a checkpoint."""
        own = set(self.weights.values())
        rest = [p for p in dict.fromkeys([*self.others, generator()]) if p not in own]
        named = {f"weights/{name}": p for name, p in self.weights.items()}
        return named | {f"state/{i}.{p.label or p.name}": p for i, p in enumerate(rest)}

    @cached_property
    def graph(self) -> list[int]:
        """A number for each line of the training step, which says whether it is the same step."""
        return [zlib.crc32(line.encode()) for line in _lines(self.fitting.function.graph)]

    # To a checkpoint.

    def checkpoint(self) -> Checkpoint:
        """All of it, between two steps."""
        fitting, place = self.fitting, self.fitting.place
        sums, seconds = fitting.part
        arrays: Arrays = {name: p.value.copy() for name, p in self.parameters.items()}
        arrays["sums"] = sums
        columns = {**fitting.history.history, "": fitting.history.seconds}
        for name, column in columns.items():  # the columns, and by an empty name the seconds
            arrays[f"history/{name}"] = np.array(column[: place.epoch])
        states, kept = _states(fitting.hooks.callbacks)
        facts = {
            "epoch": place.epoch, "batch": place.batch, "step": place.step, "spent": seconds,
            "before": fitting.before, "seed": int(generator().value[0]), **self.terms,
            "measured": fitting.measured, "graph": self.graph, "callbacks": states,
            "rate": fitting.rate,
        }  # fmt: skip
        return Checkpoint(arrays | kept, facts)

    # And back.

    def check(self, found: Checkpoint) -> None:
        """Raise where a checkpoint is of another run; nothing is changed.

        Raises
        ------
        DataError
            Names what differs.
        """
        now = {"seed": int(generator().value[0]), **self.terms, "measured": self.fitting.measured}
        for name, value in now.items():
            if found.facts[name] != value:
                raise _other(found, _SAID[name], found.facts[name], value)
        own = {name: _spec(p.value) for name, p in self.parameters.items()}
        then = {
            n: _spec(a) for n, a in found.arrays.items() if n.startswith(("weights/", "state/"))
        }
        for name in [*own, *then]:
            if own.get(name) != then.get(name):
                there = "not there"
                raise _other(
                    found, _told(name),
                    then.get(name, there), own.get(name, there),
                )  # fmt: skip
        self._check_rate(found)
        self._check_graph(found)
        self._check_callbacks(found)

    def _check_rate(self, found: Checkpoint) -> None:
        """A rate is state, and would be put back: another one that a person gives was lost."""
        now, begun = self.fitting.rate, found.facts.get("rate")
        rates = [f"state/{i}.lr" for i in range(len(found.arrays))]
        then = [float(found.arrays[name]) for name in rates if name in found.arrays]
        if now is not None and begun is not None and now not in (begun, *then):
            raise _other(found, "the learning rate", begun, now)

    def _check_graph(self, found: Checkpoint) -> None:
        then = found.facts["graph"]
        if then == self.graph:
            return
        lines = _lines(self.fitting.function.graph)
        same = [a == b for a, b in zip(then, self.graph, strict=False)]
        first = same.index(False) if False in same else min(len(then), len(lines) - 1)
        raise DataError(
            f"{found.source}: is of another training step: loss, network, optimizer or its "
            "settings differ, or what was declared before them. The first line of the graph that "
            f"does: "
            f"{' '.join(lines[first].split())}"
        )

    def _check_callbacks(self, found: Checkpoint) -> None:
        then = {key for key, (passive, _) in found.facts["callbacks"].items() if not passive}
        now = {
            key
            for key, one in _keys(self.fitting.hooks.callbacks).items()
            if not one.passive and type(one).state_dict is not Callback.state_dict
        }
        for key in sorted(then ^ now):
            there = ["was not there, and is", "was there, and is not"][key in then]
            raise DataError(
                f"{found.source}: does not fit: the callback {key.split('#')[0]} {there}. Resume "
                "with the callbacks that steer training as they were."
            )

    def restore(self, found: Checkpoint) -> None:
        """Make everything what it was; :meth:`check` has said that it fits."""
        for name, parameter in self.parameters.items():
            parameter.value = found.arrays[name]
        facts, fitting = found.facts, self.fitting
        fitting.before, fitting.rate = facts["before"], facts.get("rate", fitting.rate)
        fitting.first = Place(facts["epoch"], facts["batch"], facts["step"])
        fitting.partial = (found.arrays["sums"], facts["spent"])
        columns = {name: column.tolist() for name, column in found.part("history").items()}
        fitting.history.seconds.extend(columns.pop(""))
        for name in facts["measured"]:
            fitting.history.history[name] = columns.get(name, [])
        fitting.states = {}
        for key, one in _keys(fitting.hooks.callbacks).items():
            if key in facts["callbacks"]:
                _, state = facts["callbacks"][key]
                fitting.states[one] = {**state, **found.part(f"callback/{key}")}


_SAID = {
    "seed": "the seed (gn.set_seed)",
    "samples": "the number of samples",
    "batch_size": "batch_size",
    "shuffle": "shuffle",
    "steps": "steps_per_epoch",
    "measured": "what is measured",
}


def _other(found: Checkpoint, what: str, then: object, now: object) -> DataError:
    return DataError(
        f"{found.source}: does not fit: {what} was {then}, and is {now}. Resume with the same "
        "model, data and settings, or begin anew without resume=."
    )


def _told(name: str) -> str:
    """Which parameter it is, without its place in a checkpoint."""
    kind, own = name.split("/", 1)
    if kind == "weights":
        return f"the parameter {own}"
    own = own.split(".", 1)[1]
    return "the generator of random numbers" if own == "rng" else f"the optimizer's {own}"


def _spec(array: Any) -> str:
    return f"{array.dtype} {array.shape}"


def _lines(graph: Graph) -> list[str]:
    return str(graph).splitlines()


def _keys(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Callbacks by the name of their class, and a number among those of it."""
    made: dict[str, Callback] = {}
    for one in callbacks:
        kind = type(one).__name__
        made[f"{kind}#{sum(key.startswith(f'{kind}#') for key in made)}"] = one
    return made


def _states(callbacks: Sequence[Callback]) -> tuple[dict[str, Any], Arrays]:
    """What callbacks keep: (whether it is passive, what JSON has) by key, and arrays."""
    states: dict[str, Any] = {}
    arrays: Arrays = {}
    for key, one in _keys(callbacks).items():
        if type(one).state_dict is Callback.state_dict:
            continue
        state = one.state_dict()
        if not isinstance(state, Mapping):
            raise _no_state(one, f"got {state!r}")
        plain: dict[str, Any] = {}
        for name, value in state.items():
            if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                arrays[f"callback/{key}/{name}"] = value
            else:
                plain[name] = _plain(one, name, value)
        states[key] = (one.passive, plain)
    return states, arrays


def _plain(one: Callback, name: object, value: Any) -> Any:
    """What JSON holds and gives back."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise _no_state(one, f"{name!r} is {value!r}: {error}") from None
    if not isinstance(name, str):
        raise _no_state(one, f"the name {name!r} is no text")
    return value


def _no_state(one: Callback, why: str) -> DataError:
    return DataError(
        f"{one!r}: a callback's state_dict has numbers, texts, lists and NumPy arrays of numbers "
        f"by name; {why}"
    )
