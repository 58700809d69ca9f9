"""The public learner: parameters, and the contract of fit and transform with scikit-learn."""

import os
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from sknnens import _engine as engine
from sknnens._compat import CallbackSupportMixin, Interval, Options, StrOptions, fit_context
from sknnens._files import release_pages
from sknnens._progress import ProgressBar, tell
from sknnens._views import (
    FitInput,
    MultiviewTransformer,
    OnRows,
    Views,
    row_norms,
    row_slices,
    unit_rows,
)
from sknnens.callbacks import FitTasks, ResumableFit
from sknnens.fusion import Fusion, make_fusion
from sknnens.fusion._weights import resolve_weights

CURVATURE_ROWS = 1024  # over which the curvature of quasi-Newton steps is averaged
INIT_ROWS = 10_000  # that the fusion is fitted to, at most
START_ROWS = 4096  # whose start is found together
# parameters that go to the training as they are
TRAINING = (
    *("max_iter", "learning_rate", "representation_learning_rate", "alpha", "non_negative"),
    *("tol", "n_iter_no_change"),
)


class EnsembleRepresentationLearner(CallbackSupportMixin, MultiviewTransformer):
    """Learn a joint nearest-neighbor representation from embeddings of several frozen models.

    Each sample gets a vector, and one small MLP per model recovers the model's features from it.
    `fit` learns the MLPs and the vectors together, without labels. `transform` finds the vectors
    of new samples with the MLPs frozen [1]_.

    Parameters
    ----------
    views : sequence of int, or mapping from name to width or to column labels, default=None
        The columns of each model in `X`: the width of each model's features in the stacked
        matrix, with or without its name, or the labels of its columns in a DataFrame. None is
        enough if `X` itself keeps the models apart (see `fit`). With None, a single matrix
        counts as the features of one model.
    n_components : int, default=None
        Width of the representation. None takes the width of the widest view, or the number of
        samples if it is smaller (except with ``init="average"``).
    init : {"auto", "average", "pca", "whiten"} or Fusion, default="auto"
        Initialization of the representations: an unfitted transformer of
        :mod:`sknnens.fusion`, or the name of one. The learner sets the transformer's
        parameters `views`, `view_weights`, `missing_views` and `normalize`, and also
        `n_components` and `random_state` if they are None. The transformer is fitted to up to
        10,000 samples.

        - ``"auto"``: :class:`~sknnens.fusion.NeighborhoodProjection`.
        - ``"average"``: :class:`~sknnens.fusion.Average`, the paper's initialization. Needs
          views of one width.
        - ``"pca"``: :class:`~sknnens.fusion.ConcatenationPCA` without whitening.
        - ``"whiten"``: the same, half-whitened.
    view_weights : "auto", array-like of shape (n_views,), mapping or None, default="auto"
        Weight of each view in the initialization and in the loss, relative to the largest.

        - ``"auto"`` estimates weights without labels: a view gets more weight if the other views
          predict it well, if its effective rank is high, and if its normalized features have low
          variance (see the user guide). Near-duplicate models inflate each other's weight.
        - Numbers, or a mapping from names to numbers; views without an entry have weight 1.
          A view of weight 0 is ignored, but `X` must still contain it.
        - None weights all views equally.
    missing_views : {"error", "impute"}, default="error"
        Treatment of a sample that lacks a view: all columns of the view are NaN, or its cell is
        empty. With ``"impute"``, `init` imputes the missing views to initialize the sample, and
        its representation is then learned from the present views.
        A sample that lacks all views is an error, and so is a view that is NaN in only some
        of its columns.
    n_layers : int, default=2
        Number of layers of each MLP.
    hidden_size : int, default=None
        Width of the hidden layers. None takes `n_components`.
    non_negative : bool, default=False
        Whether to constrain the representations to be non-negative.
    max_iter : int, default=50
        Number of epochs of `fit`.
    batch_size : int, default=256
        Number of samples per step of `fit`.
    learning_rate : float, default=3e-4
        Step size of Adam for the MLPs.
    representation_learning_rate : float, default=3e-4
        Step size of Adam for the representations: the distance that a coordinate moves in one
        step. A coordinate of a unit vector of width d is about ``1 / sqrt(d)``.
    warmup : float, default=0.5
        Share of the epochs, at the beginning, in which only the MLPs move. There is no warm-up
        when `warm_start` continues.
    alpha : float, default=0.0
        L2 penalty of the MLPs' weights: ``alpha / 2`` times their squared sum is added to the
        mean loss of a batch.
    tol : float, default=None
        After the warm-up, `fit` stops early if the mean loss fails to decrease by at least `tol`
        in more than `n_iter_no_change` epochs in a row. None runs all epochs.
    n_iter_no_change : int or inf, default=10
        Number of such epochs in a row that `tol` allows.
    warm_start : bool, default=False
        Whether the next call of `fit` continues with the weights and the initialization of the
        last call. If the number of samples is the same, `fit` assumes the same samples and also
        continues with their representations. The state of Adam is new.
    transform_solver : {"newton", "adam"}, default="newton"
        Solver of `transform`. ``"newton"`` multiplies gradients with `inverse_curvature_`; three
        steps reach about the loss of fifty steps of ``"adam"``, the paper's solver.
    transform_max_iter : int, default=3
        Number of gradient steps of `transform`, for every sample. 0 returns the
        initialization. ``"adam"`` needs about 50.
    normalize : bool, default=True
        Whether `transform` returns rows of length 1, so that Euclidean neighbors are cosine
        neighbors. If a sample is zero in every view, its row stays zero. If its initialization is
        zero, its row may stay zero.
    device : str, default="auto"
        Device of the computation: ``"auto"`` is CUDA if available, else the CPU. Any name of a
        torch device can be given, such as ``"cuda:1"`` or ``"mps"``. An unavailable device is an
        error.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        ``"auto"`` computes in the dtype of the input, float32 or float64, or in float32 on a
        device without float64. ``"bfloat16"`` computes the MLPs' matrix products in bfloat16 and
        the rest in float32. To use TF32 on CUDA, call
        ``torch.set_float32_matmul_precision("high")`` yourself.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples and the fusion in `fit`. `transform`
        draws no random numbers.
    verbose : bool or int, default=False
        Whether to show a progress bar with the loss.

    Attributes
    ----------
    init_ : Fusion
        The fitted initialization.
    coefs_ : list of list of ndarray of shape (n_in, n_out)
        Weights of each layer, per view; empty for a view of weight 0.
    intercepts_ : list of list of ndarray of shape (n_out,)
        Biases of each layer, per view; empty for a view of weight 0.
    output_activations_ : list of {"relu", "identity"} or None
        Activation of the last layer, per view: a ReLU if no feature of the view is negative.
        None for a view of weight 0.
    embedding_ : ndarray of shape (n_samples, n_components)
        The memory bank: the vectors of the training samples, learned together with the MLPs and
        not normalized. They differ from the result of `transform`, because the MLPs changed during
        training. Available only with `warm_start`.
    inverse_curvature_ : ndarray of shape (n_components, n_components)
        Damped inverse of the mean Gauss-Newton matrix of the loss, at the initialization of up
        to 1,024 samples.
    step_size_ : float
        Step size of Adam in `transform`: `representation_learning_rate` as it was in `fit`.
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view: from `views` or from `X`, else "view0", "view1" and so on.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest of them 1.
    view_shares_ : ndarray of shape (n_views,)
        Share of the variance of each view that a ridge regression from the others predicts, at
        most 1. NaN unless `view_weights` is ``"auto"`` and there are several views.
    n_iter_ : int
        Number of epochs that were run.
    loss_ : float
        Mean loss per sample in the last epoch. The loss is the weighted sum of 1 - cosine
        similarity over the sample's views.
    loss_curve_ : list of float
        Loss of each epoch.
    device_ : str
        The device that `fit` ran on.
    n_features_in_ : int
        Number of columns of `X` if it is a matrix or frame; otherwise, the total width of all
        views.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of `X`, if it is a frame and all of its labels are strings.

    See Also
    --------
    sknnens.stack_views : Put the matrices of several models side by side.
    sknnens.fusion : The closed-form transformers, usable without the MLPs.
    sknnens.callbacks.Checkpoint : Resume a `fit` that was killed.

    Notes
    -----
    Every view is first L2-normalized per sample. A view that is zero in a sample is ignored for
    this sample.

    A sample's representation does not depend on the other samples in the call. It is the same to
    the last bit whether the sample is alone or in a batch, and in any order, on one machine and
    device with the same number of threads. Therefore `transform` works in chunks of a fixed size:
    64 rows on the CPU, 8,192 on other devices, or fewer if memory is short. A single row costs as
    much as a chunk. ``fit_transform(X)`` equals ``fit(X).transform(X)``.

    With scikit-learn 1.9 or later, ``set_callbacks`` takes scikit-learn's callbacks. Each epoch of
    `fit` is a task, and a callback may stop `fit` after any epoch.

    Adam has a state per row of the memory bank. A row that is not in the batch does not change.

    With n samples, m views and all widths d, an epoch of `fit` takes O(n m d^2) operations per
    layer and `transform` as many per step; memory is O(n m d).

    References
    ----------
    .. [1] B. Wallace, D. Arpit, H. Wang, C. Xiong, "Learning Rich Nearest Neighbor
       Representations from Self-supervised Ensembles", arXiv:2110.10293, 2021.

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
        "init": [StrOptions({"auto", "average", "pca", "whiten"}), Fusion],
        "view_weights": [StrOptions({"auto"}), "array-like", Mapping, None],
        "missing_views": [StrOptions({"error", "impute"})],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left"), None],
        "non_negative": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "representation_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "warmup": [Interval(Real, 0, 1, closed="both")],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "warm_start": ["boolean"],
        "transform_solver": [StrOptions({"newton", "adam"})],
        "transform_max_iter": [Interval(Integral, 0, None, closed="left")],
        "normalize": ["boolean"],
        "device": [str],
        "precision": [StrOptions(set(engine.PRECISIONS))],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        init: str | Fusion = "auto",
        view_weights: ArrayLike | Mapping[str, float] | str | None = "auto",
        missing_views: str = "error",
        n_layers: int = 2,
        hidden_size: int | None = None,
        non_negative: bool = False,
        max_iter: int = 50,
        batch_size: int = 256,
        learning_rate: float = 3e-4,
        representation_learning_rate: float = 3e-4,
        warmup: float = 0.5,
        alpha: float = 0.0,
        tol: float | None = None,
        n_iter_no_change: float = 10,
        warm_start: bool = False,
        transform_solver: str = "newton",
        transform_max_iter: int = 3,
        normalize: bool = True,
        device: str = "auto",
        precision: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.init = init
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.n_layers = n_layers
        self.hidden_size = hidden_size
        self.non_negative = non_negative
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.representation_learning_rate = representation_learning_rate
        self.warmup = warmup
        self.alpha = alpha
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.transform_solver = transform_solver
        self.transform_max_iter = transform_max_iter
        self.normalize = normalize
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)  # of a fusion in init
    def fit(self, X: Any, y: Any = None) -> "EnsembleRepresentationLearner":
        """Learn the MLPs, and the representations of `X`.

        If `fit` raises an error, the estimator is unchanged. An interrupt during the training,
        such as Ctrl-C, keeps the result of the completed epochs, if any.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The features of every model for the same samples:

            - one matrix with the views side by side, whose widths are in `views`;
            - a list or tuple with one matrix per model, or a dictionary from names to matrices;
            - a frame (pandas, polars or pyarrow) with the columns that `views` names, with
              MultiIndex columns whose first level is the model, or with one column per model and
              a vector in each cell.

            All forms give the same result. Pandas objects must have the same index. scikit-learn's
            tools split a frame or a stacked matrix by samples, but a list by models; see
            :func:`stack_views`.
        y : None
            Ignored, except for its length if `X` is a list. A second matrix of floats is an error:
            pass several models in one list.

        Returns
        -------
        self : EnsembleRepresentationLearner
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If `X` or a parameter is not as described, or if a step size was so large that the
            loss did not stay finite.
        MemoryError
            If memory runs out; the message names the parameters to lower.
        KeyboardInterrupt
            If it is interrupted.
        """
        tasks = FitTasks(self, X, y, self.max_iter)
        data = self._read_to_fit(X, y)
        engine.check_not_forked()
        device = engine.resolve_device(self.device)
        precision = engine.resolve_precision(self.precision, data.views.dtype, device)
        try:
            with engine.isolated_torch_mode(device):
                fitted, record = self._learn(data, precision, device, tasks)
        except Exception as error:  # torch raises many kinds when memory runs out
            if not engine.is_out_of_memory(error):
                raise
            raise MemoryError(
                f"Memory ran out in fit on device={str(device)!r}. Lower batch_size (now "
                f"{self.batch_size}), n_components or hidden_size, or fit on fewer samples: "
                "transform takes any number."
            ) from error
        if record.interrupted and not record.loss_curve:
            raise KeyboardInterrupt
        self.__dict__.pop("embedding_", None)  # of an earlier fit
        self._publish(fitted)
        tasks.finish()
        if record.interrupted:
            raise KeyboardInterrupt(f"The learner is fitted by {self.n_iter_} epochs.")
        if self.tol is not None and not (record.converged or record.stopped):
            message = (
                f"max_iter={self.max_iter} reached before the loss settled to tol={self.tol:g}."
            )
            warnings.warn(message, ConvergenceWarning, stacklevel=3)
        return self

    def _learn(
        self, data: FitInput, precision: engine.Precision, device: torch.device, tasks: FitTasks
    ) -> tuple[dict[str, Any], engine.TrainRecord]:
        """Return the fitted attributes and the course of the training; nothing is changed."""
        if self.verbose:  # the start may take as long as many epochs
            tell(f"fit: {data}; finding the start\n")
        continuing = self.warm_start and hasattr(self, "coefs_")
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        resumable = ResumableFit(self, data, repr(precision), seed, continuing)
        seed, continuing = resumable.seed, resumable.continuing
        init = self._continued_init(data) if continuing else self._fit_init(data, seed)
        generator = torch.Generator(device="cpu").manual_seed(seed)
        widths = engine.layer_sizes(
            init._n_features_out, self.hidden_size, self.n_layers, data.views.sizes
        )
        if continuing:
            networks = self._continued_networks(widths, precision, device, data.non_negative)
        else:
            networks = engine.init_networks(
                widths, data.non_negative, generator=generator, dtype=precision.dtype, device=device
            )
        shape = len(data.views), init._n_features_out
        bank = torch.empty(shape, dtype=precision.dtype, device=device)
        self._start_bank(bank, init, data.views, continuing)
        config = engine.TrainConfig(
            view_weights=_used_weights(init),
            warmup_epochs=0 if continuing else round(self.warmup * self.max_iter),
            batch_size=int(min(self.batch_size, len(bank))),
            precision=precision,
            **{name: getattr(self, name) for name in TRAINING},
        )
        describe = partial(self._describe, data, init, networks, precision)
        with ProgressBar(self.max_iter, "fit", "epoch", bool(self.verbose)) as progress:

            def on_epoch(loss_curve: list[float]) -> bool:
                progress.update(len(loss_curve) - progress.done, f"loss={loss_curve[-1]:.4f}")
                return tasks.end(len(loss_curve) - 1, partial(describe, loss_curve))

            record = engine.train(
                data.views,
                bank,
                networks,
                config,
                generator,
                on_epoch=on_epoch,
                on_epoch_begin=tasks.begin,
                resume_from=resumable.state,
                save_state=resumable.save,
            )
        try:
            fitted = describe(record.loss_curve)
        except KeyboardInterrupt:  # the state so far is not thrown away for that
            record.interrupted = True
            fitted = describe(record.loss_curve)
        if self.warm_start:
            fitted["embedding_"] = bank.cpu().numpy()  # not a copy: it may be large
        if not record.interrupted:
            resumable.finish()
        return fitted, record

    def _fit_init(self, data: FitInput, seed: int) -> Fusion:
        """Fit the fusion that `init` names, on a sample of the rows."""
        fusion = make_fusion(
            self.init,
            views=self.views,
            view_weights=self.view_weights,
            missing_views=self.missing_views,
            normalize=True,
            n_components=self.n_components,
            random_state=seed,
        )
        sample = data.sample(max(INIT_ROWS, 2 * (self.n_components or 0)))
        fusion._fit_read(sample, resolve_weights(self.view_weights, sample))
        if self.n_components not in (None, fusion._n_features_out):
            raise ValueError(
                f"n_components={self.n_components} does not go with init={self.init!r}, whose "
                f"width is {fusion._n_features_out}."
            )
        return fusion

    def _continued_init(self, data: FitInput) -> Fusion:
        """Check that `warm_start` can continue, and return the last start with today's weights."""
        if not hasattr(self, "coefs_"):
            raise ValueError(
                "The checkpoint belongs to a fit with warm_start=True that continued another one: "
                "load the learner that it continued first."
            )
        if not hasattr(self, "embedding_"):
            warnings.warn(
                "warm_start=True continues with the weights, but the representations start anew: "
                "the last fit was without warm_start and did not keep embedding_.",
                stacklevel=5,
            )
        names = data.attributes["view_names_"].tolist()
        if names != self.view_names_.tolist():
            raise ValueError(
                "warm_start=True continues with the same views, but they were "
                f"{self.view_names_.tolist()} before, {names} now."
            )
        if type(make_fusion(self.init)) is not type(self.init_):
            raise ValueError(
                f"warm_start=True continues from the same start, but init={self.init!r} was "
                f"{self.init_!r} before."
            )
        init = copy(self.init_)
        if not isinstance(self.view_weights, str):
            init.view_weights_ = data.attributes["view_weights_"]
        return init

    def _continued_networks(self, widths: list[list[int]], *backend: Any) -> engine.Networks:
        """Return the last MLPs, if they have these widths."""
        networks = self._fitted_networks(*backend)
        fitted = [[v[0].shape[0], *(w.shape[1] for w in v)] for v in networks.weights]
        if fitted != widths or self.n_components not in (None, widths[0][0]):
            raise ValueError(
                "warm_start=True continues with MLPs of the same widths, but views, view_weights, "
                f"n_components, n_layers or hidden_size changed: {fitted} before, {widths} now."
            )
        return networks

    def _start_bank(self, bank: torch.Tensor, init: Fusion, views: Views, continuing: bool) -> None:
        """Fill the memory bank with its start, or with the last one of as many samples."""
        if continuing and len(getattr(self, "embedding_", ())) == len(bank):
            bank.copy_(engine.share_memory(self.embedding_))
            if self.non_negative:
                bank.clamp_min_(0)
            return
        for rows in row_slices(len(bank), START_ROWS):
            bank[rows] = torch.from_numpy(self._start(init, views.take(rows)))

    def _start(self, init: Fusion, views: Views) -> NDArray[Any]:
        """Start of the representations of some samples, rows of length 1."""
        rows = init._transform_views(views)
        if self.non_negative:
            rows = np.maximum(rows, 0)
            rows = unit_rows(rows, row_norms(rows))
        return rows

    def _describe(
        self,
        data: FitInput,
        init: Fusion,
        networks: engine.Networks,
        precision: engine.Precision,
        loss_curve: list[float],
    ) -> dict[str, Any]:
        """Return all fitted attributes but the memory bank."""
        device = networks.layers[0][0].weight.device
        n_rows = min(CURVATURE_ROWS, len(data.views))
        sample = data.views.take(np.linspace(0, len(data.views) - 1, n_rows).astype(np.intp))
        with engine.isolated_torch_mode(device):
            inverse_curvature = engine.find_inverse_curvature(
                networks,
                engine.to_tensor(self._start(init, sample), precision, device),
                torch.from_numpy(np.stack(sample.norms) > 0).to(device),
                _used_weights(init),
            )
            coefs, intercepts = networks.to_arrays()
        activations = ["relu" if relu else "identity" for relu in networks.relu_output]
        return data.attributes | {
            "init_": init,
            "view_weights_": init.view_weights_,
            "view_shares_": init.view_shares_,
            "coefs_": data.spread(coefs, []),
            "intercepts_": data.spread(intercepts, []),
            "output_activations_": data.spread(activations, None),
            "inverse_curvature_": engine.to_numpy(inverse_curvature),
            "step_size_": self.representation_learning_rate,
            "loss_curve_": list(loss_curve),
            "n_iter_": len(loss_curve),
            "loss_": loss_curve[-1] if loss_curve else np.nan,
            "device_": str(device),
        }

    def transform(
        self, X: Any, *, out: str | os.PathLike[str] | None = None, resume: bool = False
    ) -> Any:
        """Find the representations of samples, with the MLPs frozen.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), list, tuple, dict or frame
            The same views as in `fit`, in any form that `fit` takes. If both have names for
            their views, these are found by name, and everything else in `X` is ignored. An array
            or frame of Dask is transformed block by block, when the result is computed. A
            ``pyarrow.dataset.Dataset`` of files is read some rows at a time.
        out : str or path-like, default=None
            Name of a file in NumPy's format to write the result to, which is then never whole in
            memory. An existing file is replaced, unless `X` is read from it.
        resume : bool, default=False
            Whether to continue an interrupted call. Such a call keeps its rows in a file named
            `out` plus ``.partial``, and the next call continues from there. It recomputes some of
            these rows and raises an error if they differ. Only with `out`.

        Returns
        -------
        representations : ndarray of shape (n_samples, n_components)
            float64 if `X` is float64, else float32. Rows of length 1 if `normalize`. With `out`,
            a read-only memory map of the file.

        Raises
        ------
        ValueError, TypeError
            If `X` does not have the views of `fit`, or is not finite, or is read from the file
            `out`, or if the steps of Adam are so large that a result is not finite; or if `resume`
            finds rows of another call.
        RuntimeError
            If another process writes the file to be resumed.
        """
        return self._transform(X, out, resume)

    def _transform_views(self, views: Views, on_rows: OnRows | None = None) -> NDArray[Any]:
        """Find the representations of views that are read."""
        return self._infer(views, self.transform_max_iter, self.normalize, on_rows)

    def _infer(
        self, views: Views, max_iter: int, normalize: bool, on_rows: OnRows | None = None
    ) -> NDArray[Any]:
        """Find the representations of views that are read, after some steps."""
        engine.check_not_forked()
        device = engine.resolve_device(self.device)
        precision = engine.resolve_precision(self.precision, views.dtype, device)
        out = np.empty((len(views), self._n_features_out), dtype=views.dtype)

        def start(rows: slice) -> NDArray[Any]:
            return self._start(self.init_, views.take(rows))

        n_done, total = 0, 0.0

        def on_chunk(n_rows: int, loss: float) -> None:
            nonlocal n_done, total
            n_done, total = n_done + n_rows, total + n_rows * loss
            if on_rows is not None:
                on_rows(n_rows, f"loss={total / n_done:.4f}")
            for x in views.arrays:
                release_pages(x)

        with engine.isolated_torch_mode(device):
            curvature = None
            if self.transform_solver == "newton":
                curvature = engine.to_tensor(self.inverse_curvature_, precision, device)
            config = engine.InferConfig(
                view_weights=_used_weights(self.init_),
                max_iter=max_iter,
                step_size=self.step_size_,
                inverse_curvature=curvature,
                non_negative=self.non_negative,
                normalize=normalize,
                precision=precision,
            )
            networks = self._fitted_networks(precision, device)
            if engine.infer(views, start, networks, config, out, on_chunk):
                warnings.warn(
                    f"Memory ran out in transform on device={str(device)!r}, which continued with "
                    "fewer samples at a time.",
                    RuntimeWarning,
                    stacklevel=7,  # the caller, past the wrapper of set_output
                )
        return out

    def _recover(self, X: Any, max_iter: int | None) -> NDArray[np.float64]:
        """Cosines of the views with the features that the MLPs recover, (n_samples, n_views).

        The representations are those after `max_iter` steps; None takes `transform_max_iter`.
        NaN if a view has no weight, or a sample has nothing in it.
        """
        views = self._read_to_transform(X)
        steps = self.transform_max_iter if max_iter is None else max_iter
        rows = self._infer(views, steps, normalize=False)
        device = engine.resolve_device(self.device)
        precision = engine.resolve_precision(self.precision, views.dtype, device)
        cosines = np.full((len(rows), len(self.view_weights_)), np.nan)
        with engine.isolated_torch_mode(device):
            networks = self._fitted_networks(precision, device)
            used = self.view_weights_ > 0
            cosines[:, used] = engine.recovered_cosines(views, rows, networks, precision)
        return cosines

    def _fitted_networks(
        self,
        precision: engine.Precision,
        device: torch.device,
        relu_output: Sequence[bool] | None = None,
    ) -> engine.Networks:
        if relu_output is None:
            relu_output = [x == "relu" for x in self.output_activations_ if x is not None]
        coefs, intercepts = (
            [layers for layers in part if layers] for part in (self.coefs_, self.intercepts_)
        )
        return engine.Networks.from_arrays(coefs, intercepts, relu_output, precision, device)

    @property
    def _n_features_out(self) -> int:
        return int(self.init_._n_features_out)


def _used_weights(init: Fusion) -> list[float]:
    """Weights of the views that have one."""
    weights: list[float] = init.view_weights_[init.view_weights_ > 0].tolist()
    return weights
