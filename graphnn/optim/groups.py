"""Groups of parameters: which of them have settings of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphnn.errors import GraphError
from graphnn.hints import did_you_mean
from graphnn.node import Node, Parameter
from graphnn.optim.checks import check_at_least_0, check_positive


def biases_and_norms(parameter: Parameter) -> bool:
    """Whether a parameter has fewer than two axes: biases, and the gains of normalisation.

    What weight decay usually spares, as the ``"params"`` of a group.

    Examples
    --------
    >>> import graphnn as gn
    >>> layer = gn.nn.Linear(3, 2)
    >>> [gn.optim.biases_and_norms(p) for p in (layer.weight, layer.bias)]
    [False, True]
    >>> rule = gn.optim.AdamW(
    ...     groups=[{"params": gn.optim.biases_and_norms, "weight_decay": 0.0}]
    ... )
    """
    return parameter.ndim < 2


@dataclass(frozen=True)
class Group:
    """Some parameters, and the settings in which they differ.

    Parameters
    ----------
    holds
        Whether a parameter belongs to it.
    settings
        Of the optimizer.
    lr_scale
        What the learning rate is multiplied by.
    members
        The parameters, if they were given one by one.
    """

    holds: Callable[[Parameter], bool]
    settings: Mapping[str, Any]
    lr_scale: float = 1.0
    members: tuple[Parameter, ...] = ()


def settings_of(kind: type) -> list[str]:
    """The names of the settings that a class of optimizers has of its own."""
    init: Any = vars(kind).get("__init__") or kind.__init__  # type: ignore[misc]
    known = inspect.signature(init).parameters.values()
    return [p.name for p in known if p.name != "self" and p.kind is not p.VAR_KEYWORD]


def as_groups(groups: object, settings: Sequence[str]) -> list[Group]:
    """Groups as users write them, checked.

    Raises
    ------
    GraphError
        For what is no list of dicts with ``"params"``, and for settings that there are not.
    """
    if not isinstance(groups, Sequence) or not all(isinstance(g, Mapping) for g in groups):
        raise GraphError(f'groups are a list of dicts, [{{"params": ...}}, ...]; got {groups!r}')
    return [_group(i, group, settings) for i, group in enumerate(groups)]


def _group(i: int, given: Mapping[str, Any], settings: Sequence[str]) -> Group:
    if "params" not in given:
        raise GraphError(f'group {i} has no "params": a module, parameters, or a function')
    own = {name: value for name, value in given.items() if name not in ("params", "lr_scale")}
    known = [*settings, "l1", "lr_scale"]
    for name in own:
        if name not in known:
            raise GraphError(
                f"group {i} has no setting {name!r}; a group has {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
    scale = given.get("lr_scale", 1.0)
    check_positive("lr_scale", scale)
    if "l1" in own:
        check_at_least_0("l1", own["l1"])
    who = given["params"]
    if hasattr(who, "parameters"):  # a module, which this floor does not know
        who = who.parameters()
    elif isinstance(who, Parameter):
        who = [who]
    elif callable(who):
        return Group(who, own, scale)
    try:
        members = tuple(who)
    except TypeError:
        members = (who,)
    if not members or not all(isinstance(p, Parameter) for p in members):
        raise GraphError(f'the "params" of group {i} are no parameters: {given["params"]!r}')
    return Group(frozenset(members).__contains__, own, scale, members)


def flattened(parameters: Any, settings: Sequence[str]) -> tuple[list[Parameter], list[Group]]:
    """Parameters, and their groups where they are given as torch's list of dicts."""
    given = _listed(parameters)
    if not any(isinstance(each, Mapping) for each in given):
        return given, []
    groups = as_groups(given, settings)
    members = [parameter for group in groups for parameter in group.members]
    if any(not group.members for group in groups):
        raise GraphError("updates needs the parameters of each group, and no function")
    for i, parameter in enumerate(members):
        if parameter in members[:i]:
            raise GraphError(f"{parameter.name} is in two groups")
    return members, groups


def _listed(given: Any) -> list[Any]:
    """Parameters, or dicts of such, as a list; one alone is a list too."""
    if isinstance(given, Parameter):
        return [given]
    several = isinstance(given, Iterable) and not isinstance(given, Node | Mapping)
    items = list(given) if several else [given]
    wrong = [item for item in items if not several or not isinstance(item, Parameter | Mapping)]
    if wrong:
        raise GraphError(
            f"updates takes a list of parameters; got {wrong[0]!r}. Write "
            "optimizer.updates(loss, net.parameters())."
        )
    return items


def group_of(parameters: Sequence[Parameter], groups: Sequence[Group]) -> list[int]:
    """For each parameter the place of the first group that holds it, or -1."""
    for i, group in enumerate(groups):
        if group.members and not any(group.holds(parameter) for parameter in parameters):
            raise GraphError(f"group {i} holds none of the parameters that are trained")
    return [
        next((i for i, group in enumerate(groups) if group.holds(parameter)), -1)
        for parameter in parameters
    ]
