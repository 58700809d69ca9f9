"""Figure 12: the learning rate."""

from figures import (
    Figure,
    cells_of,
    changed,
    claims_of_settings,
    draw_settings,
    main,
    settings_table,
)
from methods import single

DATA = "fashion-barlow-large"
FEATURES = single("barlow_twins")
SETTINGS = {rate: changed(learning_rate=rate) for rate in (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
WHAT = "learning rate"

FIGURE = Figure(
    number="12",
    title="learning rate",
    paper=(
        "The learner with one Barlow Twins network at several learning rates, mean over five "
        "data sets. It stays above the features over a wide range. Its margin is smallest in "
        "this setup, and there is room for tuning."
    ),
    here=(
        "One small Barlow Twins network on images of Fashion-MNIST. The MLPs and the "
        "representations share one rate, as in the paper. The paper's text does not give the "
        "rates; these are ours, around its 3e-4."
    ),
    cells=lambda n_splits: cells_of(DATA, list(SETTINGS.values()), n_splits),
    claims=lambda results: claims_of_settings(results, DATA, FEATURES, SETTINGS, WHAT),
    table=lambda results: settings_table(results, DATA, FEATURES, SETTINGS, WHAT),
    plot=lambda results, canvas: draw_settings(results, canvas, DATA, FEATURES, SETTINGS, WHAT),
)

if __name__ == "__main__":
    main(FIGURE)
