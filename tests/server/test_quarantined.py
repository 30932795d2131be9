"""A quarantined node over HTTP: its status says why, everything else is refused, stale reads too."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from raftpy import Config, Conflict, Node
from raftpy.replicated.kv import KeyValueStore
from raftpy.server.app import create_server, start_server
from raftpy.storage import MemoryDisk, MemoryStore
from tests.server.support import Reply, ask

CONFLICT = Conflict(index=201, term=1, leader=2, leader_term=3, current_term=4)


def with_quarantined_node(questions: Callable[[int], None]) -> None:
    """Asks a node that finds its quarantine on its disk; ``questions`` is given the port, in a thread of its own."""

    async def main() -> None:
        disk = MemoryDisk()
        disk.groups[0].conflict = CONFLICT
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{udp.getsockname()[1]}"
        udp.close()
        store = KeyValueStore()
        listener = socket.create_server(("127.0.0.1", 0))
        config = Config(id=1, cluster={1: own, 2: "127.0.0.1:9", 3: "127.0.0.1:19"})
        async with Node(config, store, storage=MemoryStore(disk)) as node:
            runner = await start_server(create_server(node, store), listener)
            try:
                await asyncio.to_thread(questions, listener.getsockname()[1])
            finally:
                await runner.cleanup()

    asyncio.run(main())


def refusal(reply: Reply) -> Any:
    assert (reply.status, reply.json["error"]) == (503, "quarantined")
    assert "retry-after" not in reply.headers
    return reply.json["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/kv/a"),
        ("GET", "/v1/kv/a?consistency=stale"),
        ("GET", "/v1/kv"),
        ("GET", "/v1/kv?consistency=stale"),
        ("PUT", "/v1/kv/a"),
        ("GET", "/v1/limits"),
        ("PUT", "/v1/limits"),
        ("DELETE", "/v1/kv/a"),
        ("GET", "/healthz"),
    ],
)
def test_everything_is_refused_with_the_reason(method: str, path: str) -> None:
    def questions(port: int) -> None:
        message = refusal(ask(port, method, path, b'{"max_command": 1}' if method == "PUT" else None))
        assert message == f"node 1 is quarantined: {CONFLICT.describe()}"

    with_quarantined_node(questions)


def test_status_says_why() -> None:
    def questions(port: int) -> None:
        status = ask(port, "GET", "/v1/status").json
        assert (status["role"], status["leader"]) == ("quarantined", None)
        expected = {"index": 201, "term": 1, "leader": 2, "leader_term": 3, "current_term": 4}
        assert status["quarantine"] == expected | {"message": CONFLICT.describe()}
        assert [member["quarantine"] for member in status["members"]] == [status["quarantine"], None, None]

    with_quarantined_node(questions)
