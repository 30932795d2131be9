"""Writes that change their minds: a few keys put, swapped and deleted over and over, from what was last heard of them.

Their outcome is not followed; they are there so that the replicas have something to disagree about.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from raftpy.cli.addresses import Address, parse_http
from raftpy.cli.demo_http import Connection, Reply

KEYS = 12


class Churn:
    """Runs until cancelled. ``counts`` says how often each answer came."""

    def __init__(self, addresses: Sequence[Address], seed: int, prefix: str) -> None:
        self._connections = {address: Connection(address) for address in addresses}
        self._turns = itertools.cycle(addresses)
        self._target = next(self._turns)
        self._random = random.Random(seed)
        self._prefix = prefix
        self._versions: dict[str, int] = {}
        self.counts: dict[int, int] = {}

    async def run(self) -> None:
        try:
            for number in itertools.count():
                await self._one(number)
                await asyncio.sleep(0.005)
        finally:
            for connection in self._connections.values():
                connection.close()

    async def _one(self, number: int) -> None:
        choose = self._random
        key = f"{self._prefix}{choose.randrange(KEYS)}"
        headers = {}
        method = choose.choice(["PUT", "PUT", "PUT", "DELETE"])
        condition = choose.random()
        if condition < 0.4:
            headers["If-Match"] = f'"{self._versions.get(key, 1)}"'
        elif condition < 0.6 and method == "PUT":
            headers["If-None-Match"] = "*"
        value = choose.randbytes(choose.randrange(200)) if method == "PUT" else b""
        try:
            reply = await self._connections[self._target].request(
                method, f"/v1/kv/{key}", value + b"%d" % number if method == "PUT" else b"", 8.0, headers
            )
        except (OSError, EOFError, TimeoutError):
            self._target = next(self._turns)
            await asyncio.sleep(0.02)
            return
        self._learn(key, reply)

    def _learn(self, key: str, reply: Reply) -> None:
        self.counts[reply.status] = self.counts.get(reply.status, 0) + 1
        if reply.status == 307:
            with suppress(ValueError):
                self._target = parse_http(urlsplit(reply.headers["location"]).netloc)
        elif reply.status == 503:
            self._target = next(self._turns)
        elif reply.status == 200:
            self._versions[key] = reply.json()["index"]
        elif reply.status == 412:
            self._versions[key] = reply.json()["version"]
