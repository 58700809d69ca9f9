"""Columns with a vector in each cell, as parquet files and `datasets` give them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from sknnens._views._data import row_slices

SCAN_ROWS = 1024  # cells that are converted together in search of one that is not empty


def is_vector(cell: Any) -> bool:
    """Whether a cell holds several numbers rather than one, or a string."""
    return isinstance(cell, list | tuple) or getattr(cell, "ndim", 0) > 0


def is_empty(cell: Any) -> bool:
    """Whether a cell is None, NaN, NA of pandas, or a vector of length 0."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if is_vector(cell):
        return len(cell) == 0
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def find_filled(column: Any) -> Any:
    """Return the first cell that is not empty, None if all are."""
    for rows in row_slices(len(column), SCAN_ROWS):
        for cell in _to_cells(column[rows]):
            if not is_empty(cell) and not (np.ndim(cell) and all(map(is_empty, cell))):
                return cell
    return None


def is_cell_column(x: Any) -> bool:
    """Whether this is a Series or an array of vectors or of empty cells."""
    if isinstance(x, np.ndarray):
        if x.ndim != 1 or x.dtype != object:
            return False
    elif not hasattr(x, "to_numpy") or len(getattr(x, "shape", (0,))) != 1:
        return False
    first = find_filled(nw.from_native(x, series_only=True, pass_through=True))
    return first is None or is_vector(first)


def read_tensor(x: Any) -> Any:
    """Array that shares the memory of a tensor of torch; anything else is returned as it is."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return x
    needed = {
        "detach()": x.requires_grad,
        "cpu()": x.device.type != "cpu",
        "float()": x.dtype == torch.bfloat16,
    }
    if any(needed.values()):
        calls = "".join(f".{call}" for call, is_needed in needed.items() if is_needed)
        raise TypeError(
            f"A tensor of type {x.dtype} on {x.device} with requires_grad={x.requires_grad} "
            f"cannot be read as an array: call {calls} on it first."
        )
    return x.numpy()


def fill_masked(x: Any) -> Any:
    """NaN, or None among objects, in place of masked entries; others are returned as they are."""
    if not isinstance(x, np.ma.MaskedArray):
        return x
    if not np.ma.is_masked(x) or x.dtype.kind not in "biufO":
        return x.data
    filled = x.data.astype(np.float32) if x.dtype.kind in "biu" else x.data.copy()
    filled[np.ma.getmaskarray(x)] = None if x.dtype == object else np.nan
    return filled


def read_cell(cell: Any) -> NDArray[Any]:
    """Array of one vector; a shape of (1, d) counts as one."""
    vector = np.asarray(fill_masked(read_tensor(cell)))
    if len(vector.shape) > 0 and len(vector) == 1 and np.ndim(vector[0]) == 1:  # also of objects
        vector = np.asarray(vector[0])
    return vector


def _width(cell: Any) -> int:
    try:
        return int(read_cell(cell).size)
    except TypeError:  # a tensor that is refused later, with its row
        return int(np.prod(np.shape(cell)))


def shorten(text: Any) -> str:
    """Beginning of a text, for messages."""
    text = str(text)
    return repr(text if len(text) <= 40 else text[:40] + "...")


def find_text(column: Any) -> str | None:
    """Return the first cell of a column that is a text and not a number, None if there is none."""
    for cell in _to_cells(column).flat:
        if isinstance(cell, str):
            try:
                float(cell)
            except ValueError:
                return cell
    return None


def _to_cells(column: Any) -> NDArray[Any]:
    """Array of cells, or of shape (n_samples, width) if the column knows its width."""
    cells: NDArray[Any] = column.to_numpy() if isinstance(column, nw.Series) else np.asarray(column)
    return cells


@dataclass(frozen=True)
class VectorColumns:
    """Columns with a vector in each cell; side by side they are one matrix.

    Attributes
    ----------
    columns : list of column of length n_samples
        Arrays of objects or Series, converted when they are read. A cell is empty or a vector;
        the vectors of a column have one length.
    widths : list of int or None
        Length of the vectors of each column, None if all of its cells are empty.
    first_row : int
        Number of the first row in messages.
    """

    columns: list[Any]
    widths: list[int | None]
    first_row: int = 0

    @classmethod
    def from_columns(cls, columns: Sequence[Any]) -> "VectorColumns":
        """Find the widths of the columns."""
        columns = [nw.from_native(x, series_only=True, pass_through=True) for x in columns]
        cells = [find_filled(column) for column in columns]
        return cls(columns, [None if cell is None else _width(cell) for cell in cells])

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and of columns of cells."""
        return len(self.columns[0]), len(self.columns)

    @property
    def width(self) -> int | None:
        """Width of the matrix, None if it is unknown."""
        widths = [width for width in self.widths if width is not None]
        return sum(widths) if len(widths) == len(self.widths) else None

    def __getitem__(self, rows: slice) -> "VectorColumns":
        first_row = self.first_row + rows.indices(self.shape[0])[0]
        return VectorColumns([x[rows] for x in self.columns], self.widths, first_row)

    def to_array(self, size: int | None = None) -> NDArray[Any]:
        """Copy the cells to a matrix; an empty cell is NaN in all of its columns.

        `size` is the width of the matrix, for a column whose cells are all empty. Raise
        ValueError if the vectors of a column differ in length, or its width is unknown.
        """
        parts = []
        for column, width in zip(self.columns, self.widths, strict=True):
            cells = _to_cells(column)
            if width is None and cells.ndim == 1:
                others = [w for w in self.widths if w is not None]
                if size is None or len(others) < len(self.widths) - 1:
                    raise ValueError("every cell is empty, so that its width is not known.")
                width = size - sum(others)
            if cells.ndim == 3 and cells.shape[1] == 1:
                cells = cells[:, 0]
            parts.append(cells if cells.ndim > 1 else self._stack(cells, width))
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _stack(self, cells: NDArray[Any], width: int | None) -> NDArray[Any]:
        """Stack the vectors of one column, with NaN for the empty cells."""
        rows = [row for row, cell in enumerate(cells) if not is_empty(cell)]
        vectors = []
        for row in rows:
            try:
                vector = read_cell(cells[row])
            except TypeError as error:
                raise TypeError(f"row {self.first_row + row}: {error}") from error
            if vector.shape != (width,):
                held = f"an array of shape {vector.shape}"
                if isinstance(cells[row], str):
                    held = f"text, {shorten(cells[row])}"
                expected = (
                    f"others have {(width,)}" if vector.ndim == 1 else "one vector is expected"
                )
                raise ValueError(f"row {self.first_row + row} holds {held}, but {expected}.")
            vectors.append(vector)
        # None inside a vector becomes NaN; a vector of NaN does not decide the dtype
        vectors = [v.astype(np.float64) if v.dtype == object else v for v in vectors]
        kinds: set[np.dtype[Any]] = set()
        has_gaps = len(vectors) < len(cells)
        for v in vectors:
            if v.dtype in kinds:
                continue
            if v.dtype.kind == "f" and np.isnan(v).all():
                has_gaps = True
            else:
                kinds.add(v.dtype)
        dtype = np.result_type(*kinds) if kinds else np.dtype(np.float32)
        if not has_gaps:
            return np.array(vectors, dtype=dtype)
        dtype = dtype if dtype.kind == "f" else np.dtype(np.float32)  # integers become float32
        matrix = np.full((len(cells), width or 0), np.nan, dtype=dtype)
        if vectors:
            matrix[rows] = vectors
        return matrix
