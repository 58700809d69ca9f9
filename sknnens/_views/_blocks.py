"""Samples that are read and transformed some at a time, into memory or into a file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._files import RowFile, check_not_read, new_file, partial_path, release_pages
from sknnens._progress import ProgressBar
from sknnens._views._checks import label_errors
from sknnens._views._data import Views, concatenate_views, row_slices
from sknnens._views._dataset import DatasetReader, is_dataset

BLOCK_BYTES = 2**25  # of a dataset that are parsed together, at most
BLOCK_ROWS = 8192  # that are transformed together: a chunk of a GPU
N_CHECKS, CHECKED_ROWS = 8, 64  # places of a file to be resumed, and rows there

OnRows = Callable[[int, str], None]


@dataclass(frozen=True)
class Samples:
    """Samples that are read and checked some at a time.

    Attributes
    ----------
    n_rows : int
        Number of samples.
    dtype : dtype
        That of the views.
    read : callable
        Given the number of a row, iterates over the views from there on.
    """

    n_rows: int
    dtype: np.dtype[Any]
    read: Callable[[int], Iterator[Views]]


def _read_dataset(transformer: Any, dataset: Any) -> Samples:
    """Open a dataset for a fitted transformer; only the columns that it needs are read."""
    columns = transformer._view_columns or {name: [name] for name in transformer.view_names_}
    reader = DatasetReader(dataset, {label for group in columns.values() for label in group})
    used = transformer.view_weights_ > 0
    kept = {label for group, w in zip(columns.values(), used, strict=True) if w for label in group}
    pairs = list(zip(reader.columns, reader.types, strict=True))
    types = [kind for name, kind in pairs if name in kept] or reader.types
    # of all batches, whatever a batch lacks
    is_double = any(str(kind).startswith(("double", "decimal")) for kind in types)
    dtype = np.dtype(np.float64 if is_double else np.float32)
    size = BLOCK_BYTES // (8 * sum(transformer.view_sizes_))
    size = min(BLOCK_ROWS, max(64, size - size % 64))

    def read(begin: int) -> Iterator[Views]:
        for batch in reader.read(size, begin):
            with label_errors(f"{batch.path!r}, counted from row {batch.begin} of X on"):
                views = transformer._read_to_transform(batch.table, dtype)
            yield views

    return Samples(reader.n_rows, dtype, lambda begin: _join(read(begin)))


def _join(parts: Iterator[Views]) -> Iterator[Views]:
    """Join views of few rows to blocks, which take as long as a chunk at least."""
    held: list[Views] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= BLOCK_ROWS:
            joined = concatenate_views(held)
            yield joined.take(slice(0, BLOCK_ROWS))
            held = [joined.take(slice(BLOCK_ROWS, None))]
    if sum(map(len, held)):
        yield concatenate_views(held)


def _divide(views: Views) -> Samples:
    """Divide views that are read; they may be memory maps."""

    def read(begin: int) -> Iterator[Views]:
        for rows in row_slices(len(views), BLOCK_ROWS, begin):
            yield views.take(rows)

    return Samples(len(views), views.dtype, read)


def transform_blocks(
    transformer: Any, X: Any, out: str | os.PathLike[str] | None, resume: bool
) -> tuple[NDArray[Any], Any]:
    """Transform samples some at a time if they are in a dataset, or go to a file.

    Return their rows, and labels of the rows or None.
    """
    index = None
    if is_dataset(X):
        samples = _read_dataset(transformer, X)
    else:
        views = transformer._read_to_transform(X)
        samples, index = _divide(views), views.index
        if out is None:
            with _show_rows(transformer, len(views)) as progress:
                return transformer._transform_views(views, progress.update), index
    if out is not None:
        return _write(transformer, X, samples, out, resume), index
    rows = np.empty((samples.n_rows, transformer._n_features_out), samples.dtype)
    for begin, part in _transform(transformer, samples):
        rows[begin : begin + len(part)] = part
    return rows, index


def _write(
    transformer: Any, X: Any, samples: Samples, out: str | os.PathLike[str], resume: bool
) -> NDArray[Any]:
    """Transform the samples of `X` into a file, and open it."""
    for path in (out, partial_path(Path(os.fsdecode(out)))) if resume else (out,):
        check_not_read(path, [X, transformer], "out")
    with new_file(out, resume=resume) as file:
        shape = samples.n_rows, transformer._n_features_out
        target = RowFile(file, shape, samples.dtype)
        if target.n_rows:  # a sample of them must be of these samples, by this transformer
            last = max(0, target.n_rows - CHECKED_ROWS)
            for begin in np.unique(np.linspace(0, last, N_CHECKS, dtype=np.intp)).tolist():
                rows = slice(0, min(CHECKED_ROWS, target.n_rows - begin))
                views = next(samples.read(begin)).take(rows)
                target.check(begin, transformer._transform_views(views))
        for _, part in _transform(transformer, samples, target.n_rows):
            target.append(part)
        target.finish()
    mapped: NDArray[Any] = np.load(out, mmap_mode="r")
    return mapped


def _transform(
    transformer: Any, samples: Samples, begin: int = 0
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield transformed rows, from a row on, with the number of the first."""
    with _show_rows(transformer, samples.n_rows, begin) as progress:
        for views in samples.read(begin):
            yield begin, transformer._transform_views(views, progress.update)
            begin += len(views)
            for x in views.arrays:
                release_pages(x)


def _show_rows(transformer: Any, n_rows: int, n_done: int = 0) -> ProgressBar:
    """Progress of `transform`, if the transformer is verbose."""
    enabled = bool(getattr(transformer, "verbose", False))
    return ProgressBar(n_rows, "transform", "row", enabled, n_done)
