"""All fusions: right by independent references, and the contract of transformers."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
from conftest import make_views
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize, scale
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import (
    GCCA,
    Average,
    Concatenation,
    ConcatenationPCA,
    NeighborhoodProjection,
    SingleModel,
    make_fusion,
)

ALL = [SingleModel, Average, Concatenation, ConcatenationPCA, GCCA, NeighborhoodProjection]


@parametrize_with_checks(
    [
        *(model() for model in ALL),
        *(model(missing_views="impute") for model in ALL),
        Average(view_weights="auto"),
        Concatenation(normalize=False),
        Concatenation(scaling="standard"),
        ConcatenationPCA(n_components=1, whiten_exponent=0, normalize=False),
        GCCA(n_components=1, ridge=0.1, normalize=False),
    ]
)
def test_sklearn_check(estimator, check):
    check(estimator)


@pytest.fixture
def double_views():
    return make_views(dtype=np.float64, non_negative=False)


def unit(views):
    return [normalize(v) for v in views]


def seeded(model):
    return {"random_state": 0} if "random_state" in model().get_params() else {}


def test_single_model(double_views):
    named = dict(zip("abc", double_views, strict=True))
    expected = normalize(double_views[1])
    assert_allclose(SingleModel(view=1).fit_transform(double_views), expected)
    assert_allclose(SingleModel(view="b").fit_transform(named), expected)
    for view in (3, -1, "d", True, False):
        message = rf"^view={view!r} must be one of \['a', 'b', 'c'\], or a number from 0 to 2\.$"
        with pytest.raises(ValueError, match=message):
            SingleModel(view=view).fit(named)


def test_average(double_views):
    a, b, c = unit(double_views)
    assert_allclose(Average().fit_transform(double_views), normalize(a + b + c))
    plain = Average(view_weights=[2, 1, 1], normalize=False)
    assert_allclose(plain.fit_transform(double_views), (2 * a + b + c) / 4)
    message = r"^An average needs views of the same width, got \[6, 4\]\."
    with pytest.raises(ValueError, match=message):
        Average().fit([a, b[:, :4]])
    Average(view_weights=[1, 1, 0]).fit([a, b, c[:, :4]])


def test_concatenation(double_views):
    a, b, c = unit(double_views)
    out = Concatenation().fit_transform(double_views)
    assert_allclose(out, np.hstack([a, b, c]) / np.sqrt(3))
    plain = Concatenation(view_weights=[1, 0, 0.5], normalize=False)
    assert_allclose(plain.fit_transform(double_views), np.hstack([a, 0.5 * c]))


@pytest.mark.parametrize("scaling", ["center", "standard"])
def test_scaled_concatenation(double_views, scaling):
    constant = np.full((60, 2), 3.0)
    stacked = np.hstack([unit(double_views)[0], 0.5 * unit(double_views)[1]])
    expected = stacked - stacked.mean(axis=0)
    if scaling == "standard":
        expected = scale(stacked) * np.repeat([1, 0.5], 6)
    model = Concatenation(scaling=scaling, view_weights=[1, 0.5, 1], normalize=False)
    out = model.fit_transform([*double_views[:2], constant])
    assert_allclose(out[:, :12], expected, atol=1e-12)
    assert_allclose(out[:, 12:], 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_scaling_leaves_rounding_alone(dtype):
    """Large columns that do not vary, beside small ones that do."""
    rng = np.random.RandomState(0)
    narrow = rng.uniform(0.1, 9, (60, 1)) * rng.randn(2)  # all alike, once normalized
    views = [narrow.astype(np.float32).astype(dtype), rng.randn(60, 3000).astype(dtype)]
    model = Concatenation(scaling="standard", normalize=False).fit(views)
    assert_array_equal(model.scale_[:2], 1)
    out = model.transform(views)
    assert_allclose(out[:, :2], 0, atol=1e-6)
    assert_allclose(out[:, 2:].std(axis=0), 1, rtol=1e-4)
    # a column of very small numbers that vary is one that varies
    views[1][:, 0] = 0
    views[1][:30, 0] = 1e-12
    out = Concatenation(scaling="standard", normalize=False).fit_transform(views)
    assert_allclose(out[:, 2].std(), 1, rtol=1e-4)


@pytest.mark.parametrize("exponent", [0, 0.5, 1])
def test_pca(double_views, exponent):
    stacked = np.hstack(unit(double_views))
    pca = PCA(4).fit(stacked)
    expected = normalize(pca.transform(stacked) / pca.singular_values_**exponent)
    model = ConcatenationPCA(n_components=4, whiten_exponent=exponent)
    assert_allclose(model.fit_transform(double_views), expected, atol=1e-9)
    assert ConcatenationPCA().fit_transform(double_views).shape == (60, 6)
    with pytest.raises(ValueError, match=r"^n_components=19 must be at most 18, the smaller of"):
        ConcatenationPCA(n_components=19).fit(double_views)


def test_columns_of_whitened_components(double_views):
    out = ConcatenationPCA(whiten_exponent=1, normalize=False).fit_transform(double_views)
    largest = PCA(1).fit(np.hstack(unit(double_views))).singular_values_[0]
    assert_allclose((out**2).sum(axis=0), largest**2)


def test_projection_of_constant_rows_is_finite():
    model = ConcatenationPCA(n_components=2, normalize=False).fit(np.ones((5, 3)))
    assert np.isfinite(model.mean_).all()
    assert np.isfinite(model.components_).all()


@pytest.mark.parametrize("weights", [None, [1.0, 0.3, 0.6]])
def test_gcca_is_maxvar(double_views, weights):
    """By the definition: eigenvectors of the sum of the ridge regressions' hat matrices."""
    total = np.zeros((60, 60))
    for w, x in zip(weights or [1, 1, 1], unit(double_views), strict=True):
        x = x - x.mean(axis=0)
        c = x.T @ x
        ridge = 0.5 * np.trace(c) / 6 * np.eye(6)
        total += w * x @ np.linalg.solve(c + ridge, x.T)
    values, vectors = scipy.linalg.eigh(total)
    model = GCCA(n_components=4, ridge=0.5, view_weights=weights, normalize=False)
    out = model.fit_transform(double_views)
    assert_allclose(model.eigenvalues_, values[:-5:-1])
    assert_allclose(np.abs(out), np.sqrt(60) * np.abs(vectors[:, :-5:-1]), atol=1e-7)
    assert_allclose(out.T @ out / 60, np.eye(4), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", range(1, 9))
@pytest.mark.parametrize("kind", ["full", "multiples"])
def test_gcca_makes_no_coordinate_of_rounding(dtype, width, kind):
    """A view whose rows are alike once they are normalized is as good as not there."""
    rng = np.random.RandomState(width)
    constant = np.full((60, width), 1.0)
    if kind == "multiples":
        constant = rng.uniform(0.1, 9, (60, 1)) * rng.randn(width)
    views = [*make_views(dtype=dtype, non_negative=False), constant.astype(dtype)]
    fitted = GCCA(n_components=5, normalize=False).fit(views)
    expected = GCCA(n_components=5, normalize=False).fit(views[:3])
    assert_allclose(fitted.eigenvalues_, expected.eigenvalues_, rtol=1e-6)
    assert_array_equal(fitted.components_[:, 18:], 0)
    # more coordinates than directions: none is rounding, blown up
    most = GCCA(n_components=18 + width, normalize=False).fit(views)
    assert_allclose(most.transform(views)[:, 18:], 0, atol=1e-6)


def test_zero_row_of_a_concatenation_stays_zero(double_views):
    double_views[1][3] = 0
    for missing_views in ("error", "impute"):
        model = Concatenation(normalize=False, missing_views=missing_views)
        assert_array_equal(model.fit_transform(double_views)[3, 6:12], 0)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("missing_views", ["error", "impute"])
def test_types_pickles_and_names(model, dtype, missing_views, views):
    X, sizes = stack_views([v.astype(dtype) for v in views])
    fitted = model(sizes, missing_views=missing_views).fit(X)
    out = fitted.transform(X)
    assert out.dtype == dtype
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), out)
    assert out.shape == (60, len(fitted.get_feature_names_out()))
    assert_allclose(np.linalg.norm(out, axis=1), 1, rtol=1e-5)
    for name in ("mean_", "components_", "scale_", "eigenvalues_"):
        assert getattr(getattr(fitted, name, None), "dtype", dtype) == dtype


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_fit_transform_is_fit_and_transform(model, dtype, gaps):
    views = make_views(dtype=dtype)
    params = seeded(model)
    if model is not SingleModel:
        params["view_weights"] = [0.3, 1, 0.7]
    if gaps:
        views[1][::5] = np.nan
        params["missing_views"] = "impute"
    out = model(**params).fit_transform(views)
    assert_array_equal(model(**params).fit(views).transform(views), out)


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_in_another_type_than_fit(model, dtype):
    """The result has the type of what is transformed, and is what it would be otherwise."""
    views = make_views()
    other = np.float64 if dtype == np.float32 else np.float32
    fitted = model(missing_views="impute", **seeded(model)).fit([v.astype(dtype) for v in views])
    if model is not SingleModel:
        views[1][:30] = np.nan
    expected = fitted.transform([v.astype(dtype) for v in views])
    out = fitted.transform([v.astype(other) for v in views])
    assert out.dtype == other
    assert_allclose(out, expected, atol=1e-5)


def check_that_rows_are_independent(fitted, X, rows):
    whole = fitted.transform(X)
    for i in rows:
        assert_array_equal(fitted.transform(X[i : i + 1]), whole[i : i + 1])
    assert_array_equal(fitted.transform(X[::-1]), whole[::-1])
    assert_array_equal(fitted.transform(X[3:8]), whole[3:8])


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_does_not_depend_on_its_company(model, dtype):
    X, sizes = stack_views(make_views(300, (64, 64, 64), dtype=dtype))
    check_that_rows_are_independent(model(sizes, **seeded(model)).fit(X), X, (0, 100, 299))


@pytest.mark.slow
@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_with_gaps_does_not_depend_on_its_company(model, dtype):
    rng = np.random.RandomState(0)
    views = make_views(300, (16,) * 7, dtype=dtype)
    for v, view in enumerate(views[1:]):
        view[rng.rand(300) < 0.4] = np.nan
        view[v::40] = 0
    params = {} if model is SingleModel else {"view_weights": rng.uniform(0.1, 1, 7)}
    X, sizes = stack_views(views)
    fitted = model(sizes, missing_views="impute", **params, **seeded(model)).fit(X)
    if "normalize" in fitted.get_params():
        fitted.set_params(normalize=False)
    check_that_rows_are_independent(fitted, X, range(0, 300, 7))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_row_does_not_depend_on_its_company(dtype):
    """Wider than the buffers and the blocks that sums are cut into."""
    X = np.random.RandomState(0).randn(9, 40000).astype(dtype)
    check_that_rows_are_independent(Concatenation([20000, 20000]).fit(X), X, range(9))


@pytest.mark.parametrize("model", ALL)
def test_parameters_set_after_fit_are_checked(model, views):
    fitted = model().fit(views).set_params(missing_views="mask")
    with pytest.raises(ValueError, match="The 'missing_views' parameter"):
        fitted.transform(views)


@pytest.mark.parametrize("model", ALL[1:])  # the first has no weights
def test_weight_of_zero_is_the_view_not_being_there(model, views):
    expected = model(view_weights=None, **seeded(model)).fit_transform([views[0], views[2]])
    fitted = model(view_weights=[1, 0, 1], **seeded(model)).fit(views)
    assert_array_equal(fitted.transform(views), expected)
    assert fitted.view_weights_.tolist() == [1, 0, 1]
    assert fitted.view_sizes_ == [6, 6, 6]


def test_fusions_do_not_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from sknnens.fusion import Average, NeighborhoodProjection\n"
        "X = np.random.RandomState(0).randn(20, 6).astype(np.float32)\n"
        "X[0, :2] = np.nan\n"
        "Average([2, 2, 2], missing_views='impute').fit_transform(X)\n"
        "NeighborhoodProjection([2, 2, 2], missing_views='impute').fit_transform(X)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "model", "exponent"),
    [
        ("auto", NeighborhoodProjection, None),
        ("average", Average, None),
        ("pca", ConcatenationPCA, 0.0),
        ("whiten", ConcatenationPCA, 0.5),
    ],
)
def test_fusions_by_name(name, model, exponent, views):
    fusion = make_fusion(name)
    assert type(fusion) is model
    assert fusion.get_params().get("whiten_exponent") == exponent
    given = GCCA(n_components=2).fit(views)
    copy = make_fusion(given)
    assert copy is not given
    assert copy.n_components == 2
    assert not hasattr(copy, "components_")
    assert make_fusion(given, n_components=5, normalize=False).get_params() == {
        **given.get_params(),
        "normalize": False,
    }


@pytest.mark.parametrize("fusion", [*(model() for model in ALL), SingleModel(view=2)])
def test_fusion_of_views_that_were_read(fusion, views):
    """As the learner calls it: with views of positive weight, some rows at a time."""
    reader = Concatenation(view_weights=[0.5, 0, 1])
    data = reader._read_to_fit(views)
    if not isinstance(fusion, SingleModel):
        fusion.set_params(view_weights=[0.5, 0, 1])
    expected = clone(fusion).fit(views)
    fusion._fit_read(fusion._choose_rows(data))
    out = np.concatenate(
        [fusion._transform_views(data.views.take(slice(i, i + 1))) for i in range(60)]
    )
    assert_array_equal(out, expected.transform(views))
    assert fusion.view_weights_.tolist() == [0.5, 0, 1]
    assert fusion.view_sizes_ == [6, 6, 6]
    with pytest.raises(ValueError, match=r"^view=1 has the weight 0 in view_weights\.$"):
        SingleModel(view=1)._fit_read(data)


def test_one_grid_search_over_the_learner_and_its_baselines():
    X, sizes = stack_views(make_views(80))
    y = (X[:, 0] > np.median(X[:, 0])).astype(int)
    learner = EnsembleRepresentationLearner(sizes, max_iter=2, transform_max_iter=2, random_state=0)
    grid = [
        {"representation": [learner], "representation__n_layers": [1, 2]},
        {"representation": [SingleModel(sizes)], "representation__view": [0, 1, 2]},
        {"representation": [Average(sizes), Concatenation(sizes), NeighborhoodProjection(sizes)]},
        {
            "representation": [ConcatenationPCA(sizes, random_state=0)],
            "representation__whiten_exponent": [0, 0.5, 1],
        },
    ]
    model = Pipeline([("representation", "passthrough"), ("knn", KNeighborsClassifier(3))])
    search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 11
    assert search.best_score_ > 0.6
    assert clone(search.best_estimator_).fit(X, y).score(X, y) > 0.6


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize("missing_views", ["error", "impute"])
def test_a_file_gives_the_same_rows(model, missing_views, tmp_path):
    views = make_views(40, (6, 6, 6))
    fitted = model(missing_views=missing_views).fit(views)
    fitted.save(tmp_path / "fusion")
    loaded = model.load(tmp_path / "fusion")
    np.testing.assert_array_equal(loaded.transform(views), fitted.transform(views))
    assert loaded.get_params() == fitted.get_params()
