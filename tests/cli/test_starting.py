"""``raftpy serve`` answers while its node is being started, with how far that is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raftpy import SavedState
from raftpy.cli import serving
from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import free_ports
from raftpy.cli.http_client import ask
from raftpy.cli.settings import Settings
from raftpy.replicated.kv import KeyValueStore
from tests.cli.support import in_process
from tests.cli.support import serving as served

COMES_S = 10.0


class Held:
    """A saved state of which one part has been read, and the next one waits."""

    def __init__(self, state: SavedState, reached: threading.Event, go_on: threading.Event) -> None:
        self.version, self.size = state.version, state.size
        self._state, self._reached, self._go_on = state, reached, go_on

    def read(self, size: int) -> bytes:
        if self._reached.is_set():
            assert self._go_on.wait(COMES_S)
        data = self._state.read(size)
        self._reached.set()
        return data


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a node that has a snapshot."""
    udp, http = free_ports(2)
    cluster, address = f"1=127.0.0.1:{udp}", Address("127.0.0.1", http)
    made = Settings(id=1, cluster=cluster, data=tmp_path / "data", http=address)
    arguments = ("--id", "1", "--cluster", made.cluster, "--data", str(made.data), "--http", str(made.http))
    with served(*arguments) as node:
        node.first_line()
        for number in range(30):
            put(made.http, f"k{number}")
        assert ask(made.http, "POST", "/v1/snapshot").status == 200
        node.stop()
    return made


def put(http: Address, key: str) -> None:
    deadline = time.monotonic() + COMES_S
    while ask(http, "PUT", f"/v1/kv/{key}", b"v" * 1000).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def starts(settings: Settings, reached: threading.Event, go_on: threading.Event, stop: Callable[[], Any]) -> None:
    http = settings.http
    running = asyncio.ensure_future(serving._serve(settings, serving._config(settings)))
    assert await asyncio.to_thread(reached.wait, COMES_S)
    for path in ("/healthz", "/v1/status", "/v1/kv/k7", "/v1/kv", "/nowhere"):
        answer = await asyncio.to_thread(ask, http, "GET", path)
        assert (answer.status, answer.json()["error"], answer.headers["retry-after"]) == (503, "starting", "1")
        progress: Any = answer.json()["starting"]
        assert (progress["phase"], progress["group"]) == ("restoring", 0)
        assert progress["snapshot_index"] > 30
        assert 0 < progress["position"] <= progress["size"]
        assert f"{progress['position']:,} of {progress['size']:,} bytes" in answer.message()
    ended = await asyncio.to_thread(in_process, "status", "--http", str(http))
    assert ended.status == 1
    assert ended.err == f"raftpy status: no node serves yet: {http} is being started\n"
    assert f"{http} says: this node is being started: its state is being restored" in ended.text
    go_on.set()
    async with asyncio.timeout(COMES_S):
        while (await asyncio.to_thread(ask, http, "GET", "/v1/kv/k7")).status != 200:
            await asyncio.sleep(0.02)
    assert (await asyncio.to_thread(ask, http, "GET", "/healthz")).json()["status"] == "ok"
    stop()
    await running


def test_a_node_that_restores_for_long_answers_how_far_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    stops: list[Callable[[Any], object]] = []

    class Store(KeyValueStore):
        def restore(self, state: SavedState) -> None:
            super().restore(Held(state, reached, go_on))

    monkeypatch.setattr(serving, "KeyValueStore", Store)
    monkeypatch.setattr(serving, "on_stop", lambda loop, called: stops.append(called))
    asyncio.run(starts(settings, reached, go_on, lambda: stops[0](None)))
    assert capsys.readouterr().out.count("is up") == 1
