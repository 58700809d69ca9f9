"""Write the documentation's pages on speed from the results of speed.py and solvers.py."""

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from speed import AXES, BASE, DIRECT_STEPS, LARGE, LOSS_EPOCHS, SIZES

ROOT = Path(__file__).resolve().parents[2]
# scripts of a folder import one another by name, which needs the folder on the path first
sys.path.insert(0, str(ROOT / "examples" / "paper"))

import solvers  # noqa: E402
from rst import to_rst  # noqa: E402

PAGE = ROOT / "docs" / "speed.rst"
TEXT = """\
.. This page is written by examples/benchmarks/speed.py --page.

Speed
=====

Times of ``fit`` and ``transform`` next to a *direct reading* of the paper: Algorithm 1 as a good
PyTorch user would write it, with the memory bank as an ``nn.Parameter`` under ``torch.optim.Adam``
and one ``nn.Sequential`` per model. :doc:`speed/solvers` compares solvers for ``transform``.

- Sizes are samples x width x models. Batches have 256 rows, numbers are float32.
- Each measurement runs in its own process, alternating between implementations. Repeats: {repeats}.
  Several values are given as median [lowest, highest].
- Seconds depend on the machine; ratios transfer better. {machine}.
- ``examples/benchmarks/speed.py`` has the code and measures everything again.

Fit
---

Whole fits of {epochs} epochs, including setup, until the training loss is as low as with the
direct reading.

{whole_fits}

- *As printed* is Algorithm 1, without warm-up. The direct reading pays for the whole memory bank at
  every step.
- *With warm-up*, as in the paper, half of the epochs need no gradient of the bank.
- The dense Adam of the direct reading moves all rows at every step. This package moves a row only
  when it is in the batch, so ``representation_learning_rate`` is raised to the first of 3e-3, 1e-2
  and 3e-2 that reaches the loss.

.. dropdown:: Losses and memory of these fits

{losses}

One step
~~~~~~~~

Milliseconds per step in the warm-up (the bank is fixed) and after it (the bank moves). The
autoencoder is scikit-learn's ``MLPRegressor`` on the concatenation. It learns something else and
is a reference point only.

{steps}

{ratios}

Initialization
~~~~~~~~~~~~~~

The fits above are initialized with the average of the views. This table adds the default
initialization, :class:`~sknnens.fusion.NeighborhoodProjection`, fitted to at most 10,000 samples.
The second column is its time in epochs of ``fit`` at this size.

{start}

Share of the peak rate
~~~~~~~~~~~~~~~~~~~~~~

The useful floating-point operations of a step, as a share of the machine's rate of matrix products.
The rate is measured with ``torch.mm`` at the same sizes between the epochs.

{shares}

Transform
---------

Rows per second after a fit with default settings, next to {direct_steps} steps of the direct
reading with the same MLPs.

{transform}

Mean losses of 512 rows, and the time of a call with one row:

{transform_losses}

Memory
------

One epoch of ``fit`` at {large} from a memory map, and ``transform(X, out=...)`` of the same rows
from one memory map to another. The numbers are MB above the memory before the call. In ``fit``,
pages of memory maps add to this, because rows are read in random order. The system frees them when
it needs memory.

{memory}

Scaling
-------

Time against the number of rows n, the width d, the number of models m and the number of layers,
around {base} and two layers. A slope of 1 means that twice the size takes twice the time.

One epoch of ``fit``:

{scaling_fit}

One row of ``transform``:

{scaling_transform}

GPU
---

{gpu}

.. toctree::
    :hidden:

    speed/solvers
"""
SOLVERS = """\
.. This page is written by examples/benchmarks/speed.py --page.

Solvers for transform
=====================

``transform`` minimizes a small smooth loss per row. This page compares solvers for it
(``examples/benchmarks/solvers.py``).

- All solvers start at the same point, with the MLPs of a learner with default settings. Their cost
  is counted in gradients. The paper uses {n_paper} steps of Adam.
- The default, ``transform_solver="newton"``, uses one matrix for all rows instead of the second
  derivatives of each row. The step length per row follows from the curvature along its last step.
  Every row takes {n_newton} steps.
- The number of steps and the step lengths were chosen on one split of nine of these ensembles, with
  all views and with 40 % of them missing. The tables show the same split, so they describe the
  choice and do not test it on other data.

The default on each ensemble
----------------------------

Mean loss, and rows per second relative to the direct reading with the same MLPs:

{losses}

Accuracy in percent of k-NN with k = 5 and of 1-NN with 5 labels per class. The difference to the
paper's solver is paired, with a 95 % interval.

{accuracies}

All solvers
-----------

Means over ensembles. *Progress* is the decrease of the loss relative to the best candidate. A lower
loss does not mean better neighbors if labels are few: the solvers with the lowest loss lose there.
Levenberg-Marquardt uses the matrix of each row and is tried on narrow representations only.

.. image:: solvers.png
   :alt: Mean loss against the number of gradients, one panel per ensemble

.. image:: solvers_accuracy.png
   :alt: Accuracy at k = 5 against the number of gradients, one panel per ensemble

.. dropdown:: Cost and progress of each solver

{progress}

.. dropdown:: Accuracy of each solver

{solver_accuracies}
"""
MEASUREMENTS = {
    "time_one_row": "transform of one row",
    "time_start": "initialization",
    "time_transform": "transform",
}
NO_GPU = """\
GPU times are not measured yet. ``python speed.py --device cuda`` measures
them, with a fit of 20 epochs at the size of ImageNet."""


def between(values: Any, digits: int = 1) -> str:
    """Median, with lowest and highest if they differ."""
    values = np.asarray(values, dtype=float)
    shown = [f"{x:.{digits}f}" for x in (np.median(values), values.min(), values.max())]
    return shown[0] if len(set(shown)) == 1 else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def as_text(size: str) -> str:
    """A size with spaces, at which a line can break."""
    return " x ".join(f"{int(number):,}" for number in size.split("x"))


def has(rows: pd.DataFrame, measurement: str, size: str) -> bool:
    """Whether there is such a measurement."""
    return bool(((rows["measurement"] == measurement) & (rows["size"] == size)).any())


def merged(rows: pd.DataFrame, size: str, *measurements: str) -> pd.DataFrame:
    """Numbers of several measurements of one size, one row per repeat, names before the numbers."""
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
                "size": as_text(size),
                "direct reading": title,
                "times as fast": between(direct / seconds),
                "seconds": between(seconds),
                "direct, s": between(direct),
                "loss": between(found[f"{name}_loss"], 4),
                "direct": between(found[f"{name}_direct_loss"], 4),
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
    row = {"size": as_text(size), "phase": {"warmup": "warm-up", "moving": "bank moves"}[phase]}
    for title, name in names.items():
        column = f"{name}.{phase}_step"
        row[title] = between(found[column] * 1e3) if column in found else ""
    row["direct / package"] = between(found[f"time_direct.{phase}_step"] / ours)
    row["compiled / package"] = between(found[f"time_compiled.{phase}_step"] / ours)
    return row


def starts(rows: pd.DataFrame, size: str) -> dict[str, str]:
    """Cost of the default start."""
    found = merged(rows, size, "time_start").rename(columns=lambda c: c.split(".")[1])
    return {
        "size": as_text(size),
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
        "size": as_text(size),
        "GFLOP/s": between(found["moving_gflops"], 0),
        "warm-up": between(100 * found["warmup_share"], 0) + " %",
        "bank moves": between(100 * found["moving_share"], 0) + " %",
        "both": between(100 * whole, 0) + " %",
    }


def transforms(rows: pd.DataFrame, size: str) -> dict[str, str]:
    """Rows per second."""
    names = [n for n in ("time_transform", "time_one_row") if has(rows, n, size)]
    found = merged(rows, size, *names)
    found = found.rename(columns=lambda c: c.split(".")[1])
    return {
        "size": as_text(size),
        "times as fast": between(found["rows_a_second"] / found["direct_rows_a_second"]),
        "rows per second": between(found["rows_a_second"], 0),
        "direct": between(found["direct_rows_a_second"], 0),
        "loss": f"{found['loss'].median():.4f}",
        "direct loss": f"{found['direct_loss'].median():.4f}",
        "one row, ms": between(found["milliseconds"]) if "milliseconds" in found else "",
    }


def memory(row: pd.Series) -> list[dict[str, str]]:
    """Memory of fit and transform from a memory map."""
    return [
        {
            "what": what,
            "own": f"{row[f'{name}_private_mb']:.0f}",
            "with pages": f"{row[f'{name}_resident_mb']:.0f}",
            "bank and moments": f"{row['bank_and_moments_mb']:.0f}" if name == "fit" else "",
            "seconds": f"{row['fit_seconds' if name == 'fit' else 'transform_seconds']:.1f}",
        }
        for what, name in (("fit, one epoch", "fit"), ("transform", "transform"))
    ]


def slopes(row: pd.Series, key: str) -> list[dict[str, str]]:
    """Slopes of logarithms, of one epoch of fit or of one row of transform."""
    table = []
    for axis, values in AXES.items():
        seconds = [row[f"{axis}={value} {key}"] for value in values]
        found = {
            "axis": axis,
            "range": f"{values[0]:,} to {values[-1]:,}",
            "slope": f"{np.polyfit(np.log(values), np.log(seconds), 1)[0]:.2f}",
            "seconds": " to ".join(f"{seconds[i]:.2g}" for i in (0, -1)),
        }
        if key == "fit":
            ends = [f"{row[f'{axis}={values[i]} private_mb']:.0f}" for i in (0, -1)]
            found["MB"] = " to ".join(ends)
        table.append(found)
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
    text = "Machine: " + ", ".join(
        f"{value} {name}" if name == "threads" else f"{name} {value}"
        for name, value in machine.items()
    )
    if "processor" in rows:
        elsewhere = rows[rows["processor"].notna() & (rows["processor"] != machine["processor"])]
        for processor, found in elsewhere.groupby("processor"):
            names = sorted(MEASUREMENTS.get(x, x) for x in set(found["measurement"]))
            text += f"; on {processor}: {', '.join(names)}"
    return text


def write_page(path: Path, page: Path = PAGE) -> None:
    """Write the page, and the page of the solvers with its figures."""
    results = json.loads(path.read_text())
    machine, rows = results["CPU"]["machine"], pd.DataFrame(results["CPU"]["rows"])
    sizes = [size for size in SIZES if size in set(rows["size"])]
    phases = [(size, phase) for size in sizes for phase in ("warmup", "moving")]
    scaling = one(rows, "scaling")
    fits = pd.DataFrame([row for size in sizes for row in whole_fits(rows, size)])
    per_step = pd.DataFrame([steps(rows, size, phase) for size, phase in phases])
    transformed = pd.DataFrame([transforms(rows, size) for size in sizes])
    tables = {
        "whole_fits": fits.iloc[:, :5],
        "losses": fits.iloc[:, [0, 1, *range(5, 9)]],
        "steps": per_step.iloc[:, :6],
        "ratios": per_step.iloc[:, [0, 1, 6, 7]],
        "start": pd.DataFrame([starts(rows, size) for size in sizes]),
        "shares": pd.DataFrame([shares(rows, size) for size in sizes]),
        "transform": transformed.iloc[:, :4],
        "transform_losses": transformed.iloc[:, [0, *range(4, 7)]],
        "memory": pd.DataFrame(memory(one(rows, "memory_of_maps"))),
        "scaling_fit": pd.DataFrame(slopes(scaling, "fit")),
        "scaling_transform": pd.DataFrame(slopes(scaling, "transform")),
    }
    shown = {name: to_rst(table) for name, table in tables.items()}
    shown["losses"] = textwrap.indent(shown["losses"], "    ")
    text = TEXT.format(
        machine=describe(machine, rows),
        repeats=rows["repeat"].max() + 1,
        epochs=LOSS_EPOCHS,
        direct_steps=DIRECT_STEPS,
        large=as_text(str(LARGE)),
        base=as_text(str(BASE)),
        gpu=gpu_text(results),
        **shown,
    )
    page.write_text(text, encoding="utf-8")
    solved = pd.read_csv(solvers.RESULTS)
    solvers.draw_all(solved)
    below = page.parent / "speed"
    below.mkdir(exist_ok=True)
    (below / "solvers.rst").write_text(solvers_page(solved), encoding="utf-8")


def solvers_page(solved: pd.DataFrame) -> str:
    """Text of the page of the solvers."""
    means = solvers.over_splits(solved)
    ensembles, every = solvers.table_of_ensembles(means), solvers.table_of_solvers(means)
    ensembles = ensembles.rename(columns=lambda name: name.removeprefix("loss: "))
    every = every.rename(columns={"way": "progress", "evaluations": "gradients"})
    every = every.rename(columns=lambda name: name.replace(": over Adam", " over Adam"))
    labels = list(ensembles.columns[1:4])
    formats = dict.fromkeys(labels, ".4f") | {"progress": ".3f"}
    formats |= {name: "+.2f" if "over" in name else ".2f" for name in every.columns[5:]}
    return SOLVERS.format(
        n_paper=solvers.REFERENCE[1],
        n_newton=solvers.DEFAULT[1],
        losses=to_rst(ensembles[["ensemble", *labels, "times as fast"]], formats),
        accuracies="\n\n".join(
            to_rst(paired(ensembles, title), title=title) for title in solvers.PAIRED.values()
        ),
        progress=textwrap.indent(to_rst(every.iloc[:, :5], formats), "    "),
        solver_accuracies=textwrap.indent(
            to_rst(every.iloc[:, [0, 1, *range(5, 9)]], formats), "    "
        ),
    )


def paired(ensembles: pd.DataFrame, title: str) -> pd.DataFrame:
    """The default beside the paper's solver on each ensemble, under one protocol."""
    columns = {f"{title}: {name}": name for name in ("Adam", "Newton", "difference")}
    table = ensembles[["ensemble", *columns]].rename(columns=columns)
    return table.assign(verdict=ensembles["verdict"].str.extract(rf"{title} (\w+)", expand=False))
