"""What all transformers of the package share: reading the views of `X`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import validate_data

from sknnens._checks import (
    check_not_all_zero,
    check_rows,
    check_same_lengths,
    check_same_sizes,
    check_some_view,
    check_view_count,
    check_view_list,
    check_view_weights,
    find_missing,
)
from sknnens._views import (
    FLOAT_DTYPES,
    Layout,
    Parts,
    as_native,
    check_form,
    check_layout,
    default_names,
    find_parts,
    label_views,
    read_parts,
    split_views,
)


@dataclass(frozen=True)
class FitInput:
    """What `fit` was given.

    Attributes
    ----------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        The views with a positive weight, all float32 or all float64. A row that lacks a view
        is NaN in all of its columns.
    view_weights : ndarray of shape (n_views,)
        Of those views, the largest 1.
    attributes : dict
        Fitted attributes that describe the input, of all views.
    """

    arrays: list[NDArray[Any]]
    view_weights: NDArray[np.float64]
    attributes: dict[str, Any]

    def spread(self, values: Sequence[Any], otherwise: Any) -> list[Any]:
        """One entry for every view of `X`: those of the views with a positive weight, in turn."""
        used = iter(values)
        return [next(used) if w > 0 else otherwise for w in self.attributes["view_weights_"]]


class ViewsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transformer of features of several models, in any of the input forms.

    A subclass has the parameters `views` and `missing_views`, and it may have `view_weights`. A
    view of weight 0 is checked for its width alone, and is not handed on.
    """

    views: Any
    missing_views: str

    def _read_to_fit(self, X: Any, y: Any = None) -> FitInput:
        """Read and check the views; the estimator is not changed."""
        layout = check_layout(self.views)
        check_form(X, layout)
        parts = find_parts(X, layout)
        names = (parts.names if parts else None) or layout.names
        if parts is None:
            arrays, columns = self._read_matrix_to_fit(X, layout.sizes)
        else:
            arrays, columns = self._read_parts_to_fit(parts, X, y, layout, names)
        names = names or default_names(len(arrays))
        weights = self._weigh(names)
        labels = _label(names, parts)
        attributes = columns | {
            "view_sizes_": [x.shape[1] for x in arrays],
            "view_names_": np.array(names),
            "view_weights_": weights,
            "_view_columns": layout.columns,
        }
        used = np.flatnonzero(weights).tolist()
        arrays = self._check_used(arrays, labels, used)
        check_not_all_zero(arrays, [labels[i] for i in used])
        return FitInput(arrays, weights[used], attributes)

    def _weigh(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Weights of the views, the largest 1."""
        return check_view_weights(getattr(self, "view_weights", None), names)

    def _read_matrix_to_fit(
        self, X: Any, sizes: Sequence[int] | None
    ) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        """Split one stacked matrix; return its views, and what is said of its columns."""
        probe = BaseEstimator()
        checked = check_array(
            as_native(X),
            dtype=FLOAT_DTYPES,
            ensure_all_finite=False,
            ensure_min_samples=2,
            estimator=self,
            input_name="X",
        )
        validate_data(probe, X, skip_check_array=True)  # names of columns, as scikit-learn says
        return split_views(checked, sizes), vars(probe)

    def _read_parts_to_fit(
        self, parts: Parts, X: Any, y: Any, layout: Layout, names: Sequence[str] | None
    ) -> tuple[list[NDArray[Any]], dict[str, Any]]:
        """Read views that came apart; return them, and what is said of the columns."""
        n_views = len(parts.matrices)
        if layout.sizes is not None:
            check_view_count(n_views, len(layout.sizes), "views says")
        check_same_lengths(parts.matrices)
        if isinstance(X, list | tuple):
            check_view_list(parts.matrices, y)
        labels = label_views(names or default_names(n_views))
        arrays = read_parts(parts, labels, estimator=self, min_samples=2)
        if layout.sizes is not None:
            check_same_sizes(arrays, layout.sizes, labels, "views says")
        columns: dict[str, Any] = {"n_features_in_": sum(x.shape[1] for x in arrays)}
        if parts.column_names is not None:
            columns["feature_names_in_"] = np.array(parts.column_names, dtype=object)
        return arrays, columns

    def _read_to_transform(self, X: Any) -> list[NDArray[Any]]:
        """Read the views of `X` that had a positive weight in fit."""
        names, sizes = self.view_names_.tolist(), self.view_sizes_
        parts = find_parts(X, Layout(names, sizes, self._view_columns))
        labels = _label(names, parts)
        if parts is None:
            X = validate_data(
                self, as_native(X), reset=False, dtype=FLOAT_DTYPES, ensure_all_finite=False
            )
            arrays = split_views(X, sizes)
        else:
            check_view_count(len(parts.matrices), len(sizes), "fitted on")
            arrays = read_parts(parts, labels, sizes=sizes, estimator=self)
            check_same_sizes(arrays, sizes, labels, "fitted on")
            self._check_column_names(parts)
        return self._check_used(arrays, labels, np.flatnonzero(self.view_weights_).tolist())

    def _check_column_names(self, parts: Parts) -> None:
        fitted = getattr(self, "feature_names_in_", None)
        if fitted is None or parts.column_names is None:
            return
        for found, expected in zip(parts.column_names, fitted, strict=True):
            if found != expected:
                raise ValueError(
                    f"X has a column {found!r} where {expected!r} was in fit: the names of the "
                    "columns must be the same, in the same order."
                )

    def _check_used(
        self, arrays: list[NDArray[Any]], labels: list[str], used: list[int]
    ) -> list[NDArray[Any]]:
        """Check the rows of the views that are used, and return those views."""
        allow_missing = self.missing_views == "mask"
        arrays = [arrays[i] for i in used]
        check_rows(arrays, [labels[i] for i in used], allow_missing=allow_missing)
        if allow_missing:
            check_some_view(find_missing(arrays))
        return arrays

    def _publish(self, fitted: dict[str, Any]) -> None:
        """Set the fitted attributes, all at once, whatever interrupts."""
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = self.missing_views == "mask"
        return tags


def _label(names: Sequence[str], parts: Parts | None) -> list[str]:
    if parts is None and len(names) == 1:
        return ["X"]
    return label_views(names)
