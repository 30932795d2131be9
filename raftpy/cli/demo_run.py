"""The demo's course: start, write, kill, elect, cut the logs, restart, catch up by a snapshot, check."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from raftpy.cli.demo_check import Replica, check_replica, status_of, wait_until_level
from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.demo_http import Connection
from raftpy.cli.demo_view import View
from raftpy.cli.demo_writer import Writer
from raftpy.cli.errors import CommandFailed
from raftpy.cli.signals import on_stop

PREFIX = "demo/"
KILL_AT = 0.5
RESTART_AT = 0.7
"""Parts of the time to write."""
SHORT_LOGS = ("--snapshot-entries", "200", "--trailing-bytes", "0")
"""What the demo's nodes are told: to cut their logs within seconds, and to keep nothing for a member that is down."""
NEARLY = 50
"""Entries that a node which has caught up may still be behind, with all the writing."""
CUT_TIMEOUT = 60.0
"""Seconds until the others have cut what the killed node has missed."""
POLL = 0.1
"""Seconds between two looks at the cluster."""
START_TIMEOUT = 20.0
ELECTION_TIMEOUT = 20.0


def run_demo(seconds: float, keep: bool) -> int:
    """Writes for so many ``seconds``; ``keep``: leaves the cluster running at the end. The exit status: 0 when every
    acknowledged write was found on every replica."""
    cluster = DemoCluster(options=SHORT_LOGS)
    kept = False
    try:
        found_all = asyncio.run(_until_signal(Demo(cluster, seconds).run()))
        if keep:
            kept = True
            _print_how_to_use(cluster)
            _print_how_to_stop(cluster)
    finally:
        if not kept:
            cluster.stop()
            cluster.remove()
    print(found_all.line, flush=True)
    return 0 if found_all.complete else 1


async def _until_signal(course: Coroutine[None, None, Result]) -> Result:
    """Runs the course; a signal that would end this process ends it through the clean-up instead."""
    task = asyncio.ensure_future(course)
    caught: list[str] = []

    def on_signal(number: signal.Signals) -> None:
        caught.append(number.name)
        task.cancel()

    on_stop(asyncio.get_running_loop(), on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        if caught:
            raise CommandFailed(f"stopped by {caught[0]}; the nodes are stopped and their data removed") from None
        raise


class Result:
    """How it ended."""

    def __init__(self, acknowledged: int, replicas: Mapping[int, Replica], outage: float) -> None:
        self.complete = all(replica.found == acknowledged for replica in replicas.values())
        if self.complete:
            found = f"found {acknowledged} on each of {len(replicas)} replicas"
        else:
            found = "found " + ", ".join(f"{replica.found} on replica {i}" for i, replica in replicas.items())
        self.line = f"acknowledged {acknowledged}, {found}, outage {outage * 1000:.0f} ms"


class Demo:
    """One run on a cluster that is not started yet."""

    def __init__(self, cluster: DemoCluster, seconds: float) -> None:
        self._cluster = cluster
        self._seconds = seconds
        self._writer = Writer(list(cluster.http.values()), prefix=PREFIX)
        self._view = View(cluster.http, self._writer)
        self._connections = {node_id: Connection(address) for node_id, address in cluster.http.items()}
        self._down: set[int] = set()

    async def run(self) -> Result:
        """Raises ``CommandFailed`` when the cluster does not do what it must."""
        try:
            with self._view:
                await self._start()
                writing = asyncio.ensure_future(self._writer.run())
                try:
                    await self._write_and_kill()
                    self._writer.stop()
                    await writing
                finally:
                    writing.cancel()
                    with suppress(asyncio.CancelledError):
                        await writing
                return await self._check()
        finally:
            for connection in self._connections.values():
                connection.close()

    async def _start(self) -> None:
        for node_id in self._cluster.ids:
            self._cluster.start(node_id)
        self._view.event(f"three nodes started, their data is in {self._cluster.directory}")
        leader, term = await self._wait_for_leader(START_TIMEOUT)
        self._view.event(f"node {leader} leads in term {term}; writing starts")

    async def _write_and_kill(self) -> None:
        began = time.monotonic()
        await self._watch_until(began + self._seconds * KILL_AT)
        old, old_term = await self._wait_for_leader(ELECTION_TIMEOUT)
        pid = self._cluster.pid(old)
        killed = (await self._look())[old] or {"last_index": 0}
        self._writer.leader_lost(old_term)
        self._down.add(old)
        self._cluster.kill(old)
        self._view.event(f"kill -9 of process {pid}: node {old}, the leader")
        leader, term = await self._wait_for_leader(ELECTION_TIMEOUT, after_term=old_term)
        deadline = time.monotonic() + ELECTION_TIMEOUT
        while self._writer.outage is None:
            if time.monotonic() > deadline:
                raise CommandFailed(f"no write was acknowledged in {ELECTION_TIMEOUT:g} s after the leader was killed")
            await self._watch_until(time.monotonic() + POLL / 10)
        outage = self._writer.outage * 1000
        self._view.event(f"node {leader} leads in term {term}; the first write after {outage:.0f} ms")
        await self._watch_until(began + self._seconds * RESTART_AT)
        first = await self._wait_for_cut(killed["last_index"] + 1)
        self._view.event(f"the others' logs begin at {first} by now: what node {old} has missed is in snapshots alone")
        self._cluster.start(old)
        self._down.discard(old)
        self._view.event(f"node {old} started again, its log ends about {killed['last_index']}")
        await self._wait_for_catch_up(old, first)
        await self._watch_until(began + self._seconds)

    async def _wait_for_cut(self, missed: int) -> int:
        """Until the log of every node that runs begins behind the entry ``missed``; where the first of them does."""
        deadline = time.monotonic() + CUT_TIMEOUT
        while time.monotonic() < deadline:
            found = [status["first_index"] for status in (await self._look()).values() if status is not None]
            if len(found) > len(self._cluster.ids) // 2 and min(found) > missed:
                return int(min(found))
            await asyncio.sleep(POLL)
        raise CommandFailed(f"the nodes that run have not cut their logs behind entry {missed} in {CUT_TIMEOUT:g} s")

    async def _wait_for_catch_up(self, node_id: int, first: int) -> None:
        """Until it has applied what the leader had committed a moment before. The others' logs began at ``first``."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            statuses = await self._look()
            here = statuses[node_id]
            committed = max((status["commit_index"] for status in statuses.values() if status is not None), default=0)
            if here is not None and here["leader"] and committed - here["applied_index"] < NEARLY:
                by = f" by the snapshot at {here['first_index'] - 1}" if here["first_index"] >= first else ""
                self._view.event(f"node {node_id} has caught up{by}: applied {here['applied_index']}")
                return
            await asyncio.sleep(POLL / 5)
        raise CommandFailed(f"node {node_id} did not catch up in {START_TIMEOUT:g} s after its restart")

    async def _look(self) -> dict[int, dict[str, Any] | None]:
        """Asks every node how it is, and shows it."""
        self._cluster.check_alive(set(self._cluster.ids) - self._down)
        answers = await asyncio.gather(*(status_of(connection) for connection in self._connections.values()))
        statuses = dict(zip(self._connections, answers, strict=True))
        self._view.refresh(statuses)
        return statuses

    async def _watch_until(self, moment: float) -> None:
        """Keeps the view up to date until then."""
        while (left := moment - time.monotonic()) > 0:
            await self._look()
            await asyncio.sleep(min(POLL, max(left, 0)))

    async def _wait_for_leader(self, timeout: float, after_term: int = 0) -> tuple[int, int]:
        """The leader of the newest term, and that term, which is greater than ``after_term``."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            statuses = (await self._look()).values()
            leaders = [(s["term"], s["id"]) for s in statuses if s is not None and s["role"] == "leader"]
            if leaders and max(leaders)[0] > after_term:
                term, leader = max(leaders)
                return leader, term
            await asyncio.sleep(POLL / 5)
        raise CommandFailed(f"the cluster has no leader after {timeout:g} s")

    async def _check(self) -> Result:
        writer = self._writer
        newest = max((version for version, _ in writer.acknowledged.values()), default=0)
        await self._look()
        level = await wait_until_level(self._cluster.http.values(), newest)
        self._view.event(f"writing ended; all three have applied index {level}; reading everything back from each")
        checks = (check_replica(address, writer.acknowledged, PREFIX) for address in self._cluster.http.values())
        replicas = dict(zip(self._cluster.ids, await asyncio.gather(*checks), strict=True))
        for node_id, replica in replicas.items():
            text = f"replica {node_id}: {replica.found} of {len(writer.acknowledged)} acknowledged writes found"
            if replica.missing:
                text += f"; missing {', '.join(replica.missing[:5])}{', ..' if len(replica.missing) > 5 else ''}"
            self._view.event(text)
        assert writer.outage is not None  # or _write_and_kill would have raised
        return Result(len(writer.acknowledged), replicas, writer.outage)


def _print_how_to_use(cluster: DemoCluster) -> None:
    first, second, _ = cluster.http.values()
    print(
        f"""
The cluster is still running. Try:
  curl -L -X PUT --data-binary 'hello' http://{first}/v1/kv/greeting
  curl -L -i http://{second}/v1/kv/greeting
  curl -L 'http://{first}/v1/kv?prefix={PREFIX}&limit=3'
  curl http://{first}/v1/status
  raftpy status --http {first}"""
    )


def _print_how_to_stop(cluster: DemoCluster) -> None:
    pids = " ".join(str(pid) for pid in map(cluster.pid, cluster.ids) if pid is not None)
    print(f"Stop it with:\n  kill {pids}; sleep 1; rm -r {cluster.directory}\n")
