"""Figure 13: the batch size."""

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
SETTINGS = {
    size: changed(batch_size=size, learning_rate=3e-4 * size / 256)
    for size in (32, 64, 128, 256, 512, 1024, 2048)
}
WHAT = "batch size"

FIGURE = Figure(
    number="13",
    title="batch size",
    paper=(
        "The learner with one Barlow Twins network at several batch sizes, with a proportional "
        "learning rate, mean over five data sets. It stays above the features over a wide "
        "range."
    ),
    here=(
        "One small Barlow Twins network on images of Fashion-MNIST. The learning rate is 3e-4 "
        "at 256 rows and grows in proportion. The paper's text does not give the sizes; these "
        "are ours."
    ),
    cells=lambda n_splits: cells_of(DATA, list(SETTINGS.values()), n_splits),
    claims=lambda results: claims_of_settings(results, DATA, FEATURES, SETTINGS, WHAT),
    table=lambda results: settings_table(results, DATA, FEATURES, SETTINGS, WHAT),
    plot=lambda results, canvas: draw_settings(results, canvas, DATA, FEATURES, SETTINGS, WHAT),
)

if __name__ == "__main__":
    main(FIGURE)
