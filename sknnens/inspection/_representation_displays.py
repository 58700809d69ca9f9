"""Plots of representations: their spectrum, and how near neighbours are and who is one."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sknnens import metrics
from sknnens._neighbors import k_occurrence, skewness
from sknnens.inspection._plotting import Display

MAX_BINS = 200  # of the histogram of counts, which may go up to the number of samples


def _transform(estimator: Any, X: Any) -> Any:
    """Representations that a fitted transformer gives."""
    if not hasattr(estimator, "transform"):
        raise TypeError(
            f"estimator must be a fitted transformer, got {type(estimator).__name__}, which has no "
            "transform."
        )
    return estimator.transform(X)


def _name(estimator: Any, name: str | None) -> str:
    """Name for the legend: that which is given, or the class of the last step."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return type(last).__name__ if name is None else name


class SpectrumDisplay(Display):
    """Singular values of representations, the largest first, on a logarithmic scale.

    Make one with :meth:`from_estimator` or :meth:`from_representations`. Where the curve is flat,
    the representations spread over many directions.

    Parameters
    ----------
    singular_values : ndarray of shape (n_values,)
        As :func:`sknnens.metrics.singular_value_spectrum` gives them.
    name : str, default=None
        For the legend.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    ax_ : matplotlib Axes
        Where it is.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sknnens.metrics.singular_value_spectrum : Takes the measure.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.inspection import SpectrumDisplay
    >>> rng = np.random.RandomState(0)
    >>> display = SpectrumDisplay.from_representations(rng.randn(50, 8))
    >>> display.singular_values.shape
    (8,)
    """

    line_: Any

    def __init__(self, singular_values: NDArray[Any], *, name: str | None = None) -> None:
        self.singular_values = singular_values
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        center: bool = False,
        normalize: bool = True,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the spectrum of what a fitted transformer gives.

        Parameters
        ----------
        estimator : object
            The learner, a baseline, or a ``Pipeline`` of transformers, fitted.
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            What its `transform` takes.
        center, normalize : bool
            As in :func:`sknnens.metrics.singular_value_spectrum`.
        name : str, default=None
            For the legend; None takes the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : SpectrumDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        return cls.from_representations(
            _transform(estimator, X),
            center=center,
            normalize=normalize,
            name=_name(estimator, name),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_representations(
        cls,
        representations: ArrayLike,
        *,
        center: bool = False,
        normalize: bool = True,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the spectrum of representations.

        Parameters
        ----------
        representations : array-like of shape (n_samples, n_components)
            One vector a sample.
        center, normalize : bool
            As in :func:`sknnens.metrics.singular_value_spectrum`.
        name : str, default=None
            For the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : SpectrumDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_representations")
        values = metrics.singular_value_spectrum(
            representations, center=center, normalize=normalize
        )
        return cls(values, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        name : str, default=None
            For the legend; None takes `name` of the display.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : SpectrumDisplay
        """
        ax = self._take_axes(ax)
        kwargs = {"label": self.name if name is None else name} | kwargs
        ranks = np.arange(1, len(self.singular_values) + 1)
        (self.line_,) = ax.plot(ranks, self.singular_values, **kwargs)
        ax.set(xlabel="Rank", ylabel="Singular value", yscale="log")
        self._add_legend()
        return self


class MaximumSimilarityDisplay(Display):
    """Histogram of the normalised maximum similarity, with its median as a dashed line.

    Make one with :meth:`from_estimator` or :meth:`from_representations`.

    Parameters
    ----------
    similarity : ndarray of shape (n_queries,)
        As :func:`sknnens.metrics.normalized_maximum_similarity` gives it.
    name : str, default=None
        For the legend.

    Attributes
    ----------
    bars_ : matplotlib Artist
        The histogram.
    line_ : matplotlib Artist
        The median.
    ax_ : matplotlib Axes
        Where they are.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sknnens.metrics.normalized_maximum_similarity : Takes the measure.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.inspection import MaximumSimilarityDisplay
    >>> rng = np.random.RandomState(0)
    >>> display = MaximumSimilarityDisplay.from_representations(rng.rand(50, 8), rng.rand(90, 8))
    >>> display.similarity.shape
    (50,)
    """

    bars_: Any
    line_: Any

    def __init__(self, similarity: NDArray[Any], *, name: str | None = None) -> None:
        self.similarity = similarity
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        X_database: Any,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of what a fitted transformer gives.

        Parameters
        ----------
        estimator : object
            The learner, a baseline, or a ``Pipeline`` of transformers, fitted.
        X : array-like of shape (n_queries, n_features), list, tuple, dict or frame
            Queries, such as test samples, as its `transform` takes them.
        X_database : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            Samples to find neighbours in.
        name : str, default=None
            For the legend; None takes the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : MaximumSimilarityDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        queries, database = _transform(estimator, X), _transform(estimator, X_database)
        name = _name(estimator, name)
        return cls.from_representations(queries, database, name=name, ax=ax, **kwargs)

    @classmethod
    def from_representations(
        cls,
        queries: ArrayLike,
        database: ArrayLike,
        *,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of representations.

        Parameters
        ----------
        queries : array-like of shape (n_queries, n_components)
            Such as those of test samples.
        database : array-like of shape (n_samples, n_components)
            Such as those of training samples.
        name : str, default=None
            For the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : MaximumSimilarityDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_representations")
        similarity = metrics.normalized_maximum_similarity(queries, database)
        return cls(similarity, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the histogram and the median.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        name : str, default=None
            For the legend; None takes `name` of the display.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : MaximumSimilarityDisplay
        """
        ax = self._take_axes(ax)
        low, high = float(self.similarity.min()), float(self.similarity.max())
        if high - low < 1e-6 * high:  # there may be fewer numbers between them than bars
            low, high = 0.9 * low, 1.1 * high
        kwargs = {"bins": 50, "range": (low, high), "density": True, "alpha": 0.5} | kwargs
        kwargs = {"label": self.name if name is None else name} | kwargs
        _, _, self.bars_ = ax.hist(self.similarity, **kwargs)
        colour = self.bars_[0].get_facecolor()[:3]
        self.line_ = ax.axvline(float(np.median(self.similarity)), linestyle="--", color=colour)
        ax.set(xlabel="Maximum similarity over mean similarity", ylabel="Density")
        self._add_legend()
        return self


class HubnessDisplay(Display):
    """Histogram of how often a row is among the nearest neighbours of others.

    Make one with :meth:`from_estimator` or :meth:`from_representations`. Hubs are at its far
    right; the numbers of samples are on a logarithmic scale.

    Parameters
    ----------
    occurrence : ndarray of shape (n_samples,)
        For each row that can be a neighbour, of how many it is one.
    n_neighbors : int
        Neighbours of each query.
    name : str, default=None
        For the legend.

    Attributes
    ----------
    bars_ : matplotlib Artist
        The histogram.
    ax_ : matplotlib Axes
        Where it is.
    figure_ : matplotlib Figure
        The figure of the axes.

    See Also
    --------
    sknnens.metrics.hubness_score : The skewness of these counts.

    Examples
    --------
    >>> import numpy as np
    >>> from sknnens.inspection import HubnessDisplay
    >>> rng = np.random.RandomState(0)
    >>> display = HubnessDisplay.from_representations(rng.randn(50, 8), n_neighbors=3)
    >>> int(display.occurrence.sum())
    150
    """

    bars_: Any

    def __init__(
        self, occurrence: NDArray[Any], *, n_neighbors: int, name: str | None = None
    ) -> None:
        self.occurrence = occurrence
        self.n_neighbors = n_neighbors
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        X_database: Any = None,
        *,
        n_neighbors: int = 10,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of what a fitted transformer gives.

        Parameters
        ----------
        estimator : object
            The learner, a baseline, or a ``Pipeline`` of transformers, fitted.
        X : array-like of shape (n_queries, n_features), list, tuple, dict or frame
            Queries, as its `transform` takes them.
        X_database : array-like of shape (n_samples, n_features), ..., default=None
            Samples to find neighbours in; None takes the queries themselves.
        n_neighbors : int, default=10
            Neighbours of each query.
        name : str, default=None
            For the legend; None takes the name of the estimator's class.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : HubnessDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        return cls.from_representations(
            _transform(estimator, X),
            None if X_database is None else _transform(estimator, X_database),
            n_neighbors=n_neighbors,
            name=_name(estimator, name),
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_representations(
        cls,
        queries: ArrayLike,
        database: ArrayLike | None = None,
        *,
        n_neighbors: int = 10,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the histogram of representations.

        Parameters
        ----------
        queries : array-like of shape (n_queries, n_components)
            Representations.
        database : array-like of shape (n_samples, n_components), default=None
            Representations to find neighbours in; None takes the queries themselves.
        n_neighbors : int, default=10
            Neighbours of each query.
        name : str, default=None
            For the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : HubnessDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_representations")
        occurrence = k_occurrence(queries, database, n_neighbors)
        return cls(occurrence, n_neighbors=n_neighbors, name=name).plot(ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the histogram; the legend has the skewness.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        name : str, default=None
            For the legend; None takes `name` of the display.
        **kwargs : dict
            For ``Axes.hist``.

        Returns
        -------
        display : HubnessDisplay
        """
        ax = self._take_axes(ax)
        own = self.name if name is None else name
        label = f"skewness {skewness(self.occurrence):.2f}"
        label = label if own is None else f"{own} ({label})"
        n_counts = int(self.occurrence.max()) + 1
        width = -(-n_counts // MAX_BINS)  # counts a bar, 1 as long as there are few
        bins = np.arange(0, n_counts + width, width) - 0.5
        kwargs = {"bins": bins, "alpha": 0.5, "log": True, "label": label} | kwargs
        _, _, self.bars_ = ax.hist(self.occurrence, **kwargs)
        ax.set(
            xlabel=f"Times among the {self.n_neighbors} nearest neighbours",
            ylabel="Number of samples",
        )
        self._add_legend()
        return self
