"""Stops at exit what still runs: servers, models, generations in other threads."""

from __future__ import annotations

import atexit
import os
import threading
import time
import traceback
import weakref
from typing import Protocol

_LONGEST_WAIT_SECONDS = 5.0


class Closable(Protocol):
    def close(self) -> None: ...


_open: weakref.WeakSet[Closable] = weakref.WeakSet()
_process = os.getpid()


def close_at_exit(thing: Closable) -> None:
    _open.add(thing)


class Calls:
    """Counts calls into the library, so that closing can end and await them. Thread-safe."""

    def __init__(self, what: str) -> None:
        self.is_closed = False
        self._what = what
        self._lock = threading.Lock()
        self._threads: list[int] = []  # one entry a call

    def __enter__(self) -> None:
        with self._lock:
            if self.is_closed:
                raise ValueError(f"{self._what} is closed")
            self._threads.append(threading.get_ident())

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._threads.remove(threading.get_ident())

    def close(self) -> None:
        """Refuses further calls, and waits for those of other threads to see it."""
        self.is_closed = True
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while self._others_run() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _others_run(self) -> bool:
        with self._lock:
            return any(thread != threading.get_ident() for thread in self._threads)


@atexit.register
def _close_all() -> None:
    if os.getpid() != _process:  # a fork: these belong to the parent
        return
    for thing in list(_open):
        try:
            thing.close()
        except Exception:
            traceback.print_exc()
