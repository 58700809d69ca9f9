"""Arrays and frames of Dask: samples of their rows, and rows transformed where they are."""

import numpy as np
import pandas as pd
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner, sample_rows, stack_views
from sknnens.fusion import Concatenation, NeighborhoodProjection

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

N_ROWS, SIZES = 250, [6, 5]
A, B = make_views(N_ROWS, SIZES)
X = np.hstack([A, B])


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(scope="module")
def learner():
    return EnsembleRepresentationLearner(SIZES, max_iter=2, random_state=0).fit(X)


def holds(task, transformer):
    """Whether a task of a graph has the transformer in it, by itself."""
    parts = [task, getattr(task, "value", None), *getattr(task, "args", ())]
    parts += task if isinstance(task, tuple | list) else []
    return any(part is transformer for part in parts)


def vectors(index=None):
    return pd.DataFrame({"clip": list(A), "dino": list(B), "id": range(N_ROWS)}, index=index)


def to_dask(frame, npartitions=4):
    with dask.config.set({"dataframe.convert-string": False}):
        return dd.from_pandas(frame, npartitions=npartitions, sort=False)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, int])
def test_an_array_is_transformed_when_it_is_computed(learner, dtype):
    numbers = (X * 100).astype(dtype)
    lazy = learner.transform(da.from_array(numbers, chunks=(70, 11)))
    assert lazy.chunks == ((70, 70, 70, 40), (6,))
    expected = learner.transform(numbers)
    assert lazy.dtype == expected.dtype
    assert_array_equal(lazy.compute(), expected)
    assert_array_equal(lazy[130:140].compute(), expected[130:140])


def test_nothing_is_computed_before(learner):
    def fail(block):
        raise AssertionError("computed")

    lazy = da.from_array(X, chunks=(70, 11)).map_blocks(fail, dtype=X.dtype, meta=X[:0])
    result = learner.transform(lazy)
    with pytest.raises(AssertionError, match="computed"):
        result.compute()


def test_chunks_of_unknown_length_and_empty_ones(learner):
    lazy = da.from_array(X, chunks=(70, 11))
    few = lazy[lazy[:, 0] > np.quantile(X[:, 0], 0.99)]  # most chunks become empty
    assert np.isnan(few.chunks[0]).all()
    expected = learner.transform(X[X[:, 0] > np.quantile(X[:, 0], 0.99)])
    assert_array_equal(learner.transform(few).compute(), expected)
    assert len(sample_rows(few, 1000)) == len(expected)


@pytest.mark.parametrize("model", [Concatenation(), NeighborhoodProjection(), None])
def test_the_transformer_is_in_the_graph_once(model, learner):
    fitted = learner if model is None else model.set_params(views=SIZES).fit(X)
    lazy = fitted.transform(da.from_array(X, chunks=(10, 11)))
    assert_array_equal(lazy.compute(), fitted.transform(X))
    holders = [key for key, task in dict(lazy.__dask_graph__()).items() if holds(task, fitted)]
    assert len(holders) == 1


@pytest.mark.parametrize("index", [None, [f"u{i}" for i in range(N_ROWS)]])
def test_frames_come_out_as_frames(index):
    frame = vectors(index)
    groups = {"clip": ["clip"], "dino": ["dino"]}
    model = EnsembleRepresentationLearner(groups, max_iter=2, random_state=0).fit(frame)
    lazy = model.transform(to_dask(frame))
    assert isinstance(lazy, dd.DataFrame)
    assert lazy.npartitions == 4
    assert lazy.columns.tolist() == model.get_feature_names_out().tolist()
    assert set(lazy.dtypes) == {np.dtype(np.float32)}
    out = lazy.compute()
    assert_array_equal(out.to_numpy(), model.transform(frame))
    assert out.index.tolist() == frame.index.tolist()
    flat = pd.DataFrame(X.astype(np.float64)).add_prefix("c")
    model = Concatenation(SIZES).fit(flat)
    lazy = model.transform(to_dask(flat))
    assert set(lazy.dtypes) == {np.dtype(np.float64)}
    assert_array_equal(lazy.compute().to_numpy(), model.transform(flat))


def test_one_row_of_a_frame_is_read_before_it_is_computed():
    read = []

    def keep(part):
        read.append(part["id"].iloc[0])
        return part[part["id"] >= 100]

    X = to_dask(vectors(), npartitions=5)
    groups = {"clip": ["clip"], "dino": ["dino"]}
    model = EnsembleRepresentationLearner(groups, max_iter=1, random_state=0).fit(vectors())
    lazy = model.transform(X.map_partitions(keep, meta=X._meta))
    assert read == [0, 50, 100]
    assert len(lazy.compute()) == N_ROWS - 100
    empty = X.map_partitions(lambda part: part.iloc[:0], meta=X._meta)
    with pytest.raises(ValueError, match="X has no rows"):
        model.transform(empty)


def test_from_parquet_to_parquet(tmp_path):
    frame = vectors()
    frame.to_parquet(tmp_path / "in.parquet", row_group_size=60)
    lazy = dd.read_parquet(tmp_path / "in.parquet", split_row_groups=True)
    assert lazy.npartitions > 1
    groups = {"clip": ["clip"], "dino": ["dino"]}
    sample = sample_rows(lazy, 100, random_state=0)
    model = EnsembleRepresentationLearner(groups, max_iter=2, random_state=0).fit(sample)
    model.transform(lazy).to_parquet(tmp_path / "out")
    assert_array_equal(pd.read_parquet(tmp_path / "out").to_numpy(), model.transform(frame))


@pytest.mark.parametrize("known", [True, False])
def test_samples(known):
    numbers = np.arange(1000)[:, None] * np.ones(3)
    lazy = da.from_array(numbers, chunks=((1, 499, 0, 500), 3))
    if not known:
        lazy = lazy[lazy[:, 0] >= 0]
    found = sample_rows(lazy, 300, random_state=0)
    assert found.shape == (300, 3)
    assert (np.diff(found[:, 0]) > 0).all()  # in order, none twice
    assert 100 < (found[:, 0] < 500).sum() < 200  # from all over
    assert_array_equal(sample_rows(lazy, 300, random_state=0), found)
    assert (sample_rows(lazy, 300, random_state=1) != found).any()
    assert_array_equal(sample_rows(lazy, 5000), numbers)
    frame = to_dask(pd.DataFrame(numbers))
    pd.testing.assert_frame_equal(
        sample_rows(frame, 300, random_state=0), pd.DataFrame(numbers).loc[found[:, 0].astype(int)]
    )


def test_what_is_wrong_is_said(learner):
    lazy = da.from_array(X, chunks=(70, 11))
    for call in (learner.fit, Concatenation().fit, stack_views):
        for given in (lazy, [lazy, lazy], {"a": lazy, "b": lazy}, to_dask(vectors())):
            with pytest.raises(TypeError, match=r"fit\(sample_rows\(X, 100_000\)\)"):
                call(given)
    with pytest.raises(TypeError, match="without out"):
        learner.transform(lazy, out="out.npy")
    with pytest.raises(ValueError, match=r"split into 3 chunks.*X\.rechunk\(\{1: -1\}\)"):
        learner.transform(lazy.rechunk((70, 4)))
    with pytest.raises(ValueError, match="split into 3 chunks"):
        sample_rows(lazy.rechunk((70, 4)), 10)
    with pytest.raises(ValueError, match=r"views=\[6, 5\] add up to 11 columns, but X has 10"):
        learner.transform(lazy[:, :10])
    with pytest.raises(ValueError, match="two axes"):
        learner.transform(lazy[:, 0])
    with pytest.raises(
        TypeError,
        match="or a dataset of pyarrow, got ndarray",
    ):
        sample_rows(X, 10)
    with pytest.raises(ValueError, match="n_rows=0 must be positive"):
        sample_rows(lazy, 0)
    of_cells = EnsembleRepresentationLearner(
        {"clip": ["clip"], "dino": ["dino"]}, max_iter=1, random_state=0
    ).fit(vectors())
    with pytest.raises(ValueError, match="X has no column 'dino'"):
        of_cells.transform(to_dask(vectors()[["clip"]]))
    with (
        dask.config.set({"dataframe.convert-string": True}),
        pytest.raises(ValueError, match=r"dask\.config\.set"),
    ):
        of_cells.transform(dd.from_pandas(vectors().astype({"clip": str}), npartitions=2))
    of_cells.set_output(transform="pandas")
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\) would gather"):
        of_cells.transform(to_dask(vectors()))
