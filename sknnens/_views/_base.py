"""Reading the views of `X` in fit and in transform, for all transformers of the package."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from sknnens._compat import HTMLMixin, output_container, validate_parameter_constraints
from sknnens._files import PortableMixin
from sknnens._views._arrays import Source, join_types, parse
from sknnens._views._blocks import OnRows, transform_blocks
from sknnens._views._cells import is_cell_column
from sknnens._views._checks import (
    check_informative,
    check_not_a_view,
    check_view_list,
    check_view_weights,
    check_views,
)
from sknnens._views._dask import is_dask, transform_dask
from sknnens._views._data import Views
from sknnens._views._frames import wrap_frame
from sknnens._views._layout import Layout, check_layout, column_slices, default_names


@dataclass(frozen=True)
class FitInput:
    """Input of `fit`.

    Attributes
    ----------
    views : Views
        The views of positive weight.
    view_weights : ndarray of shape (n_views,)
        Weights of these views, the largest 1.
    non_negative : list of bool
        Whether no entry of each of these views is negative; NaN is ignored.
    attributes : dict
        Fitted attributes about the input, for all views.
    """

    views: Views
    view_weights: NDArray[np.float64]
    non_negative: list[bool]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        sizes, names = self.attributes["view_sizes_"], self.attributes["view_names_"]
        views = ", ".join(f"{name} ({n})" for name, n in zip(names, sizes, strict=True))
        return f"{len(self.views)} samples, {len(sizes)} view(s): {views}"

    def spread(self, values: Sequence[Any], otherwise: Any) -> list[Any]:
        """Return one entry per view of `X`: a value, or `otherwise` for a view of weight 0."""
        used = iter(values)
        return [next(used) if w > 0 else otherwise for w in self.attributes["view_weights_"]]

    def sample(self, n_rows: int) -> "FitInput":
        """Draw at most `n_rows` samples in random order, always the same ones."""
        rows = np.random.RandomState(0).permutation(len(self.views))[:n_rows]
        return replace(self, views=self.views.take(rows))


def read_to_fit(
    X: Any,
    y: Any = None,
    views: Any = None,
    *,
    weigh: Callable[[Sequence[str]], NDArray[np.float64]] | None = None,
    allow_missing: bool = False,
    drops_rows: bool = False,
    estimator: Any = None,
) -> FitInput:
    """Read, check and describe the views of `X`.

    `weigh` returns the weights of the views, given their names; None makes all 1. See
    `check_views` for `allow_missing` and `drops_rows`.
    """
    source = parse(X, check_layout(views))
    if len(source.views) == 1 and source.layout == Layout():
        check_not_a_view(source.n_rows, y)
    elif isinstance(X, list | tuple) and not source.is_stacked:
        widths = {view.matrix.shape[1] for view in source.views}
        check_view_list(len(source.views), source.n_rows, y, same_sizes=len(widths) == 1)
    arrays = source.split(source.read(estimator=estimator, min_samples=2))
    sizes = [x.shape[1] for x in arrays]
    names = source.names or default_names(len(sizes))
    weights = np.ones(len(names)) if weigh is None else weigh(names)
    attributes = _describe_columns(X, source, names, sizes) | {
        "view_sizes_": sizes,
        "view_names_": np.array(names),
        "view_weights_": weights,
        "_view_columns": source.layout.columns,
    }
    used = np.flatnonzero(weights).tolist()
    arrays, labels = join_types([arrays[i] for i in used]), [source.labels[i] for i in used]
    checked, non_negative = check_views(
        arrays, labels, allow_missing=allow_missing, drops_rows=drops_rows
    )
    check_informative(checked, labels)
    if 1 in checked.sizes:
        warnings.warn(
            f"{labels[checked.sizes.index(1)]} has one column, of which only the sign counts: the "
            "rows of each view are scaled to length 1. Put columns that belong together in one "
            "view.",
            stacklevel=5,
        )
    return FitInput(checked, weights[used], non_negative, attributes)


def _describe_columns(X: Any, source: Source, names: list[str], sizes: list[int]) -> dict[str, Any]:
    """Return attributes about the columns of `X`, and their names in each view.

    They are `n_features_in_`, and `feature_names_in_` if `X` is a frame with names.
    """
    if source.is_stacked:
        probe = BaseEstimator()
        validate_data(probe, X, skip_check_array=True)  # the names that scikit-learn finds
        found = getattr(probe, "feature_names_in_", None)
        slices = column_slices(sizes)
        texts = [None if found is None else found[columns].tolist() for columns in slices]
        return vars(probe) | {"_column_names": texts}
    texts = [view.name_columns(name) for view, name in zip(source.views, names, strict=True)]
    frame = wrap_frame(X)
    if isinstance(frame, nw.DataFrame):
        labels: list[Any] = frame.columns
    elif is_cell_column(X):
        labels = [getattr(X, "name", None)]
    else:
        return {"n_features_in_": sum(sizes), "_column_names": texts}
    columns: dict[str, Any] = {"n_features_in_": len(labels), "_column_names": texts}
    if all(isinstance(label, str) for label in labels):
        columns["feature_names_in_"] = np.array(labels, dtype=object)
    return columns


def read_views(
    X: Any,
    views: Any = None,
    y: Any = None,
    *,
    missing_views: str = "error",
    leaves_out: bool = False,
) -> tuple[Views, list[str]]:
    """Read the views of `X` in any of the input forms, for functions that fit nothing.

    Parameters
    ----------
    X, views
        As in the transformers.
    y : array-like of shape (n_samples,), default=None
        Labels, to recognize a list of models that was split by models.
    missing_views : {"error", "impute", "drop"}, default="error"
        Whether a row may be NaN in all columns of a view; "error" forbids it.
    leaves_out : bool, default=False
        Whether the caller drops the rows that lack a view, so that they may lack all.

    Returns
    -------
    views : Views
        All views.
    names : list of str
        Names of the views.
    """
    allow_missing = missing_views != "error"
    data = read_to_fit(X, y, views, allow_missing=allow_missing, drops_rows=leaves_out)
    return data.views, data.attributes["view_names_"].tolist()


class MultiviewTransformer(
    PortableMixin, HTMLMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Base class of the transformers of several models' features, in any of the input forms.

    A subclass has the parameters `views` and `missing_views`, and may have `view_weights`. A
    view of weight 0 is checked for its width only and not handed on.
    """

    views: Any
    missing_views: str

    def _read_to_fit(self, X: Any, y: Any = None) -> FitInput:
        """Read and check the views; the estimator does not change."""
        return read_to_fit(
            X,
            y,
            self.views,
            weigh=self._weigh,
            allow_missing=self.missing_views == "impute",
            estimator=self,
        )

    def _weigh(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Weights of the views, the largest 1."""
        return check_view_weights(getattr(self, "view_weights", None), names)

    def _read_to_transform(self, X: Any, dtype: np.dtype[Any] | None = None) -> Views:
        """Read and check the views that had a positive weight in fit, in their dtype or another."""
        check_is_fitted(self)
        validate_parameter_constraints(  # parameters may have been set since fit
            self._parameter_constraints,
            self.get_params(deep=False),
            caller_name=type(self).__name__,
        )
        names, columns = self.view_names_.tolist(), self._view_columns
        may_lack = self.missing_views == "impute"
        layout = Layout(names, self.view_sizes_, columns, is_fitted=True, may_lack=may_lack)
        source = parse(X, layout)
        arrays = source.read(estimator=self)
        if source.is_stacked:
            self._check_stacked_names(X)
        arrays = source.split(arrays)
        if not source.is_stacked:
            self._check_column_names(source)
        used = np.flatnonzero(self.view_weights_).tolist()
        checked, _ = check_views(
            join_types([arrays[i] for i in used], dtype),
            [source.labels[i] for i in used],
            allow_missing=may_lack,
        )
        return replace(checked, index=source.index)

    def _transform_views(self, views: Views, on_rows: OnRows | None = None) -> NDArray[Any]:
        """Transform views that are read; a row does not depend on the others.

        `on_rows` may be told of rows that are done, and of the state after them.
        """
        raise NotImplementedError  # every transformer of the package has its own

    def _transform_array(self, X: Any) -> NDArray[Any]:
        """Transform samples to an array, whatever the output is set to."""
        return self._transform_views(self._read_to_transform(X))

    def _transform(
        self, X: Any, out: str | os.PathLike[str] | None = None, resume: bool = False
    ) -> Any:
        """Transform samples; the rows of a Dask collection when it is computed."""
        check_is_fitted(self)
        if resume and out is None:
            raise ValueError("resume=True needs the name of a file: give out.")
        if out is None and is_dask(X):
            return transform_dask(self, X)
        rows, index = transform_blocks(self, X, out, resume)
        return self._label_rows(rows, index)

    def _check_stacked_names(self, X: Any) -> None:
        """Raise ValueError if a stacked matrix has other columns than the views side by side."""
        names = getattr(self, "feature_names_in_", np.array([])).tolist()
        flat = [text for texts in self._column_names for text in texts or [None]]
        if None in flat or names == flat:
            if self.n_features_in_ == sum(self.view_sizes_):
                validate_data(self, X, reset=False, skip_check_array=True)
            return
        frame = wrap_frame(X)
        if not isinstance(frame, nw.DataFrame):
            if sorted(flat) == sorted(names):
                raise ValueError(
                    "X has no names, and the columns of the views were not in their order in fit: "
                    "give a frame, or stack it by stack_views(frame, views)."
                )
        elif frame.columns != flat:
            raise ValueError(
                f"The feature names should match those of the views in fit, {flat[:3]} and so on, "
                f"got {frame.columns[:3]}."
            )

    def _check_column_names(self, source: Source) -> None:
        """Raise ValueError if the columns of a view have other names than in fit."""
        for view, name, label, fitted in zip(
            source.views, self.view_names_, source.labels, self._column_names, strict=True
        ):
            full = view.name_columns(name)
            if fitted is None or full is None or fitted in (view.columns, full):
                continue
            pairs = zip(full, fitted, strict=True)
            found, expected = next(pair for pair in pairs if pair[0] != pair[1])
            raise ValueError(
                f"{label} has a column {found!r}, but it was {expected!r} in fit: the names must "
                "be the same, in the same order."
            )

    def _label_rows(self, rows: NDArray[Any], index: Any) -> Any:
        """Return the rows with these labels, if there are any and the output is to be of pandas.

        scikit-learn takes over the labels of a single frame, and leaves a frame's labels alone.
        """
        if index is None or output_container(self) != "pandas":
            return rows
        return sys.modules["pandas"].DataFrame(rows, index=index)

    def _fitted_html(self) -> str:
        """Return the names, widths and weights of the views as a table, empty before `fit`."""
        if not hasattr(self, "view_names_"):
            return ""
        views = zip(self.view_names_, self.view_sizes_, self.view_weights_, strict=True)
        rows = "".join(
            f"<tr><th>{escape(str(name))}</th><td>{size}</td><td>{weight:.2f}</td></tr>"
            for name, size, weight in views
        )
        return f"<table><tr><th>view</th><th>columns</th><th>weight</th></tr>{rows}</table>"

    def _publish(self, fitted: dict[str, Any]) -> None:
        """Set the fitted attributes all at once, so that an interrupt cannot split them."""
        self.__dict__.pop("feature_names_in_", None)
        self.__dict__.update(fitted)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
