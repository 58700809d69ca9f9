"""The figures of examples/paper, on planted results: nothing is trained here."""

import importlib
import itertools
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from matplotlib.figure import Figure as Canvas

pytestmark = pytest.mark.slow

PAPER = Path(__file__).resolve().parents[2] / "examples" / "paper"
NUMBERS = [str(number) for number in range(2, 16)]
COMPARISONS = ["2", "3", "4", "5", "6", "7", "8", "9", "14"]
POINTS = {
    "spectrum": range(1, 9),
    "maximum-similarity": range(1, 100),
    "recoverability": (0, 1),
}
SPECIAL = {
    "learner (paper settings), memory bank": 6,
    "learner (paper settings, n_layers=1)": 4,
    "learner (paper settings, alpha=1e-06)": 6,
    "learner (paper settings, n_layers=6)": 9,
    "learner (paper settings, n_layers=8)": 7,
    "learner (paper settings, learning_rate=0.001)": 6,
    "learner (paper settings, batch_size=64, learning_rate=7.5e-05)": 6,
}


@pytest.fixture(scope="module")
def figures():
    """The shared module; afterwards all modules of the folder are forgotten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PAPER)
        names = {path.stem for path in PAPER.glob("*.py")}
        for name in names:
            patch.delitem(sys.modules, name, raising=False)
        import figures

        yield figures
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def every(figures):
    return {figure.number: figure for figure in figures.all_figures()}


def as_claimed(number, ensemble, method, protocol):
    """Points over a baseline where all that the paper says is true."""
    if method.startswith("single: "):
        return -1 - len(method) % 3  # one of them is the best
    if not method.startswith("learner"):
        return 0
    if protocol == "mean-similarity":
        return -5
    if protocol in ("linear", "logistic"):
        return {"fashion-barlow": -6, "wordnet": -1}.get(ensemble, 2)
    if protocol == "maximum-similarity" and ensemble == "wordnet":
        return 0
    return 4.5 if "MLPs of" in method else SPECIAL.get(method, 5)


def opposite(number, ensemble, method, protocol):
    """The same where none of it is."""
    if "MLPs of" in method:
        return -7 if number == "8" else -4
    if number in ("12", "13") and method.startswith("learner (paper settings, "):
        return -6
    sign = -1 if method.startswith("learner") else 1
    return sign * as_claimed(number, ensemble, method, protocol)


def plant(figure, world=as_claimed, noise=0.02, n_splits=5):
    """Results for exactly the cells of a figure.

    Splits differ by much more than methods do, so that only pairs tell. The noise of a method
    sums to zero over the splits, and no two methods or protocols have the same.
    """
    cells = figure.cells(n_splits)
    period = len({cell.split for cell in cells})
    order = {name: i for i, name in enumerate(dict.fromkeys(cell.method.name for cell in cells))}
    rows = {}
    for cell in cells:
        name = cell.method.name
        for i, protocol in enumerate(cell.protocols):
            angle = 2 * np.pi * (cell.split / period + 0.618 * order[name] + 0.29 * i)
            points = world(figure.number, cell.ensemble, name, protocol) + noise * np.cos(angle)
            for point in POINTS.get(protocol, [np.nan]):
                if protocol == "recoverability":
                    right = (point == 1) == (world is as_claimed)
                    value = (0.995 if right else 0.97) + 0.02 * noise * np.cos(angle)
                elif protocol == "spectrum":
                    value = 0.5 / point + 0.02 * points
                else:
                    value = 60 + 20 * np.cos(cell.split) + np.nan_to_num(point) + points
                rows[cell.ensemble, name, protocol, cell.split, point] = {
                    "ensemble": cell.ensemble,
                    "method": name,
                    "protocol": protocol,
                    "split": cell.split,
                    "point": float(point),
                    "value": value,
                    "n_train": 4800,
                    "n_test": 600,
                    "disjoint": "large" in cell.ensemble,
                }
    table = pd.DataFrame(rows.values())
    return table.sample(frac=1, random_state=0, ignore_index=True)  # as they come, in any order


@pytest.fixture(scope="module")
def planted(every):
    """What is planted where all is as claimed."""
    return {number: plant(figure) for number, figure in every.items()}


def verdicts(figure, results):
    return {claim.statement: claim.holds for claim in figure.claims(results)}


# ---------------------------------------------------------------- summary.py


def rows_of(method, protocol, values, disjoint=True, **more):
    return pd.DataFrame(
        {
            "ensemble": "a",
            "method": method,
            "protocol": protocol,
            "split": list(values),
            "point": np.nan,
            "value": list(values.values()),
            "n_train": 100,
            "n_test": 50,
            "disjoint": disjoint,
        }
        | more
    )


def test_means_and_gains(figures):
    import summary

    results = pd.concat(
        [
            rows_of("new", "knn-5", {3: 33.0, 1: 11.0, 2: 22.0, 4: np.nan}),
            rows_of("old", "knn-5", {1: 10.0, 2: 20.0, 3: 30.0, 4: 40.0, 0: 0.0}),
            rows_of("new", "knn-1", {0: 99.0}),
        ]
    )
    t = scipy.stats.t.ppf(0.975, 2)
    mean, half = summary.mean_and_interval(results, "a", "new", "knn-5")
    assert mean == pytest.approx(22)
    assert half == pytest.approx(t * 11 / np.sqrt(3))
    mean, half = summary.gain(results, "a", "new", "old", "knn-5")
    assert mean == pytest.approx(2)  # over the splits that both have
    assert half == pytest.approx(t * 1 / np.sqrt(3))
    overlapping = results.assign(disjoint=False)
    assert summary.gain(overlapping, "a", "new", "old", "knn-5")[1] == pytest.approx(
        t * np.sqrt(1 / 3 + 0.5)
    )
    one = summary.mean_and_interval(results, "a", "new", "knn-1")
    assert one[0] == 99
    assert np.isnan(one[1])
    for ensemble, method in (("a", "none"), ("b", "new"), ("a", None)):
        assert np.isnan(summary.mean_and_interval(results, ensemble, method, "knn-5")).all()
        assert np.isnan(summary.gain(results, ensemble, "new", method, "knn-7")).all()


def test_points_are_kept_apart(figures):
    import summary

    results = pd.concat(
        [
            rows_of("m", "curve", {0: 1.0, 1: 3.0}, point=0.0),
            rows_of("m", "curve", {0: 5.0, 1: 7.0}, point=1.0),
        ]
    )
    assert summary.mean_and_interval(results, "a", "m", "curve", point=0)[0] == 2
    assert summary.mean_and_interval(results, "a", "m", "curve", point=1)[0] == 6
    assert np.isnan(summary.mean_and_interval(results, "a", "m", "curve")[0])
    assert figures.curve(results, "a", "m", "curve").to_dict() == {0: 2, 1: 6}


def test_best_single(figures):
    import summary

    results = pd.concat(
        [
            rows_of("single: x", "knn-5", {0: 10.0, 1: 30.0}),
            rows_of("single: y", "knn-5", {0: 21.0, 1: 21.0}),
            rows_of("single: z", "knn-5", {0: np.nan}),
            rows_of("learner", "knn-5", {0: 90.0}),
            rows_of("single: x", "linear", {0: 50.0}),
        ]
    )
    assert summary.best_single(results, "a") == "single: y"
    assert summary.best_single(results, "a", "linear") == "single: x"
    assert summary.best_single(results, "b") is None


# ---------------------------------------------------------------- helpers


def test_verdicts(figures):
    nan = float("nan")
    for number, bound, expected in (
        ((1, 0.9), 0, "yes"),
        ((1, 1.1), 0, "unclear"),
        ((-1, 0.9), 0, "no"),
        ((2.5, 0.4), 2, "yes"),
        ((1.5, 0.4), 2, "no"),
        ((1, nan), 0, "unclear"),
        ((nan, nan), 0, "unclear"),
    ):
        assert figures.verdict(number, bound) == expected
    assert figures.below("", "", (0.5, 0.1), 1).holds == "yes"
    assert figures.below("", "", (0.5, 0.1), 0).holds == "no"
    assert figures.above("", "", (0.5, 0.1)).here == "+0.5 ± 0.1"
    assert figures.above("", "", (-0.5, nan)).here == "-0.5"
    assert figures.above("", "", (0.995, 0.001), digits=3, sign="").here == "0.995 ± 0.001"
    assert figures.above("", "", (nan, nan)).here == "not measured"
    yes, no, unclear = "yes", "no", "unclear"
    assert figures.at_least([yes, yes, no], 2) == yes
    assert figures.at_least([yes, no, no], 2) == no
    assert figures.at_least([yes, unclear, no], 2) == unclear
    assert figures.at_least([], 0) == unclear
    np.testing.assert_allclose(figures.mean_of([(1, 3), (2, 4)]), (1.5, 3.5))


def test_markdown(figures):
    table = pd.DataFrame({"x": ["a"], "n": [3], "gain": [0.25], "s": [0.1234], "m": [np.nan]})
    assert figures.to_markdown(table, {"s": ".3f"}).splitlines() == [
        "| x | n | gain | s | m |",
        "| --- | --: | --: | --: | --: |",
        "| a | 3 | +0.2 | 0.123 |  |",
    ]


def test_average_only_where_widths_are_equal(figures):
    from ensembles import ENSEMBLES, load_ensemble

    for name in ("fashion-simclr", "fashion-varied", "digits-sklearn"):
        widths = {view.shape[1] for view in load_ensemble(name).views.values()}
        has_average = "average" in {method.name for method in figures.baselines_of(name)}
        assert has_average == (len(widths) == 1)
    for name, description in ENSEMBLES.items():
        assert figures.views_of(name) == description.names
        assert figures.baselines_of(f"{name}:{description.names[0]}") == []


# ---------------------------------------------------------------- every figure


def test_all_are_there_and_not_too_large(every):
    from harness import missing_cells, read_results

    assert list(every) == NUMBERS
    none = read_results(PAPER / "no such file")
    cells = {n: missing_cells(figure.cells(5), none) for n, figure in every.items()}
    assert all(0 < len(found) <= 250 for found in cells.values())
    assert len(missing_cells(itertools.chain(*cells.values()), none)) < 900
    assert {cell.split for cell in every["2"].cells(2)} == {0, 1}
    assert {cell.split for cell in every["14"].cells(5)} == {0, 1, 2}


def test_methods_are_what_their_names_say(every, figures):
    from ensembles import ENSEMBLES
    from methods import TransferredLearner

    params_of = {}
    for figure in every.values():
        for cell in figure.cells(1):
            views = figures.views_of(cell.ensemble)
            whole = cell.ensemble.partition(":")[0]
            assert set(views) <= set(ENSEMBLES[whole].names)
            made = cell.method.build(dict.fromkeys(views, 4), 0)
            if isinstance(made, TransferredLearner):
                assert made.source != whole
                assert tuple(made.views) == views
                assert set(views) <= set(ENSEMBLES[made.source].names)
                assert made.source in cell.method.name
                continue
            if cell.method.name.startswith("single: "):
                assert made.view in views
            params = {key: v for key, v in made.get_params().items() if key != "views"}
            assert params_of.setdefault(cell.method.name, params) == params

    def of(number):
        names = {cell.method.name for cell in every[number].cells(1)}
        return [params_of[name] for name in names if name.startswith("learner")]

    assert {(p["n_layers"], p["alpha"]) for p in of("10")} == set(
        itertools.product(range(1, 9), (0, 1e-6))
    )
    assert {p["learning_rate"] for p in of("12")} == {3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2}
    assert {p["batch_size"] for p in of("13")} == {2**i for i in range(5, 12)}
    for params in of("13"):
        assert params["learning_rate"] == pytest.approx(3e-4 * params["batch_size"] / 256)
    for params in (*of("10"), *of("12"), *of("13")):
        assert params["representation_learning_rate"] == params["learning_rate"]
    assert {p["non_negative"] for p in of("11")} == {True, False}


@pytest.mark.parametrize("number", NUMBERS)
def test_claims_that_are_true(every, planted, number):
    found = verdicts(every[number], planted[number])
    assert found
    assert set(found.values()) == {"yes"}, found


@pytest.mark.parametrize("number", [n for n in NUMBERS if n != "14"])
def test_claims_that_are_false(every, number):
    found = verdicts(every[number], plant(every[number], opposite))
    assert set(found.values()) == {"no"}, found


def test_bounds_that_are_claimed(every):
    """A gain of one point is a gain, but none of more than two; so with the other bounds."""

    def one_point(number, ensemble, method, protocol):
        return 1 if method.startswith("learner") else 0 if ":" not in method else -9

    def half_a_point(number, ensemble, method, protocol):
        return 0.5 if method.startswith("learner") else 0

    def found(number, world):
        return list(verdicts(every[number], plant(every[number], world)).values())

    assert found("2", one_point) == ["yes", "no", "no", "unclear"]
    assert found("3", one_point) == ["yes", "yes", "yes", "no"]
    assert found("7", half_a_point) == ["yes"] * 5 + ["no"]


def test_linear_claims_that_are_false(every):
    """Two of them cannot be false at once: a mean loss, and no loss anywhere."""
    figure = every["14"]

    def world(several):
        def points(number, ensemble, method, protocol):
            if protocol not in ("linear", "logistic") or not method.startswith("learner"):
                return as_claimed(number, ensemble, method, protocol)
            return 6 if ensemble == "fashion-barlow" else several

        return points

    assert list(verdicts(figure, plant(figure, world(9))).values()) == ["no", "yes", "no", "no"] * 2
    assert (
        list(verdicts(figure, plant(figure, world(-9))).values()) == ["no", "no", "yes", "yes"] * 2
    )


@pytest.mark.parametrize("number", NUMBERS)
def test_noise_wider_than_the_gain_and_nothing_at_all(every, planted, number):
    figure = every[number]
    found = verdicts(figure, plant(figure, noise=300))
    assert set(found.values()) == {"unclear"}, found
    nothing = planted[number].iloc[:0]
    assert set(verdicts(figure, nothing).values()) == {"unclear"}
    assert len(figure.table(nothing))
    single_split = plant(figure, n_splits=1)
    assert set(verdicts(figure, single_split).values()) == {"unclear"}


@pytest.mark.parametrize("number", COMPARISONS)
def test_comparisons(every, planted, number):
    """Table and bars, against the rows themselves."""
    figure, results = every[number], planted[number]
    table = figure.table(results)
    protocol, column = ("linear", "1000 epochs") if number == "14" else ("knn-5", "k = 5")
    rows = results[results["protocol"] == protocol]
    means = rows.groupby(["ensemble", "method"])["value"].mean()
    shown = zip(table["data"], table["representation"], table[column], table["gain"], strict=True)
    names = set(zip(table["data"], table["representation"], strict=True))
    for data, method, accuracy, gain in shown:
        singles = means[data][means[data].index.str.startswith("single: ")]
        assert accuracy == pytest.approx(means[data, method])
        assert gain == pytest.approx(means[data, method] - singles.max())
    singles_left = {key for key in means.index if key not in names}
    assert all(method.startswith("single: ") for _, method in singles_left)
    assert table[[f"{column} ±", "gain ±"]].notna().all(axis=None)

    canvas = Canvas()
    figure.plot(results, canvas)
    drawn = [bar.get_width() for bar in canvas.axes[0].patches]
    expected = table.loc[~table["representation"].str.startswith("single: "), "gain"]
    np.testing.assert_allclose(drawn, expected)
    labels = [text.get_text() for text in canvas.legends[0].get_texts()]
    assert set(labels) == set(table["representation"][expected.index])
    assert len(labels) == len(set(labels))
    by_label = [label.get_text() for label in canvas.axes[0].get_yticklabels()]
    assert [label.split("\n")[0] for label in by_label] == list(table["data"].unique())


@pytest.mark.parametrize(("number", "n_settings"), [("10", 16), ("12", 6), ("13", 7)])
def test_settings(every, planted, number, n_settings):
    figure, results = every[number], planted[number]
    table = figure.table(results)
    assert len(table) == n_settings + 1
    assert table["gain"][0] == 0
    canvas = Canvas()
    figure.plot(results, canvas)
    lines = [container.lines[0] for container in canvas.axes[0].containers]
    drawn = np.concatenate([line.get_ydata() for line in lines])
    np.testing.assert_allclose(sorted(drawn), sorted(table["gain"][1:]))
    if number == "10":
        row = table[(table["layers"] == "6") & (table["decay"] == "0")]
        assert row["gain"].item() == pytest.approx(9 + 1 + len("single: barlow_twins") % 3)


def test_spectrum(every, planted):
    figure, results = every["11"], planted["11"]
    table = figure.table(results).set_index("representation")
    wide, narrow = table.loc["learner (paper settings)"], table.loc["single: barlow_twins"]
    assert wide["RankMe"] - narrow["RankMe"] == pytest.approx(8)
    assert wide["mean singular value"] - narrow["mean singular value"] == pytest.approx(0.16)
    canvas = Canvas()
    figure.plot(results, canvas)
    assert [len(line.get_ydata()) for line in canvas.axes[0].lines] == [8] * 4


def test_recoverability(every, planted):
    table = every["6"].table(planted["6"])
    of_learner = table[table["representation"] == "learner (paper settings)"]
    np.testing.assert_allclose(of_learner["recovered, start"], 0.97, atol=1e-6)
    np.testing.assert_allclose(of_learner["recovered, end"], 0.995, atol=1e-6)
    assert table["recovered, end"].notna().sum() == 3


def test_similarities(every, planted):
    figure, results = every["15"], planted["15"]
    table = figure.table(results)
    chosen = results[(results["protocol"] == "maximum-similarity") & (results["point"] == 50)]
    medians = chosen.groupby(["ensemble", "method"])["value"].mean()
    for row in table.itertuples():
        assert row.median == pytest.approx(medians[row.data, row.representation])
    canvas = Canvas()
    figure.plot(results, canvas)
    assert [axes.get_title() for axes in canvas.axes] == list(table["data"].unique())
    for axes in canvas.axes:
        curves = [line for line in axes.lines if line.get_linestyle() == "-"]
        dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert len(curves) == len(dashed) == 2
        for line, median in zip(curves, dashed, strict=True):
            assert len(line.get_xdata()) == 99
            assert median.get_xdata()[0] == line.get_xdata()[49]


@pytest.mark.parametrize("number", ["6", "11", "13", "15"])
def test_script(every, planted, figures, number, monkeypatch, tmp_path, capsys):
    figure = every[number]
    asked = {}

    def run_cells(cells, path, *, n_jobs):
        asked.update(splits={cell.split for cell in cells}, path=path, n_jobs=n_jobs)
        return plant(figure, n_splits=3)

    monkeypatch.setattr(figures, "run_cells", run_cells)
    monkeypatch.setattr(figures, "runnable", list)  # the features need not be there
    plot = tmp_path / "plot.png"
    argv = ["x", "--splits", "3", "--n-jobs", "1", "--results", "r.parquet", "--plot", str(plot)]
    monkeypatch.setattr(sys, "argv", argv)
    figures.main(figure)
    assert asked == {"splits": {0, 1, 2}, "path": Path("r.parquet"), "n_jobs": 1}
    out = capsys.readouterr().out
    assert f"## Figure {number}: {figure.title}" in out
    assert out.count("| yes |") == len(figure.claims(planted[number]))
    assert plot.stat().st_size > 1000


def test_the_page_has_the_splits_that_all_of_a_figure_s_rows_have(every, planted):
    report = importlib.import_module("report")
    results, figure = planted["11"], every["11"]
    lacking = results["method"].str.startswith("learner") & (results["split"] > 1)
    assert report.finished(figure, results) == 5
    assert report.finished(figure, results[~lacking]) == 2
    assert report.finished(figure, results[results["split"] > 0]) == 0
    text = report.figures_page(results[~lacking])
    assert "Means over 2 splits." in " ".join(text.split())
    assert text.count("This figure has not been run.") == len(every) - 1
    rows = results[results["split"] < 2]
    for table in report.number_tables(figure, rows):
        assert textwrap.indent(table, "    ") in text


def test_plots_of_nothing(every, planted):
    for number, figure in every.items():
        figure.plot(planted[number].iloc[:0], Canvas())
