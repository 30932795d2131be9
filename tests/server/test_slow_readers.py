"""Clients that do not read their answers keep nobody away, and are not cut off while there is room."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import pytest
from aiohttp import web

from raftpy.server.app import start_server
from raftpy.server.connections import Connections
from raftpy.server.dispatch import ApiConnection, ApiServer, Dispatcher
from raftpy.server.errors import json_response
from tests.server.support import Cluster, ask

MOST_OPEN = 4
ASKED = 600
VALUE = bytes(50_000)
GET = b"GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_GET = b"GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def port() -> Iterator[int]:
    with Cluster(1, connections=MOST_OPEN) as cluster:
        cluster.leader()
        assert ask(cluster.port[1], "PUT", "/v1/kv/k", VALUE).status == 200
        yield cluster.port[1]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def small_socket(stack: ExitStack) -> socket.socket:
    """One whose receive buffer is full soon."""
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    return client


def ask_much(stack: ExitStack, port: int) -> socket.socket:
    """A connection that has asked for 30 MB, more than all buffers hold, and is being answered, but reads nothing."""
    client = small_socket(stack)
    client.settimeout(10)
    client.connect(("127.0.0.1", port))
    client.sendall(GET * (ASKED - 1) + LAST_GET)
    assert client.recv(15, socket.MSG_PEEK) == b"HTTP/1.1 200 OK"
    return client


def answers(client: socket.socket) -> int:
    """Reads to the end: how many whole answers there were."""
    got = bytearray()
    try:
        while part := client.recv(1 << 20):
            got += part
    except ConnectionError:
        pass
    return got.count(b"HTTP/1.1 200 OK") - (not got.endswith(VALUE))


def test_who_reads_nothing_keeps_nobody_away(port: int, stack: ExitStack) -> None:
    silent = [ask_much(stack, port) for _ in range(MOST_OPEN)]
    time.sleep(1)  # until all buffers between are full, and the server waits
    assert [ask(port, "GET", "/v1/kv/k").status for _ in range(MOST_OPEN)] == [200] * MOST_OPEN
    assert any(answers(client) < ASKED for client in silent)


def test_who_reads_late_gets_all_while_there_is_room(port: int, stack: ExitStack) -> None:
    late = [ask_much(stack, port) for _ in range(MOST_OPEN // 2)]
    time.sleep(0.5)
    assert ask(port, "GET", "/v1/kv/k").status == 200
    assert [answers(client) for client in late] == [ASKED] * len(late)


# --- One server without a node ----------------------------------------------------------------------------------------

LONG = "x" * (16 << 20)


async def long_answer(_: web.BaseRequest) -> web.StreamResponse:
    return json_response(LONG)


class Served:
    """A server of long answers, and what its connections are."""

    def __init__(self, most: int) -> None:
        self.connections = Connections(most)
        self.server = ApiServer(Dispatcher({"/long": {"GET": long_answer}}, {}), self.connections)
        self.address = ("", 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Served]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.address = listener.getsockname()
        runner = await start_server(self.server, listener)
        try:
            async with asyncio.timeout(20):
                yield self
        finally:
            await runner.cleanup()

    async def connect(self, stack: ExitStack, said: bytes = b"") -> socket.socket:
        """A connection that the server has accepted, and had time to answer."""
        loop = asyncio.get_running_loop()
        client = small_socket(stack)
        client.setblocking(False)
        await loop.sock_connect(client, self.address)
        await loop.sock_sendall(client, said)
        await asyncio.sleep(0.2)
        return client


async def read(client: socket.socket, size: int) -> int:
    """Reads that many bytes, or up to the end: how many there were."""
    got = 0
    while got < size:
        part = await asyncio.get_running_loop().sock_recv(client, 1 << 16)
        if not part:
            break
        got += len(part)
    return got


GET_LONG = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"


def test_who_reads_steadily_is_not_the_longest_idle(stack: ExitStack) -> None:
    async def main() -> None:
        async with Served(2).running() as served:
            steady = await served.connect(stack, GET_LONG)
            idle = await served.connect(stack)
            half = await read(steady, len(LONG) // 2)
            await served.connect(stack)
            assert await read(idle, 1) == 0
            assert half + await read(steady, len(LONG) - half) >= len(LONG)

    asyncio.run(main())


def test_of_two_that_do_not_read_the_one_that_stopped_first_goes(stack: ExitStack) -> None:
    async def main() -> None:
        async with Served(2).running() as served:
            first = await served.connect(stack, GET_LONG)
            second = await served.connect(stack, GET_LONG)
            await served.connect(stack)
            assert await read(first, len(LONG)) < len(LONG)
            assert await read(second, len(LONG)) >= len(LONG)

    asyncio.run(main())


def test_a_connection_that_aiohttp_has_closed_gives_its_place_back_although_nobody_reads(stack: ExitStack) -> None:
    """As it does after its time limit for idle ones: closing waits until all is written, which may be never."""

    async def main() -> None:
        async with Served(1).running() as served:
            await served.connect(stack, GET_LONG)
            (connection,) = served.server.connections
            assert isinstance(connection, ApiConnection)
            assert connection.transport is not None
            while not connection.transport.get_write_buffer_size():  # a busy machine takes its time to answer
                await asyncio.sleep(0.01)
            connection.force_close()
            await asyncio.sleep(0.1)
            assert served.connections.count == 1
            newer = await served.connect(stack, GET_LONG)
            assert await read(newer, len(LONG)) >= len(LONG)
            assert served.connections.count == 1

    asyncio.run(main())
