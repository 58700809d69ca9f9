"""Figure 14: a linear classifier instead of neighbours."""

import pandas as pd
from figures import (
    LEARNER,
    MAIN,
    SMALL,
    Claim,
    Figure,
    above,
    as_text,
    at_least,
    baselines_of,
    below,
    best_single,
    cells_of,
    compared,
    draw_comparison,
    gain,
    main,
    mean_and_interval,
    mean_of,
    verdict,
)

ONE = "fashion-barlow"
SEVERAL = ("fashion-simclr", "fashion-varied", "digits-uci", "wordnet")
SHOWN = {name: compared(name) for name in (*SEVERAL, ONE)}
MOST_SPLITS = 3


def baseline(name):
    """The average where widths are equal, else the concatenation."""
    return baselines_of(name)[0].name


def gain_over_baseline(results, name, protocol):
    return gain(results, name, LEARNER.name, baseline(name), protocol)


def of_splits(results):
    """Rows of the splits that have a linear classifier, so that all means are over the same."""
    return results[results["split"] < MOST_SPLITS]


def claims(results):
    results = of_splits(results)
    linear = {name: gain_over_baseline(results, name, "linear") for name in SEVERAL}
    holds = [verdict((-mean, half)) for mean, half in linear.values()]
    neighbours = mean_of([gain_over_baseline(results, name, MAIN) for name in SEVERAL])
    mean, half = mean_of(list(linear.values()))
    less = mean - neighbours[0], (half**2 + neighbours[1] ** 2) ** 0.5
    features = best_single(results, ONE, "linear")
    return [
        below(
            f"{ONE}: the learner below the model's features",
            "with a single model it suffers substantially",
            gain(results, ONE, LEARNER.name, features, "linear"),
        ),
        above(
            "Several models: above the average (or concatenation) in the mean over the data",
            "still a gain on average",
            (mean, half),
        ),
        Claim(
            "Several models: below the average (or concatenation) on some data",
            "gains are much less consistent; it never consistently surpassed the average",
            "; ".join(f"{name} {as_text(number)}" for name, number in linear.items()),
            at_least(holds, 1),
        ),
        below(
            "Several models: the mean gain is smaller than by neighbours",
            "worse than by neighbours",
            less,
        ),
    ]


def table(results):
    results = of_splits(results)
    rows = []
    for name, methods in SHOWN.items():
        best = best_single(results, name, "linear")
        for method in [best, *(m.name for m in methods)]:
            mean, half = mean_and_interval(results, name, method, "linear")
            more, more_half = gain(results, name, method, best, "linear")
            rows.append(
                {"data": name, "representation": method or "single: none"}
                | {"linear": mean, "linear ±": half, "gain": more, "gain ±": more_half}
                | {"k = 5": mean_and_interval(results, name, method, MAIN)[0]}
            )
    return pd.DataFrame(rows)


FIGURE = Figure(
    number="14",
    title="linear classifier",
    paper=(
        "Accuracy of a linear classifier, its weight decay tuned on a tenth of the training rows. "
        "With one model the learner is clearly below the features. With several it still gains on "
        "average, but less reliably than by neighbours, and by the paper's discussion no variant "
        "surpassed the average consistently."
    ),
    here=(
        "Small networks on Fashion-MNIST, the UCI digits and two sentence encoders. The classifier "
        "is that of the paper's appendix. It is slow, so there are at most three splits, and the "
        "intervals are wide. Where widths differ, the concatenation takes the place of the average."
    ),
    cells=lambda n: [
        cell
        for name, methods in SHOWN.items()
        for cell in cells_of(name, methods, min(n, MOST_SPLITS), (*SMALL, "linear"))
    ],
    claims=claims,
    table=table,
    plot=lambda results, canvas: draw_comparison(of_splits(results), canvas, SHOWN, "linear"),
)

if __name__ == "__main__":
    main(FIGURE)
