"""One member of PySyncObj, told what to do as benchmarks/member.py is: the same orders, the same figures.

    python -m benchmarks.peers.pysyncobj_member --id 1 --cluster 1=127.0.0.1:1,... --data DIR [--batch]

Its journal is a file that it maps into memory and never syncs, so what is measured is not durable. The tick is set to
a millisecond instead of 50; ``--batch`` leaves its batching on, for throughput; without it a command leaves at once, as
its documentation advises for single requests.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

from benchmarks.load import LONGEST_WARM_UP_S, SAMPLED, WARM_UP
from benchmarks.rows import percentiles

TICK_S = 0.001
HEARTBEAT_S = 0.05


class Counter(SyncObj):  # type: ignore[misc]
    """The replicated object: it counts commands."""

    def __init__(self, own: str, others: list[str], settings: SyncObjConf) -> None:
        super().__init__(own, others, settings)
        self.count = 0

    @replicated  # type: ignore[untyped-decorator]
    def add(self, command: bytes) -> int:
        """One more; gives the count."""
        self.count += 1
        return self.count


def sequential(machine: Counter, size: int, count: int) -> dict[str, float]:
    """One command after the other."""
    command = os.urandom(size)
    taken = []
    for number in range(WARM_UP + count):
        began = time.perf_counter()
        machine.add(command, sync=True, timeout=10)
        if number >= WARM_UP:
            taken.append(time.perf_counter() - began)
    return {**percentiles(taken), "operations": WARM_UP + count}


class Crowd:
    """``clients`` commands in flight, each followed by the next of its client when it is committed."""

    def __init__(self, machine: Counter, command: bytes, clients: int) -> None:
        self._machine, self._command, self._clients = machine, command, clients

    def run(self, seconds: float) -> dict[str, float]:
        """Keeps them in flight for ``seconds``."""
        self.taken: list[float] = []
        self.done = 0
        self.failed: str | None = None
        self._left = self._clients
        self._ended = threading.Event()
        began = time.perf_counter()
        self._until = began + seconds
        for client in range(self._clients):
            self._send(client)
        if not self._ended.wait(seconds + 30):
            raise RuntimeError("commands in flight did not come back within 30 s")
        if self.failed:
            raise RuntimeError(self.failed)
        elapsed = time.perf_counter() - began
        return {**percentiles(self.taken), "rate": round(self.done / elapsed, 1), "operations": self.done}

    def _send(self, client: int) -> None:
        began = time.perf_counter()

        def back(_result: Any, error: int) -> None:  # in PySyncObj's thread
            now = time.perf_counter()
            if error != FAIL_REASON.SUCCESS:
                self.failed = f"a command failed with reason {error}"
            self.done += 1
            if client % SAMPLED == 0:
                self.taken.append(now - began)
            if now < self._until and not self.failed:
                self._send(client)
                return
            self._left -= 1
            if not self._left:
                self._ended.set()

        self._machine.add(self._command, callback=back)


def answer(machine: Counter, ids: dict[str, int], order: dict[str, Any]) -> dict[str, Any]:
    """What one order gives."""
    match order["do"]:
        case "leader":
            until = time.monotonic() + 30
            while (leader := machine._getLeader()) is None or not machine.isReady():
                if time.monotonic() > until:
                    return {"error": "no leader within 30 s"}
                time.sleep(0.005)
            return {"leader": ids[str(leader)]}
        case "sequential":
            return sequential(machine, int(order["size"]), int(order["count"]))
        case "in_flight":
            crowd = Crowd(machine, os.urandom(int(order["size"])), int(order["concurrency"]))
            warmed = crowd.run(min(LONGEST_WARM_UP_S, order["seconds"] / 4))
            figures = crowd.run(order["seconds"])
            return {**figures, "operations": warmed["operations"] + figures["operations"]}
        case "usage":
            used = resource.getrusage(resource.RUSAGE_SELF)
            return {"cpu_s": used.ru_utime + used.ru_stime, "applied": machine.count}
        case other:
            return {"error": f"unknown order {other!r}"}


def main() -> None:
    """Starts the member, says so, and serves until standard input ends."""
    parser = argparse.ArgumentParser(description="a member of a PySyncObj cluster for benchmarks.compare")
    parser.add_argument("--id", type=int, required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", action="store_true")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    addresses = {int(number): address for number, _, address in (m.partition("=") for m in options.cluster.split(","))}
    own = addresses.pop(options.id)
    settings = SyncObjConf(
        autoTickPeriod=TICK_S,
        appendEntriesPeriod=HEARTBEAT_S,
        appendEntriesUseBatch=options.batch,
        connectionRetryTime=0.1,
        journalFile=str(options.data / "journal"),
    )
    machine = Counter(own, list(addresses.values()), settings)
    ids = {address: number for number, address in {**addresses, options.id: own}.items()}
    print(json.dumps({"started": options.id}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "stop":
            break
        try:
            said = answer(machine, ids, order)
        except Exception as error:  # whatever it is, the driver hears of it
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
    os._exit(0)  # PySyncObj's threads do not end by themselves


if __name__ == "__main__":
    main()
