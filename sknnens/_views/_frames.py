"""Dataframes of pandas, polars and pyarrow: the columns of each view, and their numbers."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from sknnens._views._cells import (
    VectorColumns,
    fill_masked,
    find_filled,
    is_cell_column,
    is_vector,
)
from sknnens._views._layout import Layout


def wrap_frame(x: Any) -> Any:
    """Wrap a dataframe by narwhals, which refuses repeated labels; the rest passes through."""
    if isinstance(x, np.ndarray | list):  # for speed
        return fill_masked(x) if getattr(x, "dtype", np.float64) == np.object_ else x
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(x, pyarrow.RecordBatch):
        x = pyarrow.Table.from_batches([x])
    return nw.from_native(x, eager_only=True, pass_through=True)


def read_frame(frame: nw.DataFrame[Any]) -> NDArray[Any]:
    """Convert a dataframe to an array, in the common dtype of its columns."""
    native = frame.to_native()
    dtypes = list(getattr(native, "dtypes", ()))
    kinds = [getattr(dtype, "numpy_dtype", dtype) for dtype in dtypes]  # of nullable columns
    if kinds != dtypes and all(isinstance(k, np.dtype) and k.kind in "biuf" for k in kinds):
        # narwhals makes objects of floats of Arrow in pandas
        dtype = np.result_type(np.float32, *[k for k in kinds if k.kind == "f"])
        array: NDArray[Any] = native.to_numpy(dtype=dtype, na_value=np.nan)
        return array
    return frame.to_numpy()


def _find_vectors(frame: nw.DataFrame[Any]) -> list[int]:
    """Positions of the columns with a vector in each cell."""
    dtypes: Any = getattr(frame.to_native(), "dtypes", None)
    if hasattr(dtypes, "iloc"):  # the schema takes longer, and calls empty cells strings
        candidates = [i for i, dtype in enumerate(dtypes) if dtype.kind == "O"]
    else:
        types = frame.schema.values()
        candidates = [i for i, dtype in enumerate(types) if not dtype.is_numeric()]
    return [i for i in candidates if is_vector(find_filled(frame[:, i]))]


def _is_empty(frame: nw.DataFrame[Any], position: int) -> bool:
    """Whether all cells of a column are empty."""
    return find_filled(frame[:, position]) is None


@dataclass(frozen=True)
class View:
    """The features of one model, not read yet.

    Attributes
    ----------
    matrix : array-like, narwhals DataFrame or VectorColumns, of shape (n_samples, n_features_v)
        The features.
    name : str or None
        Name of the model.
    columns : list of str or None
        Names of the columns, if all have one.
    is_prefixed : bool
        Whether the name of the model precedes the names of the columns in the stacked matrix.
    index : pandas Index or None
        Labels of the rows, if there are any.
    """

    matrix: Any
    name: str | None = None
    columns: list[str] | None = None
    is_prefixed: bool = True
    index: Any = None

    def name_columns(self, name: str) -> list[str] | None:
        """Names of the columns in the stacked matrix."""
        if self.columns is None or not self.is_prefixed:
            return self.columns
        return [f"{name}_{column}" for column in self.columns]


def parse_view(x: Any, name: str | None) -> View:
    """Parse one entry of a list or dictionary of matrices."""
    index = find_index(x)
    x = wrap_frame(x)
    if isinstance(x, nw.DataFrame):
        if _find_vectors(x) or (x.shape[1] == 1 and _is_empty(x, 0)):
            return View(_read_cells(x, range(x.shape[1])), name, index=index)
        are_named = all(isinstance(label, str) for label in x.columns)
        return View(x, name, x.columns if are_named else None, index=index)
    if isinstance(x, list) and any(cell is None for cell in x):
        cells = np.empty(len(x), dtype=object)
        cells[:] = x
        x = cells
    matrix = VectorColumns.from_columns([x]) if is_cell_column(x) else x
    return View(matrix, name, index=index)


def find_index(x: Any) -> Any:
    """Return the labels of the rows of a pandas object, None of anything else."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(x, pandas.DataFrame | pandas.Series):
        return x.index
    return None


def parse_frame(frame: nw.DataFrame[Any], layout: Layout) -> list[View] | None:
    """Find the columns of each view; return None if they are one stacked matrix.

    If `layout` does not name the columns of each view, the dataframe tells them. Raise
    ValueError if columns are missing or of another kind than the rest.
    """
    if layout.columns is not None:
        return _parse_groups(frame, layout.columns)
    labels: list[Any] = frame.columns  # tuples in a MultiIndex of pandas
    if labels and all(isinstance(label, tuple) for label in labels):
        tops: dict[Any, list[int]] = {}
        for i, label in enumerate(labels):
            tops.setdefault(label[0], []).append(i)
        vectors = set(_find_vectors(frame))
        return [
            _view_of_cells(frame, positions, str(top))
            if vectors.intersection(positions)
            else View(
                frame[:, positions],
                str(top),
                ["_".join(map(str, labels[i][1:])) for i in positions],
            )
            for top, positions in tops.items()
        ]
    views = _parse_cells(frame, layout.names)
    if views is None and layout.sizes is not None and not layout.is_fitted:
        for name in layout.names or ():
            if name in labels:
                raise ValueError(
                    f"views gives widths, but {name!r} is the label of a column of X. Give "
                    "lists of labels instead."
                )
    return views


def _parse_groups(frame: nw.DataFrame[Any], columns: Mapping[str, Sequence[Any]]) -> list[View]:
    """Find the views whose columns the user named."""
    vectors = set(_find_vectors(frame))
    positions = {label: i for i, label in enumerate(frame.columns)}
    views = []
    for name, wanted in columns.items():
        for label in wanted:
            if label not in positions:
                raise ValueError(f"view {name!r}: X has no column {label!r}.")
        group = [positions[label] for label in wanted]
        if vectors.intersection(group) or (len(group) == 1 and _is_empty(frame, group[0])):
            views.append(_view_of_cells(frame, group, name))
        else:
            are_named = all(isinstance(label, str) for label in wanted)
            names = [str(label) for label in wanted] if are_named else None
            views.append(View(frame[:, group], name, names, is_prefixed=False))
    return views


def _parse_cells(frame: nw.DataFrame[Any], names: Sequence[str] | None) -> list[View] | None:
    """Find views of one column each, with a vector in each cell; None if there are none."""
    vectors, labels = _find_vectors(frame), frame.columns
    texts = [str(label) for label in labels]
    if not vectors and (names is None or not set(names) <= set(texts)):
        return None
    # if no cell is filled, the names tell
    wanted = [i for i in range(len(texts)) if names is None or texts[i] in names]
    others = [i for i in wanted if i not in vectors and not _is_empty(frame, i)]
    if others and not vectors:
        return None
    if others:
        raise ValueError(
            f"X has a vector in each cell of the columns {[labels[i] for i in vectors]}, but "
            f"not of {labels[others[0]]!r}. Say which columns to take, such as views="
            f"{ {texts[i]: [labels[i]] for i in vectors} }."
        )
    if names is not None and not set(names) <= set(texts):
        wanted = vectors  # the missing view is reported with the names of these
    return [_view_of_cells(frame, [i], texts[i]) for i in wanted]


def _view_of_cells(frame: nw.DataFrame[Any], positions: Sequence[int], name: str) -> View:
    """View of columns of vectors; its columns are numbered, if their number is known."""
    matrix = _read_cells(frame, positions)
    return View(matrix, name, None if matrix.width is None else [*map(str, range(matrix.width))])


def _read_cells(frame: nw.DataFrame[Any], positions: Sequence[int]) -> VectorColumns:
    return VectorColumns.from_columns([frame[:, i] for i in positions])
