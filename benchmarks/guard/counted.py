"""What is counted: runs below callgrind, from benchmarks.guard.callgrind, and marks where each work begins and ends.

    python -m benchmarks.guard.counted REQUESTS

REQUESTS is requests.c, compiled. Each work runs a few times before it counts; the collector is off while it does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.core import SIZE, Cores, CoresInC
from benchmarks.micro import MICRO

BATCHES = {1: 100, 10: 60, 100: 30, 1000: 20}
"""How many batches of a size are committed by the core works."""


def core(batch: int, times: int) -> Callable[[], object]:
    """Batches committed and applied on three cores."""
    cores = Cores()
    commands = [bytes(SIZE)] * batch

    def work() -> None:
        for _ in range(times):
            cores.commit(commands)

    return work


def core_in_c(batch: int, times: int) -> Callable[[], object]:
    """The same, driven by a loop in C."""
    cores = CoresInC()
    commands = [bytes(SIZE)] * batch
    return lambda: cores.commit(commands, times)


class Transport:
    """A small message goes from one node's socket to another's, over loopback; what the kernel does is not counted."""

    def __init__(self, times: int = 100) -> None:
        # Imported when everything else has been counted, which so finds the memory as it was without it.
        from benchmarks.transport import acquainted, heartbeat

        self._times, self._message = times, heartbeat()
        self._loop = asyncio.new_event_loop()
        self._one, self._two = self._loop.run_until_complete(acquainted())

    def __call__(self) -> None:
        one, two, message = self._one, self._two, self._message
        for _ in range(self._times):
            one.send(message)
            one.flush()
            if len(two.receive()) != 1:
                raise SystemExit("a message did not arrive over loopback")

    def __del__(self) -> None:
        self._one.close()
        self._two.close()
        self._loop.close()


def works() -> dict[str, Callable[[], Callable[[], object]]]:
    """All that is counted, by name; each call makes the work anew."""
    found: dict[str, Callable[[], Callable[[], object]]] = {
        f"{name}[{batch}]": partial(driven, batch, times)
        for name, driven in (("core", core), ("core_in_c", core_in_c))
        for batch, times in BATCHES.items()
    }
    return found | {micro.name: micro.make for micro in MICRO} | {"transport[1]": Transport}


def main() -> None:
    """Runs every work once for the counter."""
    requests = ctypes.CDLL(sys.argv[1])
    if not requests.under_valgrind():
        raise SystemExit("this program is to be run below valgrind, by python -m benchmarks.guard")
    begin, zero, dump = requests.begin, requests.zero, requests.dump
    begin()
    for name, make in works().items():
        work = make()
        work()
        work()
        gc.collect()
        gc.disable()
        zero()
        work()
        dump(name.encode())
        gc.enable()
        del work


if __name__ == "__main__":
    main()
