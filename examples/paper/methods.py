"""What is compared: the learner and the baselines.

Baselines are at the defaults of ``sknnens.fusion``: published settings where there are some, and
none tuned on these data. Where an exponent or a width is open, several are run.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoencoder import ConcatenationAutoencoder
from baselines import GraphDiffusion, ProcrustesAverage, ReciprocalRankFusion
from ensembles import load_ensemble

from sknnens import EnsembleRepresentationLearner, stack_views
from sknnens.fusion import GCCA, Average, Concatenation, ConcatenationPCA, SingleModel

WHITENED = {"init": "whiten", "representation_learning_rate": 3e-3}
AVERAGE_OR_PCA = "average or pca"  # the paper's start, and principal components where it has none
WIDTHS = (32, 128, None)  # None: as wide as the widest view, like the learner
# where that is not the default
AS_IN_THE_PAPER = {
    "init": AVERAGE_OR_PCA,
    "view_weights": None,
    "transform_solver": "adam",
    "transform_max_iter": 50,
}


@dataclass(frozen=True)
class Method:
    """One way to a representation.

    Attributes
    ----------
    name : str
        As the results call it.
    model : callable
        Makes a transformer; its first argument is `views`.
    params : mapping
        What else it is given; `random_state` and `split` are added where it takes them.
    gives : {"rows", "distances", "bank"}
        What stands for the rows of fit: what `transform` makes of them; nothing, since
        `transform` makes distances to them; or the memory bank that fit has learned.
    """

    name: str
    model: type
    params: Mapping[str, Any] = field(default_factory=dict)
    gives: str = "rows"

    def build(self, sizes: Mapping[str, int], split: int) -> Any:
        """Make the transformer; the split is its seed, too."""
        taken = inspect.signature(self.model).parameters
        seeds = {key: split for key in ("random_state", "split") if key in taken}
        return self.model(sizes, **resolve(self.params, sizes), **seeds)

    @property
    def settings(self) -> str:
        """Every parameter, defaults included, so that a change of either can be seen."""
        signature = inspect.signature(self.model)
        defaults = {key: p.default for key, p in signature.parameters.items()}
        hidden = ("views", "random_state", "split")
        known = {k: v for k, v in (defaults | dict(self.params)).items() if k not in hidden}
        return f"{self.model.__name__}({describe(known)}) -> {self.gives}"


class TransferredLearner:
    """A learner that is fitted on the training rows of another ensemble, with the same models.

    Its own `fit` looks at nothing: no parameter is tuned to the new data.
    """

    def __init__(
        self, views: Mapping[str, int], *, source: str, split: int, random_state: int = 0
    ) -> None:
        self.views = views
        self.source = source
        self.split = split
        self.random_state = random_state

    def fit(self, X: Any) -> "TransferredLearner":
        """Fit on the other ensemble's rows; `X` is not looked at."""
        ensemble = load_ensemble(self.source)
        rows = ensemble.splits[self.split][0]
        stacked, sizes = stack_views([ensemble.views[view][rows] for view in self.views])
        seed = self.random_state
        params = resolve(AS_IN_THE_PAPER, self.views)
        learner = EnsembleRepresentationLearner(sizes, random_state=seed, **params)
        self.learner_ = learner.fit(stacked)
        return self

    def transform(self, X: Any) -> Any:
        """Learn representations with the other ensemble's MLPs."""
        return self.learner_.transform(X)


def resolve(params: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Parameters for views of these widths."""
    if params.get("init") != AVERAGE_OR_PCA:
        return dict(params)
    widths = set(sizes.values())
    averaged = len(widths) == 1 and params.get("n_components") in (None, *widths)
    return {**params, "init": "average" if averaged else "pca"}


def describe(params: Mapping[str, Any]) -> str:
    """Parameters as a method's name shows them."""
    return ", ".join(f"{key}={value}" for key, value in params.items())


def paper_learner(name: str | None = None, *, gives: str = "rows", **params: Any) -> Method:
    """The learner with the paper's settings, except for `params`."""
    if name is None:
        name = f"learner ({', '.join(['paper settings', *filter(None, [describe(params)])])})"
    if "learning_rate" in params:  # the paper has one for the MLPs and the representations
        params = {"representation_learning_rate": params["learning_rate"]} | params
    return Method(name, EnsembleRepresentationLearner, AS_IN_THE_PAPER | params, gives)


def single(view: str) -> Method:
    """One model's features."""
    return Method(f"single: {view}", SingleModel, {"view": view})


def transferred(source: str) -> Method:
    """The learner, its MLPs fitted on another ensemble that has the same views."""
    return Method(
        f"learner (paper settings), MLPs of {source}", TransferredLearner, {"source": source}
    )


def pca(exponent: float, width: int | None) -> Method:
    """Principal components of the concatenation."""
    name = f"PCA, whitening {exponent:g}" + (f", width {width}" if width else "")
    return Method(name, ConcatenationPCA, {"n_components": width, "whiten_exponent": exponent})


def gcca(width: int | None) -> Method:
    """Generalized CCA, the ridge at the mean eigenvalue."""
    return Method("GCCA" + (f", width {width}" if width else ""), GCCA, {"n_components": width})


PAPER_LEARNER = paper_learner()
PAPER_LEARNER_WHITENED = paper_learner("learner (paper settings, whitened)", **WHITENED)
LEARNER = Method("learner", EnsembleRepresentationLearner)
PAPER_LEARNER_BANK = paper_learner("learner (paper settings), memory bank", gives="bank")
AVERAGE = Method("average", Average)
CONCATENATION = Method("concatenation", Concatenation)
HALF_WHITENED = pca(0.5, None)
BASELINES = (
    AVERAGE,
    CONCATENATION,
    Method("centered", Concatenation, {"scaling": "center"}),
    Method("z-scored", Concatenation, {"scaling": "standard"}),
    *(pca(exponent, width) for exponent in (0, 0.5, 1) for width in WIDTHS),
    *(gcca(width) for width in WIDTHS),
    Method("Procrustes average", ProcrustesAverage),
    Method("rank fusion", ReciprocalRankFusion, gives="distances"),
    Method("graph diffusion", GraphDiffusion),
    Method("autoencoder", ConcatenationAutoencoder),
)
ALL = (*BASELINES, PAPER_LEARNER, PAPER_LEARNER_WHITENED, LEARNER)


def contenders(sizes: Mapping[str, int], n_train: int) -> list[Method]:
    """Every method of the main table that can be had from views of these widths."""
    most = min(n_train, sum(sizes.values()))
    methods = [
        m
        for m in ALL
        if (m.params.get("n_components") or 0) <= most
        and (m is not AVERAGE or len(set(sizes.values())) == 1)
    ]
    return [*(single(view) for view in sizes), *methods]
