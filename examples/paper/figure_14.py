"""Figure 14: a linear classifier instead of neighbors."""

import pandas as pd
from figures import (
    MAIN,
    PAPER_LEARNER,
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
from summary import gain_between

ONE = "fashion-barlow"
SEVERAL = ("fashion-simclr", "fashion-varied", "digits-uci", "wordnet")
SHOWN = {name: compared(name) for name in (*SEVERAL, ONE)}
MOST_SPLITS = 3
CLASSIFIERS = {"linear": "1000 epochs", "logistic": "at the minimum"}


def baseline(name):
    """The average where widths are equal, else the concatenation."""
    return baselines_of(name)[0].name


def of_splits(results):
    """Rows of the splits that have a linear classifier, so that all means are over the same."""
    return results[results["split"] < MOST_SPLITS]


def claims_of(results, protocol, how):
    """The paper's claims, of one of the two classifiers."""
    gains = {
        name: gain(results, name, PAPER_LEARNER.name, baseline(name), protocol) for name in SEVERAL
    }
    less = {
        name: verdict(
            gain_between(results, name, PAPER_LEARNER.name, baseline(name), MAIN, protocol)
        )
        for name in SEVERAL
    }
    features = best_single(results, ONE, protocol)
    shown = "; ".join(f"{name} {as_text(number)}" for name, number in gains.items())
    return [
        below(
            f"{how}: {ONE}, the learner below the model's features",
            "it suffers substantially with a single model",
            gain(results, ONE, PAPER_LEARNER.name, features, protocol),
        ),
        above(
            f"{how}: several models, above the average (or concatenation) in the mean",
            "still a gain on average",
            mean_of(list(gains.values())),
        ),
        Claim(
            f"{how}: several models, below the average (or concatenation) on some data",
            "gains are much less consistent; it never consistently surpassed the average",
            shown,
            at_least([verdict((-mean, half)) for mean, half in gains.values()], 1),
        ),
        Claim(
            f"{how}: the gain is smaller than with neighbors on more than half of the data",
            "worse than with neighbors",
            "; ".join(f"{name}: {holds}" for name, holds in less.items()),
            at_least(list(less.values()), len(SEVERAL) // 2 + 1),
        ),
    ]


def claims(results):
    results = of_splits(results)
    return [c for protocol, how in CLASSIFIERS.items() for c in claims_of(results, protocol, how)]


def table(results):
    results = of_splits(results)
    rows = []
    for name, methods in SHOWN.items():
        best = best_single(results, name, "linear")
        for method in [best, *(m.name for m in methods)]:
            row = {"data": name, "representation": method or "single: none"}
            for protocol, how in CLASSIFIERS.items():
                row[how], row[f"{how} ±"] = mean_and_interval(results, name, method, protocol)
            row["gain"], row["gain ±"] = gain(results, name, method, best, "linear")
            rows.append(row | {"k = 5": mean_and_interval(results, name, method, MAIN)[0]})
    return pd.DataFrame(rows)


FIGURE = Figure(
    number="14",
    title="linear classifier",
    paper=(
        "Accuracy of a linear classifier, with weight decay tuned on a tenth of the training "
        "rows. With one model the learner is clearly below the features. With several it still "
        "gains on average, but less reliably than with nearest neighbors. By the paper's "
        "discussion, no variant surpassed the average consistently."
    ),
    here=(
        "Small networks on Fashion-MNIST, the UCI digits and two sentence encoders. The "
        "classifier is the one in the paper's appendix, on rows of length 1. Once its decay is "
        "chosen, it is fitted again on all training rows, which the appendix does not mention. "
        "After its 1000 epochs it is far from the minimum of its loss, farther for some "
        "representations than for others. So the same classifier at the minimum stands beside "
        "it, and the claims are tested for both. There are at most three splits, so the "
        "intervals are wide. If widths differ, the concatenation replaces the average."
    ),
    cells=lambda n: [
        cell
        for name, methods in SHOWN.items()
        for cell in cells_of(name, methods, min(n, MOST_SPLITS), (*SMALL, *CLASSIFIERS))
    ],
    claims=claims,
    table=table,
    plot=lambda results, canvas: draw_comparison(of_splits(results), canvas, SHOWN, "linear"),
)

if __name__ == "__main__":
    main(FIGURE)
