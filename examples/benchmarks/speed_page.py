"""Write the documentation's page on speed from the results of speed.py and solvers.py."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from speed import AXES, BASE, DIRECT_STEPS, LARGE, LOSS_EPOCHS, SIZES

ROOT = Path(__file__).resolve().parents[2]
# scripts of a folder import one another by name, which needs the folder on the path first
sys.path.insert(0, str(ROOT / "examples" / "paper"))

import solvers  # noqa: E402
from report import to_rst  # noqa: E402

PAGE = ROOT / "docs" / "speed.rst"
TEXT = """\
.. This page is written by examples/benchmarks/speed.py --page.

Speed
=====

Written by ``examples/benchmarks/speed.py``, which has the code of what is compared. The *direct
reading* is Algorithm 1 as a good PyTorch user writes it down: the memory bank an ``nn.Parameter``
under ``torch.optim.Adam``, one ``nn.Sequential`` per model. Sizes are samples x width x models,
batches have 256 rows, numbers are float32. Each measurement is in a process of its own, contestants
in turn. Repeats: {repeats}; where there are several, a number is the median, and in brackets are
the lowest and the highest. Read the ratios: the seconds are those of one machine,

    {machine}

Fit
---

Whole fits of {epochs} epochs, set-up included, until the training loss is as low as that of the
direct reading. Its dense Adam moves a row at every step, this package's only when the row is in the
batch; so ``representation_learning_rate`` is raised to the first of 3e-3, 1e-2 and 3e-2 at which
the loss is as low. *As printed* is Algorithm 1, which has no warm-up: the direct reading pays for
the whole bank at every step. With the paper's *warm-up*, here half of the epochs, it takes no
gradient of the bank in that half.

{whole_fits}

One step, in milliseconds: in the warm-up, and with the bank moving. The autoencoder is
scikit-learn's ``MLPRegressor`` on the concatenation, a yardstick that learns something else.

{steps}

The default start, :class:`~sknnens.fusion.NeighborhoodProjection`, which these fits replace by the
average: fitted to 10,000 samples at most. An epoch is one of ``fit`` at this size.

{start}

What the arithmetic allows: the share of the machine's own rate of matrix products that the useful
floating-point operations of a step reach. The rate is that of ``torch.mm`` at the same sizes into
tensors that are there, measured between the epochs.

{shares}

Transform
---------

Rows per second after a fit with the default settings, beside {direct_steps} steps of the direct
reading with the same MLPs. Mean losses are of 512 rows; one row takes the milliseconds of a
call, as a service makes it.

{transform}

Memory
------

An epoch of fit at {large} from a memory map, and a transform of the same rows from a memory map to
another (``transform(X, out=...)``), in MB above what the process had before. The pages of memory
maps come on top in fit, since rows are read in random order; the system drops them when it needs
the room.

{memory}

Scaling
-------

Seconds against each of the number of rows n, the width d, the numbers of models m and of layers,
from {base} and two layers: the slope is that of a line through the logarithms, 1 where twice as
much takes twice as long. In n that is an epoch of fit and its memory, and for transform, whose time
for each row does not change, the slope of a row's seconds.

{scaling}

GPU
---

{gpu}

Which solver finds the representations
--------------------------------------

``transform`` minimizes a small smooth loss for each row. Each candidate starts at the same place,
with the MLPs of a learner fitted with the default settings; the cost is counted in gradients, of
which the paper's inference takes 50 (``examples/benchmarks/solvers.py``). The default,
``transform_solver="newton"``, takes one matrix for all rows in place of each row's own second
derivatives, and a length per row from the curvature measured along its last step. Every row takes
{n_newton} steps. Accuracies are those of k-NN with k = 5 and of 1-NN with 5 labels per class, in
per cent, with 95 % intervals of the paired difference to the paper's solver. "Times as fast" is in
rows per second, with the same MLPs, beside the direct reading.

{solvers}

"way" is the share of the way from the loss at the start to the lowest that any candidate reached,
as a mean over the ensembles. Levenberg-Marquardt takes each row's own matrix, and is tried where
representations are narrow. A lower loss does not mean better neighbors if labels are few: the
solvers that go furthest lose there. The number of steps and the lengths were chosen on one split of
nine of these ensembles, with all views and with 40 % of them missing. The tables show that very
split: they describe the choice, and do not test it on other data.

.. image:: speed/solvers.png
   :alt: Mean loss against the number of gradients, one panel per ensemble

.. image:: speed/solvers_accuracy.png
   :alt: Accuracy at k = 5 against the number of gradients, one panel per ensemble
"""
NO_GPU = """\
Figures of a GPU are missing: none was at hand. ``python speed.py --device cuda`` measures the same
there, and a fit of 20 epochs of the size of ImageNet beside."""


def between(values: Any, digits: int = 1) -> str:
    """Median, and lowest and highest where there are several."""
    values = np.asarray(values, dtype=float)
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    shown = [f"{x:.{digits}f}" for x in (np.median(values), values.min(), values.max())]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def has(rows: pd.DataFrame, measurement: str, size: str) -> bool:
    """Whether there is such a measurement."""
    return bool(((rows["measurement"] == measurement) & (rows["size"] == size)).any())


def merged(rows: pd.DataFrame, size: str, *measurements: str) -> pd.DataFrame:
    """Numbers of several measurements of one size, a row a repeat, names before the numbers."""
    parts = []
    for name in measurements:
        found = rows[(rows["measurement"] == name) & (rows["size"] == size)]
        parts.append(found.set_index("repeat").dropna(axis=1).add_prefix(f"{name}."))
    return pd.concat(parts, axis=1)


def whole_fits(rows: pd.DataFrame, size: str) -> list[dict[str, str]]:
    """Whole fits to one loss, a row for each direct reading."""
    found = merged(rows, size, "fit_to_loss").rename(columns=lambda c: c.split(".")[1])
    table = []
    for title, name in (("as printed", "printed"), ("with warm-up", "warmup")):
        direct, seconds = found[f"{name}_direct_seconds"], found[f"{name}_seconds"]
        table.append(
            {
                "size": size,
                "direct reading": title,
                "times as fast": between(direct / seconds),
                "seconds": between(seconds),
                "direct": between(direct),
                "loss": between(found[f"{name}_loss"], 4),
                "direct's loss": between(found[f"{name}_direct_loss"], 4),
                "step": f"{found[f'{name}_row_step'].median():g}",
                "memory, MB": f"{found[f'{name}_private_mb'].median():.0f}",
            }
        )
    return table


def steps(rows: pd.DataFrame, size: str, phase: str) -> dict[str, str]:
    """Milliseconds of a step."""
    names = {
        "this package": "time_steps",
        "direct": "time_direct",
        "compiled": "time_compiled",
        "autoencoder": "time_autoencoder",
    }
    found = merged(rows, size, *names.values())
    ours = found[f"time_steps.{phase}_step"]
    row = {"size": size, "phase": phase}
    for title, name in names.items():
        column = f"{name}.{phase}_step"
        row[title] = between(found[column] * 1e3) if column in found else ""
    row["direct / ours"] = between(found[f"time_direct.{phase}_step"] / ours)
    row["compiled / ours"] = between(found[f"time_compiled.{phase}_step"] / ours)
    return row


def starts(rows: pd.DataFrame, size: str) -> dict[str, str]:
    """Cost of the default start."""
    found = merged(rows, size, "time_start").rename(columns=lambda c: c.split(".")[1])
    return {
        "size": size,
        "epochs of fit": between(found["seconds"] / found["epoch_seconds"]),
        "seconds": between(found["seconds"]),
        "memory, MB": f"{found['private_mb'].median():.0f}",
        "its samples, MB": f"{found['sample_mb'].median():.0f}",
    }


def shares(rows: pd.DataFrame, size: str) -> dict[str, str]:
    """Share of the rate of the products, in each phase and over a fit that is half of each."""
    found = merged(rows, size, "time_steps").rename(columns=lambda c: c.split(".")[1])
    products = found["warmup_share"] * found["warmup_step"] + (
        found["moving_share"] * found["moving_step"]
    )
    whole = products / (found["warmup_step"] + found["moving_step"])
    return {
        "size": size,
        "GFLOP/s of torch.mm": between(found["moving_gflops"], 0),
        "share, warm-up": between(100 * found["warmup_share"], 0) + " %",
        "share, moving": between(100 * found["moving_share"], 0) + " %",
        "share, both": between(100 * whole, 0) + " %",
    }


def transforms(rows: pd.DataFrame, size: str) -> dict[str, str]:
    """Rows a second."""
    names = [n for n in ("time_transform", "time_one_row") if has(rows, n, size)]
    found = merged(rows, size, *names)
    found = found.rename(columns=lambda c: c.split(".")[1])
    return {
        "size": size,
        "times as fast": between(found["rows_a_second"] / found["direct_rows_a_second"]),
        "rows a second": between(found["rows_a_second"], 0),
        "direct": between(found["direct_rows_a_second"], 0),
        "loss": f"{found['loss'].median():.4f}",
        "direct's loss": f"{found['direct_loss'].median():.4f}",
        "one row, ms": between(found["milliseconds"]) if "milliseconds" in found else "",
    }


def memory(row: pd.Series) -> list[dict[str, str]]:
    """Memory of fit and transform from a memory map."""
    return [
        {
            "what": what,
            "of its own": f"{row[f'{name}_private_mb']:.0f}",
            "with pages of the maps": f"{row[f'{name}_resident_mb']:.0f}",
            "bank and moments": f"{row['bank_and_moments_mb']:.0f}" if name == "fit" else "",
            "seconds": f"{row['fit_seconds' if name == 'fit' else 'transform_seconds']:.1f}",
        }
        for what, name in (("fit, one epoch", "fit"), ("transform", "transform"))
    ]


def slopes(row: pd.Series) -> list[dict[str, str]]:
    """Slopes of logarithms."""
    table = []
    for axis, values in AXES.items():
        found = {"axis": axis, "from": f"{values[0]:,}", "to": f"{values[-1]:,}"}
        for title, key in (("fit", "fit"), ("transform, a row", "transform")):
            seconds = [row[f"{axis}={value} {key}"] for value in values]
            found[f"{title}: slope"] = f"{np.polyfit(np.log(values), np.log(seconds), 1)[0]:.2f}"
            ends = [f"{seconds[i]:.2g}" for i in (0, -1)]
            found[f"{title}: seconds"] = " to ".join(ends)
        ends = [f"{row[f'{axis}={values[i]} private_mb']:.0f}" for i in (0, -1)]
        table.append(found | {"fit: MB": " to ".join(ends)})
    return table


def one(rows: pd.DataFrame, name: str) -> pd.Series:
    """The one row of a measurement."""
    return rows[rows["measurement"] == name].iloc[-1]


def gpu_text(results: dict[str, Any]) -> str:
    """Figures of every GPU in the results, or that there are none."""
    parts = []
    for device, found in results.items():
        if device == "CPU":
            continue
        rows = pd.DataFrame(found["rows"])
        sizes = list(rows.loc[rows["measurement"] == "time_steps", "size"].unique())
        text = f"{device}.\n\n" + to_rst(pd.DataFrame([shares(rows, size) for size in sizes]))
        if "fit_imagenet" in set(rows["measurement"]):
            row = one(rows, "fit_imagenet")
            text += f"\n\nTwenty epochs at {row['size']}: {row['seconds']:.0f} seconds."
        parts.append(text)
    return "\n\n".join(parts) or NO_GPU


def describe(machine: dict[str, Any], rows: pd.DataFrame) -> str:
    """Return the machine, and what was measured on another processor."""
    text = ", ".join(
        f"{value} {name}" if name == "threads" else f"{name} {value}"
        for name, value in machine.items()
    )
    if "processor" in rows:
        elsewhere = rows[rows["processor"].notna() & (rows["processor"] != machine["processor"])]
        for processor, found in elsewhere.groupby("processor"):
            text += f"; {', '.join(sorted(set(found['measurement'])))}: {processor}"
    return text


def write_page(path: Path, page: Path = PAGE) -> None:
    """Write the page, and the figures of the solvers."""
    results = json.loads(path.read_text())
    machine, rows = results["CPU"]["machine"], pd.DataFrame(results["CPU"]["rows"])
    sizes = [size for size in SIZES if size in set(rows["size"])]
    phases = [(size, phase) for size in sizes for phase in ("warmup", "moving")]
    solved = pd.read_csv(solvers.RESULTS)
    solvers.draw_all(solved)
    tables = {
        "whole_fits": [row for size in sizes for row in whole_fits(rows, size)],
        "steps": [steps(rows, size, phase) for size, phase in phases],
        "start": [starts(rows, size) for size in sizes],
        "shares": [shares(rows, size) for size in sizes],
        "transform": [transforms(rows, size) for size in sizes],
        "memory": memory(one(rows, "memory_of_maps")),
        "scaling": slopes(one(rows, "scaling")),
    }
    text = TEXT.format(
        machine=describe(machine, rows),
        repeats=rows["repeat"].max() + 1,
        epochs=LOSS_EPOCHS,
        direct_steps=DIRECT_STEPS,
        n_newton=solvers.DEFAULT[1],
        large=LARGE,
        base=BASE,
        gpu=gpu_text(results),
        solvers=solvers.tables(solved),
        **{name: to_rst(pd.DataFrame(table)) for name, table in tables.items()},
    )
    page.write_text(text)
