"""Tables of Apache Arrow, and Parquet files, as data: columns become the arrays of inputs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError, DTypeError, GraphError, ShapeError
from graphnn.hints import did_you_mean
from graphnn.node import Input
from graphnn.ops.random.generator import generator
from graphnn.spec import format_shape
from graphnn.train.sources import Source

Chosen: TypeAlias = "str | Sequence[str]"
KINDS = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}  # which numbers become which


class Columns:
    """Which columns of a table are for which input.

    Where inputs bear the names of columns, the table alone will do: ``fit("train.parquet")``.

    Parameters
    ----------
    table
        Path of a Parquet file or of a folder of such, a ``pyarrow.Table``, or a
        ``pyarrow.dataset.Dataset``.
    columns
        For each input, by name, one column, or a list that stands side by side, (rows, columns).
        A column of fixed-size lists is (rows, size), or has the shape that the input declares.

    Raises
    ------
    GraphError
        If the columns are no such names.

    Examples
    --------
    >>> import graphnn as gn
    >>> gn.Columns("credit.parquet", {"x": ["balance", "income"], "y": "default"})
    <Columns of 'credit.parquet': x = [balance, income], y = default>
    """

    def __init__(self, table: Any, columns: Mapping[str, Chosen]) -> None:
        if not isinstance(columns, Mapping) or not columns:
            raise GraphError(f"columns are a dict, {{'x': ['a', 'b'], 'y': 'c'}}; got {columns!r}")
        for name, chosen in columns.items():
            listed = isinstance(chosen, list | tuple) and chosen
            every = chosen if listed else [chosen]
            if not all(isinstance(one, str) for one in every):
                raise GraphError(
                    f"input {name}: a column's name, or a list of them; got {chosen!r}"
                )
        self.table, self.columns = table, dict(columns)

    def __repr__(self) -> str:
        pairs = [
            f"{name} = {chosen if isinstance(chosen, str) else '[' + ', '.join(chosen) + ']'}"
            for name, chosen in self.columns.items()
        ]
        shown = repr(self.table) if _is_path(self.table) else type(self.table).__name__
        return f"<Columns of {shown}: {', '.join(pairs)}>"


def _is_path(given: object) -> bool:
    return isinstance(given, str | os.PathLike)


def is_arrow(given: object) -> bool:
    """Whether data is a table: of Arrow, a path, or :class:`Columns`."""
    return (
        isinstance(given, Columns)
        or _is_path(given)
        or type(given).__module__.partition(".")[0] == "pyarrow"
    )


def arrow_data(
    given: Any, inputs: Sequence[Input], batch_size: int, shuffle: bool
) -> list[NDArray[Any]] | Source:
    """What a table holds: arrays of one in memory, batches of files.

    Raises
    ------
    DataError, DTypeError, ShapeError
        For what cannot be read, and columns that do not fit.
    """
    named = isinstance(given, Columns)
    table = given.table if named else given
    columns = given.columns if named else {node.name: node.name for node in inputs}
    names = [node.name for node in inputs]
    if set(columns) != set(names):
        raise DataError(f"the columns are for the inputs {names}; got {list(columns)}")
    arrow = _pyarrow("pyarrow")
    if isinstance(table, arrow.Table):
        _check_there(columns, table.column_names)
        return [as_array(table, columns[node.name], node) for node in inputs]
    pieces = _pieces(table, columns)
    return Files(pieces, inputs, columns, batch_size, shuffle)


def _pyarrow(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError("tables are read by pyarrow: pip install 'graphnn[arrow]'") from None


def _check_there(columns: Mapping[str, Chosen], there: Sequence[str]) -> None:
    for name in _flat(columns):
        if name not in there:
            raise DataError(
                f"the table has no column {name!r}; it has {', '.join(there)}."
                f"{did_you_mean(name, there)} gn.Columns(table, {{'x': [...], 'y': ...}}) says "
                "which are for which input."
            )


def _flat(columns: Mapping[str, Chosen]) -> list[str]:
    """The names of all columns, each once."""
    listed = [[one] if isinstance(one, str) else list(one) for one in columns.values()]
    return list(dict.fromkeys(name for names in listed for name in names))


def _pieces(table: Any, columns: Mapping[str, Chosen]) -> list[Any]:
    """The row groups of files."""
    datasets = _pyarrow("pyarrow.dataset")
    if _is_path(table):
        path = Path(table)
        files = path.suffix.lower() in (".parquet", ".pq") or path.is_dir()
        if not files:
            raise DataError(
                f"{table}: a file of data is a .parquet file. Read others first, "
                "pyarrow.feather.read_table(path), and give the table."
            )
        if not path.exists():
            raise DataError(f"there is no file {table}")
        try:
            table = datasets.dataset(path, format="parquet")
            names = table.schema.names
        except (OSError, ValueError) as error:  # what pyarrow raises for what is damaged
            raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(table, datasets.Dataset):
        raise DataError(
            f"a table is a pyarrow.Table, a pyarrow.dataset.Dataset, or a path; got {table!r}"
        )
    if getattr(table, "files", None) == []:
        raise DataError("there is no Parquet file in that folder")
    names = table.schema.names
    _check_there(columns, names)
    found: list[Any] = []
    for fragment in table.get_fragments():
        split = getattr(fragment, "split_by_row_group", None)
        found += [fragment] if split is None else split()
    return found


def _rows_of(piece: Any) -> int:
    """Rows of a fragment; one of some row groups would count those of its whole file."""
    groups = getattr(piece, "row_groups", None)
    rows = piece.count_rows() if groups is None else sum(group.num_rows for group in groups)
    return int(rows)


def _table_of(piece: Any, columns: list[str]) -> Any:
    """The rows of a fragment.

    Raises
    ------
    DataError
        For a file that is damaged, or lacks a column that the first one has.
    """
    where = getattr(piece, "path", piece)
    try:
        return piece.to_table(columns=columns)
    except (OSError, ValueError) as error:  # what pyarrow raises for what is damaged or not there
        there = ", ".join(piece.physical_schema.names)
        said = str(error).partition("\n")[0].rstrip(". ")
        raise DataError(f"{where} cannot be read: {said}. Its columns are {there}.") from None


class Files(Source):
    """The rows of files, row group by row group: no more than one is in memory, and a batch.

    Shuffled, the row groups come in an order of their own each epoch, and the rows of each are
    mixed among themselves.

    Parameters
    ----------
    pieces
        Fragments of a data set.
    inputs, columns
        What they hold for which input.
    batch_size, shuffle
        As in :class:`EpochRun`.
    """

    def __init__(
        self,
        pieces: Sequence[Any],
        inputs: Sequence[Input],
        columns: Mapping[str, Chosen],
        batch_size: int,
        shuffle: bool,
    ) -> None:
        self.pieces, self.inputs, self.columns = list(pieces), list(inputs), dict(columns)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.seed = int(generator().value[0])
        self.rows = sum(map(_rows_of, self.pieces))
        if not self.rows:
            raise DataError("there is no row in the table")

    def batches(self, epoch: int) -> Iterator[list[NDArray[Any]]]:
        """Batches of one size, across the borders of row groups, and the rest."""
        kept: list[NDArray[Any]] = []
        for arrays in self._groups(epoch):
            if kept:
                arrays = [np.concatenate(pair) for pair in zip(kept, arrays, strict=True)]
            whole = len(arrays[0]) // self.batch_size * self.batch_size
            for start in range(0, whole, self.batch_size):
                yield [array[start : start + self.batch_size] for array in arrays]
            kept = [array[whole:] for array in arrays]
        if kept and len(kept[0]):
            yield kept

    def _groups(self, epoch: int) -> Iterator[list[NDArray[Any]]]:
        """The arrays of each row group, in the order of the epoch."""
        numbers = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, epoch]))
        order = np.arange(len(self.pieces))
        for place in numbers.permutation(order) if self.shuffle else order:
            table = _table_of(self.pieces[place], _flat(self.columns))
            arrays = [as_array(table, self.columns[node.name], node) for node in self.inputs]
            if self.shuffle:
                rows = numbers.permutation(len(table))
                arrays = [array[rows] for array in arrays]
            yield arrays

    def read(self, batch: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """The arrays of a batch."""
        return batch

    @property
    def steps(self) -> int:
        """Whole batches, and the rest."""
        return -(-self.rows // self.batch_size)


def as_array(table: Any, chosen: Chosen, node: Input) -> NDArray[Any]:
    """Columns of a table as the array of an input, in its dtype.

    Numbers in columns are taken as numbers in lists are: whole ones and floats of any width become
    floats, whole numbers stay whole.

    Raises
    ------
    DataError, DTypeError, ShapeError
        For what is missing, no number, or of another shape.
    """
    if not isinstance(chosen, str):
        return np.stack([_numbers(table, name, node) for name in chosen], axis=1)
    array = _numbers(table, chosen, node)
    inner = node.spec.shape[1:]
    if array.ndim == 2 and len(inner) > 1 and all(isinstance(dim, int) for dim in inner):
        if array.shape[1] != np.prod(inner):  # type: ignore[arg-type]
            raise ShapeError(
                f"input {node.name} is declared {format_shape(node.spec.shape)} at {node.origin}; "
                f"the lists of column {chosen!r} have {array.shape[1]} elements"
            )
        array = array.reshape(len(array), *inner)
    return array


def _numbers(table: Any, name: str, node: Input) -> NDArray[Any]:
    """One column: (rows,), or (rows, size) for lists of a fixed size."""
    types = _pyarrow("pyarrow.types")
    column, width = table.column(name).combine_chunks(), 0
    kind = column.type
    if column.null_count:
        raise DataError(
            f"column {name!r} has {column.null_count} missing values. Fill or drop them first: "
            "pyarrow.compute.fill_null(column, 0)."
        )
    if types.is_fixed_size_list(kind):
        width, kind = kind.list_size, kind.value_type
        column = column.flatten()
        if column.null_count:
            raise DataError(f"the lists of column {name!r} have missing values")
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    array = np.asarray(column.to_numpy(zero_copy_only=False)) if plain else np.zeros(0, object)
    own = np.dtype(node.dtype)
    if array.dtype.kind not in KINDS[own.kind]:
        fix = "Encode it as numbers first." if not plain else f"Cast it: column.cast({own.name!r})."
        raise DTypeError(
            f"input {node.name} is declared {node.dtype} at {node.origin}; column {name!r} holds "
            f"{column.type}. {fix}"
        )
    if own.kind in "iu" and array.size:
        limits = np.iinfo(own)
        if array.min() < limits.min or array.max() > limits.max:
            raise DataError(
                f"column {name!r} has values from {array.min()} to {array.max()}, which "
                f"{own.name} does not hold. Declare a wider input."
            )
    array = array.astype(own, copy=False)
    return array.reshape(-1, width) if width else array
