"""What all transformers of the package share: reading the views of `X`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from sknnens._views._checks import (
    check_not_all_zero,
    check_rows,
    check_some_view,
    check_view_count,
    check_view_list,
    check_view_weights,
    find_missing,
)
from sknnens._views._forms import (
    FLOAT_DTYPES,
    Layout,
    as_native,
    check_form,
    check_layout,
    column_slices,
    default_names,
    find_views,
    join_types,
    label_views,
    prepare_views,
    read_matrices,
    split_views,
)
from sknnens._views._frames import View


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

    _leaves_out = False  # rows that lack a view, so that they may lack all
    _missing_hint: str | None = None  # see `check_rows`

    def _read_to_fit(self, X: Any, y: Any = None) -> FitInput:
        """Read and check the views; the estimator is not changed."""
        layout = check_layout(self.views)
        check_form(X, layout)
        views = find_views(X, layout)
        if views is None:
            arrays, names, columns = self._read_matrix_to_fit(X, layout)
        else:
            arrays, names, columns = self._read_views_to_fit(X, y, layout, views)
        weights = self._weigh(names)
        attributes = columns | {
            "view_sizes_": [x.shape[1] for x in arrays],
            "view_names_": np.array(names),
            "view_weights_": weights,
            "_view_columns": layout.columns,
        }
        labels = _label(names, views)
        used = np.flatnonzero(weights).tolist()
        arrays = self._check_used(arrays, labels, used)
        check_not_all_zero(arrays, [labels[i] for i in used])
        return FitInput(arrays, weights[used], attributes)

    def _weigh(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Weights of the views, the largest 1."""
        return check_view_weights(getattr(self, "view_weights", None), names)

    def _read_matrix_to_fit(
        self, X: Any, layout: Layout
    ) -> tuple[list[NDArray[Any]], list[str], dict[str, Any]]:
        """Split one stacked matrix; return its views, their names, and those of its columns."""
        checked = check_array(
            as_native(X),
            dtype=FLOAT_DTYPES,
            ensure_all_finite=False,
            ensure_min_samples=2,
            estimator=self,
            input_name="X",
        )
        arrays = split_views(checked, layout.sizes)
        probe = BaseEstimator()
        validate_data(probe, X, skip_check_array=True)  # names of columns, as scikit-learn says
        return arrays, layout.names or default_names(len(arrays)), vars(probe)

    def _read_views_to_fit(
        self, X: Any, y: Any, layout: Layout, views: list[View]
    ) -> tuple[list[NDArray[Any]], list[str], dict[str, Any]]:
        """Read views that came apart; return them, their names, and those of their columns."""
        n_views = len(views)
        if layout.sizes is not None:
            check_view_count(X, n_views, len(layout.sizes), "views says")
        given = [view.name for view in views if view.name is not None]
        names = given or layout.names or default_names(n_views)
        labels = label_views(names)
        matrices = prepare_views(views, labels)
        if isinstance(X, list | tuple):
            check_view_list(matrices, y)
        arrays = read_matrices(
            matrices, labels, layout.sizes, "views says", estimator=self, min_samples=2
        )
        columns: dict[str, Any] = {"n_features_in_": sum(x.shape[1] for x in arrays)}
        texts = [view.name_columns(name) for view, name in zip(views, names, strict=True)]
        if None not in texts:
            flat = [text for own in texts for text in own or ()]
            columns["feature_names_in_"] = np.array(flat, dtype=object)
        return arrays, names, columns

    def _read_to_transform(self, X: Any) -> list[NDArray[Any]]:
        """Read the views of `X` that had a positive weight in fit."""
        check_is_fitted(self)
        validate_parameter_constraints(  # some may have been set since fit
            self._parameter_constraints,
            {name: getattr(self, name) for name in self._parameter_constraints},
            caller_name=type(self).__name__,
        )
        names, sizes = self.view_names_.tolist(), self.view_sizes_
        views = find_views(X, Layout(names, columns=self._view_columns))
        labels = _label(names, views)
        if views is None:
            checked = check_array(
                as_native(X),
                dtype=FLOAT_DTYPES,
                ensure_all_finite=False,
                estimator=self,
                input_name="X",
            )
            validate_data(self, X, reset=False, skip_check_array=True)
            arrays = split_views(checked, sizes)
        else:
            check_view_count(X, len(views), len(sizes), "fitted on")
            matrices = prepare_views(views, labels)
            arrays = read_matrices(matrices, labels, sizes, "fitted on", estimator=self)
            self._check_column_names(views, labels)
        return self._check_used(arrays, labels, np.flatnonzero(self.view_weights_).tolist())

    def _check_column_names(self, views: list[View], labels: list[str]) -> None:
        """Raise ValueError where a view's columns have other names than in fit."""
        if not hasattr(self, "feature_names_in_"):
            return
        slices = column_slices(self.view_sizes_)
        for view, name, label, columns in zip(views, self.view_names_, labels, slices, strict=True):
            fitted = self.feature_names_in_[columns].tolist()
            full = view.name_columns(name)
            if view.columns is None or full is None or fitted in (view.columns, full):
                continue
            pairs = zip(full, fitted, strict=True)
            found, expected = next(pair for pair in pairs if pair[0] != pair[1])
            raise ValueError(
                f"{label} has a column {found!r} where {expected!r} was in fit: the names must be "
                "the same, in the same order."
            )

    def _check_used(
        self, arrays: list[NDArray[Any]], labels: list[str], used: list[int]
    ) -> list[NDArray[Any]]:
        """Check the rows of the views that are used, and return those views in one type."""
        arrays, labels = join_types([arrays[i] for i in used]), [labels[i] for i in used]
        allow_missing = self.missing_views == "mask"
        check_rows(arrays, labels, allow_missing=allow_missing, hint=self._missing_hint)
        if allow_missing and not self._leaves_out:
            check_some_view(find_missing(arrays), labels)
        return arrays

    def _publish(self, fitted: dict[str, Any]) -> None:
        """Set the fitted attributes, all at once, whatever interrupts."""
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _label(names: Sequence[str], views: Sequence[View] | None) -> list[str]:
    """Say what messages call the views: "X" where it is the one view."""
    if views is None and list(names) == default_names(1):
        return ["X"]
    return label_views(names)


class ViewReader(ViewsTransformer):
    """Reads views for functions that fit nothing themselves."""

    def __init__(self, views: Any, missing_views: str) -> None:
        self.views = views
        self.missing_views = missing_views


class CompleteViewReader(ViewReader):
    """The same, for functions that leave out the rows that lack a view."""

    _leaves_out = True
    _missing_hint = " missing_views='mask' leaves such rows out."


def read_views(
    X: Any,
    views: Any = None,
    y: Any = None,
    *,
    missing_views: str = "error",
    leaves_out: bool = False,
) -> tuple[list[NDArray[Any]], list[str]]:
    """Read the views of `X` in any of the input forms.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        As given by the user.
    views : sequence of int, or mapping, default=None
        As the transformers take it.
    y : array-like of shape (n_samples,), default=None
        Labels, to tell a list of models that was split by its models.
    missing_views : {"error", "mask"}, default="error"
        Whether a row may be NaN in all columns of a view.
    leaves_out : bool, default=False
        Whether the caller leaves out the rows that lack a view, so that they may lack all.

    Returns
    -------
    arrays : list of ndarray of shape (n_samples, n_features_v)
        One a view, all float32 or all float64.
    names : list of str
        Names of the views.
    """
    reader = CompleteViewReader if leaves_out else ViewReader
    data = reader(views, missing_views)._read_to_fit(X, y)
    return data.arrays, data.attributes["view_names_"].tolist()
