"""Stacking, in memory and into a file."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_views
from forms import Reader
from numpy.testing import assert_array_equal

import sknnens._views._stack
from sknnens import stack_views


@pytest.fixture
def small_chunks(monkeypatch):
    """Five rows at a time, of twelve float32 columns."""
    monkeypatch.setattr(sknnens._views._stack, "CHUNK_BYTES", 5 * 12 * 4)


def test_arrays_side_by_side():
    a, b = np.arange(6.0).reshape(3, 2), np.ones((3, 1))
    X, sizes = stack_views([a, b])
    assert_array_equal(X, np.hstack([a, b]))
    assert sizes == [2, 1]


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ((np.float16, np.float16), np.float32),
        ((np.float32, np.float64), np.float64),
        ((np.int64, np.float32), np.float32),
    ],
)
def test_dtype(dtypes, expected, tmp_path):
    views = [np.ones((3, 2), dtype=d) for d in dtypes]
    assert stack_views(views)[0].dtype == expected
    assert stack_views(views, out=tmp_path / "X.npy")[0].dtype == expected


def test_groups_of_columns_and_widths_to_check():
    frame = pd.DataFrame(np.arange(12.0).reshape(3, 4), columns=list("abcd"))
    X, views = stack_views(frame, {"one": ["d"], "two": ["a", "b"]})
    assert_array_equal(X, frame[["d", "a", "b"]])
    assert views == {"one": 1, "two": 2}
    assert stack_views(frame, [1, 3])[1] == [1, 3]
    with pytest.raises(ValueError, match=r"^views=\[1, 1\] add up to 2 columns, but X has 4\.$"):
        stack_views(frame, [1, 1])
    with pytest.raises(ValueError, match=r"^view 0 has 2 columns, views says 3\.$"):
        stack_views([np.ones((3, 2))], [3])
    with pytest.raises(ValueError, match=r"^X has 1 views, views says 2\."):
        stack_views([np.ones((3, 2))], [1, 1])
    with pytest.raises(TypeError, match="views names columns of a DataFrame, but X is"):
        stack_views(frame.to_numpy(), {"one": ["a"]})


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_maps_into_a_file(tmp_path, order):
    views = make_views(23, (5, 3, 4))
    for i, x in enumerate(views):
        np.save(tmp_path / f"{i}.npy", np.asarray(x, order=order))
    maps = [np.load(tmp_path / f"{i}.npy", mmap_mode="r") for i in range(3)]
    X, sizes = stack_views(maps, out=tmp_path / "X.npy")
    assert isinstance(X, np.memmap)
    assert not X.flags.writeable
    assert_array_equal(X, np.hstack(views))
    assert_array_equal(np.load(tmp_path / "X.npy"), np.hstack(views))
    assert_array_equal(np.hstack(maps), np.hstack(views))  # the maps still work
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.npy", "1.npy", "2.npy", "X.npy"]
    assert_array_equal(Reader(sizes).fit_transform(X), X)


@pytest.mark.usefixtures("small_chunks")
def test_changes_to_a_private_memory_map_are_kept(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((23, 12), np.float32))
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[:] = 1
    X, _ = stack_views([private], out=tmp_path / "X.npy")
    assert (X == 1).all()
    assert (private == 1).all()


@pytest.mark.usefixtures("small_chunks")
def test_cells_of_several_types_into_a_file(tmp_path):
    """What the first rows are does not decide how precise the others are kept."""
    cells = [np.full(2, 0.1, dtype=np.float32)] * 20 + [None] + [np.full(2, 0.1)] * 20
    frame = pd.DataFrame({"clip": [None, *cells[1:]], "dino": cells})
    X, views = stack_views(frame, out=tmp_path / "X.npy")
    assert X.dtype == np.float64
    assert_array_equal(X, stack_views(frame)[0])
    assert_array_equal(np.load(tmp_path / "X.npy"), X)  # as the next process sees it
    assert [path.name for path in tmp_path.iterdir()] == ["X.npy"]
    assert X[-1, 0] == 0.1
    assert np.isnan(X[0, :2]).all()
    assert views == {"clip": 2, "dino": 2}


BAD_ROWS = {
    "nan": (17, np.nan, r"^view 1 contains NaN in row 17, in 1 of its 3 columns\.$"),
    "inf": (17, np.inf, r"^view 1 contains infinity in row 17\.$"),
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("in_file", [False, True])
def test_bad_rows_are_named_and_nothing_is_left_behind(case, in_file, tmp_path):
    row, value, message = BAD_ROWS[case]
    views = make_views(23, (5, 3, 4))
    views[1][row, 0] = value
    out = tmp_path / "X.npy"
    out.write_bytes(b"an older file")
    with pytest.raises(ValueError, match=message):
        stack_views(views, out=out if in_file else None)
    assert [p.name for p in tmp_path.iterdir()] == ["X.npy"]
    assert out.read_bytes() == b"an older file"


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("in_file", [False, True])
def test_bad_cells_are_named(in_file, tmp_path):
    frame = pd.DataFrame({"clip": [np.ones(3, np.float32)] * 22 + [np.ones(4, np.float32)]})
    message = r"^view 0 \('clip'\): row 22 holds an array of shape \(4,\), but others have \(3,\)"
    with pytest.raises(ValueError, match=message):
        stack_views(frame, out=tmp_path / "X.npy" if in_file else None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((3, 4, 2)), ValueError, r"dim 3, .* stack_views\(list\(X\)\)\.$"),
        ([np.ones((3, 2)), np.ones((4, 2))], ValueError, r"same samples.*\[3, 4\] rows\.$"),
        ([np.ones((3, 2)), np.ones(3)], ValueError, "^view 1: .* 1D array"),
        ([np.empty((0, 2))], ValueError, "^view 0: .* 0 sample"),
        ("a.npy", TypeError, r"^Expected numbers, got 'a.npy'\. Open a file by np\.load"),
        ([Path("a.npy")], TypeError, "^Expected numbers, got .*Path"),
        (iter([np.ones((3, 2))]), TypeError, "^Expected one matrix, or a list, tuple or dict"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_no_matrices(X, error, message, in_file, tmp_path):
    with pytest.raises(error, match=message):
        stack_views(X, out=tmp_path / "X.npy" if in_file else None)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("small_chunks")
def test_bad_rows_of_a_series_are_named(tmp_path):
    cells = pd.Series([None] + [np.ones(3, np.float32)] * 16 + [np.array([1, np.nan, 1], "f4")] * 5)
    message = r"^view 0 contains NaN in row 17, in 1 of its 3 columns\.$"
    for out in (None, tmp_path / "X.npy"):
        with pytest.raises(ValueError, match=message):
            stack_views([cells, cells], out=out)


@pytest.mark.parametrize("name", ["", "no/such/X.npy"])
def test_bad_name_of_the_file(name, tmp_path):
    with pytest.raises(ValueError, match=r"^out='.*' must be the name of a file in a folder that"):
        stack_views([np.ones((3, 2))], out=tmp_path / name)


def test_missing_rows_stay_missing():
    views = make_views(9, (2, 3))
    views[1][4] = np.nan
    assert np.isnan(stack_views(views)[0][4]).tolist() == [False, False, True, True, True]


@pytest.mark.slow
def test_a_file_that_cannot_be_written_whole(tmp_path):
    """A full disk, or any other end, leaves no file under the name."""
    code = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from sknnens import stack_views
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))
        try:
            stack_views([np.ones((10**6, 1), np.float32)], out=sys.argv[1])
        except OSError:
            sys.exit(7)
    """)
    out = tmp_path / "X.npy"
    done = subprocess.run([sys.executable, "-c", code, str(out)], check=False)
    assert done.returncode == 7
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_process_leaves_no_file_under_the_name(tmp_path):
    code = textwrap.dedent("""
        import os, signal, sys
        import numpy as np
        import sknnens._views._stack as stacking
        stacking.CHUNK_BYTES = 4000
        def kill(x, *args, rows=[0], **kwargs):
            rows[0] += len(x)
            if rows[0] > 5000:
                os.kill(os.getpid(), signal.SIGKILL)
        stacking.check_rows = kill
        stacking.stack_views([np.ones((10000, 1), np.float32)], out=sys.argv[1])
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "X.npy")], check=False)
    assert done.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert left.name.endswith(".partial")
