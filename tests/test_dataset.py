"""Folders of parquet files: samples of their rows, and rows transformed some at a time."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import make_views
from numpy.testing import assert_array_equal

from sknnens import EnsembleRepresentationLearner, sample_rows, stack_views
from sknnens._files import _atomic
from sknnens._views import _blocks, _dataset
from sknnens.fusion import Average, Concatenation

pa = pytest.importorskip("pyarrow")
ds = pytest.importorskip("pyarrow.dataset")
pq = pytest.importorskip("pyarrow.parquet")

N_ROWS, SIZES = 1000, [6, 5]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "BLOCK_ROWS", 128)


def table(dtype=np.float32, gap=False):
    a, b = (list(v.astype(dtype)) for v in make_views(N_ROWS, SIZES))
    if gap:
        b[3] = None
    return pa.table({"clip": a, "text": [f"no {i}" for i in range(N_ROWS)], "dino": b})


def write(folder, whole):
    """Write three files with row groups of unlike lengths."""
    folder.mkdir()
    for i, (begin, end) in enumerate([(0, 300), (300, 301), (301, N_ROWS)]):
        pq.write_table(whole.slice(begin, end - begin), folder / f"{i}.parquet", row_group_size=150)
    return ds.dataset(folder)


def make_learner(**parameters):
    views = {"clip": ["clip"], "dino": ["dino"]}
    return EnsembleRepresentationLearner(views, max_iter=2, random_state=0, **parameters)


@pytest.fixture(scope="module")
def learner():
    return make_learner().fit(table())


@pytest.fixture
def dataset(tmp_path):
    return write(tmp_path / "in", table())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_are_those_of_the_whole_table(dtype, tmp_path):
    learner, dataset = make_learner().fit(table(dtype)), write(tmp_path / "in", table(dtype))
    expected = learner.transform(table(dtype))
    for found in (learner.transform(dataset), learner.transform(dataset, out=tmp_path / "x.npy")):
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)
    fusion = Average({"clip": ["clip"], "dino": ["clip2"]})
    twice = table(dtype).append_column("clip2", table(dtype)["clip"])
    fusion.fit(twice)
    out = fusion.transform(write(tmp_path / "twice", twice), out=tmp_path / "y.npy")
    assert_array_equal(out, fusion.transform(twice))


def test_views_found_by_the_names_of_their_columns(tmp_path):
    whole = table().drop_columns("text")
    learner = EnsembleRepresentationLearner(max_iter=1, random_state=0).fit(whole)
    dataset = write(tmp_path / "in", table())
    assert_array_equal(learner.transform(dataset), learner.transform(whole))


def test_columns_of_numbers(tmp_path):
    names = [f"c{i}" for i in range(sum(SIZES))]
    X = stack_views(make_views(N_ROWS, SIZES))[0]
    flat = pa.table(dict(zip(names, X.T, strict=True)))
    fusion = Concatenation(SIZES).fit(flat)
    assert_array_equal(fusion.transform(write(tmp_path / "in", flat)), fusion.transform(flat))
    with pytest.raises(ValueError, match="feature names should match"):
        fusion.transform(write(tmp_path / "other", flat.rename_columns(names[::-1])))


def test_only_the_columns_of_the_views_are_read(learner, tmp_path, monkeypatch):
    read = []
    init = _dataset.DatasetReader.__init__

    def keep(self, dataset, columns=None):
        read.append(columns)
        init(self, dataset, columns)

    monkeypatch.setattr(_dataset.DatasetReader, "__init__", keep)
    learner.transform(write(tmp_path / "in", table()))
    assert read == [["clip", "dino"]]


def test_samples_that_lack_views(tmp_path):
    whole = table(gap=True)
    learner, dataset = make_learner(missing_views="impute").fit(whole), write(tmp_path / "x", whole)
    assert_array_equal(learner.transform(dataset), learner.transform(whole))
    with pytest.raises(ValueError, match=r"0\.parquet', counted from row 0 of X on: view 1"):
        make_learner().fit(table()).transform(dataset)


@pytest.mark.parametrize("begin", [0, 1, 149, 150, 299, 300, 301, 450, 999, 1000])
def test_reading_from_any_row_on(dataset, begin):
    batches = list(_dataset.DatasetReader(dataset, ["text"]).read(64, begin))
    texts = [text for batch in batches for text in batch.table["text"].to_pylist()]
    assert texts == [f"no {i}" for i in range(begin, N_ROWS)]
    assert max([len(batch.table) for batch in batches], default=0) <= 64
    for batch in batches:
        assert batch.table["text"][0].as_py() == f"no {batch.begin}"
        assert batch.path.endswith(f"{(batch.begin >= 300) + (batch.begin >= 301)}.parquet")


@pytest.mark.parametrize("file_format", ["parquet", "feather"])
def test_samples(file_format, tmp_path):
    ds.write_dataset(table(), tmp_path / "in", format=file_format)
    dataset = ds.dataset(tmp_path / "in", format=file_format)
    rows = np.sort(np.random.RandomState(0).permutation(N_ROWS)[:70])
    found = sample_rows(dataset, 70, random_state=0)
    assert found.schema.names == ["clip", "text", "dino"]
    assert found["text"].to_pylist() == [f"no {i}" for i in rows]
    assert_array_equal(np.stack(found["clip"].to_numpy()), make_views(N_ROWS, SIZES)[0][rows])
    assert sample_rows(dataset, 5, columns=["clip"]).schema.names == ["clip"]
    assert len(sample_rows(dataset, 10 * N_ROWS)) == N_ROWS
    learner = make_learner().fit(found)
    assert_array_equal(learner.transform(dataset), learner.transform(table()))


def test_what_is_wrong_is_said(learner, dataset, tmp_path):
    for call in (learner.fit, stack_views, Concatenation().fit):
        with pytest.raises(TypeError, match=r"fit\(sample_rows\(X, 100_000\)\)"):
            call(dataset)
    with pytest.raises(ValueError, match="filter"):
        learner.transform(dataset.filter(ds.field("text") == "no 3"))
    with pytest.raises(TypeError, match="a dataset of files, got a InMemoryDataset"):
        learner.transform(ds.dataset(table()))
    with pytest.raises(ValueError, match=r"0\.parquet', counted from row 0 .*no column 'dino'"):
        learner.transform(write(tmp_path / "few", table().drop_columns("dino")))
    with pytest.raises(ValueError, match="X has no rows"):
        learner.transform(write(tmp_path / "none", table().slice(0, 0)))
    with pytest.raises(ValueError, match="give out"):
        learner.transform(dataset, resume=True)
    with pytest.raises(ValueError, match="is a file that is read from"):
        learner.transform(dataset, out=tmp_path / "in" / "0.parquet")


def test_a_file_that_is_not_whole_is_named_before_anything_is_written(learner, dataset, tmp_path):
    path = tmp_path / "in" / "2.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    for call in (learner.transform, lambda X: sample_rows(X, 3)):
        with pytest.raises(ValueError, match=r"2\.parquet' is not whole"):
            call(dataset)
    with pytest.raises(ValueError, match=r"2\.parquet' is not whole"):
        learner.transform(dataset, out=tmp_path / "out.npy", resume=True)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def interrupt_after(monkeypatch, n_blocks):
    """Interrupt transform after some blocks of a file."""
    append = _atomic.RowFile.append
    left = [n_blocks]

    def fail(self, rows):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        append(self, rows)

    monkeypatch.setattr(_atomic.RowFile, "append", fail)


@pytest.mark.parametrize("n_blocks", [0, 1, 3])
@pytest.mark.parametrize("from_files", [False, True])
@pytest.mark.parametrize("torn", [0, 7])
def test_an_interrupted_call_is_continued(
    learner, dataset, tmp_path, monkeypatch, n_blocks, from_files, torn
):
    X = dataset if from_files else table()
    out, partial = tmp_path / "out.npy", tmp_path / "out.npy.partial"
    with monkeypatch.context() as patch:
        interrupt_after(patch, n_blocks)
        with pytest.raises(KeyboardInterrupt):
            learner.transform(X, out=out, resume=True)
    assert not out.exists()
    if torn:  # as a crash in the middle of a row would
        os.truncate(partial, max(0, partial.stat().st_size - torn))
    n_left = N_ROWS - max(0, partial.stat().st_size - 128) // (4 * max(SIZES))
    computed = []
    whole = EnsembleRepresentationLearner._transform_views

    def count(self, views, on_rows=None):
        computed.append(len(views))
        return whole(self, views, on_rows)

    monkeypatch.setattr(EnsembleRepresentationLearner, "_transform_views", count)
    found = learner.transform(X, out=out, resume=True)
    assert n_left <= sum(computed) <= n_left + 2 * 64
    assert_array_equal(found, learner.transform(table()))
    assert not partial.exists()


def test_rows_of_another_call_are_not_continued(learner, tmp_path, monkeypatch):
    out = tmp_path / "out.npy"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            learner.transform(table(), out=out, resume=True)
    views = [np.stack(table()[name].to_numpy()) for name in ("clip", "dino")]
    first, last = ([v.copy() for v in views] for _ in range(2))
    first[0][0], last[1][255] = views[0][1], views[1][1]
    other = make_learner().set_params(random_state=1).fit(table())
    for call in (
        lambda: other.transform(table(), out=out, resume=True),
        lambda: learner.transform(table().slice(0, 990), out=out, resume=True),
        lambda: learner.transform(table(np.float64), out=out, resume=True),
        lambda: learner.transform({"clip": first[0], "dino": first[1]}, out=out, resume=True),
        lambda: learner.transform({"clip": last[0], "dino": last[1]}, out=out, resume=True),
    ):
        with pytest.raises(ValueError, match=r"out\.npy\.partial.*Remove it to start anew"):
            call()
    assert_array_equal(learner.transform(table(), out=out, resume=True), learner.transform(table()))


@pytest.mark.skipif(sys.platform == "win32", reason="no lock")
def test_two_processes_do_not_write_one_file(learner, tmp_path):
    import fcntl

    with (tmp_path / "out.npy.partial").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="being written by another process"):
            learner.transform(table(), out=tmp_path / "out.npy", resume=True)


@pytest.mark.slow
def test_a_killed_process_is_continued(learner, dataset, tmp_path):
    learner.save(tmp_path / "learner.safetensors")
    code = """
        import pyarrow.dataset, sys
        from sknnens import EnsembleRepresentationLearner
        from sknnens._files._atomic import RowFile
        from sknnens._views import _blocks

        _blocks.BLOCK_ROWS = 64
        append = RowFile.append
        RowFile.append = lambda self, rows: (append(self, rows), print(self.n_rows, flush=True))
        folder = sys.argv[1]
        learner = EnsembleRepresentationLearner.load(folder + "/learner.safetensors")
        X = pyarrow.dataset.dataset(folder + "/in")
        learner.transform(X, out=folder + "/out.npy", resume=True)
    """
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path]
    begins = []
    for n_blocks in (2, 2, 10**6):
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            for i, line in enumerate(process.stdout):
                begins += [int(line)] if i == 0 else []
                if i == n_blocks:
                    process.send_signal(signal.SIGKILL)
                    break
            process.wait(timeout=120)
    assert begins[0] == 64
    assert begins[0] < begins[1] < begins[2]
    assert_array_equal(np.load(tmp_path / "out.npy"), learner.transform(table()))
