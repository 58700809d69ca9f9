"""The comparison of representations on one's own features."""

import tracemalloc
from typing import ClassVar

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from conftest import make_views
from forms import in_every_form
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from sknnens import EnsembleRepresentationLearner, metrics, stack_views
from sknnens._neighbors import nearest
from sknnens.fusion import GCCA, Average, Concatenation, ConcatenationPCA, SingleModel
from sknnens.inspection import compare_representations
from sknnens.inspection._comparison import _draw_rows, corrected_limit


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def planted():
    """Three classes, which the first view separates and the second one does not."""
    rng = np.random.RandomState(0)
    y = np.arange(120) % 3
    good = np.eye(3)[y] @ rng.randn(3, 8) + 0.1 * rng.randn(120, 8)
    return {"good": good, "noise": 5 * rng.randn(120, 8)}, np.array(["a", "b", "c"])[y]


FAST = {
    "good": SingleModel(view="good"),
    "noise": SingleModel(view="noise"),
    "concatenation": Concatenation(),
}


def test_the_planted_best_is_best(planted):
    X, y = planted
    comparison = compare_representations(X, y, methods=FAST, n_neighbors=(1, 5), random_state=0)
    table = comparison.table
    assert table.index.tolist() == list(FAST)
    for k in (1, 5):
        assert table[f"accuracy_k{k}"].idxmax() == "good"
        assert table.loc["good", f"accuracy_k{k}"] > 0.95
        assert table.loc["noise", f"accuracy_k{k}"] < 0.6  # a third is chance
        gain, limit = table[f"gain_k{k}"], table[f"gain_k{k}_limit"]
        assert gain["concatenation"] == limit["concatenation"] == 0
        assert gain["noise"] + limit["noise"] < 0
    assert table["n_components"].tolist() == [8, 8, 16]


def test_accuracies_are_those_of_scikit_learn(planted):
    X, y = planted
    stacked, views = stack_views(X)
    cv = StratifiedKFold(4)
    found = compare_representations(
        stacked, y, views=views, methods=FAST, n_neighbors=[4, 1], cv=cv, baseline="noise"
    )
    for name, method in FAST.items():
        for k in (1, 4):  # with four, classes tie
            knn = KNeighborsClassifier(k, metric="cosine")
            model = make_pipeline(clone(method).set_params(views=views), knn)
            expected = cross_val_score(model, stacked, y, cv=cv)
            assert_allclose(found.scores.loc[name, f"accuracy_k{k}"], expected)
            assert_allclose(found.table.loc[name, f"accuracy_k{k}"], expected.mean())
            if name == "good":
                other = found.scores.loc["noise", f"accuracy_k{k}"]
                gains = expected - other.to_numpy()
                assert_allclose(found.table.loc[name, f"gain_k{k}"], gains.mean())
                limit = corrected_limit(gains, 30 / 90)
                assert_allclose(found.table.loc[name, f"gain_k{k}_limit"], limit)


def test_label_free_columns_are_those_of_the_metrics(planted):
    X, _ = planted
    stacked, views = stack_views(X)
    methods = {"noise": SingleModel(view="noise"), "PCA": ConcatenationPCA(n_components=3)}
    cv = KFold(2)
    found = compare_representations(X, methods=methods, cv=cv, baseline="PCA", random_state=0)
    assert found.table.index.tolist() == list(methods)
    assert not [c for c in found.table if c.startswith(("accuracy", "gain"))]
    for fold, (train, test) in enumerate(cv.split(stacked)):
        for name, method in methods.items():
            model = clone(method).set_params(views=views).fit(stacked[train])
            rows, own = model.transform(stacked[test]), [x[test] for x in X.values()]
            score = found.scores.loc[name, fold]
            assert_allclose(score["rankme"], metrics.rankme_score(rows))
            assert_allclose(score["hubness"], metrics.hubness_score(rows))
            agreement = metrics.neighbor_agreement([rows, *own])[0, 1:].mean()
            assert_allclose(score["agreement"], agreement)


def test_interval():
    """By the textbook, and shrinking with folds, with their agreement and with a smaller ratio."""
    values = np.array([0.01, 0.03, 0.02, 0.05, 0.04])
    expected = scipy.stats.t.ppf(0.975, 4) * values.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)
    assert_allclose(corrected_limit(values, 1 / 4), expected)
    assert corrected_limit(np.tile(values, 3), 1 / 4) < expected
    assert corrected_limit(values / 2, 1 / 4) < expected
    assert corrected_limit(values, 1 / 9) < expected
    assert corrected_limit(values + 7, 1 / 4) == pytest.approx(expected)
    assert np.isnan(corrected_limit([0.1], 1 / 4))


def test_folds(planted):
    X, y = planted

    def compare(y=y, **options):
        return compare_representations(X, y, methods={"GCCA": GCCA()}, random_state=0, **options)

    assert len(compare().scores.loc["GCCA"]) == 5
    assert len(compare(cv=3).scores.loc["GCCA"]) == 3
    assert len(compare(None).scores.loc["GCCA"]) == 1
    assert len(compare(None, cv=4).scores.loc["GCCA"]) == 4
    repeated = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
    assert len(compare(cv=repeated).scores.loc["GCCA"]) == 6
    one = compare(cv=ShuffleSplit(1, random_state=0))
    assert one.table["gain_k5_limit"].isna().all()
    mask = np.arange(120) < 60
    given = compare(cv=[(mask, ~mask), (np.flatnonzero(~mask), np.flatnonzero(mask))])
    halves = compare(cv=KFold(2)).scores.loc["GCCA"]
    assert_allclose(given.scores.loc["GCCA"].iloc[:, :6], halves.iloc[::-1, :6])


class Spy(TransformerMixin, BaseEstimator):
    """Keeps what it was given."""

    calls: ClassVar = []

    def __init__(self, views=None, random_state=None):
        self.views = views
        self.random_state = random_state

    def fit(self, X, y=None):
        self.calls.append(("fit", X, y, self.views, self.random_state))
        return self

    def transform(self, X):
        self.calls.append(("transform", X))
        return X


def test_what_methods_are_given(planted):
    X, y = planted
    stacked, views = stack_views(X)
    Spy.calls.clear()
    methods = {"own": Spy(), "in a pipeline": make_pipeline(Spy(random_state=7), PCA(2))}
    compare_representations(X, y, methods=methods, cv=StratifiedKFold(3), random_state=0)
    fits = [call for call in Spy.calls if call[0] == "fit"]
    assert len(fits) == 6
    assert all(call[2] is None for call in fits)  # the labels
    assert all(call[3] == views for call in fits)
    seeds = [call[4] for call in fits]
    assert seeds[3:] == [7] * 3
    assert len(set(seeds[:3])) == 1
    assert isinstance(seeds[0], int)
    train, test = next(StratifiedKFold(3).split(stacked, y))
    assert_array_equal(fits[0][1], stacked[train])
    assert_array_equal(Spy.calls[2][1], stacked[test])  # after fit and transform of the others
    assert methods["own"].views is None
    assert not hasattr(methods["in a pipeline"][1], "components_")


def test_the_same_seed_gives_the_same(planted):
    X, y = planted
    fast = EnsembleRepresentationLearner(max_iter=2, transform_max_iter=3)
    options = {"methods": {"learner": fast}, "max_samples": 90, "cv": 2}

    def compare(**more):
        scores = compare_representations(X, y, **options, **more).scores
        return scores.drop(columns=["fit_seconds", "transform_seconds"])

    once = compare(random_state=0)
    pd.testing.assert_frame_equal(once, compare(random_state=0))
    pd.testing.assert_frame_equal(once, compare(random_state=np.random.RandomState(0)))
    assert not once.equals(compare(random_state=1))


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_progress(planted, capfd, n_jobs):
    X, y = planted
    compare_representations(X, y, methods=FAST, cv=3, n_jobs=n_jobs)
    assert capfd.readouterr().err == ""
    compare_representations(X, y, methods=FAST, cv=3, n_jobs=n_jobs, verbose=True)
    lines = capfd.readouterr().err.replace("\r", "\n").split("\n")
    n_fits = 3 * len({*FAST, "concatenation"})
    assert f"{n_fits}/{n_fits}" in [line for line in lines if line.startswith("compare: ")][-1]


@pytest.mark.slow
def test_several_at_a_time(planted):
    X, y = planted
    one, two = (
        compare_representations(X, y, methods=FAST, random_state=0, n_jobs=n) for n in (1, 2)
    )
    pd.testing.assert_frame_equal(one.scores.iloc[:, :6], two.scores.iloc[:, :6])


def test_max_samples(planted):
    X, y = planted
    counts = []

    class Recorder:
        def split(self, X, y=None):
            counts.append((len(X), np.bincount(y).tolist()))
            yield from KFold(2).split(X)

        def get_n_splits(self, X=None, y=None, groups=None):
            return 2

    for max_samples in (None, 60, 0.5, 500, 1.0):
        found = compare_representations(X, y, methods=FAST, cv=Recorder(), max_samples=max_samples)
        assert found.table["accuracy_k5"]["good"] > 0.95  # the labels are those of the samples
    whole, half = (120, [40, 40, 40]), (60, [20, 20, 20])
    assert counts == [whole, half, half, whole, whole]
    with pytest.raises(ValueError, match=r"^max_samples=0\.01 draws 1 of 120 samples"):
        compare_representations(X, y, max_samples=0.01)
    with pytest.raises(ValueError, match=r"^max_samples draws samples, so the row numbers"):
        compare_representations(X, y, cv=[([0, 1], [2, 3])], max_samples=60)


@pytest.mark.parametrize("labeled", [True, False])
def test_samples_are_drawn_class_by_class(labeled):
    """Whatever the number and the classes: as many of each as their share, up to rounding."""
    labels = np.repeat([0, 1, 2], [70, 29, 1])
    rng = np.random.RandomState(0)
    for max_samples, n_drawn in ((99, 99), (0.99, 99), (50, 50), (0.29, 29), (2, 2), (1 / 3, 33)):
        rows = _draw_rows(100, labels if labeled else None, max_samples, None, rng)
        assert len(np.unique(rows)) == len(rows) == n_drawn
        assert_array_equal(rows, np.sort(rows))
        if labeled:
            counts = np.bincount(labels[rows], minlength=3)
            assert np.abs(counts - np.array([70, 29, 1]) * n_drawn / 100).max() < 1
    drawn = [_draw_rows(100, labels, 60, None, np.random.RandomState(s)) for s in (0, 0, 1)]
    assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    often = sum(
        np.bincount(_draw_rows(100, None, 40, None, rng), minlength=100) for _ in range(500)
    )
    assert np.abs(often - 200).max() < 5 * np.sqrt(500 * 0.4 * 0.6)  # binomial


def test_default_methods():
    a, b, c = make_views(90, (6, 6, 4))
    fast = {"cv": [(np.arange(60), np.arange(60, 90))], "random_state": 0}
    table = compare_representations({"GCCA": a, "b": b}, **fast).table
    fusions = ["concatenation", "PCA, half-whitened", "GCCA", "neighborhood projection"]
    fusions += ["learner", "learner (paper settings)"]
    assert table.index.tolist() == ["model GCCA", "b", "average", *fusions]
    unequal = compare_representations([a, c], np.arange(90) % 2, **fast).table
    assert unequal.index.tolist() == ["view0", "view1", *fusions]
    assert np.isfinite(unequal.drop(columns=[c for c in unequal if "limit" in c])).all(axis=None)


def test_missing_views(planted):
    X, y = planted
    gaps = X | {"noise": X["noise"].copy()}
    gaps["noise"][::4] = np.nan
    with pytest.raises(ValueError, match="contains NaN in row 0"):
        compare_representations(gaps, y)
    methods = {"good": SingleModel(view="good")}
    options = {"methods": methods, "cv": KFold(2), "missing_views": "impute"}
    found = compare_representations(gaps, y, **options)
    assert found.table["accuracy_k5"]["good"] > 0.95
    # of each view those samples count that have it
    for fold, rows in enumerate((np.arange(60), np.arange(60, 120))):
        has = rows[rows % 4 > 0]
        expected = (1 + metrics.neighbor_agreement([x[has] for x in X.values()])[0, 1]) / 2
        assert_allclose(found.scores.loc[("good", fold), "agreement"], expected)


class Blinded(TransformerMixin, BaseEstimator):
    """Zero in every seventh row."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.where((np.arange(len(X)) % 7 == 0)[:, None], 0, X)


def test_representations_that_are_zero_do_not_count(planted):
    X, _ = planted
    found = compare_representations(X, methods={"own": Blinded()}, cv=KFold(2)).scores
    for fold, rows in enumerate((np.arange(60), np.arange(60, 120))):
        kept = rows[np.arange(60) % 7 > 0]
        own = np.hstack([x[kept] for x in X.values()])
        agreement = metrics.neighbor_agreement([own, *(x[kept] for x in X.values())])[0, 1:]
        assert_allclose(found.loc[("own", fold), "agreement"], agreement.mean())
        assert_allclose(found.loc[("own", fold), "hubness"], metrics.hubness_score(own))
    few = [(np.arange(60), np.arange(60, 71))]
    with pytest.raises(
        ValueError, match=r"^methods\['own'\]\.transform\(X\) is zero for all but 9 of the 11"
    ):
        compare_representations(X, methods={"own": Blinded()}, cv=few)


def test_neighbors_are_found_once(planted, monkeypatch):
    X, y = planted
    calls = []

    def count(queries, database, n_neighbors):
        calls.append(queries.shape)
        return nearest(queries, database, n_neighbors)

    monkeypatch.setattr("sknnens.inspection._comparison.nearest", count)
    compare_representations(X, y, methods=FAST, cv=KFold(4))
    # a fold: two views; and of three methods, those that classify and those among themselves
    assert len(calls) == 4 * (2 + 3 * 2)


def test_samples_are_not_copied_more_than_once():
    views = make_views(4000, (1000, 1000))
    size = sum(x.nbytes for x in views)
    options = {"methods": {"average": Average()}, "cv": [(np.arange(20), np.arange(20, 40))]}
    compare_representations([x[:40] for x in views], **options)
    tracemalloc.start()
    try:
        compare_representations(views, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # once, side by side; reading looks at 2**22 entries at a time, of one byte
    assert peak < 1.3 * size


def test_single_models_that_some_samples_lack_are_left_out():
    a, b, _ = make_views(90)
    b[3] = np.nan
    cv = [(np.arange(60), np.arange(60, 90))]
    table = compare_representations([a, b], cv=cv, missing_views="impute", random_state=0).table
    assert "view0" in table.index
    assert "view1" not in table.index
    assert np.isfinite(table).all(axis=None)


def test_every_form():
    views = [x.astype(np.float16).astype(np.float32) for x in make_views(30, (6, 4, 5))]
    named = dict(zip(["clip", "dino", "mae"], views, strict=True))
    y = np.arange(30) % 2
    options = {"methods": {"GCCA": GCCA(n_components=3)}, "n_neighbors": 3, "cv": KFold(2)}
    expected = compare_representations(named, y, **options).table.iloc[:, :7]
    for name, form in in_every_form(named).items():
        found = compare_representations(form.X, y, views=form.views, **options).table.iloc[:, :7]
        pd.testing.assert_frame_equal(found, expected, obj=name)


def test_labels_of_every_kind(planted):
    X, y = planted
    options = {"methods": FAST, "cv": KFold(3)}
    numbers = np.unique(y, return_inverse=True)[1]
    expected = compare_representations(X, y, **options).table["accuracy_k5"]
    for labels in (numbers, numbers - 7, list(y), pd.Series(y), pd.Categorical(y), numbers == 5):
        if len(set(labels)) < 2:
            with pytest.raises(
                ValueError, match=r"^y must hold two classes or more, got \[False\]"
            ):
                compare_representations(X, labels, **options)
        else:
            found = compare_representations(X, labels, **options).table["accuracy_k5"]
            pd.testing.assert_series_equal(found, expected)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        compare_representations(X, np.linspace(0, 1, 120), **options)
    gaps = np.where(np.arange(120) % 3 == 0, None, y)
    for labels in (gaps, gaps.tolist(), pd.Series(gaps), pd.array(gaps, "string")):
        with pytest.raises(
            ValueError, match=r"^y has no label in 40 of 120 rows \(0, 3, 6, 9, 12, "
        ):
            compare_representations(X, labels, **options)
    for labels in (pd.array([1, None] * 60, "Int64"), [np.nan, 1.0] * 60):
        with pytest.raises(ValueError, match=r"^y has no label in 60 of 120 rows"):
            compare_representations(X, labels, **options)
    with pytest.raises(ValueError, match=r"^y must hold labels of one type, got \['int', 'str'\]"):
        compare_representations(X, np.array(["a", 1] * 60, dtype=object), **options)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        compare_representations(np.hstack(list(X.values())), y[:-1], views=[8, 8], **options)


def test_what_is_wrong_is_named(planted):
    X, y = planted

    def compare(**options):
        return compare_representations(X, y, **{"methods": FAST} | options)

    with pytest.raises(ValueError, match=r"^baseline='mean' must be one of the methods, \['good'"):
        compare(baseline="mean")
    with pytest.raises(TypeError, match=r"^methods\['knn'\] must be a transformer"):
        compare(methods={"knn": KNeighborsClassifier()})
    with pytest.raises(ValueError, match=r"^n_neighbors=97 must be at most .* to fit, 96"):
        compare(n_neighbors=[1, 97])
    for wrong in ([0, 1], [1.5], []):
        with pytest.raises(ValueError, match=r"^n_neighbors must hold positive integers, got"):
            compare(n_neighbors=wrong)
    with pytest.raises(ValueError, match=r"^A fold of cv has 10 samples, but .* need more than 10"):
        compare(cv=12)
    with pytest.raises(ValueError, match="leaves nothing to fit on or to measure on"):
        compare(cv=[])
    with pytest.raises(ValueError, match=r"^cv=GroupKFold.* needs groups: pass its splits"):
        compare(cv=GroupKFold(3))
    with pytest.raises(ValueError, match="The 'max_samples' parameter of compare_representations"):
        compare(max_samples=1.5)
    with pytest.raises(ValueError, match="The 'methods' parameter of compare_representations"):
        compare(methods=[GCCA()])


def test_plot_of_a_comparison(planted):
    X, y = planted
    comparison = compare_representations(X, y, methods=FAST, random_state=0)
    assert comparison.plot() is comparison
    widths = [bar.get_width() for bar in comparison.bars_]
    assert_allclose(widths, 100 * comparison.table["gain_k5"])  # the middle one of 1, 5 and 20
    assert [t.get_text() for t in comparison.ax_.get_yticklabels()] == list(FAST)
    assert comparison.ax_.get_xlabel() == "gain at k = 5 over the concatenation in points"
    assert comparison.bars_.errorbar is not None
    lines = comparison.bars_.errorbar.lines[2][0].get_segments()
    half_widths = [(segment[1, 0] - segment[0, 0]) / 2 for segment in lines]
    assert_allclose(half_widths, 100 * comparison.table["gain_k5_limit"], atol=1e-9)
    comparison.plot(measure="accuracy_k20")
    assert comparison.ax_.get_xlabel() == "accuracy at k = 20 in percent"
    comparison.plot(measure="rankme", color="red")
    assert_allclose([bar.get_width() for bar in comparison.bars_], comparison.table["rankme"])
    assert comparison.bars_.errorbar is None
    with pytest.raises(ValueError, match=r"^measure='rank' must be one of \['accuracy_k1'"):
        comparison.plot(measure="rank")
    unlabeled = compare_representations(X, methods=FAST).plot()
    assert unlabeled.ax_.get_xlabel() == "agreement"


def test_a_comparison_prints_its_summary_and_what_is_better(planted):
    X, y = planted
    comparison = compare_representations(X, y, methods=FAST, random_state=0)
    summary = comparison.summary()
    assert list(summary) == [
        *("k = 1", "k = 5", "k = 20", "gain at k = 5", "±", "width", "seconds")
    ]
    assert summary.loc["good", "k = 1"] == round(
        100 * comparison.table.loc["good", "accuracy_k1"], 1
    )
    assert summary.loc["noise", "gain at k = 5"] < -10
    *table, better, worse = repr(comparison).splitlines()
    assert [line.split()[0] for line in table[-len(FAST) :]] == list(FAST)
    assert better == "Better than the concatenation at k = 5, beyond the interval: none."
    assert worse == "Worse than the concatenation at k = 5, beyond the interval: noise."
    unlabeled = compare_representations(X, methods=FAST)
    assert list(unlabeled.summary()) == ["rankme", "hubness", "agreement", "width", "seconds"]
    assert "interval" not in repr(unlabeled)
    one_fold = compare_representations(X, y, methods=FAST, cv=[(np.arange(60), np.arange(60, 120))])
    assert "interval" not in repr(one_fold)
