"""A process that runs seeds, from the side of who asks it; what it does itself is worker.py."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from raftpy.sim.outcome import Failure

DIED = "process died"
"""The check that fails when a seed takes its process with it."""
ENDLESS = "no end"
"""The check that fails when a run takes longer than it may, in real time."""
LAST_WORDS = 2_000
"""Bytes of what a process said before it died."""
LAST_MOMENT_S = 5.0
"""Seconds that a process gets to end once it has closed its output."""


class Answer(NamedTuple):
    """What a process says of a seed, or what is said of the process."""

    failure: Failure | None
    """None: everything held."""
    hash: str
    """Of all events; empty if the run has not come to an end."""
    events: int = 0
    """How many there were."""
    virtual_s: float = 0.0
    """How long it took, in virtual seconds."""
    seconds: float = 0.0
    """What it took of a processor, in real seconds."""
    reached: Mapping[str, int] = MappingProxyType({})
    """See ``Outcome``."""


class Worker:
    """A process that runs one seed at a time."""

    def __init__(self, hash_seed: int, run: str, draw: str) -> None:
        self.hash_seed = hash_seed
        self.seed = 0
        self.since = 0.0
        self._command = [sys.executable, "-P", "-m", "raftpy.sim.worker", run, draw]
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._words: Any = None

    def ask(self, seed: int) -> None:
        """Starts the process, if it is not there, and has it run a seed."""
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self.seed, self.since = seed, time.monotonic()
        try:
            self._process.stdin.write(b"%d\n" % seed)
            self._process.stdin.flush()
        except OSError:
            pass  # it has just died, which its output will say

    def _start(self) -> None:
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - ``stop`` closes it
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(self.hash_seed)},
            start_new_session=True,  # Ctrl-C is for the search, which ends them
        )

    @property
    def output(self) -> int:
        """The descriptor on which it answers."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def answer(self) -> Answer | None:
        """Its answer, once there is output; None: that was not all of it."""
        data = os.read(self.output, 1 << 16)
        if not data:
            return Answer(Failure(DIED, self.stop(), 0.0), "")
        self._buffer += data
        if not self._buffer.endswith(b"\n"):
            return None
        said, self._buffer = json.loads(self._buffer), b""
        failure = None if said["failure"] is None else Failure(*said["failure"])
        return Answer(failure, said["hash"], said["events"], said["virtual_s"], said["seconds"], dict(said["reached"]))

    def give_up(self, limit_s: float) -> Answer:
        """Ends the process, which has run its seed for too long."""
        self.stop()
        return Answer(Failure(ENDLESS, f"the run has not ended in {limit_s:g} s of real time", 0.0), "")

    def stop(self) -> str:
        """Ends the process, if there is one, and says how it has ended and what it said on its error output."""
        process, self._process, self._buffer = self._process, None, b""
        if process is None:
            return ""
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # Who has closed its output is about to end by itself, with a status that is worth knowing.
            process.wait(LAST_MOMENT_S if self._is_at_end(process.stdout.fileno()) else 0)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
        process.stdout.close()
        try:
            process.stdin.close()
        except OSError:
            pass  # what it was still to be told is of no use any more
        with self._words as words:
            words.seek(max(words.seek(0, os.SEEK_END) - LAST_WORDS, 0))
            said = words.read().decode(errors="replace").strip() or "it said nothing"
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"the process that ran it has ended: {how}\n{said}"

    @staticmethod
    def _is_at_end(output: int) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            return bool(selector.select(0)) and not os.read(output, 1)
