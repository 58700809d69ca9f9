"""The parameter `views`: names, widths and column labels of the views."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np

from sknnens._files import check_savable


@dataclass(frozen=True)
class Layout:
    """Layout of the views, given by the parameter `views` or known since fit.

    Attributes
    ----------
    names : list of str or None
        Names of the views, in order.
    sizes : list of int or None
        Width of each view.
    columns : dict from str to list of labels, or None
        Columns of a dataframe that belong to each view.
    is_fitted : bool
        Whether the layout is known since fit.
    may_lack : bool
        Whether `X` may lack some of the views, which are then missing in every row.
    """

    names: list[str] | None = None
    sizes: list[int] | None = None
    columns: dict[str, list[Hashable]] | None = None
    is_fitted: bool = False
    may_lack: bool = False

    @property
    def origin(self) -> str:
        """Where the layout is known from, in the words of a message."""
        return "fitted on" if self.is_fitted else "views says"


def check_layout(views: Any) -> Layout:
    """Parse the parameter `views`; raise TypeError or ValueError if it is invalid."""
    if views is None:
        return Layout()
    if not (isinstance(views, Mapping) or _is_listing(views)) or len(views) == 0:
        raise _invalid_views(views)
    names = check_names(views) if isinstance(views, Mapping) else None
    values = list(views.values() if isinstance(views, Mapping) else views)
    if not any(hasattr(v, "__len__") for v in values):
        if any(not isinstance(v, Integral) or v < 1 for v in values):
            hint = "" if names is None else " Give the label of a column in a list."
            raise ValueError(
                f"views must hold positive integers, the width of each view, got {views}.{hint}"
            )
        check_savable(views, "views")
        return Layout(names, sizes=[int(v) for v in values])
    groups = [[v] if isinstance(v, str) else v for v in values]
    if names is None or not all(_is_listing(v) and len(v) > 0 for v in groups):
        raise _invalid_views(views)
    columns = {name: list(v) for name, v in zip(names, groups, strict=True)}
    for label, count in Counter(chain(*columns.values())).items():
        if count > 1:
            raise ValueError(f"views names the column {label!r} {count} times.")
    check_savable(views, "views")
    return Layout(names, columns=columns)


def _is_listing(x: Any) -> bool:
    """Whether `x` is a list, tuple, range, or an array, Index or Series."""
    return isinstance(x, list | tuple | range) or (hasattr(x, "dtype") and len(x.shape) == 1)


def _invalid_views(views: Any) -> TypeError:
    return TypeError(
        "views must be None, a non-empty sequence of widths such as [512, 768], or a dictionary "
        "from the name of each view to its width or to the labels of its columns, got "
        f"{views!r}."
    )


def check_names(names: Iterable[Any]) -> list[str]:
    """Convert the names of the views to strings; raise ValueError if two are equal."""
    strings = [str(name) for name in names]
    for name in strings:
        if strings.count(name) > 1:
            raise ValueError(f"Two views have the name {name!r}.")
    return strings


def default_names(n_views: int) -> list[str]:
    """Names of unnamed views."""
    return [f"view{i}" for i in range(n_views)]


def label_views(names: Sequence[str]) -> list[str]:
    """Labels of the views in messages: the number, and the name if one was given."""
    return [
        f"view {i}" if name == default else f"view {i} ({name!r})"
        for i, (name, default) in enumerate(zip(names, default_names(len(names)), strict=True))
    ]


def column_slices(sizes: Sequence[int]) -> list[slice]:
    """Columns of each view in the stacked matrix."""
    stops = np.cumsum(sizes).tolist()
    return [slice(stop - size, stop) for stop, size in zip(stops, sizes, strict=True)]
