"""
Memory of stacking files
========================

Writes feature matrices of several models to ``.npy`` files, stacks them into one file in a process
of its own, and reports the largest resident memory of that process.

    python stack_memory.py --gigabytes 4

Asks Linux for the memory. Needs twice that space on the disk, which is freed afterwards.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTHS = (768, 512, 1024)
CHILD = """
import json, sys
import numpy as np
from sknnens import stack_views

def peak():  # getrusage would count what the parent had
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in file if line.startswith("VmHWM"))

at_start = peak()
*paths, out = sys.argv[1:]
X, views = stack_views([np.load(path, mmap_mode="r") for path in paths], out=out)
print(json.dumps({"import_mb": at_start, "peak_mb": peak(), "shape": X.shape, "views": views}))
"""


def write_views(folder, n_rows, dtype):
    """One file a model, in blocks of rows; return the paths."""
    paths = []
    for i, width in enumerate(WIDTHS):
        paths.append(folder / f"model_{i}.npy")
        array = np.lib.format.open_memmap(paths[-1], "w+", dtype, (n_rows, width))
        for begin in range(0, n_rows, 10_000):
            block = array[begin : begin + 10_000]
            block[:] = np.random.RandomState(begin + i).rand(*block.shape)
        del array
    return paths


def measure(folder, gigabytes, dtype):
    """Stack files of so many gigabytes in all; return what the child process reports."""
    row_bytes = sum(WIDTHS) * np.dtype(dtype).itemsize
    n_rows = int(gigabytes * 2**30 / row_bytes)
    paths = write_views(folder, n_rows, dtype)
    command = [sys.executable, "-c", CHILD, *map(str, paths), str(folder / "stacked.npy")]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    report["seconds"] = time.perf_counter() - begin
    stacked = np.load(folder / "stacked.npy", mmap_mode="r")
    for row in (0, n_rows // 2, n_rows - 1):
        parts = [np.load(path, mmap_mode="r")[row] for path in paths]
        assert np.array_equal(stacked[row], np.concatenate(parts))
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Memory of stacking files")
    parser.add_argument("--gigabytes", type=float, default=4, help="of the files to stack")
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float32")
    parser.add_argument(
        "--folder", help="where the files go; the system's temporary one if not given"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        report = measure(Path(folder), args.gigabytes, args.dtype)
    print(
        f"{args.gigabytes:g} GB of {args.dtype}, shape {tuple(report['shape'])}: "
        f"{report['peak_mb']:.0f} MB at most, of which {report['import_mb']:.0f} MB after import; "
        f"{report['seconds']:.0f} s"
    )
