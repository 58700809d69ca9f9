"""A progress bar with the loss, in a terminal or a notebook."""

import sys
from types import TracebackType
from typing import Any


class ProgressBar:
    """Show how far the work is, on standard error.

    The bar is tqdm's where it is installed, which in a notebook is a widget; else a plain line
    that is written over.

    Parameters
    ----------
    total : int
        Number of units of work.
    description : str
        What stands before the bar.
    unit : str
        What is counted.
    enabled : bool
        Whether anything is shown.
    """

    def __init__(self, total: int, description: str, unit: str, enabled: bool):
        self.total, self.description, self.unit, self.enabled = total, description, unit, enabled
        self.done = 0
        self.bar: Any = None

    def __enter__(self) -> "ProgressBar":
        if self.enabled:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return self
            self.bar = tqdm(total=self.total, desc=self.description, unit=self.unit)
        return self

    def update(self, n_done: int, loss: float) -> None:
        """Count `n_done` more units and show the latest loss."""
        self.done += n_done
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self.bar.update(n_done)
        elif self.enabled:
            share = f"{self.done}/{self.total} {self.unit}"
            sys.stderr.write(f"\r{self.description}: {share}, loss={loss:.4f}")
            sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.enabled:
            sys.stderr.write("\n")
