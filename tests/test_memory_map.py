"""Results in files, and memory maps as input."""

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens._files._atomic import new_file, release_pages


@pytest.fixture
def learner():
    return EnsembleRepresentationLearner(max_iter=3, random_state=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "params",
    [
        {},
        # rows are done at different times, and are not written in their order
        {"transform_tol": 1e-5, "n_iter_no_change": 1, "transform_max_iter": 50},
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_transform_into_a_file(learner, params, dtype, tmp_path):
    views = make_views(2500, (6, 6), dtype=dtype)
    learner.set_params(**params).fit([v[:100] for v in views])
    path = tmp_path / "out.npy"
    path.write_text("something else")
    out = learner.transform(views, out=path)
    assert isinstance(out, np.memmap)
    assert not out.flags.writeable
    expected = learner.transform(views)
    assert_array_equal(out, expected)
    assert_array_equal(np.load(path), expected)
    assert out.dtype == expected.dtype
    assert [p.name for p in tmp_path.iterdir()] == ["out.npy"]


def test_nothing_is_left_of_a_file_that_was_not_finished(learner, tmp_path, monkeypatch):
    views = make_views(60, (6, 6))
    learner.set_params(transform_solver="adam").fit(views)
    path = tmp_path / "out.npy"
    learner.transform(views, out=path)
    before = path.read_bytes()
    learner.set_params(representation_learning_rate=1e37)
    with pytest.raises(ValueError, match="Lower representation_learning_rate"):
        learner.transform(views, out=path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.npy"]


@pytest.mark.parametrize("name", ["", "nowhere/out.npy"])
def test_no_such_folder(learner, name, tmp_path):
    views = make_views(60, (6, 6))
    with pytest.raises(ValueError, match="must be the name of a file in a folder that is there"):
        learner.fit(views).transform(views, out=tmp_path / name)


def test_a_data_frame_of_a_file(learner, tmp_path):
    pytest.importorskip("pandas")
    views = make_views(60, (6, 6))
    learner.fit(views).set_output(transform="pandas")
    found = learner.transform(views, out=tmp_path / "out.npy")
    assert_array_equal(found.to_numpy(), learner.transform(views).to_numpy())


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_what_is_written_to_a_map_stays(mode, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((3000, 2)))
    x = np.load(path, mmap_mode=mode)
    if mode != "r":
        x[5] = 7
    expected = np.array(x)
    release_pages(x[:, 1:])
    assert_array_equal(x, expected)


def test_a_new_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "x"
    with new_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"


def test_fit_and_transform_from_a_map_as_from_memory(learner, tmp_path):
    views = make_views(60, (6, 4))
    X, sizes = stack_views(views, out=tmp_path / "x.npy")
    learner.set_params(views=sizes)
    assert_array_equal(learner.fit_transform(X), learner.fit_transform(np.array(X)))
