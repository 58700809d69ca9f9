"""Folders of parquet files and other datasets of pyarrow, read some rows at a time."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCHES_AHEAD = 2  # that are read while one is computed


def is_dataset(x: Any) -> bool:
    """Whether `x` is a dataset of pyarrow."""
    module = sys.modules.get("pyarrow.dataset")
    return module is not None and isinstance(x, module.Dataset)


class Batch(NamedTuple):
    """Consecutive rows of a dataset: the number of the first, their file, and the rows."""

    begin: int
    path: str
    table: Any


class DatasetReader:
    """The rows of a dataset of files, in its order.

    Parameters
    ----------
    dataset : pyarrow.dataset.FileSystemDataset
        The dataset.
    columns : sequence of str, default=None
        Names of the columns to read; all by default.

    Attributes
    ----------
    n_rows : int
        Number of rows.

    Raises
    ------
    TypeError
        If it is not a dataset of files.
    ValueError
        If a file cannot be read to its end, or the dataset is filtered.
    """

    def __init__(self, dataset: Any, columns: Sequence[str] | None = None):
        import pyarrow.dataset as ds

        if not isinstance(dataset, ds.FileSystemDataset):
            raise TypeError(
                f"Expected a dataset of files, got a {type(dataset).__name__} of pyarrow: "
                "pyarrow.dataset.dataset(folder)."
            )
        self.dataset, self.columns = dataset, columns
        self.parts: list[Any] = []  # row groups of parquet, else files
        lengths: list[int] = []
        for fragment in dataset.get_fragments():
            try:
                if isinstance(fragment, ds.ParquetFileFragment):
                    self.parts += fragment.split_by_row_group()
                    lengths += [group.num_rows for group in fragment.row_groups]
                else:
                    self.parts.append(fragment)
                    lengths.append(fragment.count_rows())
            except (OSError, ValueError) as error:
                raise ValueError(f"{fragment.path!r} is not whole: {error}") from error
        self.begins = np.concatenate([[0], np.cumsum(lengths, dtype=np.intp)])
        self.n_rows = int(self.begins[-1])

    def read(self, size: int, begin: int = 0) -> Iterator[Batch]:
        """Yield batches of at most `size` rows, from a row on."""
        import pyarrow
        import pyarrow.dataset as ds

        first = int(np.searchsorted(self.begins, begin, side="right")) - 1
        at = int(self.begins[first])
        rest = ds.FileSystemDataset(
            self.parts[first:], self.dataset.schema, self.dataset.format, self.dataset.filesystem
        )
        options = {}
        if isinstance(self.dataset.format, ds.ParquetFileFormat):  # not whole row groups at once
            options["fragment_scan_options"] = ds.ParquetFragmentScanOptions(
                pre_buffer=False, use_buffered_stream=True
            )
        scanner = rest.scanner(
            columns=self.columns,
            batch_size=size,
            batch_readahead=BATCHES_AHEAD,
            fragment_readahead=1,
            **options,
        )
        for batch in scanner.scan_batches():
            rows = batch.record_batch
            if at + len(rows) > begin:
                skipped = max(0, begin - at)
                table = pyarrow.Table.from_batches([rows[skipped:]])
                yield Batch(at + skipped, batch.fragment.path, table)
            at += len(rows)


def sample_dataset(
    dataset: Any, n_rows: int, rng: np.random.RandomState, columns: Sequence[str] | None
) -> Any:
    """Table of rows that are drawn at random."""
    import pyarrow

    reader = DatasetReader(dataset, columns)
    drawn: NDArray[np.intp] = np.sort(rng.permutation(reader.n_rows)[:n_rows])
    parts = []
    for batch in reader.read(1024):
        begin, end = np.searchsorted(drawn, [batch.begin, batch.begin + len(batch.table)])
        if begin < end:
            parts.append(batch.table.take(pyarrow.array(drawn[begin:end] - batch.begin)))
    return pyarrow.concat_tables(parts)
