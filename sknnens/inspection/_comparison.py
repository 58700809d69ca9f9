"""Which representation of one's own features has the better neighbours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from time import perf_counter
from typing import Any, Self

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions, validate_params
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed

from sknnens._learner import EnsembleRepresentationLearner
from sknnens._neighbors import nearest, overlap, skewness, to_unit
from sknnens._views._base import read_views
from sknnens._views._checks import find_missing
from sknnens._views._forms import FLOAT_DTYPES, column_slices
from sknnens.fusion import (
    GCCA,
    Average,
    Concatenation,
    ConcatenationPCA,
    ReciprocalRankFusion,
    SingleModel,
)
from sknnens.inspection._plotting import Display
from sknnens.metrics import rankme_score

N_NEAREST = 10  # neighbours that hubness and agreement look at
LEVEL = 0.95  # of the intervals

# Of each view, which samples have it, and their neighbours, where there are enough.
ViewNeighbors = list[tuple[NDArray[np.bool_], NDArray[np.intp] | None]]


class ComparisonDisplay(Display):
    """Measures of several representations of the same samples.

    Made by :func:`compare_representations`.

    Parameters
    ----------
    table : DataFrame of shape (n_methods, n_measures)
        The means over folds, with the limits of the gains.
    scores : DataFrame of shape (n_methods * n_folds, n_measures)
        Every fold's, by method and fold.
    baseline : str
        The method that gains are over.

    Attributes
    ----------
    bars_ : matplotlib Artist
        One bar a method.
    ax_ : matplotlib Axes
        Where they are.
    figure_ : matplotlib Figure
        The figure of the axes.
    """

    bars_: Any

    def __init__(self, table: Any, *, scores: Any, baseline: str) -> None:
        self.table = table
        self.scores = scores
        self.baseline = baseline

    def plot(self, ax: Any = None, *, measure: str | None = None, **kwargs: Any) -> Self:
        """Draw one bar a method, with its limits where it has some.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        measure : str, default=None
            A column of the table. None takes the gain at the middle one of the numbers of
            neighbours, or the agreement where there were no labels.
        **kwargs : dict
            For ``Axes.barh``.

        Returns
        -------
        display : ComparisonDisplay

        Raises
        ------
        ValueError
            If the table has no such column.
        """
        if measure is None:
            gains = [c for c in self.table if c.startswith("gain") and not c.endswith("limit")]
            measure = gains[len(gains) // 2] if gains else "agreement"
        if measure not in self.table:
            raise ValueError(f"measure={measure!r} must be one of {list(self.table)}.")
        ax = self._take_axes(ax)
        limit = f"{measure}_limit"
        error = self.table[limit].to_numpy() if limit in self.table else None
        self.bars_ = ax.barh(
            list(self.table.index), self.table[measure].to_numpy(), **({"xerr": error} | kwargs)
        )
        ax.invert_yaxis()  # the first method at the top
        what = measure.replace("_", " ")
        is_gain = measure.startswith("gain")
        ax.set_xlabel(f"{what} over {self.baseline}" if is_gain else what)
        return self


@validate_params(
    {
        "X": "no_validation",
        "y": ["array-like", None],
        "views": ["array-like", Mapping, None],
        "methods": [Mapping, None],
        "baseline": [str],
        "n_neighbors": ["array-like", Interval(Integral, 1, None, closed="left")],
        "cv": ["cv_object"],
        "max_samples": [
            Interval(Integral, 2, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
            None,
        ],
        "missing_views": [StrOptions({"error", "mask"})],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def compare_representations(
    X: Any,
    y: ArrayLike | None = None,
    *,
    views: Sequence[int] | Mapping[Any, Any] | None = None,
    methods: Mapping[str, Any] | None = None,
    baseline: str = "concatenation",
    n_neighbors: Sequence[int] | int = (1, 5, 20),
    cv: Any = None,
    max_samples: float | None = None,
    missing_views: str = "error",
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ComparisonDisplay:
    """Compare the learner and its rivals on one's own features.

    Every method is fitted, without labels, on all folds but one, and represents the samples of
    that one, in turn. With labels, a sample of the fold left out is classified by the majority
    of its nearest neighbours, by the cosine, among the samples of fit.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        Features of several models, in any form that
        :class:`~sknnens.EnsembleRepresentationLearner` takes.
    y : array-like of shape (n_samples,), default=None
        Classes. No method sees them. None gives the measures that need none.
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    methods : mapping from str to transformer, default=None
        What to compare: the learner, baselines, or a ``Pipeline`` of transformers. They are
        cloned; the parameter `views`, theirs or that of a step, is set, with ``"mask"``
        `missing_views` too, and a `random_state` of None. None compares

        - each model alone (but one that some samples lack), the average, where all widths are
          alike, the concatenation, its half-whitened principal components and GCCA;
        - the learner as it is, and with ``init="whiten"`` and
          ``representation_learning_rate=3e-3``.
    baseline : str, default="concatenation"
        The method that gains are over. The concatenation is added where `methods` lacks it.
    n_neighbors : int or sequence of int, default=(1, 5, 20)
        Numbers of neighbours that classify.
    cv : int, splitter, iterable of splits or None, default=None
        The folds. A number makes so many, in random order and stratified by `y`. None makes
        five with labels; without, one half is fitted and the other one measured.
    max_samples : int or float, default=None
        Draw so many samples, or such a share, at random, without replacement and stratified by
        `y`, before anything else. None takes all.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, samples may lack a view.
    random_state : int, RandomState instance or None, default=None
        For the drawing, the folds and the methods.
    n_jobs : int, default=None
        Number of fits at a time; see scikit-learn's glossary.
    verbose : int, default=0
        Whether joblib says how far it is.

    Returns
    -------
    display : ComparisonDisplay
        Its `table` has a row for each method and the columns

        - ``accuracy_k1`` and so on: share of samples classified right, mean over folds;
        - ``gain_k1``: the difference from the baseline's;
        - ``gain_k1_limit``: half the width of the gain's 95 % interval; NaN for a single fold;
        - ``rankme``, ``hubness``: :func:`sknnens.metrics.rankme_score` and
          :func:`sknnens.metrics.hubness_score` of the samples left out;
        - ``agreement``: share of the 10 nearest neighbours among the samples left out that the
          representation has in common with a view, mean over views (a model alone has all in
          common with itself);
        - ``n_components``: width;
        - ``fit_seconds``, ``transform_seconds``: of a fold; the first has the representations of
          the samples of fit in it.

    Raises
    ------
    TypeError, ValueError
        If something is not as described, such as a fold with fewer samples than neighbours.
    ImportError
        If pandas is not installed.

    See Also
    --------
    sknnens.metrics : The measures that need no labels.

    Notes
    -----
    The interval is that of the corrected resampled t-test [1]_: folds share training samples, so
    that the variance of their differences, taken method by method and fold by fold, is multiplied
    by ``1 / n_folds + n_test / n_train``. Each interval holds by itself; of many methods the best
    one looks better than it is. It spans the folds, not other seeds of a method.

    On 6,000 samples of four models of width 128, the default takes under two minutes of one core,
    nearly all of it for the two learners, or a minute of two with ``n_jobs=2``. Time
    grows with the number of samples and of columns: `max_samples` bounds it, and ``cv=3`` takes
    half the time for wider intervals.

    References
    ----------
    .. [1] C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
       2003.

    Examples
    --------
    >>> from sknnens.fusion import Average, GCCA
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> from sknnens.inspection import compare_representations
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> comparison = compare_representations(
    ...     data.X_train,
    ...     data.y_train,
    ...     views=data.view_sizes,
    ...     methods={"average": Average(), "GCCA": GCCA()},
    ...     max_samples=1000,
    ...     random_state=0,
    ... )
    >>> comparison.table.index.tolist()
    ['average', 'GCCA', 'concatenation']
    """
    pandas = check_pandas_support("compare_representations")
    arrays, names = read_views(X, views, y, missing_views=missing_views)
    labels = None if y is None else _check_labels(y, arrays[0])
    rng = check_random_state(random_state)
    rows = _draw_rows(len(arrays[0]), labels, max_samples, cv, rng)
    if rows is not None:
        arrays = [x[rows] for x in arrays]
        labels = None if labels is None else labels[rows]
    data = _Data.from_views(arrays, names, labels)
    del arrays
    seed = int(rng.randint(np.iinfo(np.int32).max))
    prepared = {
        name: _prepare(name, method, data.views, missing_views, seed)
        for name, method in _complete(methods, baseline, data).items()
    }
    folds = _make_folds(cv, data, seed)
    neighbors = _check_neighbors(n_neighbors, folds, labels is not None)
    of_views = Parallel(n_jobs=n_jobs)(
        delayed(_find_view_neighbors)(data, test) for _, test in folds
    )
    records = Parallel(n_jobs=n_jobs, verbose=verbose)(
        delayed(_evaluate)(name, clone(method), data, fold, of_views[fold[0]], neighbors)
        for name, method in prepared.items()
        for fold in ((i, *split) for i, split in enumerate(folds))
    )
    scores = pandas.DataFrame(records).set_index(["method", "fold"])
    ratio = float(np.mean([len(test) / len(train) for train, test in folds]))
    table = _summarise(scores, baseline, neighbors if y is not None else [], ratio)
    return ComparisonDisplay(table.loc[list(prepared)], scores=scores, baseline=baseline)


@dataclass(frozen=True)
class _Data:
    """The samples that are compared on.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        The views side by side.
    views : dict from str to int
        Their widths.
    labels : ndarray of shape (n_samples,) or None
        Classes, numbered from 0.
    complete : list of bool
        Of each view, whether all samples have it.
    """

    X: NDArray[Any]
    views: dict[str, int]
    labels: NDArray[np.intp] | None
    complete: list[bool]

    @classmethod
    def from_views(
        cls, arrays: list[NDArray[Any]], names: list[str], labels: NDArray[np.intp] | None
    ) -> "_Data":
        """Put views side by side."""
        sizes = {name: x.shape[1] for name, x in zip(names, arrays, strict=True)}
        complete = [not missing.any() for missing in find_missing(arrays).T]
        return cls(np.concatenate(arrays, axis=1), sizes, labels, complete)

    def split(self, rows: NDArray[np.intp]) -> list[NDArray[Any]]:
        """One array a view."""
        X = self.X[rows]
        return [X[:, columns] for columns in column_slices(list(self.views.values()))]


def _check_labels(y: ArrayLike, x: NDArray[Any]) -> NDArray[np.intp]:
    labels = column_or_1d(y)
    check_consistent_length(x, labels)
    check_classification_targets(labels)
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y must hold two classes or more, got {classes.tolist()}.")
    return np.asarray(numbers, dtype=np.intp)


def _check_neighbors(
    n_neighbors: Any, folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]], classify: bool
) -> list[int]:
    """Return the numbers of neighbours in order, of which the folds have enough."""
    values = np.unique(np.atleast_1d(n_neighbors))
    if values.dtype.kind not in "iu" or len(values) == 0 or values[0] < 1:
        raise ValueError(f"n_neighbors must hold positive integers, got {n_neighbors!r}.")
    n_train = min(len(train) for train, _ in folds)
    if classify and values[-1] > n_train:
        raise ValueError(
            f"n_neighbors={values[-1]} must be at most the number of samples that a fold leaves to "
            f"fit, {n_train}."
        )
    n_test = min(len(test) for _, test in folds)
    if n_test <= N_NEAREST:
        raise ValueError(
            f"A fold of cv has {n_test} samples. More than {N_NEAREST} are needed, which hubness "
            "and agreement take as neighbours: give more samples, or fewer folds."
        )
    return [int(k) for k in values]


def _draw_rows(
    n_samples: int,
    labels: NDArray[np.intp] | None,
    max_samples: float | None,
    cv: Any,
    rng: np.random.RandomState,
) -> NDArray[np.intp] | None:
    """Draw which samples to take, in their order, class by class; None takes all."""
    if max_samples is None or max_samples == 1.0 or max_samples >= n_samples:
        return None
    if cv is not None and not isinstance(cv, Integral) and not hasattr(cv, "split"):
        raise ValueError(
            "max_samples draws samples, so that the row numbers in cv are no longer theirs. Give "
            "cv a number or a splitter, or draw the samples first."
        )
    share = max_samples if max_samples < 1 else max_samples / n_samples
    n_drawn = int(round(share * n_samples, 6))  # 29, not 28, of 100 samples at 0.29
    if n_drawn < 2:
        raise ValueError(f"max_samples={max_samples!r} draws {n_drawn} of {n_samples} samples.")
    classes = np.zeros(n_samples, dtype=np.intp) if labels is None else labels
    exact = np.bincount(classes) * n_drawn / n_samples
    counts = exact.astype(np.intp)
    largest = np.argsort(counts - exact, kind="stable")  # of what the numbers are rounded down by
    counts[largest[: n_drawn - counts.sum()]] += 1
    drawn = [
        rng.permutation(np.flatnonzero(classes == c))[:count] for c, count in enumerate(counts)
    ]
    return np.sort(np.concatenate(drawn))


def _make_folds(cv: Any, data: _Data, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Row numbers to fit on and to measure on."""
    if cv is None and data.labels is None:
        cv = ShuffleSplit(1, test_size=0.5, random_state=seed)
    elif cv is None or isinstance(cv, Integral):
        kind = KFold if data.labels is None else StratifiedKFold
        cv = kind(5 if cv is None else int(cv), shuffle=True, random_state=seed)
    splits = cv.split(data.X, data.labels) if hasattr(cv, "split") else cv
    rows = np.arange(len(data.X))  # a split may be a mask
    folds = [(rows[np.asarray(train)], rows[np.asarray(test)]) for train, test in splits]
    if not folds or any(len(train) < 2 or len(test) == 0 for train, test in folds):
        raise ValueError(f"cv={cv!r} leaves nothing to fit on or to measure on.")
    return folds


def _complete(methods: Mapping[str, Any] | None, baseline: str, data: _Data) -> dict[str, Any]:
    """Return the methods by name, with the baseline among them."""
    chosen = _default_methods(data) if methods is None else dict(methods)
    if baseline not in chosen and baseline == "concatenation":
        chosen[baseline] = Concatenation()
    if baseline not in chosen:
        raise ValueError(f"baseline={baseline!r} must be one of the methods, {list(chosen)}.")
    return chosen


def _default_methods(data: _Data) -> dict[str, Any]:
    names = list(data.views)
    alike = len(set(data.views.values())) == 1
    fusions: dict[str, Any] = {"average": Average()} if alike else {}
    fusions |= {
        "concatenation": Concatenation(),
        "PCA, half-whitened": ConcatenationPCA(),
        "GCCA": GCCA(),
        "learner": EnsembleRepresentationLearner(),
        "learner, as in the paper": EnsembleRepresentationLearner(
            init="average" if alike else "pca", view_weights=None, transform_solver="adam"
        ),
    }
    single = {
        f"model {name}" if name in fusions else name: SingleModel(view=v)
        for v, name in enumerate(names)
        if data.complete[v]
    }
    return single | fusions


def _prepare(name: str, method: Any, views: dict[str, int], missing_views: str, seed: int) -> Any:
    """Clone of a method that knows the views and has a seed."""
    if not hasattr(method, "fit") or not hasattr(method, "transform"):
        raise TypeError(
            f"methods[{name!r}] must be a transformer, with fit and transform, got {method!r}."
        )
    if isinstance(
        method.steps[-1][1] if hasattr(method, "steps") else method, ReciprocalRankFusion
    ):
        raise TypeError(f"methods[{name!r}] gives distances; representations are compared here.")
    model = clone(method)
    settings: dict[str, Any] = {}
    for key, value in model.get_params().items():
        last = key.rpartition("__")[2]
        if last == "views":
            settings[key] = views
        elif last == "missing_views" and missing_views == "mask":
            settings[key] = missing_views
        elif last == "random_state" and value is None:
            settings[key] = seed
    return model.set_params(**settings)


def _evaluate(
    name: str,
    method: Any,
    data: _Data,
    fold: tuple[int, NDArray[np.intp], NDArray[np.intp]],
    view_neighbors: ViewNeighbors,
    neighbors: list[int],
) -> dict[str, Any]:
    """Measure one method on one fold: its number, the samples to fit, and those left out."""
    number, train, test = fold
    begin = perf_counter()
    reference = method.fit_transform(data.X[train])
    fitted = perf_counter()
    queries = method.transform(data.X[test])
    end = perf_counter()
    what = f"what methods[{name!r}] gives"
    reference, queries = (
        check_array(x, dtype=FLOAT_DTYPES, input_name=what) for x in (reference, queries)
    )
    record: dict[str, Any] = {"method": name, "fold": number}
    own = _Neighborhoods(to_unit(queries))
    if own.directed.sum() <= N_NEAREST:
        raise ValueError(
            f"{what} is zero but for {own.directed.sum()} of the {len(test)} samples of a fold. "
            f"More than {N_NEAREST} are needed."
        )
    if data.labels is not None:
        found = nearest(own.units, to_unit(reference), neighbors[-1])
        classes = data.labels[train][found]
        for k in neighbors:
            hits = _vote(classes[:, :k], data.labels.max() + 1) == data.labels[test]
            record[f"accuracy_k{k}"] = hits.mean()
    return record | {
        "rankme": rankme_score(queries),
        "hubness": own.hubness(),
        "agreement": _mean_agreement(own, data, test, view_neighbors),
        "n_components": queries.shape[1],
        "fit_seconds": fitted - begin,
        "transform_seconds": end - fitted,
    }


def _vote(classes: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """Return the most frequent class of each row of shape (n, k), of equals the first."""
    counts = np.zeros((len(classes), n_classes), dtype=np.int32)
    for column in classes.T:
        counts[np.arange(len(classes)), column] += 1
    return np.asarray(counts.argmax(axis=1))  # as KNeighborsClassifier


class _Neighborhoods:
    """The nearest neighbours of rows among themselves, found once for each choice of rows.

    Parameters
    ----------
    units : ndarray of shape (n_samples, d)
        Rows of length 1, or zero; the latter have no neighbours.
    """

    def __init__(self, units: NDArray[Any]) -> None:
        self.units = units
        self.directed: NDArray[np.bool_] = np.asarray(units.any(axis=1))
        self._found: dict[bytes, NDArray[np.intp]] = {}

    def among(self, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Neighbours of the rows that are kept, by their numbers among these."""
        key = kept.tobytes()
        if key not in self._found:
            self._found[key] = nearest(self.units[kept], None, N_NEAREST)
        return self._found[key]

    def hubness(self) -> float:
        """Return what `hubness_score` does."""
        found = self.among(self.directed)
        return skewness(np.bincount(found.ravel(), minlength=len(found)))


def _find_view_neighbors(data: _Data, rows: NDArray[np.intp]) -> ViewNeighbors:
    """Neighbours within each view, once for all methods."""
    found: ViewNeighbors = []
    for view in data.split(rows):
        own = _Neighborhoods(to_unit(view))
        enough = own.directed.sum() > N_NEAREST
        found.append((own.directed, own.among(own.directed) if enough else None))
    return found


def _mean_agreement(
    own: _Neighborhoods, data: _Data, rows: NDArray[np.intp], view_neighbors: ViewNeighbors
) -> float:
    """Mean over views of the share of neighbours in common; NaN where too few samples have any.

    Of a view, those samples count that have it.
    """
    shares = []
    for v, (directed, found) in enumerate(view_neighbors):
        kept = directed & own.directed
        if kept.sum() <= N_NEAREST:
            continue
        if found is None or not np.array_equal(kept, directed):  # the method has no direction there
            found = nearest(to_unit(data.split(rows)[v])[kept], None, N_NEAREST)
        shares.append(overlap(own.among(kept), found))
    return float(np.mean(shares)) if shares else np.nan


def _summarise(scores: Any, baseline: str, neighbors: list[int], ratio: float) -> Any:
    """Means over folds, and the gains with their limits."""
    means = scores.groupby(level="method", sort=False).mean()
    parts = {}
    for k in neighbors:
        by_fold = scores[f"accuracy_k{k}"].unstack("fold")  # (n_methods, n_folds)
        gains = by_fold - by_fold.loc[baseline]
        parts[f"accuracy_k{k}"] = means[f"accuracy_k{k}"]
        parts[f"gain_k{k}"] = gains.mean(axis=1)
        parts[f"gain_k{k}_limit"] = gains.apply(lambda x: corrected_limit(x, ratio), axis=1)
    others = means[[c for c in means if not c.startswith("accuracy")]]
    table = others.assign(**parts)[[*parts, *others]]
    return table.astype({"n_components": int})


def corrected_limit(differences: ArrayLike, ratio: float) -> float:
    """Half the width of the interval of a mean over folds that share training samples.

    Parameters
    ----------
    differences : array-like of shape (n_folds,)
        One a fold.
    ratio : float
        Samples measured on by samples fitted on.

    Returns
    -------
    limit : float
        NaN for a single fold.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return np.nan
    variance = values.var(ddof=1) * (1 / len(values) + ratio)
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.sqrt(variance))
