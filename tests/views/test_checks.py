"""One pass over the rows: norms, extremes, and which views are non-negative."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknnens._views import _checks as checks
from sknnens._views import row_norms, stack_views, unit_rows
from sknnens._views._checks import check_views


@pytest.fixture
def small_chunks(monkeypatch):
    """Seven rows at a time, of five columns."""
    monkeypatch.setattr(checks, "CHUNK_ENTRIES", 7 * 5 + 1)


def rows(n_rows=60, n_columns=5, dtype=np.float32, seed=0):
    return np.random.RandomState(seed).randn(n_rows, n_columns).astype(dtype)


def check(x, **params):
    views, [non_negative] = check_views([x], ["X"], allow_missing=True, drops_rows=True, **params)
    return views.arrays[0], views.norms[0], non_negative


class Counted(np.ndarray):
    """Counts how often each row is taken."""

    counts = None

    def __getitem__(self, key):
        if self.counts is not None and isinstance(key, slice):
            self.counts[key] += 1
        return np.asarray(self)[key]


@pytest.mark.usefixtures("small_chunks")
def test_each_row_is_read_once():
    x = rows().view(Counted)
    x.counts = np.zeros(60, int)
    check(x)
    assert_array_equal(x.counts, 1)


@pytest.mark.usefixtures("small_chunks")
def test_a_memory_map_is_not_copied(tmp_path):
    X, _ = stack_views([rows(), rows(seed=1)], out=tmp_path / "X.npy")
    found, norms, _ = check(X[:, 5:])
    assert np.shares_memory(found, X)
    assert_array_equal(norms, row_norms(rows(seed=1)))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_do_not_depend_on_the_layout_or_on_other_rows(dtype):
    x = rows(n_columns=300, dtype=dtype)
    expected = np.sqrt(np.square(x).sum(axis=1))
    assert_allclose(expected, np.linalg.norm(x.astype(np.float64), axis=1), rtol=1e-5)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    for same in (x, np.asfortranarray(x), strided):
        found, norms, _ = check(same)
        assert found is same
        assert norms.dtype == dtype
        assert_array_equal(norms, expected)
    for i in (0, 33):
        assert check(x[i : i + 1])[1] == expected[i]


@pytest.mark.usefixtures("small_chunks")
def test_zero_and_missing_rows():
    x = rows()
    x[10], x[20] = 0, np.nan
    found, norms, _ = check(x)
    assert norms[10] == 0
    assert np.isnan(norms[20])
    assert found is x
    units = unit_rows(x, norms)
    assert_array_equal(units[[10, 20]], 0)
    assert_allclose(np.linalg.norm(np.delete(units, [10, 20], axis=0), axis=1), 1, rtol=1e-6)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", ["max", "tiny", "subnormal", "large", "small"])
def test_rows_whose_squares_over_or_underflow(dtype, exponent):
    info = np.finfo(dtype)
    scales = {"max": info.max / 4, "tiny": info.tiny, "subnormal": 8 * info.smallest_subnormal}
    scales |= {"large": info.max**0.3, "small": info.max**-0.3}
    x = rows(dtype=dtype)
    x[[3, 40]] = np.sign(x[[3, 40]]) * dtype(scales[exponent])
    x[50] = 0
    before = x.copy()
    found, norms, _ = check(x)
    assert_array_equal(x, before)
    others = np.delete(np.arange(60), [3, 40])
    assert_array_equal(found[others], x[others])
    assert_array_equal(norms[others], row_norms(x[others]))
    units = unit_rows(found, norms)
    assert_allclose(units[[3, 40]], np.sign(x[[3, 40]]) / np.sqrt(5), rtol=1e-6)
    assert np.isfinite(norms).all()


def test_extremes_do_not_hide_faults():
    x = rows(dtype=np.float32)
    x[3] = 3e38
    x[7, 2] = np.inf
    with pytest.raises(ValueError, match=r"^X contains infinity in row 7\.$"):
        check(x)
    x[7, 2] = np.nan
    with pytest.raises(ValueError, match=r"^X contains NaN in row 7, in 1 of its 5 columns\.$"):
        check(x)


@pytest.mark.usefixtures("small_chunks")
def test_stacking_keeps_extreme_rows(tmp_path):
    x = rows()
    x[3], x[4] = 3e38, 1e-44
    for out in (None, tmp_path / "X.npy"):
        assert_array_equal(stack_views([x, x], out=out)[0], np.hstack([x, x]))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("row", [0, 59])
def test_which_views_are_non_negative(row):
    x = np.abs(rows())
    x[5], x[6, 0] = np.nan, -0.0
    assert check(x)[2]
    x[row, 1] = -1
    assert not check(x)[2]
