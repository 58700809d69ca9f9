"""Pieces of reStructuredText for the pages that are written from results files."""

import re
import textwrap
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from figures import format_cell

MOST_COLUMNS = 6  # that fit a narrow screen
LONG = 21  # characters of a name that may have to break


def heading(text: str, line: str) -> str:
    """A heading, underlined."""
    return f"{text}\n{line * len(text)}"


def paragraph(text: str) -> str:
    """Text in lines of 100 characters."""
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)


def bullets(*items: str) -> str:
    """A list."""
    return "\n".join(
        textwrap.fill(
            " ".join(item.split()),
            100,
            initial_indent="- ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        for item in items
    )


def dropdown(title: str, *parts: str) -> str:
    """Parts that are folded away."""
    return f".. dropdown:: {title}\n\n" + textwrap.indent("\n\n".join(parts), "    ")


def toctree(*pages: str) -> str:
    """Links to pages below this one."""
    return ".. toctree::\n    :maxdepth: 1\n\n" + textwrap.indent("\n".join(pages), "    ")


def breakable(text: str) -> str:
    """Long names of views of an ensemble with spaces, at which a line can break."""
    words = [
        re.sub(r"(?<=\w):(?=\w)", ": ", word).replace("+", " + ")
        if len(word) >= LONG and "`" not in word
        else word
        for word in text.split(" ")
    ]
    return " ".join(words)


def to_rst(table: pd.DataFrame, formats: Mapping[str, str] | None = None, title: str = "") -> str:
    """A table as a ``csv-table``. A number that was not measured is an empty cell."""
    rows = [
        [breakable(format_cell(*pair, formats)) for pair in zip(table.columns, row, strict=True)]
        for row in table.itertuples(index=False, name=None)
    ]
    quoted = [['"' + x.replace('"', '""') + '"' for x in row] for row in [table.columns, *rows]]
    lines = "\n".join(",".join(row) for row in quoted)
    head = f".. csv-table:: {title}".rstrip() + "\n    :header-rows: 1\n\n"
    return head + textwrap.indent(lines, "    ")


def with_intervals(table: pd.DataFrame, formats: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Each column that has its interval in a column ``NAME ±`` as text, with the interval."""
    table = table.copy()
    for name in [column.removesuffix(" ±") for column in table if column.endswith(" ±")]:
        half = f"{name} ±"
        table[name] = [
            " ± ".join(filter(None, (format_cell(name, x, formats), format_cell(half, h, formats))))
            for x, h in zip(table[name], table.pop(half), strict=True)
        ]
    return table


def narrow(
    table: pd.DataFrame, n_labels: int = 1, most: int = MOST_COLUMNS
) -> Iterator[pd.DataFrame]:
    """Parts of a wide table with at most `most` columns, each with the first `n_labels`."""
    labels, others = list(table.columns[:n_labels]), list(table.columns[n_labels:])
    n_parts = -(-len(others) // (most - n_labels))
    for part in np.array_split(others, n_parts):
        yield table[[*labels, *part]]
