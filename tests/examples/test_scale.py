"""Workers of Dask, Ray Data and Spark, from parquet to parquet."""

import importlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_views

from sknnens import EnsembleRepresentationLearner

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(os.name == "nt", reason="SIGKILL"),
    pytest.mark.filterwarnings("default"),  # of the engines
]

ROOT = Path(__file__).resolve().parents[2]
N_FILES, ROWS = 6, 41
COLUMNS = ["clip", "dino"]
BATCH = 15  # several a file


class KilledOnce:
    """A learner whose process is killed in its second batch, the first time."""

    def __init__(self, learner, marker):
        self.learner, self.marker, self.n_calls = learner, str(marker), 0

    def transform(self, X):
        self.n_calls += 1
        if self.n_calls == 2:
            kill_once(self.marker)
        return self.learner.transform(X)


def kill_once(marker):
    """Kill this process, unless the marker says that one was killed."""
    try:
        with open(marker, "x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def pass_second_file(part, marker):
    """Return a part of a frame, after killing the process once if it is that of the second file."""
    if ROWS * 3 in part["id"].to_numpy():
        kill_once(marker)
    return part


class FailsLate:
    """A learner that fails at one row, when others are written."""

    def __init__(self, learner, row, target):
        self.learner, self.row, self.target = learner, row, target

    def transform(self, X):
        if self.row in X["dino"].to_pylist():
            end = time.monotonic() + 60
            while not any(self.target.rglob("*.parquet")) and time.monotonic() < end:
                time.sleep(0.1)
            raise ValueError("failed late")
        return self.learner.transform(X)


@pytest.fixture(scope="module")
def frame():
    clip, dino = make_views(N_FILES * ROWS, [6, 5])
    return pd.DataFrame({"clip": list(clip), "dino": list(dino), "id": np.arange(len(clip)) * 3})


@pytest.fixture(scope="module")
def learner(frame):
    views = {name: [name] for name in COLUMNS}
    return EnsembleRepresentationLearner(views, max_iter=2, random_state=0).fit(frame)


@pytest.fixture(scope="module")
def expected(learner, frame):
    return learner.transform(frame)


@pytest.fixture
def source(frame, tmp_path):
    """Folder of parquet files with one column more than is needed."""
    folder = tmp_path / "source"
    folder.mkdir()
    for i in range(N_FILES):
        part = frame[i * ROWS : (i + 1) * ROWS].assign(unused="text")
        part.to_parquet(folder / f"{i}.parquet", index=False)
    return folder


@pytest.fixture(scope="module")
def workers_path():
    """What the workers import, this module too."""
    folders = [ROOT, ROOT / "tests", ROOT / "tests" / "examples", ROOT / "examples" / "scale"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folders[-1])
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def ray_engine(workers_path):
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    recipe = importlib.import_module("ray_transform")
    # the actors of a run that failed keep their CPUs while its traceback is alive
    ray.init(num_cpus=8, include_dashboard=False, object_store_memory=200 * 2**20)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_min_block_size, context.target_max_block_size = 1, 4096  # several tasks

    def transform(learner, source, target, columns=COLUMNS):
        folders = str(source), str(target)
        recipe.transform_folder(learner, *folders, columns, workers=2, batch_size=BATCH)

    yield recipe.main, transform, True
    ray.shutdown()


@pytest.fixture(scope="module")
def spark_engine(workers_path):
    sql = pytest.importorskip("pyspark.sql")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    recipe = importlib.import_module("spark_transform")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        spark = (
            sql.SparkSession.builder.master("local[2,4]")
            .config("spark.ui.enabled", False)
            .config("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH)
            .getOrCreate()
        )

        def transform(learner, source, target, columns=COLUMNS):
            recipe.transform_folder(spark, learner, str(source), str(target), columns)

        yield recipe.main, transform, False
        spark.stop()


@pytest.fixture(params=["ray", "spark"])
def engine(request):
    """Command and function of a recipe, and whether a run that fails leaves rows."""
    return request.getfixturevalue(f"{request.param}_engine")


@pytest.fixture
def main(engine):
    return engine[0]


@pytest.fixture
def transform(engine):
    return engine[1]


def check_output(folder, frame, expected):
    """Assert that each row is there once, equal to the last bit."""
    assert (folder / "_SUCCESS").exists()
    found = pd.read_parquet(folder).sort_values("id")
    assert list(found) == ["id", "representation"]
    np.testing.assert_array_equal(found["id"], frame["id"])
    rows = np.stack(found["representation"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, expected)


def test_rows_are_those_of_a_direct_call(main, learner, source, tmp_path, frame, expected):
    learner.save(tmp_path / "learner.safetensors")
    target = tmp_path / "target"
    main([str(tmp_path / "learner.safetensors"), str(source), str(target)])
    check_output(target, frame, expected)


def test_a_killed_worker_loses_no_rows(transform, learner, source, tmp_path, frame, expected):
    marker, target = tmp_path / "marker", tmp_path / "target"
    transform(KilledOnce(learner, marker), source, target)
    killed = int(marker.read_text())
    assert killed != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(killed, 0)
    check_output(target, frame, expected)


@pytest.mark.parametrize("number", [0, 3])
def test_a_truncated_file_is_named(transform, learner, source, tmp_path, number):
    broken = source / f"{number}.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(Exception, match=broken.name):
        transform(learner, source, tmp_path / "target")
    assert not (tmp_path / "target" / "_SUCCESS").exists()


def test_a_run_that_fails_leaves_no_whole_folder(engine, learner, source, tmp_path, frame):
    transform, leaves_rows = engine[1:]
    target = tmp_path / "target"
    with pytest.raises(Exception, match="failed late"):
        transform(FailsLate(learner, frame["dino"].iloc[-1].tolist(), target), source, target)
    assert not (target / "_SUCCESS").exists()
    assert bool(list(target.glob("*.parquet"))) == leaves_rows
    with pytest.raises(Exception, match="exists"):
        transform(learner, source, target)


def test_wrong_columns_are_named(transform, learner, source, tmp_path, frame):
    with pytest.raises(ValueError, match="dino") as direct:
        learner.transform(frame[["clip"]])
    with pytest.raises(Exception, match="dino") as found:
        transform(learner, source, tmp_path / "target", ["clip"])
    assert str(direct.value) in str(found.value)
    assert not (tmp_path / "target" / "_SUCCESS").exists()
    with pytest.raises(Exception, match="unknown"):
        transform(learner, source, tmp_path / "target2", ["clip", "unknown"])
    assert not (tmp_path / "target2").exists()


def test_dask_loses_no_rows_with_a_killed_worker(workers_path, learner, source, tmp_path, expected):
    distributed = pytest.importorskip("distributed")
    dd = pytest.importorskip("dask.dataframe")
    marker = tmp_path / "marker"
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster):
        X = dd.read_parquet(source)
        X = X.map_partitions(pass_second_file, str(marker), meta=X._meta)
        learner.transform(X).to_parquet(tmp_path / "target")
    assert marker.exists()
    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "target").to_numpy(), expected)
