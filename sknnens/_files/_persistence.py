"""Files of a fitted estimator: arrays in the safetensors format, all else as JSON in its header.

Nothing that is read is run: a file holds numbers and texts alone.
"""

import hashlib
import inspect
import json
import math
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknnens._files._atomic import new_file
from sknnens._version import __version__

# To be raised when files can no longer be read by older versions of the package.
FORMAT_VERSION = 1
FORMAT = "sknnens"
DIGEST = "sha256"
SAVED = {"_view_columns", "_sklearn_output_config"}  # beside fitted attributes


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes
    ----------
    kind : str
        Name of the estimator's class.
    version : str
        That of the package which wrote the file.
    parameters, attributes : dict
        Of the estimator: None, bool, int, float, str, ndarray, RandomState, and lists, tuples
        and dictionaries of these.
    """

    kind: str
    version: str
    parameters: dict[str, Any]
    attributes: dict[str, Any]


class PortableMixin(BaseEstimator):
    """Files of an estimator, and what goes into its pickles.

    The memory bank is left out, because it would be most of them; `warm_start` needs it.
    """

    def save(self, path: str | os.PathLike[str], *, include_embedding: bool | None = None) -> None:
        """Write the fitted estimator to a file that `load` reads, without running any code of it.

        The file is in the safetensors format: the arrays, and all else as JSON in its header. It
        is written under another name and renamed when it is whole. It needs the package
        safetensors, ``pip install "sknnens[safetensors]"``.

        Parameters
        ----------
        path : str or path-like
            Name of the file; one that is there is replaced.
        include_embedding : bool, default=None
            Whether the memory bank goes with it, which is as large as the representations of the
            training samples. None leaves it out unless `warm_start` is set, which needs it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If `path` cannot be the name of a file.
        TypeError
            If a parameter holds what is not a number, a text, or a list or mapping of these.
        """
        check_is_fitted(self)
        if include_embedding is None:
            include_embedding = self.warm_start
        parameters = self.get_params(deep=False)
        attributes = {
            name: value
            for name, value in vars(self).items()
            if _is_saved(name) and (include_embedding or name != "embedding_")
        }
        write_contents(path, Contents(type(self).__name__, __version__, parameters, attributes))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator from a file of `save`.

        No code is run that is in the file. A digest tells whether it was damaged, not who wrote it.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        Returns
        -------
        learner : EnsembleRepresentationLearner
            The fitted estimator.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If it is truncated, altered, written by a newer version, or not of this class.
        """
        contents = read_contents(path)
        if contents.kind != cls.__name__:
            raise ValueError(
                f"{os.fsdecode(path)!r} holds a {contents.kind}, not a {cls.__name__}."
            )
        unknown = contents.parameters.keys() - set(cls._get_param_names())
        unknown |= {name for name in contents.attributes if not _is_saved(name)}
        if unknown:
            raise ValueError(
                f"{os.fsdecode(path)!r} was written by sknnens {contents.version}; this version, "
                f"{__version__}, does not know of {', '.join(sorted(unknown))}."
            )
        learner = cls(**contents.parameters)
        learner.__dict__.update(contents.attributes)
        return learner

    def __getstate__(self) -> dict[str, Any]:
        # what a pickle holds: the bank would be most of it
        state: dict[str, Any] = dict(super().__getstate__())
        bank = state.pop("embedding_", None)
        if bank is not None and self.warm_start:
            state["embedding_"] = np.asarray(bank)  # not as the memory map that it may be
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # a pickle of an older version lacks the parameters that came since
        defaults = {
            name: parameter.default
            for name, parameter in inspect.signature(type(self)).parameters.items()
        }
        super().__setstate__(defaults | state)

    def __copy__(self) -> Self:
        copied = type(self).__new__(type(self))
        copied.__dict__.update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = memo[id(self)] = type(self).__new__(type(self))
        copied.__dict__.update(deepcopy(vars(self), memo))
        return copied

    def __getattr__(self, name: str) -> Any:
        hint = ""
        if name == "embedding_" and "coefs_" in vars(self):
            hint = (
                ". A learner that was pickled, saved or sent to another process leaves its memory "
                "bank behind, unless warm_start=True or save(..., include_embedding=True)"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")


def _is_saved(name: str) -> bool:
    """Whether an attribute of this name goes to files."""
    return name in SAVED or (name.endswith("_") and not name.startswith("_"))


def write_contents(path: str | os.PathLike[str], contents: Contents) -> None:
    """Write a file under another name and rename it when it is whole.

    Raises
    ------
    TypeError
        If a value is of another type than those of `Contents`.
    ValueError
        If `path` cannot be the name of a file.
    """
    numpy_format = _import_safetensors()[1]
    arrays: dict[str, NDArray[Any]] = {}
    values = {
        name: _encode(value, name, arrays)
        for name, value in (contents.parameters | contents.attributes).items()
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "class": contents.kind,
        "version": contents.version,
        "parameters": json.dumps({name: values[name] for name in contents.parameters}),
        "attributes": json.dumps({name: values[name] for name in contents.attributes}),
    }
    metadata[DIGEST] = _digest(metadata, arrays)
    with new_file(path, "path") as file:
        file.write(numpy_format.save(arrays, metadata))


def read_contents(path: str | os.PathLike[str]) -> Contents:
    """Read a file of `write_contents`.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be opened.
    ValueError
        If it is not a file of this package, not whole, not as it was written, or written by a
        newer version of the package.
    """
    safetensors = _import_safetensors()[0]
    name = os.fsdecode(path)
    with open(name, "rb"):  # says what is wrong, as one is used to
        pass
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            # the file is no mapping, over which one could go without keys()
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # of several kinds, by version
        raise ValueError(
            f"{name!r} is truncated, altered or no safetensors file: {error}"
        ) from None
    if metadata.get("format") != FORMAT or not metadata.get("format_version", "").isdecimal():
        raise ValueError(f"{name!r} was not written by sknnens, or it was altered.")
    if int(metadata["format_version"]) > FORMAT_VERSION:
        raise ValueError(
            f"{name!r} was written by a newer version of sknnens ({metadata.get('version')}): its "
            f"format is {metadata['format_version']}, this version reads up to {FORMAT_VERSION}."
        )
    if metadata.pop(DIGEST, None) != _digest(metadata, arrays):
        raise ValueError(f"{name!r} was altered after it was written: its digest differs.")
    try:
        parts = [json.loads(metadata[part]) for part in ("parameters", "attributes")]
        decoded = [{k: _decode(value, arrays) for k, value in part.items()} for part in parts]
        return Contents(metadata["class"], metadata["version"], *decoded)
    except Exception as error:  # somebody made up a digest to go with it
        raise ValueError(f"{name!r} holds what sknnens does not write: {error!r}.") from None


def _import_safetensors() -> tuple[Any, Any]:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "save and load need safetensors: pip install 'sknnens[safetensors]'. A fitted learner "
            "can also be pickled."
        ) from error
    return safetensors, safetensors.numpy


def _digest(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hash of all that a file says; it tells damage, not malice."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        x = arrays[name]
        found.update(json.dumps([name, x.dtype.str, x.shape]).encode())
        found.update(x.data.cast("B") if x.size else b"")
    return found.hexdigest()


def _encode(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Turn a value into JSON; numeric arrays go to `arrays`, under a name that begins with `name`.

    A JSON object has one key, which says what it is.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, np.random.RandomState) and _is_mt19937(value):
        return {"RandomState": _encode(value.get_state(), name, arrays)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "bfiu":
        arrays[name] = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
        # a scalar would come back with one axis
        return {"array": [name, list(value.shape)]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"texts": [value.dtype.str, _encode(value.tolist(), name, arrays)]}
    if isinstance(value, Mapping):
        pairs = [[key, item] for key, item in value.items()]
        return {"dict": _encode(pairs, name, arrays)}
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    raise TypeError(
        f"{name} holds a {type(value).__name__}, which cannot be saved; a pickle can hold it."
    )


def _is_mt19937(generator: np.random.RandomState) -> bool:
    state: Any = generator.get_state(legacy=False)
    return bool(state["bit_generator"] == "MT19937")


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Turn JSON of `_encode` into a value."""
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "float":
        return float(content)
    if kind == "array":
        return arrays[content[0]].reshape(content[1])
    items = _decode(content, arrays)
    if kind == "tuple":
        return tuple(items)
    if kind == "dict":
        return dict(items)
    if kind == "texts":
        return np.array(items[1], dtype=items[0])
    assert kind == "RandomState"
    generator = np.random.RandomState()
    generator.set_state(items)
    return generator
