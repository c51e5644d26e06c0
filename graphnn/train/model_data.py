"""What a model is given to learn from: arrays by input, or where batches come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from graphnn.errors import DataError, GraphnnError
from graphnn.feed import by_input
from graphnn.function import Function
from graphnn.node import Input
from graphnn.train.arrow import is_arrow
from graphnn.train.given import Whole, as_data, batch_of, lasting
from graphnn.train.sources import is_stream


class ModelData:
    """Reads what ``fit`` and ``evaluate`` are given.

    Parameters
    ----------
    function
        Whose inputs are all of both.
    inputs, targets
        Those of the model, and those of its loss.
    """

    def __init__(
        self, function: Function, inputs: Sequence[Input], targets: Sequence[Input]
    ) -> None:
        self.function, self.inputs, self.targets = function, list(inputs), list(targets)

    def read(self, x: Any, y: Any, batch_size: int, shuffle: bool = False) -> Whole:
        """Arrays for the inputs and the targets, all of them by name, or batches of such.

        Raises
        ------
        DataError, ShapeError, DTypeError
            For data that is missing, or does not fit.
        """
        if is_stream(x) or is_arrow(x):
            if y is not None:
                raise DataError(_no_array(x))
            return as_data(self.function, x, self._of_batch, batch_size, shuffle)
        named = self._named(x, y)
        arrays = [named[node] for node in self.function.inputs]
        return as_data(self.function, arrays, list, batch_size, shuffle)

    def validation(self, data: Any, batch_size: int) -> Whole:
        """What is given to judge a model: ``(x, y)``, a dict, or batches.

        Raises
        ------
        DataError, ShapeError, DTypeError
            As :meth:`read`, and for any other form.
        """
        try:
            if isinstance(data, Mapping) or is_stream(data) or is_arrow(data):
                return lasting(self.read(data, None, batch_size))
            if isinstance(data, tuple | list) and len(data) == 2:
                return self.read(data[0], data[1], batch_size)
        except GraphnnError as error:
            raise type(error)(f"validation_data: {error}") from None
        raise DataError("validation_data is (x, y) or a dict of arrays by name, or batches of such")

    def _of_batch(self, batch: Any) -> list[ArrayLike]:
        """The arrays of a batch, in the order of the inputs."""
        found = batch_of(batch, self.inputs, self.targets)
        return [found[node] for node in self.function.inputs]

    def _named(self, x: Any, y: Any) -> dict[Input, ArrayLike]:
        known = [*self.inputs, *self.targets]
        if isinstance(x, Mapping):
            if y is not None:
                raise DataError("give all arrays in one dict by name, or x and y; not both")
            return by_input(x, known)
        if y is None and self.targets:
            raise DataError(
                "fit and evaluate need targets: fit(x, y), or a dict with "
                f"{[node.name for node in known]}"
            )
        if y is not None and not self.targets:
            raise DataError("the loss has no target: fit and evaluate take x alone; got a y")
        named = by_input(x, self.inputs)
        return named if y is None else named | by_input(y, self.targets)


def _no_array(x: Any) -> str:
    """What is said where targets are given beside what is no array."""
    kind = type(x).__name__
    if hasattr(x, "toarray"):
        return f"x is a {kind}, which is no NumPy array. Give x.toarray()."
    if isinstance(x, str | os.PathLike):
        return (
            f"x is the name of a file, {str(x)!r}: a Parquet file brings its own targets, so leave "
            "y out; read others first, as in np.load(path, mmap_mode='r')"
        )
    return f"x is a {kind}, and batches bring their own targets, (x, y): leave y out"
