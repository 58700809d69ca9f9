"""Figure 4: models of different kinds."""

from figures import (
    MAIN,
    PAPER_LEARNER,
    Figure,
    above,
    above_baselines,
    as_text,
    best_single,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    gain,
    main,
    mean_of,
)

DATA = (
    "fashion-varied-large",
    "wordnet-weak",
    "mail",
    "digits-uci",
    "timeseries",
    "digits-sklearn",
)
SHOWN = {name: compared(name) for name in DATA}


def claims(results):
    gains = {
        name: gain(results, name, PAPER_LEARNER.name, best_single(results, name), MAIN)
        for name in DATA
    }
    largest = max(gains, key=lambda name: gains[name][0])
    return [
        *(
            above_baselines(results, name, "above Barlow Twins, its best model, on all data")
            for name in DATA
        ),
        above(
            "Mean over the data of the gain over the best single model; the largest is "
            f"{as_text(gains[largest])} ({largest})",
            "above the best single model; the largest win is 8.2 points (SVHN)",
            mean_of(list(gains.values())),
        ),
    ]


FIGURE = Figure(
    number="4",
    title="varied models",
    paper=(
        "Five networks trained on ImageNet in different ways: Barlow Twins, PIRL, RotNet, SwAV "
        "and SimCLR, on other data sets. They differ much in strength. The learner gains over "
        "Barlow Twins, the best single model on every data set. It gains most on SVHN, by 8.2 "
        "points, where RotNet is strong."
    ),
    here=(
        "Five small networks trained on Fashion-MNIST in five ways, and five ensembles of "
        "different extractors: sentence encoders with latent semantic analysis, the six views "
        "of the UCI digits, four extractors of time series, and four of small images. Some "
        "views are much weaker than others, as in the paper. If widths differ, there is no "
        "average."
    ),
    cells=lambda n: [cell for name in DATA for cell in cells_of(name, SHOWN[name], n)],
    claims=claims,
    table=lambda results: comparison_table(results, SHOWN),
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
)

if __name__ == "__main__":
    main(FIGURE)
