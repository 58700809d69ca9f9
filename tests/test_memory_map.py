"""Results in files, and memory maps as input."""

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner, stack_views


@pytest.fixture
def learner():
    return EnsembleRepresentationLearner(max_iter=3, random_state=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_into_a_file(learner, dtype, tmp_path):
    views = make_views(2500, (6, 6), dtype=dtype)
    learner.fit([v[:100] for v in views])
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
    learner.step_size_ = 1e37
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


def test_input_is_not_replaced(learner, tmp_path):
    path = tmp_path / "x.npy"
    X, sizes = stack_views(make_views(60, (6, 6)), out=path)
    learner.set_params(views=sizes).fit(X)
    (tmp_path / "link.npy").symlink_to(path)
    for out in (path, tmp_path / "." / "link.npy"):
        with pytest.raises(ValueError, match=r"out=.* is a file that is read from"):
            learner.transform(X, out=out)
    assert_array_equal(np.load(path), X)


def test_fit_and_transform_from_a_map_as_from_memory(learner, tmp_path):
    views = make_views(60, (6, 4))
    X, sizes = stack_views(views, out=tmp_path / "x.npy")
    learner.set_params(views=sizes)
    assert_array_equal(learner.fit_transform(X), learner.fit_transform(np.array(X)))
