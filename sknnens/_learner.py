"""The public transformer: parameters, validation, and the contract of fit and transform."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sknnens._engine._bank import new_bank
from sknnens._engine._curvature import invert, mean_curvature
from sknnens._engine._device import (
    PRECISIONS,
    Precision,
    own_modes,
    resolve_device,
    resolve_device_or_auto,
    resolve_precision,
    share_memory,
    to_numpy,
    to_tensor,
)
from sknnens._engine._fork import survives_fork
from sknnens._engine._infer import InferRecord, infer
from sknnens._engine._loss import cosine_loss
from sknnens._engine._memory import MemoryPlan, within_memory
from sknnens._engine._networks import Networks, init_networks, layer_sizes
from sknnens._engine._rows import padded_chunks, unit_rows
from sknnens._engine._train import TrainRecord, train
from sknnens._files._atomic import (
    check_not_read,
    check_path,
    new_matrix,
    release_pages,
    remove_partials,
)
from sknnens._files._checkpoint import Checkpoint, digest_views, dump_start, load_start
from sknnens._files._persistence import PortableMixin
from sknnens._progress import ProgressBar
from sknnens._version import __version__
from sknnens._views._base import FitInput, ViewsTransformer
from sknnens.callbacks import CallbackSupportMixin, FitTasks
from sknnens.fusion._imputation import ConditionalMean, Factors, fit_factors
from sknnens.fusion._initialization import (
    WHITEN_EXPONENT,
    Projection,
    choose_start_width,
    choose_width,
    fit_neighbor_projection,
    fit_projection,
    mean_columns,
    stack_units,
)
from sknnens.fusion._start import Start
from sknnens.fusion._weights import MOST_ROWS, weigh_views

N_STEPS = {"newton": 15, "adam": 50}  # of transform, at most
CURVATURE_ROWS = 1024  # that the curvature of transform's Newton steps is the mean of
START_ROWS = 10_000  # that the projection onto the start is fitted to, at most
# Parameters that the result of fit does not depend on, or that are put there in another form.
NOT_IN_CHECKPOINT = {
    *("views", "view_weights", "warm_start", "random_state", "precision", "device", "verbose"),
    *("transform_solver", "transform_max_iter", "transform_tol", "normalize"),
    *("embedding_path", "checkpoint", "checkpoint_every"),
}


class EnsembleRepresentationLearner(PortableMixin, CallbackSupportMixin, ViewsTransformer):
    """One representation from the features of several frozen models, for nearest neighbours.

    Each sample gets a vector from which the features that every model gave it can be
    recovered, by one small MLP a model. Fitting learns the MLPs and the vectors together,
    without labels; transforming finds the vectors of new samples with the MLPs frozen [1]_.

    Parameters
    ----------
    views : sequence of int, or mapping from name to width or to column labels, default=None
        Which columns of `X` are whose: the width of each model's features in the stacked
        matrix, with or without its name, or the labels of its columns in a DataFrame. None
        means that one matrix holds the features of one model; it is enough wherever `X` itself
        keeps the models apart (see `fit`).

    n_components : int, default=None
        Width of the representation. None takes the views' common width, or the widest view's
        where they differ; at most the number of samples, but for the average.

    init : {"auto", "average", "pca", "whiten"}, default="auto"
        Start of every representation.

        - ``"average"``: the mean of the L2-normalised views, L2-normalised. Needs views of
          one width, which is then `n_components`.
        - ``"pca"``: the first principal components of the L2-normalised views side by side,
          L2-normalised.
        - ``"whiten"``: the same with each component divided by the square root of its
          singular value before the rows are normalised.
        - ``"auto"``: a linear map of the L2-normalised views side by side whose inner products
          are those of two others in equal parts, L2-normalised. The first whitens the principal
          components no further than needed: each is divided by its singular value to the
          smallest power, at most one half, with which their effective rank (the exponential of
          the entropy of their shares of variance [2]_) is 64. The second is a linear
          discriminant analysis with the ten nearest neighbours of a sample in place of its
          class, in the manner of [3]_, where each direction is multiplied with the correlation
          of neighbours along it.

        The maps are fitted to up to 10,000 samples.

    n_layers : int, default=2
        Number of layers of each MLP.

    hidden_size : int, default=None
        Width of the layers between. None takes `n_components`.

    output_activation : {"auto", "relu", "identity"}, default="auto"
        What follows the last layer. ``"auto"`` takes a ReLU for views whose training features
        are all non-negative.

    max_iter : int, default=50
        Number of epochs of `fit`.

    batch_size : int, default=256
        Number of samples in a step of `fit`.

    learning_rate : float, default=3e-4
        Step size of Adam for the MLPs.

    representation_learning_rate : float, default=None
        Step size of Adam for the representations: a distance that a coordinate moves in one
        step; a coordinate of a unit vector of width d is about ``1 / sqrt(d)``. Where
        `transform_solver` is ``"newton"``, it only bounds how far samples move in `transform`.
        None takes `learning_rate`.

    warmup : float, default=0.5
        Share of the epochs, at the beginning, in which only the MLPs move. There is none when
        `warm_start` continues.

    alpha : float, default=0.0
        L2 penalty of the MLPs' weights, ``alpha / 2`` times their squared sum beside the mean
        loss of a batch.

    non_negative : bool, default=False
        Keep every representation in the first orthant.

    view_weights : "auto", array-like of shape (n_views,), mapping or None, default="auto"
        Weight of each view in the start and in the loss, relative to the largest.

        - ``"auto"`` weighs a view by what the others say of it, on up to 4,096 samples: the root
          of the share of its variance that ridge regression predicts from them (each half of
          the samples as fitted on the other), times the fourth root of its effective rank, over
          the deviation of its normalised features, and a tenth of the largest at least. A weak
          model whose features no other one sees then does not drown the strong ones. Two copies
          of a model vouch for each other.
        - Numbers, or a mapping from names to numbers; a view that it does not name has the
          weight 1. A view of weight 0 is left out altogether, as if it were not in `X`, where
          it still has to be.
        - None weighs all alike.

    transform_solver : {"newton", "adam"}, default="newton"
        How `transform` moves samples. ``"newton"`` multiplies their gradients with
        `inverse_curvature_`, corrected along a sample's last step, and takes back steps that raise
        its loss. Four steps come about as far as fifty of ``"adam"``, the paper's; a sample whose
        loss still falls by more than 10 % of all it has fallen takes more, and by more than 2 %
        where it lacks views. No sample moves further than
        ``42.5 * representation_learning_rate * sqrt(n_components)``, which is as far as 42.5 steps
        of Adam lead at most.

    transform_max_iter : int, default=None
        Most gradient steps that `transform` takes for a sample. 0 leaves the samples at their
        start. None takes 4 to 15 steps of Newton, or 50 of Adam; up to 50 of either where
        `transform_tol` is given.

    transform_tol : float, default=None
        A sample stops moving in `transform` when its loss has not fallen by this much for
        more than `n_iter_no_change` steps, and not before. None takes all the steps of Adam, and
        those of Newton as `transform_solver` says.

    normalize : bool, default=True
        Whether `transform` returns rows of length 1, so that Euclidean neighbours are cosine
        neighbours. A sample that is zero in every view stays zero. One whose start is zero,
        because it is the mean of all samples or `non_negative` leaves nothing of it, may stay so.

    missing_views : {"error", "mask"}, default="error"
        What to do about a sample that lacks a view: one whose columns are all NaN, or whose
        cell is empty. With ``"mask"`` it starts from the views that it has and from what they
        predict of the others, and is learned from those that it has. A sample that lacks all of
        them is an error, and so is a view that is NaN in some of its columns only.

        What views predict is learned in `fit` with ``"mask"``, whether there are gaps or not: the
        linear regression on them under a shrunk covariance [4]_ of 256 factors, whose noise is at
        least a tenth of the variance. With ``init="average"`` nothing is put in.

    device : str, default="auto"
        Where the work is done: ``"auto"`` takes CUDA where there is one, else the CPU; any
        name of a torch device can be given, such as ``"cuda:1"`` or ``"mps"``. Where it is not
        there, `fit` raises, and `transform` warns and works on that of ``"auto"``.

    precision : {"auto", "float32", "tf32", "bfloat16"}, default="auto"
        ``"auto"`` computes in the type of the input, float32 or float64; in float32 on a device
        that has no float64. ``"float32"`` computes in float32. ``"bfloat16"`` takes the MLPs'
        matrix products in bfloat16 and keeps all else in float32. Whether CUDA takes TF32 in
        float32 products is a setting of torch for the whole process,
        ``torch.set_float32_matmul_precision``, which is left to the caller; ``"tf32"`` is
        float32, and an error on CUDA where that setting is off.

    tol : float, default=None
        `fit` stops when the mean loss has not fallen by this much for more than
        `n_iter_no_change` epochs after the warm-up. None runs all the epochs. Ctrl-C ends `fit`
        with what there is, and a warning.

    n_iter_no_change : int or inf, default=10
        Patience of `tol`, in epochs, and of `transform_tol`, in steps.

    warm_start : bool, default=False
        Whether another call of `fit` continues from the weights and the projection of the last
        one, and from its representations where the number of samples is the same (they are
        then taken to be the same samples). The state of Adam starts anew.

    embedding_path : str or path-like, default=None
        Name of a file in NumPy's format for the memory bank, for banks that are larger than
        memory: `embedding_` is then a read-only memory map of it, and the moments of Adam are
        in files without a name in the same folder as long as `fit` runs. One that is there is
        replaced when `fit` ends. None keeps all of it on the device where it takes no more than
        half of what is free there, else in the memory of the host.

    checkpoint : str or path-like, default=None
        Name of a file for the state of a `fit` that runs. Where there is such a file, of a `fit`
        with the same data and parameters that was killed or interrupted, `fit` goes on from it:
        the result is equal to the last bit to that without a break, on the same kind of device
        with the same number of threads. It is removed when `fit` ends. Two fits at once, such as
        those of a search with `n_jobs`, need files of their own.

    checkpoint_every : int, default=5
        Epochs from one state to the next. Each time the representations are written with two
        moments of Adam.

    random_state : int, RandomState instance or None, default=None
        For the initial weights and the order of the samples in `fit`. `transform` draws no
        random numbers.

    verbose : bool or int, default=False
        Whether to show a progress bar with the loss.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_samples, n_components)
        The memory bank: the representations learned in `fit` together with the MLPs, not
        normalised. They are not what `transform` returns for the same samples, because they
        moved while the MLPs did. Only `warm_start` needs them, so that pickles and files
        without it leave them out. A memory map where `embedding_path` is given.

    coefs_ : list of list of ndarray of shape (n_in, n_out)
        For each view, the weights of each layer; none for a view of weight 0.

    intercepts_ : list of list of ndarray of shape (n_out,)
        For each view, the biases of each layer; none for a view of weight 0.

    output_activations_ : list of {"relu", "identity"} or None
        For each view, what follows the last layer; None for a view of weight 0.

    init_ : {"auto", "average", "pca", "whiten"}
        The start that was used: `init`, as it was in `fit`.

    init_mean_ : ndarray or None
        Subtracted from the weighted views side by side, without those of weight 0; None for
        the average.

    init_components_ : ndarray of shape (n_components, n_features) or None
        Projection of the same columns onto the start; None for the average.

    init_loadings_ : ndarray of shape (n_factors, n_features) or None
        Of up to 256 factors by which the views of a sample predict those that it lacks: a column
        is the factors times its loadings, plus noise of variance 1, all of it times the deviation
        of its view. None for the average, and unless ``missing_views="mask"`` in `fit`.

    init_deviations_ : ndarray of shape (n_views,) or None
        These deviations, without those of views of weight 0.

    whiten_exponent_ : float or None
        Power of their singular values that principal components are divided by; None for the
        average.

    inverse_curvature_ : ndarray of shape (n_components, n_components)
        What Newton's steps multiply gradients with: the inverse of the mean Gauss-Newton matrix
        of the loss at the start of up to 1,024 samples, damped.

    view_sizes_ : list of int
        Width of each view.

    view_names_ : ndarray of shape (n_views,)
        Name of each view: from `views` or from `X`, else "view0", "view1" and so on.

    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest of them 1.

    n_iter_ : int
        Number of epochs that were run.

    loss_ : float
        Mean loss of a sample in the last epoch: the weighted sum over its views of 1 - cosine
        similarity. NaN where the first epoch was interrupted.

    loss_curve_ : list of float
        That of every epoch.

    device_ : str
        The device that `fit` ran on.

    n_features_in_ : int
        Number of columns of the stacked matrix.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of the stacked matrix, where `X` is a DataFrame: its own, the
        levels of a MultiIndex joined as in "clip_0", or numbered so where a cell holds a vector.

    See Also
    --------
    sknnens.stack_views : Put the matrices of several models side by side.

    Notes
    -----
    Every view is L2-normalised, sample by sample, before anything else; a view that is zero in
    a sample takes no part in it.

    A sample's representation does not depend on the other samples in the call: the same row
    comes out equal to the last bit alone, in a batch and in any order, on one machine and
    device with the same number of threads. For this, `transform` works in chunks of one fixed
    size (256 to 1,024 rows on the CPU, by their width; 8,192 on other devices, or as many as half
    of their free memory takes). The first call with few rows tries out
    whether a row comes out the same in a small chunk, which then takes milliseconds.

    ``fit_transform(X)`` is ``fit(X).transform(X)``.

    Where memory runs out, `fit` and `transform` go on with less at a time, and a warning. The
    result is the same but for rounding.

    From version 1.9 of scikit-learn on, ``set_callbacks`` takes its callbacks; each epoch of `fit`
    is a task of theirs, after which one may ask to stop.

    The rows of the memory bank are moved by Adam with a state of their own: a row that is not
    in the batch stays where it is. ``torch.optim.Adam`` over the whole bank would move each
    row at every step, on old momentum, and cost as much as the bank is large.

    With n samples, m views and all widths d, an epoch of `fit` takes O(n m d^2) operations a
    layer and `transform` as many for each step; memory is O(n m d).

    References
    ----------
    .. [1] B. Wallace, D. Arpit, H. Wang, C. Xiong, "Learning Rich Nearest Neighbor
       Representations from Self-supervised Ensembles", arXiv:2110.10293, 2021.
    .. [2] O. Roy, M. Vetterli, "The effective rank: a measure of effective dimensionality",
       EUSIPCO 2007.
    .. [3] J. Yang, D. Zhang, J. Yang, B. Niu, "Globally Maximizing, Locally Minimizing:
       Unsupervised Discriminant Projection", IEEE Transactions on Pattern Analysis and Machine
       Intelligence 29(4), 2007.
    .. [4] O. Ledoit, M. Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance
       Matrices", Journal of Multivariate Analysis 88(2), 2004.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sknnens import EnsembleRepresentationLearner
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> learner = EnsembleRepresentationLearner(
    ...     views=data.view_sizes, max_iter=4, random_state=0
    ... )
    >>> model = make_pipeline(learner, KNeighborsClassifier(5))
    >>> model = model.fit(data.X_train[:1000], data.y_train[:1000])
    >>> bool(model.score(data.X_test[:500], data.y_test[:500]) > 0.7)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "views": ["array-like", Mapping, None],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "init": [StrOptions({"auto", "average", "pca", "whiten"})],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left"), None],
        "output_activation": [StrOptions({"auto", "relu", "identity"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "representation_learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "non_negative": ["boolean"],
        "view_weights": [StrOptions({"auto"}), "array-like", Mapping, None],
        "transform_solver": [StrOptions({"newton", "adam"})],
        "transform_max_iter": [Interval(Integral, 0, None, closed="left"), None],
        "transform_tol": [Interval(Real, 0, None, closed="left"), None],
        "normalize": ["boolean"],
        "missing_views": [StrOptions({"error", "mask"})],
        "device": [str],
        "precision": [StrOptions(set(PRECISIONS))],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "warm_start": ["boolean"],
        "embedding_path": [str, os.PathLike, None],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_every": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        init: str = "auto",
        n_layers: int = 2,
        hidden_size: int | None = None,
        output_activation: str = "auto",
        max_iter: int = 50,
        batch_size: int = 256,
        learning_rate: float = 3e-4,
        representation_learning_rate: float | None = None,
        warmup: float = 0.5,
        alpha: float = 0.0,
        non_negative: bool = False,
        view_weights: ArrayLike | Mapping[str, float] | str | None = "auto",
        transform_solver: str = "newton",
        transform_max_iter: int | None = None,
        transform_tol: float | None = None,
        normalize: bool = True,
        missing_views: str = "error",
        device: str = "auto",
        precision: str = "auto",
        tol: float | None = None,
        n_iter_no_change: float = 10,
        warm_start: bool = False,
        embedding_path: str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 5,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.init = init
        self.n_layers = n_layers
        self.hidden_size = hidden_size
        self.output_activation = output_activation
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.representation_learning_rate = representation_learning_rate
        self.warmup = warmup
        self.alpha = alpha
        self.non_negative = non_negative
        self.view_weights = view_weights
        self.transform_solver = transform_solver
        self.transform_max_iter = transform_max_iter
        self.transform_tol = transform_tol
        self.normalize = normalize
        self.missing_views = missing_views
        self.device = device
        self.precision = precision
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.embedding_path = embedding_path
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> "EnsembleRepresentationLearner":
        """Learn the MLPs, and the representations of `X`.

        Where it raises, the estimator is left as it was.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The features of every model for the same samples:

            - one matrix with the views side by side, whose widths are in `views`;
            - a list or tuple of matrices, one a model, or a dictionary from names to matrices;
            - a frame (pandas, polars or pyarrow) with the columns that `views` names, with
              MultiIndex columns of which the first level is the model, or with a vector in
              each cell and one column a model.

            All give the same result. The tools of scikit-learn split frames and the one matrix
            by samples; a list they split by models, see :func:`stack_views`.
        y : None
            Ignored, but for its length where `X` is a list.

        Returns
        -------
        self : EnsembleRepresentationLearner
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If `X` or a parameter is not as described, or if a step size was so large that the
            loss did not stay finite.
        """
        tasks = FitTasks(self, X, y, self.max_iter)
        data = self._read_to_fit(X, y)
        if self.warm_start and hasattr(self, "coefs_") and not hasattr(self, "embedding_"):
            warnings.warn(
                "warm_start=True continues with the weights, but the representations start anew: "
                "embedding_ was left out of the file that the learner came from, or deleted.",
                stacklevel=3,
            )
        device = resolve_device(self.device)
        precision = resolve_precision(self.precision, data.arrays[0].dtype, device)

        @survives_fork
        def learn() -> tuple[dict[str, Any], TrainRecord, MemoryPlan]:
            with own_modes(device):
                return self._learn(data, precision, device, tasks)

        fitted, record, plan = learn()
        self._publish(fitted)
        tasks.finish()
        self._warn_about_fit(record, plan)
        return self

    def _learn(
        self, data: FitInput, precision: Precision, device: torch.device, tasks: FitTasks
    ) -> tuple[dict[str, Any], TrainRecord, MemoryPlan]:
        """Start, train, and return the fitted attributes; the estimator is not changed."""
        arrays = data.arrays
        sizes = [x.shape[1] for x in arrays]
        n_components = choose_start_width(self.init, self.n_components, len(arrays[0]), sizes)
        widths = layer_sizes(n_components, self.hidden_size, self.n_layers, sizes)
        activations = [self._choose_activation(x) for x in arrays]
        relu_output = [a == "relu" for a in activations]
        continuing = self.warm_start and hasattr(self, "coefs_")
        if continuing:
            names = data.attributes["view_names_"].tolist()
            self._check_same_shapes(names, data.spread(widths, []))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._check_paths(arrays)
        checkpoint = self._make_checkpoint(data, precision)
        plans = []
        if checkpoint is not None and checkpoint.check():
            with checkpoint.open() as saved:
                view_weights, projection, warm = load_start(saved)
        elif continuing:
            view_weights, warm = self._weights_to_continue(data), True
            projection = self._fitted_projection()
        else:
            fit_start = partial(self._fit_start, data, n_components, seed, precision)
            (view_weights, projection), plan = within_memory(lambda _: fit_start(), device)
            plans.append(plan)
            warm = False
        factors = None if projection is None else projection.factors
        make_start = partial(self._make_start, view_weights, projection, sizes, precision)

        def describe(networks: Networks, loss_curve: list[float]) -> dict[str, Any]:
            """Give all fitted attributes but the bank."""

            def find_curvature(plan: MemoryPlan) -> NDArray[Any]:
                where = device if plan.on_device else torch.device("cpu")
                there = make_start(where), networks.to(where)
                return to_numpy(self._fit_curvature(arrays, *there, view_weights, precision, where))

            with own_modes(device):
                curvature, plan = within_memory(find_curvature, device)
            plans.append(plan)
            return data.attributes | {
                "init_": self.init,
                "init_mean_": None if projection is None else projection.mean,
                "init_components_": None if projection is None else projection.components,
                "init_loadings_": None if factors is None else factors.loadings,
                "init_deviations_": None if factors is None else factors.deviations,
                "whiten_exponent_": None if projection is None else projection.whiten_exponent,
                "view_weights_": np.array(data.spread(view_weights.tolist(), 0.0)),
                "output_activations_": data.spread(activations, None),
                "coefs_": data.spread([[to_numpy(w) for w in x] for x in networks.weights], []),
                "intercepts_": data.spread([[to_numpy(b) for b in x] for x in networks.biases], []),
                "inverse_curvature_": curvature,
                "loss_curve_": list(loss_curve),
                "n_iter_": len(loss_curve),
                "loss_": loss_curve[-1] if loss_curve else np.nan,
                "device_": str(device),
            }

        def attempt(plan: MemoryPlan) -> tuple[dict[str, Any], TrainRecord]:
            generator = torch.Generator(device="cpu").manual_seed(seed)
            if continuing:
                networks = self._fitted_networks(precision, device, relu_output)
            else:
                networks = init_networks(
                    widths, relu_output, generator=generator, dtype=precision.dtype, device=device
                )
            shape = len(arrays[0]), n_components
            with (
                new_bank(
                    shape,
                    precision.dtype,
                    device,
                    path=self.embedding_path,
                    on_device=plan.on_device,
                ) as (bank, *moments),
                ProgressBar(self.max_iter, "fit", "epoch", bool(self.verbose)) as progress,
            ):
                saved = None if checkpoint is None else checkpoint.open()
                if continuing and len(getattr(self, "embedding_", ())) == len(bank):
                    bank.copy_(share_memory(self.embedding_))
                elif saved is None:
                    start = make_start(device)
                    for part, targets in padded_chunks(arrays, precision, device):
                        bank[part] = start(targets)[: part.stop - part.start]
                if self.non_negative:
                    bank.clamp_min_(0)

                def on_epoch(n_done: int, loss_curve: list[float]) -> bool:
                    progress.update(n_done, loss_curve[-1])
                    return tasks.end(len(loss_curve) - 1, partial(describe, networks, loss_curve))

                record = train(
                    arrays,
                    bank,
                    networks,
                    moments=moments,
                    view_weights=view_weights.tolist(),
                    max_iter=self.max_iter,
                    warmup_epochs=0 if warm else round(self.warmup * self.max_iter),
                    batch_size=int(min(self.batch_size, len(bank))),
                    learning_rate=self.learning_rate,
                    representation_learning_rate=self._row_step_size(),
                    alpha=self.alpha,
                    non_negative=self.non_negative,
                    tol=self.tol,
                    n_iter_no_change=self.n_iter_no_change,
                    generator=generator,
                    precision=precision,
                    on_epoch_begin=tasks.begin,
                    on_epoch=on_epoch,
                    n_parts=plan.n_parts,
                    keep_views=plan.on_device,
                    resume_from=saved,
                    save_state=save_state,
                )
                try:
                    fitted = describe(networks, record.loss_curve)
                except KeyboardInterrupt:  # what was learned is not thrown away for that
                    record.interrupted = True
                    fitted = describe(networks, record.loss_curve)
            if self.embedding_path is None:
                fitted["embedding_"] = bank.cpu().numpy()  # not a copy: it may be large
            else:
                fitted["embedding_"] = np.load(self.embedding_path, mmap_mode="r")
            return fitted, record

        begun = dump_start(view_weights, projection, warm)

        def save_state(n_epochs: int, dump: Callable[[], dict[str, NDArray[Any]]]) -> None:
            if checkpoint is not None and n_epochs % self.checkpoint_every == 0:
                checkpoint.save(begun | dump())

        (fitted, record), plan = within_memory(attempt, device, self.batch_size)
        if checkpoint is not None and not record.interrupted:
            checkpoint.remove()
        plans.append(plan)
        return fitted, record, MemoryPlan(all(x.on_device for x in plans), plan.n_parts)

    def transform(self, X: Any, *, out: str | os.PathLike[str] | None = None) -> NDArray[Any]:
        """Find the representations of samples, with the MLPs frozen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The same views as in `fit`, in any form that `fit` takes. Where both have names for
            their views, these are found by name, and all else in `X` is ignored.
        out : str or path-like, default=None
            Name of a file in NumPy's format to write the result to, which is then never whole in
            memory; one that is there is replaced, unless `X` is a memory map of it.

        Returns
        -------
        representations : ndarray of shape (n_samples, n_components)
            float64 where `X` is float64, else float32. Rows of length 1 where `normalize`. With
            `out`, a read-only memory map of the file.

        Raises
        ------
        ValueError, TypeError
            If `X` does not have the views of `fit`, or is not finite, or is read from the file
            `out`, or if `representation_learning_rate` is so large that a result of Adam is not
            finite.
        """
        arrays = self._read_to_transform(X)
        device = resolve_device_or_auto(self.device)
        max_iter = self._n_steps()
        shape = len(arrays[0]), self._n_features_out
        if out is not None:
            check_not_read(out, arrays, "out")
        if out is None:
            rows = np.empty(shape, dtype=arrays[0].dtype)
            record = self._infer(arrays, max_iter, self.normalize, rows, device)
        else:
            with new_matrix(out, shape, arrays[0].dtype) as rows:
                record = self._infer(arrays, max_iter, self.normalize, rows, device)
            rows = np.load(out, mmap_mode="r")
        if record.ran_out:
            warnings.warn(
                f"Memory ran out in transform, which then went on with {record.n_at_once} samples "
                "at a time.",
                RuntimeWarning,
                stacklevel=3,
            )
        if record.n_unfinished:
            warnings.warn(
                f"{record.n_unfinished} of {len(rows)} samples reached "
                f"transform_max_iter={max_iter} before their loss settled to "
                f"transform_tol={self.transform_tol:g}.",
                ConvergenceWarning,
                stacklevel=3,  # the caller, past the wrapper that set_output puts around
            )
        return rows

    @survives_fork
    def _infer(
        self,
        arrays: list[NDArray[Any]],
        max_iter: int,
        normalize: bool,
        out: NDArray[Any],
        device: torch.device,
    ) -> InferRecord:
        """Find the representations of views that are read."""
        view_weights = self.view_weights_[self.view_weights_ > 0]
        precision = resolve_precision(self.precision, arrays[0].dtype, device)
        progress = ProgressBar(len(arrays[0]), "transform", "row", bool(self.verbose))

        def on_chunk(n_rows: int, loss: float) -> None:
            progress.update(n_rows, loss)
            for x in (*arrays, out):
                release_pages(x)

        def set_up(plan: MemoryPlan) -> tuple[Start, Networks, torch.Tensor | None]:
            projection, sizes = self._fitted_projection(), [x.shape[1] for x in arrays]
            curvature = self.inverse_curvature_ if self.transform_solver == "newton" else None
            return (
                self._make_start(view_weights, projection, sizes, precision, device),
                self._fitted_networks(precision, device),
                None if curvature is None else to_tensor(curvature, precision, device),
            )

        with own_modes(device), progress:
            (start, networks, inverse_curvature), plan = within_memory(set_up, device)
            record = infer(
                arrays,
                start,
                networks,
                view_weights=view_weights.tolist(),
                max_iter=max_iter,
                learning_rate=self._row_step_size(),
                non_negative=self.non_negative,
                tol=self.transform_tol,
                n_iter_no_change=self.n_iter_no_change,
                normalize=normalize,
                precision=precision,
                device=device,
                on_chunk=on_chunk,
                inverse_curvature=inverse_curvature,
                out=out,
            )
        record.ran_out |= not plan.on_device
        return record

    @survives_fork
    def _recover(self, X: Any, max_iter: int | None) -> NDArray[np.float64]:
        """Cosines of the views with what the MLPs recover, shape (n_samples, n_views).

        The representations are those after `max_iter` steps; None takes `transform_max_iter`.
        NaN where a view has no weight, and where a sample has nothing in it.
        """
        arrays = self._read_to_transform(X)
        steps = self._n_steps() if max_iter is None else max_iter
        rows = np.empty((len(arrays[0]), self._n_features_out), dtype=arrays[0].dtype)
        device = resolve_device_or_auto(self.device)
        self._infer(arrays, steps, normalize=False, out=rows, device=device)
        precision = resolve_precision(self.precision, arrays[0].dtype, device)
        networks = self._fitted_networks(precision, device)
        used = np.flatnonzero(self.view_weights_)
        cosines = np.full((len(rows), len(self.view_weights_)), np.nan)
        with own_modes(device):
            for part, targets in padded_chunks(arrays, precision, device):
                n_rows = part.stop - part.start
                padded = np.zeros((len(targets[0]), rows.shape[1]), dtype=rows.dtype)
                padded[:n_rows] = rows[part]
                outputs = networks(to_tensor(padded, precision, device), precision)
                for v, output, target in zip(used, outputs, targets, strict=True):
                    cosine = 1 - cosine_loss(output.to(precision.dtype), target)
                    cosine = torch.where(target.any(dim=1), cosine, torch.nan)
                    cosines[part, v] = to_numpy(cosine[:n_rows])
        return cosines

    @staticmethod
    def _fit_curvature(
        arrays: list[NDArray[Any]],
        start: Start,
        networks: Networks,
        view_weights: NDArray[Any],
        precision: Precision,
        device: torch.device,
    ) -> torch.Tensor:
        """Find the matrix of `transform`'s Newton steps, on rows from all over the samples."""
        n_rows = min(CURVATURE_ROWS, len(arrays[0]))
        sample = np.linspace(0, len(arrays[0]) - 1, n_rows).astype(np.intp)
        targets = [unit_rows(x[sample], precision, device) for x in arrays]
        present = [target.any(dim=1) for target in targets]
        return invert(mean_curvature(networks, start(targets), present, view_weights.tolist()))

    def _check_paths(self, arrays: list[NDArray[Any]]) -> None:
        """Raise ValueError where a file cannot be written, or would replace another."""
        bank, state = self.embedding_path, self.checkpoint
        if bank is not None:
            check_path(bank, "embedding_path")
            check_not_read(bank, arrays, "embedding_path")
        if state is not None:
            path = check_path(state, "checkpoint")
            check_not_read(state, arrays, "checkpoint")
            if bank is not None and path.resolve() == Path(bank).resolve():
                raise ValueError(f"checkpoint and embedding_path are the same file, {str(path)!r}.")

    def _make_checkpoint(self, data: FitInput, precision: Precision) -> Checkpoint | None:
        """Read `checkpoint`; its identity is all that the result of `fit` depends on."""
        if self.checkpoint is None:
            return None
        for path in (self.checkpoint, self.embedding_path):
            if path is not None:
                remove_partials(Path(path))
        params = self.get_params(deep=False)
        identity = {
            name: repr(value.item() if isinstance(value, np.generic) else value)
            for name, value in params.items()
            if name not in NOT_IN_CHECKPOINT
        }
        identity |= {
            "version": __version__,
            "the data": digest_views(data.arrays),
            "the names of the views": repr(data.attributes["view_names_"].tolist()),
            "view_weights": repr("auto" if self._weighs_itself else data.view_weights.tolist()),
            "precision": repr(precision),
        }
        # a generator is at another place each time
        if not isinstance(self.random_state, np.random.RandomState | None):
            identity["random_state"] = repr(int(self.random_state))
        return Checkpoint(self.checkpoint, identity)

    def _fit_start(
        self, data: FitInput, n_components: int, seed: int, precision: Precision
    ) -> tuple[NDArray[np.float64], Projection | None]:
        """Weights of the views, and the projection of the start; None for the average."""
        weights = data.view_weights
        if self.init == "average" and not self._weighs_itself:
            return weights, None
        order = np.random.RandomState(0).permutation(len(data.arrays[0]))  # whatever the seed
        sample = order[: max(START_ROWS, 2 * n_components)]
        device = torch.device("cpu")
        units = [to_numpy(unit_rows(x[sample], precision, device)) for x in data.arrays]
        present = np.stack([x.any(axis=1) for x in units], axis=1)
        if self._weighs_itself:
            weights = weigh_views([x[:MOST_ROWS] for x in units], present[:MOST_ROWS])
        if self.init == "average":
            return weights, None
        means = mean_columns(units, weights.tolist(), present)
        stacked = stack_units(units, weights.tolist(), present, means)
        sizes = [x.shape[1] for x in units]
        masked = self.missing_views == "mask"
        factors = fit_factors(stacked, sizes, present, seed) if masked else None
        if self.init == "auto":
            width = choose_width(None, len(stacked), sizes)
            projection = fit_neighbor_projection(stacked, n_components, width, seed)
        else:
            exponent = WHITEN_EXPONENT if self.init == "whiten" else 0.0
            projection = fit_projection(stacked, n_components, exponent, seed)
        return weights, replace(projection, factors=factors).to(units[0].dtype)

    def _fitted_projection(self) -> Projection | None:
        if self.init_mean_ is None:
            return None
        factors = None
        if getattr(self, "init_loadings_", None) is not None:  # older files do not have it
            factors = Factors(self.init_loadings_, self.init_deviations_)
        return Projection(self.init_mean_, self.init_components_, self.whiten_exponent_, factors)

    @property
    def _weighs_itself(self) -> bool:
        return isinstance(self.view_weights, str)

    def _weigh(self, names: Sequence[str]) -> NDArray[np.float64]:
        # all alike until their features are read
        return np.ones(len(names)) if self._weighs_itself else super()._weigh(names)

    def _weights_to_continue(self, data: FitInput) -> NDArray[np.float64]:
        if self._weighs_itself:
            return self.view_weights_[self.view_weights_ > 0]
        return data.view_weights

    def _choose_activation(self, x: NDArray[Any]) -> str:
        """Resolve `output_activation` for one view."""
        if self.output_activation != "auto":
            return self.output_activation
        return "relu" if np.fmin.reduce(x, axis=None) >= 0 else "identity"  # NaN is ignored

    def _n_steps(self) -> int:
        """Resolve `transform_max_iter`."""
        if self.transform_max_iter is None:
            return N_STEPS["adam" if self.transform_tol is not None else self.transform_solver]
        return self.transform_max_iter

    def _row_step_size(self) -> float:
        step = self.representation_learning_rate
        return self.learning_rate if step is None else step

    def _make_start(
        self,
        view_weights: NDArray[Any],
        projection: Projection | None,
        sizes: Sequence[int],
        precision: Precision,
        device: torch.device,
    ) -> Start:
        if projection is None:
            return Start(view_weights.tolist(), non_negative=self.non_negative)
        given = None
        if (factors := projection.factors) is not None:
            loadings = to_tensor(factors.loadings, precision, device)
            deviations = to_tensor(factors.deviations, precision, device)
            given = ConditionalMean(loadings, deviations, sizes)
        mean = to_tensor(projection.mean, precision, device)
        components = to_tensor(projection.components.T, precision, device)
        return Start(view_weights.tolist(), (mean, components), given, self.non_negative)

    def _fitted_networks(
        self,
        precision: Precision,
        device: torch.device,
        relu_output: Sequence[bool] | None = None,
    ) -> Networks:
        if relu_output is None:
            relu_output = [x == "relu" for x in self.output_activations_ if x is not None]

        def share(x: NDArray[Any]) -> torch.Tensor:  # they are copied as they are stacked
            return share_memory(x).to(device, precision.dtype)

        return Networks(
            [[share(w) for w in layers] for layers in self.coefs_ if layers],
            [[share(b) for b in layers] for layers in self.intercepts_ if layers],
            relu_output,
        )

    def _check_same_shapes(self, names: list[str], widths: list[list[int]]) -> None:
        """Raise ValueError where `warm_start` cannot continue from the last fit."""
        if names != self.view_names_.tolist():
            raise ValueError(
                "warm_start=True continues with the same views, but they were "
                f"{self.view_names_.tolist()} before, {names} now."
            )
        fitted = [
            [layers[0].shape[0], *(w.shape[1] for w in layers)] if layers else []
            for layers in self.coefs_
        ]
        if widths != fitted:
            raise ValueError(
                "warm_start=True continues with MLPs of the same widths, but views, view_weights, "
                f"n_components, n_layers or hidden_size changed: {fitted} before, {widths} now."
            )
        if self.init != self.init_:
            raise ValueError(
                f"warm_start=True continues from the same start, but init={self.init!r} was "
                f"{self.init_!r} before."
            )

    def _warn_about_fit(self, record: TrainRecord, plan: MemoryPlan) -> None:
        if not plan.on_device:
            parts = "whole" if plan.n_parts == 1 else f"taken in {plan.n_parts} parts"
            warnings.warn(
                f"Memory ran out in fit, which then went on with batches {parts} and no more on "
                "the device than these take.",
                RuntimeWarning,
                stacklevel=4,
            )
        if record.interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        elif self.tol is not None and not (record.converged or record.stopped):
            warnings.warn(
                f"max_iter={self.max_iter} reached before the loss settled to tol={self.tol:g}.",
                ConvergenceWarning,
                stacklevel=4,
            )

    @property
    def _n_features_out(self) -> int:
        return next(layers[0].shape[0] for layers in self.coefs_ if layers)
