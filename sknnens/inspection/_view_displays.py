"""Plots of views: how far they agree, and how well a learner recovers them."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sknnens import metrics
from sknnens._views._base import read_views
from sknnens.inspection._plotting import Display


class NeighborAgreementDisplay(Display):
    """Matrix of the share of nearest neighbours that views have in common.

    Make one with :meth:`from_views`, which takes features and representations alike.

    Parameters
    ----------
    agreement : ndarray of shape (n_views, n_views)
        As :func:`sknnens.metrics.neighbor_agreement` gives it.
    view_names : sequence of str
        Names of the rows and columns.

    Attributes
    ----------
    image_ : matplotlib Artist
        The matrix.
    text_ : ndarray of matplotlib Artist, of shape (n_views, n_views)
        Its numbers.
    ax_ : matplotlib Axes
        Where they are.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sknnens.metrics.neighbor_agreement : Takes the measure.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.inspection import NeighborAgreementDisplay
    >>> rng = np.random.RandomState(0)
    >>> a = rng.randn(50, 8)
    >>> views = {"clip": a, "dino": a + 0.1 * rng.randn(50, 8)}
    >>> display = NeighborAgreementDisplay.from_views(views)
    >>> display.view_names, display.agreement.shape
    (['clip', 'dino'], (2, 2))
    """

    image_: Any
    text_: NDArray[Any]

    def __init__(self, agreement: NDArray[Any], *, view_names: Sequence[str]) -> None:
        self.agreement = agreement
        self.view_names = view_names

    @classmethod
    def from_views(
        cls,
        X: Any,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_neighbors: int = 10,
        missing_views: str = "error",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the agreement of views.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            Features of several models, or any representations of the same samples.
        views : sequence of int, or mapping, default=None
            As in :class:`~sknnens.EnsembleRepresentationLearner`.
        n_neighbors : int, default=10
            Neighbours of each sample.
        missing_views : {"error", "mask"}, default="error"
            With ``"mask"``, samples that lack a view are left out.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.imshow``.

        Returns
        -------
        display : NeighborAgreementDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_views")
        arrays, names = read_views(X, views, missing_views=missing_views, leaves_out=True)
        agreement = metrics.neighbor_agreement(
            dict(zip(names, arrays, strict=True)),
            n_neighbors=n_neighbors,
            missing_views=missing_views,
        )
        return cls(agreement, view_names=names).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the matrix with its numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.imshow``.

        Returns
        -------
        display : NeighborAgreementDisplay
        """
        ax = self._take_axes(ax)
        self.image_ = ax.imshow(self.agreement, **({"vmin": 0, "vmax": 1} | kwargs))
        colours = self.image_.to_rgba(self.agreement)[..., :3]
        self.text_ = np.empty(self.agreement.shape, dtype=object)
        for (i, j), share in np.ndenumerate(self.agreement):
            colour = "black" if colours[i, j].mean() > 0.5 else "white"  # seen on the cell
            self.text_[i, j] = ax.text(j, i, f"{share:.2f}", ha="center", va="center", color=colour)
        ticks = np.arange(len(self.view_names))
        ax.set_xticks(ticks, self.view_names, rotation=45, ha="right")
        ax.set_yticks(ticks, self.view_names)
        return self


class RecoverabilityDisplay(Display):
    """How well a learner recovers each view, at the start of `transform` and at its end.

    Make one with :meth:`from_estimator`. There is no `from_representations`: features are
    recovered by the MLPs, which belong to one learner, from its vectors before they are
    normalised.

    Parameters
    ----------
    start : ndarray of shape (n_views,)
        Mean cosine of each view with what is recovered from the start.
    end : ndarray of shape (n_views,)
        The same after all steps of `transform`.
    view_names : sequence of str
        Names of the views.

    Attributes
    ----------
    bars_ : list of matplotlib Artist
        The bars of the start, and of the end.
    ax_ : matplotlib Axes
        Where they are.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sknnens.metrics.recoverability_score : Takes the measure.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens import EnsembleRepresentationLearner
    >>> from sknnens.inspection import RecoverabilityDisplay
    >>> rng = np.random.RandomState(0)
    >>> X = [rng.rand(50, 8), rng.rand(50, 8)]
    >>> learner = EnsembleRepresentationLearner(max_iter=4, random_state=0).fit(X)
    >>> display = RecoverabilityDisplay.from_estimator(learner, X)
    >>> bool(display.end.mean() > display.start.mean())
    True
    """

    bars_: list[Any]

    def __init__(
        self, start: NDArray[Any], end: NDArray[Any], *, view_names: Sequence[str]
    ) -> None:
        self.start = start
        self.end = end
        self.view_names = view_names

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw how well a fitted learner recovers the views of samples.

        Parameters
        ----------
        estimator : EnsembleRepresentationLearner
            Fitted.
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            What its `transform` takes.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.bar``.

        Returns
        -------
        display : RecoverabilityDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        start = metrics.recoverability_score(estimator, X, max_iter=0)
        end = metrics.recoverability_score(estimator, X)
        return cls(start, end, view_names=estimator.view_names_.tolist()).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw two bars a view.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.bar``.

        Returns
        -------
        display : RecoverabilityDisplay
        """
        ax = self._take_axes(ax)
        positions = np.arange(len(self.view_names))
        self.bars_ = [
            ax.bar(positions + side * 0.2, scores, **({"width": 0.4, "label": label} | kwargs))
            for side, scores, label in ((-1, self.start, "start"), (1, self.end, "end"))
        ]
        ax.set_xticks(positions, self.view_names)
        ax.set(ylabel="Mean cosine with what is recovered")
        self._add_legend()
        return self
