"""The study of the defaults: what it runs, and what its page says."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sknnens.fusion._neighborhood
from sknnens import EnsembleRepresentationLearner

PAPER = Path(__file__).resolve().parents[2] / "examples" / "paper"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(PAPER)
    names = {path.stem for path in PAPER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    yield importlib.import_module("study")
    for name in names & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


def make_results(study, accuracy, ensembles):
    """Rows of every baseline and of the learner: `accuracy` maps (method, ensemble) to a number."""
    methods = [m.name for m in (*study.COMPARED, study.FUSION, study.LEARNER)]
    rows = [
        {
            "ensemble": e,
            "method": m,
            "protocol": p,
            "split": s,
            "point": np.nan,
            "value": accuracy(m, e) + 0.1 * s,
            "n_train": 100,
            "n_test": 20,
            "disjoint": False,
        }
        for e in ensembles
        for m in [*methods, "single: a", "single: b"]
        for p in study.PROTOCOLS
        for s in range(2)
    ]
    return pd.DataFrame(rows)


def test_constants_are_changed_in_fit_alone(study, views):
    sizes = {f"view{i}": v.shape[1] for i, v in enumerate(views)}
    X = np.hstack(views)
    params = {"max_iter": 1, "random_state": 0}
    before = sknnens.fusion._neighborhood.NEIGHBOR_SHARE
    plain, other = (
        study.LearnerWith(sizes, constants=constants, params={"max_iter": 1}).fit(X).transform(X)
        for constants in ({}, {"NEIGHBOR_SHARE": 0.0, "RANK_POWER": 1.0})
    )
    assert before == sknnens.fusion._neighborhood.NEIGHBOR_SHARE
    expected = EnsembleRepresentationLearner(sizes, **params).fit_transform(X)
    np.testing.assert_array_equal(plain, expected)
    assert np.abs(other - expected).max() > 1e-3


def test_every_trial_is_a_change(study):
    trials = [m for methods in study.TRIALS.values() for m in methods]
    names = [m.name for m in (study.START, *trials)]
    assert len(set(names)) == len(names)
    for method in trials:
        constants = method.params["constants"]
        changed = method.params["params"] != study.START_ALONE
        for name, value in constants.items():
            here = getattr(sknnens.fusion._neighborhood, name, None)
            assert (here or getattr(sknnens.fusion._weights, name)) != value
            changed = True
        assert changed


def test_cells(study):
    cells = study.wanted_cells(2, ["digits-sklearn", "fashion-varied:rotnet+autoencoder"])
    names = {e: {c.method.name for c in cells if c.ensemble == e} for e in study.DEVELOPMENT}
    trials = {study.START.name} | {m.name for found in study.TRIALS.values() for m in found}
    shared = {study.FUSION.name, study.LEARNER.name, "concatenation", "GCCA", *trials}
    singles = {f"single: {v}" for v in ("pixels", "frequencies", "gradients", "convolutions")}
    assert names["digits-sklearn"] > shared | singles
    assert names["fashion-varied:rotnet+autoencoder"] > shared | {"single: rotnet", "average"}
    assert not {m.name for m in study.LEARNERS[:2]} & names["digits-sklearn"]
    assert "autoencoder" not in names["digits-sklearn"]
    assert {c.split for c in cells} == {0, 1}
    assert not set(study.TEST) & set(study.DEVELOPMENT)


def test_margins_by_hand(study):
    """One baseline is the best on each of two ensembles, a third on average."""
    planted = {
        ("z-scored", "x"): 60.0,
        ("GCCA", "y"): 61.0,
        ("centered", "x"): 58.0,
        ("centered", "y"): 58.0,
        (study.LEARNER.name, "x"): 61.0,
        (study.LEARNER.name, "y"): 59.0,
        ("single: b", "y"): 59.5,
    }
    results = make_results(study, lambda m, e: planted.get((m, e), 50.0), "xy")
    table = study.baselines_and_learners(results, "xy")
    assert study.best_baseline(table, "knn-5") == "centered"
    assert table.loc[study.ORACLE, "knn-5"] == pytest.approx(60.55)
    first = study.margins(results, "xy")[0]
    assert first.startswith("**k = 5**: +2.0 points over the best baseline (centered), -0.5 over")
    least = study.least_gains(results, "xy").set_index("ensemble")["k = 5"]
    assert least["x"].startswith("+11.0")  # over the concatenation and both models
    assert least["y"].startswith("-0.5")  # over the better of the two models


def test_regret_by_hand(study):
    planted = {("GCCA", "x"): 53.0, ("z-scored", "y"): 51.0}
    results = make_results(study, lambda m, e: planted.get((m, e), 50.0), "xy")
    groups = {
        "two": ("xy", study.CONCATENATION.name, ["GCCA", "z-scored"]),
        "one": ("xy", "GCCA", ["z-scored"]),
    }
    table = study.regrets(results, groups)["knn-5"]
    assert table["two"] == pytest.approx((3 + 1) / 2)
    assert table["one"] == pytest.approx((0 + 1) / 2)


def test_worst_cells(study):
    planted = {("concatenation", "x"): 53.0, (study.LEARNER.name, "y"): 49.0}
    results = make_results(study, lambda m, e: planted.get((m, e), 50.0), "xyz")
    worst = study.worst_cells(results, "xyz", 8)
    assert worst["ensemble"].tolist() == ["x"] * 6 + ["y"] * 2
    assert worst["learner"].str.startswith("-3.0").sum() == 6
    assert worst["fusion"].str.startswith("+0.0").sum() == 2


@pytest.mark.slow
def test_the_page_is_sound(study, tmp_path):
    """docutils has nothing to say, and what was not run is no number."""
    ensembles = [*study.TEST, *study.DEVELOPMENT]
    results = make_results(study, lambda m, e: 50.0, ensembles)
    tried = [
        {"ensemble": e, "method": m.name, "protocol": p, "split": s}
        for e in study.DEVELOPMENT
        for m in (study.START, *(m for found in study.TRIALS.values() for m in found))
        for p in study.PROTOCOLS
        for s in range(2)
    ]
    tried += [
        {"ensemble": e, "method": m.name, "protocol": p, "split": 0}
        for e in study.WHOLE
        for w in study.NARROW
        for m in (*study.NARROW_BASELINES[w], study.NARROW_DEFAULTS[w])
        for p in study.PROTOCOLS
    ]
    sizes = {"value": 51.0, "point": np.nan, "n_train": 100, "n_test": 20, "disjoint": False}
    page = study.page(pd.concat([results, pd.DataFrame(tried).assign(**sizes)]))
    (tmp_path / "index.rst").write_text(page, "utf-8")
    pytest.importorskip("sphinx_design")
    build = importlib.import_module("sphinx.cmd.build").build_main
    options = ["-q", "-W", "-C", "-D", "extensions=sphinx_design"]
    assert build([*options, str(tmp_path), str(tmp_path / "html")]) == 0
    assert '"no neighborhood part","+1.0"' in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.slow
def test_the_page_in_the_documentation_is_that_of_the_results(study):
    written = (study.DOCS / "defaults.rst").read_text()
    assert written == study.page(study.read_results(study.STUDY))
