"""Figure 9: MLPs that were fitted on other data, for one model."""

from figures import (
    MAIN,
    PAPER_LEARNER,
    Figure,
    above_baselines,
    below,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    gain,
    main,
)
from methods import transferred

SOURCES = {"wordnet:minilm": "mail", "mail:minilm": "wordnet"}
TRANSFERRED = {name: transferred(source) for name, source in SOURCES.items()}
SHOWN = {name: compared(name, TRANSFERRED[name]) for name in SOURCES}


def claims(results):
    found = []
    for name, method in TRANSFERRED.items():
        found += [
            above_baselines(results, name, "a gain on four of five", method=method),
            below(
                f"{name}: {method.name} below the learner with MLPs of its own",
                "a notable decline",
                gain(results, name, method.name, PAPER_LEARNER.name, MAIN),
            ),
        ]
    return found


FIGURE = Figure(
    number="9",
    title="MLPs of other data, one model",
    paper=(
        "Like figure 8, for one Barlow Twins network. MLPs fitted on ImageNet still gain over "
        "the features on four of the five data sets (not on EuroSat), but less than MLPs fitted "
        "on the data themselves."
    ),
    here=(
        "The MLP of one sentence encoder, fitted on mails and used on definitions of words, and "
        "vice versa."
    ),
    cells=lambda n: [cell for name in SOURCES for cell in cells_of(name, SHOWN[name], n)],
    claims=claims,
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
