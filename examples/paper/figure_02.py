"""Figure 2: four models trained by SimCLR, on the data that they were trained on."""

from figures import (
    LEARNER,
    MAIN,
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
from methods import LEARNER_BANK

DATA = "fashion-simclr-large"
SHOWN = {DATA: compared(DATA, LEARNER_BANK)}

FIGURE = Figure(
    number="2",
    title="four alike models, source data",
    paper=(
        "k-NN accuracy on the validation images of ImageNet, of four SimCLR networks that were "
        "trained on ImageNet without labels. The learner is set against the average, the "
        "concatenation and a single network. It is more than 2 points above all of them, at over "
        "58 %."
    ),
    here=(
        "Four small SimCLR networks, trained without labels on Fashion-MNIST, and test images of "
        "Fashion-MNIST; as in the paper, the neighbors are training images, which the networks "
        "have seen. ImageNet and networks of its size are out of reach for a script that everyone "
        "can run. Half-whitened PCA and the whitened start are not in the paper. The paper's "
        "neighbors are the rows of the memory bank; here they are made by transform, as in a "
        "pipeline, and the bank is shown beside."
    ),
    cells=lambda n_splits: cells_of(DATA, SHOWN[DATA], n_splits),
    claims=lambda results: [
        above_baselines(results, DATA, "above all baselines"),
        above_baselines(results, DATA, "more than 2 points above all baselines", bound=2),
        above_baselines(
            results, DATA, "more than 2 points above all baselines", method=LEARNER_BANK, bound=2
        ),
        above(
            "The memory bank as reference, over training rows from transform",
            "the paper's way; it does not compare",
            gain(results, DATA, LEARNER_BANK.name, LEARNER.name, MAIN),
        ),
    ],
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
