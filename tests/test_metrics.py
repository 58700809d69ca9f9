"""Measures of representations: planted cases with known answers."""

import tracemalloc

import numpy as np
import pytest
import scipy.stats
import torch
from conftest import make_views
from forms import in_every_form
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner, metrics
from sknnens._neighbors import nearest, to_unit
from sknnens.fusion import Concatenation
from sknnens.metrics import (
    hubness_score,
    neighbor_agreement,
    normalized_maximum_similarity,
    rankme_score,
    recoverability_score,
    singular_value_spectrum,
)

TINY = 2e-3  # working_memory in MiB: a few rows at a time


@pytest.fixture
def rows():
    return np.random.RandomState(0).randn(90, 7)


def reference_neighbors(a, b=None, k=5):
    """The definition: sort all similarities."""
    similarity = cosine_similarity(a, b)
    if b is None:
        np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, :k]


# --- recoverability ---------------------------------------------------------------------------


def recover(learner, rows, views):
    """Mean cosine a view, by hand from the fitted weights."""
    scores = []
    for v, view in enumerate(views):
        hidden = rows
        layers = list(zip(learner.coefs_[v], learner.intercepts_[v], strict=True))
        for i, (w, b) in enumerate(layers):
            hidden = hidden @ w + b
            if i < len(layers) - 1 or learner.output_activations_[v] == "relu":
                hidden = np.maximum(hidden, 0)
        scores.append((normalize(hidden) * normalize(view)).sum(axis=1).mean())
    return np.array(scores)


@pytest.mark.parametrize("init", ["average", "whiten"])
def test_recoverability_is_that_of_the_representations(init):
    views, new = make_views(dtype=np.float64), make_views(30, seed=1, dtype=np.float64)
    learner = EnsembleRepresentationLearner(
        max_iter=6, representation_learning_rate=1e-2, init=init, random_state=0
    ).fit(views)
    plain = learner.set_params(normalize=False).transform(new)
    start = learner.set_params(transform_max_iter=0).transform(new)
    learner.set_params(normalize=True, transform_max_iter=3)
    assert_allclose(recoverability_score(learner, new), recover(learner, plain, new))
    assert_allclose(recoverability_score(learner, new, max_iter=0), recover(learner, start, new))
    # the biases see the length: normalized rows recover something else
    assert not np.allclose(recover(learner, normalize(plain), new), recover(learner, plain, new))


def test_recoverability_rises_to_one_minus_the_loss():
    views = make_views(dtype=np.float64)
    weights = np.array([1.0, 0.5, 0.25])
    learner = EnsembleRepresentationLearner(
        max_iter=6, representation_learning_rate=1e-2, view_weights=weights, random_state=0
    ).fit(views)
    by_steps = np.array([recoverability_score(learner, views, max_iter=i) for i in (0, 1, 3)])
    assert (np.diff(by_steps @ weights) > 0).all()
    assert_allclose(by_steps[2], recoverability_score(learner, views))
    losses = weights.sum() - by_steps @ weights
    rows = learner.set_params(normalize=False).transform(views)
    assert_allclose(losses[2], (1 - recover(learner, rows, views)) @ weights)


def test_recoverability_counts_what_is_there():
    a, b, c = make_views(dtype=np.float64)
    a[:20] = np.nan
    b[20:50] = 0
    learner = EnsembleRepresentationLearner(
        max_iter=4, view_weights=[1, 1, 0], missing_views="impute", random_state=0
    ).fit([a, b, c])
    scores = recoverability_score(learner, [a, b, c])
    # rows are independent, so those that count give the same alone
    assert_allclose(scores[0], recoverability_score(learner, [x[20:] for x in (a, b, c)])[0])
    some = np.r_[:20, 50:60]
    assert_allclose(scores[1], recoverability_score(learner, [x[some] for x in (a, b, c)])[1])
    assert np.isnan(scores[2])
    assert_array_equal(
        np.isnan(recoverability_score(learner, [a[:20], b[:20], c[:20]])), [True, False, True]
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recoverability_in_other_precisions(precision):
    views = make_views(300)  # more than a chunk
    learner = EnsembleRepresentationLearner(max_iter=4, precision=precision, random_state=0)
    scores = recoverability_score(learner.fit(views), views)
    rows = learner.set_params(normalize=False).transform(views)
    atol = 1e-5 if precision == "float32" else 1e-2  # 8 bits
    assert_allclose(scores, recover(learner, rows, views), atol=atol)


def test_recoverability_is_of_a_learner(views):
    learner = EnsembleRepresentationLearner(max_iter=2, random_state=0)
    message = "^estimator must be an EnsembleRepresentationLearner, whose MLPs"
    with pytest.raises(TypeError, match=message + r".*got Concatenation\.$"):
        recoverability_score(Concatenation().fit(views), views)
    with pytest.raises(TypeError, match=message + ".*got Pipeline. Pass the step"):
        recoverability_score(make_pipeline(learner).fit(views), views)
    with pytest.raises(ValueError, match="The 'max_iter' parameter of recoverability_score"):
        recoverability_score(learner.fit(views), views, max_iter=-1)


# --- singular values --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 4), (2500, 6), (5, 12), (2100, 1)])
@pytest.mark.parametrize("center", [False, True])
def test_spectrum(shape, center):
    x = np.random.RandomState(0).randn(*shape) + 1
    values = np.linalg.svd(x - x.mean(axis=0) * center, compute_uv=False)
    found = singular_value_spectrum(x, center=center, normalize=False)
    assert_allclose(found, values, atol=1e-12)
    assert_allclose(singular_value_spectrum(x, center=center), values / values[0], atol=1e-12)
    narrow = singular_value_spectrum(x.astype(np.float32), center=center)
    assert narrow.dtype == np.float32
    assert_allclose(narrow, values / values[0], atol=1e-6)


def test_rankme_of_known_spectra():
    basis = np.linalg.qr(np.random.RandomState(0).randn(40, 6))[0]
    assert_allclose(rankme_score(basis), 6, rtol=1e-5)
    assert_allclose(rankme_score(basis[:, :1] * np.ones(6)), 1, rtol=1e-4)
    spectrum = np.array([4, 2, 1, 1, 0, 0])
    entropy = scipy.stats.entropy(spectrum / 8)  # 1.75 bits, 2 ** 1.75
    assert_allclose(rankme_score(basis * spectrum), np.exp(entropy), rtol=1e-4)
    assert_allclose(rankme_score(basis * spectrum, eps=0), 2**1.75)
    assert rankme_score(basis * spectrum, eps=0.1) > rankme_score(basis * spectrum)


def test_rankme_is_not_centered():
    far = np.random.RandomState(0).randn(100, 5) + 1000
    assert rankme_score(far) < 1.1 < 4 < rankme_score(far - far.mean(axis=0))


def test_spectra_of_nothing():
    with pytest.raises(ValueError, match=r"^representations are all zero: their rank"):
        rankme_score(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"^representations are all zero: the singular"):
        singular_value_spectrum(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"^representations are all equal"):
        singular_value_spectrum(np.ones((4, 3)), center=True)
    assert_array_equal(singular_value_spectrum(np.zeros((4, 3)), normalize=False), np.zeros(3))


# --- neighbors -------------------------------------------------------------------------------


def test_neighbors(rows):
    unit, other = to_unit(rows), to_unit(rows[:30] + 1)
    assert_array_equal(nearest(unit, None, 5), reference_neighbors(rows))
    assert_array_equal(nearest(unit, other, 5), reference_neighbors(rows, rows[:30] + 1))
    assert_array_equal(nearest(unit, other, 30), reference_neighbors(rows, rows[:30] + 1, 30))
    assert_array_equal(nearest(unit, None, 89), reference_neighbors(rows, k=89))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_rows_of_any_length(rows, dtype):
    """Lengths whose squares over- or underflow, subnormal ones, and none, in any layout."""
    x = np.asfortranarray(rows.astype(dtype))
    info = np.finfo(dtype)
    scaled = x * np.array([1, info.max / 1e3, info.tiny, 2**7], dtype)[np.arange(90) % 4, None]
    # products with the smallest normal number are subnormal if below it, with fewer digits
    assert_allclose(to_unit(scaled), normalize(x), rtol=0, atol=8 * info.eps)
    assert_array_equal(to_unit(scaled)[3::4], to_unit(x)[3::4])
    tiniest = np.full((1, 4), info.smallest_subnormal)
    assert_array_equal(to_unit(tiniest), np.full((1, 4), 0.5))
    assert_array_equal(to_unit(np.zeros((2, 4), dtype)), np.zeros((2, 4)))


def test_of_equals_the_first_are_taken():
    """Exact ties, in a row that is everybody's and within and beyond the neighbors asked for."""
    database = np.eye(3)[[2, 0, 1, 0, 1, 0, 1, 0]]
    queries = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    expected = [[1, 3, 5], [2, 4, 6], [0, 1, 2]]
    assert_array_equal(nearest(queries, database, 3), expected)
    assert_array_equal(nearest(database, None, 2)[[1, 2, 7]], [[3, 5], [4, 6], [1, 3]])


def test_chunks_make_no_difference(rows):
    def measure():
        return np.array(
            [
                hubness_score(rows),
                hubness_score(rows, rows[:40] + 1, n_neighbors=3),
                *neighbor_agreement([rows, rows**2]).ravel(),
                *normalized_maximum_similarity(rows**2, rows[:40] ** 2),
            ]
        )

    whole = measure()
    with config_context(working_memory=TINY):
        assert_allclose(measure(), whole)
    with config_context(working_memory=1e-6):  # a row at a time
        assert_allclose(measure(), whole)


def test_few_rows_are_in_memory_together(rows, monkeypatch):
    largest = []
    whole = np.partition
    monkeypatch.setattr(
        np, "partition", lambda x, *a, **k: (largest.append(len(x)), whole(x, *a, **k))[1]
    )
    with config_context(working_memory=TINY):
        hubness_score(rows)
    assert max(largest) == int(TINY * 2**20) // (90 * 17)
    largest.clear()
    hubness_score(np.random.RandomState(0).randn(1100, 3))
    assert largest == [1024, 76]


def test_ties_need_no_more_memory():
    """Everything is tied with thousands of others; settings allow 1 MiB."""
    database = np.eye(4, dtype=np.float32)[np.arange(20000) % 4]
    with config_context(working_memory=1):
        tracemalloc.start()
        try:
            found = nearest(database[:400], database, 5)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert_array_equal(found, np.arange(400)[:, None] % 4 + 4 * np.arange(5))
    # what the setting allows, and the neighbors
    assert peak < 1.2 * 2**20


def test_maximum_similarity(rows):
    a, b = np.abs(rows), np.abs(rows[:40] + 1)
    similarity = cosine_similarity(a, b)
    expected = similarity.max(axis=1) / similarity.mean()
    assert_allclose(normalized_maximum_similarity(a, b), expected)
    found = normalized_maximum_similarity(a.astype(np.float32), b)
    assert found.dtype == np.float32
    assert_allclose(found, expected, rtol=1e-5)
    # lengths do not count
    assert_allclose(normalized_maximum_similarity(a * 7, b * np.arange(1, 41)[:, None]), expected)


def test_maximum_similarity_of_zero_rows(rows):
    a, b = np.abs(rows), np.abs(rows[:40] + 1)
    a[3] = b[5] = 0
    similarity = cosine_similarity(a, b)
    found = normalized_maximum_similarity(a, b)
    assert_allclose(found, similarity.max(axis=1) / similarity.mean())
    assert found[3] == 0


def test_maximum_similarity_needs_a_positive_mean(rows):
    with pytest.raises(ValueError, match=r"^The mean cosine similarity of queries and database is"):
        normalized_maximum_similarity(np.abs(rows), -np.abs(rows))
    with pytest.raises(ValueError, match=r"^queries have 7 columns, database 6"):
        normalized_maximum_similarity(rows, rows[:, :6])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maximum_similarity_needs_more_than_chance(dtype):
    """Without a direction in common the mean is a random number near 0, of either sign."""
    for seed in range(20):
        rng = np.random.RandomState(seed)
        a, b = rng.randn(400, 16).astype(dtype), rng.randn(300, 16).astype(dtype)
        for queries, database in ((a, b), (a - a.mean(axis=0), b - b.mean(axis=0)), (a, a)):
            with pytest.raises(ValueError, match=r"^The mean cosine .* level of chance"):
                normalized_maximum_similarity(queries, database)
        # a direction in common, if a weak one: the mean is about 0.05, the bound 0.014
        assert (normalized_maximum_similarity(a + 0.25, b + 0.25) > 1).all()
    # of few rows too, where no similarity is negative
    assert_allclose(normalized_maximum_similarity(np.eye(3), np.eye(3)), 3)


def test_hubness_of_a_planted_hub():
    """Of n orthogonal arms the hub is the only neighbor; the hub's own is the first arm."""
    n = 20
    arms = np.vstack([np.eye(n), np.ones(n)])
    counts = np.r_[1, np.zeros(n - 1), n]
    assert_allclose(hubness_score(arms, n_neighbors=1), scipy.stats.skew(counts))
    # as queries of a database, the arms have the hub too, and the hub has itself
    database = np.vstack([np.ones(n), -np.eye(n)])
    found = hubness_score(arms, database, n_neighbors=1)
    assert_allclose(found, scipy.stats.skew(np.r_[n + 1, np.zeros(n)]))
    assert hubness_score(np.eye(3)[[0, 0, 1, 1, 2, 2]], n_neighbors=1) == 0  # each is one's


def test_hubness(rows):
    counts = np.bincount(reference_neighbors(rows, k=4).ravel(), minlength=90)
    assert_allclose(hubness_score(rows, n_neighbors=4), scipy.stats.skew(counts))
    counts = np.bincount(reference_neighbors(rows, rows[:30] + 1).ravel(), minlength=30)
    found = hubness_score(rows, rows[:30] + 1, n_neighbors=5)
    assert_allclose(found, scipy.stats.skew(counts))


def test_hubness_leaves_zero_rows_out(rows):
    gaps = np.insert(rows, [0, 10, 90], 0, axis=0)
    assert hubness_score(gaps) == hubness_score(rows)
    assert hubness_score(gaps, gaps[::-1]) == hubness_score(rows, rows[::-1])
    with pytest.raises(ValueError, match=r"^n_neighbors=2 must be at most .* other queries"):
        hubness_score(np.vstack([np.eye(2), np.zeros((9, 2))]), n_neighbors=2)
    with pytest.raises(ValueError, match=r"^queries are all zero"):
        hubness_score(np.zeros((3, 7)), rows)


def test_neighbors_that_are_not_there(rows):
    assert np.isfinite(hubness_score(rows, n_neighbors=88))
    with pytest.raises(ValueError, match=r"^n_neighbors=90 must be at most .* queries .*, 89"):
        hubness_score(rows, n_neighbors=90)
    with pytest.raises(
        ValueError, match=r"^n_neighbors=10 must be at most .* rows of database .* 5"
    ):
        hubness_score(rows, rows[:5])
    with pytest.raises(
        ValueError, match=r"^n_neighbors=90 must be less than the number of samples"
    ):
        neighbor_agreement([rows, rows], n_neighbors=90)
    for score in (hubness_score, neighbor_agreement):
        with pytest.raises(ValueError, match="The 'n_neighbors' parameter of"):
            score(rows, n_neighbors=0)


def test_agreement_of_known_views(rows):
    rng = np.random.RandomState(1)
    turned = rows @ np.linalg.qr(rng.randn(7, 7))[0] * rng.rand(90, 1)
    assert_allclose(neighbor_agreement([rows, rows, turned]), np.ones((3, 3)))
    independent = neighbor_agreement(rng.randn(2000, 10), [5, 5], n_neighbors=20)
    assert_array_equal(independent, independent.T)
    assert_array_equal(np.diag(independent), 1)
    # binomial about k / n = 0.01, over 2000 rows of 20 neighbors: sd 0.0005
    assert abs(independent[0, 1] - 0.01) < 0.002


def test_agreement(rows):
    other = rows + np.random.RandomState(1).randn(90, 7)
    a, b = reference_neighbors(rows), reference_neighbors(other)
    shares = [len(set(x) & set(y)) / 5 for x, y in zip(a, b, strict=True)]
    assert 0 < np.mean(shares) < 1
    assert_allclose(neighbor_agreement([rows, other], n_neighbors=5)[0, 1], np.mean(shares))


def test_agreement_leaves_incomplete_samples_out(rows):
    other = rows + np.random.RandomState(1).randn(90, 7)
    gaps, zeros = rows.copy(), other.copy()
    gaps[[4, 9]] = zeros[9] = np.nan  # the tenth sample has no view
    zeros[[7, 8]] = 0
    kept = np.delete(np.arange(90), [4, 7, 8, 9])
    expected = neighbor_agreement([rows[kept], other[kept]])
    assert_array_equal(neighbor_agreement([gaps, zeros], missing_views="drop"), expected)
    message = (
        r"^view 1 \('dino'\) contains NaN in row 4, in all of its columns\. "
        r"missing_views='drop' leaves such rows out\.$"
    )
    with pytest.raises(ValueError, match=message):
        neighbor_agreement({"clip": other, "dino": gaps})
    gaps[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN in row 5, in 1 of its 7 columns\.$"):
        neighbor_agreement({"clip": other, "dino": gaps}, missing_views="drop")


def test_agreement_of_one_view_with_gaps(rows):
    gaps = rows.copy()
    gaps[[4, 9]] = np.nan
    assert_array_equal(neighbor_agreement(gaps, missing_views="drop"), [[1]])
    message = r"^X contains NaN in row 4, in all of its columns\. missing_views='drop' leaves such"
    with pytest.raises(ValueError, match=message):
        neighbor_agreement(gaps)
    with pytest.raises(ValueError, match=r"^view 1 is missing in every row"):
        neighbor_agreement([gaps, np.full((90, 2), np.nan)], missing_views="drop")


def test_agreement_of_every_form():
    views = [x.astype(np.float16).astype(np.float32) for x in make_views(30, (6, 4, 5))]
    forms = in_every_form(dict(zip(["clip", "dino", "mae"], views, strict=True)))
    expected = neighbor_agreement(views, n_neighbors=3)
    for name, form in forms.items():
        found = neighbor_agreement(form.X, form.views, n_neighbors=3)
        assert_array_equal(found, expected, err_msg=name)


# --- what is taken ----------------------------------------------------------------------------


def test_representations_in_other_forms(rows):
    expected = hubness_score(rows), rankme_score(rows)
    for form in (torch.from_numpy(rows), rows.tolist(), rows[:, ::-1][:, ::-1]):
        assert_allclose((hubness_score(form), rankme_score(form)), expected)


@pytest.mark.parametrize("name", ["rankme_score", "singular_value_spectrum", "hubness_score"])
def test_bad_representations(name, rows):
    measure = getattr(metrics, name)
    argument = "queries" if name == "hubness_score" else "representations"
    rows[3, 2] = np.nan
    with pytest.raises(ValueError, match=f"Input {argument} contains NaN"):
        measure(rows)
    with pytest.raises(ValueError, match="Expected 2D array"):
        measure(rows[0])


def test_nothing_is_changed(rows):
    rows = np.abs(rows)
    rows.flags.writeable = False
    before = rows.copy()
    hubness_score(rows, rows)
    normalized_maximum_similarity(rows, rows)
    singular_value_spectrum(rows, center=True)
    neighbor_agreement([rows, rows])
    assert_array_equal(rows, before)
