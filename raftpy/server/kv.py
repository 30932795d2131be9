"""The handlers of /v1/kv: what a request asks of the log and of the store, and what its outcome means in HTTP."""

from __future__ import annotations

from aiohttp import web

from raftpy.replicated import kv_commands
from raftpy.replicated.kv import Item, KeyValueStore, Kind, Outcome
from raftpy.server.bodies import Bodies
from raftpy.server.errors import bad_request, in_pieces, json_response, not_found, too_large, version_mismatch
from raftpy.server.proposer import Proposer
from raftpy.server.request import (
    LONGEST_KEY,
    body_of,
    check_length,
    if_match,
    if_none_match,
    key_of,
    limit_of,
    query_of,
    wants_stale,
)

DEFAULT_LIMIT = 1000
MOST_ITEMS = 10_000
"""A listing is made in one go, on the loop that also keeps the heartbeats."""


class KeyValueHandlers:
    """One method a route. Writes go through the log; reads wait for a read index, unless ``?consistency=stale``.

    What is wrong with a request is raised as ``ApiError``, what the node raises goes through; dispatch.py makes answers
    of both. The statuses, headers and bodies are those of docs/http-api.md.
    """

    def __init__(self, proposer: Proposer, store: KeyValueStore, bodies: Bodies) -> None:
        self._proposer = proposer
        self._bodies = bodies
        self._store = store

    async def put(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 with the new version; 412 when the condition does not hold."""
        key = key_of(request)
        query_of(request, ())
        version, absent = if_match(request), if_none_match(request)
        if version is not None and absent:
            raise bad_request("If-Match and If-None-Match are both given: one of them is allowed")
        overhead = kv_commands.PLAIN_OVERHEAD if version is None else kv_commands.VERSIONED_OVERHEAD
        room = self._room_for_value(key, overhead)
        why = " with this key and these conditions"
        check_length(request, room, why=why)
        async with self._bodies.place(request.content_length, room):
            body = await body_of(request, room, why=why)
            command = _put_command(key, body, version, absent)
            del body  # which may have many megabytes; while it waits for its commit, there is only the command
            written = await self._proposer.write(command)
        return self._write_response(key, *written)

    async def delete(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 when it was there; 404 when not; 412 when it has another version than If-Match says."""
        key = key_of(request)
        query_of(request, ())
        version = if_match(request)
        if request.headers.get("If-None-Match") is not None:
            raise bad_request("If-None-Match has no meaning for DELETE: If-Match is allowed")
        if version is None:
            command = kv_commands.delete(key)
        else:
            command = kv_commands.delete_if_version(key, version)
        return self._write_response(key, *await self._proposer.write(command))

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """The bytes, with the version as ETag; also answers HEAD."""
        key = key_of(request)
        query = query_of(request, ("consistency",))
        await self._reach_consistency(query)
        stored = self._store.get(key)
        index = {"X-Raft-Index": str(self._store.applied_index)}
        if stored is None:
            raise not_found(f"no such key: {key.decode()!r}", headers=index)
        headers = {"ETag": f'"{stored.version}"', "Cache-Control": "no-store", **index}
        body = in_pieces(stored.value)
        return web.Response(body=body, headers=headers, content_type="application/octet-stream")

    async def list(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keys in order, at most ``limit``; ``after`` goes on where the last listing ended."""
        query = query_of(request, ("prefix", "limit", "after", "consistency"))
        prefix, after = query.get("prefix", "").encode(), query.get("after", "").encode()
        limit = limit_of(query, DEFAULT_LIMIT, MOST_ITEMS)
        await self._reach_consistency(query)
        items, more = _nameable(self._store, prefix, limit, after)
        listing = [{"key": item.key.decode(), "version": item.version, "size": item.size} for item in items]
        headers = {"X-Raft-Index": str(self._store.applied_index), "Cache-Control": "no-store"}
        return json_response({"items": listing, "more": more}, headers=headers)

    async def _reach_consistency(self, query: dict[str, str]) -> None:
        """Returns when what is applied here is recent enough for the request.

        Once the read index is applied, so is every write acknowledged before the request came. The store may have
        moved on since, which makes the answer newer and never older.
        """
        if wants_stale(query):
            self._proposer.check_serving()
        else:
            await self._proposer.read()

    def _room_for_value(self, key: bytes, overhead: int) -> int:
        """How many bytes of value fit one command beside the key."""
        most = self._proposer.max_command
        room = most - overhead - len(key)
        if room < 0:
            raise too_large(f"a key of {len(key)} bytes is too large: at most {most - overhead} bytes")
        return room

    @staticmethod
    def _write_response(key: bytes, outcome: Outcome, term: int) -> web.Response:
        headers = {"X-Raft-Index": str(outcome.index)}
        if outcome.kind is Kind.MISSING:
            raise not_found(f"no such key: {key.decode()!r}", headers=headers)
        if outcome.kind is Kind.MISMATCH:
            found = f"has version {outcome.version}" if outcome.version else "is not there"
            message = f"the condition does not hold: key {key.decode()!r} {found}"
            raise version_mismatch(message, outcome.version, headers=headers)
        if outcome.kind is Kind.WRITTEN:
            headers["ETag"] = f'"{outcome.version}"'
        return json_response({"index": outcome.index, "term": term}, headers=headers)


def _put_command(key: bytes, value: bytes, version: int | None, absent: bool) -> bytes:
    if version is not None:
        return kv_commands.put_if_version(key, value, version)
    return kv_commands.put_if_absent(key, value) if absent else kv_commands.put(key, value)


def _nameable(store: KeyValueStore, prefix: bytes, limit: int, after: bytes) -> tuple[list[Item], bool]:
    """As ``KeyValueStore.scan``, without the keys that nobody could name in a request."""
    found: list[Item] = []
    more = True
    while more and len(found) < limit:
        items, more = store.scan(prefix, limit - len(found), after)
        found += [item for item in items if len(item.key) <= LONGEST_KEY]
        after = items[-1].key if items else after
    return found, more
