"""Runs one command, and others beside it, one after another: the tests, and what needs a processor and no clock.

    python3 .ci/beside.py FIRST -- OTHER...

Each argument is a command line. What FIRST prints is seen at once; what the others print, at the end, in the order of
the arguments, but last that of one that failed. Status 0 when all ended with 0. As soon as one does not, no other
begins, those that run are stopped, and its status is ours.

The others have a lower priority when they are started with ``nice``. Stopped are only groups of processes made here,
first as by Ctrl-C, so that tests put away what they have set up.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from os import killpg
from pathlib import Path
from types import FrameType

GRACE_S = 20.0
POLL_S = 0.1


class Part:
    """A command, running or ended, in a process group of its own."""

    def __init__(self, command: str, output: Path | None) -> None:
        """Starts it; what it prints goes into the file, or with None where our own goes."""
        self._command = command
        self._output = output
        self._begun = time.monotonic()
        self._took_s: float | None = None
        with contextlib.ExitStack() as stack:
            target = None if output is None else stack.enter_context(output.open("wb"))
            # Not in a session of its own: Linux may share out processors by session, and then nice counts only within.
            self._process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.DEVNULL, stdout=target, stderr=target, process_group=0
            )

    def status(self) -> int | None:
        """Its exit status, 128 + N when signal N ended it; None while it runs."""
        status = self._process.poll()
        if status is not None and self._took_s is None:
            self._took_s = time.monotonic() - self._begun
        return 128 - status if status is not None and status < 0 else status

    def stop(self) -> None:
        """Ends what of it still runs: as by Ctrl-C, and after a while in any case."""
        if self.status() is None:
            killpg(self._process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
            with contextlib.suppress(ProcessLookupError):
                killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def show(self) -> None:
        """Prints what it has printed, unless that was seen, and how it ended."""
        if self._output is not None:
            sys.stdout.flush()
            sys.stdout.buffer.write(self._output.read_bytes())
        status = self.status()
        print(f"--- {self._command}: status {status} after {self._took_s:.0f} s", flush=True)


def run(first: str, others: list[str], folder: Path) -> int:
    """Runs all, with files of their output in ``folder``; returns the status of the first that failed, or 0."""
    front = Part(first, None)
    beside: list[Part] = []
    failed: list[Part] = []
    try:
        while True:
            running = [part for part in (front, *beside) if part.status() is None]
            failed = [part for part in (front, *beside) if part.status()]
            waiting = others[len(beside) :]
            if failed or not (running or waiting):
                break
            if waiting and running in ([], [front]):
                beside.append(Part(waiting[0], folder / str(len(beside))))
            else:
                time.sleep(POLL_S)
    finally:
        for part in (front, *beside):
            part.stop()
        for part in sorted((front, *beside), key=failed.__contains__):
            part.show()
    return failed[0].status() or 0 if failed else 0


def ended_by(number: int, _frame: FrameType | None) -> None:
    """A signal that is to end this script ends what it has started, too."""
    raise SystemExit(128 + number)


def main() -> int:
    words = sys.argv[1:]
    if words[1:2] != ["--"]:
        raise SystemExit(f"expected FIRST -- OTHER..., got {words}")
    signal.signal(signal.SIGTERM, ended_by)
    # In the background of a script SIGINT is ignored, also by what is started here, and would stop nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        return run(words[0], words[2:], Path(folder))


if __name__ == "__main__":
    sys.exit(main())
