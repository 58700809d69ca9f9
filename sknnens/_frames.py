"""Frames (pandas, polars, pyarrow) to one matrix a model; columns with a vector in each cell."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_frame(X: Any) -> bool:
    """Tell a table with labelled columns from a matrix."""
    return hasattr(X, "columns") and hasattr(X, "shape")


def column_labels(frame: Any) -> list[Any]:
    """Labels of the columns; tuples where pandas has a MultiIndex."""
    # in pyarrow, `columns` are the columns themselves
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def select_columns(frame: Any, positions: Sequence[int]) -> Any:
    """Part of a frame, with the columns at these positions."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, list(positions)]
    labels = column_labels(frame)
    return frame.select([labels[i] for i in positions])


def take_rows(X: Any, rows: slice) -> Any:
    """Rows of a frame, an array, a tensor or a list."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def column_values(frame: Any, position: int) -> NDArray[Any]:
    """One column as an array: of shape (n,), or (n, d) where its type has a fixed length."""
    if hasattr(frame, "iloc"):
        return np.asarray(frame.iloc[:, position])
    column = frame.column(position) if hasattr(frame, "column") else frame.to_series(position)
    return np.asarray(column.to_numpy())


def is_empty(cell: Any) -> bool:
    """Whether a cell is None, NaN or pandas' NA."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def holds_vectors(values: NDArray[Any]) -> bool:
    """Whether the first cell that is not empty is a vector."""
    if values.ndim > 1 or values.dtype != object:
        return values.ndim > 1
    first = next((cell for cell in values if not is_empty(cell)), None)
    return isinstance(first, list | tuple) or getattr(first, "ndim", 0) > 0


@dataclass(frozen=True)
class VectorColumns:
    """Columns with a vector in each cell; side by side they are one matrix.

    Attributes
    ----------
    columns : list of ndarray of shape (n_samples,) or (n_samples, width)
        The cells: vectors of one length a column, or empty where a row has none.
    widths : list of int or None
        Length of the vectors of each column; None where all cells are empty.
    first_row : int
        What the first of these rows is called in messages.
    """

    columns: list[NDArray[Any]]
    widths: list[int | None]
    first_row: int = 0

    @classmethod
    def from_columns(cls, columns: Sequence[NDArray[Any]]) -> "VectorColumns":
        """Look the widths up."""
        return cls(list(columns), [_find_width(column) for column in columns])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns of cells."""
        return len(self.columns[0]), len(self.columns)

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, rows: slice) -> "VectorColumns":
        first_row = self.first_row + rows.indices(len(self))[0]
        return VectorColumns([column[rows] for column in self.columns], self.widths, first_row)

    def to_matrix(self, size: int | None = None) -> NDArray[Any]:
        """Copy the cells to a matrix; an empty cell is NaN in all of its columns.

        Parameters
        ----------
        size : int, default=None
            Width of the matrix where it is known, for a column that is empty throughout.

        Returns
        -------
        matrix : ndarray of shape (n_samples, sum of widths)

        Raises
        ------
        ValueError
            If the vectors of a column differ in length, or there is none to tell the length.
        """
        parts = []
        for cells, width in zip(self.columns, self.widths, strict=True):
            if width is None:
                others = [w for w in self.widths if w is not None]
                if size is None or len(others) < len(self.widths) - 1:
                    raise ValueError("every cell is empty.")
                width = size - sum(others)
            parts.append(cells if cells.ndim > 1 else self._stack(cells, width))
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _stack(self, cells: NDArray[Any], width: int) -> NDArray[Any]:
        present = np.array([not is_empty(cell) for cell in cells], dtype=bool)
        vectors = [np.asarray(cells[row]) for row in np.flatnonzero(present)]
        for row, vector in zip(np.flatnonzero(present), vectors, strict=True):
            if vector.shape != (width,):
                raise ValueError(
                    f"row {self.first_row + row} holds an array of shape {vector.shape}, where "
                    f"others have {(width,)}."
                )
        stacked = np.array(vectors) if vectors else np.empty((0, width), dtype=np.float32)
        if stacked.dtype == object:
            stacked = stacked.astype(np.float64)  # None inside a vector becomes NaN
        if present.all():
            return stacked
        # that some rows are empty must not change the type of the others
        dtype = stacked.dtype if stacked.dtype.kind == "f" else np.float32
        matrix = np.full((len(cells), width), np.nan, dtype=dtype)
        matrix[present] = stacked
        return matrix


def _find_width(column: NDArray[Any]) -> int | None:
    if column.ndim > 1:
        return int(column.shape[1])
    first = next((cell for cell in column if not is_empty(cell)), None)
    return None if first is None else int(np.size(first))


@dataclass(frozen=True)
class FrameView:
    """The columns of a frame that are one model's.

    Attributes
    ----------
    name : str
        Of the model.
    matrix : frame or VectorColumns
        With those columns alone.
    columns : list of str or None
        Names of the columns of its matrix, where all have one.
    """

    name: str
    matrix: Any
    columns: list[str] | None


def find_frame_views(
    frame: Any, names: Sequence[str] | None, columns: Mapping[str, Sequence[Hashable]] | None
) -> list[FrameView] | None:
    """Find the models' columns in a frame.

    Parameters
    ----------
    frame : frame
        Of pandas, polars or pyarrow.
    names : sequence of str or None
        Which models to take, where the frame itself says which columns are whose.
    columns : mapping from str to sequence of labels, or None
        Which columns are whose, where it does not.

    Returns
    -------
    views : list of FrameView or None
        None where the columns of the frame are those of one stacked matrix.

    Raises
    ------
    ValueError
        If columns are not there, or are not what they should be.
    """
    labels = column_labels(frame)
    vectors = _vector_columns(frame)
    if columns is not None:
        groups = {name: _find_labels(labels, columns[name], name) for name in columns}
    elif getattr(frame.columns, "nlevels", 1) > 1:
        groups = {}
        for i, label in enumerate(labels):
            groups.setdefault(str(label[0]), []).append(i)
    else:
        groups = {
            str(label): [i]
            for i, label in enumerate(labels)
            if names is None or str(label) in names
        }
        if not vectors and (names is None or len(groups) < len(names)):
            return None
        filled = [name for name, [i] in groups.items() if not _is_empty(frame, i)]
        if filled and not vectors:
            return None
        for name in filled:
            if groups[name][0] not in vectors:
                raise ValueError(
                    f"X has a vector in each cell of the columns {[labels[i] for i in vectors]}, "
                    f"but not of {name!r}. Say which columns to take, such as views="
                    f"{ {str(labels[i]): [labels[i]] for i in vectors} }."
                )
    return [_take_view(frame, labels, vectors, name, group) for name, group in groups.items()]


def _vector_columns(frame: Any) -> list[int]:
    """Positions of the columns with a vector in each cell."""
    n_columns = frame.shape[1]
    if hasattr(frame, "iloc"):
        candidates = [i for i, dtype in enumerate(frame.dtypes) if dtype.kind == "O"]
    else:
        first = take_rows(frame, slice(0, 1))
        found = [column_values(first, i) for i in range(n_columns)]
        candidates = [i for i in range(n_columns) if found[i].ndim > 1 or found[i].dtype == object]
    return [i for i in candidates if holds_vectors(column_values(frame, i))]


def _is_empty(frame: Any, position: int) -> bool:
    """Whether no cell of the column holds anything."""
    values = column_values(frame, position)
    if values.ndim > 1 or values.dtype.kind not in "fO":
        return False
    return all(is_empty(cell) for cell in values)


def _find_labels(labels: list[Any], wanted: Sequence[Hashable], name: str) -> list[int]:
    """Positions of the wanted labels."""
    positions = {label: i for i, label in enumerate(labels)}
    for label in wanted:
        if label not in positions:
            raise ValueError(f"view {name!r}: X has no column {label!r}.")
        if len(positions) < len(labels) and labels.count(label) > 1:
            raise ValueError(f"view {name!r}: X has more than one column {label!r}.")
    return [positions[label] for label in wanted]


def _take_view(
    frame: Any, labels: list[Any], vectors: list[int], name: str, group: list[int]
) -> FrameView:
    own = [labels[i] for i in group]
    texts = ["_".join(map(str, x)) if isinstance(x, tuple) else x for x in own]
    is_named = all(isinstance(text, str) for text in texts)
    is_missing = len(group) == 1 and _is_empty(frame, group[0])
    if not is_missing and not any(i in vectors for i in group):
        return FrameView(name, select_columns(frame, group), texts if is_named else None)
    matrix = VectorColumns.from_columns([column_values(frame, i) for i in group])
    if not is_named or None in matrix.widths:
        return FrameView(name, matrix, None)
    widths = [range(width or 0) for width in matrix.widths]
    columns = [f"{x}_{i}" for x, width in zip(texts, widths, strict=True) for i in width]
    return FrameView(name, matrix, columns)
