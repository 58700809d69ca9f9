"""One set of numbers in every form that the package takes."""

import tempfile
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import sklearn
import torch
from sklearn.utils.fixes import parse_version

IS_NEW_SKLEARN = parse_version(sklearn.__version__) >= parse_version("1.9")


def is_split(name: str) -> bool:
    """Whether scikit-learn's tools split the form of this name by its samples."""
    if name.startswith(("list", "tuple", "dict")):
        return False  # a list they take for a list of samples
    return IS_NEW_SKLEARN or not ("pyarrow" in name or name == "stacked, tensor")


@dataclass
class Form:
    """Features in some form, and the parameter `views` that goes with it."""

    X: Any
    views: Any = None
    names: bool = True  # whether the views have names
    columns: bool = False  # whether their columns have


def in_every_form(views: dict[str, np.ndarray]) -> dict[str, Form]:
    """Return the forms by name, for float32 views whose numbers float16 can hold."""
    sizes = [x.shape[1] for x in views.values()]
    arrays = list(views.values())
    X = np.hstack(arrays)
    labels = [f"{name}_{i}" for name, x in views.items() for i in range(x.shape[1])]
    groups = {name: [c for c in labels if c.startswith(name)] for name in views}
    named_sizes = dict(zip(views, sizes, strict=True))
    flat = pd.DataFrame(X, columns=labels)
    shuffled = flat[labels[::-1]].assign(label=0, text="a")  # columns that are nobody's
    tuples = [tuple(label.split("_")) for label in labels]
    cells = pd.DataFrame({name: list(x) for name, x in views.items()})
    read_only = X.copy()
    read_only.flags.writeable = False
    with tempfile.TemporaryFile() as file:
        memory_map = np.memmap(file, X.dtype, "w+", shape=X.shape)
    memory_map[:] = X
    memory_map.flags.writeable = False
    halves = [x.astype(np.float16) for x in arrays]
    assert all((h == x).all() for h, x in zip(halves, arrays, strict=True))  # nothing is lost
    return {
        "stacked": Form(X, sizes, names=False),
        "stacked, named widths": Form(X, named_sizes),
        "stacked, column-major": Form(np.asfortranarray(X), sizes, names=False),
        "stacked, read-only": Form(read_only, sizes, names=False),
        "stacked, memory map": Form(memory_map, sizes, names=False),
        "stacked, float16": Form(X.astype(np.float16), sizes, names=False),
        "stacked, other byte order": Form(X.astype(">f4"), sizes, names=False),
        "stacked, tensor": Form(torch.from_numpy(X.copy()), sizes, names=False),
        "stacked, pandas": Form(flat, named_sizes, columns=True),
        "stacked, polars": Form(pl.DataFrame(X, schema=labels), named_sizes, columns=True),
        "stacked, pyarrow": Form(pa.Table.from_pandas(flat), named_sizes, columns=True),
        "list": Form(arrays, names=False),
        "list and widths": Form(arrays, sizes, names=False),
        "tuple": Form(tuple(arrays), names=False),
        "list of tensors": Form([torch.from_numpy(x.copy()) for x in arrays], names=False),
        "list of float16": Form(halves, names=False),
        "list of frames": Form([pd.DataFrame(x) for x in arrays], names=False),
        "list of Series": Form([cells[name] for name in views], names=False),
        "list of object arrays": Form([cells[name].to_numpy() for name in views], names=False),
        "list of polars Series": Form(
            [pl.Series(name, x) for name, x in views.items()], names=False
        ),
        "list of Arrow columns": Form(_arrow(views).columns, names=False),
        "dict": Form(dict(views)),
        "dict in another order": Form(dict(reversed(views.items())), named_sizes),
        "dict of tensors": Form({name: torch.from_numpy(x.copy()) for name, x in views.items()}),
        "dict of Series": Form({name: cells[name] for name in views}),
        "groups, pandas": Form(shuffled, groups, columns=True),
        "groups, polars": Form(pl.DataFrame(shuffled), groups, columns=True),
        "groups, pyarrow": Form(pa.Table.from_pandas(shuffled), groups, columns=True),
        "MultiIndex": Form(flat.set_axis(pd.MultiIndex.from_tuples(tuples), axis=1), columns=True),
        "MultiIndex, mixed up": Form(
            flat.set_axis(pd.MultiIndex.from_tuples(tuples), axis=1).iloc[:, _riffle(sizes)],
            named_sizes,
            columns=True,
        ),
        "cells, pandas": Form(cells, columns=True),
        "cells, pandas of lists": Form(
            pd.DataFrame({name: list(map(list, x)) for name, x in views.items()}), columns=True
        ),
        "cells, pandas of Arrow": Form(
            _arrow(views).to_pandas(types_mapper=pd.ArrowDtype), columns=True
        ),
        "cells, polars": Form(pl.DataFrame(dict(views)), columns=True),
        "cells, polars of lists": Form(pl.DataFrame(_arrow(views)), columns=True),
        "cells, pyarrow": Form(_arrow(views), columns=True),
        "cells, pyarrow of fixed size": Form(_arrow(views, fixed=True), columns=True),
        "cells and other columns": Form(
            cells.assign(label=0), {name: name for name in views}, columns=True
        ),
        "cells, array of objects": Form(cells.to_numpy(), names=False),
    }


def _riffle(sizes: list[int]) -> list[int]:
    """Columns of several views in turn, each view's own in their order, the last view first."""
    stops = np.cumsum(sizes)
    ranges = [range(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
    return [r[i] for i in range(max(sizes)) for r in reversed(ranges) if i < len(r)]


def _arrow(views: dict[str, np.ndarray], fixed: bool = False) -> pa.Table:
    """A table with a vector in each cell."""
    if fixed:
        return pa.table(
            {k: pa.FixedSizeListArray.from_arrays(x.ravel(), x.shape[1]) for k, x in views.items()}
        )
    return pa.table({name: pa.array(list(x)) for name, x in views.items()})
