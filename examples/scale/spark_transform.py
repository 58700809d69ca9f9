"""Transform a folder of parquet files with Spark.

    spark-submit --master "local[8,4]" spark_transform.py learner.safetensors embeddings/ out/

Each model has a column with a vector in each cell, and sknnens is installed on all nodes. The
output has the key and a vector of float32, in any order of rows. Only these columns are read. The
learner is broadcast once. `mapInArrow` hands over batches of vectors as Spark has them, while
`pandas_udf` would make an object of every vector.

If a Python worker is killed, Spark repeats its task, four attempts in all; in local mode it does
so only if the master has a second number, as in `local[8,4]`. The files of an attempt are moved to
the folder when its task is committed and the job ends, and then `_SUCCESS` is written: a folder
without it is not whole. A run that fails leaves no rows. To run again, delete the folder.

Spark forks its Python workers before torch is imported, so that torch may use threads in them.
"""

import argparse
import os
import sys

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

from sknnens import EnsembleRepresentationLearner


def find_session():
    """Return the session of spark-submit or of a notebook, else a local one."""
    builder = SparkSession.builder
    if "PYSPARK_GATEWAY_PORT" not in os.environ and SparkSession.getActiveSession() is None:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master("local[*,4]")
    return builder.getOrCreate()


def transform_folder(spark, learner, source, target, columns, key="id"):
    """Transform the rows of the folder `source` to a new folder `target`."""
    embeddings = spark.read.parquet(source).select(key, *columns)
    vector = StructField("representation", ArrayType(FloatType()))
    shared = spark.sparkContext.broadcast(learner)

    def represent(batches):
        for batch in batches:
            if batch.num_rows:
                rows = shared.value.transform(batch.select(columns))
                rows = np.asarray(rows, dtype=np.float32)
                vectors = pa.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])
                arrays = [batch[key], vectors.cast(pa.list_(pa.float32()))]
                yield pa.RecordBatch.from_arrays(arrays, names=[key, vector.name])

    schema = StructType([embeddings.schema[key], vector])
    embeddings.mapInArrow(represent, schema).write.parquet(target)


def main(argv=None):
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("learner", help="file of EnsembleRepresentationLearner.save")
    parser.add_argument("source", help="folder of parquet files")
    parser.add_argument("target", help="folder to be made")
    parser.add_argument("--columns", nargs="+", help="default: the names of the learner's views")
    parser.add_argument("--key", default="id", help="column that identifies the rows")
    args = vars(parser.parse_args(argv))
    learner = EnsembleRepresentationLearner.load(args.pop("learner"))
    args["columns"] = args["columns"] or learner.view_names_.tolist()
    transform_folder(find_session(), learner, **args)


if __name__ == "__main__":
    main()
