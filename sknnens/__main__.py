"""Command line: compare representations of files of embeddings, fit a learner, transform."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sknnens import EnsembleRepresentationLearner, sample_rows
from sknnens.inspection import compare_representations

SOURCES = (
    "one .npy file per model, with the same rows; or a folder of parquet files with a vector in "
    "each cell of the columns"
)


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser("python -m sknnens", description=__doc__)
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("compare", help="print accuracies and save their plot")
    _add_sources(command)
    command.add_argument("--labels", help=".npy file, or column of parquet; none: no accuracy")
    command.add_argument("--rows", type=int, default=10_000, help="to draw (default: %(default)s)")
    command.add_argument("--figure", default="comparison.png", help="default: %(default)s")
    command.set_defaults(run=_compare)

    command = commands.add_parser("fit", help="fit a learner and save it")
    _add_sources(command)
    command.add_argument("--out", required=True, help="file for the learner")
    command.add_argument("--rows", type=int, default=100_000, help="to draw (default: %(default)s)")
    command.add_argument("--n-components", type=int, help="width; default: of the widest model")
    command.set_defaults(run=_fit)

    command = commands.add_parser("transform", help="write the representations of all rows")
    command.add_argument("learner", help="file of fit")
    command.add_argument("sources", nargs="+", help=SOURCES)
    command.add_argument("--out", required=True, help=".npy file for the representations")
    command.add_argument("--resume", action="store_true", help="continue a call that was killed")
    command.set_defaults(run=_transform)

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ImportError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("sources", nargs="+", help=SOURCES)
    command.add_argument("--columns", nargs="+", help="of parquet, one per model")


def _open(options: argparse.Namespace) -> Any:
    """Open the files: memory maps by name, or a dataset of pyarrow."""
    paths = [Path(source) for source in options.sources]
    if all(path.suffix == ".npy" for path in paths):
        if len({path.stem for path in paths}) < len(paths):
            raise ValueError("Two files have the same name, which is that of the model.")
        return {path.stem: np.load(path, mmap_mode="r") for path in paths}
    if len(paths) > 1:
        raise ValueError("Give .npy files, or one folder of parquet files.")
    import pyarrow.dataset

    return pyarrow.dataset.dataset(paths[0], format="parquet")


def _draw(options: argparse.Namespace, label: str | None = None) -> tuple[Any, Any]:
    """Draw rows to fit to, and their labels, if there are any."""
    X = _open(options)
    if not isinstance(X, dict):
        if options.columns is None:
            raise ValueError("Name the columns of the models, --columns clip dino.")
        extra = [] if label is None else [label]
        table = sample_rows(X, options.rows, columns=options.columns + extra, random_state=0)
        return table.select(options.columns), None if label is None else table[label].to_numpy()
    lengths = {len(x) for x in X.values()}
    y = None if label is None else np.load(label)
    if len(lengths | ({len(y)} if y is not None else set())) > 1:
        raise ValueError(f"The files have different numbers of rows: {sorted(lengths)}.")
    rows = np.random.RandomState(0).permutation(lengths.pop())[: options.rows]
    rows.sort()
    return {name: x[rows] for name, x in X.items()}, None if y is None else y[rows]


def _compare(options: argparse.Namespace) -> None:
    X, y = _draw(options, options.labels)
    comparison = compare_representations(X, y, random_state=0, verbose=True)
    print(comparison)
    if y is not None:
        comparison.plot().figure_.savefig(options.figure, dpi=150)
        print(f"The plot is in {options.figure}.")


def _fit(options: argparse.Namespace) -> None:
    X, _ = _draw(options)
    views = None if isinstance(X, dict) else {name: [name] for name in options.columns}
    learner = EnsembleRepresentationLearner(
        views, n_components=options.n_components, random_state=0, verbose=True
    )
    learner.fit(X).save(options.out)


def _transform(options: argparse.Namespace) -> None:
    learner = EnsembleRepresentationLearner.load(options.learner).set_params(verbose=True)
    learner.transform(_open(options), out=options.out, resume=options.resume)


if __name__ == "__main__":
    main(sys.argv[1:])
