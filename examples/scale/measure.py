"""Rates and memory behind the documentation's page on large data.

    python measure.py                 # everything, about half an hour on two cores
    OMP_NUM_THREADS=1 python measure.py rates   # rows per second of one core
    python measure.py rates --device cuda
    python measure.py out_of_core     # 20 GB of parquet through one process that is killed twice
    python measure.py dask            # two workers at two sizes, and one of them killed
    python measure.py --tables        # write the tables of the page from the results

Results go to large_data.json, with the name of the machine's processor. Nothing else should run
meanwhile.
"""

import argparse
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "large_data.json"
TABLES = {name: HERE / f"{name}.csv" for name in ("rates", "costs", "memory")}
N_ENCODERS, WIDTH = 5, 768  # of the rates
MODELS = {"learner": 768, "learner, 128 wide": 128, "fusion": 768, "fusion, 128 wide": 128}
N_ROWS, REPEATS = 2048, 5  # of a timed transform
GIGABYTES = 20  # that are read out of core
OUT_OF_CORE = 4, 512, 32  # models, width of each, width of the representation
FILE_ROWS = 32_768  # of the file that is read again and again
ROWS = 10**6, 10**8, 10**9  # of the worked examples
DASK_ROWS, DASK_WIDTH = (40_000, 160_000), 256


def make_views(n_rows: int, n_models: int, width: int, seed: int = 0) -> list[Any]:
    """Noisy features of a latent vector that the models share."""
    rng = np.random.default_rng(seed)
    mixes = np.random.default_rng(0).standard_normal((n_models, 32, width), dtype=np.float32)
    latent = rng.standard_normal((n_rows, 32), dtype=np.float32)
    noise = rng.standard_normal((n_models, n_rows, width), dtype=np.float32)
    return list(np.tanh(latent @ mixes / 6) + 0.3 * noise)


def write_parquet(path: Path, n_rows: int, n_models: int, width: int, seed: int = 0) -> None:
    """Write rows with a vector of each model in a cell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    views = make_views(n_rows, n_models, width, seed)
    cells = [pa.FixedSizeListArray.from_arrays(view.ravel(), width) for view in views]
    names = [f"model_{i}" for i in range(n_models)]
    pq.write_table(pa.table(cells, names=names), path, row_group_size=8192, compression="none")


def columns(n_models: int) -> dict[str, list[str]]:
    """Column of each model."""
    return {f"model_{i}": [f"model_{i}"] for i in range(n_models)}


def measure_rates(device: str) -> dict[str, Any]:
    """Rows per second of `transform`, on a GPU or in the threads that the process has."""
    import torch

    from sknnens import EnsembleRepresentationLearner
    from sknnens.fusion import NeighborhoodProjection

    views = make_views(N_ROWS if device == "cpu" else 2**16, N_ENCODERS, WIDTH)
    found = {}
    for name, width in MODELS.items():
        model: Any = NeighborhoodProjection(n_components=width, random_state=0)
        if name.startswith("learner"):
            model = EnsembleRepresentationLearner(
                n_components=width, device=device, max_iter=1, random_state=0
            )
        model.fit([view[:2000] for view in views]).transform(views)
        seconds = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            model.transform(views)
            seconds.append(time.perf_counter() - begin)
        rates = len(views[0]) / np.array(seconds)
        found[name] = [float(np.quantile(rates, q)) for q in (0.5, 0, 1)]
    name = torch.cuda.get_device_name() if device == "cuda" else processor()
    return {"device": name, "threads": torch.get_num_threads(), "rows_per_second": found}


def measure_out_of_core(device: str) -> dict[str, Any]:
    """Transform 20 GB of parquet in one process, unbroken and killed twice."""
    import pyarrow.dataset as ds

    from sknnens import EnsembleRepresentationLearner, sample_rows

    n_models, width, n_components = OUT_OF_CORE
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_parquet(folder / "part.parquet", FILE_ROWS, n_models, width)
        file_bytes = (folder / "part.parquet").stat().st_size
        n_files = int(np.ceil(GIGABYTES * 1e9 / file_bytes))
        sample = sample_rows(ds.dataset(folder / "part.parquet"), 10_000, random_state=0)
        learner = EnsembleRepresentationLearner(
            columns(n_models), n_components=n_components, max_iter=2, device=device, random_state=0
        )
        learner.fit(sample).save(folder / "learner.safetensors")
        n_rows = n_files * FILE_ROWS
        whole = transform_in_process(folder, "whole.npy", n_files)
        runs = [
            transform_in_process(folder, "resumed.npy", n_files, kill_at=share * n_rows)
            for share in (0.3, 0.6, np.inf)
        ]
        digests = {digest(folder / name) for name in ("whole.npy", "resumed.npy")}
        return {
            "gigabytes": n_files * file_bytes / 1e9,
            "rows": n_rows,
            "views": f"{n_models} x {width}",
            "n_components": n_components,
            "equal": len(digests) == 1,
            "begins": [run["begin"] for run in runs],
            "peak_megabytes": [run["peak_megabytes"] for run in (whole, *runs)],
            "rows_per_second": n_rows / whole["seconds"],
        }


TRANSFORM = """if True:
    import sys, time
    import pyarrow.dataset as ds
    from sknnens import EnsembleRepresentationLearner
    folder, out, n_files = sys.argv[1], sys.argv[2], int(sys.argv[3])
    learner = EnsembleRepresentationLearner.load(folder + "/learner.safetensors")
    X = ds.dataset([folder + "/part.parquet"] * n_files)
    begin = time.perf_counter()
    learner.transform(X, out=folder + "/" + out, resume=True)
    print(time.perf_counter() - begin)
"""


def transform_in_process(
    folder: Path, out: str, n_files: int, kill_at: float = np.inf
) -> dict[str, float]:
    """Transform files in a process of its own, which is killed when some rows are written."""
    partial = folder / f"{out}.partial"
    row_bytes = 4 * OUT_OF_CORE[2]
    begin = partial.stat().st_size // row_bytes if partial.exists() else 0
    command = [sys.executable, "-c", TRANSFORM, str(folder), out, str(n_files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        peak = 0.0
        while process.poll() is None:
            time.sleep(0.05)
            peak = max(peak, peak_megabytes(process.pid))
            if partial.exists() and partial.stat().st_size > kill_at * row_bytes:
                process.send_signal(signal.SIGKILL)
        output = process.stdout.read()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit("The process failed.")
    return {"begin": begin, "seconds": float(output or np.nan), "peak_megabytes": peak}


def peak_megabytes(pid: int | str = "self") -> float:
    """Peak of the resident memory of a process so far; 0 if it has ended.

    ``ru_maxrss`` would be that of the process that started it, if that is larger.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(x.split()[1]) for x in lines if x.startswith("VmHWM")), default=0) * 1024 / 1e6


def digest(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measure_dask(device: str) -> dict[str, Any]:
    """Peak memory of two workers and the client at two sizes, and a worker that is killed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part = DASK_ROWS[0] // 10
        for i in range(DASK_ROWS[-1] // part):
            write_parquet(folder / f"{i:03}.parquet", part, 2, DASK_WIDTH, seed=i)
        runs = []
        for n_rows, kill in [(DASK_ROWS[0], False), (DASK_ROWS[1], False), (DASK_ROWS[1], True)]:
            command = [sys.executable, __file__, "--dask-run", name, str(n_rows // part), str(kill)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            runs.append({"rows": n_rows, "killed": kill} | found)
        return {"views": f"2 x {DASK_WIDTH}", "runs": runs}


def run_dask(folder: str, n_files: int, kill: bool) -> dict[str, Any]:
    """Transform files to files on two worker processes, in a process of its own."""
    import dask
    import dask.dataframe as dd
    from dask.distributed import Client, LocalCluster

    from sknnens import EnsembleRepresentationLearner

    dask.config.set({"dataframe.convert-string": False})
    files = [f"{folder}/{i:03}.parquet" for i in range(n_files)]
    frame = pd.concat([pd.read_parquet(file) for file in files[:2]], ignore_index=True)
    learner = EnsembleRepresentationLearner(columns(2), max_iter=2, random_state=0).fit(frame)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        lazy = learner.transform(dd.read_parquet(files))
        pids = list(client.run(os.getpid).values())
        future = client.compute(lazy.to_parquet(f"{folder}/out", compute=False))
        if kill:
            while not list(Path(f"{folder}/out").glob("*.parquet")):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)
        future.result()
        workers = list(client.run(peak_megabytes).values())
        own = peak_megabytes()
    parts = [f"{folder}/out/part.{i}.parquet" for i in range(n_files)]
    equal = [
        np.array_equal(pd.read_parquet(part).to_numpy(), learner.transform(pd.read_parquet(file)))
        for part, file in zip(parts, files, strict=True)
    ]
    for path in Path(f"{folder}/out").iterdir():
        path.unlink()
    return {
        "equal": all(equal),
        "client_megabytes": own,
        "worker_megabytes": workers,
    }


def processor() -> str:
    """Name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def write_tables() -> None:
    """Write the tables of the page."""
    results = json.loads(RESULTS.read_text())
    rates, costs = [], []
    for key in [key for key in ("rates", "rates_cuda") if key in results]:
        device = results[key]["device"]
        if key == "rates":
            device += f", threads: {results[key]['threads']}"
        for name, (median, least, most) in results[key]["rows_per_second"].items():
            rates.append([device, name, f"{median:,.0f}", f"{least:,.0f} to {most:,.0f}"])
            for n_rows in ROWS:
                hours = n_rows / median / 3600
                size = n_rows * MODELS[name] * 4 / 1e9
                read = n_rows * N_ENCODERS * WIDTH * 2 / 1e9
                sizes = f"{read:,.1f}", f"{size:,.1f}"
                costs.append([f"{n_rows:,}", device, name, f"{hours:,.2f}", *sizes])
    memory = []
    if found := results.get("out_of_core"):
        peak = f"{max(found['peak_megabytes']):,.0f}"
        task = "one process, from parquet to a file"
        memory.append([task, found["views"], f"{found['rows']:,}", peak, ""])
    for run in results.get("dask", {}).get("runs", []):
        task = "each of two workers of Dask" + (", after one was killed" if run["killed"] else "")
        peaks = [f"{max(run['worker_megabytes']):,.0f}", f"{run['client_megabytes']:,.0f}"]
        memory.append([task, results["dask"]["views"], f"{run['rows']:,}", *peaks])
    rows = {"rates": rates, "costs": sorted(costs, key=lambda row: len(row[0])), "memory": memory}
    columns = {
        "rates": ["device", "model", "rows per second", "least to most"],
        "costs": ["rows", "device", "model", "hours", "GB read, float16", "GB written"],
        "memory": ["process", "views", "rows", "peak, MB", "client, MB"],
    }
    for name, path in TABLES.items():
        pd.DataFrame(rows[name], columns=columns[name]).to_csv(path, index=False)


PARTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "rates": measure_rates,
    "out_of_core": measure_out_of_core,
    "dask": measure_dask,
}


def main(argv: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all by default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tables", action="store_true", help="write the tables alone")
    parser.add_argument("--dask-run", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.dask_run:
        folder, n_files, kill = args.dask_run
        print(json.dumps(run_dask(folder, int(n_files), kill == "True")))
        return
    for part in () if args.tables else args.parts or PARTS:
        found = PARTS[part](args.device)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results[part + ("_cuda" if args.device == "cuda" else "")] = found
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
        print(part, json.dumps(found, indent=2))
    write_tables()


if __name__ == "__main__":
    main()
