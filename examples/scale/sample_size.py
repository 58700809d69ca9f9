"""How many rows fit needs: accuracy and time against the share of the rows that it gets.

    python sample_size.py             # measure what the results lack
    python sample_size.py planted     # of one ensemble
    python sample_size.py --table     # write the tables of the documentation from the results

The learner and its start alone, both with their defaults, are fitted to rows drawn at random and
transform all rows. All training rows are the index of the nearest neighbors, by the cosine, of the
test rows. A seed draws the rows and is the learner's; a smaller share is part of a larger one. The
concatenation, which has nothing to learn, is there to compare with.

Seconds are those of the processor, over all threads. To measure as the results here were:
``OMP_NUM_THREADS=1``. Features of Fashion-MNIST come from ``make_fashion_mnist.py``.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import mode, t
from sklearn.preprocessing import normalize

from sknnens import EnsembleRepresentationLearner
from sknnens._neighbors import nearest
from sknnens.fusion import Concatenation, NeighborhoodProjection

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "paper"))
from ensembles import data_folder

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "sample_size.csv"
TABLES = {
    name: HERE / f"sample_size_{name}.csv" for name in ("accuracies", "differences", "seconds")
}
SHARES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
N_SEEDS = 5
NEIGHBORS = (1, 5, 20)
N_LABELS, N_DRAWS = 10, 10  # labels of each class, and draws of them
SCORES = {**{f"k{k}": f"k = {k}" for k in NEIGHBORS}, "few_labels": f"{N_LABELS} labels"}
METHODS = {
    "learner": lambda seed: EnsembleRepresentationLearner(random_state=seed),
    "projection": lambda seed: NeighborhoodProjection(random_state=seed),
    "concatenation": lambda seed: Concatenation(),
}
KEY = ["ensemble", "method", "share", "seed"]
FIELDS = [*KEY, "rows", *SCORES, "fit_seconds", "transform_seconds"]


class Data(NamedTuple):
    """Views and classes; the first `n_train` rows are for training."""

    views: list[NDArray[np.float32]]
    y: NDArray[np.int64]
    n_train: int


def fashion() -> Data:
    """All images of Fashion-MNIST under three networks."""
    with np.load(data_folder() / "fashion_efficientnet_all.npz") as stored:
        parts = {
            name: np.concatenate([stored[f"{name}_train"], stored[f"{name}_test"]])
            for name in ("y", "lite_0", "lite_1", "lite_2")
        }
        n_train = len(stored["y_train"])
    y = parts.pop("y").astype(np.int64)
    return Data([view.astype(np.float32) for view in parts.values()], y, n_train)


def planted(
    n_train: int = 1_000_000, n_test: int = 2_000, n_classes: int = 1_000, seed: int = 0
) -> Data:
    """Three noisy nonlinear views of a latent vector, whose classes overlap."""
    rng = np.random.default_rng(seed)
    n, n_latent, width = n_train + n_test, 32, 64

    def draw(n: int, width: int, scale: float = 1.0) -> NDArray[np.float32]:
        return rng.standard_normal((n, width), dtype=np.float32) * np.float32(scale)

    y = rng.integers(n_classes, size=n)
    latent = draw(n_classes, n_latent)[y] + draw(n, n_latent, 0.8)
    views = []
    for _ in range(3):
        hidden = np.tanh(latent @ draw(n_latent, width, n_latent**-0.5))
        view = hidden @ draw(width, width, width**-0.5) + draw(n, width, 0.3)
        views.append(np.maximum(view, 0))
    return Data(views, y, n_train)


ENSEMBLES = {"fashion": fashion, "planted": planted}


def accuracies(rows: NDArray[Any], data: Data) -> dict[str, float]:
    """Accuracy in percent by the nearest rows; the lowest class wins a tie."""
    train, test = np.split(normalize(rows), [data.n_train])
    y, wanted = np.split(data.y, [data.n_train])
    near = y[nearest(test, train, max(NEIGHBORS))]
    found = {f"k{k}": np.mean(mode(near[:, :k], axis=1).mode == wanted) for k in NEIGHBORS}
    hits = []
    for draw in range(N_DRAWS):
        order = pd.Series(np.random.RandomState(draw).permutation(len(y)))
        few = order.groupby(y[order]).head(N_LABELS).to_numpy()
        hits.append(np.mean(y[few][nearest(test, train[few], 1)[:, 0]] == wanted))
    found["few_labels"] = np.mean(hits)
    return {name: 100 * float(share) for name, share in found.items()}


def measure(data: Data, method: str, share: float, seed: int) -> dict[str, Any]:
    """Fit to a share of the rows and transform all of them."""
    # in the order drawn: the projection takes 10,000 of its rows, and others with each seed
    drawn = np.random.RandomState(seed).permutation(data.n_train)[: round(share * data.n_train)]
    part = [view[drawn] for view in data.views]
    model = METHODS[method](seed)
    times = [time.process_time()]
    model.fit(part)
    times.append(time.process_time())
    rows = model.transform(data.views)
    times.append(time.process_time())
    seconds = dict(zip(FIELDS[-2:], np.diff(times).tolist(), strict=True))
    return {"rows": len(drawn), **accuracies(rows, data), **seconds}


def cells() -> Iterator[tuple[str, float, int]]:
    """Method, share and seed of each fit; all shares have their first seed before a second."""
    yield "concatenation", 1.0, 0
    for seed in range(N_SEEDS):
        for share in SHARES:
            for method in ("projection", "learner"):
                yield method, share, seed


def run(name: str, path: Path) -> None:
    """Measure the cells that the file lacks, and add each to it at once."""
    if not path.exists():
        path.write_text(",".join(FIELDS) + "\n")
    results = pd.read_csv(path)
    done = {row[1:] for row in results[KEY].itertuples(index=False, name=None) if row[0] == name}
    data = ENSEMBLES[name]()
    for cell in cells():
        if cell not in done:
            row = dict(zip(KEY, (name, *cell), strict=True)) | measure(data, *cell)
            text = [f"{x:.6g}" if isinstance(x, float) else str(x) for x in row.values()]
            with path.open("a") as file:
                file.write(",".join(text) + "\n")
            print(*text, flush=True)


def half_width(values: pd.Series) -> float:
    """Half of the 95 % confidence interval of a mean; NaN for a single value."""
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)


def as_text(values: pd.Series, sign: str = "") -> str:
    """Mean and interval, if there are several values."""
    mean = f"{values.mean():{sign}.2f}"
    return mean if len(values) < 2 else f"{mean} ± {half_width(values):.2f}"


def make_tables(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Accuracies, their differences to the fit to all rows, and seconds: a line per fit."""
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    groups = {key: group.set_index("seed") for key, group in results.groupby(KEY[:3])}
    order = [(name, method, share) for name in ENSEMBLES for method in METHODS for share in SHARES]
    for name, method, share in [key for key in order if key in groups]:
        group, whole = groups[name, method, share], groups.get((name, method, 1.0))
        label = {"ensemble": name, "fit": f"{method}, {group['rows'].iloc[0]:,} rows"}
        lines["accuracies"].append(
            label | {title: as_text(group[column]) for column, title in SCORES.items()}
        )
        if share < 1 and whole is not None:  # only seeds that both have
            differences = {t: (group[c] - whole[c]).dropna() for c, t in SCORES.items()}
            lines["differences"].append(
                label | {title: as_text(values, "+") for title, values in differences.items()}
            )
        lines["seconds"].append(
            label
            | {
                column.replace("_seconds", ", s"): f"{group[column].mean():.2g}"
                for column in FIELDS[-2:]
            }
        )
    return {name: pd.DataFrame(found) for name, found in lines.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ensembles", nargs="*", metavar="NAME", help="; ".join(ENSEMBLES))
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    args = parser.parse_args()
    if not args.table:
        for name in args.ensembles or ENSEMBLES:
            run(name, args.results)
    for name, table in make_tables(pd.read_csv(args.results)).items():
        table.to_csv(args.out / TABLES[name].name, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
