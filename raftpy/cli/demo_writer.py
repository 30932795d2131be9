"""A stream of writes that remembers every acknowledgement, and sees how long there were none.

Each key is written once. An answer 200 makes it *acknowledged*, with its version; 307 and 503 mean that nothing was
appended, so the same key goes to the next node; anything else leaves its fate *unknown*: it may or may not be there,
both are right, and the writer goes on with the next key.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from raftpy.cli.addresses import Address, parse_http
from raftpy.cli.demo_http import Connection

WORKERS = 4
RATE = 400
"""Writes a second, all workers together: a stream to watch, and little enough to read all of it back at the end."""

PAUSE = 0.01
"""Seconds before asking the next node, when one has refused."""

ANSWER_TIMEOUT = 8.0
"""Seconds; longer than the server takes to answer 504."""


class Writer:
    """Writes until told to stop. ``prefix`` begins every key."""

    def __init__(
        self, addresses: Sequence[Address], *, prefix: str = "demo/", rate: float = RATE, workers: int = WORKERS
    ) -> None:
        self._addresses = itertools.cycle(addresses)
        self._leader = next(self._addresses)  # our best idea of it
        self._prefix = prefix
        self._interval = workers / rate
        self._workers = workers
        self._stopping = False
        self._started: float | None = None
        self.acknowledged: dict[str, tuple[int, bytes]] = {}
        """Key to (version, value)."""
        self.unknown: dict[str, bytes] = {}
        """Key to value, of the writes whose fate nobody knows."""
        self.last_term = 0
        """Of the newest acknowledgement."""
        self._lost: tuple[float, int] | None = None
        self.outage: float | None = None
        """Seconds from ``leader_lost`` to the first acknowledgement of a later term; None until then."""

    def leader_lost(self, term: int) -> None:
        """Call at the moment the leader of that term is killed: the outage begins."""
        self._lost, self.outage = (time.monotonic(), max(term, self.last_term)), None

    @property
    def rate(self) -> float:
        """Acknowledged writes a second, from the start until now."""
        return len(self.acknowledged) / (time.monotonic() - self._started) if self._started is not None else 0.0

    def stop(self) -> None:
        """No new writes; ``run`` returns when those under way have their answer."""
        self._stopping = True

    async def run(self) -> None:
        """Writes, with all workers."""
        self._started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for worker in range(self._workers):
                group.create_task(self._work(worker))

    async def _work(self, worker: int) -> None:
        connections: dict[Address, Connection] = {}
        due = time.monotonic() + self._interval * worker / self._workers
        try:
            for number in itertools.count(1):
                await asyncio.sleep(due - time.monotonic())
                if self._stopping:
                    return
                key = f"{self._prefix}{worker}/{number:06d}"
                await self._write(connections, key, f"write {number} of worker {worker}".encode())
                # Not due + interval: what an outage held up is not made up for in a burst.
                due = max(due + self._interval, time.monotonic())
        finally:
            for connection in connections.values():
                connection.close()

    async def _write(self, connections: dict[Address, Connection], key: str, value: bytes) -> None:
        """One key, until it is acknowledged or its fate is unknown; or not at all, when told to stop before."""
        while not self._stopping:
            address = self._leader
            connection = connections.setdefault(address, Connection(address))
            try:
                await connection.connect()
            except OSError:
                await self._elsewhere(address)
                continue
            try:
                reply = await connection.request("PUT", f"/v1/kv/{key}", value, ANSWER_TIMEOUT)
            except (OSError, EOFError, TimeoutError):
                self.unknown[key] = value
                await self._elsewhere(address)
                return
            if reply.status == 200:
                self._acknowledge(key, value, reply.json())
                return
            if reply.status == 307:
                target = parse_http(urlsplit(reply.headers["location"]).netloc)
                await self._elsewhere(address, target)
            elif reply.status == 503:
                await self._elsewhere(address)
            else:
                self.unknown[key] = value
                return

    def _acknowledge(self, key: str, value: bytes, answer: dict[str, int]) -> None:
        self.acknowledged[key] = (answer["index"], value)
        self.last_term = max(self.last_term, answer["term"])
        # An acknowledgement of the old leader may still have been on its way to us.
        if self._lost is not None and self.outage is None and answer["term"] > self._lost[1]:
            self.outage = time.monotonic() - self._lost[0]

    async def _elsewhere(self, refused: Address, target: Address | None = None) -> None:
        """Turns to the node named, or to the next one, unless another worker has turned already."""
        if self._leader == refused:
            self._leader = target or next(self._addresses)
        await asyncio.sleep(PAUSE if target is None else PAUSE / 10)
