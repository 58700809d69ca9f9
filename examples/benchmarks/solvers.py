"""Compare ways to find representations with the MLPs frozen: what each costs, and how good it is.

    python solvers.py                          # every ensemble whose features are there
    python solvers.py mail wordnet --splits 1  # these alone
    python solvers.py --page                   # run nothing: draw and print what the file has

The learner is fitted once a split, with its default settings. Then every solver moves the training
rows and the test rows from the same start. Cost is counted in gradients of all rows; a loss
without its gradient counts half, and so does each column of a Jacobian. The ensembles are those of
``examples/paper``.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sknnens import EnsembleRepresentationLearner
from sknnens._engine import Networks, Precision, _newton
from sknnens._engine._adam import RowAdam
from sknnens._engine._loss import EPS, BatchLoss, normalize_rows
from sknnens._engine._newton import DAMPING, RowNewton, invert, mean_curvature
from sknnens._learner import CURVATURE_ROWS
from sknnens._views import Views, row_norms

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# scripts of a folder import one another by name, which needs the folder on the path first
sys.path.insert(0, str(ROOT / "examples" / "paper"))

from ensembles import ENSEMBLES, N_SPLITS, Ensemble  # noqa: E402
from harness import available, load_views  # noqa: E402
from methods import AS_IN_THE_PAPER, resolve  # noqa: E402
from speed import compare_transforms  # noqa: E402

RESULTS = HERE / "solvers.csv"
IMAGES = ROOT / "docs" / "speed"
CPU = torch.device("cpu")
COLORS = {
    "Adam": "C0",
    "Barzilai-Borwein": "gray",
    "L-BFGS": "C2",
    "Newton": "C3",
    "Levenberg-Marquardt": "C4",
}
LINES = ("o-", "s--", "^:", "D-.", "v-")
N_PANELS = 3  # side by side
KEY = ["ensemble", "split", "solver", "steps"]
NEIGHBORS = (1, 5, 20)
N_LABELS, N_DRAWS = 5, 40
PAIRED = {"k5": "k = 5", "few_labels": f"{N_LABELS} labels"}
MEMORY = 5  # pairs that L-BFGS keeps
BACK = 0.25  # times the length of a step that was taken back
OWN_DAMPING = 0.03  # of a row's own matrix, times its mean curvature
WIDEST_OWN = 128
JACOBIAN_ROWS = 256  # whose Jacobians are held at once


class Problem:
    """Rows to be represented with fitted MLPs, training rows first.

    Parameters
    ----------
    learner : EnsembleRepresentationLearner
        Fitted on the first rows of `views`.
    views : sequence of ndarray of shape (n, n_features_v)
        The rows' features, in float32.
    n_fitted : int
        Number of rows that the learner was fitted on.

    Attributes
    ----------
    start : Tensor of shape (n, d)
        Where every solver starts; not to be changed.
    evaluations : float
        Gradients that were taken.
    """

    def __init__(
        self, learner: EnsembleRepresentationLearner, views: Sequence[NDArray[Any]], n_fitted: int
    ):
        precision = Precision(torch.float32)
        read = Views(list(views), [row_norms(x) for x in views])
        weights = learner.view_weights_.tolist()
        self.n_fitted = n_fitted
        self.targets = [torch.from_numpy(unit) for unit in read.units()]
        self.present = torch.stack([target.any(dim=1) for target in self.targets])  # (m, n)
        relu = [activation == "relu" for activation in learner.output_activations_]
        self.networks = Networks.from_arrays(
            learner.coefs_, learner.intercepts_, relu, precision, CPU
        )
        self.start = torch.from_numpy(learner.init_._transform_views(read))
        self.evaluations = 0.0
        self.step = BatchLoss(self.networks, len(self.start), weights, precision)
        for row, target, scale in zip(
            self.targets, self.step.targets, self.step.scales, strict=True
        ):
            target[:], scale[:] = row, row.any(dim=1)

    def gradient(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each row, and its gradient."""
        self.evaluations += 1
        losses, grad = self.step(rows, rows_move=True)
        return losses, grad.clone()

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Loss of each row."""
        self.evaluations += 0.5
        return self.step(rows, rows_move=False)[0]

    @cached_property
    def curvature(self) -> torch.Tensor:
        """What `fit` inverts for the steps of `transform`."""
        n_rows = min(CURVATURE_ROWS, self.n_fitted)
        sample = np.linspace(0, self.n_fitted - 1, n_rows).astype(np.intp)
        weights = self.step.view_weights.tolist()
        present = self.present[:, sample]
        return mean_curvature(self.networks, self.start[sample], present, weights)

    def inverse(self, damping: float) -> torch.Tensor:
        """Inverse of the curvature, with another damping than the package's."""
        with mock.patch.object(_newton, "DAMPING", damping):
            return invert(self.curvature)

    @cached_property
    def largest(self) -> float:
        """Largest eigenvalue of the curvature."""
        return float(torch.linalg.eigvalsh(self.curvature)[-1])

    def own_curvatures(self, rows: torch.Tensor, part: slice) -> torch.Tensor:
        """Gauss-Newton matrix of each row of a part, shape (n, d, d)."""
        nets = list(
            zip(
                self.networks.weights,
                self.networks.biases,
                self.networks.relu_output,
                strict=True,
            )
        )

        def directions(row: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
            outputs = []
            for (weights, biases, relu_output), size in zip(nets, sizes, strict=True):
                x = row
                for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
                    x = x @ weight + bias
                    x = x.relu() if layer < len(weights) or relu_output else x
                outputs.append(size * torch.nn.functional.normalize(x, dim=0, eps=EPS))
            return torch.cat(outputs)

        sizes = (self.step.view_weights[:, None] * self.present[:, part]).sqrt().T
        jacobian = torch.func.vmap(torch.func.jacfwd(directions))(rows[part], sizes)
        return jacobian.transpose(1, 2) @ jacobian


# ---------------------------------------------------------------- solvers


def adam(problem: Problem, n_steps: int, step: float, *, decay: bool = False) -> torch.Tensor:
    """Steps of one size, or of one that falls linearly towards 0."""
    rows, index = problem.start.clone(), torch.arange(len(problem.start))
    solver = RowAdam(rows, len(rows), step, non_negative=False)
    for i in range(n_steps):
        solver.learning_rate = step * (1 - decay * i / n_steps)
        solver.begin_epoch()
        grad = problem.gradient(solver.take(index))[1]
        solver.step(index, grad)
    return rows


def newton(problem: Problem, n_steps: int, damping: float) -> torch.Tensor:
    """The package's steps, with one curvature for all rows."""
    rows, solver = problem.start, RowNewton(problem.inverse(damping), non_negative=False)
    for _ in range(n_steps):
        rows = solver.step(rows, problem.gradient(rows)[1])
    return rows


def barzilai_borwein(problem: Problem, n_steps: int) -> torch.Tensor:
    """Gradient steps whose length is that of a secant, the first by the largest curvature."""
    rows, shortest = problem.start, 1 / problem.largest
    length = torch.full((len(rows), 1), shortest)
    before = grad_before = None
    for _ in range(n_steps):
        _, grad = problem.gradient(rows)
        if before is not None:
            moved, turned = rows - before, grad - grad_before
            length = _dot(moved, moved) / _dot(moved, turned).clamp_min(1e-20)
            length = length.clamp(0.2 * shortest, 50 * shortest)
        before, grad_before = rows, grad
        rows = rows - length * grad
    return rows


def descend(
    problem: Problem,
    n_steps: int,
    move: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Steps that are taken back, and made shorter, for rows whose loss they raise.

    ``move(rows, grad, length)`` gives what to subtract.
    """
    rows = problem.start
    losses, grad = problem.gradient(rows)
    length = rows.new_ones(len(rows), 1)
    for left in reversed(range(n_steps)):
        tried = rows - move(rows, grad, length)
        found, turned = problem.gradient(tried) if left else (problem.loss(tried), grad)
        better = (found < losses)[:, None]
        length = torch.where(better, 1, BACK * length)
        rows, grad = torch.where(better, tried, rows), torch.where(better, turned, grad)
        losses = torch.minimum(losses, found)
    return rows


def lbfgs(problem: Problem, n_steps: int, *, shared: bool = False) -> torch.Tensor:
    """L-BFGS of each row; its first matrix is the shared curvature or the largest one."""
    inverse = problem.inverse(DAMPING) if shared else None
    pairs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    last: list[torch.Tensor] = []

    def move(rows: torch.Tensor, grad: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        if last:
            moved, turned = rows - last[0], grad - last[1]
            product = _dot(moved, turned)  # 0 where the row was taken back
            pairs.append((moved, turned, torch.where(product > 1e-12, 1 / product, 0)))
            del pairs[:-MEMORY]
        last[:] = rows, grad
        shares = []
        for moved, turned, rho in reversed(pairs):
            shares.append(rho * _dot(moved, grad))
            grad = grad - shares[-1] * turned
        grad = grad / problem.largest if inverse is None else grad @ inverse
        for (moved, turned, rho), share in zip(pairs, reversed(shares), strict=True):
            grad = grad + (share - rho * _dot(turned, grad)) * moved
        return length * grad

    return descend(problem, n_steps, move)


def levenberg_marquardt(problem: Problem, n_steps: int) -> torch.Tensor:
    """Gauss-Newton with the matrix of each row, damped more after a step that was taken back."""

    def move(rows: torch.Tensor, grad: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        problem.evaluations += rows.shape[1] / 2
        moves = torch.empty_like(rows)
        for begin in range(0, len(rows), JACOBIAN_ROWS):
            part = slice(begin, begin + JACOBIAN_ROWS)
            matrices = problem.own_curvatures(rows, part)
            diagonal = matrices.diagonal(dim1=1, dim2=2)
            mean = diagonal.mean(dim=1, keepdim=True).clamp_min(EPS)
            diagonal.add_(OWN_DAMPING / length[part] * mean)
            moves[part] = torch.linalg.solve(matrices, grad[part])
        return moves

    return descend(problem, n_steps, move)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Solver:
    """A way from the start to representations.

    Attributes
    ----------
    run : callable
        ``run(problem, n_steps)`` gives the rows.
    steps : tuple of int
        How many are tried.
    suits : callable
        Whether a problem is small enough for it.
    """

    run: Callable[[Problem, int], torch.Tensor]
    steps: tuple[int, ...]
    suits: Callable[[Problem], bool] = lambda problem: True


def _adam_name(step: float) -> str:
    return f"Adam, step {step:g}"


def _newton_name(damping: float) -> str:
    return f"Newton, damping {damping:g}"


PAPER_STEP, PAPER_STEPS = EnsembleRepresentationLearner().learning_rate, 50
N_NEWTON = EnsembleRepresentationLearner().transform_max_iter
REFERENCE = _adam_name(PAPER_STEP), PAPER_STEPS
DEFAULT = _newton_name(DAMPING), N_NEWTON
START, PUBLIC = ("start", 0), ("transform", N_NEWTON)
SOLVERS: dict[str, Solver] = {
    "start": Solver(lambda problem, n_steps: problem.start, (0,)),
    _adam_name(PAPER_STEP): Solver(partial(adam, step=PAPER_STEP), (5, 10, 20, 50, 100)),
    **{
        _adam_name(step): Solver(partial(adam, step=step), (3, 5, 10, 20, 50))
        for step in (3e-3, 1e-2)
    },
    _adam_name(6e-3) + " to 0": Solver(partial(adam, step=6e-3, decay=True), (3, 5, 10)),
    "Barzilai-Borwein": Solver(barzilai_borwein, (3, 5, 10)),
    "L-BFGS, largest curvature": Solver(lbfgs, (3, 5, 10, 20)),
    "L-BFGS, shared curvature": Solver(partial(lbfgs, shared=True), (3, 5)),
    **{
        _newton_name(damping): Solver(partial(newton, damping=damping), (1, 2, 3, 4, 6, 10))
        for damping in sorted({0.1, 0.5, 1, DAMPING})
    },
    "Levenberg-Marquardt": Solver(
        levenberg_marquardt, (1, 2, 3), lambda problem: problem.start.shape[1] <= WIDEST_OWN
    ),
}


# ---------------------------------------------------------------- measurements


def hits(
    rows: torch.Tensor, y: torch.Tensor, n_train: int, split: int
) -> dict[str, NDArray[np.float64]]:
    """Whether the neighbors of each test row name its class, in per cent.

    By the cosine. The lowest class wins a tie; what is drawn depends on the split alone.
    """
    units = normalize_rows(rows)
    similarity = units[n_train:] @ units[:n_train].T
    references, wanted = y[:n_train], y[n_train:]
    order = similarity.topk(max(NEIGHBORS), dim=1).indices
    votes = torch.nn.functional.one_hot(references)[order].cumsum(dim=1)  # (n_test, k, C)
    found = {f"k{k}": (votes[:, k - 1].argmax(dim=1) == wanted).double() for k in NEIGHBORS}
    few = torch.zeros(len(wanted), dtype=torch.float64)
    members = [np.flatnonzero(references == c) for c in references.unique()]
    for draw in range(N_DRAWS):
        rng = np.random.RandomState([split, draw])
        chosen = np.concatenate([rng.permutation(x)[:N_LABELS] for x in members])
        few += references[chosen][similarity[:, chosen].argmax(dim=1)] == wanted
    return {k: 100 * v.numpy() for k, v in {**found, "few_labels": few / N_DRAWS}.items()}


def half_width(values: NDArray[np.float64]) -> float:
    """Half of the 95 % confidence interval of a mean, by the normal approximation."""
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values)))


@torch.no_grad()
def measure(
    ensemble: Ensemble, split: int, only: Sequence[str] = tuple(SOLVERS)
) -> list[dict[str, Any]]:
    """These solvers on one split, and what they are compared with; one dictionary a row.

    Raises
    ------
    RuntimeError
        If the package's ``transform`` ends elsewhere than the same steps taken here.
    """
    train, test = ensemble.splits[split]
    n_train, n_test = len(train), len(test)
    views = [view[np.concatenate([train, test])] for view in ensemble.views.values()]
    y = torch.from_numpy(ensemble.y[np.concatenate([train, test])])
    params = resolve(AS_IN_THE_PAPER, {name: x.shape[1] for name, x in ensemble.views.items()})
    params |= {"random_state": split, "device": "cpu", "normalize": False}
    newton = {"transform_solver": "newton", "transform_max_iter": N_NEWTON}
    learner = EnsembleRepresentationLearner(**params | newton)
    learner.fit([view[:n_train] for view in views])
    problem = Problem(learner, views, n_train)
    measured: dict[tuple[str, int], tuple[dict[str, float], dict[str, NDArray[np.float64]]]] = {}

    def add(key: tuple[str, int], rows: torch.Tensor, evaluations: float) -> None:
        right = hits(rows, y, n_train, split)
        means = {name: float(values.mean()) for name, values in right.items()}
        loss = float(problem.loss(rows)[n_train:].mean())
        measured[key] = {"evaluations": evaluations, "loss": loss} | means, right

    for name, solver in SOLVERS.items():
        for n_steps in solver.steps if solver.suits(problem) else ():
            if name not in only and (name, n_steps) not in (REFERENCE, DEFAULT):
                continue
            problem.evaluations = 0.0
            rows = solver.run(problem, n_steps)
            add((name, n_steps), rows, problem.evaluations)
    add(PUBLIC, torch.from_numpy(learner.transform(views)), measured[DEFAULT][0]["evaluations"])
    with torch.enable_grad():
        rates = compare_transforms(learner, views, "cpu")
    speedup = rates["rows_a_second"] / rates["direct_rows_a_second"]
    measured[PUBLIC][0]["times_as_fast"] = speedup
    ours, packages = (measured[key][0]["loss"] for key in (DEFAULT, PUBLIC))
    if not abs(ours - packages) < 1e-4:
        raise RuntimeError(f"The loss is {packages:.6f} after transform, {ours:.6f} here.")

    rows_of_results = []
    for (name, n_steps), (numbers, right) in measured.items():
        row: dict[str, Any] = dict(zip(KEY, (ensemble.name, split, name, n_steps), strict=True))
        row |= {"n_train": n_train, "n_test": n_test} | numbers
        for column in PAIRED:
            difference = right[column] - measured[REFERENCE][1][column]
            row[f"{column}_difference"] = float(difference.mean())
            row[f"{column}_half_width"] = half_width(difference)
        rows_of_results.append(row)
    return rows_of_results


def update(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the file anew, sorted; rows that were measured again are replaced."""
    results = pd.DataFrame(rows)
    if path.exists():
        results = pd.concat([pd.read_csv(path), results]).drop_duplicates(KEY, keep="last")
    results.sort_values(KEY).to_csv(path, index=False, float_format="%.6g")


# ---------------------------------------------------------------- page


def over_splits(results: pd.DataFrame) -> pd.DataFrame:
    """Means over splits, by ensemble, solver and steps; no two splits share a test row."""
    groups = results.groupby(["ensemble", "solver", "steps"], sort=False)
    means = groups.mean(numeric_only=True)
    for column in PAIRED:
        half = f"{column}_half_width"
        means[half] = groups[half].agg(lambda halves: np.sqrt((halves**2).sum()) / len(halves))
    return means


def verdict(difference: float, half: float) -> str:
    """Whether a difference is beyond its interval."""
    if abs(difference) <= half:
        return "open"
    return "better" if difference > 0 else "worse"


def table_of_ensembles(means: pd.DataFrame) -> pd.DataFrame:
    """The default beside the reference on each ensemble."""
    rows = []
    for ensemble in means.index.unique("ensemble"):
        start, adam, ours, public = (
            means.loc[(ensemble, *key)] for key in (START, REFERENCE, DEFAULT, PUBLIC)
        )
        row: dict[str, Any] = {
            "ensemble": ensemble,
            "loss: start": start["loss"],
            f"Adam {REFERENCE[1]}": adam["loss"],
            "Newton": ours["loss"],
        }
        verdicts = ["loss " + ("lower" if ours["loss"] < adam["loss"] else "higher")]
        for column, title in PAIRED.items():
            difference, half = ours[f"{column}_difference"], ours[f"{column}_half_width"]
            row |= {f"{title}: Adam": adam[column], f"{title}: Newton": ours[column]}
            row[f"{title}: difference"] = f"{difference:+.1f} ± {half:.1f}"
            verdicts.append(f"{title} {verdict(difference, half)}")
        row |= {"gradients": ours["evaluations"], "times as fast": public["times_as_fast"]}
        rows.append(row | {"verdict": "; ".join(verdicts)})
    return pd.DataFrame(rows)


def table_of_solvers(means: pd.DataFrame) -> pd.DataFrame:
    """What each solver costs and gives, as means over the ensembles that it was tried on."""
    by_ensemble = means["loss"].groupby("ensemble")
    start = means["loss"].xs(START, level=("solver", "steps"))
    way = start - by_ensemble.min()
    loss = means["loss"].unstack(["solver", "steps"])
    shares = loss.rsub(start, axis=0).div(way, axis=0).mean()
    rows = []
    for solver, steps in [*((s, n) for s, x in SOLVERS.items() for n in x.steps), PUBLIC]:
        if (solver, steps) not in loss:
            continue
        own = means.xs((solver, steps), level=("solver", "steps"))
        row = {"solver": solver, "steps": steps, "ensembles": len(own)}
        row |= {"evaluations": own["evaluations"].mean(), "way": shares[solver, steps]}
        for column, title in PAIRED.items():
            row |= {title: own[column].mean()}
            row[f"{title}: over Adam {REFERENCE[1]}"] = own[f"{column}_difference"].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def tables(results: pd.DataFrame) -> str:
    """Two tables for the documentation: the default on each ensemble, and every solver.

    Parameters
    ----------
    results : DataFrame
        Rows of the results file.

    Returns
    -------
    text : str
        In reStructuredText.
    """
    from report import to_rst

    means = over_splits(results)
    ensembles, solvers = table_of_ensembles(means), table_of_solvers(means)
    losses = dict.fromkeys(ensembles.columns[1:4], ".4f")
    losses |= {"gradients": ".1f", "times as fast": ".1f"}
    gains = {column: "+.2f" for column in solvers if "over" in column}
    formats = {"way": ".3f", **dict.fromkeys(PAIRED.values(), ".2f"), **gains}
    return to_rst(ensembles, losses) + "\n\n" + to_rst(solvers, formats)


def styles() -> dict[str, dict[str, Any]]:
    """How the line of each solver is drawn: one color a family."""
    seen: dict[str, int] = {}
    found = {}
    for name in SOLVERS:
        family = name.split(",")[0]
        if family in COLORS:
            line = LINES[seen.setdefault(family, 0) % len(LINES)]
            found[name] = {"color": COLORS[family], "marker": line[0], "linestyle": line[1:]}
            seen[family] += 1
    return found


def draw(results: pd.DataFrame, column: str, label: str, path: Path) -> None:
    """A panel an ensemble: what is reached after how many gradients."""
    from matplotlib.figure import Figure

    means = over_splits(results)
    names = list(means.index.unique("ensemble"))
    n_rows = -(-len(names) // N_PANELS)
    figure = Figure(figsize=(3.5 * N_PANELS, 1.6 + 2.7 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, N_PANELS, squeeze=False).ravel()
    edge = 0.5  # the axis is logarithmic and has no 0
    handles: dict[str, Any] = {}
    for number, (panel, name) in enumerate(zip(panels, names, strict=False)):
        own, start = means.loc[name], means.loc[(name, *START), column]
        ends = [edge, own["evaluations"].max()]
        (handles["start"],) = panel.plot(ends, [start, start], "k*:", markevery=[0], lw=0.8)
        for solver, style in styles().items():
            if solver in own.index:
                line = own.loc[solver].sort_values("evaluations")
                x = line["evaluations"].clip(lower=edge)
                (handles[solver],) = panel.plot(x, line[column], ms=3.5, lw=1.1, **style)
        default = own.loc[DEFAULT]
        (handles["default"],) = panel.plot(
            default["evaluations"], default[column], "o", mfc="none", mec="black", ms=9, ls=""
        )
        if column == "loss":  # a solver that diverges is cut off
            lowest = own[column].min()
            panel.set_ylim(lowest - 0.05 * (start - lowest), start + 0.1 * (start - lowest))
        panel.set_title(name, fontsize="medium")
        panel.set_xscale("log")
        panel.set_xticks([edge, 1, 3, 10, 30, 100], ["start", "1", "3", "10", "30", "100"])
        panel.minorticks_off()
        panel.tick_params(labelsize="small")
        if number >= len(names) - N_PANELS:
            panel.set_xlabel("gradient evaluations", fontsize="small")
        if number % N_PANELS == 0:
            panel.set_ylabel(label, fontsize="small")
    for panel in panels[len(names) :]:
        panel.remove()
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def draw_all(results: pd.DataFrame) -> None:
    """Both figures of the documentation."""
    draw(results, "loss", "mean loss", IMAGES / "solvers.png")
    draw(results, "k5", "accuracy at k = 5, per cent", IMAGES / "solvers_accuracy.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ensembles", nargs="*", metavar="ENSEMBLE", help="these alone")
    parser.add_argument("--splits", type=int, default=2, choices=range(1, N_SPLITS + 1))
    parser.add_argument("--only", nargs="+", choices=SOLVERS, default=tuple(SOLVERS))
    parser.add_argument("--page", action="store_true", help="run nothing, draw and print")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.page:
        results = pd.read_csv(args.results)
        draw_all(results)
        print(tables(results))
        return
    several = [name for name, description in ENSEMBLES.items() if len(description.names) > 1]
    wanted = args.ensembles or several
    here = available(wanted)
    for name in wanted:
        if name in here:
            begin = time.perf_counter()
            ensemble = load_views(name)
            rows = [
                row for split in range(args.splits) for row in measure(ensemble, split, args.only)
            ]
            update(args.results, rows)
            print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
