"""The results pages of the documentation, made from the results file alone."""

import inspect
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ensembles import ENSEMBLES, N_SPLITS
from figures import (
    COLORS,
    Estimate,
    Figure,
    all_figures,
    as_text,
    claims_table,
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
    PAPER_LEARNER,
    PAPER_LEARNER_WHITENED,
    contenders,
    gcca,
)
from protocols import SMALL
from rst import (
    breakable,
    bullets,
    dropdown,
    heading,
    narrow,
    paragraph,
    to_rst,
    toctree,
    with_intervals,
)
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
SHOWN = ("knn-5", "knn-20", "labels-5", "labels-10", "map")
TALLIED = ("knn-5", "labels-5", "map")
WIDEST = 8  # points that the overview shows on either side


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


def compared_with(method: str) -> list[str]:
    """What a method is compared with, in the order of the tables."""
    return [name for name in (BEST_SINGLE, *(m.name for m in ALL)) if name != method]


def gain_over(
    results: pd.DataFrame, ensemble: str, method: str, other: str, protocol: str
) -> Estimate:
    """Gain of a method over another row of the tables."""
    reference = resolve(results, ensemble, other, protocol)
    return gain(results, ensemble, method, reference, protocol)


def gains(results: pd.DataFrame, ensemble: str, method: str) -> pd.DataFrame:
    """Gain of a method over each other one, on an ensemble."""
    rows = []
    for other in compared_with(method):
        found = {p: gain_over(results, ensemble, method, other, p) for p in TALLIED}
        if np.isfinite([mean for mean, _ in found.values()]).any():
            rows.append({"over": other} | {HEADERS[p]: as_text(g) for p, g in found.items()})
    return pd.DataFrame(rows)


def tallies(results: pd.DataFrame, method: str) -> pd.DataFrame:
    """On how many ensembles a method is above each other one, undecided, and below."""
    rows = []
    for other in compared_with(method):
        row = {"over": other}
        for protocol in TALLIED:
            found = [
                gain_over(results, ensemble, method, other, protocol)
                for ensemble in present(results, counted())
            ]
            row[HEADERS[protocol]] = count_verdicts(found)
        if any(set(tally) & set("123456789") for tally in [*row.values()][1:]):
            rows.append(row)
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
    """Is it better than concatenation? One row per ensemble."""
    rows = []
    for ensemble in present(results, all_ensembles()):
        best = best_method(results, ensemble, protocol)
        found = {
            name: as_text(gain(results, ensemble, name, CONCATENATION.name, protocol))
            for name in (LEARNER.name, PAPER_LEARNER.name, best)
        }
        concatenated = mean_and_interval(results, ensemble, CONCATENATION.name, protocol)[0]
        rows.append(
            {"ensemble": ensemble, CONCATENATION.name: concatenated}
            | {name: found[name] for name in (LEARNER.name, PAPER_LEARNER.name)}
            | {"best method": f"{best}: {found[best]}"}
        )
    return pd.DataFrame(rows)


def accuracies(results: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Every method and protocol of one ensemble, with the interval at k = 5."""
    rows = []
    for name in methods_of(results, ensemble):
        row: dict[str, Any] = {"representation": name}
        for protocol, header in HEADERS.items():
            mean, half = mean_and_interval(results, ensemble, name, protocol)
            row |= {header: mean} | ({f"{header} ±": half} if protocol == "knn-5" else {})
        rows.append(row)
    return pd.DataFrame(rows)


def seconds(results: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Seconds of fit and transform of each method on an ensemble."""
    own = results[results["ensemble"] == ensemble]
    columns = {"fit_seconds": "fit, s", "transform_seconds": "transform, s"}
    means = own.groupby("method", observed=True)[list(columns)].mean().rename(columns=columns)
    return means.loc[methods_of(results, ensemble)].rename_axis("representation").reset_index()


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
    styles = {
        BEST_SINGLE: ("#999999", "s"),
        HALF_WHITENED.name: ("#009e73", "D"),
        gcca(None).name: ("#cc79a7", "v"),
        PAPER_LEARNER.name: (COLORS[PAPER_LEARNER.name], "^"),
        LEARNER.name: ("#0072b2", "o"),
    }
    found = {
        ensemble: {
            name: gain_over_concatenation(results, ensemble, name, "knn-5") for name in styles
        }
        for ensemble in present(results, all_ensembles())
    }
    order = sorted(found, key=lambda ensemble: found[ensemble][LEARNER.name][0])
    canvas.set_size_inches(7.5, 1.2 + 0.45 * len(order))
    axes = canvas.subplots()
    for i, (name, (color, marker)) in enumerate(styles.items()):
        means, halves = np.array([found[ensemble][name] for ensemble in order], dtype=float).T
        places = np.arange(len(order)) + 0.15 * (i - (len(styles) - 1) / 2)
        low, high = (np.clip(means + side * halves, -WIDEST, WIDEST) for side in (-1, 1))
        inside = np.abs(means) <= WIDEST
        axes.hlines(places, low, high, color=color, linewidth=1, alpha=0.7)
        axes.plot(means[inside], places[inside], marker, color=color, markersize=5, label=name)
        for side, arrow in ((-1, "<"), (1, ">")):
            beyond = places[side * means + np.nan_to_num(halves) > WIDEST]
            edge = np.full(len(beyond), side * (WIDEST - 0.1))
            axes.plot(edge, beyond, arrow, color=color, markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    for place in np.arange(len(order) - 1) + 0.5:
        axes.axhline(place, color="0.9", linewidth=0.8)
    axes.set_yticks(np.arange(len(order)), order)
    axes.set(xlim=(-WIDEST, WIDEST), ylim=(-0.5, len(order) - 0.5))
    axes.set_xlabel("gain over concatenation at k = 5, points, with 95 % intervals")
    handles, labels = axes.get_legend_handles_labels()
    canvas.legend(handles[::-1], labels[::-1], loc="outside upper center", ncols=3)


def gain_over_concatenation(
    results: pd.DataFrame, ensemble: str, name: str, protocol: str
) -> Estimate:
    """Gain of a row of the tables over the concatenation."""
    method = resolve(results, ensemble, name, protocol)
    return gain(results, ensemble, method, CONCATENATION.name, protocol)


# ---------------------------------------------------------------- the pages


def introduction(results: pd.DataFrame) -> list[str]:
    """What is compared, and how to read it."""
    columns = ("sknnens", "scikit_learn", "torch", "numpy", "python")
    versions = "; ".join(
        f"{column.replace('_', '-')} {_lists(results, column)}" for column in columns
    )
    return [
        heading("Results", "="),
        paragraph(
            """The learner, the paper's settings and common baselines on real embeddings. The pages
            below have the numbers of each ensemble, a tally for each baseline, and a replication
            of the paper's figures."""
        ),
        ".. note::\n\n"
        + textwrap.indent(
            paragraph(
                """The learner's results on these pages come from an earlier version of its
                initialization and of ``transform``. :doc:`defaults` has newer results."""
            ),
            "    ",
        ),
        dropdown(
            "How to read the numbers",
            bullets(
                """**k = 5**: accuracy in percent of a majority vote of the 5 nearest training rows,
                by cosine similarity.""",
                """**5 labels**: accuracy of the nearest of 5 labeled rows per class, mean of 20
                draws.""",
                """**mAP**: mean average precision of retrieving training rows of the query's
                class.""",
                """Each number is a mean over splits with disjoint test rows. The number of the
                split is also the random seed.""",
                """**±** is half of the 95 % confidence interval of the mean, by Student's t. If
                splits share training rows, the variance is corrected as by Nadeau and Bengio
                (2003). Differences between methods are taken per split. Intervals are not corrected
                for multiple comparisons.""",
            ),
        ),
        dropdown(
            "What is compared",
            bullets(
                f"""**{LEARNER.name}**: the package's default settings. They were first chosen on
                five of these ensembles.""",
                f"""**{PAPER_LEARNER.name}**: the initialization is the average of the views. If the
                views differ in width, their principal components replace the average. Batch size
                and epochs are the paper's, so small ensembles get few steps. Training rows go
                through ``transform``, as test rows do; the paper uses the memory bank.""",
                f"""**{PAPER_LEARNER_WHITENED.name}**: a whitened initialization and a larger step
                for the representations. Both were chosen on the Fashion-MNIST rows in the
                repository.""",
                """**Baselines** have the package's defaults. If no width is named, it is that of
                the widest view. The best single model is chosen on the test rows, to its
                advantage.""",
                """Every method is fitted to the training rows, without labels.""",
                f"""{" and ".join(f"``{name}``" for name in SHIPPED)} consist of the rows on which
                settings were tried. They are shown, but means and tallies leave them out. The large
                ensembles contain none of these rows.""",
                """The small networks were trained on the training images of Fashion-MNIST, the
                supervised ones with labels. Only the test images are new to them.""",
                """Latent semantic analysis (``wordnet-weak``, ``mail``) and the standardization of
                ``digits-uci`` and ``timeseries`` used all rows, including test rows, without
                labels.""",
            ),
        ),
        dropdown(
            "Machine and time",
            paragraph(
                f"""Device: {_lists(results, "device")}; {_lists(results, "machine")};
                {_lists(results, "threads")} thread(s) per fit. {versions}. The comparison took
                {minutes(of_comparison(results)):.0f} minutes, all results took
                {minutes(results):.0f} minutes, summed over processes and without the time to
                compute the embeddings. ``examples/paper/run.py`` writes these pages from its
                results file."""
            ),
        ),
    ]


def _lists(results: pd.DataFrame, column: str) -> str:
    return ", ".join(str(x) for x in sorted(results[column].unique()))


def overall_tables(results: pd.DataFrame) -> list[str]:
    """Means over data sets: the usual protocols, and folded away the others."""
    table = macro_means(results)
    narrow_ones = table["representation"].str.contains(", width ")
    shown = ["representation", *(HEADERS[protocol] for protocol in SHOWN)]
    others = [column for column in table if column not in shown[1:]]
    return [
        to_rst(table.loc[~narrow_ones, shown]),
        dropdown(
            "Baselines of width 32 and 128, other protocols",
            to_rst(table.loc[narrow_ones, shown]),
            to_rst(table[others]),
        ),
    ]


def comparison(results: pd.DataFrame) -> list[str]:
    """The gain over the concatenation on each ensemble, and means."""
    if not present(results, all_ensembles()):
        return ["The comparison has not been run."]
    here = {data: present(results, names) for data, names in DATA_SETS.items()}
    named = "; ".join(f"{data}: {', '.join(names)}" for data, names in here.items() if names)
    answers = answer(results)
    answers["ensemble"] = [f":doc:`results/{name}`" for name in answers["ensemble"]]
    answers = answers.replace(" ± ", "\u00a0±\u00a0", regex=True)  # without a line break
    return [
        heading("Gain over concatenation", "-"),
        paragraph(
            """Accuracy of concatenation at k = 5, in percent, and gains over it, in points. A gain
            smaller than its ± may be chance. The best method is chosen on the same test rows."""
        ),
        to_rst(answers),
        ".. image:: results/overview.png\n    :alt: Gain over the concatenation on each ensemble",
        paragraph(f"Arrows mark values and intervals that go beyond {WIDEST} points."),
        heading("Mean over data sets", "-"),
        paragraph(
            f"""Each data set counts once, however many ensembles it has ({named}). The average is
            missing, because it needs views of equal width."""
        ),
        *overall_tables(results),
    ]


def baselines_page(results: pd.DataFrame) -> str:
    """How often the learner is better than each baseline."""
    parts = [
        heading("The learner against each baseline", "="),
        paragraph(
            f"""Number of ensembles on which the learner is better, undecided and worse, by the
            95 % interval of the difference. {len(present(results, counted()))} ensembles are
            counted. Several share their data, so these are not independent answers. The page of
            each ensemble has the differences."""
        ),
    ]
    for method in (LEARNER.name, PAPER_LEARNER.name):
        parts += [
            heading(f"{method[0].upper()}{method[1:]}", "-"),
            to_rst(tallies(results, method)),
        ]
    return join(*parts)


def ensemble_page(results: pd.DataFrame, name: str) -> str:
    """All results of one ensemble."""
    formats = {"fit, s": ".2f", "transform, s": ".2f"}
    rows = with_intervals(accuracies(results, name))
    folded = [
        dropdown(
            f"Gains of the {method}, in points",
            to_rst(gains(results, name, method)),
        )
        for method in (LEARNER.name, PAPER_LEARNER.name)
        if method in methods_of(results, name)
    ]
    return join(
        heading(name, "="),
        *describe_ensemble(results, name),
        *map(to_rst, narrow(rows)),
        *folded,
        dropdown("Seconds", to_rst(seconds(results, name), formats)),
    )


def describe_ensemble(results: pd.DataFrame, name: str) -> list[str]:
    """What it is, and what is best on it."""
    best = best_method(results, name)
    others = "; ".join(as_good(results, name, best)) or "none"
    rows = results[results["ensemble"] == name]
    n_train = rows["n_train"].max()
    signature = inspect.signature(EnsembleRepresentationLearner).parameters
    batch_size, epochs = (signature[key].default for key in ("batch_size", "max_iter"))
    steps = epochs * -(-n_train // batch_size)
    return [
        paragraph(f"{ENSEMBLES[name].title} (``examples/paper/cards/{ENSEMBLES[name].card}``)."),
        bullets(
            f"""Each split has {n_train:,} training rows and {rows["n_test"].max():,} test rows. The
            learner takes {steps:,} steps.""",
            f"Best at k = 5: **{best}**.",
            f"Not significantly worse: {others}.",
        ),
    ]


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


def figures_page(results: pd.DataFrame) -> str:
    """The paper's figures, as far as the results have them."""
    parts = [
        heading("The paper's figures", "="),
        paragraph(
            """The paper prints no numbers for its figures, so its claims stand beside the results
            here. *holds* is "yes" or "no" if the 95 % interval excludes the opposite, else
            "unclear". All figures use the learner with the paper's settings."""
        ),
    ]
    for figure in all_figures():
        parts.append(heading(f"Figure {figure.number}: {figure.title}", "-"))
        n_splits = finished(figure, results)
        if not n_splits:
            parts.append("This figure has not been run.")
            continue
        rows = results[results["split"] < n_splits]
        parts += [
            paragraph("**Paper.** " + figure.paper),
            paragraph(f"**Here.** {figure.here} Means over {n_splits} splits."),
            f".. image:: figure_{int(figure.number):02}.png\n"
            f"    :alt: Figure {figure.number}, {figure.title}",
            to_rst(claims_table(figure.claims(rows))),
            dropdown("Numbers", *number_tables(figure, rows)),
        ]
    return join(*parts)


def number_tables(figure: Figure, results: pd.DataFrame) -> list[str]:
    """The numbers behind a plot, a table for each ensemble."""
    table = with_intervals(figure.table(results), figure.formats)
    if "data" not in table:
        return [to_rst(part, figure.formats) for part in narrow(table)]
    return [
        to_rst(part.dropna(axis=1, how="all"), figure.formats, title=breakable(name))
        for name, rows in table.groupby("data", sort=False)
        for part in narrow(rows.drop(columns="data"))
    ]


def join(*parts: str) -> str:
    """A page, with a note for those who would edit it."""
    note = ".. Made by examples/paper/run.py; changes here are lost."
    return "\n\n".join([note, *parts]) + "\n"


def pages(results: pd.DataFrame) -> dict[str, str]:
    """Text of each page by its path in the documentation."""
    results = results.astype(dict.fromkeys(("ensemble", "method", "protocol"), "category"))
    ensembles = present(results, all_ensembles())
    below = {f"results/{name}": ensemble_page(results, name) for name in ensembles}
    below |= {"results/figures": figures_page(results)}
    if ensembles:
        below = {"results/baselines": baselines_page(results)} | below
    main = join(
        *introduction(results), *comparison(results), heading("Details", "-"), toctree(*below)
    )
    return {f"{name}.rst": text for name, text in ({"results": main} | below).items()}


def write_pages(results: pd.DataFrame, folder: Path = DOCS) -> None:
    """Write ``results.rst``, the pages below it and their images."""
    images = folder / "results"
    images.mkdir(parents=True, exist_ok=True)
    if present(results, all_ensembles()):
        canvas = Canvas(layout="constrained")
        draw_overview(results, canvas)
        canvas.savefig(images / "overview.png", dpi=150)
    for figure in all_figures():
        if n_splits := finished(figure, results):
            rows = results[results["split"] < n_splits]
            save_plot(figure, rows, images / f"figure_{int(figure.number):02}.png")
    for path, text in pages(results).items():
        (folder / path).write_text(text, encoding="utf-8")
