"""Displays of spectra, of the agreement of views, and of comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknnens import metrics
from sknnens._compat import check_matplotlib_support
from sknnens._views import read_views


class Display:
    """Base of displays: the axes and the figure of a plot."""

    ax_: Any
    figure_: Any

    def _take_axes(self, ax: Any) -> Any:
        """Set `ax_` and `figure_`; None makes a new figure."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class SpectrumDisplay(Display):
    """Singular values of representations in descending order, on a logarithmic scale.

    A flat curve means that the representations spread over many directions. Use
    :meth:`from_representations` to create one.

    Parameters
    ----------
    singular_values : ndarray of shape (n_values,)
        As returned by :func:`sknnens.metrics.singular_value_spectrum`.
    name : str, default=None
        Label in the legend.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    ax_ : matplotlib Axes
        Axes with the curve.
    figure_ : matplotlib Figure
        Figure of the axes.

    See Also
    --------
    sknnens.metrics.singular_value_spectrum : Compute the singular values.

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
        """Compute and plot the spectrum of representations.

        Parameters
        ----------
        representations : array-like of shape (n_samples, n_components)
            One vector per sample.
        center, normalize : bool
            As in :func:`sknnens.metrics.singular_value_spectrum`.
        name : str, default=None
            Label in the legend.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.
        **kwargs : dict
            Passed to ``Axes.plot``.

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
        """Plot the spectrum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.
        name : str, default=None
            Label in the legend. If None, the display's `name` is used.
        **kwargs : dict
            Passed to ``Axes.plot``.

        Returns
        -------
        display : SpectrumDisplay
        """
        ax = self._take_axes(ax)
        kwargs = {"label": self.name if name is None else name} | kwargs
        ranks = np.arange(1, len(self.singular_values) + 1)
        (self.line_,) = ax.plot(ranks, self.singular_values, **kwargs)
        ax.set(xlabel="Rank", ylabel="Singular value", yscale="log")
        if ax.get_legend_handles_labels()[0]:
            ax.legend()
        return self


class NeighborAgreementDisplay(Display):
    """Matrix of the mean shares of nearest neighbors that views have in common.

    Use :meth:`from_views`, which accepts features and representations alike, to create one.

    Parameters
    ----------
    agreement : ndarray of shape (n_views, n_views)
        As returned by :func:`sknnens.metrics.neighbor_agreement`.
    view_names : sequence of str
        Names of the rows and columns.

    Attributes
    ----------
    image_ : matplotlib Artist
        The matrix.
    text_ : ndarray of matplotlib Artist, of shape (n_views, n_views)
        The numbers in it.
    ax_ : matplotlib Axes
        Axes with the matrix.
    figure_ : matplotlib Figure
        Figure of the axes.

    See Also
    --------
    sknnens.metrics.neighbor_agreement : Compute the matrix.

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
        """Compute and plot the agreement of views.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            Features of several models, or any representations of the same samples.
        views : sequence of int, or mapping, default=None
            As in :class:`~sknnens.EnsembleRepresentationLearner`.
        n_neighbors : int, default=10
            Number of neighbors per sample.
        missing_views : {"error", "drop"}, default="error"
            Whether samples that lack a view raise an error or are left out.
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.
        **kwargs : dict
            Passed to ``Axes.imshow``.

        Returns
        -------
        display : NeighborAgreementDisplay
        """
        check_matplotlib_support(f"{cls.__name__}.from_views")
        data, names = read_views(X, views, missing_views=missing_views, leaves_out=True)
        agreement = metrics.neighbor_agreement(
            dict(zip(names, data.arrays, strict=True)),
            n_neighbors=n_neighbors,
            missing_views=missing_views,
        )
        return cls(agreement, view_names=names).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Plot the matrix with its numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.
        **kwargs : dict
            Passed to ``Axes.imshow``.

        Returns
        -------
        display : NeighborAgreementDisplay
        """
        ax = self._take_axes(ax)
        self.image_ = ax.imshow(self.agreement, **({"vmin": 0, "vmax": 1} | kwargs))
        cells = self.image_.to_rgba(self.agreement)[..., :3]
        self.text_ = np.empty(self.agreement.shape, dtype=object)
        for (i, j), share in np.ndenumerate(self.agreement):
            color = "black" if cells[i, j].mean() > 0.5 else "white"  # readable on the cell
            self.text_[i, j] = ax.text(j, i, f"{share:.2f}", ha="center", va="center", color=color)
        ticks = np.arange(len(self.view_names))
        ax.set_xticks(ticks, self.view_names, rotation=45, ha="right")
        ax.set_yticks(ticks, self.view_names)
        return self


class ComparisonDisplay(Display):
    """Measures of several representations of the same samples.

    Created by :func:`~sknnens.inspection.compare_representations`.

    Parameters
    ----------
    table : DataFrame of shape (n_methods, n_measures)
        Means over folds, with the limits of the gains.
    scores : DataFrame of shape (n_methods * n_folds, n_measures)
        Measures per method and fold.
    baseline : str
        Name of the method that gains are relative to.

    Attributes
    ----------
    bars_ : matplotlib Artist
        One thin bar per method, which ends at its point.
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure of the axes.

    Examples
    --------
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> from sknnens.fusion import GCCA, Concatenation
    >>> from sknnens.inspection import compare_representations
    >>> data = load_fashion_mnist_features(["simclr_0", "rotnet"])
    >>> comparison = compare_representations(
    ...     data.X_train,
    ...     data.y_train,
    ...     views=data.view_sizes,
    ...     methods={"concatenation": Concatenation(), "GCCA": GCCA()},
    ...     random_state=0,
    ... )
    >>> comparison.summary().index.tolist()
    ['concatenation', 'GCCA']
    >>> display = comparison.plot()
    >>> display.ax_.get_xlabel()
    'gain at k = 5 over the concatenation in points'
    """

    bars_: Any

    def __init__(self, table: Any, *, scores: Any, baseline: str) -> None:
        self.table = table
        self.scores = scores
        self.baseline = baseline

    def __repr__(self) -> str:
        """Return the summary, and which methods are better or worse than the baseline."""
        text = str(self.summary().to_string(index_names=False))
        if (k := self._middle_k()) is None or self.table[f"gain_k{k}_limit"].isna().all():
            return text
        gains, limits = self.table[f"gain_k{k}"], self.table[f"gain_k{k}_limit"]
        for word, clear in (("Better", gains > limits), ("Worse", gains < -limits)):
            names = ", ".join(self.table.index[clear]) or "none"
            text += f"\n{word} than the {self.baseline} at k = {k}, beyond the interval: {names}."
        return text

    def summary(self) -> Any:
        """Return the measures to look at first.

        Returns
        -------
        summary : DataFrame of shape (n_methods, n_measures)
            Accuracies in percent; the gain in points for the middle number of neighbors, with half
            of its 95 % interval; the width; and the seconds to fit and transform a fold. Without
            labels, label-free measures replace the accuracies and the gain.
        """
        shown = {}
        for name in self.table.filter(regex="^accuracy_k"):
            shown[f"k = {name.removeprefix('accuracy_k')}"] = (100 * self.table[name]).round(1)
        if (k := self._middle_k()) is not None:
            shown[f"gain at k = {k}"] = (100 * self.table[f"gain_k{k}"]).round(1)
            shown["±"] = (100 * self.table[f"gain_k{k}_limit"]).round(1)
        else:
            shown |= {x: self.table[x].round(2) for x in ("rankme", "hubness", "agreement")}
        shown["width"] = self.table["n_components"]
        seconds = self.table["fit_seconds"] + self.table["transform_seconds"]
        shown["seconds"] = seconds.round(1)
        return self.table[[]].assign(**shown)

    def _middle_k(self) -> str | None:
        """Return the middle one of the numbers of neighbors, None without labels."""
        found = [c.removeprefix("gain_k") for c in self.table.filter(regex=r"^gain_k\d+$")]
        return found[len(found) // 2] if found else None

    def plot(self, ax: Any = None, *, measure: str | None = None, **kwargs: Any) -> Self:
        """Plot one point per method, sorted, with its interval if the measure has limits.

        A dashed line marks the baseline. A gain is gray if its interval contains zero.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. If None, a new figure is created.
        measure : str, default=None
            Column of the table. None plots the gain for the middle number of neighbors, or the
            agreement if there are no labels.
        **kwargs : dict
            Passed to ``Axes.barh``, which draws the thin lines to the points.

        Returns
        -------
        display : ComparisonDisplay

        Raises
        ------
        ValueError
            If the table has no such column.
        """
        if measure is None:
            measure = "agreement" if (k := self._middle_k()) is None else f"gain_k{k}"
        if measure not in self.table:
            raise ValueError(f"measure={measure!r} must be one of {list(self.table)}.")
        created, ax = ax is None, self._take_axes(ax)
        if created:
            self.figure_.set_size_inches(7, 1.2 + 0.3 * len(self.table))
        limit, what, k = f"{measure}_limit", *measure.partition("_k")[::2]
        scale = 100 if what in ("accuracy", "gain") else 1
        values = scale * self.table[measure].to_numpy()
        places = (-values).argsort(kind="stable").argsort()  # the largest value at the top
        style = {"height": 0.08, "color": "tab:blue", "alpha": 0.2}
        if limit in self.table and self.table[limit].notna().any():  # NaN for a single fold
            error = scale * self.table[limit].to_numpy()
            colors = np.where(values > error, "tab:blue", "tab:orange")
            colors = np.where(np.abs(values) > error, colors, "tab:gray")
            ax.set_title("colored: beyond the 95 % interval", loc="right", fontsize="small")
            style |= {"color": colors, "xerr": error, "error_kw": {"ecolor": colors, "lw": 2}}
        self.bars_ = ax.barh(places, values, **(style | kwargs))
        ax.scatter(
            values, places, s=50, c=[b.get_facecolor() for b in self.bars_], alpha=1, zorder=3
        )
        if self.baseline in self.table.index:
            base = scale * self.table.loc[self.baseline, measure]
            ax.axvline(base, color="black", linestyle="--", linewidth=1)
        if what == "accuracy":  # the lines to the points begin at the left edge
            margin = 0.1 * (np.ptp(values) or 1)
            ax.set_xlim(values.min() - margin, values.max() + margin)
        ax.set_yticks(places, self.table.index)
        ax.invert_yaxis()
        ax.spines[["top", "right"]].set_visible(False)
        labels = {
            "accuracy": f"accuracy at k = {k} in percent",
            "gain": f"gain at k = {k} over the {self.baseline} in points",
        }
        ax.set_xlabel(labels.get(what, measure.replace("_", " ")))
        return self
