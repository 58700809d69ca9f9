"""Transform a folder of parquet files with Ray Data.

    python ray_transform.py learner.safetensors embeddings/ representations/ --workers 8

Each model has a column with a vector in each cell, and sknnens is installed on all nodes. The
output has the key and a vector of float32, in any order of rows. Only these columns are read. The
learner is in the object store once, and each actor takes its copy from there.

If an actor is killed, Ray starts another and repeats its task, without a limit; rows are neither
lost nor written twice, as a repeated task replaces its own file. Ray writes under the final names
and leaves the files of a run that fails, so a folder is whole only with the file `_SUCCESS`, which
this script writes last. To run again, delete the folder: Ray would add files to it.
"""

import argparse
import os

import numpy as np
import pyarrow as pa
import ray
from pyarrow.dataset import dataset
from pyarrow.fs import FileSystem, FileType

from sknnens import EnsembleRepresentationLearner


class Transformer:
    """The learner in an actor."""

    def __init__(self, learner, columns, key):
        self.learner, self.columns, self.key = ray.get(learner), columns, key

    def __call__(self, batch):
        """Return the key and the representation of each row."""
        rows = self.learner.transform(batch.select(self.columns))
        rows = np.asarray(rows, dtype=np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
        return pa.table({self.key: batch[self.key], "representation": vectors})


def transform_folder(
    learner, source, target, columns, key="id", *, workers=1, gpus_per_worker=0, batch_size=8192
):
    """Transform the rows of the folder `source` to a new folder `target`."""
    source, target = (x if "://" in x else os.path.abspath(x) for x in (source, target))
    filesystem, folder = FileSystem.from_uri(target)
    if filesystem.get_file_info(folder).type != FileType.NotFound:
        raise FileExistsError(f"{target} exists. Delete it or choose another folder.")
    # Ray does not notice columns that are missing, nor name a broken file if it finds the schema
    files = dataset(source, format="parquet")
    if not files.count_rows():
        raise ValueError(f"{source} has no rows.")
    schema = files.schema
    schema = pa.schema([schema.field(name) for name in (key, *columns)])
    embeddings = ray.data.read_parquet(source, schema=schema).select_columns(schema.names)
    embeddings.map_batches(
        Transformer,
        fn_constructor_args=(ray.put(learner), columns, key),
        # a pool of fixed size could take all CPUs, and reading would wait forever
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_gpus=gpus_per_worker,
        batch_size=batch_size,
        batch_format="pyarrow",
    ).write_parquet(target)
    with filesystem.open_output_stream(f"{folder}/_SUCCESS"):
        pass


def main(argv=None):
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("learner", help="file of EnsembleRepresentationLearner.save")
    parser.add_argument("source", help="folder of parquet files")
    parser.add_argument("target", help="folder to be made")
    parser.add_argument("--columns", nargs="+", help="default: the names of the learner's views")
    parser.add_argument("--key", default="id", help="column that identifies the rows")
    parser.add_argument("--workers", type=int, default=1, help="largest number of actors")
    parser.add_argument("--gpus-per-worker", type=float, default=0)
    args = vars(parser.parse_args(argv))
    learner = EnsembleRepresentationLearner.load(args.pop("learner"))
    args["columns"] = args["columns"] or learner.view_names_.tolist()
    transform_folder(learner, **args)


if __name__ == "__main__":
    main()
