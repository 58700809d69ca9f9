"""Parse, read and check `X`: named arrays of one dtype, with the norms of their rows."""

from sknnens._views._arrays import FLOAT_DTYPES, as_native
from sknnens._views._base import FitInput, MultiviewTransformer, read_views
from sknnens._views._blocks import OnRows
from sknnens._views._cells import is_empty
from sknnens._views._data import Views, row_norms, row_slices, unit_rows
from sknnens._views._layout import column_slices
from sknnens._views._sample import sample_rows
from sknnens._views._stack import stack_views

__all__ = [
    "FLOAT_DTYPES",
    "FitInput",
    "MultiviewTransformer",
    "OnRows",
    "Views",
    "as_native",
    "column_slices",
    "is_empty",
    "read_views",
    "row_norms",
    "row_slices",
    "sample_rows",
    "stack_views",
    "unit_rows",
]
