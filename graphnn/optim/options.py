"""The settings that every optimizer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from graphnn.errors import GraphError
from graphnn.node import Node
from graphnn.optim.checks import check_at_least_0, check_count, check_positive, check_share
from graphnn.optim.clip import clip_grad_norm, clip_grad_value

CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")


class Common(TypedDict, total=False):
    """What ``**common`` of an optimizer may hold; :class:`Optimizer` says what each means."""

    l1: float
    clipnorm: float | None
    global_clipnorm: float | None
    clipvalue: float | None
    groups: Sequence[Mapping[str, Any]]
    ema_momentum: float | None
    gradient_accumulation_steps: int
    loss_scale_factor: float | None
    maximize: bool


@dataclass(frozen=True)
class Options:
    """The same, checked.

    Raises
    ------
    GraphError
        For settings out of range, and for more than one way to clip.
    """

    l1: float = 0.0
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    clipvalue: float | None = None
    groups: Sequence[Mapping[str, Any]] = ()
    ema_momentum: float | None = None
    gradient_accumulation_steps: int = 1
    loss_scale_factor: float | None = None
    maximize: bool = False

    def __post_init__(self) -> None:
        check_at_least_0("l1", self.l1)
        check_count("gradient_accumulation_steps", self.gradient_accumulation_steps)
        if self.ema_momentum is not None:
            check_share("ema_momentum", self.ema_momentum)
        for name in (*CLIPPING, "loss_scale_factor"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        ways = [name for name in CLIPPING if getattr(self, name) is not None]
        if len(ways) > 1:
            raise GraphError(f"gradients are clipped in one way; got {' and '.join(ways)}")

    def changed(self) -> dict[str, Any]:
        """Those that are not the defaults."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {f.name: own[f.name] for f in fields(self) if own[f.name] != f.default}

    def clipped(self, gradients: Sequence[Node]) -> list[Node]:
        """The gradients after clipping."""
        if self.global_clipnorm is not None:
            return clip_grad_norm(gradients, self.global_clipnorm)[0]
        if self.clipnorm is not None:
            return [clip_grad_norm([each], self.clipnorm)[0][0] for each in gradients]
        if self.clipvalue is not None:
            return clip_grad_value(gradients, self.clipvalue)
        return list(gradients)
