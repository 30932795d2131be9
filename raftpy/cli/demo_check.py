"""The check at the end of the demo: what was acknowledged must be on every replica, asked for by itself.

Each replica is read with ``consistency=stale``, which it answers from its own state without the leader. First their
applied indexes must be equal; then its listing must show each acknowledged key at exactly the version (the log index)
it was acknowledged with, and each value must be what was written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from raftpy.cli.addresses import Address
from raftpy.cli.demo_http import Connection
from raftpy.cli.errors import CommandFailed
from raftpy.cli.http_client import PAGE

BATCH = 100
"""Values asked for at once."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What one replica holds of the acknowledged writes."""

    found: int
    """How many of them are there, as they were acknowledged."""
    missing: list[str]
    """Keys that are not there, or not with the version and the value that were acknowledged."""


async def status_of(connection: Connection, timeout: float = 1.0) -> dict[str, Any] | None:
    """What a node says about itself; None when it does not answer within ``timeout`` seconds."""
    try:
        reply = await connection.request("GET", "/v1/status", timeout=timeout)
        status: dict[str, Any] = reply.json()
        return status if reply.status == 200 else None
    except (OSError, EOFError, TimeoutError, ValueError):
        return None


async def wait_until_level(addresses: Iterable[Address], at_least: int, timeout: float = 15.0) -> int:
    """Waits until all replicas have applied the same index, ``at_least`` or later, and returns it; ``timeout`` in
    seconds."""
    connections = [Connection(address) for address in addresses]
    deadline = time.monotonic() + timeout
    applied: list[int | None] = []
    try:
        while time.monotonic() < deadline:
            answers = await asyncio.gather(*(status_of(connection) for connection in connections))
            applied = [answer["applied_index"] if answer is not None else None for answer in answers]
            first = applied[0]
            if first is not None and first >= at_least and len(set(applied)) == 1:
                return first
            await asyncio.sleep(0.05)
    finally:
        for connection in connections:
            connection.close()
    shown = ", ".join("no answer" if index is None else str(index) for index in applied)
    raise CommandFailed(f"the replicas did not reach index {at_least} together in {timeout:g} s; they are at: {shown}")


async def listing_of(connection: Connection, prefix: str) -> dict[str, tuple[int, int]]:
    """The keys of one replica: key to (version, size)."""
    found: dict[str, tuple[int, int]] = {}
    after, more = "", True
    while more:
        query = urlencode({"prefix": prefix, "after": after, "limit": PAGE, "consistency": "stale"})
        page = (await connection.request("GET", f"/v1/kv?{query}")).json()
        found.update((item["key"], (item["version"], item["size"])) for item in page["items"])
        more = page["more"]
        after = page["items"][-1]["key"] if page["items"] else ""
    return found


async def values_of(connection: Connection, keys: list[str]) -> dict[str, bytes | None]:
    """The values of one replica; None for a key that is not there."""
    values: dict[str, bytes | None] = {}
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        replies = await connection.pipeline([f"/v1/kv/{quote(key)}?consistency=stale" for key in batch])
        values.update(
            (key, reply.body if reply.status == 200 else None) for key, reply in zip(batch, replies, strict=True)
        )
    return values


async def check_replica(address: Address, acknowledged: Mapping[str, tuple[int, bytes]], prefix: str) -> Replica:
    """Compares one replica with what was acknowledged."""
    connection = Connection(address)
    try:
        listing = await listing_of(connection, prefix)
        values = await values_of(connection, list(acknowledged))
    finally:
        connection.close()
    missing = [
        key
        for key, (version, value) in acknowledged.items()
        if listing.get(key) != (version, len(value)) or values.get(key) != value
    ]
    return Replica(len(acknowledged) - len(missing), missing)
