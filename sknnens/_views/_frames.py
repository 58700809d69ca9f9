"""Frames (pandas, polars, pyarrow) to one matrix a model; columns with a vector in each cell."""

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCAN_ROWS = 1024  # cells that are looked through together for one that is not empty


def is_frame(X: Any) -> bool:
    """Tell a table with labelled columns from a matrix."""
    return hasattr(X, "shape") and hasattr(X, "columns")


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


def get_column(frame: Any, position: int) -> Any:
    """One column of a frame, in the frame's own kind."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, position]
    return frame.column(position) if hasattr(frame, "column") else frame.to_series(position)


def take_rows(X: Any, rows: slice) -> Any:
    """Rows of a frame, a column, an array, a tensor or a list."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def frame_to_array(frame: Any) -> Any:
    """Array of a frame of numbers, in the type that its columns have together.

    scikit-learn would not see that type where it is not one of NumPy's.
    """
    if not hasattr(frame, "iloc"):
        columns = [np.asarray(get_column(frame, i)) for i in range(frame.shape[1])]
        return np.column_stack(columns) if columns else np.empty(frame.shape)
    if all(isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        return frame
    types = [getattr(dtype, "numpy_dtype", dtype) for dtype in frame.dtypes]
    if not all(isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in types):
        return frame
    # as with arrays, what is no float is taken in float32
    floats = [dtype for dtype in types if dtype.kind == "f"]
    return frame.to_numpy(dtype=np.result_type(np.float32, *floats), na_value=np.nan)


def is_empty(cell: Any) -> bool:
    """Whether a cell is None, NaN, pandas' NA or a vector of no length."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if is_vector(cell):
        return len(cell) == 0
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def first_filled(column: Any) -> Any:
    """Return the first cell that is not empty; None where all are."""
    for begin in range(0, len(column), SCAN_ROWS):
        for cell in np.asarray(take_rows(column, slice(begin, begin + SCAN_ROWS))):
            if not is_empty(cell) and not (np.ndim(cell) and all(map(is_empty, cell))):
                return cell
    return None


def is_empty_column(column: Any) -> bool:
    """Whether there is nothing in any cell."""
    return first_filled(column) is None


def is_vector(cell: Any) -> bool:
    """Tell a cell that holds several numbers from one that holds one, or a string."""
    return isinstance(cell, list | tuple) or getattr(cell, "ndim", 0) > 0


@dataclass(frozen=True)
class VectorColumns:
    """Columns with a vector in each cell; side by side they are one matrix.

    Attributes
    ----------
    columns : list of column of length n_samples
        Arrays of objects, or columns of a frame, whose cells are turned into arrays when they
        are needed. A cell is a vector, of one length in a column, or empty.
    widths : list of int or None
        Length of the vectors of each column; None where all cells are empty.
    first_row : int
        What the first of these rows is called in messages.
    """

    columns: list[Any]
    widths: list[int | None]
    first_row: int = 0

    @classmethod
    def from_columns(cls, columns: Sequence[Any]) -> "VectorColumns":
        """Look the widths up."""
        for column in columns:
            _check_polars(column)
        firsts = [first_filled(column) for column in columns]
        return cls(list(columns), [None if x is None else np.asarray(x).size for x in firsts])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns of cells."""
        return len(self.columns[0]), len(self.columns)

    def __getitem__(self, rows: slice) -> "VectorColumns":
        first_row = self.first_row + rows.indices(self.shape[0])[0]
        return VectorColumns([take_rows(x, rows) for x in self.columns], self.widths, first_row)

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
        for column, width in zip(self.columns, self.widths, strict=True):
            cells = np.asarray(column)
            if width is None and cells.ndim == 1:
                others = [w for w in self.widths if w is not None]
                if size is None or len(others) < len(self.widths) - 1:
                    raise ValueError("every cell is empty, so that its width is not known.")
                width = size - sum(others)
            parts.append(cells if cells.ndim > 1 else self._stack(cells, width))
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _stack(self, cells: NDArray[Any], width: int | None) -> NDArray[Any]:
        rows = [row for row, cell in enumerate(cells) if not is_empty(cell)]
        vectors = [np.asarray(cells[row]) for row in rows]
        for row, vector in zip(rows, vectors, strict=True):
            if vector.shape != (width,):
                raise ValueError(
                    f"row {self.first_row + row} holds an array of shape {vector.shape}, where "
                    f"others have {(width,)}."
                )
        # None inside a vector becomes NaN; a cell that says nothing does not decide the type
        vectors = [v.astype(np.float64) if v.dtype == object else v for v in vectors]
        kinds: set[np.dtype[Any]] = set()
        for v in vectors:
            if v.dtype not in kinds and not (v.dtype.kind == "f" and np.isnan(v).all()):
                kinds.add(v.dtype)
        dtype = np.result_type(*kinds) if kinds else np.dtype(np.float32)
        if len(vectors) == len(cells):
            return np.array(vectors, dtype=dtype)
        dtype = dtype if dtype.kind == "f" else np.dtype(np.float32)  # as it would be in the end
        matrix = np.full((len(cells), width or 0), np.nan, dtype=dtype)
        if vectors:
            matrix[rows] = vectors
        return matrix


def _check_polars(column: Any) -> None:
    """Raise ValueError where polars would give other rows than those that were asked for."""
    polars = sys.modules.get("polars")
    if polars is None or not isinstance(column, polars.Series) or column.dtype != polars.List:
        return
    if tuple(map(int, polars.__version__.split(".")[:2])) < (1, 9):
        raise ValueError(
            f"polars {polars.__version__} reads parts of a column of lists wrongly: take 1.9 or "
            "later, or cast the column to polars.Array."
        )


@dataclass(frozen=True)
class View:
    """The features of one model, not yet read.

    Attributes
    ----------
    matrix : array-like or VectorColumns, of shape (n_samples, n_features_v)
        An array, a tensor, a frame or columns of vectors.
    name : str or None
        Of the model.
    columns : list of str or None
        Names of the columns of the matrix, where all have one.
    prefix : bool
        Whether the model's name comes before these in the stacked matrix.
    """

    matrix: Any
    name: str | None = None
    columns: list[str] | None = None
    prefix: bool = True

    def name_columns(self, name: str) -> list[str] | None:
        """Names of the columns in the stacked matrix."""
        if self.columns is None or not self.prefix:
            return self.columns
        return [f"{name}_{column}" for column in self.columns]


def as_view(x: Any, name: str | None) -> View:
    """One entry of a list or dictionary of matrices."""
    if is_frame(x):
        labels = column_labels(x)
        if _vector_columns(x) or (len(labels) == 1 and is_empty_column(get_column(x, 0))):
            columns = [get_column(x, i) for i in range(len(labels))]
            return View(VectorColumns.from_columns(columns), name)
        return View(x, name, labels if all(isinstance(label, str) for label in labels) else None)
    if isinstance(x, list) and any(cell is None for cell in x):
        cells = np.empty(len(x), dtype=object)
        cells[:] = x
        x = cells
    return View(VectorColumns.from_columns([x]) if is_cell_column(x) else x, name)


def is_cell_column(x: Any) -> bool:
    """Tell a Series, or an array, of vectors or empty cells from other things."""
    if is_frame(x) or not (hasattr(x, "to_numpy") or isinstance(x, np.ndarray)):
        return False
    if isinstance(x, np.ndarray) and (x.ndim != 1 or x.dtype != object):
        return False
    first = first_filled(x)
    return first is None or is_vector(first)


def find_frame_views(
    frame: Any, names: Sequence[str] | None, columns: Mapping[str, Sequence[Hashable]] | None
) -> list[View] | None:
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
    views : list of View or None
        None where the columns of the frame are those of one stacked matrix.

    Raises
    ------
    ValueError
        If columns are not there, or are not what they should be.
    """
    labels = column_labels(frame)
    if columns is not None:
        return _find_groups(frame, labels, columns)
    if getattr(frame.columns, "nlevels", 1) > 1:
        tops: dict[Any, list[int]] = {}
        for i, label in enumerate(labels):
            tops.setdefault(label[0], []).append(i)
        return [
            View(
                select_columns(frame, positions),
                str(top),
                ["_".join(map(str, labels[i][1:])) for i in positions],
            )
            for top, positions in tops.items()
        ]
    return _find_cells(frame, labels, names)


def _find_groups(
    frame: Any, labels: list[Any], columns: Mapping[str, Sequence[Hashable]]
) -> list[View]:
    """Find views whose columns the user named."""
    vectors = set(_vector_columns(frame))
    positions = {label: i for i, label in enumerate(labels)}
    views = []
    for name, wanted in columns.items():
        for label in wanted:
            if label not in positions:
                raise ValueError(f"view {name!r}: X has no column {label!r}.")
            if len(positions) < len(labels) and labels.count(label) > 1:
                raise ValueError(f"view {name!r}: X has more than one column {label!r}.")
        group = [positions[label] for label in wanted]
        found = [get_column(frame, i) for i in group] if len(group) == 1 or vectors else []
        if vectors.intersection(group) or (len(group) == 1 and is_empty_column(found[0])):
            views.append(_view_of_cells(found, name))
        else:
            are_named = all(isinstance(label, str) for label in wanted)
            texts = [str(label) for label in wanted] if are_named else None
            views.append(View(select_columns(frame, group), name, texts, prefix=False))
    return views


def _find_cells(frame: Any, labels: list[Any], names: Sequence[str] | None) -> list[View] | None:
    """Find views of one column each, with a vector in each cell; None where there are none."""
    vectors = _vector_columns(frame)
    texts = [str(label) for label in labels]
    if not vectors and (names is None or not set(names) <= set(texts)):
        return None
    # where no cell at all is filled, the names tell
    wanted = [i for i in range(len(labels)) if names is None or texts[i] in names]
    others = [i for i in wanted if i not in vectors and not is_empty_column(get_column(frame, i))]
    if others and not vectors:
        return None
    if others:
        raise ValueError(
            f"X has a vector in each cell of the columns {[labels[i] for i in vectors]}, but not "
            f"of {labels[others[0]]!r}. Say which columns to take, such as views="
            f"{ {texts[i]: [labels[i]] for i in vectors} }."
        )
    if names is not None and not set(names) <= set(texts):
        wanted = vectors  # what is missing is said with the names that there are
    return [_view_of_cells([get_column(frame, i)], texts[i]) for i in wanted]


def _vector_columns(frame: Any) -> list[int]:
    """Positions of the columns with a vector in each cell."""
    n_columns = frame.shape[1]
    if hasattr(frame, "iloc"):
        candidates = [i for i, dtype in enumerate(frame.dtypes) if dtype.kind == "O"]
    else:
        first = take_rows(frame, slice(0, 1))
        cells = [np.asarray(get_column(first, i)) for i in range(n_columns)]
        candidates = [i for i in range(n_columns) if cells[i].ndim > 1 or cells[i].dtype == object]
    return [i for i in candidates if is_vector(first_filled(get_column(frame, i)))]


def _view_of_cells(columns: list[Any], name: str | None) -> View:
    """View of columns of vectors; its columns are numbered, where their number is known."""
    matrix = VectorColumns.from_columns(columns)
    known = [width for width in matrix.widths if width is not None]
    if len(known) < len(matrix.widths):
        return View(matrix, name)
    return View(matrix, name, [str(i) for i in range(sum(known))])
