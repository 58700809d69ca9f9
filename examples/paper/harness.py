"""Runs cells of (ensemble, method, split) and keeps one tidy file of results.

A row is one number: an ensemble, a method, a split, a protocol and, where the protocol gives a
curve, a point on it; with what it took and where it ran. What the file has is not run again, but
where the method's settings or the file of features have changed. What the code does with them
is not compared: after a change of that, take another file.
"""

import hashlib
import os
import platform
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.stats
import sklearn
import torch
from ensembles import ENSEMBLES, Ensemble, data_folder, load_ensemble
from methods import Method
from numpy.typing import NDArray
from protocols import PROTOCOLS, SMALL, Evaluation
from sklearn.decomposition import PCA

import sknnens
from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.metrics import recoverability_score

RESULTS = Path(__file__).resolve().parent / "results.parquet"
KEY = ["ensemble", "method", "protocol", "split"]
# rows count as finished only where these agree with what would be run now
CONDITIONS = ["settings", "features"]


@dataclass(frozen=True)
class Cell:
    """A method on one split of an ensemble, under some protocols.

    Attributes
    ----------
    ensemble : str
        A name of ``ENSEMBLES``; after a colon there may be the views that count, joined by plus
        signs: ``"mail:minilm@32+lsa+noise@100"`` has 32 principal components of a view, a view as
        it is, and 100 columns of Gaussian noise.
    method : Method
        What is fitted on the training rows, without their labels.
    split : int
        Which split; also the seed of the method.
    protocols : tuple of str
        What is measured.
    """

    ensemble: str
    method: Method
    split: int
    protocols: tuple[str, ...] = SMALL

    def needs(self) -> set[str]:
        """Ensembles whose features it takes to run: its own, and one that MLPs come from."""
        return {self.ensemble} | {v for k, v in self.method.params.items() if k == "source"}

    def row_keys(self) -> list[tuple[Any, ...]]:
        """What tells this cell's rows from others, one a protocol."""
        conditions = self.method.settings, checksum(self.ensemble)
        return [
            (self.ensemble, self.method.name, protocol, self.split, *conditions)
            for protocol in self.protocols
        ]


@lru_cache
def checksum(ensemble: str) -> str:
    """Of an ensemble's file of features; empty where there is none."""
    file = ENSEMBLES[ensemble.partition(":")[0]].file
    if file is None or not (data_folder() / file).exists():
        return ""
    return hashlib.sha1((data_folder() / file).read_bytes()).hexdigest()[:12]


def environment() -> dict[str, Any]:
    """Versions and machine, as columns of each row."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "device": device,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "sknnens": sknnens.__version__,
        "scikit_learn": sklearn.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def run_cell(cell: Cell, ensemble: Ensemble) -> list[dict[str, Any]]:
    """Fit, transform, and measure; one dictionary a row."""
    train, test = ensemble.splits[cell.split]
    stacked, sizes = stack_views(ensemble.views)
    forget_peak_memory()
    transformer = cell.method.build(sizes, cell.split)
    bank = cell.method.gives == "bank"
    if bank:
        transformer.set_params(warm_start=True)  # which keeps it
    begin = time.perf_counter()
    transformer.fit(stacked[train])
    fitted = time.perf_counter()
    queries = transformer.transform(stacked[test])
    transformed = time.perf_counter()
    peak = peak_memory()
    labels = ensemble.y[train], ensemble.y[test]
    if cell.method.gives == "distances":
        evaluation = Evaluation(None, None, -queries, *labels, split=cell.split)
    else:
        reference = transformer.embedding_ if bank else transformer.transform(stacked[train])
        evaluation = Evaluation.of_rows(reference, queries, *labels, split=cell.split)
    if isinstance(transformer, EnsembleRepresentationLearner):
        evaluation.recover = lambda steps: recoverability_score(
            transformer, stacked[test], max_iter=steps
        )
    common = {
        "ensemble": cell.ensemble,
        "method": cell.method.name,
        "split": cell.split,
        "seed": cell.split,
        "settings": cell.method.settings,
        "features": checksum(cell.ensemble),
        "n_train": len(train),
        "n_test": len(test),
        "disjoint": ensemble.disjoint,
        "width": queries.shape[1],
        "fit_seconds": fitted - begin,
        "transform_seconds": transformed - fitted,
        "represent_seconds": time.perf_counter() - begin,
        "peak_mb": peak,
    } | environment()
    rows = []
    for name in cell.protocols:
        begin = time.perf_counter()
        points = list(PROTOCOLS[name](evaluation)) or [(None, np.nan)]
        measured = {"protocol": name, "protocol_seconds": time.perf_counter() - begin}
        rows += [
            common | measured | {"point": np.nan if point is None else point, "value": value}
            for point, value in points
        ]
    return rows


def forget_peak_memory() -> None:
    """Let Linux measure the peak anew; elsewhere nothing happens."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Largest resident size since then in MB; NaN where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


@lru_cache(maxsize=1)
def load_views(name: str) -> Ensemble:
    """Load an ensemble, or some views of it, as a cell names it."""
    whole, _, chosen = name.partition(":")
    ensemble = load_ensemble(whole)
    if not chosen:
        return ensemble
    views = {view: _load_view(ensemble, view) for view in chosen.split("+")}
    return replace(ensemble, views=views)


def _load_view(ensemble: Ensemble, name: str) -> NDArray[np.float32]:
    """A view, ``"noise"``, or as many principal components of a view as stand after an @."""
    view, _, width = name.partition("@")
    if view == "noise":
        shape = len(ensemble.y), int(width)
        return np.random.RandomState(0).standard_normal(shape).astype(np.float32)
    features = ensemble.views[view]
    return PCA(int(width), random_state=0).fit_transform(features) if width else features


def available(names: Iterable[str]) -> set[str]:
    """Ensembles whose features are there; says how to make the others."""
    found = set()
    for name in dict.fromkeys(names):
        try:
            load_views(name)
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}")
        else:
            found.add(name)
    return found


def runnable(cells: Iterable[Cell]) -> list[Cell]:
    """Cells whose features are there; says how to make the others."""
    cells = list(cells)
    here = available(name for cell in cells for name in sorted(cell.needs()))
    return [cell for cell in cells if cell.needs() <= here]


def _run_by_name(cell: Cell) -> list[dict[str, Any]]:
    return run_cell(cell, load_views(cell.ensemble))


def read_results(path: Path = RESULTS) -> pd.DataFrame:
    """Every row so far; without a file, a table without rows."""
    if not path.exists():
        return pd.DataFrame(columns=[*KEY, *CONDITIONS, "point", "value"])
    return pd.read_parquet(path)


def missing_cells(cells: Iterable[Cell], results: pd.DataFrame) -> list[Cell]:
    """Cells that lack a row, each once, with the protocols that they lack."""
    finished = set(results[[*KEY, *CONDITIONS]].itertuples(index=False, name=None))
    wanted: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        name = cell.ensemble, cell.method.name, cell.split
        earlier = wanted[name].protocols if name in wanted else ()
        lacking = tuple(
            protocol
            for protocol, key in zip(cell.protocols, cell.row_keys(), strict=True)
            if protocol not in earlier and key not in finished
        )
        if lacking:
            wanted[name] = replace(cell, protocols=earlier + lacking)
    return list(wanted.values())


def run_cells(
    cells: Iterable[Cell], path: Path = RESULTS, *, n_jobs: int = 2, verbose: bool = True
) -> pd.DataFrame:
    """Run the cells that the file lacks, `n_jobs` side by side, and return all rows.

    Rows of other settings or other features are replaced. A protocol that a method has no
    number for leaves a row without a value, so that it is not tried again. The file is
    written as cells finish; one process at a time may write it.
    """
    results = read_results(path)
    cells = missing_cells(cells, results)
    rows: list[dict[str, Any]] = []
    written = time.monotonic()
    parallel = joblib.Parallel(n_jobs, return_as="generator", batch_size=1, pre_dispatch="n_jobs")
    done = parallel(joblib.delayed(_run_by_name)(cell) for cell in cells)
    try:
        for number, (cell, new) in enumerate(zip(cells, done, strict=True), 1):
            rows += new
            if verbose:
                name = f"{cell.ensemble}, split {cell.split}: {cell.method.name}"
                print(f"{number}/{len(cells)} {name}", flush=True)
            if time.monotonic() - written > 20:
                results, rows, written = write_results(results, rows, path), [], time.monotonic()
    finally:
        results = write_results(results, rows, path)
    return results


def write_results(results: pd.DataFrame, rows: list[dict[str, Any]], path: Path) -> pd.DataFrame:
    """Add rows to the file, which is whole at any time; the newer of equal keys stay."""
    if rows:
        new = pd.DataFrame(rows)
        replaced = pd.MultiIndex.from_frame(results[KEY]).isin(pd.MultiIndex.from_frame(new[KEY]))
        kept = results[~replaced]
        results = pd.concat([kept, new], ignore_index=True) if len(kept) else new
        partial = path.with_suffix(".partial")
        results.to_parquet(partial, compression="zstd", index=False)
        partial.replace(path)
    return results


def interval(values: Sequence[float], n_train: int, n_test: int, disjoint: bool) -> float:
    """Half of the 95 % confidence interval of the mean over splits, by Student's t.

    Where splits share training rows, the variance is that of Nadeau and Bengio, "Inference for
    the Generalization Error", Machine Learning 52, 2003, which is larger by ``n_test / n_train``.
    """
    values = np.asarray(values)
    n = len(values)
    if n < 2:
        return float("nan")
    share = 1 / n + (0 if disjoint else n_test / n_train)
    return float(scipy.stats.t.ppf(0.975, n - 1) * np.sqrt(share * values.var(ddof=1)))
