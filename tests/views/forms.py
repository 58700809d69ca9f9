"""One set of numbers in every form that the package takes, and a transformer that reads them."""

import tempfile
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import sklearn
import torch
from sklearn.utils.fixes import parse_version

from sknnens._views import MultiviewTransformer

IS_NEW_SKLEARN = parse_version(sklearn.__version__) >= parse_version("1.9")


class Reader(MultiviewTransformer):
    """The views of positive weight, as they are read, side by side."""

    _parameter_constraints: ClassVar = {}

    def __init__(self, views=None, *, view_weights=None, missing_views="error"):
        self.views = views
        self.view_weights = view_weights
        self.missing_views = missing_views

    def fit(self, X, y=None):
        """Publish what is known of the input."""
        self._publish(self._read_to_fit(X, y).attributes)
        return self

    def transform(self, X):
        """Return the arrays side by side."""
        return np.concatenate(self._read_to_transform(X).arrays, axis=1)


def is_split(name: str) -> bool:
    """Whether scikit-learn's tools split the form of this name by its samples."""
    if name.startswith(("list", "tuple", "dict")):
        return False  # a list they take for a list of samples
    if name in ("stacked, lists", "list of nested lists"):
        return False
    return IS_NEW_SKLEARN or not ("pyarrow" in name or name == "stacked, tensor")


@dataclass
class Form:
    """Features in some form, and the parameter `views` that goes with it."""

    X: Any
    views: Any = None
    names: bool = True  # whether the views have names
    columns: bool = False  # whether their columns have


def in_every_form(views: dict[str, np.ndarray]) -> dict[str, Form]:
    """Return the forms by name; a row of NaN is an empty cell where there are cells.

    The numbers must be such that float16 holds them, where they are float32.
    """
    sizes = [x.shape[1] for x in views.values()]
    arrays = list(views.values())
    X = np.hstack(arrays)
    labels = [f"{name}_{i}" for name, x in views.items() for i in range(x.shape[1])]
    groups = {name: [c for c in labels if c.startswith(name)] for name in views}
    named_sizes = dict(zip(views, sizes, strict=True))
    flat = pd.DataFrame(X, columns=labels)
    shuffled = flat[labels[::-1]].assign(label=0, text="a")  # columns that are nobody's
    multi = flat.set_axis(pd.MultiIndex.from_tuples([tuple(c.split("_")) for c in labels]), axis=1)
    cells = pd.DataFrame({name: _cells(x) for name, x in views.items()})
    lists = pd.DataFrame({name: _cells(x, list) for name, x in views.items()})
    arrow, fixed = _arrow(views), _arrow(views, fixed=True)
    named_columns = {name: multi[name] for name in views}
    read_only = X.copy()
    read_only.flags.writeable = False
    with tempfile.TemporaryFile() as file:
        memory_map = np.memmap(file, X.dtype, "w+", shape=X.shape)
    memory_map[:] = X
    memory_map.flags.writeable = False
    nullable = "Float32" if X.dtype == np.float32 else "Float64"
    forms = {
        "stacked": Form(X, sizes, names=False),
        "stacked, named widths": Form(X, named_sizes),
        "stacked, column-major": Form(np.asfortranarray(X), sizes, names=False),
        "stacked, read-only": Form(read_only, sizes, names=False),
        "stacked, memory map": Form(memory_map, sizes, names=False),
        "stacked, other byte order": Form(X.astype(X.dtype.newbyteorder()), sizes, names=False),
        "stacked, tensor": Form(torch.from_numpy(X.copy()), sizes, names=False),
        "stacked, pandas": Form(flat, named_sizes, columns=True),
        "stacked, pandas nullable": Form(flat.astype(nullable), named_sizes, columns=True),
        "stacked, polars": Form(pl.DataFrame(X, schema=labels), named_sizes, columns=True),
        "stacked, pyarrow": Form(pa.Table.from_pandas(flat), named_sizes, columns=True),
        "list": Form(arrays, names=False),
        "list and widths": Form(arrays, sizes, names=False),
        "tuple": Form(tuple(arrays), names=False),
        "list of tensors": Form([torch.from_numpy(x.copy()) for x in arrays], names=False),
        "list of frames": Form([pd.DataFrame(x) for x in arrays], names=False),
        "list of frames of cells": Form([cells[[name]] for name in views], names=False),
        "list of Series": Form([cells[name] for name in views], names=False),
        "list of object arrays": Form([cells[name].to_numpy() for name in views], names=False),
        "list of polars Series": Form(
            [pl.Series(name, x) for name, x in views.items()], names=False
        ),
        "list of Arrow columns": Form(arrow.columns, names=False),
        "dict": Form(dict(views)),
        "dict in another order": Form(dict(reversed(views.items())), named_sizes),
        "dict of tensors": Form({name: torch.from_numpy(x.copy()) for name, x in views.items()}),
        "dict of Series": Form({name: cells[name] for name in views}),
        "dict of frames": Form(named_columns, columns=True),
        "groups, pandas": Form(shuffled, groups, columns=True),
        "groups, polars": Form(pl.DataFrame(shuffled), groups, columns=True),
        "groups, pyarrow": Form(pa.Table.from_pandas(shuffled), groups, columns=True),
        "MultiIndex": Form(multi, columns=True),
        "MultiIndex, mixed up": Form(multi.iloc[:, _riffle(sizes)], named_sizes, columns=True),
        "cells, pandas": Form(cells, columns=True),
        "cells, pandas of tensors": Form(
            pd.DataFrame({name: _cells(x, torch.from_numpy) for name, x in views.items()}),
            columns=True,
        ),
        "cells, pandas of Arrow": Form(arrow.to_pandas(types_mapper=pd.ArrowDtype), columns=True),
        "cells, polars": Form(pl.DataFrame(dict(views)), columns=True),
        "cells, polars of lists": Form(pl.DataFrame(arrow), columns=True),
        "cells, pyarrow": Form(arrow, columns=True),
        "cells, pyarrow of fixed size": Form(fixed, columns=True),
        "cells, pyarrow in pieces": Form(
            pa.concat_tables([arrow.slice(0, 7), arrow.slice(7)]), columns=True
        ),
        "cells and other columns": Form(
            cells.assign(label=0), {name: name for name in views}, columns=True
        ),
        "cells, array of objects": Form(cells.to_numpy(), names=False),
    }
    if X.dtype == np.float64:
        forms["cells, pandas of lists"] = Form(lists, columns=True)
        forms["stacked, lists"] = Form(X.tolist(), sizes, names=False)
        forms["list of nested lists"] = Form([x.tolist() for x in arrays], names=False)
    else:
        halves = [x.astype(np.float16) for x in arrays]
        assert np.array_equal(np.hstack(halves), X, equal_nan=True)  # nothing is lost
        forms["stacked, float16"] = Form(np.hstack(halves), sizes, names=False)
        forms["list of float16"] = Form(halves, names=False)
    return forms


def _cells(x: np.ndarray, make=np.array) -> list:
    """One vector a row, or None."""
    return [None if np.isnan(row).all() else make(row) for row in x]


def _riffle(sizes: list[int]) -> list[int]:
    """Columns of several views in turn, each view's own in their order, the last view first."""
    stops = np.cumsum(sizes)
    ranges = [range(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    return [r[i] for i in range(max(sizes)) for r in reversed(ranges) if i < len(r)]


def _arrow(views: dict[str, np.ndarray], fixed: bool = False) -> pa.Table:
    """A table with a vector in each cell."""
    columns = {}
    for name, x in views.items():
        kind = pa.list_(pa.from_numpy_dtype(x.dtype), x.shape[1] if fixed else -1)
        columns[name] = pa.array(_cells(x), kind)
    return pa.table(columns)
