"""Arrays and frames of Dask: samples to fit to, and rows that are transformed where they are."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sknnens._compat import output_container
from sknnens._views._checks import check_view_sum


def is_dask(x: Any) -> bool:
    """Whether `x` is an array or frame of Dask."""
    dask = sys.modules.get("dask")
    return dask is not None and bool(dask.is_dask_collection(x))


def sample_rows(
    X: Any, n_rows: int, *, random_state: int | np.random.RandomState | None = None
) -> Any:
    """Draw rows of a Dask array or frame at random, to fit to.

    Only the rows that are drawn are gathered. Each partition is read once, or twice if the number
    of its rows is not known.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_features) or dask dataframe
        In any form that :class:`EnsembleRepresentationLearner` takes of NumPy or pandas.
    n_rows : int
        Number of rows to draw, without replacement; all if there are no more.
    random_state : int, RandomState instance or None, default=None
        Determines the rows.

    Returns
    -------
    sample : ndarray of shape (n_rows, n_features), or pandas DataFrame
        The rows, in the order of `X`.

    Raises
    ------
    TypeError
        If `X` is not a collection of Dask.
    ValueError
        If `n_rows` is not positive, or the columns of an array are in several chunks.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from sknnens import EnsembleRepresentationLearner, sample_rows
    >>> X = da.from_array(np.random.RandomState(0).rand(500, 10).astype("f"), chunks=(100, 10))
    >>> learner = EnsembleRepresentationLearner([6, 4], max_iter=2, random_state=0)
    >>> learner = learner.fit(sample_rows(X, 200, random_state=0))
    >>> representations = learner.transform(X)
    >>> representations.shape, representations.chunks[0]
    ((500, 6), (100, 100, 100, 100, 100))
    """
    if not is_dask(X):
        raise TypeError(f"X must be an array or a frame of Dask, got {type(X).__name__}.")
    if n_rows < 1:
        raise ValueError(f"n_rows={n_rows} must be positive.")
    import dask

    if _is_frame(X):
        blocks = X.to_delayed()
        lengths = dask.compute(*(dask.delayed(len)(block) for block in blocks))
    else:
        _check_chunks(X)
        blocks, lengths = X.to_delayed().ravel(), X.chunks[0]
        if np.isnan(lengths).any():
            lengths = dask.compute(*(dask.delayed(len)(block) for block in blocks))
    ends = np.cumsum(lengths)
    rows = check_random_state(random_state).permutation(ends[-1])[:n_rows]
    drawn = [np.sort(r) for r in _split_rows(rows, ends)]
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
            first = transformer._transform_array(X.head(1, npartitions=-1))
        except ValueError as error:
            if "holds text" not in str(error):
                raise
            raise ValueError(
                f"{error} Dask makes texts of vectors, unless it is told not to before the frame "
                "is made: dask.config.set({'dataframe.convert-string': False})."
            ) from error
        names = transformer.get_feature_names_out()
        meta = pd.DataFrame(first[:0], columns=names)
        return X.map_partitions(_transform_frame, shared, meta, meta=meta)
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


def _transform_block(block: NDArray[Any], transformer: Any) -> Any:
    if not len(block):
        dtype = np.float64 if block.dtype == np.float64 else np.float32
        return np.empty((0, transformer._n_features_out), dtype)
    return transformer._transform_array(block)


def _transform_frame(part: Any, transformer: Any, empty: Any) -> Any:
    if not len(part):
        return empty
    return type(empty)(transformer._transform_array(part), part.index, empty.columns)
