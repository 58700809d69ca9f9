"""What is checked of the views, whatever form they came in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from sknnens._files._atomic import release_pages

LEAST_WEIGHT = 1e-9  # of a view, relative to the largest; less is lost in rounding
ENTRIES = 2**22  # of a view, that are looked at together

MASK_HINT = " missing_views='mask' learns such a row from its other views."
SAFE_FORM = (
    "If scikit-learn split the list, it split it by models. Stack the views and give it one "
    "matrix, whose rows it splits: X, views = stack_views([A, B, ...]), then "
    "EnsembleRepresentationLearner(views=views)."
)


def check_same_lengths(matrices: Sequence[Any]) -> None:
    """Raise ValueError where the views differ in their numbers of rows."""
    lengths = [x.shape[0] for x in matrices]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"All views must have the same samples in the same order, got {lengths} rows."
        )


def check_view_list(matrices: Sequence[Any], y: Any) -> None:
    """Raise ValueError where a list is rather one of samples, or was split by its models."""
    n_views, n_rows = len(matrices), matrices[0].shape[0]
    found = f"X is a list of {n_views} matrices with {n_rows} row(s) each"
    if n_rows < n_views:
        raise ValueError(
            f"{found}: more models than samples. A list holds one matrix a model. {SAFE_FORM}"
        )
    n_labels = (len(y),) if isinstance(y, list | tuple) else getattr(y, "shape", ())[:1]
    if n_labels and n_labels[0] != n_rows:
        raise ValueError(f"{found}, but y has {n_labels[0]}. {SAFE_FORM}")


def check_view_sum(sizes: Sequence[int], n_features: int) -> None:
    """Raise ValueError where the widths do not add up to the columns of the stacked matrix."""
    if sum(sizes) != n_features:
        raise ValueError(
            f"views={list(sizes)} add up to {sum(sizes)} columns, but X has {n_features}."
        )


def check_view_count(X: Any, n_views: int, n_expected: int, where: str) -> None:
    """Raise ValueError where `X` has not as many views as is known from `where`."""
    if n_views != n_expected:
        hint = f" {SAFE_FORM}" if isinstance(X, list | tuple) else ""
        raise ValueError(f"X has {n_views} views, {where} {n_expected}.{hint}")


def check_same_sizes(
    arrays: Sequence[NDArray[Any]], sizes: Sequence[int], labels: Sequence[str], where: str
) -> None:
    """Raise ValueError where the views have other widths than those known from `where`."""
    for label, x, size in zip(labels, arrays, sizes, strict=True):
        if x.shape[1] != size:
            raise ValueError(f"{label} has {x.shape[1]} columns, {where} {size}.")


def check_rows(
    arrays: Sequence[NDArray[Any]],
    labels: Sequence[str],
    *,
    allow_missing: bool,
    first_row: int = 0,
    hint: str | None = None,
) -> None:
    """Raise ValueError where a view holds infinity or NaN that it may not hold.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n_samples, n_features_v)
        One a view.
    labels : sequence of str
        What messages call the views.
    allow_missing : bool
        Whether a row may be NaN in all columns of a view.
    first_row : int, default=0
        What the first row is called.
    hint : str, default=None
        What the message adds for a row that is NaN in all columns. None says that it can be
        learned from its other views, where there are some.
    """
    if hint is None:
        hint = MASK_HINT * (len(arrays) > 1)
    for x, label in zip(arrays, labels, strict=True):
        step = max(1, ENTRIES // x.shape[1])
        for begin in range(0, len(x), step):
            part = x[begin : begin + step]
            with np.errstate(over="ignore", invalid="ignore"):
                if np.isfinite(part.sum()):
                    release_pages(part)
                    continue
                suspects = np.flatnonzero(~np.isfinite(part.sum(axis=1)))
            n_nan = np.isnan(part[suspects]).sum(axis=1)
            has_inf = np.isinf(part[suspects]).any(axis=1)
            missing = n_nan == x.shape[1]
            faulty = has_inf | (n_nan > 0 if not allow_missing else (n_nan > 0) & ~missing)
            if faulty.any():
                i = int(np.argmax(faulty))
                row = first_row + begin + int(suspects[i])
                message = _describe_row(label, row, int(n_nan[i]), x.shape[1], has_inf[i])
                raise ValueError(message + hint * bool(missing[i] and not allow_missing))
            release_pages(part)


def _describe_row(label: str, row: int, n_nan: int, n_columns: int, has_inf: bool) -> str:
    if has_inf:
        return f"{label} contains infinity in row {row}."
    columns = "all of its columns" if n_nan == n_columns else f"{n_nan} of its {n_columns} columns"
    return f"{label} contains NaN in row {row}, in {columns}."


def find_missing(arrays: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which rows lack which views, shape (n_samples, n_views), after `check_rows`."""
    return np.stack([np.isnan(x[:, 0]) for x in arrays], axis=1)


def check_some_view(missing: NDArray[np.bool_], labels: Sequence[str]) -> None:
    """Raise ValueError where a row lacks all the views that are used."""
    rows = np.flatnonzero(missing.all(axis=1))
    if len(rows) == 0:
        return
    named = ", ".join(map(str, rows[:10])) + (f" and {len(rows) - 10} more" * (len(rows) > 10))
    if len(labels) == 1:
        raise ValueError(f"Rows without {labels[0]}, and no other view is used: {named}.")
    raise ValueError(
        f"Rows without any view: {named}. There is nothing to learn them from: leave them out."
    )


def check_not_all_zero(arrays: Sequence[NDArray[Any]], labels: Sequence[str]) -> None:
    """Raise ValueError where a view holds nothing to recover."""
    for x, label in zip(arrays, labels, strict=True):
        what = "missing" if np.isnan(x[:, 0]).all() else "zero"
        # both ignore NaN
        if what == "missing" or np.fmin.reduce(x, axis=None) == np.fmax.reduce(x, axis=None) == 0:
            raise ValueError(
                f"{label} is {what} in every row: there is nothing to learn from. Leave it out."
            )


def check_view_weights(
    view_weights: ArrayLike | Mapping[str, float] | None, names: Sequence[str]
) -> NDArray[np.float64]:
    """One non-negative weight a view, the largest of them 1; None means 1 for each.

    Parameters
    ----------
    view_weights : array-like of shape (n_views,), mapping from name to weight, or None
        As given by the user; a view that a mapping does not name has the weight 1.
    names : sequence of str
        Names of the views.

    Returns
    -------
    weights : ndarray of shape (n_views,)
        In float64.
    """
    if view_weights is None:
        return np.ones(len(names))
    if isinstance(view_weights, Mapping):
        weights_by_name = {str(name): weight for name, weight in view_weights.items()}
        for name in weights_by_name:
            if name not in names:
                raise ValueError(f"view_weights names {name!r}, but the views are {list(names)}.")
        view_weights = [weights_by_name.get(name, 1.0) for name in names]
    weights = check_array(
        view_weights, ensure_2d=False, dtype=np.float64, input_name="view_weights"
    )
    if weights.shape != (len(names),):
        raise ValueError(
            f"view_weights must hold one number a view, shape ({len(names)},), got {weights.shape}."
        )
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            f"view_weights must be non-negative and not all zero, got {weights.tolist()}."
        )
    scaled: NDArray[np.float64] = weights / weights.max()
    if scaled[scaled > 0].min() < LEAST_WEIGHT:
        raise ValueError(
            f"view_weights must not differ by more than a factor of {1 / LEAST_WEIGHT:.0e}, got "
            f"{weights.tolist()}; a weight of 0 leaves a view out."
        )
    return scaled
