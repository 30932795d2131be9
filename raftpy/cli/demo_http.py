"""A keep-alive HTTP connection for the demo: just enough of HTTP/1.1 for raftpy's own server, and pipelining.

An HTTP library for asyncio would do, but costs more time to load and to run than the requests themselves; the demo
sends tens of thousands of them from beside the cluster that it measures.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from raftpy.cli.addresses import Address


class Reply(NamedTuple):
    """One answer. ``status`` is the HTTP status, ``headers`` have lower-case names, ``body`` is whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as what its JSON says; ValueError when it is none."""
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """One connection to the node at ``address``. After any exception (``OSError``, ``EOFError``, ``TimeoutError``) it
    is closed; ``reader`` and ``writer`` are None then."""

    address: Address
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Opens the connection if it is not open; what fails here has sent nothing."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(
                self.address.host, self.address.port, limit=1 << 20
            )

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Sends one request and reads its answer, in ``timeout`` seconds."""
        return (await self._exchange([self._encode(method, path, body, headers or {})], timeout))[0]

    async def pipeline(self, paths: Sequence[str], timeout: float = 10.0) -> list[Reply]:
        """Sends a GET for each path at once and reads their answers in order, in ``timeout`` seconds."""
        return await self._exchange([self._encode("GET", path, b"", {}) for path in paths], timeout)

    async def _exchange(self, requests: Sequence[bytes], timeout: float) -> list[Reply]:
        try:
            async with asyncio.timeout(timeout):
                await self.connect()
                assert self.writer is not None
                self.writer.write(b"".join(requests))
                return [await self._reply() for _ in requests]
        except BaseException:
            self.close()
            raise

    def _encode(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if method == "PUT":
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def _reply(self) -> Reply:
        assert self.reader is not None
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(head[0].split(" ", 2)[1]), headers, body)

    def close(self) -> None:
        """Closes it; the next request opens it again."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
