"""Files that are mapped into memory: let go of what was read, and write new ones whole."""

import mmap
import os
import re
from collections.abc import Iterable, Iterator, Mapping
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


def check_not_read(path: str | os.PathLike[str], source: Any, parameter: str) -> None:
    """Raise ValueError if something in `source` is read from the file of that name.

    It may be an array, dataset or frame, an estimator, or a collection of such.
    """
    if not os.path.exists(path):
        return
    for name in _files_of(source):
        if os.path.exists(name) and os.path.samefile(name, path):
            raise ValueError(f"{parameter}={os.fsdecode(path)!r} is a file that is read from.")


def _files_of(x: Any) -> Iterator[str]:
    """Names of the files that arrays are memory maps of, or datasets of h5py belong to."""
    if isinstance(x, Mapping):
        parts: Iterable[Any] = x.values()
    elif isinstance(x, list | tuple):
        parts = x
    elif hasattr(x, "get_params"):
        parts = vars(x).values()
    elif hasattr(x, "iloc"):  # a frame or Series of pandas
        columns = [x.iloc[:, i] for i in range(x.shape[1])] if x.ndim == 2 else [x]
        parts = [column.to_numpy() for column in columns if isinstance(column.dtype, np.dtype)]
    elif isinstance(x, np.ndarray) and x.dtype == object:
        parts = x.flat
    else:
        if hasattr(getattr(x, "file", None), "filename"):
            yield x.file.filename
        base = x
        while base is not None:
            if isinstance(base, np.memmap) and base.filename is not None:
                yield base.filename
            base = getattr(base, "base", None)
        return
    for part in parts:
        yield from _files_of(part)


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
        del matrix
