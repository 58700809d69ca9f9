"""Figure 15: how near the nearest neighbor is, beside an average row."""

import pandas as pd
from figures import (
    COLORS,
    LEARNER,
    MAIN,
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
METHODS = {name: (baselines_of(name)[0], LEARNER) for name in DATA}
NEAREST, AVERAGE_PAIR = "maximum-similarity", "mean-similarity"
MEDIAN = 50


def nearer(results, name):
    """Gain in the median over the average, or the concatenation where there is none."""
    return gain(results, name, LEARNER.name, METHODS[name][0].name, NEAREST, MEDIAN)


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
                gain(results, name, LEARNER.name, METHODS[name][0].name, AVERAGE_PAIR),
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
    canvas.set_size_inches(9, 6)
    grid = canvas.subplots(2, 3).ravel()
    for axes, (name, methods) in zip(grid, METHODS.items(), strict=False):
        for method in methods:
            percentiles = curve(results, name, method.name, NEAREST)
            color = COLORS[method.name]
            axes.plot(percentiles, percentiles.index, color=color, label=method.name)
            if MEDIAN in percentiles.index:
                axes.axvline(percentiles[MEDIAN], color=color, linestyle="--")
        axes.set_title(name)
        axes.legend()
    grid[-1].remove()
    canvas.supxlabel("similarity to the nearest training row, over the mean similarity")
    canvas.supylabel("test rows below, per cent")


FIGURE = Figure(
    number="15",
    title="normalized maximum similarity",
    paper=(
        "For each test row, its cosine with the nearest training row, divided by the mean cosine "
        "of all pairs, as histograms for the learner and the baseline on five data sets. The "
        "learner's are higher on four, not on EuroSat; the mean cosine of pairs is significantly "
        "lower for the learner."
    ),
    here=(
        "Five ensembles of our own; the baseline is the average, or the concatenation where "
        "widths differ. Pairs are of a test row and a training row. Where their mean similarity is "
        "0, as after the centered start that views of unequal widths get, there is no ratio. Shown "
        "is the share of test rows below a value, with the medians dashed."
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
