"""The comparison of examples/paper: on planted ensembles whose answer is known."""

import argparse
import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

pytestmark = pytest.mark.slow

PAPER = Path(__file__).resolve().parents[2] / "examples" / "paper"


def build(folder):
    """Let Sphinx read pages; any warning is an error."""
    pytest.importorskip("sphinx_design")
    main = importlib.import_module("sphinx.cmd.build").build_main
    options = ["-q", "-W", "-C", "-D", "extensions=sphinx_design", "-D", "root_doc=results"]
    assert main([*options, "-b", "html", str(folder), str(folder / "html")]) == 0


class Paper:
    """The modules of examples/paper, imported anew."""

    def __getattr__(self, name):
        return importlib.import_module(name)


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.syspath_prepend(PAPER)
    names = {path.stem for path in PAPER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    yield Paper()
    for name in names & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


def plant(paper, monkeypatch, make_views, name="planted"):
    """Register an ensemble of 500 rows and four classes; return the classes' directions."""
    rng = np.random.RandomState(0)
    y = np.arange(500) % 4
    views = make_views(rng, np.eye(4)[y])
    ensembles = paper.ensembles
    monkeypatch.setitem(
        ensembles.ENSEMBLES,
        name,
        ensembles.Description(
            "Planted",
            "none.md",
            lambda description: (views, y, ensembles.cross_validation(y)),
            tuple(views),
        ),
    )
    monkeypatch.setattr(paper.report, "DATA_SETS", {"planted data": (name,)})
    monkeypatch.setattr(paper.report, "SHIPPED", ())


def strong_and_noise(rng, classes):
    """One view knows the class, five know nothing."""
    noise = {f"noise {i}": rng.randn(500, 2) for i in range(5)}
    return {"truth": classes + 0.25 * rng.randn(500, 4)} | noise


def turned(rng, classes):
    """Each view has the class, a louder noise of its own, and a basis of its own.

    An average would cancel the noise, once the views are turned to one basis.
    """

    def view():
        x = np.hstack([classes + 0.3 * rng.randn(500, 4), 1.5 * rng.randn(500, 8)])
        return x @ np.linalg.qr(rng.randn(12, 12))[0]

    return {f"view {i}": view() for i in range(5)}


def quick(paper, monkeypatch):
    """Let networks take few steps."""
    build = paper.methods.Method.build

    def build_quick(self, sizes, split):
        model = build(self, sizes, split)
        params = set(model.get_params())
        few = {"max_iter", "transform_max_iter"} & params if "learning_rate" in params else ()
        return model.set_params(**dict.fromkeys(few, 4))

    monkeypatch.setattr(paper.methods.Method, "build", build_quick)


@pytest.mark.parametrize(
    ("make_views", "best", "beaten"),
    [
        (strong_and_noise, "single: truth", "concatenation"),
        (turned, "Procrustes average", "average"),
    ],
)
def test_what_is_best_by_construction_is_reported_best(
    paper, monkeypatch, tmp_path, make_views, best, beaten
):
    quick(paper, monkeypatch)
    plant(paper, monkeypatch, make_views)
    cells = paper.report.main_cells(5, ["planted"])
    file = tmp_path / "results.parquet"
    results = paper.harness.run_cells(cells, file, n_jobs=1, verbose=False)
    assert paper.report.best_method(results, "planted") == best
    mean, half = paper.summary.gain(results, "planted", best, beaten, "knn-5")
    assert mean - half > 5
    assert beaten not in paper.report.as_good(results, "planted", best)
    if best.startswith("single"):
        assert paper.summary.best_single(results, "planted") == best
        method = paper.methods.PAPER_LEARNER.name
        tallies = paper.report.tallies(results, method).set_index("over")
        assert tallies.loc["best single model", "k = 5"] == "0, 0, 1"
        gains = paper.report.gains(results, "planted", method).set_index("over")
        assert gains.loc["best single model", "k = 5"].startswith("-")
    pages = paper.report.pages(results)
    assert f"Best at k = 5: **{best}**" in " ".join(pages["results/planted.rst"].split())
    answers = paper.report.answer(results)
    assert answers.loc[0, "best method"].startswith(f"{best}: +")
    # every number of the table of the ensemble is the mean of its rows
    shown = paper.report.accuracies(results, "planted").set_index("representation")
    rows = results[(results["method"] == beaten) & (results["protocol"] == "map")]
    assert shown.loc[beaten, "mAP"] == pytest.approx(rows["value"].mean())


def test_finished_rows_are_not_run_again(paper, monkeypatch, tmp_path):
    plant(paper, monkeypatch, strong_and_noise)
    harness, methods = paper.harness, paper.methods
    file = tmp_path / "results.parquet"
    cells = [harness.Cell("planted", methods.CONCATENATION, s, ("knn-1",)) for s in (0, 1)]
    first = harness.run_cells(cells[:1], file, n_jobs=1, verbose=False)
    assert len(first) == 1
    ran = []
    run_cell = harness.run_cell
    monkeypatch.setattr(harness, "run_cell", lambda *a: ran.append(a[0]) or run_cell(*a))
    both = [harness.Cell(c.ensemble, c.method, c.split, ("knn-1", "linear")) for c in cells]
    results = harness.run_cells([*cells, *both, *both], file, n_jobs=1, verbose=False)
    assert {c.split: c.protocols for c in ran} == {0: ("linear",), 1: ("knn-1", "linear")}
    assert len(ran) == 2
    assert len(results) == 4
    pd.testing.assert_frame_equal(results, harness.read_results(file))
    assert len(harness.run_cells(both, file, n_jobs=1, verbose=False)) == 4
    assert len(ran) == 2
    for column in ("seed", "device", "torch", "fit_seconds", "peak_mb", "n_train", "settings"):
        assert results[column].notna().all()


def test_a_protocol_without_a_number_is_not_tried_again(paper, monkeypatch, tmp_path):
    plant(paper, monkeypatch, strong_and_noise)
    fusion = next(m for m in paper.methods.BASELINES if m.name == "rank fusion")
    cell = paper.harness.Cell("planted", fusion, 0, ("linear", "knn-1"))
    results = paper.harness.run_cells([cell], tmp_path / "r", n_jobs=1, verbose=False)
    assert np.isnan(results.set_index("protocol").loc["linear", "value"])
    assert results.set_index("protocol").loc["knn-1", "value"] > 25
    assert paper.harness.missing_cells([cell], results) == []


def test_a_cell_needs_the_ensemble_that_its_mlps_come_from(paper, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SKNNENS_DATA", str(tmp_path))  # no mails
    plant(paper, monkeypatch, strong_and_noise)
    methods = (paper.methods.CONCATENATION, paper.methods.transferred("mail"))
    cells = [paper.harness.Cell("planted", method, 0) for method in methods]
    assert paper.harness.runnable(cells) == cells[:1]
    assert "mail is left out" in capsys.readouterr().out


def test_only_some_ensembles(paper, monkeypatch):
    plant(paper, monkeypatch, strong_and_noise)
    monkeypatch.setattr(paper.run, "all_ensembles", lambda: ["planted", "fashion-simclr"])

    def wanted(ensembles):
        args = argparse.Namespace(small=True, figure=None, splits=1, ensembles=ensembles)
        return {cell.ensemble for cell in paper.run.wanted_cells(args)}

    assert wanted(None) == {"planted", "fashion-simclr"}
    assert wanted(["planted"]) == {"planted"}


def test_some_views_of_an_ensemble(paper, monkeypatch):
    plant(paper, monkeypatch, strong_and_noise)
    some = paper.harness.load_views("planted:noise 1+truth")
    assert list(some.views) == ["noise 1", "truth"]
    added = paper.harness.load_views("planted:truth@2+noise@7").views
    assert [x.shape[1] for x in added.values()] == [2, 7]
    assert np.abs(added["truth@2"].mean(axis=0)).max() < 1e-5  # principal components
    assert 0.9 < added["noise@7"].std() < 1.1
    assert len(paper.harness.load_views("planted").views) == 6


@pytest.fixture
def evaluation(paper):
    rng = np.random.RandomState(0)
    y = rng.randint(0, 3, size=240)
    x = np.eye(3)[y] + 0.8 * rng.randn(240, 3)
    labels = y[:180], y[180:]
    return paper.protocols.Evaluation.of_rows(x[:180], x[180:], *labels, split=0), x


@pytest.mark.parametrize("k", [1, 5, 20])
def test_knn(paper, evaluation, k):
    evaluation, x = evaluation
    model = KNeighborsClassifier(k, metric="cosine").fit(x[:180], evaluation.y_train)
    expected = 100 * model.score(x[180:], evaluation.y_test)
    assert list(paper.protocols.knn(evaluation, k)) == [(None, pytest.approx(expected))]
    assert list(paper.protocols.knn(evaluation, 181)) == []


def test_few_labels(paper, evaluation, monkeypatch):
    evaluation, _ = evaluation
    few = [next(paper.protocols.few_labels(evaluation, n))[1] for n in (1, 5, 1000)]
    all_labels = next(paper.protocols.knn(evaluation, 1))[1]
    assert few[2] == pytest.approx(all_labels)  # with so many, a draw is every row
    assert 100 / 3 < few[0] < few[1]
    again = next(paper.protocols.few_labels(evaluation, 5))[1]
    assert again == few[1]
    monkeypatch.setattr(paper.protocols, "N_DRAWS", 1)
    assert next(paper.protocols.few_labels(evaluation, 5))[1] != few[1]  # draws differ


def test_mean_average_precision(paper, evaluation):
    evaluation, _ = evaluation
    expected = [
        average_precision_score(evaluation.y_train == y, similarity)
        for y, similarity in zip(evaluation.y_test, evaluation.similarity, strict=True)
    ]
    found = next(paper.protocols.mean_average_precision(evaluation))[1]
    assert found == pytest.approx(100 * np.mean(expected), abs=1e-4)


def test_no_ratio_to_a_mean_similarity_of_zero(paper, evaluation):
    evaluation, x = evaluation
    values = dict(paper.protocols.maximum_similarity(evaluation))
    assert list(values) == list(range(1, 100))
    assert values[99] > values[50] > 1
    centered = x - x.mean(axis=0)
    labels = evaluation.y_train, evaluation.y_test
    nothing = paper.protocols.Evaluation.of_rows(centered[:180], centered[180:], *labels, split=0)
    assert list(paper.protocols.maximum_similarity(nothing)) == []


def test_linear_classifier_is_regularised_logistic_regression(paper, evaluation):
    """At its end, SGD with weight decay is the minimum of the penalized cross entropy."""
    evaluation, x = evaluation
    rows = normalize(x[:180])
    weights = paper.protocols._train_linear(rows, evaluation.y_train, (1e-2, 1e-4), 0)
    model = LogisticRegression(C=1 / (180 * 1e-2), tol=1e-8).fit(rows, evaluation.y_train)
    expected = model.coef_ - model.coef_.mean(axis=0)
    np.testing.assert_allclose(weights[:-1, 0].T, expected, atol=0.02)
    accuracy = next(paper.protocols.linear(evaluation))[1]
    assert accuracy == pytest.approx(
        100 * model.score(normalize(x[180:]), evaluation.y_test), abs=5
    )


def test_interval(paper):
    values = [1.0, 2.0, 4.0]
    t = scipy.stats.t.ppf(0.975, 2)
    independent = paper.harness.interval(values, 80, 20, disjoint=True)
    assert independent == pytest.approx(t * np.std(values, ddof=1) / np.sqrt(3))
    corrected = paper.harness.interval(values, 80, 20, disjoint=False)
    assert corrected == pytest.approx(t * np.sqrt((1 / 3 + 0.25) * np.var(values, ddof=1)))
    assert np.isnan(paper.harness.interval([1.0], 80, 20, disjoint=True))


def test_command_line(paper, monkeypatch, tmp_path, capsys):
    quick(paper, monkeypatch)
    plant(paper, monkeypatch, strong_and_noise)
    run, docs = paper.run, tmp_path / "docs"
    monkeypatch.setattr(paper.report, "SHIPPED", ("fashion-efficientnet",))
    monkeypatch.setenv("SKNNENS_DATA", str(tmp_path / "nothing"))
    options = ["--small", "--splits", "2", "--n-jobs", "1"]
    options += ["--results", str(tmp_path / "r.parquet"), "--docs", str(docs)]
    monkeypatch.setattr(sys, "argv", ["run.py", *options])
    run.main()
    printed = capsys.readouterr().out
    assert "fashion-efficientnet is left out" in printed
    assert "make_efficientnet.py" in printed
    assert "planted, split 1: learner" in printed
    assert "single: truth" in (docs / "results.rst").read_text()
    assert "single: truth" in (docs / "results" / "planted.rst").read_text()
    assert (docs / "results" / "overview.png").stat().st_size > 1000
    monkeypatch.setattr(sys, "argv", ["run.py", "--page", *options])
    run.main()
    assert "split" not in capsys.readouterr().out


def test_other_settings_or_features_are_run_again(paper, monkeypatch, tmp_path):
    plant(paper, monkeypatch, strong_and_noise)
    harness, methods = paper.harness, paper.methods
    file = tmp_path / "results.parquet"

    def run(method):
        cells = [harness.Cell("planted", method, split, ("knn-1",)) for split in (0, 1)]
        return harness.run_cells(cells, file, n_jobs=1, verbose=False)

    first = run(methods.CONCATENATION)
    assert run(methods.CONCATENATION).equals(first)
    changed = methods.Method("concatenation", methods.Concatenation, {"scaling": "standard"})
    second = run(changed)
    assert len(second) == 2
    assert second["settings"].str.contains("scaling=standard").all()
    assert not second["value"].equals(first["value"])
    monkeypatch.setattr(harness, "checksum", lambda ensemble: "other")
    assert set(run(changed)["features"]) == {"other"}
    assert len(harness.read_results(file)) == 2


def test_the_split_is_the_seed(paper, monkeypatch):
    plant(paper, monkeypatch, strong_and_noise)
    build, seeds = paper.methods.Method.build, []
    monkeypatch.setattr(
        paper.methods.Method, "build", lambda *args: seeds.append(args[-1]) or build(*args)
    )
    for split in (0, 1):
        cell = paper.harness.Cell("planted", paper.methods.HALF_WHITENED, split, ("knn-1",))
        (row,) = paper.harness.run_cell(cell, paper.harness.load_views("planted"))
        assert row["seed"] == seeds[-1] == split


def test_the_bank_as_reference(paper, monkeypatch):
    quick(paper, monkeypatch)
    plant(paper, monkeypatch, strong_and_noise)
    seen = []
    of_rows = paper.harness.Evaluation.of_rows
    monkeypatch.setattr(
        paper.harness.Evaluation,
        "of_rows",
        lambda *rows, **kw: seen.append(rows[0]) or of_rows(*rows, **kw),
    )
    for method in (paper.methods.PAPER_LEARNER, paper.methods.PAPER_LEARNER_BANK):
        cell = paper.harness.Cell("planted", method, 0, ("knn-1",))
        paper.harness.run_cell(cell, paper.harness.load_views("planted"))
    assert seen[0].shape == seen[1].shape
    assert 0 < np.abs(normalize(seen[0]) - normalize(seen[1])).max() < 0.5
    assert not np.allclose(np.linalg.norm(seen[1], axis=1), 1)  # as fit has left it


def test_finished_rows_are_written_where_a_cell_fails(paper, monkeypatch, tmp_path):
    plant(paper, monkeypatch, strong_and_noise)
    methods = paper.methods
    bad = methods.Method("bad", methods.SingleModel, {"view": "none"})
    cells = [paper.harness.Cell("planted", m, 0, ("knn-1",)) for m in (methods.CONCATENATION, bad)]
    with pytest.raises(ValueError, match="view='none'"):
        paper.harness.run_cells(cells, tmp_path / "r", n_jobs=1, verbose=False)
    assert len(paper.harness.read_results(tmp_path / "r")) == 1


def test_converged_classifier(paper, evaluation):
    evaluation, x = evaluation
    rows = normalize(x)
    scores = [
        LogisticRegression(C=1 / (180 * decay), max_iter=1000)
        .fit(rows[:180], evaluation.y_train)
        .score(rows[180:], evaluation.y_test)
        for decay in paper.protocols.DECAYS
    ]
    assert next(paper.protocols.logistic(evaluation))[1] in [pytest.approx(100 * s) for s in scores]


def test_means_count_data_sets_and_not_ensembles(paper, monkeypatch):
    """Two ensembles of one data set have one vote; a method that one of them lacks has no row."""
    report = paper.report
    monkeypatch.setattr(report, "DATA_SETS", {"x": ("a", "b"), "y": ("c",), "z": ("absent",)})
    values = {
        ("a", "concatenation"): 10,
        ("b", "concatenation"): 20,
        ("c", "concatenation"): 45,
        ("a", "learner"): 10,
        ("c", "learner"): 10,
        **{(e, "single: one"): 1 for e in "abc"},
    }
    rows = [
        {"ensemble": e, "method": m, "protocol": p, "split": s, "point": np.nan, "value": value}
        for (e, m), value in values.items()
        for p in report.HEADERS
        for s in range(2)
    ]
    table = report.macro_means(pd.DataFrame(rows).assign(n_train=8, n_test=2, disjoint=True))
    assert dict(zip(table["representation"], table["k = 5"], strict=True)) == {
        "best single model": 1,
        "concatenation": 30,
    }


def test_the_whole_page_is_sound(paper, monkeypatch, tmp_path):
    """All figures and two ensembles of unlike widths; docutils has nothing to say."""
    report = paper.report
    monkeypatch.setattr(report, "DATA_SETS", {"x": ("fashion-simclr",), "y": ("digits-sklearn",)})
    monkeypatch.setattr(report, "SHIPPED", ("fashion-varied",))
    cells = report.main_cells(2, report.all_ensembles())
    cells += [cell for figure in paper.figures.all_figures() for cell in figure.cells(2)]
    rng = np.random.RandomState(0)
    points = {"spectrum": range(1, 9), "maximum-similarity": range(1, 100)}
    points["recoverability"] = (0, 1)
    rows = {
        (cell.ensemble, cell.method.name, protocol, cell.split, point): {
            "ensemble": cell.ensemble,
            "method": cell.method.name,
            "protocol": protocol,
            "split": cell.split,
            "point": float(point),
            "value": rng.uniform(50, 60),
            "settings": cell.method.settings,
            "features": "",
        }
        for cell in cells
        for protocol in cell.protocols
        for point in points.get(protocol, (np.nan,))
    }
    numbers = dict.fromkeys(
        ["fit_seconds", "transform_seconds", "represent_seconds", "protocol_seconds"], 60.0
    )
    sizes = {"n_train": 300, "n_test": 60, "disjoint": False}
    results = pd.DataFrame(rows.values()).assign(**numbers, **sizes, **paper.harness.environment())

    def check(results, *, n_plots):
        folder = tmp_path / str(n_plots)
        report.write_pages(results, folder)
        (folder / "defaults.rst").write_text(":orphan:\n\nDefaults\n========\n")
        plots = [*(folder / "results").glob("*.png")]
        assert len(plots) == n_plots
        build(folder)
        return {path.stem: path.read_text() for path in folder.rglob("*.rst")}

    pages = check(results, n_plots=15)
    assert "has not been run" not in "".join(pages.values())
    # 300 rows are two batches, 50 times
    assert "takes 100 steps" in " ".join(pages["fashion-simclr"].split())
    alone = check(results[results["ensemble"] == "fashion-barlow-large"], n_plots=4)
    assert "The comparison has not been run." in alone["results"]
    assert alone["figures"].count("This figure has not been run.") == 10
    # what was run for a figure alone is in no table of the comparison
    assert not [name for name, page in pages.items() if "MLPs of" in page and name != "figures"]


def test_the_pages_in_the_documentation_are_those_of_the_results(paper):
    docs, pages = paper.report.DOCS, paper.report.pages(paper.harness.read_results())
    assert {path: (docs / path).read_text("utf-8") for path in pages} == pages
    written = {f"results/{path.name}" for path in (docs / "results").glob("*.rst")}
    assert written == set(pages) - {"results.rst"}


def test_tables_are_narrow(paper):
    """A table has at most six columns, and a long name can break."""
    rst = paper.rst
    wide = pd.DataFrame({"name": ["x"], **{f"c{i}": [i] for i in range(7)}})
    parts = list(rst.narrow(wide))
    assert [list(part) for part in parts] == [
        ["name", "c0", "c1", "c2", "c3"],
        ["name", "c4", "c5", "c6"],
    ]
    assert [len(part.columns) for part in rst.narrow(wide, most=4)] == [4, 3, 3]
    assert rst.breakable("letter:columns+few") == "letter:columns+few"
    assert rst.breakable("a fortunes:minilm@32+use+noise@384") == (
        "a fortunes: minilm@32 + use + noise@384"
    )
    for path in (paper.report.DOCS / "results").glob("*.rst"):
        heads = re.findall(r":header-rows: 1\n\n +(.*)\n", path.read_text("utf-8"))
        assert heads or "has not been run" in path.read_text("utf-8")
        assert all(len(head.split('","')) <= rst.MOST_COLUMNS for head in heads)


def test_intervals_stand_beside_their_means(paper):
    table = pd.DataFrame({"name": ["x", "y"], "a": [0.25, 1], "a ±": [0.1, np.nan], "b": [1.0, 2]})
    shown = paper.rst.with_intervals(table, {"a": ".2f", "a ±": ".1f"})
    assert shown["a"].tolist() == ["0.25 ± 0.1", "1.00"]
    assert list(shown) == ["name", "a", "b"]
