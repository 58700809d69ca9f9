"""Progress on standard error."""

import sys
from contextlib import suppress
from types import TracebackType
from typing import Any


def tell(message: str) -> bool:
    """Write to standard error; return whether there is one that can be written to."""
    try:
        sys.stderr.write(message)
        sys.stderr.flush()
    except Exception:  # None without a console, closed, broken, or a window's
        return False
    return True


class ProgressBar:
    """Progress on standard error: tqdm's bar if it is installed, else a line of text.

    A stream that cannot be written to, at the beginning or later, shows nothing.
    """

    def __init__(self, total: int, description: str, unit: str, enabled: bool):
        self.total, self.description, self.unit = total, description, unit
        self.enabled = enabled and tell("")
        self.done = 0
        self.bar: Any = None

    def __enter__(self) -> "ProgressBar":
        if self.enabled:
            try:
                from tqdm.auto import tqdm

                self.bar = tqdm(total=self.total, desc=self.description, unit=self.unit)
            except ImportError:
                pass
            except Exception:  # as in tell: no stream may stop a fit
                self.enabled = False
        return self

    def update(self, n_done: int, state: str) -> None:
        """Count `n_done` more units and show the state after them."""
        self.done += n_done
        if not self.enabled:
            return
        if self.bar is None:
            share = f"{self.done}/{self.total} {self.unit}"
            self.enabled = tell(f"\r{self.description}: {share}, {state}")
            return
        try:
            self.bar.set_postfix_str(state, refresh=False)
            self.bar.update(n_done)
        except Exception:  # as in tell
            self.enabled = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.enabled:
            return
        if self.bar is None:
            tell("\n")
        else:
            with suppress(Exception):
                self.bar.close()
