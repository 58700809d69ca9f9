"""Arrays and frames of Dask: samples to fit to, and rows that are transformed where they are."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknnens._compat import output_container
from sknnens._views._checks import check_view_sum
from sknnens._views._data import draw_rows


def is_dask(x: Any) -> bool:
    """Whether `x` is an array or frame of Dask."""
    dask = sys.modules.get("dask")
    return dask is not None and bool(dask.is_dask_collection(x))


def sample_dask(X: Any, n_rows: int, rng: np.random.RandomState) -> Any:
    """Gather rows that are drawn at random; partitions of unknown length are read twice."""
    import dask

    if _is_frame(X):
        blocks, lengths = X.to_delayed(), (np.nan,)
    else:
        _check_chunks(X)
        blocks, lengths = X.to_delayed().ravel(), X.chunks[0]
    if np.isnan(lengths).any():
        lengths = dask.compute(*(dask.delayed(len)(block) for block in blocks))
    ends = np.cumsum(lengths)
    drawn = _split_rows(draw_rows(int(ends[-1]), n_rows, rng), ends)
    take = dask.delayed(_take)
    parts = [take(block, own) for block, own in zip(blocks, drawn, strict=True) if len(own)]
    found = dask.compute(*parts)
    if _is_frame(X):
        import pandas as pd

        return pd.concat(found)
    return np.concatenate(found)


def _split_rows(rows: NDArray[np.intp], ends: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows of each block, numbered within it."""
    block = np.searchsorted(ends, rows, side="right")
    begins = np.concatenate([[0], ends[:-1]])
    return [rows[block == i] - begin for i, begin in enumerate(begins)]


def _take(block: Any, rows: NDArray[np.intp]) -> Any:
    return block.iloc[rows] if hasattr(block, "iloc") else block[rows]


def _is_frame(x: Any) -> bool:
    return hasattr(x, "map_partitions")


def _check_chunks(X: Any) -> None:
    """Raise ValueError if a Dask array is not made of blocks of whole rows."""
    if X.ndim != 2:
        raise ValueError(f"X must have two axes, got a Dask array of shape {X.shape}.")
    if X.numblocks[1] != 1:
        raise ValueError(
            f"The columns of X are split into {X.numblocks[1]} chunks, but a row must be in one: "
            "X.rechunk({1: -1})."
        )


def transform_dask(transformer: Any, X: Any) -> Any:
    """Transform an array or frame of Dask, block by block, when it is computed.

    The result has the same chunks of rows. The transformer is in the graph once. Of a frame, one
    row is read at once.
    """
    import dask

    if (container := output_container(transformer)) != "default":
        raise ValueError(
            f"set_output(transform={container!r}) would gather a collection of Dask into memory: "
            "set it to 'default', with which frames come out as frames."
        )
    shared = dask.delayed(transformer, traverse=False)
    width = transformer._n_features_out
    if _is_frame(X):
        import pandas as pd

        # one row shows what is wrong with the columns, and their type
        try:
            first = transformer._transform_array(_first_row(X))
        except ValueError as error:
            if "holds text" not in str(error):
                raise
            raise ValueError(
                f"{error} Dask makes texts of vectors, unless it is told not to before the frame "
                "is made: dask.config.set({'dataframe.convert-string': False})."
            ) from error
        names = transformer.get_feature_names_out()
        meta = pd.DataFrame(first[:0], columns=names)
        # fused, else workers read on and on while they wait for the transformer
        return X.map_partitions(_transform_frame, shared, meta, meta=meta).optimize()
    _check_chunks(X)
    check_view_sum(transformer.view_sizes_, X.shape[1])
    dtype = np.dtype(np.float64 if X.dtype == np.float64 else np.float32)
    return X.map_blocks(
        _transform_block,
        transformer=shared,
        dtype=dtype,
        chunks=(X.chunks[0], (width,)),
        meta=np.empty((0, width), dtype),
    )


def _first_row(X: Any) -> Any:
    """Frame of one row, for which no more partitions are read than are empty, and one."""
    for part in X.partitions:
        row = part.head(1)
        if len(row):
            return row
    raise ValueError("X has no rows.")


def _transform_block(block: NDArray[Any], transformer: Any) -> Any:
    if not len(block):
        dtype = np.float64 if block.dtype == np.float64 else np.float32
        return np.empty((0, transformer._n_features_out), dtype)
    return transformer._transform_array(block)


def _transform_frame(part: Any, transformer: Any, empty: Any) -> Any:
    if not len(part):
        return empty
    return type(empty)(transformer._transform_array(part), part.index, empty.columns)
