"""An autoencoder of the views, which only the study needs."""

from itertools import pairwise
from numbers import Real

import numpy as np
import torch
from baselines import COUNT, NORMALIZED, Baseline, concatenate
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from torch import nn

from sknnens.fusion._base import multiply_rows
from sknnens.fusion._pca import choose_width


class ConcatenationAutoencoder(Baseline):
    """The narrow layer of an autoencoder of the L2-normalized features side by side.

    An encoder maps the concatenation to the representation; one MLP per view recovers the view
    from it, with the learner's cosine loss. It runs on the CPU.
    """

    _parameter_constraints = NORMALIZED | {
        "n_components": [*COUNT, None],
        "n_layers": COUNT,
        "hidden_size": [*COUNT, None],
        "max_iter": COUNT,
        "batch_size": COUNT,
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        views=None,
        *,
        n_components=None,
        n_layers=2,
        hidden_size=None,
        max_iter=50,
        batch_size=256,
        learning_rate=1e-3,
        view_weights=None,
        normalize=True,
        random_state=None,
    ):
        self.views = views
        self.n_components = n_components
        self.n_layers = n_layers
        self.hidden_size = hidden_size
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.view_weights = view_weights
        self.normalize = normalize
        self.random_state = random_state

    def _fit_views(self, data, weights):
        sizes, units = data.views.sizes, data.views.units()
        width = choose_width(self.n_components, len(data.views), sizes)
        hidden = [self.hidden_size or width] * (self.n_layers - 1)
        stacked = concatenate(units, weights.tolist())
        mean = stacked.mean(axis=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(check_random_state(self.random_state).randint(2**31 - 1))
            encoder = make_mlp([sum(sizes), *hidden, width])
            decoders = [
                make_mlp([width, *hidden, size], relu_output=relu)
                for size, relu in zip(sizes, data.non_negative, strict=True)
            ]
            networks = nn.ModuleList([encoder, *decoders]).to(torch.from_numpy(stacked).dtype)
            inputs, targets = torch.from_numpy(stacked - mean), [torch.from_numpy(x) for x in units]
            loss_curve = self._train(networks, inputs, targets, weights.tolist())
        if not np.isfinite(loss_curve[-1]):
            raise ValueError(
                f"The loss is no longer finite. Lower learning_rate (now {self.learning_rate:g})."
            )
        layers = [layer for layer in encoder if isinstance(layer, nn.Linear)]
        return {
            "mean_": mean,
            "coefs_": [layer.weight.detach().numpy().T for layer in layers],
            "intercepts_": [layer.bias.detach().numpy() for layer in layers],
            "loss_curve_": loss_curve,
            "n_iter_": len(loss_curve),
        }

    def _train(self, networks, inputs, targets, weights):
        """Change the networks in place; return the mean loss of each epoch."""
        optimizer = torch.optim.Adam(networks.parameters(), lr=self.learning_rate)
        encoder, *decoders = networks
        loss_curve = []
        for _ in range(self.max_iter):
            total = 0.0
            for rows in torch.randperm(len(inputs)).split(self.batch_size):
                encoded = encoder(inputs[rows])
                loss = 0.0
                for decoder, target, weight in zip(decoders, targets, weights, strict=True):
                    cosine = torch.cosine_similarity(decoder(encoded), target[rows])
                    # a zero row takes no part
                    loss = loss + weight * ((1 - cosine) * target[rows].any(dim=1)).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
            loss_curve.append(total / len(inputs))
        return loss_curve

    def _map(self, views, weights):
        dtype = views.dtype
        rows = concatenate(views.units(), weights) - self.mean_.astype(dtype)
        for i, (coef, intercept) in enumerate(zip(self.coefs_, self.intercepts_, strict=True)):
            rows = rows if i == 0 else np.maximum(rows, 0)
            rows = multiply_rows(rows, coef.astype(dtype)) + intercept.astype(dtype)
        return rows

    @property
    def _n_features_out(self):
        return len(self.intercepts_[-1])


def make_mlp(sizes, relu_output=False):
    """Linear layers with ReLU between them, and after the last one if asked for."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*(layers if relu_output else layers[:-1]))
