"""Folders of parquet files and other datasets of pyarrow, read some rows at a time."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from sknnens._views._data import draw_rows

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
    wanted : set of labels, default=None
        Names of the columns to read, if there are any of them; else all are read.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    types : list of pyarrow.DataType
        Types of the columns that are read, of the vectors' entries if they hold vectors.

    Raises
    ------
    TypeError
        If it is not a dataset of files.
    ValueError
        If it has no rows or is filtered, or a file is cut off or has not the columns of others.
    """

    def __init__(self, dataset: Any, wanted: set[Any] | None = None):
        import pyarrow.dataset as ds

        if not isinstance(dataset, ds.FileSystemDataset):
            raise TypeError(
                f"Expected a dataset of files, got one of type {type(dataset).__name__}: "
                "pyarrow.dataset.dataset(folder), or of a list of files."
            )
        self.dataset = dataset
        self.parts: list[Any] = []  # row groups of parquet, else files
        lengths: list[int] = []
        fragments = list(dataset.get_fragments())
        for fragment in fragments:
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
        if not self.n_rows:
            raise ValueError("X has no rows.")
        names = dataset.schema.names
        self.columns = [name for name in names if wanted and name in wanted] or names
        self.types = [_entry_type(dataset.schema.field(name)) for name in self.columns]
        self._check_columns(fragments, wanted)

    def _check_columns(self, fragments: Sequence[Any], wanted: set[Any] | None) -> None:
        """Raise ValueError if columns are not the same in all files, but for those of folders.

        Arrow would fill in a column that is missing, and leave one out that the first file lacks.
        """
        schema = self.dataset.schema
        somewhere = {name for fragment in fragments for name in fragment.physical_schema.names}
        for fragment in fragments:
            found = fragment.physical_schema
            for name in sorted(somewhere if wanted is None else somewhere & wanted):
                if name not in found.names:
                    raise ValueError(
                        f"{fragment.path!r} has no column {name!r}, which other files have."
                    )
                if name in schema.names:
                    kinds = [_entry_type(s.field(name)) for s in (found, schema)]
                    if kinds[0] != kinds[1]:
                        raise ValueError(
                            f"{fragment.path!r} has a column {name!r} of type {kinds[0]}, but the "
                            f"dataset of type {kinds[1]}."
                        )

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
                pre_buffer=False, use_buffered_stream=True, page_checksum_verification=True
            )
        scanner = rest.scanner(
            columns=self.columns,
            batch_size=size,
            batch_readahead=BATCHES_AHEAD,
            fragment_readahead=1,
            **options,
        )
        batches, path = scanner.scan_batches(), self.parts[min(first, len(self.parts) - 1)].path
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (OSError, pyarrow.ArrowException) as error:
                raise ValueError(f"{path!r}, or the file after it: {error}") from error
            rows, path = batch.record_batch, batch.fragment.path
            if len(rows) and at + len(rows) > begin:
                skipped = max(0, begin - at)
                table = pyarrow.Table.from_batches([rows[skipped:]])
                yield Batch(at + skipped, path, table)
            at += len(rows)


def _entry_type(field: Any) -> Any:
    """Type of a column, of the entries if it holds vectors."""
    return getattr(field.type, "value_type", field.type)


def sample_dataset(
    dataset: Any, n_rows: int, rng: np.random.RandomState, columns: Sequence[str] | None
) -> Any:
    """Table of rows that are drawn at random."""
    import pyarrow

    for name in columns or ():
        if name not in dataset.schema.names:
            raise ValueError(f"X has no column {name!r}, only {dataset.schema.names}.")
    reader = DatasetReader(dataset, columns if columns is None else {*columns})
    drawn = draw_rows(reader.n_rows, n_rows, rng)
    parts = []
    for batch in reader.read(1024):
        begin, end = np.searchsorted(drawn, [batch.begin, batch.begin + len(batch.table)])
        if begin < end:
            parts.append(batch.table.take(pyarrow.array(drawn[begin:end] - batch.begin)))
    return pyarrow.concat_tables(parts)
