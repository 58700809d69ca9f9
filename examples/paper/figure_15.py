"""Figure 15: how near the nearest neighbor is, beside an average row."""

import pandas as pd
from figures import (
    COLORS,
    MAIN,
    PAPER_LEARNER,
    SMALL,
    Cell,
    Claim,
    Figure,
    as_text,
    at_least,
    baselines_of,
    below,
    curve,
    gain,
    main,
    mean_and_interval,
    verdict,
)

DATA = ("fashion-simclr", "fashion-varied", "wordnet", "mail", "digits-uci")
METHODS = {name: (baselines_of(name)[0], PAPER_LEARNER) for name in DATA}
NEAREST, AVERAGE_PAIR = "maximum-similarity", "mean-similarity"
MEDIAN = 50


def nearer(results, name):
    """Gain in the median over the average, or the concatenation where there is none."""
    return gain(results, name, PAPER_LEARNER.name, METHODS[name][0].name, NEAREST, MEDIAN)


def claims(results):
    gains = {name: nearer(results, name) for name in DATA}
    holds = [verdict(number) for number in gains.values()]
    shown = "; ".join(f"{name} {as_text(number, 3)}" for name, number in gains.items())
    return [
        Claim(
            "The median of the normalized maximum similarity is higher on at least 4 of 5",
            "higher on 4 of 5, not on EuroSat",
            shown,
            at_least(holds, 4),
        ),
        *(
            below(
                f"{name}: the mean similarity of pairs is lower",
                "significantly lower",
                gain(results, name, PAPER_LEARNER.name, METHODS[name][0].name, AVERAGE_PAIR),
                digits=3,
            )
            for name in DATA
        ),
    ]


def table(results):
    rows = []
    for name, methods in METHODS.items():
        for method in methods:
            median, half = mean_and_interval(results, name, method.name, NEAREST, MEDIAN)
            rows.append(
                {"data": name, "representation": method.name}
                | {"median": median, "median ±": half}
                | {
                    "mean similarity": mean_and_interval(results, name, method.name, AVERAGE_PAIR)[
                        0
                    ]
                }
                | {"k = 5": mean_and_interval(results, name, method.name, MAIN)[0]}
            )
    return pd.DataFrame(rows)


def plot(results, canvas):
    panels = {}
    for name, methods in METHODS.items():
        curves = {m.name: curve(results, name, m.name, NEAREST) for m in methods}
        if not any(found.empty for found in curves.values()):
            panels[name] = curves
    n_columns = min(max(len(panels), 1), 3)
    n_rows = max(-(-len(panels) // n_columns), 1)
    canvas.set_size_inches(1 + 3.5 * n_columns, 1 + 2.8 * n_rows)
    grid = canvas.subplots(n_rows, n_columns, squeeze=False).ravel()
    lines = {}
    for axes, (name, curves) in zip(grid, panels.items(), strict=False):
        for method, found in curves.items():
            lines[method] = axes.plot(found, found.index, color=COLORS[method])[0]
            axes.axvline(found[MEDIAN], color=COLORS[method], linestyle="--")
        axes.set_title(name)
    for axes in grid[len(panels) :]:
        axes.remove()
    canvas.legend(lines.values(), lines, loc="outside upper center", ncols=3)
    canvas.supxlabel("similarity to the nearest training row / mean similarity", fontsize="medium")
    canvas.supylabel("test rows below, percent", fontsize="medium")


FIGURE = Figure(
    number="15",
    title="normalized maximum similarity",
    paper=(
        "For each test row, its cosine with the nearest training row, divided by the mean "
        "cosine of all pairs. Histograms show the learner and the baseline on five data sets. "
        "The learner's values are higher on four, not on EuroSat. The mean cosine of pairs is "
        "significantly lower for the learner."
    ),
    here=(
        "Five ensembles; the baseline is the average, or the concatenation if widths differ. "
        "Pairs are of a test row and a training row. If their mean similarity is 0, as after "
        "the centered initialization of views of unequal width, there is no ratio, and the data "
        "have no panel. The plot shows the share of test rows below a value, with dashed "
        "medians."
    ),
    cells=lambda n_splits: [
        Cell(name, method, split, (*SMALL, NEAREST, AVERAGE_PAIR))
        for name, methods in METHODS.items()
        for method in methods
        for split in range(n_splits)
    ],
    claims=claims,
    table=table,
    plot=plot,
    formats={"median": ".3f", "median ±": ".3f", "mean similarity": ".3f"},
)

if __name__ == "__main__":
    main(FIGURE)
