"""An old copy of a data directory was put back, and a majority without the newest entries went on: the node that still
has them is quarantined, says so, and serves nothing.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from raftcore import Entries, Entry, Message, MessageType
from raftcore.base.errors import PeerFault
from raftpy import (
    BlockingNode,
    Config,
    Conflict,
    Node,
    NodeStatus,
    NotLeader,
    Quarantined,
    StorageDamaged,
    StorageFailed,
)
from raftpy.contracts.types import StoreOwner
from raftpy.storage.leveldb.store import LevelDBStorage
from tests.node.harness import Recorder, _free_addresses
from tests.storage.support import append, next_is_made

PATIENCE = 20.0


class Directories:
    """Nodes on real sockets and directories, started and stopped one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = _free_addresses(3)
        self.nodes: dict[int, Node] = {}
        self.machines: dict[int, Recorder] = {}
        self.options: dict[str, Any] = {}

    def config(self, node_id: int) -> Config:
        return Config(id=node_id, cluster=self.cluster, data_dir=self.directory(node_id), seed=7, **self.options)

    def directory(self, node_id: int) -> Path:
        return self.path / f"n{node_id}"

    async def start(self, *node_ids: int) -> None:
        for node_id in node_ids:
            self.machines[node_id] = Recorder()
            self.nodes[node_id] = Node(self.config(node_id), self.machines[node_id])
            await self.nodes[node_id].start()

    async def stop(self, *node_ids: int) -> None:
        for node_id in node_ids:
            await self.nodes.pop(node_id).stop()

    def status(self, node_id: int) -> NodeStatus:
        return self.nodes[node_id].status()

    async def until(self, holds: Callable[[], Any], what: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while not (value := holds()):
                await asyncio.sleep(0.005)
            return value
        raise AssertionError(what)

    def leader(self) -> int:
        return next((i for i in self.nodes if self.status(i).role == "leader"), 0)

    async def write(self, *commands: bytes) -> None:
        """Through whoever leads, as often as it takes."""
        for command in commands:
            async with asyncio.timeout(PATIENCE):
                while True:
                    leader = await self.until(self.leader, "a leader")
                    try:
                        await self.nodes[leader].propose(command, timeout=2)
                        break
                    except NotLeader:
                        await asyncio.sleep(0.01)

    async def forget(self) -> None:
        """Node 1 is left with ten acknowledged commands that nodes 2 and 3, which run, do not have any more.

        Their term is a later one: they have forgotten in which term the commands were written, too, and might elect a
        leader for it once more, whose entries nobody could tell apart from those.
        """
        await self.start(1, 2, 3)
        await self.write(b"before")
        await self.until(lambda: {m.commands[-1:] == [b"before"] for m in self.machines.values()} == {True}, "all")
        await self.stop(3, 2)
        shutil.copytree(self.directory(2), self.path / "copy")
        await self.start(2)
        await self.write(*(b"lost %d" % i for i in range(10)))
        lost = self.status(1).term
        await self.stop(1, 2)
        shutil.rmtree(self.directory(2))
        shutil.move(self.path / "copy", self.directory(2))
        await self.start(2, 3)
        await self.write(b"after")
        while self.status(leader := self.leader() or 2).term <= lost:
            await self.nodes[leader].transfer_leadership(5 - leader)
            await self.write(b"later")


def play(path: Path, scenario: Callable[[Directories], Awaitable[None]]) -> None:
    async def main() -> None:
        directories = Directories(path)
        try:
            await scenario(directories)
        finally:
            await directories.stop(*directories.nodes)

    asyncio.run(main())


def log_of(directories: Directories, node_id: int) -> list[tuple[int, int, bytes]]:
    """Every entry in the directory of a node that is down: (index, term, payload)."""
    copy = directories.path / "looked at"
    shutil.copytree(directories.directory(node_id), copy)
    storage = LevelDBStorage(copy)
    try:
        state = storage.open(StoreOwner(node_id)).groups[0]
        return [(e.index, e.term, e.data) for e in storage.group(0).entries(1, state.last_index + 1, 1 << 30)]
    finally:
        storage.close()
        shutil.rmtree(copy)


async def refused(node: Node, conflict: Conflict) -> None:
    """Every call that would serve somebody says why it does not, and at once."""
    calls: list[Callable[[], Any]] = [
        lambda: node.propose(b"x"),
        lambda: node.propose_many([b"x", b"y"]),
        lambda: node.read_index(),
        lambda: node.wait_for_leader(),
        lambda: node.transfer_leadership(2),
        lambda: node.set_priority(2, 1),
        lambda: node.set_max_command(1000),
        lambda: anext(node.commits(1)),
    ]
    for call in calls:
        async with asyncio.timeout(0.5):
            with pytest.raises(Quarantined) as caught:
                await call()
        assert (caught.value.node_id, caught.value.conflict) == (1, conflict)
    with pytest.raises(Quarantined):
        node.require_leader()


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    found = [r for r in caplog.records if text in r.getMessage()]
    assert {r.levelno for r in found} <= {logging.ERROR}
    return [r.getMessage() for r in found]


def test_who_remembers_is_quarantined_and_stays_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(directories: Directories) -> None:
        await directories.forget()
        before = log_of(directories, 1)
        await directories.start(1)
        node = directories.nodes[1]
        waiting = asyncio.ensure_future(node.wait_for_leader())
        await directories.until(lambda: node.quarantine, "the quarantine")
        conflict = node.quarantine
        assert conflict is not None
        assert conflict.leader == directories.leader()
        assert conflict.leader_term > conflict.term == before[conflict.index - 1][1]
        assert before[conflict.index - 1][2].startswith(b"lost")

        # One line, which names the index and both terms, and warns of deleting.
        await asyncio.sleep(0.1)
        (line,) = lines(caplog, "node 1 is quarantined: ")
        for part in (f"entry {conflict.index} ", f"term {conflict.term} here", f"term {conflict.leader_term} at node",
                     "either side may be the wrong one", "neither disk should be deleted"):  # fmt: skip
            assert part in line

        # It serves nothing, and its status says why.
        assert waiting.done()
        await asyncio.wait([waiting])
        waiting.exception()
        await refused(node, conflict)
        status = node.status()
        assert (status.role, status.leader, status.quarantine, node.failed) == ("quarantined", None, conflict, None)

        # The leader says it once, and shows it.
        leader = directories.leader()

        def shown() -> bool:
            member = next(m for m in directories.status(leader).members if m.id == 1)
            return member.quarantine == conflict

        await directories.until(shown, "the leader's status")
        assert all(m.quarantine is None for m in directories.status(leader).members if m.id != 1)
        await asyncio.sleep(1.2)  # another hello has come since
        assert len(lines(caplog, f"node {leader}: node 1 is quarantined and counts as down")) == 1

        # The others go on.
        await directories.write(b"without it")
        assert b"without it" not in directories.machines[1].commands

        # Its disk is as it was, and after a restart it is what it was.
        await directories.stop(1)
        assert log_of(directories, 1) == before
        caplog.clear()
        await directories.start(1)
        assert directories.status(1).quarantine == conflict
        await refused(directories.nodes[1], conflict)
        assert len(lines(caplog, "node 1 is quarantined: ")) == 1
        await directories.until(shown, "the leader's status, of its next incarnation")
        await directories.stop(1)
        assert log_of(directories, 1) == before

    play(tmp_path, scenario)


def test_a_term_that_was_forgotten_and_used_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nodes 2 and 3 have forgotten that node 1's entries were acknowledged, and in which term; they elected a leader
    for the same term once more. Every index and term is the same, but one command."""

    async def scenario(directories: Directories) -> None:
        # No other leader comes meanwhile: of one of a later term nothing would be sent twice.
        directories.options = {"election_ms": (1000, 2000), "bootstrap": True}
        await directories.start(2, 3)
        await directories.write(b"a", b"b", b"c")
        driver = directories.nodes[directories.leader()]._group
        assert driver is not None
        theirs = driver.stored.entries(1, driver.raw.last_index + 1, 1 << 20)
        ours = Entries.build([Entry(e.term, e.index, e.kind, b"lost" if e.data == b"b" else e.data) for e in theirs])
        storage = LevelDBStorage(directories.directory(1))
        storage.open(StoreOwner(1, directories.cluster))
        storage.submit([(0, [append(ours, ours.last_term, 0, ours.last)])])
        storage.close()
        await directories.start(1)
        node = directories.nodes[1]
        conflict = await directories.until(lambda: node.quarantine, "the quarantine")
        index = next(e.index for e in theirs if e.data == b"b")
        term = ours.last_term
        assert conflict == Conflict(index, term, directories.leader(), term, driver.raw.term)
        (line,) = lines(caplog, "node 1 is quarantined: ")
        assert f"entry {index} has other contents here than at node {conflict.leader}, though the terms agree" in line
        await directories.write(b"without it")
        await directories.stop(1)
        await directories.start(1)
        assert directories.status(1).quarantine == conflict
        assert [e for e in directories.machines[1].commands if e != b"lost"] == []

    play(tmp_path, scenario)


def test_with_only_the_two_of_them_nothing_is_committed_and_it_is_said_why(tmp_path: Path) -> None:
    async def scenario(directories: Directories) -> None:
        await directories.forget()
        await directories.start(1)
        await directories.until(lambda: directories.nodes[1].quarantine, "the quarantine")
        left = directories.leader()
        await directories.stop(5 - left)
        await directories.until(lambda: directories.status(left).role != "leader", "that nobody leads")
        with pytest.raises(NotLeader, match=r"no leader is known \(node 1 is quarantined\)"):
            await directories.nodes[left].propose(b"x")

    play(tmp_path, scenario)


def test_it_votes_for_nobody_and_stands_for_nothing(tmp_path: Path) -> None:
    async def scenario(directories: Directories) -> None:
        await directories.forget()
        await directories.start(1)
        await directories.until(lambda: directories.nodes[1].quarantine, "the quarantine")
        term = directories.status(1).term
        await directories.stop(2)
        await asyncio.sleep(1.5)  # six election timeouts
        assert directories.leader() == 0
        assert (directories.status(1).role, directories.status(1).term) == ("quarantined", term)

    play(tmp_path, scenario)


def test_a_blocking_node_says_it_too(tmp_path: Path) -> None:
    async def scenario(directories: Directories) -> None:
        await directories.forget()
        await directories.start(1)
        await directories.until(lambda: directories.nodes[1].quarantine, "the quarantine")
        await directories.stop(1)

        def use() -> None:
            with BlockingNode(directories.config(1), Recorder()) as node:
                assert node.quarantine is not None
                assert node.status().quarantine == node.quarantine
                with pytest.raises(Quarantined):
                    node.propose(b"x")

        await asyncio.to_thread(use)

    play(tmp_path, scenario)


def test_a_forged_word_quarantines_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A healthy cluster; somebody puts contradictions into its mouth, at every heartbeat, for a while."""

    async def scenario(directories: Directories) -> None:
        await directories.start(1, 2, 3)
        await directories.write(b"a", b"b")
        former = directories.leader()
        await directories.nodes[former].transfer_leadership(former % 3 + 1)
        await directories.write(b"c")
        leader = directories.leader()
        follower, other = (i for i in (1, 2, 3) if i != leader)
        driver = directories.nodes[follower]._group
        assert driver is not None
        await directories.until(lambda: directories.status(follower).commit_index > 4, "a follower's commit")
        for stranger in (leader, other, 9):
            for later in (0, 1):
                for _ in range(6):
                    term = driver.raw.term + later
                    with pytest.raises(PeerFault):
                        driver.raw.step(Message(MessageType.MsgApp, follower, stranger, term, index=2, log_term=term))
                    await asyncio.sleep(0.06)
        assert directories.nodes[follower].quarantine is None
        assert lines(caplog, "quarantine") == []
        await directories.write(b"d")

    play(tmp_path, scenario)


def test_the_record_outlives_every_end(tmp_path: Path) -> None:
    """It is written at once; where there is none, the floor is as earlier releases read it."""
    conflict = Conflict(3, 1, 2, 4, 5)
    directory, killed = tmp_path / "n1", tmp_path / "killed"
    storage = LevelDBStorage(directory)
    assert storage.open(StoreOwner(1, {1: "127.0.0.1:7101"})).groups[0].conflict is None
    assert b"conflict" not in (directory / "floor").read_bytes()
    storage.group(0).quarantine(conflict)
    next_is_made(storage)  # all files are copied
    shutil.copytree(directory, killed)
    storage.close()
    for path in (directory, killed):
        for _ in range(2):
            storage = LevelDBStorage(path)
            assert storage.open(StoreOwner(1)).groups[0].conflict == conflict
            storage.close()
    floor = (directory / "floor").read_bytes()
    (directory / "floor").write_bytes(floor.replace(b'"leader": 2', b'"leader": 3'))
    with pytest.raises(StorageDamaged):
        LevelDBStorage(directory).open(StoreOwner(1))


def test_a_quarantine_that_cannot_be_written_ends_the_handle(tmp_path: Path) -> None:
    storage = LevelDBStorage(tmp_path / "n1")
    storage.open(StoreOwner(1, {1: "127.0.0.1:7101"}))
    (tmp_path / "n1" / "floor.new").mkdir()
    for _ in range(2):
        with pytest.raises(StorageFailed):
            storage.group(0).quarantine(Conflict(3, 1, 2, 4, 5))
    storage.close()
