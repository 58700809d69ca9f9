"""Figure 2: four models trained by SimCLR, on the data that they were trained on."""

from figures import (
    Figure,
    above_baselines,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    main,
)

DATA = "fashion-simclr-large"
SHOWN = {DATA: compared(DATA)}

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
        "Four small SimCLR networks, trained without labels on Fashion-MNIST, and further images "
        "of Fashion-MNIST: ImageNet and networks of its size are out of reach for a script that "
        "everyone can run. Half-whitened PCA and the whitened start are not in the paper."
    ),
    cells=lambda n_splits: cells_of(DATA, SHOWN[DATA], n_splits),
    claims=lambda results: [
        above_baselines(results, DATA, "above all baselines"),
        above_baselines(results, DATA, "more than 2 points above all baselines", bound=2),
    ],
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
