"""Figure 11: singular values of the representations."""

import numpy as np
import pandas as pd
from figures import (
    COLORS,
    PAPER_LEARNER,
    PAPER_LEARNER_WHITENED,
    SMALL,
    Figure,
    above,
    accuracies,
    cells_of,
    curve,
    gain,
    main,
    mean_and_interval,
)
from harness import interval
from methods import paper_learner, single

DATA = "fashion-barlow-large"
FEATURES = single("barlow_twins")
NON_NEGATIVE = paper_learner(non_negative=True)
METHODS = (NON_NEGATIVE, PAPER_LEARNER, PAPER_LEARNER_WHITENED)


def mean_values(results, method):
    """Mean singular value, the largest being 1, by split."""
    chosen = results[
        (results["ensemble"] == DATA)
        & (results["method"] == method.name)
        & (results["protocol"] == "spectrum")
    ].dropna(subset=["value"])
    return chosen.groupby("split")["value"].mean()


def flatter(results, method):
    """Gain in the mean singular value over the features, with its interval."""
    ours, features = mean_values(results, method), mean_values(results, FEATURES)
    difference = (ours - features).dropna()
    if not len(difference):
        return float("nan"), float("nan")
    rows = results[results["ensemble"] == DATA]
    sizes = rows["n_train"].mean(), rows["n_test"].mean()
    half = interval(difference.to_numpy(), *sizes, bool(rows["disjoint"].all()))
    return float(difference.mean()), half


def claims(results):
    found = []
    for method in (NON_NEGATIVE, PAPER_LEARNER):
        constrained = method is NON_NEGATIVE
        said = "more balanced than the features'" if constrained else "nothing is said of it"
        rank = gain(results, DATA, method.name, FEATURES.name, "rankme")
        found += [
            above(
                f"{method.name}: mean singular value, the largest being 1, above the features'",
                said,
                flatter(results, method),
                digits=3,
            ),
            above(f"{method.name}: effective rank (RankMe) above the features'", said, rank),
        ]
    return found


def table(results):
    rows = []
    for method in (FEATURES, *METHODS):
        values = mean_values(results, method)
        rows.append(
            {"representation": method.name}
            | accuracies(results, DATA, method.name, FEATURES.name)
            | {
                "mean singular value": float(values.mean()) if len(values) else np.nan,
                "RankMe": mean_and_interval(results, DATA, method.name, "rankme")[0],
            }
        )
    return pd.DataFrame(rows)


def plot(results, canvas):
    canvas.set_size_inches(6, 4)
    axes = canvas.subplots()
    for method in (FEATURES, *METHODS):
        spectrum = curve(results, DATA, method.name, "spectrum")
        label = "features" if method is FEATURES else method.name
        axes.plot(spectrum.index, spectrum, label=label, color=COLORS[label])
    axes.set_yscale("log")
    axes.set_xlabel("singular value")
    axes.set_ylabel("relative to the largest")
    axes.legend()


FIGURE = Figure(
    number="11",
    title="singular values",
    paper=(
        "Singular values of the features of one Barlow Twins network and of the learner's "
        "representations, constrained to be non-negative like the features. The learner's are "
        "more balanced: they spread rows over more directions."
    ),
    here=(
        "One small Barlow Twins network on images of Fashion-MNIST; singular values of the "
        "training rows. The learner without the constraint is shown too."
    ),
    cells=lambda n: cells_of(DATA, METHODS, n, (*SMALL, "rankme", "spectrum")),
    claims=claims,
    table=table,
    plot=plot,
    formats={"mean singular value": ".3f"},
)

if __name__ == "__main__":
    main(FIGURE)
