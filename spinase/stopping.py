"""Stopping on request: signals that ask a long task to stop are remembered, and the task stops at its next safe place."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class RunStopped(Exception):  # noqa: N818
    """A long task stopped early, on request or by a signal, and can go on from what it has written."""


@dataclass
class StopRequest:
    """Whether a signal has asked the task to stop.

    Attributes
    ----------
    received : int or None
        Number of the first signal.
    """

    received: int | None = None

    def remember(self, number: int, _: Any = None) -> None:
        """Signal handler: the first signal is remembered, a second one interrupts at once."""
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        if number == signal.SIGINT and sys.stderr.isatty():
            os.write(2, b"\nstopping at the next place to go on from; once more: at once\n")

    def told(self) -> str:
        """`` by signal 15 (SIGTERM)``, or nothing."""
        return "" if self.received is None else f" by signal {self.received} ({signal.Signals(self.received).name})"

    def check(self, what: str) -> None:
        """Stop here if asked to; `what` says how to go on.

        Raises
        ------
        RunStopped
        """
        if self.received is not None:
            raise RunStopped(f"stopped{self.told()}; {what}")


@contextlib.contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """SIGINT, SIGTERM and SIGHUP ask the task inside to stop (its own business where); a second signal interrupts it.

    Tasks may hold others: a signal that an inner one received is passed on to the outer one when the inner one ends, so it
    is not forgotten where the inner one was done already.  Outside the main thread signals are not touched.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.remember) for number in SIGNALS if not _ignored(number)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        outer = getattr(before.get(request.received), "__self__", None) if request.received is not None else None
        if isinstance(outer, StopRequest) and outer.received is None:
            outer.received = request.received


def _ignored(number: int) -> bool:
    """Whether the process was started to ignore this signal, as ``nohup`` does with SIGHUP: then it stays so."""
    return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN
