"""Write one small file of each kind, for the tests of later versions to read.

Run once for each version whose files differ from those before, never again: the files are kept. It
is run with the lowest versions of the dependencies, whose pickles all later ones can open.
"""

import pickle
import sys
from pathlib import Path

import joblib
import numpy as np
import skops.io

from sknnens import EnsembleRepresentationLearner, __version__

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import make_views


def main():
    folder = Path(__file__).parent / __version__
    folder.mkdir()
    X = np.hstack(make_views(40))
    # settings with which rounding decides nothing
    learner = EnsembleRepresentationLearner(
        {"clip": 6, "dino": 12},
        n_components=6,
        max_iter=4,
        representation_learning_rate=3e-3,
        transform_solver="adam",
        device="cpu",
        random_state=0,
    ).fit(X)
    (folder / "learner.pickle").write_bytes(pickle.dumps(learner, protocol=4))
    joblib.dump(learner, folder / "learner.joblib")
    skops.io.dump(learner, folder / "learner.skops")
    learner.save(folder / "learner.safetensors")
    np.savez(folder / "rows.npz", X=X, expected=learner.transform(X))


if __name__ == "__main__":
    main()
