"""The results page of the documentation, made from the results file alone."""

import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ensembles import ENSEMBLES, N_SPLITS
from figures import (
    Estimate,
    all_figures,
    as_text,
    claims_table,
    draw_bars,
    save_plot,
    verdict,
)
from harness import Cell, load_views
from matplotlib.figure import Figure as Canvas
from methods import (
    CONCATENATION,
    HALF_WHITENED,
    LEARNER,
    LEARNER_WHITENED,
    comparable,
    gcca,
)
from protocols import SMALL
from summary import best_single, gain, mean_and_interval

DOCS = Path(__file__).resolve().parents[2] / "docs"
# one a data set and kind of models: over these, means of ensembles are taken
DISTINCT = (
    "fashion-simclr-large",
    "fashion-varied-large",
    "fashion-supervised",
    "fashion-efficientnet",
    "wordnet",
    "wordnet-weak",
    "mail",
    "digits-uci",
    "timeseries",
    "digits-sklearn",
)
COMPARED = (*DISTINCT, "fashion-simclr", "fashion-varied")
BEST_SINGLE = "best single model"
HEADERS = {
    "knn-1": "k = 1",
    "knn-5": "k = 5",
    "knn-20": "k = 20",
    "knn-200": "k = 200",
    "labels-1": "1 label",
    "labels-5": "5 labels",
    "labels-10": "10 labels",
    "map": "mAP",
}


def main_cells(n_splits: int, ensembles: Iterable[str]) -> list[Cell]:
    """Every method on every ensemble, under the small protocols."""
    cells = []
    for name in ensembles:
        ensemble = load_views(name)
        sizes = {view: x.shape[1] for view, x in ensemble.views.items()}
        for method in comparable(sizes, len(ensemble.splits[0][0])):
            cells += [Cell(name, method, split, SMALL) for split in range(n_splits)]
    return cells


def method_names(results: pd.DataFrame) -> list[str]:
    """Methods of the comparison, best single model first, in the order of the results."""
    rows = results[results["ensemble"].isin(COMPARED)]
    sizes = {"a": 10**6, "b": 10**6}
    known = [m.name for m in comparable(sizes, 10**6) if not m.name.startswith("single: ")]
    return [BEST_SINGLE, *(name for name in known if name in set(rows["method"]))]


def resolve(results: pd.DataFrame, ensemble: str, name: str, protocol: str) -> str | None:
    """The method that a row of a table is about."""
    return best_single(results, ensemble, protocol) if name == BEST_SINGLE else name


def macro_means(results: pd.DataFrame) -> pd.DataFrame:
    """Mean of each protocol over the distinct ensembles, of methods that all of them have."""
    rows = []
    ensembles = present(results, DISTINCT)
    for name in method_names(results):
        row: dict[str, Any] = {"representation": name}
        for protocol, header in HEADERS.items():
            row[header] = np.mean([_mean(results, e, name, protocol) for e in ensembles])
        rows.append(row)
    return pd.DataFrame(rows).dropna(subset=["k = 5"])


def present(results: pd.DataFrame, ensembles: Iterable[str]) -> list[str]:
    """Ensembles that the results have."""
    return [name for name in ensembles if (results["ensemble"] == name).any()]


def _mean(results: pd.DataFrame, ensemble: str, name: str, protocol: str) -> float:
    method = resolve(results, ensemble, name, protocol)
    return mean_and_interval(results, ensemble, method, protocol)[0]


def beats(results: pd.DataFrame, method: str, protocol: str) -> pd.DataFrame:
    """Gain of a method over each rival on each ensemble, and whether it is beyond the interval."""
    rows = []
    for rival in method_names(results):
        if rival == method:
            continue
        row = {"rival": rival}
        gains = {
            e: gain(results, e, method, resolve(results, e, rival, protocol), protocol)
            for e in present(results, COMPARED)
        }
        row |= {e: as_text(g) if np.isfinite(g[0]) else "" for e, g in gains.items()}
        row["wins, ties, losses"] = ", ".join(str(n) for n in tally(gains.values()))
        rows.append(row)
    return pd.DataFrame(rows)


def tally(gains: Iterable[Estimate]) -> tuple[int, int, int]:
    """How many gains are above 0, undecided, and below 0, by their interval."""
    verdicts = [verdict(g) for g in gains if np.isfinite(g[0])]
    return verdicts.count("yes"), verdicts.count("unclear"), verdicts.count("no")


def best_method(results: pd.DataFrame, ensemble: str, protocol: str = "knn-5") -> str:
    """The method with the highest mean on an ensemble."""
    own = results[results["ensemble"] == ensemble]
    means = {
        m: mean_and_interval(results, ensemble, m, protocol)[0] for m in own["method"].unique()
    }
    return max(means, key=lambda m: np.nan_to_num(means[m], nan=-np.inf))


def as_good(results: pd.DataFrame, ensemble: str, best: str, protocol: str = "knn-5") -> list[str]:
    """Methods whose distance to the best is within its interval."""
    names = results.loc[results["ensemble"] == ensemble, "method"].unique()
    losses = {m: gain(results, ensemble, m, best, protocol) for m in names if m != best}
    return [m for m, loss in losses.items() if verdict(loss) == "unclear" and np.isfinite(loss[0])]


def answer(results: pd.DataFrame, protocol: str = "knn-5") -> pd.DataFrame:
    """Is it better than concatenating? One row an ensemble."""
    rows = []
    for ensemble in present(results, COMPARED):
        best = best_method(results, ensemble, protocol)
        gains = {
            name: as_text(gain(results, ensemble, name, CONCATENATION.name, protocol))
            for name in (LEARNER.name, LEARNER_WHITENED.name, best)
        }
        concatenated = mean_and_interval(results, ensemble, CONCATENATION.name, protocol)[0]
        rows.append(
            {"ensemble": ensemble, "concatenation": concatenated}
            | {name: gains[name] for name in (LEARNER.name, LEARNER_WHITENED.name)}
            | {"best here": best, "gain of the best": gains[best]}
        )
    return pd.DataFrame(rows)


def ensemble_table(results: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Every method and protocol of one ensemble, with the interval at k = 5."""
    own = results[results["ensemble"] == ensemble]
    names = [n for n in own["method"].unique() if n.startswith("single: ")]
    names += [n for n in method_names(results)[1:] if n in set(own["method"])]
    rows = []
    for name in names:
        row: dict[str, Any] = {"representation": name}
        for protocol, header in HEADERS.items():
            mean, half = mean_and_interval(results, ensemble, name, protocol)
            row[header] = mean
            if protocol == "knn-5":
                row["±"] = half
        seconds = own.loc[own["method"] == name, ["fit_seconds", "transform_seconds"]].mean()
        row |= {"fit s": seconds.iloc[0], "transform s": seconds.iloc[1]}
        rows.append(row)
    return pd.DataFrame(rows)


def cost(results: pd.DataFrame, cells: Iterable[Cell]) -> float:
    """Core-minutes that these cells took, with their measurements."""
    wanted = {(c.ensemble, c.method.name, protocol) for c in cells for protocol in c.protocols}
    keys = results[["ensemble", "method", "protocol"]].itertuples(index=False, name=None)
    chosen = results[[key in wanted for key in keys]]
    once = chosen.drop_duplicates(["ensemble", "method", "split", "cell_seconds"])
    return float(once["cell_seconds"].sum() / 60)


def draw_overview(results: pd.DataFrame, canvas: Canvas) -> None:
    """Gain over the concatenation at k = 5 on each ensemble, of a few methods."""
    names = [BEST_SINGLE, HALF_WHITENED.name, gcca(None).name, LEARNER.name, LEARNER_WHITENED.name]
    reference = CONCATENATION.name
    groups = {
        ensemble: {
            name: gain(
                results, ensemble, resolve(results, ensemble, name, "knn-5"), reference, "knn-5"
            )
            for name in names
        }
        for ensemble in present(results, COMPARED)
    }
    canvas.set_size_inches(8, 1 + 1.15 * len(groups))
    axes = canvas.subplots()
    draw_bars(axes, groups, "points over the concatenation at k = 5, with 95 % intervals")
    axes.legend(*axes.get_legend_handles_labels(), fontsize="small")


# ---------------------------------------------------------------- reStructuredText


def to_rst(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A table as a ``csv-table``; floats have one digit where `formats` says no other."""
    formats = {"gain": "+.1f"} | dict(formats or {})

    def cell(column: str, value: Any) -> str:
        if isinstance(value, float):
            value = "" if np.isnan(value) else format(value, formats.get(column, ".1f"))
        return '"' + str(value).replace('"', '""') + '"'

    lines = [",".join(cell("", name) for name in table.columns)]
    lines += [
        ",".join(cell(*pair) for pair in zip(table.columns, row, strict=True))
        for row in table.itertuples(index=False, name=None)
    ]
    return ".. csv-table::\n    :header-rows: 1\n\n" + textwrap.indent("\n".join(lines), "    ")


def heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def _lists(results: pd.DataFrame, column: str) -> str:
    return ", ".join(str(x) for x in sorted(results[column].unique()))


def introduction(results: pd.DataFrame, cells: list[Cell]) -> list[str]:
    """What was measured, how, where, and what it took."""
    minutes = cost(results, cells)
    total = cost(results, [*cells, *(c for f in all_figures() for c in f.cells(N_SPLITS))])
    versions = "; ".join(
        f"{label} {_lists(results, column)}"
        for label, column in [
            ("sknnens", "sknnens"),
            ("scikit-learn", "scikit_learn"),
            ("torch", "torch"),
            ("NumPy", "numpy"),
            ("Python", "python"),
        ]
    )
    return [
        heading("Results", "="),
        paragraph(
            """Is it better than concatenating? This page compares the learner with what people use
            instead, on real ensembles, and does the paper's figures again. It is made by
            ``examples/paper/run.py`` from its results file; nothing on it is typed."""
        ),
        paragraph(
            """**How to read it.** Accuracies are in per cent, neighbours are by the cosine.
            *k = 5*: the majority of the 5 nearest training rows. *5 labels*: the nearest of 5
            labelled rows a class, mean of 20 draws. *mAP*: mean average precision, a test row
            being the query. Every number is a mean over splits with disjoint test rows; the
            split's number is also the seed. ± is half of a 95 % interval of that mean, by
            Student's t; where splits share training rows, its variance is that of Nadeau and
            Bengio (2003). Differences are taken split by split. The best single model is picked on
            the test rows, which flatters it. No method has seen a label, and none was tuned on
            these data but the learner with the whitened start, whose two settings were chosen on
            the shipped rows of Fashion-MNIST."""
        ),
        paragraph(
            f"""**Where.** Device: {_lists(results, "device")}; {_lists(results, "machine")};
            {_lists(results, "threads")} thread(s) a fit. {versions}. The comparison took
            {minutes:.0f} core-minutes, all of this page {total:.0f}; making the features is not in
            it (the cards say what that takes)."""
        ),
    ]


def comparison(results: pd.DataFrame) -> list[str]:
    """Macro means, wins, and one table an ensemble."""
    distinct = present(results, DISTINCT)
    parts = [
        heading("In a minute", "-"),
        paragraph(
            """Accuracy of the concatenation at k = 5, and what others add to it, in points. A gain
            is beyond the noise of these splits where it is larger than its ±. The best is picked on
            these very rows."""
        ),
        to_rst(answer(results)),
        heading("Over all ensembles", "-"),
        paragraph(
            f"""Means over {len(distinct)} ensembles ({", ".join(distinct)}) of methods that exist
            on all of them; the average does not, since it needs views of one width."""
        ),
        to_rst(macro_means(results)),
        ".. image:: results/overview.png\n    :alt: Gain over the concatenation on each ensemble",
        heading("Does the learner beat each rival?", "-"),
        paragraph(
            """Gain of the learner over each rival, in points. A win or a loss is a gain whose
            interval does not contain 0."""
        ),
    ]
    for method in (LEARNER.name, LEARNER_WHITENED.name):
        for protocol in ("knn-5", "labels-5", "map"):
            title = f"{method[0].upper()}{method[1:]}: {HEADERS[protocol]}"
            parts += [heading(title, "~"), to_rst(beats(results, method, protocol))]
    parts.append(heading("Each ensemble", "-"))
    for name in present(results, COMPARED):
        parts += [
            heading(name, "~"),
            paragraph(describe_ensemble(results, name)),
            to_rst(
                ensemble_table(results, name), {"±": ".1f", "fit s": ".2f", "transform s": ".2f"}
            ),
        ]
    return parts


def describe_ensemble(results: pd.DataFrame, name: str) -> str:
    """What it is, and what is best on it."""
    best = best_method(results, name)
    others = "; ".join(as_good(results, name, best)) or "none"
    rows = results[results["ensemble"] == name]
    return (
        f"{ENSEMBLES[name].title} (card: ``examples/paper/cards/{ENSEMBLES[name].card}``); a split "
        f"has {rows['n_train'].max()} training and {rows['n_test'].max()} test rows. Best at "
        f"k = 5: **{best}**. Not told apart from it: {others}."
    )


def figure_parts(results: pd.DataFrame) -> list[str]:
    """The paper's figures, as far as the results have them."""
    parts = [
        heading("The paper's figures", "-"),
        paragraph(
            """The numbers of the paper's figures are in no text, so what its text says stands
            beside what came out here. *holds* is "yes" or "no" where the 95 % interval excludes
            the other side."""
        ),
    ]
    for figure in all_figures():
        names = {cell.ensemble for cell in figure.cells(1)}
        if not names <= set(results["ensemble"]):
            continue
        file = f"results/figure_{int(figure.number):02}.png"
        parts += [
            heading(f"Figure {figure.number}: {figure.title}", "~"),
            paragraph("**Paper.** " + figure.paper),
            paragraph("**Here.** " + figure.here),
            to_rst(claims_table(figure.claims(results))),
            f".. image:: {file}\n    :alt: Figure {figure.number}, {figure.title}",
            to_rst(figure.table(results), figure.formats),
        ]
    return parts


def page(results: pd.DataFrame) -> str:
    """The whole page."""
    rows = set(zip(results["ensemble"], results["method"], strict=True))
    cells = [
        Cell(e, m, 0)
        for e in present(results, COMPARED)
        for m in comparable(dict.fromkeys(ENSEMBLES[e].names, 10**6), 10**6)
        if (e, m.name) in rows
    ]
    parts = introduction(results, cells) + comparison(results) + figure_parts(results)
    note = ".. Made by examples/paper/run.py; changes here are lost."
    return "\n\n".join([note, *parts]) + "\n"


def write_page(results: pd.DataFrame, folder: Path = DOCS) -> None:
    """Write ``results.rst`` and its images."""
    images = folder / "results"
    images.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(layout="constrained")
    draw_overview(results, canvas)
    canvas.savefig(images / "overview.png", dpi=100)
    for figure in all_figures():
        names = {cell.ensemble for cell in figure.cells(1)}
        if names <= set(results["ensemble"]):
            save_plot(figure, results, images / f"figure_{int(figure.number):02}.png")
    (folder / "results.rst").write_text(page(results))
