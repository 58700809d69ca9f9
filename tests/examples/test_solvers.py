"""The benchmark of ways to find representations, on small problems and on made-up results."""

import sys
from pathlib import Path

import docutils.core
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_views
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from test_newton import exact

from sknnens import EnsembleRepresentationLearner
from sknnens._engine._loss import normalize_rows

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
N_TRAIN = 120
WIDTH = 8


@pytest.fixture(scope="module")
def solvers(benchmarks):
    return benchmarks("solvers")


@pytest.fixture(scope="module")
def views():
    """Three views, of which the first is zero in some rows."""
    found = make_views(160, (WIDTH,) * 3)
    found[0][::9] = 0
    return found


@pytest.fixture(scope="module")
def learner(views):
    learner = EnsembleRepresentationLearner(
        max_iter=20, learning_rate=3e-3, normalize=False, random_state=0, device="cpu"
    )
    return learner.fit([view[:N_TRAIN] for view in views])


@pytest.fixture
def problem(solvers, learner, views):
    return solvers.Problem(learner, views, N_TRAIN)


@pytest.fixture
def ensemble(solvers):
    """An ensemble of two splits and four classes."""
    y = np.arange(160) % 4
    views = {f"view{i}": view for i, view in enumerate(make_views(160, (WIDTH,) * 3))}
    for view in views.values():
        view += y[:, None] == np.arange(WIDTH)
    rows = np.arange(160)
    splits = [(rows[40:], rows[:40]), (rows[:120], rows[120:])]
    return solvers.Ensemble("planted", views, y, splits)


def candidates(solvers):
    return [(name, steps) for name, solver in solvers.SOLVERS.items() for steps in solver.steps]


def test_every_solver_lowers_the_loss(solvers, problem):
    before = problem.start.clone()
    start = problem.loss(before).mean()
    for name, steps in candidates(solvers):
        rows = solvers.SOLVERS[name].run(problem, steps)
        if (name, steps) != solvers.START and name != "Barzilai-Borwein":
            assert problem.loss(rows).mean() < start, (name, steps)
    assert torch.equal(problem.start, before)


def test_the_two_solvers_of_the_package(solvers, learner, views):
    for solver, (name, steps) in {"newton": solvers.DEFAULT, "adam": solvers.REFERENCE}.items():
        other = clone(learner).set_params(transform_solver=solver, transform_max_iter=steps)
        other.fit([view[:N_TRAIN] for view in views])
        found = solvers.SOLVERS[name].run(solvers.Problem(other, views, N_TRAIN), steps)
        # a step of Adam, 3e-4, may go either way where the gradient is zero up to rounding
        atol = 1e-4 if solver == "newton" else 1e-3
        expected = other.transform(views)
        np.testing.assert_allclose(found, expected, atol=atol)
        assert np.median(np.abs(found - expected)) < 1e-6


def test_own_curvature(problem):
    own = problem.own_curvatures(problem.start, slice(0, 3))
    weights = problem.step.view_weights
    for i, matrix in enumerate(own):
        row = slice(i, i + 1)  # alone, no output is short beside the others
        expected = exact(problem.networks, problem.start[row], problem.present[:, row], weights)
        torch.testing.assert_close(matrix, expected, rtol=1e-4, atol=1e-4)


def test_steps_that_check_the_loss_never_raise_it(solvers, problem):
    losses = problem.loss(problem.start)
    for solver in (solvers.lbfgs, solvers.levenberg_marquardt):
        for steps in (1, 2, 3):
            found = problem.loss(solver(problem, steps))
            assert (found <= losses).all()


def cost(name, steps):
    if not steps:
        return 0
    if name.startswith(("Adam", "Barzilai", "Newton")):
        return steps
    jacobians = steps * WIDTH / 2 if name == "Levenberg-Marquardt" else 0
    return steps + 0.5 + jacobians


def test_cost(solvers, problem, monkeypatch):
    calls = []
    step = problem.step

    class Counted:
        view_weights = step.view_weights

        def __call__(self, rows, *, rows_move):
            calls.append(1 if rows_move else 0.5)
            return step(rows, rows_move=rows_move)

    monkeypatch.setattr(problem, "step", Counted())
    for name, steps in candidates(solvers):
        calls.clear()
        problem.evaluations = 0.0
        solvers.SOLVERS[name].run(problem, steps)
        jacobians = steps * WIDTH / 2 if name == "Levenberg-Marquardt" else 0
        assert problem.evaluations == cost(name, steps), (name, steps)
        assert sum(calls) + jacobians == problem.evaluations


def test_hits(solvers):
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=150)
    rows = rng.randn(150, 5).astype(np.float32) + np.eye(5, dtype=np.float32)[y]
    found = solvers.hits(torch.from_numpy(rows), torch.from_numpy(y), 100, split=0)
    units = normalize_rows(torch.from_numpy(rows)).numpy()
    for k in (1, 5, 20):
        model = KNeighborsClassifier(k).fit(units[:100], y[:100])
        np.testing.assert_array_equal(
            found[f"k{k}"], 100.0 * (model.predict(units[100:]) == y[100:])
        )
    few = found["few_labels"]
    assert few.mean() > 50
    assert len(np.unique(few)) > 5  # it is a mean over draws
    again = solvers.hits(torch.from_numpy(rows), torch.from_numpy(y), 100, split=1)
    assert (again["few_labels"] != few).any()


def test_measured_rows(solvers, ensemble, tmp_path):
    path = tmp_path / "solvers.csv"
    rows = [row for split in (0, 1) for row in solvers.measure(ensemble, split)]
    solvers.update(path, rows)
    solvers.update(path, [row | {"ensemble": "another"} for row in rows])
    solvers.update(path, rows)
    results = pd.read_csv(path)
    keys = results[solvers.KEY]
    assert keys.equals(keys.sort_values(solvers.KEY, ignore_index=True))
    assert not keys.duplicated().any()
    assert len(results) == 2 * 2 * (len(candidates(solvers)) + 1)
    assert results["loss"].notna().all()
    assert results["k5"].between(25, 100).all()
    reference = results[results["solver"] == solvers.REFERENCE[0]]
    reference = reference[reference["steps"] == solvers.REFERENCE[1]]
    assert (reference[["k5_difference", "k5_half_width"]] == 0).all(axis=None)
    own = reference.set_index(["ensemble", "split"])["k5"]
    gains = results["k5"] - own.loc[results[["ensemble", "split"]].agg(tuple, axis=1)].to_numpy()
    np.testing.assert_allclose(results["k5_difference"], gains, atol=1e-3)  # six digits are kept
    public = results[results["solver"] == "transform"]
    assert (public["evaluations"] == solvers.N_NEWTON).all()

    solvers.draw(results, "loss", "mean loss", tmp_path / "new" / "loss.png")
    assert (tmp_path / "new" / "loss.png").stat().st_size > 10_000
    assert "planted" in solvers.tables(results)


def test_another_transform_is_noticed(solvers, ensemble, monkeypatch):
    few = {key: solvers.SOLVERS[key[0]] for key in (solvers.REFERENCE, solvers.DEFAULT)}
    monkeypatch.setattr(solvers, "SOLVERS", {name: solver for (name, _), solver in few.items()})
    transform = EnsembleRepresentationLearner.transform
    monkeypatch.setattr(
        EnsembleRepresentationLearner,
        "transform",
        lambda self, X: transform(self.set_params(transform_max_iter=0), X),
    )
    with pytest.raises(RuntimeError, match="after transform"):
        solvers.measure(ensemble, 0)


def test_verdicts(solvers):
    assert solvers.verdict(1.0, 0.9) == "better"
    assert solvers.verdict(-1.0, 0.9) == "worse"
    assert solvers.verdict(-0.9, 0.9) == "open"


def made_up(solvers, name, loss, difference, half):
    """Two splits of an ensemble on which the default has this loss; 0.4 and 0.3 are those of Adam
    and of the lowest, 0.5 that of the start.
    """
    losses = {solvers.START: 0.5, solvers.REFERENCE: 0.4, solvers.DEFAULT: loss}
    losses |= {("L-BFGS, shared curvature", 5): 0.3, solvers.PUBLIC: loss}
    rows = []
    for split in (0, 1):
        for (solver, steps), value in losses.items():
            ours = solver == solvers.DEFAULT[0]
            row = {"ensemble": name, "split": split, "solver": solver, "steps": steps}
            row |= {"evaluations": steps, "loss": value, "times_as_fast": 12.0 + split}
            for column in solvers.PAIRED:
                row |= {column: 70 + ours * difference, f"{column}_difference": ours * difference}
                row[f"{column}_half_width"] = ours * half
            rows.append(row)
    return rows


def test_tables(solvers):
    rows = made_up(solvers, "good", 0.35, 3.0, 1.0) + made_up(solvers, "bad", 0.45, -3.0, 1.0)
    rows += made_up(solvers, "same", 0.35, 0.6, 1.0)
    text = solvers.tables(pd.DataFrame(rows))
    lines = {line.strip().split(",")[0].strip('"'): line for line in text.splitlines() if line}
    assert lines["good"].endswith('"loss lower; k = 5 better; 5 labels better"')
    assert lines["bad"].endswith('"loss higher; k = 5 worse; 5 labels worse"')
    assert lines["same"].endswith('"loss lower; k = 5 open; 5 labels open"')
    assert '"-3.0 ± 0.7"' in lines["bad"]  # of two splits
    own = text[text.index('"solver"') :].splitlines()
    start, adam, best, ours, public = (line.strip().strip('"').split('","') for line in own[1:])
    assert [start[4], adam[4], best[4]] == ["0.000", "0.500", "1.000"]
    assert ours[4] == f"{(0.75 + 0.25 + 0.75) / 3:.3f}"
    assert ours[5:7] == ["70.20", "+0.20"]
    assert public[0] == "transform"
    assert '"12.5"' in lines["good"]
    assert docutils.core.publish_string(text, settings_overrides={"halt_level": 2})


def test_page(solvers, monkeypatch, tmp_path, capsys):
    pd.DataFrame(made_up(solvers, "good", 0.35, 3.0, 1.0)).to_csv(tmp_path / "made.csv")
    monkeypatch.setattr(solvers, "IMAGES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["solvers.py", "--page", "--results", f"{tmp_path}/made.csv"])
    solvers.main()
    assert "loss lower" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "solvers.png",
        "solvers_accuracy.png",
    }
