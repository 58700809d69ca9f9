"""Figure 5: models trained with labels."""

from figures import (
    Figure,
    above_baselines,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    main,
)

DATA = ("fashion-supervised", "fashion-efficientnet")
SHOWN = {name: compared(name) for name in DATA}

FIGURE = Figure(
    number="5",
    title="supervised models",
    paper=(
        "Several networks trained on ImageNet with labels. The learner takes their features as it "
        "takes any others, and is above all other ensembles, though it makes no use of what these "
        "models have in common."
    ),
    here=(
        "Three small networks trained on Fashion-MNIST with its labels, on test images of "
        "Fashion-MNIST (the neighbors are the training images, of which they have seen the "
        "labels); and three EfficientNet-Lite trained on ImageNet with labels, on "
        "Fashion-MNIST, so that there are data of other classes too."
    ),
    cells=lambda n: [cell for name in DATA for cell in cells_of(name, SHOWN[name], n)],
    claims=lambda results: [
        above_baselines(results, name, "above all other ensembles") for name in DATA
    ],
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
