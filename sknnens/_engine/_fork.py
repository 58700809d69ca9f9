"""Computing in a process that was forked."""

import ctypes
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Process:
    """Whether this one is the fork of another."""

    is_fork = False

    @classmethod
    def note_fork(cls) -> None:
        cls.is_fork = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Process.note_fork)


def survives_fork(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that computes with several threads do so in a forked process, too.

    The thread that comes out of a fork takes OpenMP's other threads to be there, and would wait for
    them for ever. A new thread gets new ones.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _Process.is_fork or threading.current_thread() is not threading.main_thread():
            return function(*args, **kwargs)
        work = partial(function, *args, **kwargs)
        with ThreadPoolExecutor(1) as pool:
            thread = pool.submit(threading.get_ident).result()
            future = pool.submit(copy_context().run, work)
            while True:
                try:
                    return future.result()
                except KeyboardInterrupt:
                    if future.done():
                        return future.result()
                    # Ctrl-C came to this thread, which only waits; the other one knows what to do
                    interrupt = ctypes.py_object(KeyboardInterrupt)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), interrupt)

    return wrapper
