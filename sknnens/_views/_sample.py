"""Random rows of data that is larger than memory, for `fit`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from sknnens._views._dask import is_dask, sample_dask
from sknnens._views._dataset import is_dataset, sample_dataset


def sample_rows(
    X: Any,
    n_rows: int,
    *,
    columns: Sequence[str] | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    """Draw random rows of a Dask collection or a pyarrow dataset, for `fit`.

    Only the drawn rows are kept in memory, but all rows are read. Dask partitions of unknown length
    are read twice. If this takes too long, pass a dataset with only some of the files.

    Parameters
    ----------
    X : dask array of shape (n_samples, n_features), dask dataframe or pyarrow dataset
        The forms are the same as in :class:`EnsembleRepresentationLearner`.
    n_rows : int
        Number of rows to draw, without replacement; all if there are no more.
    columns : sequence of str, default=None
        Columns to read, of a frame or dataset. None reads all.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    sample : ndarray of shape (n_rows, n_features), pandas DataFrame or pyarrow Table
        The rows, in the order of `X`.

    Raises
    ------
    TypeError
        If `X` is something else.
    ValueError
        If `n_rows` is not positive, the columns of an array are in several chunks, or a file is
        not whole.

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
    if n_rows < 1:
        raise ValueError(f"n_rows={n_rows} must be positive.")
    rng = check_random_state(random_state)
    if is_dataset(X):
        return sample_dataset(X, n_rows, rng, columns)
    if is_dask(X):
        return sample_dask(X if columns is None else X[list(columns)], n_rows, rng)
    raise TypeError(
        f"X must be an array or a frame of Dask or a dataset of pyarrow, got {type(X).__name__}."
    )
