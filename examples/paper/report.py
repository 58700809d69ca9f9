"""The results page of the documentation, made from the results file alone."""

import inspect
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ensembles import ENSEMBLES, N_SPLITS
from figures import (
    Estimate,
    Figure,
    all_figures,
    as_text,
    claims_table,
    draw_bars,
    format_cell,
    save_plot,
    verdict,
)
from harness import KEY, Cell, load_views
from matplotlib.figure import Figure as Canvas
from methods import (
    ALL,
    CONCATENATION,
    HALF_WHITENED,
    LEARNER,
    LEARNER_DEFAULT,
    contenders,
    gcca,
)
from protocols import SMALL
from summary import best_single, gain, mean_and_interval

from sknnens import EnsembleRepresentationLearner

DOCS = Path(__file__).resolve().parents[2] / "docs"
# a mean is taken over data sets, so that none counts more because it has more ensembles
DATA_SETS = {
    "Fashion-MNIST": (
        "fashion-simclr-large",
        "fashion-varied-large",
        "fashion-supervised",
        "fashion-efficientnet",
    ),
    "WordNet": ("wordnet", "wordnet-weak"),
    "mails": ("mail",),
    "sayings": ("fortunes",),
    "UCI digits": ("digits-uci",),
    "leaves": ("timeseries",),
    "scikit-learn's digits": ("digits-sklearn",),
}
# the rows of these are those on which settings of this package were tried
SHIPPED = ("fashion-simclr", "fashion-varied")
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


def counted() -> list[str]:
    """Ensembles that means and tallies are over."""
    return [name for names in DATA_SETS.values() for name in names]


def all_ensembles() -> list[str]:
    """Every ensemble of the comparison."""
    return [*counted(), *SHIPPED]


def main_cells(n_splits: int, ensembles: Iterable[str]) -> list[Cell]:
    """Every method on these ensembles, under the small protocols."""
    cells = []
    for name in ensembles:
        ensemble = load_views(name)
        sizes = {view: x.shape[1] for view, x in ensemble.views.items()}
        for method in contenders(sizes, len(ensemble.splits[0][0])):
            cells += [Cell(name, method, split, SMALL) for split in range(n_splits)]
    return cells


def present(results: pd.DataFrame, ensembles: Iterable[str]) -> list[str]:
    """Those of the ensembles of which the results have the comparison."""
    rows = results.loc[results["method"] == CONCATENATION.name, "ensemble"]
    return [name for name in ensembles if name in set(rows)]


def methods_of(results: pd.DataFrame, ensemble: str) -> list[str]:
    """Methods of the comparison on an ensemble; those of single figures are not among them."""
    found = results.loc[results["ensemble"] == ensemble, "method"].unique()
    singles = [name for name in found if name.startswith("single: ")]
    return singles + [m.name for m in ALL if m.name in set(found)]


def resolve(results: pd.DataFrame, ensemble: str, name: str, protocol: str) -> str | None:
    """The method that a row of a table is about."""
    return best_single(results, ensemble, protocol) if name == BEST_SINGLE else name


def macro_means(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over data sets of the mean over their ensembles, of methods that all of these have."""
    data_sets = [names for group in DATA_SETS.values() if (names := present(results, group))]
    rows = []
    for name in (BEST_SINGLE, *(m.name for m in ALL)):
        row: dict[str, Any] = {"representation": name}
        for protocol, header in HEADERS.items():
            means = [[_mean(results, e, name, protocol) for e in names] for names in data_sets]
            row[header] = np.mean([np.mean(m) for m in means]) if means else np.nan
        rows.append(row)
    return pd.DataFrame(rows).dropna(subset=["k = 5"])


def _mean(results: pd.DataFrame, ensemble: str, name: str, protocol: str) -> float:
    method = resolve(results, ensemble, name, protocol)
    return mean_and_interval(results, ensemble, method, protocol)[0]


def beats(results: pd.DataFrame, method: str, protocol: str) -> pd.DataFrame:
    """Gain of a method over each rival on each ensemble, and whether it is beyond the interval."""
    rows = []
    for rival in (BEST_SINGLE, *(m.name for m in ALL)):
        gains = {
            e: gain(results, e, method, resolve(results, e, rival, protocol), protocol)
            for e in present(results, all_ensembles())
        }
        if rival == method or not np.isfinite([mean for mean, _ in gains.values()]).any():
            continue
        shown = {e: as_text(g) if np.isfinite(g[0]) else "" for e, g in gains.items()}
        tally = count_verdicts(g for e, g in gains.items() if e in counted())
        rows.append({"rival": rival, "won, open, lost": tally} | shown)
    return pd.DataFrame(rows)


def count_verdicts(gains: Iterable[Estimate]) -> str:
    """How many gains are above 0, undecided, and below 0, by their interval."""
    verdicts = [verdict(g) for g in gains if np.isfinite(g[0])]
    return ", ".join(str(verdicts.count(v)) for v in ("yes", "unclear", "no"))


def best_method(results: pd.DataFrame, ensemble: str, protocol: str = "knn-5") -> str:
    """The method of the comparison with the highest mean on an ensemble."""
    means = {
        name: mean_and_interval(results, ensemble, name, protocol)[0]
        for name in methods_of(results, ensemble)
    }
    return max(means, key=lambda name: np.nan_to_num(means[name], nan=-np.inf))


def as_good(results: pd.DataFrame, ensemble: str, best: str, protocol: str = "knn-5") -> list[str]:
    """Methods of the comparison whose distance to the best is within its interval."""
    names = [name for name in methods_of(results, ensemble) if name != best]
    losses = {name: gain(results, ensemble, name, best, protocol) for name in names}
    return [m for m, loss in losses.items() if verdict(loss) == "unclear" and np.isfinite(loss[0])]


def answer(results: pd.DataFrame, protocol: str = "knn-5") -> pd.DataFrame:
    """Is it better than concatenating? One row an ensemble."""
    rows = []
    for ensemble in present(results, all_ensembles()):
        best = best_method(results, ensemble, protocol)
        gains = {
            name: as_text(gain(results, ensemble, name, CONCATENATION.name, protocol))
            for name in (LEARNER.name, LEARNER_DEFAULT.name, best)
        }
        concatenated = mean_and_interval(results, ensemble, CONCATENATION.name, protocol)[0]
        rows.append(
            {"ensemble": ensemble, "concatenation": concatenated}
            | {name: gains[name] for name in (LEARNER.name, LEARNER_DEFAULT.name)}
            | {"best here": best, "gain of the best": gains[best]}
        )
    return pd.DataFrame(rows)


def ensemble_table(results: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Every method and protocol of one ensemble, with the interval at k = 5."""
    own = results[results["ensemble"] == ensemble]
    rows = []
    for name in methods_of(results, ensemble):
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


def minutes(results: pd.DataFrame) -> float:
    """What these rows took: the representations, once, and each measurement."""
    cell = ["ensemble", "method", "split"]
    represented = results.drop_duplicates([*cell, "represent_seconds"])["represent_seconds"]
    measured = results.drop_duplicates([*cell, "protocol"])["protocol_seconds"]
    return float(represented.sum() + measured.sum()) / 60


def of_comparison(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of the comparison, under its protocols."""
    names = {(e, m) for e in all_ensembles() for m in methods_of(results, e)}
    keys = zip(results["ensemble"], results["method"], strict=True)
    return results[np.array([key in names for key in keys]) & results["protocol"].isin(SMALL)]


def draw_overview(results: pd.DataFrame, canvas: Canvas) -> None:
    """Gain over the concatenation at k = 5 on each ensemble, of a few methods."""
    ours = (LEARNER.name, LEARNER_DEFAULT.name)
    names = [BEST_SINGLE, HALF_WHITENED.name, gcca(None).name, *ours]
    reference = CONCATENATION.name
    groups = {
        ensemble: {
            name: gain(
                results, ensemble, resolve(results, ensemble, name, "knn-5"), reference, "knn-5"
            )
            for name in names
        }
        for ensemble in present(results, all_ensembles())
    }
    canvas.set_size_inches(8, 1 + 1.15 * len(groups))
    axes = canvas.subplots()
    draw_bars(axes, groups, "points over the concatenation at k = 5, with 95 % intervals")
    axes.legend(*axes.get_legend_handles_labels(), fontsize="small")


# ---------------------------------------------------------------- reStructuredText


def to_rst(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A table as a ``csv-table``. What was not measured is an empty cell."""
    rows = [
        [format_cell(*pair, formats) for pair in zip(table.columns, row, strict=True)]
        for row in table.itertuples(index=False, name=None)
    ]
    quoted = [['"' + x.replace('"', '""') + '"' for x in row] for row in [table.columns, *rows]]
    lines = [",".join(row) for row in quoted]
    return ".. csv-table::\n    :header-rows: 1\n\n" + textwrap.indent("\n".join(lines), "    ")


def heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def _lists(results: pd.DataFrame, column: str) -> str:
    return ", ".join(str(x) for x in sorted(results[column].unique()))


def introduction(results: pd.DataFrame) -> list[str]:
    """What was measured, how, where, and what it took."""
    columns = ("sknnens", "scikit_learn", "torch", "numpy", "python")
    versions = "; ".join(
        f"{column.replace('_', '-')} {_lists(results, column)}" for column in columns
    )
    return [
        heading("Results", "="),
        paragraph(
            """Is it better than concatenating? This page compares the learner with what people use
            instead, on real ensembles, and does the paper's figures again. It is made by
            ``examples/paper/run.py`` from its results file; no result on it is typed."""
        ),
        paragraph(
            """**How to read it.** Accuracies are in per cent, neighbors are by the cosine.
            *k = 5*: the majority of the 5 nearest training rows. *5 labels*: the nearest of 5
            labeled rows a class, mean of 20 draws. *mAP*: mean average precision, a test row
            being the query and the training rows of its class what it should find. Every number is
            a mean over splits with disjoint test rows; the split's number is also the seed. ± is
            half of a 95 % interval of that mean, by Student's t; where splits share training
            rows, its variance is that of Nadeau and Bengio (2003). Differences are taken split by
            split. Each interval holds by itself: of very many, one in twenty misses."""
        ),
        paragraph(
            """**What is compared.** Every method is fitted on the training rows, none has seen a
            label, and rivals are at the package's defaults. *Learner* is set as in the paper; where
            the views differ in width, which the paper's start does not allow, it starts at their
            principal components. *Learner, default settings* is the package's own, whose choices
            were first made on five of these ensembles. The two
            settings of the learner with the whitened start were chosen on the shipped rows of
            Fashion-MNIST. The two ensembles of these rows are not counted in means and tallies, and
            the large ensembles leave them out. Where a width is not named, it
            is that of the widest view. The learner's training rows are represented as test rows
            are, by ``transform``; the paper takes the memory bank (figure 2 has both). Its epochs
            and batches are the paper's, so on few rows it takes few steps: each ensemble says how
            many. The best single model is picked on the test rows, which flatters it. The figures
            of the learner with default settings, of its narrower widths and of *rows at 3e-3* were
            measured with an earlier start and an earlier solver of ``transform``, and not since;
            the page on the defaults has newer ones."""
        ),
        paragraph(
            """**What to know of the data.** The small networks were trained on the training images
            of Fashion-MNIST, the supervised ones with their labels: only test images are new.
            The views made by latent semantic analysis (``wordnet-weak``, ``mail``), and the
            standardized columns of ``digits-uci`` and ``timeseries``, were computed on all rows,
            test rows included, without labels. The cards in ``examples/paper/cards`` say more."""
        ),
        paragraph(
            f"""**Where.** Device: {_lists(results, "device")}; {_lists(results, "machine")};
            {_lists(results, "threads")} thread(s) a fit. {versions}. The comparison took
            {minutes(of_comparison(results)):.0f} minutes of one process, all of this page
            {minutes(results):.0f}; processes ran side by side. Making the features is not in it
            (the cards say what that takes)."""
        ),
    ]


def comparison(results: pd.DataFrame) -> list[str]:
    """Answers, means, wins, and one table an ensemble."""
    if not present(results, all_ensembles()):
        return ["The comparison has not been run."]
    here = {data: present(results, names) for data, names in DATA_SETS.items()}
    named = "; ".join(f"{data}: {', '.join(names)}" for data, names in here.items() if names)
    parts = [
        heading("In a minute", "-"),
        paragraph(
            """Accuracy of the concatenation at k = 5, and what others add to it, in points. A gain
            is beyond the noise of these splits where it is larger than its ±. The best is picked on
            these very rows."""
        ),
        to_rst(answer(results)),
        ".. image:: results/overview.png\n    :alt: Gain over the concatenation on each ensemble",
        heading("Over all data sets", "-"),
        paragraph(
            f"""Means over data sets of the mean over their ensembles ({named}), of methods that
            exist on all of them; the average does not, since it needs views of one width."""
        ),
        to_rst(macro_means(results)),
        heading("Does the learner beat each rival?", "-"),
        paragraph(
            """Gain of the learner over each rival, in points. Won and lost are ensembles where the
            interval does not contain 0; the shipped rows are shown and not counted. Several
            ensembles are of the same data, so these are not as many independent answers."""
        ),
    ]
    for method in (LEARNER.name, LEARNER_DEFAULT.name):
        for protocol in ("knn-5", "labels-5", "map"):
            title = f"{method[0].upper()}{method[1:]}: {HEADERS[protocol]}"
            parts += [heading(title, "~"), to_rst(beats(results, method, protocol))]
    parts.append(heading("Each ensemble", "-"))
    for name in present(results, all_ensembles()):
        formats = {"±": ".1f", "fit s": ".2f", "transform s": ".2f"}
        parts += [
            heading(name, "~"),
            paragraph(describe_ensemble(results, name)),
            to_rst(ensemble_table(results, name), formats),
        ]
    return parts


def describe_ensemble(results: pd.DataFrame, name: str) -> str:
    """What it is, and what is best on it."""
    best = best_method(results, name)
    others = "; ".join(as_good(results, name, best)) or "none"
    rows = results[results["ensemble"] == name]
    n_train = rows["n_train"].max()
    signature = inspect.signature(EnsembleRepresentationLearner).parameters
    batch_size, epochs = (signature[key].default for key in ("batch_size", "max_iter"))
    steps = epochs * -(-n_train // batch_size)
    return (
        f"{ENSEMBLES[name].title} (``examples/paper/cards/{ENSEMBLES[name].card}``). A split has "
        f"{n_train} training rows, {steps} steps for the learner, and {rows['n_test'].max()} test "
        f"rows. Best at k = 5: **{best}**. Not told apart from it: {others}."
    )


def finished(figure: Figure, results: pd.DataFrame) -> int:
    """Number of splits, from the first on, of which the results have all that a figure needs."""
    rows = set(results[KEY].itertuples(index=False, name=None))
    found = 0
    for n_splits in range(1, N_SPLITS + 1):
        cells = figure.cells(n_splits)
        if not {key[:4] for cell in cells for key in cell.row_keys()} <= rows:
            break
        found = len({cell.split for cell in cells})
    return found


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
        parts.append(heading(f"Figure {figure.number}: {figure.title}", "~"))
        n_splits = finished(figure, results)
        if not n_splits:
            parts.append("This figure has not been run.")
            continue
        rows = results[results["split"] < n_splits]
        file = f"results/figure_{int(figure.number):02}.png"
        parts += [
            paragraph("**Paper.** " + figure.paper),
            paragraph(f"**Here.** {figure.here} Means over {n_splits} splits."),
            to_rst(claims_table(figure.claims(rows))),
            f".. image:: {file}\n    :alt: Figure {figure.number}, {figure.title}",
            to_rst(figure.table(rows), figure.formats),
        ]
    return parts


def page(results: pd.DataFrame) -> str:
    """The whole page."""
    note = ".. Made by examples/paper/run.py; changes here are lost."
    parts = [*introduction(results), *comparison(results), *figure_parts(results)]
    return "\n\n".join([note, *parts]) + "\n"


def write_page(results: pd.DataFrame, folder: Path = DOCS) -> None:
    """Write ``results.rst`` and its images."""
    images = folder / "results"
    images.mkdir(parents=True, exist_ok=True)
    if present(results, all_ensembles()):
        canvas = Canvas(layout="constrained")
        draw_overview(results, canvas)
        canvas.savefig(images / "overview.png", dpi=100)
    for figure in all_figures():
        if n_splits := finished(figure, results):
            rows = results[results["split"] < n_splits]
            save_plot(figure, rows, images / f"figure_{int(figure.number):02}.png")
    (folder / "results.rst").write_text(page(results))
