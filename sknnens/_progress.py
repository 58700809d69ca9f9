"""Progress on standard error."""

import sys
import time
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


class _StandardError:
    """Standard error for tqdm, which keeps its lock for good if a write fails."""

    def write(self, text: str) -> None:
        """Write without an error."""
        tell(text)

    def flush(self) -> None:
        """Do nothing: `write` did."""

    def __eq__(self, other: object) -> bool:
        return other is sys.stderr  # for which tqdm knows the width, and that others write there

    def __hash__(self) -> int:
        return hash(sys.stderr)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class ProgressBar:
    """Progress on standard error: tqdm's bar if it is installed, else a line of text.

    A stream that cannot be written to, at the beginning or later, shows nothing.
    """

    def __init__(self, total: int, description: str, unit: str, enabled: bool, done: int = 0):
        self.total, self.description, self.unit = total, description, unit
        self.enabled = enabled and tell("")
        self.done = self.done_before = done
        self.begin = time.monotonic()
        self.bar: Any = None

    def __enter__(self) -> "ProgressBar":
        if self.enabled:
            try:
                from tqdm.auto import tqdm

                self.bar = tqdm(
                    total=self.total,
                    desc=self.description,
                    unit=self.unit,
                    initial=self.done,
                    file=_StandardError(),
                )
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
            rate = (self.done - self.done_before) / max(time.monotonic() - self.begin, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            share = f"{self.done}/{self.total} {self.unit}, {rate:.3g}/s, {left:.0f} s left"
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
