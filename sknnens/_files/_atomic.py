"""Files that are mapped into memory: let go of what was read, and write new ones whole."""

import io
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
    if hasattr(x, "get_fragments"):  # a dataset of pyarrow
        yield from x.files
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
def new_file(
    path: str | os.PathLike[str], parameter: str = "out", *, resume: bool = False
) -> Iterator[IO[bytes]]:
    """Open a file of another name in the same folder, which is renamed when it is whole.

    An existing file of the name is replaced. The caller's name of `path` is `parameter`. With
    `resume`, a file that is not finished stays, and another call opens it again to append to it.
    """
    path = check_path(path, parameter)
    partial = partial_path(path) if resume else partial_path(path, f".{uuid4().hex[:8]}")
    try:
        with partial.open("a+b" if resume else "x+b") as file:
            if resume:
                _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        if not resume:
            partial.unlink(missing_ok=True)


def partial_path(path: Path, mark: str = "") -> Path:
    """Name of a file until it is whole."""
    return path.with_name(f"{path.name}{mark}.partial")


def _lock(file: IO[bytes]) -> None:
    """Raise RuntimeError if another process writes this file; not on Windows."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(f"{file.name!r} is being written by another call.") from None
    except (ImportError, OSError):  # a file system without locks
        pass


class RowFile:
    """A matrix in a file in NumPy's format, whose rows are appended.

    Parameters
    ----------
    file : file of `new_file`
        Empty, or with some of the rows.
    shape, dtype
        Of the whole matrix.

    Attributes
    ----------
    n_rows : int
        Number of rows that are there.
    """

    def __init__(self, file: IO[bytes], shape: tuple[int, int], dtype: np.dtype[Any]):
        begin = io.BytesIO()
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(begin, header)
        self.file, self.width, self.dtype = file, shape[1], dtype
        self.offset = len(begin.getvalue())
        file.seek(0)
        found = file.read(self.offset)
        if not begin.getvalue().startswith(found):
            raise self.error()
        if len(found) < self.offset:
            file.truncate(0)
            file.write(begin.getvalue())
        row_bytes = self.width * dtype.itemsize
        self.n_rows = (file.seek(0, os.SEEK_END) - self.offset) // row_bytes
        self.n_bytes = self.offset + shape[0] * row_bytes
        if self.n_rows > shape[0]:
            raise self.error()
        file.truncate(self.offset + self.n_rows * row_bytes)  # without a row that is not whole

    def append(self, rows: NDArray[Any]) -> None:
        """Write some rows."""
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.file.flush()
        self.n_rows += len(rows)

    def check(self, begin: int, rows: NDArray[Any]) -> None:
        """Raise ValueError if other rows than these are there."""
        self.file.seek(self.offset + begin * self.width * self.dtype.itemsize)
        if self.file.read(rows.nbytes) != rows.tobytes():
            raise self.error()

    def finish(self) -> None:
        """Raise RuntimeError if the file has not its length, as when two calls wrote it."""
        self.file.flush()
        if os.fstat(self.file.fileno()).st_size != self.n_bytes:
            raise RuntimeError(f"{self.file.name!r} was written by another call meanwhile.")

    def error(self) -> ValueError:
        """Return an error that says what is wrong with a file to be resumed."""
        return ValueError(
            f"{self.file.name!r} was begun with other samples, by another estimator or on another "
            "machine, and cannot be resumed. Remove it to start anew."
        )
