"""What a precision costs in accuracy and gives in time.

    python precision.py                        # on the CPU
    python precision.py --device cuda          # on a GPU, with TF32

Accuracy is that of 5-NN on the shipped features of four networks, over seeds of the learner; times
are those of planted features at two widths, and every one is divided by that of float32 in the same
round. The table goes to a file of this folder, which the documentation shows; nothing else should
run on the machine meanwhile.
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier
from speed import Size, planted

from sknnens import EnsembleRepresentationLearner
from sknnens.datasets import load_fashion_mnist_features

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "fashion_mnist.npz"
N_SEEDS, N_ROUNDS, N_EPOCHS = 5, 5, 4
SIZES = ("10000x256x4", "4000x1024x3")
PARAMS = {"init": "average", "view_weights": None, "max_iter": N_EPOCHS, "random_state": 0}
# name in the table: the parameter, and the type of the input
PRECISIONS = {
    "float32": ("auto", np.float32),
    "tf32": ("auto", np.float32),
    "bfloat16": ("bfloat16", np.float32),
    "float64": ("auto", np.float64),
}


def make_learner(name: str, device: str, **params: Any) -> EnsembleRepresentationLearner:
    """Set what a precision takes; TF32 is switched for the whole process, which is ours."""
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    return EnsembleRepresentationLearner(device=device, precision=PRECISIONS[name][0], **params)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean distance of rows of length 1."""
    return float(np.linalg.norm(a - b, axis=1).mean())


def compare_accuracy(names: list[str], device: str, n_seeds: int) -> dict[str, dict[str, str]]:
    """Fit and transform in each precision; compare with the same seed in float64."""
    data = load_fashion_mnist_features([f"simclr_{i}" for i in range(4)], path=DATA)
    scores = {name: [] for name in names}
    apart = {name: [] for name in names}
    for seed in range(n_seeds):
        exact = None
        for name in ["float64", *(x for x in names if x != "float64")]:
            dtype = PRECISIONS[name][1]
            learner = make_learner(name, device, views=data.view_sizes, random_state=seed)
            rows = learner.fit_transform(data.X_train.astype(dtype))
            queries = learner.transform(data.X_test.astype(dtype)).astype(np.float64)
            exact = queries if exact is None else exact
            knn = KNeighborsClassifier(5).fit(rows, data.y_train)
            scores[name].append(100 * knn.score(queries, data.y_test))
            apart[name].append(distance(queries, exact))
    table = {}
    for name in names:
        gains = np.subtract(scores[name], scores["float32"])
        spread = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.nan
        table[name] = {
            "accuracy": f"{np.mean(scores[name]):.2f}",
            "minus float32": f"{gains.mean():+.2f} ± {spread:.2f}",
            "distance to float64": f"{np.mean(apart[name]):.1e}",
        }
    return table


def compare_times(
    names: list[str], device: str, size: Size, n_rounds: int
) -> dict[str, dict[str, str]]:
    """Time fit and transform in turns, relative to float32."""
    views = planted(size)
    ratios = {name: ([], []) for name in names}
    for n in range(n_rounds + 1):
        seconds = {}
        for name in names:
            inputs = [view.astype(PRECISIONS[name][1]) for view in views]
            learner = make_learner(name, device, **PARAMS)
            begin = time.perf_counter()
            learner.fit(inputs)
            middle = time.perf_counter()
            learner.transform(inputs)
            seconds[name] = middle - begin, time.perf_counter() - middle
        for name in names if n else []:  # the first round warms up
            for i in range(2):
                ratios[name][i].append(seconds[name][i] / seconds["float32"][i])
    return {
        name: {
            f"{what}, {size}": f"{np.median(x):.2f} [{min(x):.2f}, {max(x):.2f}]"
            for what, x in zip(("fit", "transform"), ratios[name], strict=True)
        }
        for name in names
    }


def describe(device: str) -> str:
    """Name what matters of the machine."""
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    products = "has" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "lacks"
    return f"CPU, {torch.get_num_threads()} threads, {products} bfloat16 products"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--rounds", type=int, default=N_ROUNDS)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    names = list(PRECISIONS)
    if args.device == "cpu":
        names.remove("tf32")
    table = compare_accuracy(names, args.device, args.seeds)
    for size in args.sizes:
        for name, columns in compare_times(
            names, args.device, Size.parse(size), args.rounds
        ).items():
            table[name] |= columns
    out = args.out or HERE / f"precision_{args.device.split(':')[0]}.csv"
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["measure", *table])
        for measure in table["float32"]:
            writer.writerow([measure, *(column[measure] for column in table.values())])
    print(describe(args.device), out.read_text("utf-8"), sep="\n")


if __name__ == "__main__":
    main()
