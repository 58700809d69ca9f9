"""What is compared: the learner, and what people use instead of it.

A method makes a transformer for the views of an ensemble. Rivals stand at their published
settings; where these leave a width or an exponent open, several are run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ensembles import load_ensemble

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.baselines import (
    GCCA,
    Average,
    Concatenation,
    ConcatenationAutoencoder,
    ConcatenationPCA,
    GraphDiffusion,
    ProcrustesAverage,
    ReciprocalRankFusion,
    SingleModel,
)

Sizes = dict[str, int]
WHITENED = {"init": "whiten", "representation_learning_rate": 3e-3}
PCA_WIDTHS = (32, 128, None)  # None: as wide as the widest view, like the learner


@dataclass(frozen=True)
class Method:
    """One way to a representation.

    Attributes
    ----------
    name : str
        As the results call it.
    build : callable
        From the widths of the views by name, the seed and the split to a transformer.
    gives : {"rows", "distances"}
        What the transformer makes: representations, or distances to the rows of fit.
    width : int or None
        Width of the representations where the method fixes it.
    """

    name: str
    build: Callable[[Sizes, int, int], Any]
    gives: str = "rows"
    width: int | None = None


class TransferredLearner:
    """A learner that is fitted on the training rows of another ensemble, with the same models.

    Its own `fit` looks at nothing: no parameter is tuned to the new data.
    """

    def __init__(self, views: Sequence[str], source: str, split: int, params: dict[str, Any]):
        self.views = views
        self.source = source
        self.split = split
        self.params = params

    def fit(self, X: Any) -> "TransferredLearner":
        ensemble = load_ensemble(self.source)
        rows = ensemble.splits[self.split][0]
        stacked, sizes = stack_views([ensemble.views[view][rows] for view in self.views])
        self.learner_ = EnsembleRepresentationLearner(sizes, **self.params).fit(stacked)
        return self

    def transform(self, X: Any) -> Any:
        return self.learner_.transform(X)


def describe(params: dict[str, Any]) -> str:
    """Parameters as a method's name shows them."""
    return ", ".join(f"{key}={value}" for key, value in params.items())


def learner(name: str | None = None, **params: Any) -> Method:
    """The learner, set as in the paper but for `params`."""
    if name is None:
        name = f"learner ({describe(params)})" if params else "learner"
    return Method(
        name,
        lambda sizes, seed, split: EnsembleRepresentationLearner(
            sizes, random_state=seed, **params
        ),
    )


def single(view: str) -> Method:
    """One model's features."""
    return Method(f"single: {view}", lambda sizes, seed, split: SingleModel(sizes, view=view))


def transferred(source: str, views: Sequence[str], name: str, **params: Any) -> Method:
    """The learner of these views, its MLPs fitted on another ensemble."""

    def build(sizes: Sizes, seed: int, split: int) -> Any:
        return TransferredLearner(views, source, split, {"random_state": seed, **params})

    return Method(name, build)


LEARNER = learner()
LEARNER_WHITENED = learner("learner, whitened start", **WHITENED)
CONCATENATION = Method("concatenation", lambda sizes, seed, split: Concatenation(sizes))
AVERAGE = Method("average", lambda sizes, seed, split: Average(sizes))
PROCRUSTES = Method("Procrustes average", lambda sizes, seed, split: ProcrustesAverage(sizes))


def pca(exponent: float, width: int | None) -> Method:
    """Principal components of the concatenation."""
    name = f"PCA, whitening {exponent:g}" + (f", width {width}" if width else "")
    return Method(
        name,
        lambda sizes, seed, split: ConcatenationPCA(
            sizes, n_components=width, whiten_exponent=exponent, random_state=seed
        ),
        width=width,
    )


def gcca(width: int | None) -> Method:
    """Generalised CCA, the ridge at the mean eigenvalue."""
    name = "GCCA" + (f", width {width}" if width else "")
    return Method(name, lambda sizes, seed, split: GCCA(sizes, n_components=width), width=width)


HALF_WHITENED = pca(0.5, None)
RIVALS = (
    CONCATENATION,
    Method("centred", lambda sizes, seed, split: Concatenation(sizes, scaling="center")),
    Method("z-scored", lambda sizes, seed, split: Concatenation(sizes, scaling="standard")),
    *(pca(exponent, width) for exponent in (0, 0.5, 1) for width in PCA_WIDTHS),
    *(gcca(width) for width in PCA_WIDTHS),
    PROCRUSTES,
    Method(
        "rank fusion", lambda sizes, seed, split: ReciprocalRankFusion(sizes), gives="distances"
    ),
    Method("graph diffusion", lambda sizes, seed, split: GraphDiffusion(sizes)),
    Method(
        "autoencoder",
        lambda sizes, seed, split: ConcatenationAutoencoder(sizes, random_state=seed),
    ),
)


def comparable(sizes: Sizes, n_train: int) -> list[Method]:
    """Every method of the main table that can be had from views of these widths."""
    most = min(n_train, max(sizes.values()))  # from there on, a width is the default
    methods = [*(single(view) for view in sizes)]
    methods += [m for m in RIVALS if m.width is None or m.width < most]
    if len(set(sizes.values())) == 1:
        methods.append(AVERAGE)
    return [*methods, LEARNER, LEARNER_WHITENED]
