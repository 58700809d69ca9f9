"""
Speed of fit and transform
==========================

Times this package beside the direct reading of Algorithm 1, in one run on one machine.

    python speed.py                           # what the documentation's page shows, on the CPU
    python speed.py --sizes 2000x64x3         # n samples x width x models
    python speed.py --device cuda             # on a GPU, and there the size of ImageNet too
    python speed.py --page                    # write the page from the results

Every measurement runs in a process of its own, several times, contestants in turn, and its numbers
go to a results file with the machine's description. Ratios are what is to be read: seconds are
those of one machine. Nothing else should run on it meanwhile.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sknnens import EnsembleRepresentationLearner
from sknnens._engine import Precision, TrainConfig, init_networks, isolated_torch_mode, train
from sknnens._views import Views, row_norms
from sknnens.fusion import Average, NeighborhoodProjection

HERE = Path(__file__).resolve().parent
BATCH = 256
STEP = 3e-4  # of Adam, the default
SIZES = ("60000x256x4", "20000x768x3", "10000x2048x4")
LARGE = "1000000x128x2"  # fitted for one epoch, from a memory map
IMAGENET = "1281167x2048x4"  # on a GPU alone
TIMED_FLOPS, TIMED_EPOCHS = 2e11, 6  # an epoch, and how many of them, for the seconds of a step
LOSS_EPOCHS = 4  # of whole fits
ROW_STEPS = (3e-3, 1e-2, 3e-2)  # tried for them
DIRECT_STEPS = 50  # of the direct reading's transform


@dataclass(frozen=True)
class Size:
    """Rows, width of a model and of the representation, number of models."""

    n: int
    d: int
    m: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Read a size such as 60000x256x4."""
        return cls(*map(int, text.split("x")))

    def __str__(self) -> str:
        return f"{self.n}x{self.d}x{self.m}"

    def step_flops(self, *, rows_move: bool) -> int:
        """Floating-point operations of the products that one step of fit cannot do without."""
        one = 2 * BATCH * self.d**2 * self.m
        return one * (2 + 2 + 1 + rows_move)  # forward, weights' gradients, hidden's, rows'


def planted(size: Size, device: str = "cpu", seed: int = 0) -> list[np.ndarray]:
    """Features with a structure to find: ReLU networks of a common latent vector, and noise."""
    generator = torch.Generator(device).manual_seed(seed)
    width = max(4, size.d // 8)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=device)

    mixes = [draw(width, size.d) / width**0.5 for _ in range(size.m)]
    views = [np.empty((size.n, size.d), dtype=np.float32) for _ in mixes]
    for begin in range(0, size.n, 65_536):
        latent = draw(min(65_536, size.n - begin), width)
        for view, mix in zip(views, mixes, strict=True):
            x = (latent @ mix + 0.3 * draw(len(latent), size.d)).relu_()
            view[begin : begin + len(latent)] = x.cpu().numpy()
    return views


class DirectReading:
    """Algorithm 1 as a good PyTorch user writes it down.

    The memory bank is an ``nn.Parameter`` under ``torch.optim.Adam``, each model has an
    ``nn.Sequential``, the loss is a sum of cosine similarities. In a warm-up, the bank takes no
    gradient.
    """

    def __init__(
        self,
        views: list[np.ndarray],
        device: str,
        *,
        compiled: bool = False,
        start: np.ndarray | None = None,
    ):
        torch.manual_seed(0)  # as users do; every measurement has a process of its own
        self.device = device
        self.views = self.normalized(views)
        self.bank = nn.Parameter(self.start(self.views, start))
        d = self.bank.shape[1]
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(d, d), nn.ReLU(), nn.Linear(d, v.shape[1]), nn.ReLU())
            for v in self.views
        ).to(device)
        self.mlp_adam = torch.optim.Adam(self.mlps.parameters(), lr=STEP)
        self.bank_adam = torch.optim.Adam([self.bank], lr=STEP)
        self.losses = torch.compile(self._losses) if compiled else self._losses

    def normalized(self, views: list[np.ndarray]) -> list[torch.Tensor]:
        """Rows of length 1 on the device."""
        return [nn.functional.normalize(torch.from_numpy(v).to(self.device)) for v in views]

    def start(self, views: list[torch.Tensor], given: np.ndarray | None) -> torch.Tensor:
        """Rows to start from: the mean of the views, unless these are given."""
        if given is None:
            return nn.functional.normalize(sum(views))
        return torch.from_numpy(given.copy()).to(self.device)

    def _losses(self, rows: torch.Tensor, targets: list[torch.Tensor]) -> torch.Tensor:
        cosines = [
            nn.functional.cosine_similarity(mlp(rows), target)
            for mlp, target in zip(self.mlps, targets, strict=True)
        ]
        return sum(1 - cosine for cosine in cosines)

    def epoch(self, *, rows_move: bool) -> Iterator[torch.Tensor]:
        """Yield the mean loss of each step."""
        for index in torch.randperm(len(self.bank), device=self.device).split(BATCH):
            rows = self.bank[index] if rows_move else self.bank.detach()[index]
            loss = self.losses(rows, [view[index] for view in self.views]).mean()
            self.mlp_adam.zero_grad()
            self.bank_adam.zero_grad()
            loss.backward()
            self.mlp_adam.step()
            if rows_move:
                self.bank_adam.step()
            yield loss.detach()

    def fit(self, epochs: int, warmup: float) -> float:
        """Train, a share of it as warm-up; return the mean loss in the last epoch."""
        for epoch in range(epochs):
            losses = list(self.epoch(rows_move=epoch >= warmup * epochs))
        return float(torch.stack(losses).mean())

    def take_networks(self, learner: EnsembleRepresentationLearner) -> None:
        """Copy the MLPs of a fitted learner, of two layers each."""
        networks = zip(
            self.mlps,
            learner.coefs_,
            learner.intercepts_,
            learner.output_activations_,
            strict=True,
        )
        for mlp, weights, biases, activation in networks:
            for layer, weight, bias in zip(mlp[::2], weights, biases, strict=True):
                layer.weight.data = torch.from_numpy(weight.T).to(self.device)
                layer.bias.data = torch.from_numpy(bias).to(self.device)
            if activation == "identity":
                del mlp[-1]

    def transform(self, views: list[np.ndarray], start: np.ndarray | None = None) -> torch.Tensor:
        """Take the steps of the inference phase, `BATCH` rows at a time, with frozen MLPs."""
        self.mlps.requires_grad_(False)
        results = []
        for begin in range(0, len(views[0]), BATCH):
            part = slice(begin, begin + BATCH)
            targets = self.normalized([v[part] for v in views])
            rows = nn.Parameter(self.start(targets, None if start is None else start[part]))
            adam = torch.optim.Adam([rows], lr=STEP)
            for _ in range(DIRECT_STEPS):
                adam.zero_grad()
                self.losses(rows, targets).sum().backward()
                adam.step()
            results.append(rows.detach())
        return torch.cat(results)

    def mean_loss(self, rows: torch.Tensor, views: list[np.ndarray]) -> float:
        """Mean loss of representations."""
        with torch.no_grad():
            return float(self._losses(rows, self.normalized(views)).mean())


class Memory:
    """Largest memory of this process while a block runs, above that at its start, in MB.

    Parameters
    ----------
    interval : float, default=0.005
        Seconds between looks, which take time from what runs.

    Attributes
    ----------
    private_mb : float
        What no file backs.
    resident_mb : float
        With the pages of memory maps, which the system may drop at any time.
    """

    def __init__(self, interval: float = 0.005):
        self.interval = interval

    def __enter__(self) -> "Memory":
        self.running = True
        self.begin = self.peak = self._now()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.running = False
        self.peak = tuple(map(max, self.peak, self._now()))  # in case it never had its turn
        self.thread.join()
        self.private_mb, self.resident_mb = (
            (peak - begin) / 1e6 for peak, begin in zip(self.peak, self.begin, strict=True)
        )

    def _watch(self) -> None:
        while self.running:
            self.peak = tuple(map(max, self.peak, self._now()))
            time.sleep(self.interval)

    @staticmethod
    def _now() -> tuple[int, int]:
        status = Path("/proc/self/status")
        if not status.exists():  # only Linux tells
            return 0, 0
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return tuple(int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS"))


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def timed(run: Callable[[], Any], device: str) -> float:
    """Seconds of a call."""
    synchronize(device)
    begin = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - begin


def learner(size: Size, device: str, **params: Any) -> EnsembleRepresentationLearner:
    """Make a learner of these views side by side, with the start that the direct reading has."""
    views = [size.d] * size.m
    params = {"init": "average", "view_weights": None, "random_state": 0} | params
    return EnsembleRepresentationLearner(views, device=device, **params)


# ---- measurements: each from a size and a device to named numbers


def time_steps(size: Size, device: str) -> dict[str, float]:
    """Seconds of a step of fit, and of its products alone by ``torch.mm``, epochs in turn."""
    n_steps = max(8, round(TIMED_FLOPS / size.step_flops(rows_move=True)))
    size = replace(size, n=min(size.n, n_steps * BATCH))
    n_steps = -(-size.n // BATCH)
    views = planted(size, device)
    found = {}
    for phase, rows_move in (("warmup", False), ("moving", True)):
        products = product_step(size, device, rows_move=rows_move)
        ends, alone = [], []

        def on_epoch(
            curve: Any, products: Any = products, alone: Any = alone, ends: Any = ends
        ) -> None:
            synchronize(device)
            ends.append(time.perf_counter())
            alone.append(timed(lambda: [products() for _ in range(n_steps)], device) / n_steps)
            ends.append(time.perf_counter())

        run_epochs(size, views, device, rows_move=rows_move, on_epoch=on_epoch)
        ours = [(b - a) / n_steps for a, b in zip(ends[1::2], ends[2::2], strict=False)]
        found[f"{phase}_step"] = float(np.median(ours))
        found[f"{phase}_products"] = float(np.median(alone))
        # products before and after each epoch, since the machine may not be as fast all the time
        shares = [(a + b) / 2 / c for a, b, c in zip(alone, alone[1:], ours, strict=False)]
        found[f"{phase}_share"] = float(np.median(shares))
        found[f"{phase}_gflops"] = size.step_flops(rows_move=rows_move) / np.median(alone) / 1e9
    return found


def product_step(size: Size, device: str, *, rows_move: bool) -> Callable[[], None]:
    """Return the products of one step of fit, into tensors that are there."""
    b, d = BATCH, size.d
    rows, pulls = torch.rand(2, b, d, device=device)
    weights = [torch.rand(d, d, device=device) for _ in range(2 * size.m)]
    out, grads = torch.empty(b, d, device=device), [torch.empty_like(w) for w in weights]

    def step() -> None:
        for i, weight in enumerate(weights):
            torch.mm(rows, weight, out=out)
            torch.mm(rows.T, pulls, out=grads[i])
            if i % 2 or rows_move:
                torch.mm(pulls, weight.T, out=out)

    return step


def run_epochs(
    size: Size, views: list[np.ndarray], device: str, *, rows_move: bool, on_epoch: Any
) -> None:
    """Train for `TIMED_EPOCHS` without what a fit does before and after."""
    place, precision = torch.device(device), Precision(torch.float32)
    read = Views(views, [row_norms(x) for x in views])
    start = Average().fit(views)._transform_views(read)
    config = TrainConfig(
        view_weights=[1.0] * size.m,
        max_iter=TIMED_EPOCHS,
        warmup_epochs=0 if rows_move else TIMED_EPOCHS,
        batch_size=BATCH,
        learning_rate=STEP,
        representation_learning_rate=STEP,
        alpha=0.0,
        non_negative=False,
        tol=None,
        n_iter_no_change=np.inf,
        precision=precision,
    )
    with isolated_torch_mode(place):
        networks = init_networks(
            [[size.d] * 3] * size.m,
            [True] * size.m,
            generator=torch.Generator().manual_seed(0),
            dtype=torch.float32,
            device=place,
        )
        bank = torch.from_numpy(start).to(place)
        generator = torch.Generator().manual_seed(0)
        train(read, bank, networks, config, generator, on_epoch=on_epoch)


def time_direct(size: Size, device: str, *, compiled: bool = False) -> dict[str, float]:
    """Seconds of a step of the direct reading, in both phases, and its memory."""
    views = planted(size, device)
    found = {}
    with Memory() as memory:
        model = DirectReading(views, device, compiled=compiled)
        for phase, rows_move in (("warmup", False), ("moving", True)):
            steps = model.epoch(rows_move=rows_move)
            n_timed = min(12, -(-size.n // BATCH))
            seconds = [timed(lambda steps=steps: next(steps), device) for _ in range(n_timed)]
            found[f"{phase}_step"] = float(np.median(seconds[2:]))
    return found | {"private_mb": memory.private_mb}


def time_compiled(size: Size, device: str) -> dict[str, float]:
    """Seconds of a step of the direct reading under ``torch.compile``."""
    return time_direct(size, device, compiled=True)


def time_autoencoder(size: Size, device: str) -> dict[str, float]:
    """Seconds of a step of scikit-learn's MLP as an autoencoder of the concatenation."""
    from sklearn.neural_network import MLPRegressor

    n_steps = 10
    stacked = np.concatenate(planted(replace(size, n=BATCH * n_steps)), axis=1)
    network = MLPRegressor(hidden_layer_sizes=(size.d,), batch_size=BATCH, random_state=0)
    network.partial_fit(stacked[:BATCH], stacked[:BATCH])
    return {"moving_step": timed(lambda: network.partial_fit(stacked, stacked), device) / n_steps}


def time_start(size: Size, device: str) -> dict[str, float]:
    """Seconds and memory of fitting the default start, and seconds of an epoch of fit.

    The epoch, of moving rows, is that of few steps times their number.
    """
    views = planted(size, device)
    with Memory() as memory:
        seconds = timed(lambda: NeighborhoodProjection().fit(views), device)
    few = replace(size, n=min(size.n, 16 * BATCH))
    ends: list[float] = []

    def on_epoch(curve: Any) -> None:
        synchronize(device)
        ends.append(time.perf_counter())

    run_epochs(few, [view[: few.n] for view in views], device, rows_move=True, on_epoch=on_epoch)
    return {
        "seconds": seconds,
        "epoch_seconds": float(np.median(np.diff(ends))) * size.n / few.n,
        "private_mb": memory.private_mb,
        "sample_mb": 4 * min(size.n, 10_000) * size.d * size.m / 1e6,
    }


def fit_to_loss(size: Size, device: str) -> dict[str, float]:
    """Seconds of whole fits to the training loss at which the direct reading ends.

    Both run the same epochs: as Algorithm 1 is printed, without warm-up; and half of them warm-up,
    in which the direct reading takes no gradient of the bank. Its dense Adam moves a row at every
    step, also where it is not in the batch, so it moves rows further; here their step is raised
    until the loss is as low. Seconds are those of the one fit that is.
    """
    views = planted(size, device)
    found = {}
    for name, warmup in (("printed", 0.0), ("warmup", 0.5)):
        losses: list[float] = []
        seconds = timed(
            lambda w=warmup, losses=losses: losses.append(
                DirectReading(views, device).fit(LOSS_EPOCHS, w)
            ),
            device,
        )
        found |= {f"{name}_direct_seconds": seconds, f"{name}_direct_loss": losses[0]}
        for step in ROW_STEPS:
            params = {"warmup": warmup, "representation_learning_rate": step}
            ours = learner(size, device, max_iter=LOSS_EPOCHS, **params)
            with Memory(interval=0.25) as memory:
                seconds = timed(lambda ours=ours: ours.fit(views), device)
            numbers = {"loss": ours.loss_, "row_step": step, "private_mb": memory.private_mb}
            if ours.loss_ <= losses[0]:
                break
        numbers["seconds"] = seconds
        found |= {f"{name}_{key}": number for key, number in numbers.items()}
    return found


def time_transform(size: Size, device: str) -> dict[str, float]:
    """Rows a second of transform and of the direct reading's, and their losses."""
    size = replace(size, n=min(size.n, 2**21 // size.d))
    views = planted(size, device)
    return compare_transforms(learner(size, device).fit(views), views, device)


def compare_transforms(
    ours: EnsembleRepresentationLearner, views: list[np.ndarray], device: str
) -> dict[str, float]:
    """Rows a second of transform, and of the direct reading's with the same MLPs and start."""
    few = [view[: 2 * BATCH] for view in views]
    start = copy(ours).set_params(normalize=False, transform_max_iter=0).transform(few)
    direct = DirectReading(few, device, start=start)
    direct.take_networks(ours)
    rows = copy(ours).set_params(normalize=False).transform(few)
    rows = torch.from_numpy(rows).to(device)
    for _ in range(2):  # the second call tries out what the others then know
        ours.transform(views)
    seconds, direct_seconds, found = [], [], []
    for _ in range(3):
        seconds.append(timed(lambda: ours.transform(views), device) / len(views[0]))
        taken = timed(lambda: found.append(direct.transform(few, start)), device)
        direct_seconds.append(taken / len(few[0]))
    return {
        "rows_a_second": 1 / float(np.median(seconds)),
        "direct_rows_a_second": 1 / float(np.median(direct_seconds)),
        "loss": direct.mean_loss(rows, few),
        "direct_loss": direct.mean_loss(found[-1], few),
    }


def time_one_row(size: Size, device: str) -> dict[str, float]:
    """Milliseconds of the transform of one row, with all checks, as a service would call it."""
    X = np.concatenate(planted(replace(size, n=1000), device), axis=1)
    ours = learner(size, device, max_iter=1).fit(X)
    ours.transform(X[:1])
    seconds = [timed(lambda i=i: ours.transform(X[i : i + 1]), device) for i in range(300)]
    low, middle, high = np.percentile(seconds, [5, 50, 95]) * 1e3
    return {"milliseconds": middle, "milliseconds_5": low, "milliseconds_95": high}


def memory_of_maps(size: Size, device: str) -> dict[str, float]:
    """Memory of an epoch of fit from a memory map, and of transform from one to another."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "views.npy"
        stacked = np.lib.format.open_memmap(path, "w+", np.float32, (size.n, size.d * size.m))
        for v, view in enumerate(planted(size, device)):
            stacked[:, v * size.d : (v + 1) * size.d] = view
        stacked.flush()
        del stacked, view
        X = np.load(path, mmap_mode="r")
        learner(size, device, max_iter=1).fit(X[:5000]).transform(X[:2000])  # what is loaded once
        ours = learner(size, device, max_iter=1, warmup=0.0)
        with Memory() as fitting:
            seconds = timed(lambda: ours.fit(X), device)
        with Memory() as transforming:
            transform_seconds = timed(lambda: ours.transform(X, out=f"{folder}/out.npy"), device)
    return {
        "bank_and_moments_mb": 3 * 4 * size.n * size.d / 1e6,
        "fit_private_mb": fitting.private_mb,
        "fit_resident_mb": fitting.resident_mb,
        "transform_private_mb": transforming.private_mb,
        "transform_resident_mb": transforming.resident_mb,
        "fit_seconds": seconds,
        "transform_seconds": transform_seconds,
    }


def fit_imagenet(size: Size, device: str) -> dict[str, float]:
    """Seconds of a fit of 20 epochs, set-up included."""
    views = planted(size, device)
    ours = learner(size, device, max_iter=20, batch_size=4096)
    return {"seconds": timed(lambda: ours.fit(views), device), "loss": ours.loss_}


def scaling(size: Size, device: str) -> dict[str, float]:
    """Seconds of an epoch of fit and of a transform, and memory, with each of n, d, m, depth."""
    found = {}
    for axis, values in AXES.items():
        for value in values:
            at = replace(size, **{axis: value}) if axis != "depth" else size
            params = {"n_layers": value} if axis == "depth" else {}
            X = np.concatenate(planted(at, device), axis=1)
            epochs = max(1, round(2 * BASE.n / at.n))
            ours = learner(at, device, max_iter=epochs, warmup=0.0, **params)
            with Memory() as memory:
                found[f"{axis}={value} fit"] = timed(lambda o=ours, X=X: o.fit(X), device) / epochs
            found[f"{axis}={value} private_mb"] = memory.private_mb
            few = X[: min(len(X), 4096)]
            ours.transform(few)
            seconds = [timed(lambda o=ours, X=few: o.transform(X), device) for _ in range(3)]
            found[f"{axis}={value} transform"] = float(np.median(seconds)) / len(few)
    return found


BASE = Size(20_000, 256, 2)
AXES = {
    "n": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    "d": (64, 128, 256, 512, 1024, 2048),
    "m": (1, 2, 4, 8),
    "depth": (1, 2, 3, 6),
}
EVERY_SIZE = (
    *(time_steps, time_direct, time_compiled, time_autoencoder),
    *(time_start, fit_to_loss, time_transform),
)
MEASUREMENTS = {
    m.__name__: m for m in (*EVERY_SIZE, time_one_row, memory_of_maps, fit_imagenet, scaling)
}


def plan(sizes: list[Size], device: str, repeats: int) -> Iterator[tuple[str, Size, int]]:
    """Yield what to measure, contestants in turn."""
    for repeat in range(repeats):
        for size in sizes:
            for measurement in EVERY_SIZE:
                yield measurement.__name__, size, repeat
        yield "time_one_row", min(sizes, key=lambda size: size.d), repeat
    if [str(size) for size in sizes] == list(SIZES):
        yield "memory_of_maps", Size.parse(LARGE), 0
        yield "scaling", BASE, 0
        if device != "cpu":
            for measurement in ("time_steps", "fit_imagenet"):
                yield measurement, Size.parse(IMAGENET), 0


def describe_machine(device: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if "model name" in x), model)
    return {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU",
        "processor": model,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def measure(name: str, size: Size, device: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--sizes", str(size), "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    if done.returncode:
        raise RuntimeError(f"{name} at {size} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("--sizes", nargs="+", type=Size.parse, default=[*map(Size.parse, SIZES)])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE / "speed.json")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, help="these alone")
    parser.add_argument("--one", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    parser.add_argument("--page", action="store_true", help="write the documentation's page")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(MEASUREMENTS[args.one](args.sizes[0], args.device)))
        return
    if args.page:
        from speed_page import write_page

        write_page(args.results)
        return
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    machine = describe_machine(args.device)
    rows = results.setdefault(machine["device"], {"machine": machine, "rows": []})
    if not args.only:
        rows["machine"] = machine
    for name, size, repeat in plan(args.sizes, args.device, args.repeats):
        if args.only and name not in args.only:
            continue
        key = {"measurement": name, "size": str(size), "repeat": repeat}
        row = key | {"processor": machine["processor"]} | measure(name, size, args.device)
        print(json.dumps(row), flush=True)
        rows["rows"] = [x for x in rows["rows"] if not key.items() <= x.items()] + [row]
        args.results.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
