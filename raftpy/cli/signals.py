"""Which signals end a command that runs for long, so that they end it through its clean-up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def on_stop(loop: asyncio.AbstractEventLoop, called: Callable[[signal.Signals], object]) -> None:
    """Calls ``called(signal)`` in the loop for SIGTERM, SIGINT and SIGHUP, from now on, in place of their default.

    SIGHUP (the terminal is gone) is left alone when this process was started with it ignored, which is what ``nohup``
    does. Only in the main thread.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, called, number)
