"""Real nodes with their HTTP servers in a thread of this process, and a client that hides nothing."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, TypeVar

from raftpy import Config, Node, NodeStatus
from raftpy.cli.demo_cluster import free_ports
from raftpy.replicated.kv import KeyValueStore
from raftpy.server.app import create_server, start_server

T = TypeVar("T")


@dataclass(frozen=True)
class Reply:
    """An answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)


def ask(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
) -> Reply:
    """One request on a connection of its own; redirects are not followed."""
    connection = HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body, dict(headers or {}), **options)
        response = connection.getresponse()
        return Reply(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def speak(port: int, *pieces: bytes) -> bytes:
    """Sends bytes as they are, with a moment between the pieces; what comes back up to the end of the final answer, or
    until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        for number, piece in enumerate(pieces):
            time.sleep(0.1 if number else 0)
            connection.sendall(piece)
        answer = b""
        while not _is_whole(answer) and (part := connection.recv(65536)):
            answer += part
        return answer


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(separator) and length is not None and len(body) >= int(length[1])


class Cluster:
    """Nodes 1 to ``size`` in memory, on loopback UDP, each with its HTTP server; those in ``start`` are started.

    ``config`` changes settings of nodes by id, ``server`` is passed to ``create_server``. Use as a context manager.
    """

    def __init__(
        self,
        size: int,
        *,
        start: tuple[int, ...] | None = None,
        config: Callable[[int], Mapping[str, Any]] = lambda _: {},
        **server: Any,
    ) -> None:
        self.ids = tuple(range(1, size + 1))
        self.udp = {i: f"127.0.0.1:{port}" for i, port in zip(self.ids, free_ports(size), strict=True)}
        self.port: dict[int, int] = {}
        self.nodes: dict[int, Node] = {}
        self.stores: dict[int, KeyValueStore] = {}
        self._start = self.ids if start is None else start
        self._config = config
        self._server = server
        self._stacks: dict[int, AsyncExitStack] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cluster")

    def __enter__(self) -> Cluster:
        self._thread.start()
        try:
            for node_id in self._start:
                self.call(self._start_node(node_id))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node_id in list(self._stacks):
            self.stop(node_id)
        self.call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _end_tasks() -> None:
        """What connections left behind, as asyncio.run does it at its end."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def status(self, node_id: int) -> NodeStatus:
        """What the node says of itself, asked in its loop."""

        async def status() -> NodeStatus:
            return self.nodes[node_id].status()

        return self.call(status())

    def term_at(self, node_id: int, index: int) -> int:
        """The term of an entry in the node's log, asked in its loop."""

        async def term_at() -> int:
            return self.nodes[node_id].term_at(index)

        return self.call(term_at())

    async def _start_node(self, node_id: int) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.port[node_id] = listener.getsockname()[1]
        settings = {"http": f"127.0.0.1:{self.port[node_id]}", **self._config(node_id)}
        store = self.stores[node_id] = KeyValueStore()
        node = self.nodes[node_id] = Node(Config(id=node_id, cluster=self.udp, **settings), store)
        async with AsyncExitStack() as stack:
            stack.callback(listener.close)
            await stack.enter_async_context(node)
            runner = await start_server(create_server(node, store, **self._server), listener)
            stack.push_async_callback(runner.cleanup)
            self._stacks[node_id] = stack.pop_all()

    def stop(self, node_id: int) -> None:
        """Stops a node and its server for good."""
        self.call(self._stacks.pop(node_id).aclose())

    def leader(self) -> int:
        """The leader, once every running node knows it and its HTTP address (if it has one)."""
        return self.call(self._wait_for_leader())

    async def _wait_for_leader(self) -> int:
        running = [self.nodes[node_id] for node_id in self._stacks]
        async with asyncio.timeout(10):
            while True:
                known = {node.status().leader for node in running}
                leader = known.pop()
                if not known and leader is not None and self.nodes[leader].status().role == "leader":
                    address = self.nodes[leader].config.http
                    if all(self._http_of(node, leader) == address for node in running):
                        return leader
                await asyncio.sleep(0.01)

    @staticmethod
    def _http_of(node: Node, member_id: int) -> str | None:
        return next(member.http for member in node.status().members if member.id == member_id)
