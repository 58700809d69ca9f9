"""Folders of parquet files: samples of their rows, and rows transformed some at a time."""

import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise

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


def test_only_the_columns_of_the_views_are_read(dataset):
    reader = _dataset.DatasetReader(dataset, {"clip", "dino", "other"})
    assert next(reader.read(10)).table.schema.names == ["clip", "dino"]


def test_files_and_row_groups_of_few_rows_or_none(learner, tmp_path):
    whole, folder = table(), tmp_path / "in"
    folder.mkdir()
    ends = [0, 0, 70, 70, 71, 150, 700, 700, N_ROWS, N_ROWS]
    for i, (begin, end) in enumerate(pairwise(ends)):
        part = whole.slice(begin, end - begin)
        pq.write_table(part, folder / f"{i}.parquet", row_group_size=17)
    dataset = ds.dataset(folder)
    assert_array_equal(learner.transform(dataset), learner.transform(whole))
    samples = _blocks._read_dataset(learner, dataset)
    assert [len(views) for views in samples.read(3)] == [128] * 7 + [101]
    assert len(sample_rows(dataset, 500)) == 500


@pytest.mark.parametrize("begin", [0, 300])
def test_the_dtype_is_that_of_the_schema(begin, tmp_path):
    whole = table().set_column(2, "dino", table(np.float64)["dino"])
    cells = whole["dino"].to_pylist()
    cells[begin : begin + 300] = [None] * 300
    whole = whole.set_column(2, "dino", pa.array(cells, pa.list_(pa.float64())))
    learner = make_learner(missing_views="impute").fit(whole)
    found = learner.transform(write(tmp_path / "in", whole))
    assert found.dtype == np.float64
    assert_array_equal(found, learner.transform(whole))


def test_samples_that_lack_views(tmp_path):
    whole = table(gap=True)
    learner, dataset = make_learner(missing_views="impute").fit(whole), write(tmp_path / "x", whole)
    assert_array_equal(learner.transform(dataset), learner.transform(whole))
    with pytest.raises(ValueError, match=r"0\.parquet', counted from row 0 of X on: view 1"):
        make_learner().fit(table()).transform(dataset)


@pytest.mark.parametrize("begin", [0, 1, 149, 150, 299, 300, 301, 450, 999, 1000])
def test_reading_from_any_row_on(dataset, begin):
    batches = list(_dataset.DatasetReader(dataset, {"text"}).read(64, begin))
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
    found = sample_rows(dataset, 70, random_state=0)
    rows = np.array([int(text[3:]) for text in found["text"].to_pylist()])
    assert (np.diff(rows) > 0).all()
    assert rows[0] < 100
    assert rows[-1] > 900
    assert found.schema.names == ["clip", "text", "dino"]
    assert found.equals(sample_rows(dataset, 70, random_state=0))
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
    with pytest.raises(TypeError, match="a dataset of files, got one of type InMemoryDataset"):
        learner.transform(ds.dataset(table()))
    with pytest.raises(ValueError, match=r"0\.parquet', counted from row 0 .*no column 'dino'"):
        learner.transform(write(tmp_path / "few", table().drop_columns("dino")))
    for call in (learner.transform, lambda X: sample_rows(X, 3)):
        with pytest.raises(ValueError, match="X has no rows"):
            call(write(tmp_path / f"none_{call.__name__}", table().slice(0, 0)))
    with pytest.raises(ValueError, match="X has no column 'dni', only"):
        sample_rows(dataset, 3, columns=["clip", "dni"])
    with pytest.raises(ValueError, match="give out"):
        learner.transform(dataset, resume=True)
    with pytest.raises(ValueError, match="is a file that is read from"):
        learner.transform(dataset, out=tmp_path / "in" / "0.parquet")


@pytest.mark.parametrize("number", [0, 2])
def test_a_file_with_other_columns_is_named(dataset, tmp_path, number):
    path = tmp_path / "in" / f"{number}.parquet"
    learner = make_learner(missing_views="impute").fit(table())
    wrong = {
        "has no column 'dino', which other files have": table().drop_columns("dino"),
        "of type (float|double), but the dataset of type (float|double)": table(np.float64),
    }
    for message, part in wrong.items():
        pq.write_table(part, path)
        changed = ds.dataset(tmp_path / "in")
        for call in (learner.transform, lambda X: sample_rows(X, 3)):
            with pytest.raises(ValueError, match=message):
                call(changed)


def test_damaged_rows_are_errors_that_name_the_place(learner, tmp_path):
    dataset = write(tmp_path / "in", table())
    pq.write_table(table(), tmp_path / "in" / "1.parquet", write_page_checksum=True)
    content = bytearray((tmp_path / "in" / "1.parquet").read_bytes())
    content[2000:4000] = bytes(2000)
    (tmp_path / "in" / "1.parquet").write_bytes(content)
    dataset = ds.dataset(tmp_path / "in")
    with pytest.raises(ValueError, match=r"[01]\.parquet', or the file after it: "):
        learner.transform(dataset)


def test_folders_of_partitions(learner, tmp_path):
    whole = table().append_column("year", pa.array([1, 2] * (N_ROWS // 2)))
    ds.write_dataset(whole, tmp_path / "in", format="parquet", partitioning=["year"])
    dataset = ds.dataset(tmp_path / "in", partitioning=["year"])
    years = sample_rows(dataset, N_ROWS)["year"].to_numpy()
    assert_array_equal(years, [1] * (N_ROWS // 2) + [2] * (N_ROWS // 2))
    order = np.argsort(whole["year"].to_numpy(), kind="stable")
    assert_array_equal(learner.transform(dataset), learner.transform(whole)[order])


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
    assert n_left <= sum(computed) <= n_left + 8 * 64
    assert_array_equal(found, learner.transform(table()))
    assert not partial.exists()


def test_rows_of_another_call_are_not_continued(learner, tmp_path, monkeypatch):
    out = tmp_path / "out.npy"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            learner.transform(table(), out=out, resume=True)
    views = [np.stack(table()[name].to_numpy()) for name in ("clip", "dino")]
    first, last, middle = ([v.copy() for v in views] for _ in range(3))
    first[0][0], last[1][255], middle[0][100:140] = views[0][1], views[1][1], views[0][:40]
    other = make_learner().set_params(random_state=1).fit(table())
    for call in (
        lambda: other.transform(table(), out=out, resume=True),
        lambda: learner.transform(table().slice(0, 990), out=out, resume=True),
        lambda: learner.transform(table(np.float64), out=out, resume=True),
        lambda: learner.transform({"clip": first[0], "dino": first[1]}, out=out, resume=True),
        lambda: learner.transform({"clip": last[0], "dino": last[1]}, out=out, resume=True),
        lambda: learner.transform({"clip": middle[0], "dino": middle[1]}, out=out, resume=True),
    ):
        with pytest.raises(ValueError, match=r"out\.npy\.partial.*Remove it to start anew"):
            call()
    assert_array_equal(learner.transform(table(), out=out, resume=True), learner.transform(table()))


@pytest.mark.parametrize("content", [b"some text", b"\x93NUMPY" + bytes(10**5)])
def test_another_file_of_that_name_is_not_touched(learner, tmp_path, content):
    partial = tmp_path / "out.npy.partial"
    partial.write_bytes(content)
    with pytest.raises(ValueError, match="Remove it to start anew"):
        learner.transform(table(), out=tmp_path / "out.npy", resume=True)
    assert partial.read_bytes() == content


@pytest.mark.parametrize("extra", [24, 24 * N_ROWS])
def test_a_file_that_is_too_long_is_not_taken(learner, tmp_path, monkeypatch, extra):
    out, partial = tmp_path / "out.npy", tmp_path / "out.npy.partial"
    append = _atomic.RowFile.append

    def append_twice(self, rows):  # as two calls without a lock would
        append(self, rows)
        if self.n_rows == N_ROWS:
            self.file.write(bytes(extra))

    with monkeypatch.context() as patch:
        patch.setattr(_atomic.RowFile, "append", append_twice)
        with pytest.raises(RuntimeError, match="written by another call"):
            learner.transform(table(), out=out, resume=True)
    assert not out.exists()
    with pytest.raises(ValueError, match="Remove it to start anew"):
        learner.transform(table(), out=out, resume=True)
    assert partial.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no lock")
def test_two_processes_do_not_write_one_file(learner, tmp_path):
    import fcntl

    with (tmp_path / "out.npy.partial").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="being written by another call"):
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
