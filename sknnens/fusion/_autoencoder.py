"""A network that maps the views to a representation from which they are recovered."""

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval

from sknnens._engine._device import Precision, own_modes, resolve_precision, to_numpy, to_tensor
from sknnens._engine._fork import survives_fork
from sknnens._engine._networks import Networks, Pass, init_networks, layer_sizes
from sknnens._engine._optim import NetworkAdam
from sknnens._engine._rows import shuffled_batches
from sknnens._engine._train import Step
from sknnens.fusion._base import WeightedBaseline, map_chunks
from sknnens.fusion._initialization import choose_width, mean_columns, stack_units

CPU = torch.device("cpu")


class ConcatenationAutoencoder(WeightedBaseline):
    """The narrow layer of an autoencoder of the L2-normalised features side by side.

    An encoder of `n_layers` layers maps the concatenation to the representation; from there one
    MLP a view, of the size of the learner's, recovers the view, with the learner's cosine loss.
    What the learner finds by gradient descent for each sample, the encoder finds in one pass.
    It runs on the CPU.

    Parameters
    ----------
    views : sequence of int, or mapping, default=None
        As in :class:`~sknnens.EnsembleRepresentationLearner`.
    n_components : int, default=None
        Width of the representation. None takes the width of the widest view, or the number of
        samples where that is smaller.
    n_layers : int, default=2
        Layers of the encoder and of each decoder, with ReLU between them.
    hidden_size : int, default=None
        Width between layers. None takes `n_components`.
    max_iter : int, default=50
        Epochs.
    batch_size : int, default=256
        Rows a step.
    learning_rate : float, default=1e-3
        Step size of Adam.
    view_weights : array-like of shape (n_views,), or mapping from name to weight, default=None
        Weights of the views in the concatenation and in the loss. None weighs all alike.
    missing_views : {"error", "mask"}, default="error"
        With ``"mask"``, a view that a sample lacks is put at its mean over the samples of `fit`
        on the way in, and has no part in the loss.
    normalize : bool, default=True
        Whether the rows have length 1.
    random_state : int, RandomState instance or None, default=None
        For the networks' first weights and the order of the samples.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean of the weighted, normalised features, which is subtracted on the way in.
    coefs_ : list of ndarray of shape (n_in, n_out)
        Weights of the encoder, one matrix a layer.
    intercepts_ : list of ndarray of shape (n_out,)
        Biases of the encoder.
    loss_curve_ : list of float
        Mean loss of a sample in each epoch.
    n_iter_ : int
        Number of epochs.
    view_sizes_ : list of int
        Width of each view.
    view_names_ : ndarray of shape (n_views,)
        Name of each view.
    view_weights_ : ndarray of shape (n_views,)
        Weight of each view, the largest 1.
    n_features_in_ : int
        Number of columns of the stacked matrix.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of those columns, where `X` has names.

    References
    ----------
    .. [1] G. E. Hinton, R. R. Salakhutdinov, "Reducing the Dimensionality of Data with Neural
       Networks", Science 313, 2006.

    Examples
    --------
    >>> from sknnens.fusion import ConcatenationAutoencoder
    >>> from sknnens.datasets import load_fashion_mnist_features
    >>> data = load_fashion_mnist_features(["simclr_0", "simclr_1"])
    >>> autoencoder = ConcatenationAutoencoder(views=data.view_sizes, max_iter=2, random_state=0)
    >>> autoencoder.fit(data.X_train).transform(data.X_test).shape
    (3000, 128)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedBaseline._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "n_layers": [Interval(Integral, 1, None, closed="left")],
        "hidden_size": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        views: Sequence[int] | Mapping[Any, Any] | None = None,
        *,
        n_components: int | None = None,
        n_layers: int = 2,
        hidden_size: int | None = None,
        max_iter: int = 50,
        batch_size: int = 256,
        learning_rate: float = 1e-3,
        view_weights: ArrayLike | Mapping[str, float] | None = None,
        missing_views: str = "error",
        normalize: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.views = views
        self.n_components = n_components
        self.n_layers = n_layers
        self.hidden_size = hidden_size
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.view_weights = view_weights
        self.missing_views = missing_views
        self.normalize = normalize
        self.random_state = random_state

    @survives_fork
    def _learn(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> dict[str, Any]:
        sizes = [x.shape[1] for x in units]
        width = choose_width(self.n_components, len(present), sizes)
        mean = mean_columns(units, weights.tolist(), present)
        precision = resolve_precision("auto", units[0].dtype, CPU)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        generator = torch.Generator(device="cpu").manual_seed(seed)
        draw = partial(init_networks, generator=generator, dtype=precision.dtype, device=CPU)
        hidden = width if self.hidden_size is None else self.hidden_size
        encoder_sizes = [sum(sizes)] + [hidden] * (self.n_layers - 1) + [width]
        encoder = draw([encoder_sizes], [False])
        relu_output = [bool(x.min() >= 0) for x in units]
        decoders = draw(layer_sizes(width, self.hidden_size, self.n_layers, sizes), relu_output)
        inputs = torch.from_numpy(self._center(units, present, weights, mean))
        targets = [torch.from_numpy(x) for x in units]  # zero where a sample lacks the view
        with own_modes(CPU):
            loss_curve = self._train(encoder, decoders, inputs, targets, weights, generator)
        if not np.isfinite(loss_curve[-1]):
            raise ValueError(
                f"The loss is no longer finite. Lower learning_rate (now {self.learning_rate:g})."
            )
        return {
            "mean_": mean,
            "coefs_": [to_numpy(w) for w in encoder.weights[0]],
            "intercepts_": [to_numpy(b) for b in encoder.biases[0]],
            "loss_curve_": loss_curve,
            "n_iter_": len(loss_curve),
            "_n_features_out": width,
        }

    def _train(
        self,
        encoder: Networks,
        decoders: Networks,
        inputs: torch.Tensor,
        targets: list[torch.Tensor],
        weights: NDArray[np.float64],
        generator: torch.Generator,
    ) -> list[float]:
        """Change the networks in place; return the mean loss of each epoch."""
        precision = Precision(inputs.dtype)
        move = [NetworkAdam(x, self.learning_rate, 0.0).step for x in (encoder, decoders)]
        batch_size = min(self.batch_size, len(inputs))
        encode = Pass(encoder, batch_size, precision, move[0])
        decode = Step(decoders, batch_size, weights.tolist(), precision, move[1])
        scales = [target.any(dim=1).to(target.dtype) for target in targets]
        loss_curve = []
        for _ in range(self.max_iter):
            total = 0.0
            for index in shuffled_batches(len(inputs), batch_size, generator):
                for v, target in enumerate(targets):
                    torch.index_select(target, 0, index, out=decode.targets[v][: len(index)])
                    decode.scales[v][: len(index)] = scales[v][index]
                (rows,) = encode.forward(inputs[index])
                losses, row_grad = decode(rows[0], rows_move=True)
                assert row_grad is not None
                encode.backward([row_grad[None]], rows_move=False)
                total += float(losses.sum())
            loss_curve.append(total / len(inputs))
        return loss_curve

    @staticmethod
    def _center(
        units: list[NDArray[Any]],
        present: NDArray[np.bool_],
        weights: NDArray[np.float64],
        mean: NDArray[np.float64],
    ) -> NDArray[Any]:
        dtype = units[0].dtype
        stacked = stack_units(units, weights.tolist(), present, mean, dtype)
        stacked -= mean.astype(dtype)
        return stacked

    @survives_fork
    def _map(
        self, units: list[NDArray[Any]], present: NDArray[np.bool_], weights: NDArray[np.float64]
    ) -> NDArray[Any]:
        precision = resolve_precision("auto", units[0].dtype, CPU)
        encoder = Networks(
            [[to_tensor(w, precision, CPU) for w in self.coefs_]],
            [[to_tensor(b, precision, CPU) for b in self.intercepts_]],
            [False],
        )

        def encode(rows: NDArray[Any]) -> NDArray[Any]:
            return to_numpy(encoder(torch.from_numpy(rows))[0])

        with own_modes(CPU):
            return map_chunks(encode, self._center(units, present, weights, self.mean_))
