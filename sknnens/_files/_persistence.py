"""Fitted estimators in files: arrays in the safetensors format, the rest as JSON in its header.

Reading runs no code of the file.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sknnens._files._atomic import new_file
from sknnens._version import __version__

FORMAT = "sknnens"
FORMAT_VERSION = 2  # to be raised when the content changes
DIGEST = "sha256"
SAVED = {"_view_columns", "_column_names", "_sklearn_output_config"}  # beside fitted attributes


class PortableMixin(BaseEstimator):
    """Methods `save` and `load`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that `load` reads without running any code of it.

        The file is in the safetensors format: the arrays, and the rest as JSON in its header. It
        is written under another name and renamed when it is whole. This needs the package
        safetensors, ``pip install "sknnens[safetensors]"``.

        Parameters
        ----------
        path : str or path-like
            Name of the file; an existing file is replaced.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If `path` cannot be the name of a file.
        TypeError
            If a parameter is something that JSON does not hold, such as a RandomState instance.
            Ranges, and an Index or Series of pandas, come back as lists.
        """
        check_is_fitted(self)
        numpy_format = _import_safetensors()[1]
        arrays: dict[str, NDArray[Any]] = {}
        content = _encode(self, "", arrays)
        metadata = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "version": __version__,
            "content": json.dumps(content),
        }
        metadata[DIGEST] = _digest(metadata, arrays)
        with new_file(path, "path") as file:
            file.write(numpy_format.save(arrays, metadata))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator from a file of `save`.

        No code of the file is run. A digest reveals damage, not who wrote the file.

        Parameters
        ----------
        path : str or path-like
            Name of the file.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If the file is truncated, altered, of another format version, or not of this class.
        """
        name = os.fsdecode(path)
        metadata, arrays = _read(name)
        try:
            estimator = _decode(json.loads(metadata["content"]), arrays)
        except Exception as error:  # of another version, or with a digest that somebody made up
            raise ValueError(
                f"{name!r} was written by sknnens {metadata.get('version')} and holds something "
                f"that this version, {__version__}, does not know: {error}."
            ) from None
        if type(estimator) is not cls:
            raise ValueError(f"{name!r} holds a {type(estimator).__name__}, not a {cls.__name__}.")
        return estimator


def _read(name: str) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return the metadata and the arrays of a whole file of this package."""
    safetensors = _import_safetensors()[0]
    with open(name, "rb"):  # raises the usual errors
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
    if int(metadata["format_version"]) != FORMAT_VERSION:
        raise ValueError(
            f"{name!r} was written by another version of sknnens ({metadata.get('version')}): its "
            f"format is {metadata['format_version']}, this version reads {FORMAT_VERSION}."
        )
    if metadata.pop(DIGEST, None) != _digest(metadata, arrays):
        raise ValueError(f"{name!r} was altered after it was written: its digest differs.")
    return metadata, arrays


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
    """Hash of everything in a file."""
    found = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(arrays):
        x = arrays[name]
        found.update(json.dumps([name, x.dtype.str, x.shape]).encode())
        found.update(x.data.cast("B") if x.size else b"")
    return found.hexdigest()


def _classes() -> dict[str, Any]:
    """Return the estimators of this package by name; a file can hold no other."""

    def subclasses(cls: Any) -> Iterator[Any]:
        for sub in cls.__subclasses__():
            yield sub
            yield from subclasses(sub)

    own = (c for c in subclasses(BaseEstimator) if c.__module__.startswith("sknnens."))
    return {c.__name__: c for c in own}


def _encode(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a value as JSON; arrays of numbers go to `arrays`, under their path `name`.

    A JSON object has one key, the kind of value.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | range):
        items = [_encode(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.ndarray) and value.dtype.kind in "bfiu" and value.ndim:
        arrays[name] = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("="))
        return {"array": name}
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return {"texts": [value.dtype.str, _encode(value.tolist(), name, arrays)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {k: _encode(item, f"{name}.{k}", arrays) for k, item in value.items()}}
    if isinstance(value, BaseEstimator) and _classes().get(type(value).__name__) is type(value):
        parameters = value.get_params(deep=False)
        fitted = {k: item for k, item in vars(value).items() if _is_saved(k)}
        return {
            "estimator": [
                type(value).__name__,
                *(
                    {k: _encode(item, f"{name}.{k}", arrays) for k, item in part.items()}
                    for part in (parameters, fitted)
                ),
            ]
        }
    if isinstance(value, Mapping):
        return {"pairs": _encode(list(map(list, value.items())), name, arrays)}
    if hasattr(value, "to_numpy") and hasattr(value, "__len__"):  # an Index or Series
        return _encode(list(value), name, arrays)
    raise TypeError(
        f"{name.lstrip('.')} holds a {type(value).__name__}, which a file cannot hold; a pickle "
        "can."
    )


def check_savable(value: Any, name: str) -> None:
    """Raise TypeError if a file cannot hold the value of this parameter."""
    try:
        _encode(value, name, {})
    except TypeError as error:
        found = str(error).split(", ")[0]
        raise TypeError(f"{found}, which save could not keep: use texts or numbers.") from error


def _is_saved(name: str) -> bool:
    """Whether a file holds the attribute of this name."""
    return name in SAVED or (name.endswith("_") and not name.startswith("_"))


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return a value from JSON of `_encode`."""
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "pairs":
        return dict(_decode(content, arrays))
    if kind == "tuple":
        return tuple(_decode(content, arrays))
    if kind == "texts":
        return np.array(_decode(content[1], arrays), dtype=content[0])
    if kind == "dict":
        return {k: _decode(item, arrays) for k, item in content.items()}
    if kind != "estimator":
        raise ValueError(f"a {kind}")
    name, parameters, fitted = content
    if unknown := [k for k in fitted if not _is_saved(k)]:
        raise ValueError(f"the attributes {unknown}")
    estimator = _classes()[name](**{k: _decode(item, arrays) for k, item in parameters.items()})
    vars(estimator).update({k: _decode(item, arrays) for k, item in fitted.items()})
    return estimator
