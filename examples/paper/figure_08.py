"""Figure 8: MLPs that were fitted on other data, for several models."""

from figures import (
    MAIN,
    PAPER_LEARNER,
    Figure,
    above,
    above_baselines,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    gain,
    main,
)
from methods import transferred

SOURCES = {"wordnet": "mail", "mail:minilm+use": "wordnet"}
TRANSFERRED = {name: transferred(source) for name, source in SOURCES.items()}
SHOWN = {name: compared(name, TRANSFERRED[name]) for name in SOURCES}


def claims(results):
    found = []
    for name, method in TRANSFERRED.items():
        cost = gain(results, name, method.name, PAPER_LEARNER.name, MAIN)
        found += [
            above_baselines(results, name, "above the baselines on all five"),
            above_baselines(results, name, "above the baselines on all five", method=method),
            above(
                f"{name}: MLPs of other data cost less than 1 point (a bound of ours)",
                "the performance is largely maintained",
                cost,
                bound=-1,
            ),
        ]
    return found


FIGURE = Figure(
    number="8",
    title="MLPs of other data, several models",
    paper=(
        "The MLPs that were fitted on ImageNet, for the four SimCLR networks of figure 2, are "
        "frozen. On five other data sets, only the representations are learned. The gain is "
        "close to the gain with MLPs fitted on the data themselves, and both are above the "
        "baselines on all data sets."
    ),
    here=(
        "The MLPs of two sentence encoders, fitted on mails and used on definitions of words, "
        "and vice versa. The encoders differ in width, so there is no average."
    ),
    cells=lambda n: [cell for name in SOURCES for cell in cells_of(name, SHOWN[name], n)],
    claims=claims,
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
