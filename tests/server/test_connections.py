"""Connections that say nothing, or say it slowly, keep nobody away; when all are busy, health is still answered."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

from raftpy.server.accepting import Acceptor
from raftpy.server.connections import CROWD, FEWEST, MOST, Connections, OncePerSecond, most_connections
from raftpy.server.dispatch import ApiServer
from tests.server.support import Cluster, ask, speak

MOST_OPEN = 4
GET_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
PUT_BEGUN = b"PUT /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n12345"


@pytest.fixture
def port() -> Iterator[int]:
    with Cluster(1, connections=MOST_OPEN) as cluster:
        cluster.leader()
        yield cluster.port[1]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(stack: ExitStack, port: int, data: bytes = b"") -> socket.socket:
    """A connection on which this much was said. The server takes them one after the other."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
    connection.sendall(data)
    return connection


def begin_to_put(stack: ExitStack, port: int) -> socket.socket:
    """A connection on which the server has begun to read a value, and waits for the rest."""
    connection = connect(stack, port)
    assert answer(connection, PUT_BEGUN).startswith(b"HTTP/1.1 100")
    return connection


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def answer(connection: socket.socket, data: bytes) -> bytes:
    connection.settimeout(5)
    connection.sendall(data)
    return connection.recv(65536)


@pytest.mark.parametrize("said", [b"", b"GE", GET_HEALTH[:-2]], ids=["nothing", "a part of a word", "a part of a head"])
def test_the_longest_idle_goes_first(port: int, stack: ExitStack, said: bytes) -> None:
    idle = [connect(stack, port, said) for _ in range(MOST_OPEN)]
    assert all(is_open(connection) for connection in idle)
    newer = connect(stack, port)
    assert answer(newer, GET_HEALTH).startswith(b"HTTP/1.1 200")
    assert [is_open(connection) for connection in idle] == [False, True, True, True]


def test_who_asks_now_and_then_is_not_the_longest_idle(port: int, stack: ExitStack) -> None:
    regular, *idle = [connect(stack, port) for _ in range(MOST_OPEN)]
    for _ in range(3):
        assert answer(regular, GET_HEALTH).startswith(b"HTTP/1.1 200")
        idle.append(connect(stack, port))
        assert answer(idle[-1], GET_HEALTH).startswith(b"HTTP/1.1 200")
    assert [is_open(connection) for connection in idle] == [False] * 3 + [True] * 3
    assert answer(regular, GET_HEALTH).startswith(b"HTTP/1.1 200")


def test_slow_bytes_do_not_keep_a_connection(port: int, stack: ExitStack) -> None:
    slow = [connect(stack, port) for _ in range(MOST_OPEN)]
    for letter in b"GET /he":
        for connection in slow:
            connection.sendall(bytes((letter,)))
        time.sleep(0.01)
    assert ask(port, "GET", "/healthz").status == 200
    assert not is_open(slow[0])


def test_when_all_are_busy_health_is_answered_and_nothing_is_cut_off(port: int, stack: ExitStack) -> None:
    busy = [begin_to_put(stack, port) for _ in range(MOST_OPEN)]
    for _ in range(2 * CROWD):
        assert ask(port, "GET", "/healthz").status == 200
        assert ask(port, "GET", "/v1/status").status == 200
        reply = ask(port, "GET", "/v1/kv/k")
        assert (reply.status, reply.json["error"], reply.headers["retry-after"]) == (503, "overloaded", "1")
        assert reply.headers["connection"] == "close"
    idle = [connect(stack, port) for _ in range(2 * CROWD)]  # beyond the most, the longest idle goes first, too
    assert ask(port, "GET", "/healthz").status == 200
    assert [is_open(connection) for connection in idle] == [False] * (CROWD + 1) + [True] * (CROWD - 1)
    for connection in busy:
        assert answer(connection, b"67890").startswith(b"HTTP/1.1 200")
    assert ask(port, "GET", "/v1/kv/k").body == b"1234567890"


def test_nobody_is_let_in_beyond_the_most_while_another_is_still_opening(stack: ExitStack) -> None:
    """The one that opens is soon idle and would go first: whoever comes meanwhile waits for the next turn."""

    class Closing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    class Server:
        open_connections = Connections(most=1)

        def handler(self, *, crowded: bool) -> asyncio.Protocol:
            return Closing()

    async def main() -> None:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        acceptor = Acceptor(cast(ApiServer, Server()), listener)
        port = listener.getsockname()[1]
        for _ in range(2):
            connect(stack, port)
        counts = []
        for _ in range(2):
            acceptor._accept()
            counts.append(Server.open_connections.count)
        acceptor.close()
        await asyncio.gather(*acceptor._opening)
        await asyncio.sleep(0.01)  # until the connection is closed
        assert counts == [1, 1]

    asyncio.run(main())


def test_a_closed_connection_leaves_its_place(port: int) -> None:
    for _ in range(5 * MOST_OPEN):
        assert speak(port, GET_HEALTH).startswith(b"HTTP/1.1 200")
    with ExitStack() as stack:
        idle = [connect(stack, port) for _ in range(MOST_OPEN)]
        assert all(is_open(connection) for connection in idle)


def test_clients_that_go_away_halfway_leave_no_line(port: int, caplog: pytest.LogCaptureFixture) -> None:
    unasked = PUT_BEGUN.replace(b"Expect: 100-continue\r\n", b"")  # nothing has been answered when its client goes
    for said in (PUT_BEGUN, GET_HEALTH[:-2], unasked, PUT_BEGUN):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(said)
            if said == PUT_BEGUN:
                assert connection.recv(100).startswith(b"HTTP/1.1 100")
            assert ask(port, "GET", "/healthz").status == 200  # until then the server has taken up what was said
    for _ in range(2):
        assert ask(port, "GET", "/healthz").status == 200
    assert [record for record in caplog.records if record.name.startswith(("raftpy.server", "aiohttp"))] == []


# --- How many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [64, 128, 256, 1024, 65_536, 1 << 20])
def test_the_limit_of_open_files_leaves_room_for_the_store(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr("os.listdir", lambda _: ["0"] * 20)
    most = most_connections()
    assert FEWEST <= most <= MOST
    if limit >= 128:
        assert most + CROWD + 20 <= 0.8 * limit - 10
        assert most >= min(MOST, limit // 4)


def test_a_limit_that_leaves_no_room_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (40, 40))
    assert most_connections() == FEWEST
    assert "a limit of 40 open files" in caplog.text
    assert "ulimit -n" in caplog.text


def test_without_a_limit_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr("resource.getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert most_connections() == MOST


# --- Lines ------------------------------------------------------------------------------------------------------------


def test_a_line_a_second_at_most(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    once_per_second = OncePerSecond(lambda: now)
    for _ in range(1000):
        once_per_second.warn("%d times: %s", "why")
        now += 0.01
    assert [record.getMessage() for record in caplog.records] == ["1 times: why"] + ["100 times: why"] * 9
    once_per_second.warn("%d of another kind")
    assert caplog.records[-1].getMessage() == "1 of another kind"


class Idler:
    """A connection that counts how often it was closed."""

    def __init__(self) -> None:
        self.crowded = False
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1


def test_making_room_is_told_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    connections = Connections(1, lambda: now)
    for _ in range(300):
        idler = Idler()
        connections.opened()
        connections.idle(idler)
        assert not connections.admit()
        assert idler.aborted == 1
        connections.closed(idler)
        assert connections.admit()
        now += 0.005
    assert len(caplog.records) == 2
    assert "200 idle HTTP connections were closed for newer ones: at most 1 may be open" in caplog.text


# --- When the system has no room --------------------------------------------------------------------------------------


def test_a_system_that_refuses_costs_a_line_a_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else in the process has taken what was left: no connection is lost for it, and no core burnt."""
    attempts = 0
    accept = socket.socket.accept
    with Cluster(1) as cluster:
        port = cluster.port[1]

        def refused(listener: socket.socket) -> object:
            nonlocal attempts
            attempts += 1
            if time.monotonic() < until:
                raise OSError(errno.EMFILE, "Too many open files")
            return accept(listener)

        until = time.monotonic() + 0.6
        monkeypatch.setattr(socket.socket, "accept", refused)
        assert ask(port, "GET", "/healthz").status == 200
        assert attempts < 12
        lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [line.getMessage() for line in lines if "Too many open files" in line.getMessage()] == [
            "1 times accepting an HTTP connection failed: Too many open files"
        ]
