"""Figure 10: how deep the MLPs are, with and without weight decay."""

import pandas as pd
from figures import (
    MAIN,
    PAPER_LEARNER,
    Figure,
    above,
    accuracies,
    below,
    cells_of,
    changed,
    draw_gains,
    gain,
    main,
)
from methods import single

DATA = "fashion-barlow-large"
FEATURES = single("barlow_twins")
DEPTHS, DECAYS = range(1, 9), (0.0, 1e-6)
GRID = {
    (depth, decay): changed(n_layers=depth, alpha=decay) for depth in DEPTHS for decay in DECAYS
}


def claims(results):
    def over(method, reference):
        return gain(results, DATA, method.name, reference.name, MAIN)

    grows = "the gain grows with depth, up to six layers"
    decay = "weight decay gives some of the gain of depth, but not all"
    deep, deepest, decayed = GRID[6, 0.0], GRID[8, 0.0], GRID[2, 1e-6]
    return [
        above("Six layers above the features", "above", over(deep, FEATURES)),
        above("Six layers above one", grows, over(deep, GRID[1, 0.0])),
        above("Six layers above two, the default", grows, over(deep, PAPER_LEARNER)),
        below("Eight layers less than 1 point above six", grows, over(deepest, deep), bound=1),
        above("Two layers: a weight decay of 1e-6 gains", decay, over(decayed, PAPER_LEARNER)),
        above("Six layers above two with that decay", decay, over(deep, decayed)),
    ]


def table(results):
    rows = [{"layers": "features", "decay": ""}]
    rows[0] |= accuracies(results, DATA, FEATURES.name, FEATURES.name)
    for (depth, decay), method in GRID.items():
        label = {"layers": str(depth), "decay": f"{decay:g}"}
        rows.append(label | accuracies(results, DATA, method.name, FEATURES.name))
    return pd.DataFrame(rows)


def plot(results, canvas):
    canvas.set_size_inches(6, 4)
    axes = canvas.subplots()
    for i, decay in enumerate(DECAYS):
        gains = {
            depth + 0.08 * i: gain(results, DATA, GRID[depth, decay].name, FEATURES.name, MAIN)
            for depth in DEPTHS
        }
        draw_gains(axes, gains, f"weight decay {decay:g}")
    axes.set_xlabel("layers of the MLP")
    axes.legend()


FIGURE = Figure(
    number="10",
    title="depth of the MLPs",
    paper=(
        "MLPs of one to eight layers for one Barlow Twins network, mean over five data sets. "
        "Accuracy grows with depth up to six layers. A weight decay of 1e-6 gives part of this "
        "gain, but not all. The authors regard depth as a regularizer."
    ),
    here=(
        "One small Barlow Twins network on Fashion-MNIST images outside the repository, with 50 "
        "epochs at every depth, as in the paper."
    ),
    cells=lambda n_splits: cells_of(DATA, list(GRID.values()), n_splits),
    claims=claims,
    table=table,
    plot=plot,
)

if __name__ == "__main__":
    main(FIGURE)
