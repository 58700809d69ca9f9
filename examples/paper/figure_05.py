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
        "Several networks trained on ImageNet with labels. The learner treats their features "
        "like any others and is above all other ensembles."
    ),
    here=(
        "Three small networks trained on Fashion-MNIST with labels, on its test images; the "
        "neighbors are the training images, whose labels the networks have seen. To have "
        "classes that the networks have not seen, three EfficientNet-Lite trained on ImageNet "
        "with labels are shown on Fashion-MNIST."
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
