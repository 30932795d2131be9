"""The bodies of requests are bounded together: by places that are given in order, and over HTTP."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from raftpy.server import bodies
from raftpy.server.bodies import Bodies, Room
from raftpy.server.errors import ApiError
from tests.node.loop import run
from tests.server.support import Cluster, ask, speak


def held(*tasks: asyncio.Task[None]) -> list[bool]:
    return [task.done() and not task.cancelled() and task.exception() is None for task in tasks]


def in_loop(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    run(main())


def test_places_are_given_in_order() -> None:
    async def scenario() -> None:
        room = Room(lambda: 10)
        one, two, three, four = (asyncio.create_task(room.take(size, 60)) for size in (6, 5, 4, 1))
        await asyncio.sleep(1)
        assert held(one, two, three, four) == [True, False, False, False]  # 4 would fit, but 5 came first
        room.give_back(6)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert held(two, three, four) == [True, True, True]
        assert room.held == 10

    in_loop(scenario)


def test_one_larger_than_all_of_it_has_it_alone() -> None:
    async def scenario() -> None:
        room = Room(lambda: 10)
        await room.take(25, 60)
        with pytest.raises(TimeoutError):
            await room.take(1, 1)
        room.give_back(25)
        await room.take(1, 1)
        assert room.held == 1

    in_loop(scenario)


def test_who_gives_up_holds_nothing_and_nobody_up() -> None:
    async def scenario() -> None:
        room = Room(lambda: 10)
        await room.take(6, 60)
        large = asyncio.create_task(room.take(9, 2))
        small = asyncio.create_task(room.take(4, 60))
        await asyncio.sleep(1)
        assert held(large, small) == [False, False]
        await asyncio.sleep(2)
        assert isinstance(large.exception(), TimeoutError)
        assert held(small) == [True]
        # Cancelled, and as its turn comes at the same moment.
        last = asyncio.create_task(room.take(10, 60))
        await asyncio.sleep(1)
        last.cancel()
        room.give_back(6)
        room.give_back(4)
        await asyncio.sleep(1)
        assert last.cancelled()
        assert room.held == 0
        both = asyncio.create_task(room.take(10, 60)), asyncio.create_task(room.take(10, 60))
        await asyncio.sleep(1)
        room.give_back(10)
        both[1].cancel()
        await asyncio.sleep(1)
        assert both[1].cancelled()
        assert room.held == 0

    in_loop(scenario)


def test_short_ones_do_not_wait_for_long_ones() -> None:
    async def scenario() -> None:
        both = Bodies(lambda: 16 << 20, wait_s=5)
        async with both.place(64 << 20, 100 << 20), both.place(bodies.SHORT, 100 << 20):
            assert (both.long.held, both.short.held) == (64 << 20, bodies.SHORT)
            with pytest.raises(ApiError, match=r"67108864 bytes of bodies are under way already") as refused:
                async with both.place(bodies.SHORT + 1, 100 << 20):
                    pass
            assert (refused.value.status, refused.value.code, refused.value.close) == (503, "overloaded", True)
            assert refused.value.headers == {"Retry-After": "1"}
        assert (both.long.held, both.short.held) == (0, 0)

    in_loop(scenario)


def test_one_that_does_not_say_its_length_counts_with_all_it_may_have() -> None:
    async def scenario() -> None:
        both = Bodies(lambda: 32 << 20, wait_s=5)
        async with both.place(None, 32 << 20), both.place(None, 32 << 20), both.place(5, 1 << 20):
            assert (both.long.held, both.short.held) == (64 << 20, 5)
            async with both.place(64 << 20, 64 << 20):  # four of the largest commands
                assert both.long.held == 128 << 20

    in_loop(scenario)


def test_over_http_they_wait_and_all_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_LONG", 1 << 20)
    monkeypatch.setattr(bodies, "COMMANDS", 0)
    with Cluster(1) as cluster:
        port = cluster.port[cluster.leader()]
        values = [bytes([number]) * 600_000 for number in range(8)]
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda item: ask(port, "PUT", f"/v1/kv/{item[0]}", item[1]), enumerate(values)))
        assert [reply.status for reply in replies] == [200] * 8
        assert [ask(port, "GET", f"/v1/kv/{number}").body for number in range(8)] == values


def test_over_http_who_finds_no_place_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_LONG", 1 << 20)
    monkeypatch.setattr(bodies, "COMMANDS", 0)
    monkeypatch.setattr(bodies, "WAIT_S", 0.3)
    with Cluster(1) as cluster:
        port = cluster.port[cluster.leader()]
        slow = socket.create_connection(("127.0.0.1", port))
        slow.sendall(b"PUT /v1/kv/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 800000\r\n\r\nbeginning")
        time.sleep(0.2)
        # It would be told to send its body only when there is a place for it.
        head = b"PUT /v1/kv/other HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\nExpect: 100-continue\r\n\r\n"
        answer = speak(port, head)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"overloaded"' in answer
        assert b"Retry-After: 1\r\n" in answer
        assert ask(port, "PUT", "/v1/kv/short", b"value").status == 200
        slow.close()
        time.sleep(0.1)
        assert ask(port, "PUT", "/v1/kv/other", bytes(400_000)).status == 200
