"""Figure 7: one model, on data that it was not trained on."""

from figures import (
    PAPER_LEARNER,
    Figure,
    above,
    above_baselines,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    main,
    mean_of,
    smallest_gain,
)

DATA = (
    "wordnet:minilm",
    "mail:minilm",
    "fashion-efficientnet:lite_0",
    "digits-uci:pix",
    "digits-sklearn:pixels",
)
SHOWN = {name: compared(name) for name in DATA}


def claims(results):
    return [
        *(above_baselines(results, name, "a gain on all five") for name in DATA),
        above(
            "Mean gain over the data, above 1 point",
            "over 1 point on average",
            mean_of([smallest_gain(results, name, PAPER_LEARNER) for name in DATA]),
            bound=1,
        ),
    ]


FIGURE = Figure(
    number="7",
    title="one model, other data",
    paper=(
        "The learner with the features of one Barlow Twins network on CIFAR10, CIFAR100, SVHN, "
        "Food101 and EuroSat. It gains on all of them, by over a point on average."
    ),
    here=(
        "One model on each of five data sets: a sentence encoder on definitions and on mails, "
        "an EfficientNet-Lite on Fashion-MNIST, and the strongest view of two sets of digits. "
        "The last two are plain pixels, without a network."
    ),
    cells=lambda n: [cell for name in DATA for cell in cells_of(name, SHOWN[name], n)],
    claims=claims,
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
