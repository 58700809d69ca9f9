"""Figure 2: four models trained by SimCLR, on the data that they were trained on."""

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
from methods import PAPER_LEARNER_BANK

DATA = "fashion-simclr-large"
SHOWN = {DATA: compared(DATA, PAPER_LEARNER_BANK)}

FIGURE = Figure(
    number="2",
    title="four alike models, source data",
    paper=(
        "k-NN accuracy on the validation images of ImageNet. The models are four SimCLR "
        "networks that were trained on ImageNet without labels. The learner is more than 2 "
        "points above the average, the concatenation and every single network, at over 58 %."
    ),
    here=(
        "Four small SimCLR networks, trained without labels on Fashion-MNIST, and test images "
        "of Fashion-MNIST. As in the paper, the neighbors are training images, which the "
        "networks have seen. Networks of ImageNet's size are out of reach for a script that "
        "everyone can run. Half-whitened PCA and the whitened initialization are not in the "
        "paper. The paper searches among the rows of the memory bank. Here transform represents "
        "these rows, as in a pipeline, and the memory bank is shown beside."
    ),
    cells=lambda n_splits: cells_of(DATA, SHOWN[DATA], n_splits),
    claims=lambda results: [
        above_baselines(results, DATA, "above all baselines"),
        above_baselines(results, DATA, "more than 2 points above all baselines", bound=2),
        above_baselines(
            results,
            DATA,
            "more than 2 points above all baselines",
            method=PAPER_LEARNER_BANK,
            bound=2,
        ),
        above(
            "The memory bank as reference, over training rows from transform",
            "the paper's choice, without a comparison",
            gain(results, DATA, PAPER_LEARNER_BANK.name, PAPER_LEARNER.name, MAIN),
        ),
    ],
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
