"""Comparison of representations by their nearest neighbors, on the user's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from time import perf_counter
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed

from sknnens import fusion
from sknnens._compat import Interval, RealNotInt, StrOptions, check_pandas_support, validate_params
from sknnens._neighbors import nearest, occurrence_skewness, overlap, to_unit
from sknnens._progress import ProgressBar
from sknnens._views import FLOAT_DTYPES, Views, column_slices, is_empty, read_views, unit_rows
from sknnens.inspection._displays import ComparisonDisplay
from sknnens.metrics import rankme_score

N_NEAREST = 10  # neighbors of hubness and agreement
LEVEL = 0.95  # of the intervals

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows to fit on, rows to measure on
# per view: which samples have a direction in it, and their neighbors if there are enough
ViewNeighbors = list[tuple[NDArray[np.bool_], NDArray[np.intp] | None]]


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
        "missing_views": [StrOptions({"error", "impute"})],
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
    verbose: bool | int = False,
) -> ComparisonDisplay:
    """Compare the learner with baselines on the user's own features.

    The comparison is a cross-validation. Every method is fitted without labels on all folds but
    one, and transforms the samples of the remaining fold. With labels, each of these samples is
    classified by the majority of its nearest neighbors, by cosine similarity, among the samples of
    the fit.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
        Features of several models, in any form that
        :class:`~sknnens.EnsembleRepresentationLearner` accepts.
    y : array-like of shape (n_samples,), default=None
        Classes, which no method sees. If None, only label-free measures are computed.
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    methods : mapping from str to transformer, default=None
        Transformers to compare: the learner, fusions, or any ``Pipeline``. They are cloned, and
        their parameters (or their steps') `views`, `missing_views` and, if None, `random_state`
        are set. If None, these are compared:

        - each single model that all samples have;
        - :class:`~sknnens.fusion.Average`, if all views have the same width,
          :class:`~sknnens.fusion.Concatenation`, the half-whitened
          :class:`~sknnens.fusion.ConcatenationPCA`, :class:`~sknnens.fusion.GCCA` and
          :class:`~sknnens.fusion.NeighborhoodProjection`;
        - the learner with its defaults;
        - the learner with the paper's settings: ``init="average"`` (``"pca"`` if widths differ),
          ``view_weights=None``, ``transform_solver="adam"`` and ``transform_max_iter=50``.
    baseline : str, default="concatenation"
        Name of the method that gains are relative to. The concatenation is added if `methods`
        lacks it.
    n_neighbors : int or sequence of int, default=(1, 5, 20)
        Numbers of neighbors to classify with.
    cv : int, splitter, iterable of splits or None, default=None
        The folds. A number is the number of shuffled folds, stratified by `y`. None is five folds
        with labels; without labels, it is a single split into halves.
    max_samples : int or float, default=None
        Number or share of samples to draw at random first, without replacement and stratified by
        `y`. If None, all are used.
    missing_views : {"error", "impute"}, default="error"
        Set to ``"impute"`` if samples may lack a view.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing, the folds and the methods.
    n_jobs : int, default=None
        Number of parallel fits; see scikit-learn's glossary.
    verbose : bool or int, default=False
        Whether to show progress on standard error.

    Returns
    -------
    display : ComparisonDisplay
        Its `table` has one row per method and the columns

        - ``accuracy_k1`` and so on: mean accuracy over folds;
        - ``gain_k1``: difference from the accuracy of the baseline;
        - ``gain_k1_limit``: half the width of the 95 % interval of the gain; NaN for a single
          fold;
        - ``rankme``, ``hubness``: :func:`sknnens.metrics.rankme_score` and
          :func:`sknnens.metrics.hubness_score` of the samples left out;
        - ``agreement``: share of the 10 nearest neighbors that the representation and a view have
          in common among the samples left out, averaged over views (a single model fully agrees
          with itself);
        - ``n_components``: width;
        - ``fit_seconds``, ``transform_seconds``: time per fold; the first includes the transform
          of the training samples.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or if a fold has fewer samples than neighbors.
    ImportError
        If pandas is not installed.

    See Also
    --------
    sknnens.metrics : Label-free measures.

    Notes
    -----
    The interval is based on the corrected resampled t-test [1]_: folds share training samples, so
    the variance of the gains over folds is multiplied by ``1 / n_folds + n_test / n_train``. The
    intervals are not corrected for multiple comparisons, so the best of many methods looks better
    than it is. They do not include the variation over the random seeds of a method.

    On 6,000 samples of four models of width 128, the default takes under two minutes on one core,
    nearly all of it for the two learners, or a minute on two cores with ``n_jobs=2``. The time
    grows with the number of samples and columns: `max_samples` bounds it, and ``cv=3`` halves it
    at the cost of wider intervals.

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
    ...     random_state=0,
    ... )
    >>> comparison.table.index.tolist()
    ['average', 'GCCA', 'concatenation']
    """
    pandas = check_pandas_support("compare_representations")
    rng = check_random_state(random_state)
    read, names = read_views(X, views, y, missing_views=missing_views)
    labels = None if y is None else _check_labels(y, read.arrays[0])
    rows = _draw_rows(len(read), labels, max_samples, cv, rng)
    if rows is not None:
        read, labels = read.take(rows), None if labels is None else labels[rows]
    data = _Data.side_by_side(read, names, labels)
    del read  # one copy of the features is enough
    seed = int(rng.randint(np.iinfo(np.int32).max))
    prepared = {
        name: _prepare(name, method, data, missing_views, seed)
        for name, method in _complete(methods, baseline, data).items()
    }
    folds = _make_folds(cv, data, seed)
    neighbors = _check_neighbors(n_neighbors, folds, data.labels is not None)
    of_views = Parallel(n_jobs=n_jobs)(
        delayed(_find_view_neighbors)(data, test) for _, test in folds
    )
    done = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_evaluate)(name, clone(method), data, folds[i], of_views[i], neighbors)
        for name, method in prepared.items()
        for i in range(len(folds))
    )
    records = []
    with ProgressBar(len(prepared) * len(folds), "compare", "fit", bool(verbose)) as progress:
        for name in prepared:
            for _ in folds:
                records.append(next(done))
                progress.update(1, name)
    keys = pandas.MultiIndex.from_product([prepared, range(len(folds))], names=["method", "fold"])
    scores = pandas.DataFrame(records, keys)
    ratio = float(np.mean([len(test) / len(train) for train, test in folds]))
    table = _summarize(scores, baseline, neighbors if data.labels is not None else [], ratio)
    return ComparisonDisplay(table, scores=scores, baseline=baseline)


@dataclass(frozen=True)
class _Data:
    """Samples to compare on."""

    X: NDArray[Any]  # the views side by side
    views: Views  # slices of X
    names: list[str]
    labels: NDArray[np.intp] | None  # classes, numbered from 0

    @classmethod
    def side_by_side(
        cls, views: Views, names: list[str], labels: NDArray[np.intp] | None
    ) -> "_Data":
        """Stack the views."""
        X = np.concatenate(views.arrays, axis=1)
        arrays = [X[:, columns] for columns in column_slices(views.sizes)]
        return cls(X, Views(arrays, views.norms), names, labels)


def _check_labels(y: ArrayLike, x: NDArray[Any]) -> NDArray[np.intp]:
    """Return the classes, numbered from 0."""
    labels = column_or_1d(y)
    check_consistent_length(x, labels)
    listed = y if isinstance(y, list | tuple) else labels  # NumPy makes texts of NaN among texts
    masked = np.ma.getmaskarray(y) if isinstance(y, np.ma.MaskedArray) else np.zeros(len(labels))
    missing = [row for row, label in enumerate(listed) if is_empty(label) or masked[row].any()]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + ", ..." * (len(missing) > 5)
        raise ValueError(
            f"y has no label in {len(missing)} of {len(labels)} rows ({shown}): leave these "
            "samples out of X and y, or measure without labels, y=None."
        )
    try:
        classes, numbers = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(f"y must hold labels of one type, got {kinds}.") from error
    check_classification_targets(labels)
    if len(classes) < 2:
        raise ValueError(f"y must hold two classes or more, got {classes.tolist()}.")
    return np.asarray(numbers, dtype=np.intp)


def _check_neighbors(n_neighbors: Any, folds: list[Fold], classify: bool) -> list[int]:
    """Return the numbers of neighbors in ascending order, if the folds have enough samples."""
    values = np.unique(np.atleast_1d(n_neighbors))
    if values.dtype.kind not in "iu" or len(values) == 0 or values[0] < 1:
        raise ValueError(f"n_neighbors must hold positive integers, got {n_neighbors!r}.")
    n_train, n_test = (min(len(fold[part]) for fold in folds) for part in (0, 1))
    if classify and values[-1] > n_train:
        raise ValueError(
            f"n_neighbors={values[-1]} must be at most the number of samples that a fold leaves to "
            f"fit, {n_train}."
        )
    if n_test <= N_NEAREST:
        raise ValueError(
            f"A fold of cv has {n_test} samples, but hubness and agreement need more than "
            f"{N_NEAREST}: pass more samples, or fewer folds."
        )
    return [int(k) for k in values]


def _draw_rows(
    n_samples: int,
    labels: NDArray[np.intp] | None,
    max_samples: float | None,
    cv: Any,
    rng: np.random.RandomState,
) -> NDArray[np.intp] | None:
    """Draw samples, stratified and in ascending order; None takes all."""
    if max_samples is None or max_samples == 1.0 or max_samples >= n_samples:
        return None
    if cv is not None and not isinstance(cv, Integral) and not hasattr(cv, "split"):
        raise ValueError(
            "max_samples draws samples, so the row numbers in cv no longer match. Set cv to a "
            "number or a splitter, or draw the samples first."
        )
    share = max_samples if max_samples < 1 else max_samples / n_samples
    n_drawn = int(round(share * n_samples, 6))  # 29, not 28, of 100 samples at 0.29
    if n_drawn < 2:
        raise ValueError(f"max_samples={max_samples!r} draws {n_drawn} of {n_samples} samples.")
    classes = np.zeros(n_samples, dtype=np.intp) if labels is None else labels
    exact = np.bincount(classes) * n_drawn / n_samples
    counts = exact.astype(np.intp)
    largest = np.argsort(counts - exact, kind="stable")  # remainders, in descending order
    counts[largest[: n_drawn - counts.sum()]] += 1
    drawn = [
        rng.permutation(np.flatnonzero(classes == c))[:count] for c, count in enumerate(counts)
    ]
    return np.sort(np.concatenate(drawn))


def _make_folds(cv: Any, data: _Data, seed: int) -> list[Fold]:
    """Row numbers of each fold."""
    if cv is None and data.labels is None:
        cv = ShuffleSplit(1, test_size=0.5, random_state=seed)
    elif cv is None or isinstance(cv, Integral):
        kind = KFold if data.labels is None else StratifiedKFold
        cv = kind(5 if cv is None else int(cv), shuffle=True, random_state=seed)
    rows = np.arange(len(data.X))  # a split may be a mask
    try:
        splits = cv.split(data.X, data.labels) if hasattr(cv, "split") else cv
        folds = [(rows[np.asarray(train)], rows[np.asarray(test)]) for train, test in splits]
    except ValueError as error:
        if not hasattr(cv, "split") or "groups" not in str(error):
            raise
        raise ValueError(
            f"cv={cv!r} needs groups: pass its splits, cv=list(splitter.split(X, y, groups))."
        ) from error
    if not folds or any(len(train) < 2 or len(test) == 0 for train, test in folds):
        raise ValueError(f"cv={cv!r} leaves nothing to fit on or to measure on.")
    return folds


def _complete(methods: Mapping[str, Any] | None, baseline: str, data: _Data) -> dict[str, Any]:
    """Return the methods by name, including the baseline."""
    chosen = _default_methods(data) if methods is None else dict(methods)
    if baseline not in chosen and baseline == "concatenation":
        chosen[baseline] = fusion.Concatenation()
    if baseline not in chosen:
        raise ValueError(f"baseline={baseline!r} must be one of the methods, {list(chosen)}.")
    return chosen


def _default_methods(data: _Data) -> dict[str, Any]:
    """Single models, fusions, and the learner with its defaults and the paper's settings."""
    from sknnens._learner import EnsembleRepresentationLearner  # imports torch

    same_width = len(set(data.views.sizes)) == 1
    fusions: dict[str, Any] = {"average": fusion.Average()} if same_width else {}
    fusions |= {
        "concatenation": fusion.Concatenation(),
        "PCA, half-whitened": fusion.ConcatenationPCA(),
        "GCCA": fusion.GCCA(),
        "neighborhood projection": fusion.NeighborhoodProjection(),
        "learner": EnsembleRepresentationLearner(),
        "learner (paper settings)": EnsembleRepresentationLearner(
            init="average" if same_width else "pca",
            view_weights=None,
            transform_solver="adam",
            transform_max_iter=50,
        ),
    }
    complete = np.all(data.views.present, axis=0).tolist()
    single = {
        f"model {name}" if name in fusions else name: fusion.SingleModel(view=v)
        for v, name in enumerate(data.names)
        if complete[v]
    }
    return single | fusions


def _prepare(name: str, method: Any, data: _Data, missing_views: str, seed: int) -> Any:
    """Clone of a method with its views, missing views and seed set."""
    if not hasattr(method, "fit") or not hasattr(method, "transform"):
        raise TypeError(
            f"methods[{name!r}] must be a transformer, with fit and transform, got {method!r}."
        )
    model = clone(method)
    settings: dict[str, Any] = {}
    for key, value in model.get_params().items():
        parameter = key.rpartition("__")[2]
        if parameter == "views":
            settings[key] = dict(zip(data.names, data.views.sizes, strict=True))
        elif parameter == "missing_views" and missing_views == "impute":
            settings[key] = missing_views
        elif parameter == "random_state" and value is None:
            settings[key] = seed
    return model.set_params(**settings)


def _evaluate(
    name: str, method: Any, data: _Data, fold: Fold, of_views: ViewNeighbors, neighbors: list[int]
) -> dict[str, Any]:
    """Measures of one method on one fold."""
    train, test = fold
    begin = perf_counter()
    reference = method.fit_transform(data.X[train])
    fitted = perf_counter()
    queries = method.transform(data.X[test])
    end = perf_counter()
    output = f"methods[{name!r}].transform(X)"
    reference, queries = (
        check_array(x, dtype=FLOAT_DTYPES, input_name=output) for x in (reference, queries)
    )
    hoods = _Neighborhoods(to_unit(queries))
    n_directed = hoods.directed.sum()
    if n_directed <= N_NEAREST:
        raise ValueError(
            f"{output} is zero for all but {n_directed} of the {len(test)} samples of a fold. "
            f"More than {N_NEAREST} are needed."
        )
    record: dict[str, Any] = {}
    if data.labels is not None:
        found = nearest(hoods.units, to_unit(reference), neighbors[-1])
        classes = data.labels[train][found]
        for k in neighbors:
            hits = _vote(classes[:, :k], data.labels.max() + 1) == data.labels[test]
            record[f"accuracy_k{k}"] = hits.mean()
    return record | {
        "rankme": rankme_score(queries),
        "hubness": occurrence_skewness(hoods.among(hoods.directed), n_directed),
        "agreement": _mean_agreement(hoods, data.views, test, of_views),
        "n_components": queries.shape[1],
        "fit_seconds": fitted - begin,
        "transform_seconds": end - fitted,
    }


def _vote(classes: NDArray[np.intp], n_classes: int) -> NDArray[np.intp]:
    """Most frequent class of each row, shape (n, k); ties go to the first class."""
    counts = np.zeros((len(classes), n_classes), dtype=np.int32)
    for column in classes.T:
        counts[np.arange(len(classes)), column] += 1
    return np.asarray(counts.argmax(axis=1))  # as KNeighborsClassifier


class _Neighborhoods:
    """Nearest neighbors among unit rows, computed once per selection of rows."""

    def __init__(self, units: NDArray[Any]) -> None:
        self.units = units
        self.directed: NDArray[np.bool_] = np.asarray(units.any(axis=1))  # zero rows are not
        self._found: dict[bytes, NDArray[np.intp]] = {}

    def among(self, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Neighbors of the selected rows, as row numbers within the selection."""
        key = kept.tobytes()
        if key not in self._found:
            self._found[key] = nearest(self.units[kept], None, N_NEAREST)
        return self._found[key]


def _find_view_neighbors(data: _Data, rows: NDArray[np.intp]) -> ViewNeighbors:
    """Neighbors within each view, computed once for all methods."""
    found: ViewNeighbors = []
    for units in data.views.take(rows).units():
        directed: NDArray[np.bool_] = np.asarray(units.any(axis=1))
        enough = directed.sum() > N_NEAREST
        found.append((directed, nearest(units[directed], None, N_NEAREST) if enough else None))
    return found


def _mean_agreement(
    hoods: _Neighborhoods, views: Views, rows: NDArray[np.intp], of_views: ViewNeighbors
) -> float:
    """Share of common neighbors, averaged over views; NaN if too few samples have neighbors."""
    shares = []
    for x, norms, (directed, found) in zip(views.arrays, views.norms, of_views, strict=True):
        kept = directed & hoods.directed  # only samples that have the view count for it
        if kept.sum() <= N_NEAREST:
            continue
        if found is None or not np.array_equal(kept, directed):
            own = rows[kept]
            found = nearest(unit_rows(x[own], norms[own]), None, N_NEAREST)
        shares.append(overlap(hoods.among(kept), found))
    return float(np.mean(shares)) if shares else np.nan


def _summarize(scores: Any, baseline: str, neighbors: list[int], ratio: float) -> Any:
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

    `ratio` is the number of measured samples divided by the number of fitted ones. A single fold
    gives NaN.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return np.nan
    variance = values.var(ddof=1) * (1 / len(values) + ratio)
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.sqrt(variance))
