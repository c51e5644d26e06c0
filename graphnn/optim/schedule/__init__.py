"""Learning-rate schedules, as nodes: torch's names, with the learning rate as first argument."""

from typing import TYPE_CHECKING, NoReturn

from graphnn.missing import missing_name
from graphnn.optim.schedule.base import Schedule
from graphnn.optim.schedule.compose import ChainedScheduler, SequentialLR
from graphnn.optim.schedule.cyclic import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    OneCycleLR,
)
from graphnn.optim.schedule.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "Schedule",
    "SequentialLR",
    "StepLR",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise missing_name(__name__, name, {n: f"optim.schedule.{n}" for n in __all__})
