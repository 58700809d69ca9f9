"""The algorithm on torch: train the MLPs and the memory bank, and fit new rows."""

from sknnens._engine._device import (
    PRECISIONS,
    Precision,
    check_not_forked,
    describe_devices,
    is_out_of_memory,
    isolated_torch_mode,
    resolve_device,
    resolve_precision,
    share_memory,
    to_numpy,
    to_tensor,
)
from sknnens._engine._infer import InferConfig, infer, recovered_cosines
from sknnens._engine._networks import Networks, init_networks, layer_sizes
from sknnens._engine._newton import find_inverse_curvature
from sknnens._engine._train import TrainConfig, TrainRecord, train

__all__ = [
    "PRECISIONS",
    "InferConfig",
    "Networks",
    "Precision",
    "TrainConfig",
    "TrainRecord",
    "check_not_forked",
    "describe_devices",
    "find_inverse_curvature",
    "infer",
    "init_networks",
    "is_out_of_memory",
    "isolated_torch_mode",
    "layer_sizes",
    "recovered_cosines",
    "resolve_device",
    "resolve_precision",
    "share_memory",
    "to_numpy",
    "to_tensor",
    "train",
]
