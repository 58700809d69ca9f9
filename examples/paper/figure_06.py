"""Figure 6: one model, on the data that it was trained on."""

from figures import (
    PAPER_LEARNER,
    SMALL,
    Cell,
    Figure,
    above,
    above_baselines,
    below,
    cells_of,
    compared,
    comparison_table,
    draw_comparison,
    main,
    mean_and_interval,
)

DATA = (
    "fashion-varied-large:simclr_0",
    "fashion-barlow-large",
    "fashion-supervised:supervised",
)
SHOWN = {name: compared(name) for name in DATA}
START, END = 0, 1


def recovered(results, name, point):
    """Mean cosine of what the MLP makes of the representations and of the features."""
    return mean_and_interval(results, name, PAPER_LEARNER.name, "recoverability", point)


def cells(n_splits):
    every = []
    for name in DATA:
        every += cells_of(name, SHOWN[name], n_splits)
        wanted = (*SMALL, "recoverability")
        every += [Cell(name, PAPER_LEARNER, split, wanted) for split in range(n_splits)]
    return every


def claims(results):
    found = [
        above_baselines(results, name, "+1.8, +1.3 and +0.4 for three models") for name in DATA
    ]
    for name in DATA:
        found += [
            below(
                f"{name}: from its start a row is recovered with a cosine below 0.99",
                "0.97 at the average start",
                recovered(results, name, START),
                0.99,
                digits=3,
                sign="",
            ),
            above(
                f"{name}: after optimizing it, above 0.99",
                "over 0.99",
                recovered(results, name, END),
                0.99,
                digits=3,
                sign="",
            ),
        ]
    return found


def table(results):
    rows = comparison_table(results, SHOWN)
    of_learner = rows["representation"] == PAPER_LEARNER.name
    for column, point in (("recovered, start", START), ("recovered, end", END)):
        rows[column] = [
            recovered(results, name, point)[0] if chosen else float("nan")
            for name, chosen in zip(rows["data"], of_learner, strict=True)
        ]
    return rows


FIGURE = Figure(
    number="6",
    title="one model, source data",
    paper=(
        "The learner with a single model, whose features are both initialization and target, on "
        "ImageNet. It gains 1.8, 1.3 and 0.4 points for three models. At the initialization of "
        "a new row, the MLP's output has a cosine of 0.97 with the features. After optimizing "
        "the row, it is over 0.99."
    ),
    here=(
        "Three small networks trained on Fashion-MNIST by SimCLR, by Barlow Twins and with "
        "labels, each alone, on test images of Fashion-MNIST. The neighbors are training "
        "images, which the networks have seen."
    ),
    cells=cells,
    claims=claims,
    table=table,
    plot=lambda results, canvas: draw_comparison(results, canvas, SHOWN),
    formats={"recovered, start": ".3f", "recovered, end": ".3f"},
)

if __name__ == "__main__":
    main(FIGURE)
