"""Input forms: one stacked matrix, or a list of matrices, to one array a view."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite, check_array

FLOAT_DTYPES = [np.float32, np.float64]  # in this order float16 becomes float32


def is_view_list(X: Any) -> bool:
    """Tell a list or tuple of matrices from one matrix.

    A nested list of numbers, rows by columns, is one matrix.

    Parameters
    ----------
    X : object
        What the user passed.

    Returns
    -------
    is_list : bool
        True where an entry of a list or tuple has two axes or more.
    """
    return isinstance(X, list | tuple) and any(_n_axes(x) >= 2 for x in X)


def _n_axes(x: Any) -> int:
    try:
        return int(x.ndim if hasattr(x, "ndim") else np.ndim(x))
    except ValueError:  # ragged: check_array says so in its own words
        return 0


def check_view_list(
    X: Sequence[Any], *, estimator: Any = None, min_samples: int = 1
) -> list[NDArray[Any]]:
    """Check each matrix of a list and bring all to one float dtype.

    Parameters
    ----------
    X : sequence of array-like of shape (n_samples, n_features_v)
        One matrix a view.
    estimator : object, default=None
        Whose name the messages carry.
    min_samples : int, default=1
        Fewest rows allowed.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        All float32 or all float64. No copy is made of a matrix that is so already.
    """
    arrays = []
    for i, x in enumerate(X):
        try:
            x = check_array(
                as_native(x),
                dtype=FLOAT_DTYPES,
                estimator=estimator,
                ensure_min_samples=min_samples,
            )
        except (TypeError, ValueError) as error:
            raise type(error)(f"view {i}: {error}") from error
        arrays.append(x)
    lengths = [len(x) for x in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"All views must have the same samples in the same order, got {lengths} rows."
        )
    dtype = np.result_type(*arrays)
    return [x.astype(dtype, copy=False) for x in arrays]


def as_native(x: Any) -> Any:
    """Let pass what can become an array; numbers of the other byte order are turned.

    Parameters
    ----------
    x : object
        One matrix, as given by the user.

    Returns
    -------
    x : object
        Still to be checked.

    Raises
    ------
    TypeError
        If it is a tensor that NumPy cannot read, or no matrix at all; it says what to do.
    """
    if isinstance(x, torch.Tensor):
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
    if isinstance(x, Mapping | Iterator | set) and not hasattr(x, "shape"):
        raise TypeError(
            f"Expected one matrix, or a list or tuple of matrices, got {type(x).__name__}."
        )
    # scikit-learn takes another byte order for another type, and would make float32 of it
    if isinstance(x, np.ndarray) and x.dtype.kind == "f" and not x.dtype.isnative:
        return x.astype(x.dtype.newbyteorder("="))
    return x


def check_view_sizes(views: Any, n_features: int) -> list[int]:
    """Check the widths given as ``views`` against the columns of the stacked matrix.

    Parameters
    ----------
    views : sequence of int or None
        Width of each view; None means that all columns are one view.
    n_features : int
        Columns of the stacked matrix.

    Returns
    -------
    sizes : list of int
        One width a view; they add up to `n_features`.
    """
    if views is None:
        return [n_features]
    if isinstance(views, str | Mapping) or np.ndim(views) != 1 or len(views) == 0:
        raise TypeError(
            f"views must be None or a non-empty sequence of widths, such as [512, 768], got "
            f"{views!r}."
        )
    if any(not isinstance(v, Integral) or v < 1 for v in views):
        raise ValueError(f"views must hold positive integers, the width of each view, got {views}.")
    sizes = [int(v) for v in views]
    if sum(sizes) != n_features:
        raise ValueError(f"views={sizes} add up to {sum(sizes)} columns, but X has {n_features}.")
    return sizes


def split_views(X: NDArray[Any], sizes: Sequence[int]) -> list[NDArray[Any]]:
    """Split a stacked matrix into its views, without a copy, and check that each is finite.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The views side by side.
    sizes : sequence of int
        Width of each view.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        Views of the memory of `X`.
    """
    stops = np.cumsum(sizes)
    arrays = [X[:, stop - size : stop] for stop, size in zip(stops, sizes, strict=True)]
    for i, x in enumerate(arrays):
        assert_all_finite(x, input_name="X" if len(sizes) == 1 else f"X (view {i})")
    return arrays


def check_same_sizes(arrays: Sequence[NDArray[Any]], sizes: Sequence[int], where: str) -> None:
    """Raise ValueError where the views have other widths than those known from `where`."""
    if len(arrays) != len(sizes):
        raise ValueError(f"X has {len(arrays)} views, {where} {len(sizes)}.")
    for i, (x, size) in enumerate(zip(arrays, sizes, strict=True)):
        if x.shape[1] != size:
            raise ValueError(f"view {i} has {x.shape[1]} columns, {where} {size}.")


def check_not_all_zero(arrays: Sequence[NDArray[Any]]) -> None:
    """Raise ValueError where a whole view is zero, so that there is nothing to recover."""
    for i, x in enumerate(arrays):
        if not x.any():
            raise ValueError(
                f"view {i} is zero in every row: there is nothing to learn from. Leave it out."
            )


def check_view_weights(view_weights: ArrayLike | None, n_views: int) -> NDArray[np.float64]:
    """One non-negative weight a view, the largest of them 1; None means 1 for each.

    Parameters
    ----------
    view_weights : array-like of shape (n_views,) or None
        As given by the user.
    n_views : int
        Number of views.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        In float64.
    """
    if view_weights is None:
        return np.ones(n_views)
    weights = check_array(
        view_weights, ensure_2d=False, dtype=np.float64, input_name="view_weights"
    )
    if weights.shape != (n_views,):
        raise ValueError(
            f"view_weights must hold one number a view, shape ({n_views},), got {weights.shape}."
        )
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            f"view_weights must be non-negative and not all zero, got {weights.tolist()}."
        )
    scaled: NDArray[np.float64] = weights / weights.max()
    return scaled


def stack_views(views: Sequence[ArrayLike]) -> tuple[NDArray[Any], list[int]]:
    """Put the feature matrices of several models side by side.

    Every tool of scikit-learn carries the stacked matrix: it can be split, shuffled and
    sliced by rows without taking the models apart.

    Parameters
    ----------
    views : sequence of array-like of shape (n_samples, n_features_v)
        One matrix a model, the same samples in the same order.

    Returns
    -------
    X : ndarray of shape (n_samples, sum of n_features_v)
        The matrices side by side, float32 unless one of them is float64.
    sizes : list of int
        Width of each view, for ``EnsembleRepresentationLearner(views=sizes)``.

    Raises
    ------
    TypeError
        If `views` is not a list or tuple of matrices.
    ValueError
        If the matrices have different numbers of rows, or one is not a finite 2-D matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens import stack_views
    >>> X, sizes = stack_views([np.ones((5, 2)), np.zeros((5, 3))])
    >>> X.shape, sizes
    ((5, 5), [2, 3])
    """
    if not is_view_list(views):
        raise TypeError(
            "stack_views takes a list or tuple of 2-D arrays, one a model, "
            f"got {type(views).__name__}."
        )
    arrays = check_view_list(views)
    return np.hstack(arrays), [x.shape[1] for x in arrays]
