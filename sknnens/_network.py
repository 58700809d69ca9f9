"""The small MLPs, one a view, from a representation to the view's features."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import torch


@dataclass
class Networks:
    """One MLP a view.

    Attributes
    ----------
    weights : list of list of Tensor of shape (n_in, n_out)
        For each view, one matrix a layer.
    biases : list of list of Tensor of shape (n_out,)
        For each view, one vector a layer.
    relu_output : list of bool
        Whether the last layer of each view's MLP is followed by a ReLU; the others always are.
    """

    weights: list[list[torch.Tensor]]
    biases: list[list[torch.Tensor]]
    relu_output: list[bool]

    def __call__(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Map representations of shape (n, d) to one (n, n_features_v) tensor a view."""
        return [self._forward(view, rows) for view in range(len(self.weights))]

    def _forward(self, view: int, x: torch.Tensor) -> torch.Tensor:
        last = len(self.weights[view]) - 1
        for layer, (w, b) in enumerate(zip(self.weights[view], self.biases[view], strict=True)):
            x = torch.addmm(b, x, w)
            if layer < last or self.relu_output[view]:
                x = torch.relu(x)
        return x

    def parameters(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """All weight matrices, and all bias vectors."""
        return list(chain(*self.weights)), list(chain(*self.biases))

    def require_grad(self, on: bool) -> None:
        """Let gradients flow into the weights, or not."""
        for group in self.parameters():
            for parameter in group:
                parameter.requires_grad_(on)


def layer_sizes(
    n_components: int, hidden_size: int | None, n_layers: int, view_sizes: Sequence[int]
) -> list[list[int]]:
    """Widths of each view's MLP, from the representation to the view.

    Parameters
    ----------
    n_components : int
        Width of the representation.
    hidden_size : int or None
        Width between; None means `n_components`, as in the paper.
    n_layers : int
        Number of weight matrices.
    view_sizes : sequence of int
        Width of each view.

    Returns
    -------
    sizes : list of list of int
        ``n_layers + 1`` widths a view.
    """
    hidden = n_components if hidden_size is None else hidden_size
    return [[n_components] + [hidden] * (n_layers - 1) + [size] for size in view_sizes]


def init_networks(
    sizes: Sequence[Sequence[int]],
    relu_output: Sequence[bool],
    *,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device,
) -> Networks:
    """Draw weights and biases uniformly from +-1 / sqrt(n_in), as ``torch.nn.Linear`` does.

    The numbers are drawn on the CPU in float64, so that they do not depend on the device.

    Parameters
    ----------
    sizes : sequence of sequence of int
        Widths of each view's layers.
    relu_output : sequence of bool
        One a view.
    generator : torch.Generator
        On the CPU.
    dtype, device
        Of the result.

    Returns
    -------
    networks : Networks
    """

    def draw(n_in: int, *shape: int) -> torch.Tensor:
        x = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
        return ((2 * x - 1) / math.sqrt(n_in)).to(device, dtype)

    weights, biases = [], []
    for widths in sizes:
        pairs = list(pairwise(widths))
        weights.append([draw(n_in, n_in, n_out) for n_in, n_out in pairs])
        biases.append([draw(n_in, n_out) for n_in, n_out in pairs])
    return Networks(weights, biases, list(relu_output))
