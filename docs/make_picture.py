"""Write the picture of the README and the start page: the figure of a gallery example.

Run ``python docs/make_picture.py`` when the example or the learner has changed.
"""

import runpy
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
DOCS = Path(__file__).resolve().parent

if __name__ == "__main__":
    example = DOCS.parent / "examples" / "gallery" / "start" / "plot_neighbors.py"
    figure = runpy.run_path(str(example))["fig"]
    figure.savefig(DOCS / "_static" / "neighbors.png", dpi=160)
