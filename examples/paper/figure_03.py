"""Figure 3: models that are alike, on data that they were not trained on."""

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

DATA = ("wordnet", "mail:minilm+use", "fashion-efficientnet")
SHOWN = {name: compared(name) for name in DATA}


def claims(results):
    mean = mean_of([smallest_gain(results, name, PAPER_LEARNER) for name in DATA])
    return [
        *(above_baselines(results, name, "above every baseline on all five") for name in DATA),
        above(
            "Mean over the data of the smallest gain, above 2.5 points",
            "over 2.5 points on average; the smallest win is 0.6, over the average on EuroSat",
            mean,
            bound=2.5,
        ),
    ]


FIGURE = Figure(
    number="3",
    title="alike models, other data",
    paper=(
        "The four SimCLR networks of figure 2 describe the images of five other data sets: "
        "CIFAR10, CIFAR100, SVHN, Food101 and EuroSat. The learner is fitted on each of them, "
        "without labels. It gains on all of them, by over 2.5 points on average and by at least "
        "0.6."
    ),
    here=(
        "Two or three models of one kind, trained by others on other data: two sentence "
        "encoders on definitions and on mails, and three EfficientNet-Lite on Fashion-MNIST, "
        "which were trained on ImageNet with labels. The SimCLR networks of figure 2 are not "
        "used on other images. The encoders differ in width, so they have no average."
    ),
    cells=lambda n: [cell for name in DATA for cell in cells_of(name, SHOWN[name], n)],
    claims=claims,
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
