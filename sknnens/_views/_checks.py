"""Checks of the views, whatever form they came in, and their texts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from sknnens._files._atomic import release_pages
from sknnens._views._data import Views, row_norms, row_slices

LEAST_WEIGHT = 1e-9  # of a view, relative to the largest; less is lost in rounding
CHUNK_ENTRIES = 2**18  # entries of a view that are checked together: they fit in the cache

IMPUTE_HINT = " missing_views='impute' imputes it from the other views of the sample."
DROP_HINT = " missing_views='drop' leaves such rows out."
SAFE_FORM = (
    "If scikit-learn split the list, it split it by models. Stack the views and give it one "
    "matrix, whose rows it splits: X, views = stack_views([A, B, ...]), then "
    "EnsembleRepresentationLearner(views=views)."
)


def check_same_lengths(matrices: Sequence[Any]) -> None:
    """Raise ValueError if the views differ in their numbers of rows."""
    lengths = [x.shape[0] for x in matrices]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"All views must have the same samples in the same order, got {lengths} rows."
        )


def check_same_rows(indexes: Sequence[Any], labels: Sequence[str]) -> Any:
    """Return the labels of the rows of pandas objects, None if they have none of their own.

    Raise ValueError if they differ. Row numbers from 0 count as no labels beside others, unless
    those are numbers as well.
    """
    known = [pair for pair in zip(indexes, labels, strict=True) if pair[0] is not None]
    known.sort(key=lambda pair: _is_default(pair[0]))  # the others first
    if not known:
        return None
    first, first_label = known[0]
    for index, label in known[1:]:
        if index.equals(first):
            continue
        if _is_default(index) and first.inferred_type not in ("integer", "floating"):
            continue
        others = Counter(first)
        unknown = list((Counter(index) - others).elements())
        found, remedy = "in another order", "reorder it by .loc[labels]"
        if unknown:
            shown = ", ".join(map(repr, unknown[:3])) + ", ..." * (len(unknown) > 3)
            found = f"but for {len(unknown)} of {len(index)} ({shown})"
            remedy = "take the samples that both have"
        raise ValueError(
            f"{label} has the row labels of {first_label} {found}: all views must have the same "
            f"samples in the same order. Either {remedy}, or if the rows do belong together, drop "
            "the labels by .reset_index(drop=True)."
        )
    return None if _is_default(first) else first


def _is_default(index: Any) -> bool:
    """Whether these are the row numbers that pandas gives to rows without labels."""
    return type(index).__name__ == "RangeIndex" and (index.start, index.step) == (0, 1)


def check_view_list(n_views: int, n_rows: int, y: Any, *, same_sizes: bool) -> None:
    """Raise ValueError if a list holds samples rather than models, or was split by models.

    `same_sizes` is whether all matrices have one width, as samples would.
    """
    found = f"X is a list of {n_views} matrices with {n_rows} row(s) each"
    if n_rows < n_views and same_sizes and y is None:
        raise ValueError(
            f"{found}: more models than samples. A list holds one matrix per model. If it does, "
            f"give a dictionary. {SAFE_FORM}"
        )
    n_labels = (len(y),) if isinstance(y, list | tuple) else getattr(y, "shape", ())[:1]
    if n_labels and n_labels[0] != n_rows:
        raise ValueError(f"{found}, but y has {n_labels[0]}. {SAFE_FORM}")


def check_view_sum(sizes: Sequence[int], n_features: int) -> None:
    """Raise ValueError if the widths do not add up to the columns of the stacked matrix."""
    if sum(sizes) != n_features:
        raise ValueError(
            f"views={list(sizes)} add up to {sum(sizes)} columns, but X has {n_features}."
        )


def check_view_count(X: Any, n_views: int, n_expected: int, origin: str) -> None:
    """Raise ValueError if the number of views is not the one known from `origin`."""
    if n_views != n_expected:
        hint = f" {SAFE_FORM}" if isinstance(X, list | tuple) else ""
        raise ValueError(f"X has {n_views} views, {origin} {n_expected}.{hint}")


def check_same_sizes(
    arrays: Sequence[NDArray[Any]], sizes: Sequence[int], labels: Sequence[str], origin: str
) -> None:
    """Raise ValueError if the widths of the views are not the ones known from `origin`."""
    for label, x, size in zip(labels, arrays, sizes, strict=True):
        if x.shape[1] != size:
            raise ValueError(f"{label} has {x.shape[1]} columns, {origin} {size}.")


def check_views(
    arrays: Sequence[NDArray[Any]],
    labels: Sequence[str],
    *,
    allow_missing: bool,
    drops_rows: bool = False,
) -> tuple[Views, list[bool]]:
    """Check the rows of all views; return them with their norms, and which are non-negative.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n_samples, n_features_v)
        The views, of one dtype. A view with extreme rows is copied and they are rescaled.
    labels : sequence of str
        Labels of the views in messages.
    allow_missing : bool
        Whether a row may be NaN in all columns of a view.
    drops_rows : bool, default=False
        Whether the caller drops the rows that lack a view, so that they may lack all.
    """
    hint = DROP_HINT if drops_rows else IMPUTE_HINT * (len(arrays) > 1)
    scans = [
        check_rows(x, label, allow_missing=allow_missing, hint=hint)
        for x, label in zip(arrays, labels, strict=True)
    ]
    scaled = [_rescale(x, scan) for x, scan in zip(arrays, scans, strict=True)]
    views = Views(scaled, [scan.norms for scan in scans])
    if allow_missing and not drops_rows:
        _check_some_view(views.present, labels)
    return views, [scan.non_negative for scan in scans]


class RowScan(NamedTuple):
    """Result of `check_rows`."""

    norms: NDArray[Any]  # L2 norm of each row, NaN for a missing one
    non_negative: bool  # whether no entry is negative; NaN is ignored
    extreme: list[int]  # rows whose squares over- or underflow, or come close to it


def check_rows(
    x: NDArray[Any], label: str, *, allow_missing: bool, hint: str = "", first_row: int = 0
) -> RowScan:
    """Check the rows of one view, in one pass.

    Raise ValueError if a row holds infinity, or NaN that it may not hold. `hint` ends the message
    about a row that is NaN in all columns; `first_row` is the number of the first row.
    """
    norms, extreme, non_negative = np.empty(len(x), x.dtype), [], True
    # float32 may be the precision, and the squares of squares must be finite
    largest = float(np.finfo(np.float32).max) ** 0.25
    for rows in row_slices(len(x), max(1, CHUNK_ENTRIES // x.shape[1])):
        part = np.ascontiguousarray(x[rows])
        with np.errstate(all="ignore"):
            lengths = norms[rows] = row_norms(part)
            non_negative = non_negative and not (part < 0).any()
            odd = np.flatnonzero(~((lengths > 1 / largest) & (lengths < largest)))
        if len(odd):
            kept = part[odd]
            _check_finite(kept, label, odd + first_row + rows.start, allow_missing, hint)
            is_extreme = kept.any(axis=1) & ~np.isnan(lengths[odd])
            extreme += (odd[is_extreme] + rows.start).tolist()
        release_pages(x)
    return RowScan(norms, non_negative, extreme)


def _check_finite(
    x: NDArray[Any], label: str, rows: NDArray[np.intp], allow_missing: bool, hint: str
) -> None:
    """Raise ValueError if a row holds infinity, or NaN that it may not hold."""
    n_nan, n_columns = np.isnan(x).sum(axis=1), x.shape[1]
    has_inf = np.isinf(x).any(axis=1)
    is_faulty = has_inf | ((n_nan > 0) & ~(allow_missing & (n_nan == n_columns)))
    if not is_faulty.any():
        return
    i = int(is_faulty.argmax())
    if has_inf[i]:
        raise ValueError(f"{label} contains infinity in row {rows[i]}.")
    if n_nan[i] < n_columns:
        where, hint = f"{n_nan[i]} of its {n_columns} columns", ""
    else:
        where, hint = "all of its columns", hint * (not allow_missing)
    raise ValueError(f"{label} contains NaN in row {rows[i]}, in {where}.{hint}")


def _rescale(x: NDArray[Any], scan: RowScan) -> NDArray[Any]:
    """Divide extreme rows by their largest absolute entry, in a copy, and update their norms."""
    if not scan.extreme:
        return x
    x = np.array(x, order="C")
    rows = x[scan.extreme]
    with np.errstate(under="ignore"):
        rows /= np.abs(rows).max(axis=1, keepdims=True)
        x[scan.extreme], scan.norms[scan.extreme] = rows, row_norms(rows)
    return x


def _check_some_view(present: NDArray[np.bool_], labels: Sequence[str]) -> None:
    """Raise ValueError if a row lacks all the views that are used."""
    rows = np.flatnonzero(~present.any(axis=1))
    if len(rows) == 0:
        return
    named = ", ".join(map(str, rows[:10])) + (f" and {len(rows) - 10} more" * (len(rows) > 10))
    if len(labels) == 1:
        raise ValueError(f"Rows without {labels[0]}, and no other view is used: {named}.")
    raise ValueError(
        f"Rows without any view: {named}. There is nothing to impute them from: leave them out."
    )


def check_not_a_view(n_rows: int, y: Any) -> None:
    """Raise ValueError if `y` looks like the features of a second model."""
    if y is None or isinstance(y, str):
        return
    try:
        y = np.asarray(y)
    except (TypeError, ValueError, RuntimeError):
        return
    if y.ndim == 2 and y.dtype.kind == "f" and len(y) == n_rows and y.shape[1] > 1:
        raise ValueError(
            f"y is a matrix of floats of shape {y.shape}, and no target is used. If it is the "
            "features of a second model, give both models in a list, fit([a, b]); if it is a "
            f"target of {y.shape[1]} outputs, say by views=[width] that X is one view."
        )


def check_informative(views: Views, labels: Sequence[str]) -> None:
    """Raise ValueError if a view is zero or missing in every row."""
    for norms, label in zip(views.norms, labels, strict=True):
        if not (norms > 0).any():
            state = "missing" if np.isnan(norms).all() else "zero"
            raise ValueError(
                f"{label} is {state} in every row: there is nothing to learn from. Leave it out."
            )


def check_view_weights(
    view_weights: ArrayLike | Mapping[str, float] | str | None, names: Sequence[str]
) -> NDArray[np.float64]:
    """Convert the parameter `view_weights` to one non-negative weight per view, the largest 1.

    A view that a mapping does not name has the weight 1. With None all weights are 1, and with a
    string such as "auto" until a fusion resolves it.
    """
    if view_weights is None or isinstance(view_weights, str):
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
            f"view_weights must hold one number per view, shape ({len(names)},), got "
            f"{weights.shape}."
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


@contextmanager
def label_errors(label: str | None) -> Iterator[None]:
    """Put a label, if there is one, before the message of an error."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if label is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{label}: {error}") from error
