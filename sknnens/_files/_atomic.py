"""Files that are mapped into memory: let go of what was read, and write new ones whole."""

import mmap
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray


def release_pages(x: Any) -> None:
    """Let go of the pages of a memory map, which count as memory of the process.

    Nothing is lost: they are read again, or written by the system, when it is time.
    """
    mode = None
    while x is not None and not isinstance(x, mmap.mmap):
        mode = x.mode if isinstance(x, np.memmap) else mode
        x = getattr(x, "base", None)
    # in mode "c" changes live in these pages alone
    if x is not None and mode in ("r", "r+", "w+") and hasattr(mmap, "MADV_DONTNEED"):
        x.madvise(mmap.MADV_DONTNEED)


def check_path(path: str | os.PathLike[str], parameter: str) -> Path:
    """Raise ValueError if there cannot be a file of that name."""
    path = Path(os.fsdecode(path))
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(
            f"{parameter}={str(path)!r} must be the name of a file in a folder that is there."
        )
    return path


def check_not_read(
    path: str | os.PathLike[str], arrays: Sequence[NDArray[Any]], parameter: str
) -> None:
    """Raise ValueError if an array is a memory map of the file of that name."""
    for x in arrays:
        base: Any = x
        while base is not None:
            name = base.filename if isinstance(base, np.memmap) else None
            if name is not None and os.path.exists(path) and os.path.samefile(name, path):
                raise ValueError(f"{parameter}={str(path)!r} is the file that X is read from.")
            base = getattr(base, "base", None)


def remove_partials(path: Path) -> None:
    """Remove what processes that were killed left of a file; nobody else may be writing it."""
    for other in path.parent.iterdir():
        if re.fullmatch(re.escape(path.name) + r"\.[0-9a-f]{8}\.partial", other.name):
            other.unlink(missing_ok=True)


@contextmanager
def new_file(path: str | os.PathLike[str], parameter: str = "out") -> Iterator[IO[bytes]]:
    """Open a file of another name in the same folder, which is renamed when it is whole.

    An existing file of the name is replaced. The caller's name of `path` is `parameter`.
    """
    path = check_path(path, parameter)
    partial = path.with_name(f"{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with partial.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Begin a file in NumPy's format, whose rows follow one after another."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


@contextmanager
def new_matrix(
    path: str | os.PathLike[str], shape: tuple[int, int], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Make a memory map to fill, in a file in NumPy's format that is made by `new_file`."""
    with new_file(path) as file:
        write_header(file, shape, dtype)
        matrix = np.memmap(file, dtype, "r+", file.tell(), shape)
        yield matrix
        matrix.flush()
