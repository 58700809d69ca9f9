"""The small MLPs, one per view, from a representation to the view's features."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray

from sknnens._engine._device import Precision, share_memory, to_numpy


@dataclass(frozen=True)
class Linear:
    """One layer of the MLPs of `g` adjacent views.

    Attributes
    ----------
    weight : Tensor of shape (g, n_in, n_out)
    bias : Tensor of shape (g, 1, n_out)
    views : slice
        The views.
    relu : bool
        Whether a ReLU follows.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    views: slice
    relu: bool

    def to(self, dtype: torch.dtype) -> "Linear":
        """Convert to another type."""
        return Linear(self.weight.to(dtype), self.bias.to(dtype), self.views, self.relu)


class Networks:
    """One MLP per view, all of one depth and one hidden width.

    The same layer of several views is one tensor, so that it takes one product.

    Parameters
    ----------
    weights, biases : sequence of sequence of Tensor
        For each view, a matrix of shape (n_in, n_out) and a vector per layer. They are copied.
    relu_output : sequence of bool
        Whether the last layer of each view's MLP is followed by a ReLU; the others always are.

    Attributes
    ----------
    layers : list of list of Linear
        One `Linear` per layer, of all views; if the views' widths or last ReLUs differ, the last
        layer has one per view.
    """

    def __init__(
        self,
        weights: Sequence[Sequence[torch.Tensor]],
        biases: Sequence[Sequence[torch.Tensor]],
        relu_output: Sequence[bool],
    ):
        self.relu_output = list(relu_output)
        n_layers = len(weights[0])
        every = slice(0, len(weights))
        alike = len({w[-1].shape for w in weights}) == len(set(relu_output)) == 1
        each = [every] if alike else [slice(v, v + 1) for v in range(len(weights))]

        def stack(layer: int, views: slice, relu: bool) -> Linear:
            weight = torch.stack([w[layer] for w in weights[views]])
            bias = torch.stack([b[layer][None] for b in biases[views]])
            return Linear(weight, bias, views, relu)

        self.layers = [[stack(layer, every, True)] for layer in range(n_layers - 1)]
        self.layers += [[stack(n_layers - 1, v, relu_output[v.start]) for v in each]]

    @property
    def n_components(self) -> int:
        """Width of a representation."""
        return self.layers[0][0].weight.shape[1]

    @property
    def weights(self) -> list[list[torch.Tensor]]:
        """For each view, one matrix per layer, of shape (n_in, n_out); parts of `layers`."""
        layers = [[w for part in layer for w in part.weight] for layer in self.layers]
        return [list(x) for x in zip(*layers, strict=True)]

    @property
    def biases(self) -> list[list[torch.Tensor]]:
        """For each view, one vector per layer, of shape (n_out,); parts of `layers`."""
        layers = [[b[0] for part in layer for b in part.bias] for layer in self.layers]
        return [list(x) for x in zip(*layers, strict=True)]

    @classmethod
    def from_arrays(
        cls,
        coefs: Sequence[Sequence[NDArray[Any]]],
        intercepts: Sequence[Sequence[NDArray[Any]]],
        relu_output: Sequence[bool],
        precision: Precision,
        device: torch.device,
    ) -> "Networks":
        """Copy fitted arrays, those of each view's layers, to a device."""

        def copy(views: Sequence[Sequence[NDArray[Any]]]) -> list[list[torch.Tensor]]:
            return [[share_memory(x).to(device, precision.dtype) for x in v] for v in views]

        return cls(copy(coefs), copy(intercepts), relu_output)  # which stacks copies

    def padded(self, multiple: int) -> "Networks":
        """Return equal networks whose widths are multiples of a number, filled up with zeros.

        An input that is filled up with zeros gives the output, filled up with zeros.
        """

        def pad(x: torch.Tensor) -> torch.Tensor:
            margins = [m for n in reversed(x.shape) for m in (0, -n % multiple)]
            return torch.nn.functional.pad(x, margins) if any(margins) else x

        weights, biases = (
            [[pad(x) for x in v] for v in part] for part in (self.weights, self.biases)
        )
        return Networks(weights, biases, self.relu_output)

    def to_arrays(self) -> tuple[list[list[NDArray[Any]]], list[list[NDArray[Any]]]]:
        """Copy weights and biases to arrays, for each view one per layer."""
        parts = self.weights, self.biases
        coefs, intercepts = ([[to_numpy(x) for x in v] for v in part] for part in parts)
        return coefs, intercepts

    def __call__(
        self, rows: torch.Tensor, precision: Precision | None = None
    ) -> list[torch.Tensor]:
        """Map representations of shape (n, d) to one (n, n_features_v) tensor per view."""
        outputs = Workspace(self, len(rows), precision or Precision(rows.dtype)).forward(rows)
        return [view for output in outputs for view in output]


class Workspace:
    """Forward and backward pass through all MLPs, with preallocated buffers for `n_rows` rows.

    If the networks move, their tensors are read anew at each call. `precision` is that of the
    products; the rest has the type of the networks. `on_grads` is called in `backward` once for
    each part of ``networks.layers``, with the number of rows, the layer, the place in it, and the
    gradients of the part's weight and bias, which the next call overwrites. It may change the part.
    None means that the networks do not change.
    """

    def __init__(
        self,
        networks: Networks,
        n_rows: int,
        precision: Precision,
        on_grads: Callable[[int, int, int, torch.Tensor, torch.Tensor], None] | None = None,
    ):
        self.networks = networks
        self.on_grads = on_grads
        self.dtype = torch.bfloat16 if precision.bfloat16_products else precision.dtype
        self._cast_networks()

        def buffers(layers: list[list[Linear]]) -> list[list[torch.Tensor]]:
            return [
                [x.weight.new_empty(len(x.weight), n_rows, x.weight.shape[2]) for x in layer]
                for layer in layers
            ]

        self.activations = buffers(self.layers)
        self.pulls = buffers(self.layers[:-1])  # gradients with respect to the activations
        first = networks.layers[0][0].weight
        self.row_grad = first.new_empty(n_rows, first.shape[1])
        if on_grads is not None:  # of one part at a time, so that it stays in the processor's cache
            parts = [part for layer in networks.layers for part in layer]
            self.weight_grad = first.new_empty(max(part.weight.numel() for part in parts))
            self.bias_grad = first.new_empty(max(part.bias.numel() for part in parts))

    def _cast_networks(self) -> None:
        self.layers = [[x.to(self.dtype) for x in layer] for layer in self.networks.layers]

    def forward(self, rows: torch.Tensor) -> list[torch.Tensor]:
        """Map representations of shape (n, d) to the views.

        Returns
        -------
        outputs : list of Tensor of shape (g, n, n_features_v)
            One for each `Linear` of the last layer. The next call may overwrite them.
        """
        if self.on_grads is not None and self.dtype != rows.dtype:
            self._cast_networks()
        self.rows = _cast(rows, self.dtype)
        n_rows = rows.shape[0]
        for layer, parts in enumerate(self.layers):
            for part, buffer in zip(parts, self.activations[layer], strict=True):
                out = first_rows(buffer, n_rows)
                _products(self._inputs(layer, part), part.weight, out, part.bias)
                if part.relu:
                    out.relu_()
        return [_cast(first_rows(x, n_rows), rows.dtype) for x in self.activations[-1]]

    def backward(
        self, output_grads: Sequence[torch.Tensor], *, rows_move: bool
    ) -> torch.Tensor | None:
        """Return the gradient of a sum over the rows of the last `forward`, if `rows_move`.

        `output_grads` are the gradients with respect to what `forward` returned, which may be
        overwritten. The next call may overwrite the result.
        """
        n_rows = self.rows.shape[0]
        pulls = [_cast(grad, self.dtype) for grad in output_grads]
        row_grad = None
        for layer in reversed(range(len(self.layers))):
            parts = self.layers[layer]
            for part, pull, active in zip(parts, pulls, self.activations[layer], strict=True):
                if part.relu:
                    active = first_rows(active, n_rows)
                    torch.ops.aten.threshold_backward.grad_input(pull, active, 0, grad_input=pull)
            below = first_rows(self.pulls[layer - 1][0], n_rows) if layer > 0 else None
            # before the weights may change
            if below is not None:
                for part, pull in zip(parts, pulls, strict=True):
                    _products(pull, part.weight.transpose(1, 2), below[part.views])
            elif rows_move:
                row_grad = self._row_grad(pulls)
            if self.on_grads is not None:
                for i, (part, pull) in enumerate(zip(parts, pulls, strict=True)):
                    weight_grad = self.weight_grad[: part.weight.numel()].view_as(part.weight)
                    bias_grad = self.bias_grad[: part.bias.numel()].view_as(part.bias)
                    _products(self._inputs(layer, part).transpose(1, 2), pull, weight_grad)
                    torch.sum(pull, dim=1, keepdim=True, dtype=bias_grad.dtype, out=bias_grad)
                    self.on_grads(n_rows, layer, i, weight_grad, bias_grad)
            pulls = [] if below is None else [below]
        return row_grad

    def _row_grad(self, pulls: Sequence[torch.Tensor]) -> torch.Tensor:
        """Sum over the views of the gradients that reach the rows."""
        row_grad = self.row_grad[: self.rows.shape[0]]
        views = [
            (view_pull, weight.T)
            for part, pull in zip(self.layers[0], pulls, strict=True)
            for view_pull, weight in zip(pull, part.weight, strict=True)
        ]
        for v, (view_pull, weight) in enumerate(views):
            if row_grad.dtype != self.dtype:
                product = view_pull @ weight
                row_grad.copy_(product) if v == 0 else row_grad.add_(product)
            elif v == 0:
                torch.mm(view_pull, weight, out=row_grad)
            else:
                row_grad.addmm_(view_pull, weight)
        return row_grad

    def _inputs(self, layer: int, part: Linear) -> torch.Tensor:
        """Return what some views' layer takes in, shape (g, n, n_in)."""
        if layer == 0:
            return self.rows.expand(part.weight.shape[0], -1, -1)
        below = first_rows(self.activations[layer - 1][0], self.rows.shape[0])
        return below if part.weight.shape[0] == below.shape[0] else below[part.views]


def _cast(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return x if x.dtype == dtype else x.to(dtype)


def first_rows(x: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return the first rows of a buffer of shape (g, n, ...), most often all of them."""
    return x if x.shape[1] == n_rows else x[:, :n_rows]


def _products(
    a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, bias: torch.Tensor | None = None
) -> None:
    """Write a batched product to a tensor that may have a wider type.

    The CPU's library gives each thread whole products of the batch. Products that cannot be
    shared out evenly are computed one by one, each by all threads.
    """
    if out.dtype != a.dtype:
        out.copy_(torch.bmm(a, b))
        return
    n_products = a.shape[0]
    n_odd = n_products % torch.get_num_threads() if a.device.type == "cpu" else 0
    if n_odd < n_products:
        even = [x[: n_products - n_odd] if n_odd else x for x in (a, b, out)]
        if bias is None:
            torch.bmm(even[0], even[1], out=even[2])
        else:
            torch.baddbmm(bias[: n_products - n_odd], even[0], even[1], out=even[2])
    for i in range(n_products - n_odd, n_products):
        if bias is None:
            torch.mm(a[i], b[i], out=out[i])
        else:
            torch.addmm(bias[i], a[i], b[i], out=out[i])


def layer_sizes(
    n_components: int, hidden_size: int | None, n_layers: int, view_sizes: Sequence[int]
) -> list[list[int]]:
    """Widths of each view's MLP, from the representation to the view, ``n_layers + 1`` of them.

    A `hidden_size` of None means `n_components`, as in the paper.
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

    The numbers are drawn on the CPU in float64, so that they do not depend on the device. `sizes`
    are the widths of each view's layers.
    """

    def draw(n_in: int, *shape: int) -> torch.Tensor:
        x = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu")
        return ((2 * x - 1) / math.sqrt(n_in)).to(device, dtype)

    weights, biases = [], []
    for widths in sizes:
        pairs = list(pairwise(widths))
        weights.append([draw(n_in, n_in, n_out) for n_in, n_out in pairs])
        biases.append([draw(n_in, n_out) for n_in, n_out in pairs])
    return Networks(weights, biases, relu_output)
