"""Means, intervals and paired gains, from the rows of the results file.

What is missing is NaN: a method without rows, one without a number for the protocol, and the
interval of a single split.
"""

from typing import Any

import numpy as np
import pandas as pd
from harness import interval
from numpy.typing import NDArray


class _Lookup:
    """Rows by ensemble, method, protocol and point, of the results that were asked for last."""

    results: pd.DataFrame | None = None

    def __call__(self, results: pd.DataFrame, *key: Any) -> pd.DataFrame:
        if results is not self.results:
            keys = ["ensemble", "method", "protocol"]
            self.rows = results.groupby(keys, observed=True).indices
            self.results, self.found = results, dict[Any, pd.DataFrame]()
        if key not in self.found:
            self.found[key] = self.find(*key)
        return self.found[key]

    def find(self, ensemble: str, method: str, protocol: str, point: float | None) -> pd.DataFrame:
        columns = ("point", "split", "value", "n_train", "n_test", "disjoint")
        rows = np.sort(self.rows.get((ensemble, method, protocol), np.empty(0, np.intp)))[::-1]
        taken = {column: self.results[column].to_numpy()[rows] for column in columns}
        points, numbers = (taken[key].astype(float) for key in ("point", "value"))
        found = (np.isnan(points) if point is None else points == point) & ~np.isnan(numbers)
        splits, last = np.unique(taken["split"][found], return_index=True)
        return pd.DataFrame({c: taken[c][found][last] for c in columns[2:]}, index=splits)


_lookup = _Lookup()


def values(
    results: pd.DataFrame,
    ensemble: str,
    method: str | None,
    protocol: str,
    point: float | None = None,
) -> pd.DataFrame:
    """Rows of one method that have a value, one a split, by split.

    Of a protocol that gives a curve, `point` says which of its points.
    """
    return _lookup(results, ensemble, method, protocol, point)


def _mean_and_half(numbers: NDArray[np.float64], rows: pd.DataFrame) -> tuple[float, float]:
    if not len(numbers):
        return float("nan"), float("nan")
    sizes = float(rows["n_train"].mean()), float(rows["n_test"].mean())
    return float(numbers.mean()), interval(numbers, *sizes, bool(rows["disjoint"].all()))


def mean_and_interval(
    results: pd.DataFrame,
    ensemble: str,
    method: str | None,
    protocol: str,
    point: float | None = None,
) -> tuple[float, float]:
    """Mean over splits and half of its 95 % confidence interval."""
    rows = values(results, ensemble, method, protocol, point)
    return _mean_and_half(rows["value"].to_numpy(float), rows)


def gain(
    results: pd.DataFrame,
    ensemble: str,
    method: str | None,
    reference: str | None,
    protocol: str,
    point: float | None = None,
) -> tuple[float, float]:
    """Mean gain over a reference on the same splits, and half of its 95 % interval."""
    rows = values(results, ensemble, method, protocol, point)
    other = values(results, ensemble, reference, protocol, point)
    _, ours, theirs = np.intersect1d(rows.index, other.index, return_indices=True)
    numbers, references = (part["value"].to_numpy(float) for part in (rows, other))
    return _mean_and_half(numbers[ours] - references[theirs], rows.iloc[ours])


def gain_between(
    results: pd.DataFrame,
    ensemble: str,
    method: str | None,
    reference: str | None,
    protocol: str,
    other_protocol: str,
) -> tuple[float, float]:
    """By how much the gain over a reference is larger under one protocol than another."""
    gains = []
    for name in (protocol, other_protocol):
        ours, theirs = (values(results, ensemble, m, name) for m in (method, reference))
        gains.append(ours["value"] - theirs["value"])
    difference = (gains[0] - gains[1]).dropna()
    rows = values(results, ensemble, method, protocol).loc[difference.index]
    return _mean_and_half(difference, rows)


def best_single(results: pd.DataFrame, ensemble: str, protocol: str = "knn-5") -> str | None:
    """Name of the best of the methods "single: ...", or None where there is none.

    The best is picked by its mean on the test rows themselves, which flatters it: whoever has to
    pick one model without labels gets less.
    """
    names = results.loc[results["ensemble"] == ensemble, "method"].unique()
    means = {
        name: mean_and_interval(results, ensemble, name, protocol)[0]
        for name in names
        if name.startswith("single: ")
    }
    means = {name: mean for name, mean in means.items() if not np.isnan(mean)}
    return max(means, key=lambda name: means[name]) if means else None
