"""Claims, tables, plots and the command line of the scripts of the paper's figures.

The paper prints no numbers for its figures, so a claim sets the paper's text beside the results
here. Whether it holds is computed: "yes" or "no" if the 95 % interval excludes the opposite, else
"unclear".
"""

import argparse
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ensembles import ENSEMBLES
from harness import RESULTS, Cell, run_cells, runnable
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from methods import (
    AVERAGE,
    CONCATENATION,
    HALF_WHITENED,
    PAPER_LEARNER,
    PAPER_LEARNER_WHITENED,
    Method,
    paper_learner,
    single,
)
from protocols import SMALL
from summary import best_single, gain, mean_and_interval

from sknnens import EnsembleRepresentationLearner

NUMBERS = tuple(str(number) for number in range(2, 16))
MAIN = "knn-5"  # the paper gives no k
Estimate = tuple[float, float]  # a mean and half of its 95 % interval
DEFAULTS = {
    key: parameter.default
    for key, parameter in inspect.signature(EnsembleRepresentationLearner).parameters.items()
}
COLORS = {
    AVERAGE.name: "#999999",
    CONCATENATION.name: "#56b4e9",
    HALF_WHITENED.name: "#009e73",
    PAPER_LEARNER.name: "#d55e00",
    PAPER_LEARNER_WHITENED.name: "#e69f00",
    "features": "black",
    "learner (paper settings, non_negative=True)": "#0072b2",
}


@dataclass(frozen=True)
class Claim:
    """What the paper says, what came out here, and whether it holds here."""

    statement: str
    paper: str
    here: str
    holds: str


@dataclass(frozen=True)
class Figure:
    """A figure of the paper, done again.

    Attributes
    ----------
    number, title : str
        As in the paper.
    paper : str
        What the paper shows, and on which data.
    here : str
        What stands in for its data and models, and why.
    cells : callable
        From the number of splits to what has to be run.
    claims, table : callable
        From the results to claims, and to the numbers behind the plot.
    plot : callable
        Draws the results into a figure of matplotlib.
    formats : dict of str to str
        How columns of the table are printed, where it is not with one digit.
    """

    number: str
    title: str
    paper: str
    here: str
    cells: Callable[[int], list[Cell]]
    claims: Callable[[pd.DataFrame], list[Claim]]
    table: Callable[[pd.DataFrame], pd.DataFrame]
    plot: Callable[[pd.DataFrame, Canvas], None]
    formats: Mapping[str, str] = field(default_factory=dict)


def all_figures() -> list[Figure]:
    """Every figure, by number."""
    return [importlib.import_module(f"figure_{int(n):02}").FIGURE for n in NUMBERS]


# ---------------------------------------------------------------- what is run


def views_of(name: str) -> tuple[str, ...]:
    """The views of an ensemble as a cell names it."""
    whole, _, chosen = name.partition(":")
    return tuple(chosen.split("+")) if chosen else ENSEMBLES[whole].names


def baselines_of(name: str) -> list[Method]:
    """What the paper compares with, besides single models; of one model it is all the same."""
    if len(views_of(name)) == 1:
        return []
    alike = name.startswith("fashion-")  # elsewhere the widths differ
    return [AVERAGE, CONCATENATION] if alike else [CONCATENATION]


def compared(name: str, *extra: Method) -> list[Method]:
    """What a figure shows beside the best single model, in this order."""
    return [*baselines_of(name), HALF_WHITENED, PAPER_LEARNER, PAPER_LEARNER_WHITENED, *extra]


def cells_of(
    name: str, methods: Sequence[Method], n_splits: int, protocols: tuple[str, ...] = SMALL
) -> list[Cell]:
    """Each single model and `methods` on the splits of one ensemble."""
    every = [*(single(view) for view in views_of(name)), *methods]
    return [Cell(name, m, split, protocols) for m in every for split in range(n_splits)]


def changed(**params: Any) -> Method:
    """The learner with these parameters, named without those that are defaults."""
    return paper_learner(**{key: v for key, v in params.items() if DEFAULTS.get(key) != v})


# ---------------------------------------------------------------- what is claimed


def verdict(number: Estimate, bound: float = 0.0) -> str:
    """Whether a number is above a bound, by its interval; without an interval it is unclear."""
    mean, half = number
    if mean - half > bound:
        return "yes"
    return "no" if mean + half < bound else "unclear"


def at_least(verdicts: Sequence[str], n: int) -> str:
    """Whether at least `n` hold."""
    if not verdicts:
        return "unclear"
    if verdicts.count("yes") >= n:
        return "yes"
    return "no" if verdicts.count("no") > len(verdicts) - n else "unclear"


def as_text(number: Estimate, digits: int = 1, sign: str = "+") -> str:
    """As in "+0.3 ± 0.6"."""
    mean, half = number
    if np.isnan(mean):
        return "not measured"
    return f"{mean:{sign}.{digits}f}" + ("" if np.isnan(half) else f" ± {half:.{digits}f}")


def above(statement: str, paper: str, number: Estimate, bound: float = 0.0, **text: Any) -> Claim:
    """A claim that a number is above a bound."""
    return Claim(statement, paper, as_text(number, **text), verdict(number, bound))


def below(statement: str, paper: str, number: Estimate, bound: float = 0.0, **text: Any) -> Claim:
    """A claim that a number is below a bound."""
    mean, half = number
    return Claim(statement, paper, as_text(number, **text), verdict((-mean, half), -bound))


def mean_of(numbers: Sequence[Estimate]) -> Estimate:
    """Mean over data sets; the interval is the mean of theirs, as if all erred together."""
    means, halves = np.array(numbers, dtype=float).reshape(-1, 2).T
    if not len(means):
        return float("nan"), float("nan")
    return float(means.mean()), float(halves.mean())


def gains_over_baselines(
    results: pd.DataFrame, name: str, method: Method, protocol: str = MAIN
) -> dict[str, Estimate]:
    """Gain over the best single model and over each baseline."""
    references = [best_single(results, name, protocol), *(m.name for m in baselines_of(name))]
    return {
        reference or "single: none": gain(results, name, method.name, reference, protocol)
        for reference in references
    }


def smallest(gains: Mapping[str, Estimate]) -> str:
    """The reference over which the gain is smallest; what was not measured comes last."""
    return min(gains, key=lambda r: np.inf if np.isnan(gains[r][0]) else gains[r][0])


def smallest_gain(
    results: pd.DataFrame, name: str, method: Method = PAPER_LEARNER, protocol: str = MAIN
) -> Estimate:
    """Gain over the strongest of single models and baselines."""
    gains = gains_over_baselines(results, name, method, protocol)
    return gains[smallest(gains)]


def above_baselines(
    results: pd.DataFrame,
    name: str,
    paper: str,
    *,
    method: Method = PAPER_LEARNER,
    bound: float = 0.0,
) -> Claim:
    """The claim of a gain over each single model and baseline; shown is the smallest gain."""
    gains = gains_over_baselines(results, name, method)
    reference = smallest(gains)
    single_model = len(gains) == 1
    statement = f"{name}: {method.name} above " + (
        "the model's features" if single_model else "every baseline"
    )
    if bound:
        statement += f", by more than {bound:g} points"
    here = as_text(gains[reference]) + ("" if single_model else f" (over {reference})")
    holds = at_least([verdict(number, bound) for number in gains.values()], len(gains))
    return Claim(statement, paper, here, holds)


# ---------------------------------------------------------------- tables and plots


def accuracies(
    results: pd.DataFrame, name: str, method: str | None, reference: str | None
) -> dict[str, Any]:
    """The columns with accuracies and the gain, of one row of a table."""
    k5, k5_half = mean_and_interval(results, name, method, MAIN)
    more, more_half = gain(results, name, method, reference, MAIN)
    return {
        "k = 1": mean_and_interval(results, name, method, "knn-1")[0],
        "k = 5": k5,
        "k = 5 ±": k5_half,
        "k = 20": mean_and_interval(results, name, method, "knn-20")[0],
        "gain": more,
        "gain ±": more_half,
    }


def comparison_table(results: pd.DataFrame, shown: Mapping[str, Sequence[Method]]) -> pd.DataFrame:
    """Accuracy of each method by data set; the gain, at k = 5, is over the best single model."""
    rows = []
    for name, methods in shown.items():
        best = best_single(results, name)
        for method in [best, *(m.name for m in methods)]:
            label = {"data": name, "representation": method or "single: none"}
            rows.append(label | accuracies(results, name, method, best))
    return pd.DataFrame(rows)


def draw_bars(axes: Axes, groups: Mapping[str, Mapping[str, Estimate]], axis: str) -> None:
    """Grouped horizontal bars with error bars, the first group at the top.

    What was not measured has no bar. A name has one color in all groups.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    others = [name for name in names if name not in COLORS]
    colors = COLORS | {name: f"C{4 + i}" for i, name in enumerate(others)}
    labeled: set[str] = set()
    place, ticks = 0.0, []
    for group in groups.values():
        for name, (mean, half) in group.items():
            axes.barh(
                place,
                mean,
                0.8,
                xerr=None if np.isnan(half) else half,
                color=colors[name],
                label=None if name in labeled else name,
                error_kw={"elinewidth": 1, "capsize": 2},
            )
            labeled.add(name)
            place += 1
        ticks.append(place - (len(group) + 1) / 2)
        place += 0.8
    axes.set_yticks(ticks, list(groups))
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(axis)


def draw_comparison(
    results: pd.DataFrame,
    canvas: Canvas,
    shown: Mapping[str, Sequence[Method]],
    protocol: str = MAIN,
) -> None:
    """Bars of the gain over the best single model, whose accuracy is beside the data's name."""
    groups = {}
    for name, methods in shown.items():
        best = best_single(results, name, protocol)
        accuracy = mean_and_interval(results, name, best, protocol)[0]
        groups[f"{name}\n{best}\n{accuracy:.1f} %"] = {
            m.name: gain(results, name, m.name, best, protocol) for m in methods
        }
    n_bars = sum(len(group) + 1 for group in groups.values())
    canvas.set_size_inches(8, 1.6 + 0.22 * n_bars)
    axes = canvas.subplots()
    measure = protocol.replace("knn-", "k = ")
    draw_bars(axes, groups, f"points over the best single model ({measure}), 95 % interval")
    canvas.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)


def draw_gains(axes: Axes, gains: Mapping[float, Estimate], label: str, **style: Any) -> None:
    """A curve of gains with error bars."""
    means, halves = np.array(list(gains.values()), dtype=float).reshape(-1, 2).T
    axes.errorbar(
        list(gains), means, np.nan_to_num(halves), marker="o", capsize=3, label=label, **style
    )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("points over the features (k = 5)")


def curve(results: pd.DataFrame, name: str, method: str, protocol: str) -> pd.Series:
    """Mean over splits at each point of a protocol that gives a curve."""
    chosen = results[
        (results["ensemble"] == name)
        & (results["method"] == method)
        & (results["protocol"] == protocol)
    ]
    return chosen.dropna(subset=["point", "value"]).groupby("point")["value"].mean()


# ---------------------------------------------------------------- one setting that varies


def claims_of_settings(
    results: pd.DataFrame,
    name: str,
    features: Method,
    settings: Mapping[float, Method],
    what: str,
) -> list[Claim]:
    """Whether the learner is above the features at most settings, and another beats the default."""
    gains = {
        value: gain(results, name, method.name, features.name, MAIN)
        for value, method in settings.items()
    }
    verdicts = [verdict(number) for number in gains.values()]
    wide = Claim(
        f"Above the features at more than half of the {len(settings)} settings of the {what}",
        "above the features over a wide range",
        "; ".join(f"{value:g}: {as_text(number)}" for value, number in gains.items()),
        at_least(verdicts, len(settings) // 2 + 1),
    )
    over_default = {
        value: gain(results, name, method.name, PAPER_LEARNER.name, MAIN)
        for value, method in settings.items()
        if method.name != PAPER_LEARNER.name
    }
    best = max(over_default, key=lambda value: np.nan_to_num(over_default[value][0], nan=-np.inf))
    statement = (
        f"The best other {what}, {best:g}, beats the default (optimistic: chosen on the same rows)"
    )
    return [wide, above(statement, "there is room for tuning", over_default[best])]


def settings_table(
    results: pd.DataFrame,
    name: str,
    features: Method,
    settings: Mapping[float, Method],
    what: str,
) -> pd.DataFrame:
    """Accuracy at each setting, after that of the features, over which the gain is."""
    methods = {"features": features} | {f"{value:g}": m for value, m in settings.items()}
    return pd.DataFrame(
        {what: label} | accuracies(results, name, method.name, features.name)
        for label, method in methods.items()
    )


def draw_settings(
    results: pd.DataFrame,
    canvas: Canvas,
    name: str,
    features: Method,
    settings: Mapping[float, Method],
    what: str,
) -> None:
    """A curve of the gain over the features."""
    canvas.set_size_inches(6, 4)
    axes = canvas.subplots()
    gains = {
        value: gain(results, name, method.name, features.name, MAIN)
        for value, method in settings.items()
    }
    draw_gains(axes, gains, PAPER_LEARNER.name, color=COLORS[PAPER_LEARNER.name])
    axes.set_xscale("log")
    axes.set_xlabel(what)


# ---------------------------------------------------------------- output


def format_cell(column: str, value: Any, formats: Mapping[str, str] | None = None) -> str:
    """A cell of a table: floats with one digit, gains with a sign, or as `formats` says."""
    if not isinstance(value, float):
        return str(value)
    digits = {"gain": "+.1f"} | dict(formats or {})
    return "" if np.isnan(value) else format(value, digits.get(column, ".1f"))


def to_markdown(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> str:
    """A table in Markdown. What was not measured is an empty cell."""
    right = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    lines = [list(table.columns), ["--:" if r else "---" for r in right]]
    lines += [
        [format_cell(*pair, formats) for pair in zip(table.columns, row, strict=True)]
        for row in table.itertuples(index=False, name=None)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def claims_table(claims: Sequence[Claim]) -> pd.DataFrame:
    """Claims as a table, the paper beside what came out here."""
    return pd.DataFrame([asdict(claim) for claim in claims])


def save_plot(figure: Figure, results: pd.DataFrame, path: Path) -> None:
    """Draw a figure into a file."""
    canvas = Canvas(layout="constrained")
    figure.plot(results, canvas)
    canvas.savefig(path, dpi=150)


def main(figure: Figure) -> None:
    """Run what the results lack, print claims and table, and save the plot."""
    parser = argparse.ArgumentParser(description=f"Figure {figure.number}: {figure.title}")
    parser.add_argument("--splits", type=int, default=5, choices=range(1, 6))
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, default=Path(f"figure_{int(figure.number):02}.png"))
    args = parser.parse_args()
    cells = runnable(figure.cells(args.splits))
    results = run_cells(cells, args.results, n_jobs=args.n_jobs)
    print(f"\n## Figure {figure.number}: {figure.title}\n")
    print(f"Paper: {figure.paper}\n\nHere: {figure.here}\n")
    print(to_markdown(claims_table(figure.claims(results))) + "\n")
    print(to_markdown(figure.table(results), figure.formats))
    save_plot(figure, results, args.plot)
    print(f"\nPlot: {args.plot}")
