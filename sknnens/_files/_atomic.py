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

    It may be an array, tensor, dataset or frame, an estimator, or a collection of such.
    """
    if not os.path.exists(path):
        return
    mapped = _find_mapped(path)
    names: set[str] = set()
    for x in _leaves(source):
        names.update(_find_names(x))
        if any(_find_address(x) in span for span in mapped):
            names.add(os.fspath(path))
    if any(os.path.exists(name) and os.path.samefile(name, path) for name in names):
        raise ValueError(f"{parameter}={os.fsdecode(path)!r} is a file that is read from.")


def _leaves(x: Any) -> Iterator[Any]:
    """Arrays and the like in a collection, a frame or an estimator."""
    if isinstance(x, Mapping) and not hasattr(x, "zip"):  # but for an NpzFile
        parts: Iterable[Any] = x.values()
    elif isinstance(x, list | tuple):
        parts = () if x and isinstance(x[0], int | float | str | np.generic) else x
    elif hasattr(x, "get_params"):
        parts = vars(x).values()
    elif hasattr(x, "iloc") and hasattr(x, "to_numpy"):  # a frame or Series of pandas
        dtypes = set(x.dtypes) if x.ndim == 2 else {x.dtype}
        if len(dtypes) > 1:
            parts = (x.iloc[:, i] for i in range(x.shape[1]))
        else:  # no copy
            parts = [x.to_numpy()] if isinstance(dtypes.pop(), np.dtype) else ()
    elif isinstance(x, np.ndarray) and x.dtype == object:
        parts = () if x.size and isinstance(x.flat[0], int | float | str) else x.flat
    else:
        yield x
        return
    for part in parts:
        yield from _leaves(part)


def _find_names(x: Any) -> Iterator[str]:
    """Names of the files that an array is a memory map of, or an archive or dataset belongs to."""
    if hasattr(x, "zip") and hasattr(getattr(x, "fid", None), "name"):  # an NpzFile
        yield x.fid.name
    if hasattr(getattr(x, "file", None), "filename"):  # of h5py
        yield x.file.filename
    while x is not None:
        if isinstance(x, np.memmap) and x.filename is not None:
            yield os.fspath(x.filename)
        x = getattr(x, "base", None)


def _find_mapped(path: str | os.PathLike[str]) -> list[range]:
    """Addresses at which a file is mapped into memory; Linux tells.

    Arrays do not always know, nor do tensors.
    """
    maps, mapped = Path("/proc/self/maps"), []
    for line in maps.read_text().splitlines() if maps.exists() else ():
        span, *_, name = line.split(maxsplit=5)
        if name.startswith("/") and os.path.exists(name) and os.path.samefile(name, path):
            begin, end = (int(number, 16) for number in span.split("-"))
            mapped.append(range(begin, end))
    return mapped


def _find_address(x: Any) -> int:
    """Where the numbers of an array or tensor are in memory, 0 if it does not tell."""
    if hasattr(x, "data_ptr"):
        return int(x.data_ptr())
    return int(x.__array_interface__["data"][0]) if isinstance(x, np.ndarray) else 0


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
