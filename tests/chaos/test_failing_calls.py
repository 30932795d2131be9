"""EIO for each kind of write that a node makes, really returned by a call of a ``raftpy serve`` that is a process.

Of most kinds a single call fails, so what a node makes of it cannot be that the disk has failed for good: one that
stops has to stop although the next call would succeed. It stops with one line that names the file and the error where
something rests on what has failed; else it goes on, and says so. In either case nothing acknowledged is lost, what it
leaves is whole, and it starts again.

The last test sees to it that the tables have every call that the nodes of all others make in their data directories.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pytest

from raftpy.cli.demo_cluster import DemoCluster
from raftpy.storage.leveldb.segment import SUCCESSOR_KEY, SegmentFile
from raftpy.system.files import SystemFiles
from tests.chaos.failing_calls import Call, FailingCalls, build
from tests.chaos.failing_node import EIO, MIB, QUICK, FailingNode
from tests.chaos.nodes import all_alike, fill, put, snapshot, until
from tests.cli.support import cluster_of

SEGMENT = 16 * MIB
PATIENCE_S = 60.0
"""Seconds that a process may take to come to the call that fails, on a machine that has much else to do."""


@dataclass(frozen=True, slots=True)
class Case:
    """The call ``first`` of these on such a path fails, whatever the node is doing then, and ``times`` in all (-1: all
    behind it)."""

    name: str
    calls: Call
    path: str
    first: int = 1
    times: int = 1

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def hits(self, node: FailingNode, act: Callable[[], object]) -> int:
        """Does it while the call fails, which it must come to; how many lines the node had printed before."""
        printed = node.printed()
        node.fail(self.calls, self.path, self.first, self.times)
        act()
        self.was_hit(node)
        return printed

    def was_hit(self, node: FailingNode) -> None:
        """Returns as soon as it was."""
        until(lambda: node.calls.failed >= max(self.times, 1), f"a call fails, of {self.path}", PATIENCE_S)


def cases(*table: Case) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table, ids=str)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def lasting(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingNode]:
    """One data directory for all of these tests: what each of them leaves the next ones start from."""
    node = FailingNode.alone(tmp_path_factory.mktemp("lasting"), library)
    yield node
    node.calls.heal()
    node.cluster.stop()


@pytest.fixture
def node(lasting: FailingNode) -> FailingNode:
    """It runs, and nothing fails."""
    lasting.calls.heal()
    lasting.up()
    return lasting


@pytest.fixture
def new(library: Path, tmp_path: Path) -> Iterator[FailingNode]:
    """One that was never started."""
    node = FailingNode.alone(tmp_path, library)
    yield node
    node.cluster.stop()


def names(node: FailingNode, case: Case, text: str) -> bool:
    """Whether it names the file, or the directory, and the error."""
    pattern = re.escape(node.pattern(case.path)).replace(r"\*", ".*")
    return EIO.lower() in text.lower() and re.search(pattern, text) is not None


def is_back(node: FailingNode) -> None:
    """What an end has left is whole, and the node starts from it, has everything and goes on."""
    node.calls.heal()
    node.verify()
    node.up()
    assert node.put()


def stops(node: FailingNode, case: Case, printed: int, line: str) -> None:
    """With one line, which has ``line`` in it, the file and the error; and it is back when it is started."""
    assert node.ended() == 1
    (said,) = node.said(printed)
    assert line in said
    assert names(node, case, said), said
    is_back(node)


def refused(node: FailingNode) -> None:
    assert not node.put()


# --- the log

LOG = (
    Case("log write", Call.WRITE, "/{used}/*.log"),
    Case("log sync", Call.SYNC, "/{used}/*.log"),
)


@cases(*LOG)
def test_the_log(node: FailingNode, case: Case) -> None:
    printed = case.hits(node, lambda: refused(node))
    stops(node, case, printed, "has stopped: writing to the store")


# --- the next segment

NEXT = (
    Case("lock", Call.OPEN, "/{next}/LOCK"),
    Case("new manifest", Call.OPEN, "/{next}/MANIFEST-*"),
    Case("manifest write", Call.WRITE, "/{next}/MANIFEST-*"),
    Case("manifest sync", Call.SYNC, "/{next}/MANIFEST-*"),
    Case("new CURRENT", Call.OPEN, "/{next}/*.dbtmp"),
    Case("CURRENT write", Call.WRITE, "/{next}/*.dbtmp"),
    Case("CURRENT sync", Call.SYNC, "/{next}/*.dbtmp"),
    Case("CURRENT rename", Call.RENAME, "/{next}/*.dbtmp"),
    Case("new log", Call.OPEN, "/{next}/*.log"),
    Case("header write", Call.WRITE, "/{next}/*.log"),
    Case("header sync", Call.SYNC, "/{next}/*.log"),
    Case("directory sync", Call.SYNC, "/{next}"),
    Case("name sync", Call.SYNC, "/segments"),
    Case("lock held", Call.OPEN, "/{next}/LOCK", first=2),  # by the store, once LevelDB has let go of it
)
HARMLESS = (
    Case("mkdir", Call.MAKE_DIRECTORY, "/{next}"),  # LevelDB does it twice
    Case("news of LevelDB", Call.RENAME, "/{next}/LOG"),
    Case("first manifest", Call.REMOVE, "/{next}/MANIFEST-*"),
    Case("room", Call.SET_ASIDE, "/{next}/*.log"),
)
NAMED = (
    Case("name write", Call.WRITE, "/{used}/*.log"),
    Case("name sync", Call.SYNC, "/{used}/*.log"),
)
CHANGE = (
    Case("first batch write", Call.WRITE, "/{next}/*.log"),
    Case("first batch sync", Call.SYNC, "/{next}/*.log"),
    Case("former cut off", Call.TRUNCATE, "/{used}/*.log"),
)


@pytest.fixture
def without_next(node: FailingNode) -> FailingNode:
    """Making the next segment has failed so far."""
    if not node.damage():
        node.kill()
        node.start()
        node.fail(Call.OPEN, "/{next}/LOCK")
        node.up()
        until(lambda: bool(node.damage()), "it says that there is none")
    node.calls.heal()
    return node


@cases(*NEXT)
def test_the_next_segment(without_next: FailingNode, case: Case) -> None:
    """Nothing rests on it: the one in use grows, and it is tried again."""
    node = without_next
    case.hits(node, lambda: node.fill(MIB))
    until(lambda: any(names(node, case, text) and "making segment" in text for text in node.damage()), "it says so")
    assert node.put()


@cases(*HARMLESS)
def test_what_the_next_segment_can_do_without(without_next: FailingNode, case: Case) -> None:
    node = without_next
    case.hits(node, lambda: node.fill(MIB))
    until(lambda: node.damage() == [], "the next segment is made")
    assert node.put()


@cases(*NAMED)
def test_the_name_of_the_next_segment(without_next: FailingNode, case: Case) -> None:
    """It is in an ordinary batch, the first one behind its making."""
    node = without_next
    node.fill(MIB)
    until(lambda: node.damage() == [], "it is made")
    file = SegmentFile(SystemFiles(), node.segments, node.used)
    named = file.marks().get(SUCCESSOR_KEY)
    assert named is None
    printed = case.hits(node, lambda: refused(node))
    if case.calls == Call.SYNC:
        assert SegmentFile(SystemFiles(), node.segments, node.used).marks()[SUCCESSOR_KEY] == node.used + 1
    stops(node, case, printed, "has stopped: writing to the store")


@cases(*CHANGE)
def test_going_on_to_the_next_segment(node: FailingNode, case: Case) -> None:
    node.fill(SEGMENT - 2 * MIB)

    def change() -> None:
        for _ in range(4):
            if not node.put(MIB, "fill"):
                return
            time.sleep(0.01)

    printed = case.hits(node, change)
    if case.calls == Call.TRUNCATE:
        refused(node)
    stops(node, case, printed, "has stopped: ")


# --- what is needed no more

OLD = (
    Case("old file", Call.REMOVE, "/segments/*/?*"),
    Case("old log", Call.REMOVE, "/segments/*/*.log"),
    Case("old directory", Call.REMOVE, "/segments/????????????????"),
)


@cases(*OLD)
def test_old_segments(node: FailingNode, case: Case) -> None:
    """They only take room: it goes on, says so, and the next start removes them."""
    node.kill()
    node.up()  # so that there is one which is closed
    node.snapshot()

    def give_up() -> None:
        assert node.snapshot() is None
        assert node.put()

    case.hits(node, give_up)
    until(lambda: any("removing " in text and EIO in text for text in node.damage()), "it says so")
    (left,) = [Path(text.split()[1]) for text in node.damage()]
    assert left.exists()
    assert node.put()
    node.kill()
    is_back(node)
    assert node.damage() == []
    until(lambda: not left.exists(), "it is removed")


# --- snapshots

SNAPSHOT = (
    Case("new", Call.OPEN, "/snapshots/*.writing"),
    Case("write", Call.WRITE, "/snapshots/*.writing"),
    Case("write back", Call.WRITE_BACK, "/snapshots/*.writing"),
    Case("sync", Call.SYNC, "/snapshots/*.writing"),
    Case("rename", Call.RENAME, "/snapshots/*.writing"),
    Case("name sync", Call.SYNC, "/snapshots"),
    Case("write and removal", Call.WRITE | Call.REMOVE, "/snapshots/*.writing", times=2),
    Case("old ones", Call.REMOVE, "/snapshots/*.snapshot"),
)


@cases(*SNAPSHOT)
def test_snapshots(node: FailingNode, case: Case) -> None:
    """The one that fails costs itself alone."""
    assert node.put(MIB, "fill")
    while len(list(node.data.glob("snapshots/*.snapshot"))) < 2:
        assert node.snapshot() is None
    before = node.status()["snapshot_index"]
    said: list[str | None] = []
    case.hits(node, lambda: said.append(node.snapshot()))
    assert names(node, case, said[0] or ""), said
    assert names(node, case, str(node.status()["snapshot_failure"]))
    left = list(node.data.glob("snapshots/*.writing"))
    assert len(left) == (case.times == 2), "its room is free again, unless it cannot be removed either"
    assert node.put()
    node.kill()
    is_back(node)
    assert node.snapshot() is None
    assert int(str(node.status()["snapshot_index"])) > int(str(before))
    assert node.status()["snapshot_failure"] is None
    assert len(list(node.data.glob("snapshots/*"))) == 2


FIRST_SNAPSHOT = (
    Case("directory", Call.MAKE_DIRECTORY, "/snapshots"),
    Case("directory name sync", Call.SYNC, ""),
)


@cases(*FIRST_SNAPSHOT)
def test_the_first_snapshot(new: FailingNode, case: Case) -> None:
    new.up()
    said: list[str | None] = []
    case.hits(new, lambda: said.append(new.snapshot()))
    assert EIO in str(said[0])
    assert str(new.data / "snapshots") in str(said[0])
    assert new.snapshot() is None


# --- starts

FIRST_START = (
    Case("data directory", Call.MAKE_DIRECTORY, ""),
    Case("lock", Call.OPEN, "/lock"),
    Case("lock emptied", Call.TRUNCATE, "/lock"),
    Case("holder", Call.WRITE, "/lock"),
    Case("new floor", Call.OPEN, "/floor.new"),
    Case("floor write", Call.WRITE, "/floor.new"),
    Case("floor sync", Call.SYNC, "/floor.new"),
    Case("floor rename", Call.RENAME, "/floor.new"),
    Case("floor name sync", Call.SYNC, ""),
    Case("segments", Call.MAKE_DIRECTORY, "/segments"),
    Case("identity write", Call.WRITE, "/{used}/*.log", 2),
    Case("identity sync", Call.SYNC, "/{used}/*.log", 2),
    Case("boot sync", Call.SYNC, "/{used}/*.log", 3),
)
START = (
    Case("former cut off", Call.TRUNCATE, "/{former}/*.log"),
    Case("last batch write", Call.WRITE, "/{former}/*.log"),
    Case("last batch sync", Call.SYNC, "/{former}/*.log"),
    Case("header sync", Call.SYNC, "/{used}/*.log"),
    Case("name sync", Call.SYNC, "/segments"),
    Case("boot write", Call.WRITE, "/{used}/*.log", 2),
    Case("boot sync", Call.SYNC, "/{used}/*.log", 2),
    Case("floor sync", Call.SYNC, "/floor.new"),
    Case("floor name sync", Call.SYNC, ""),
)
UNUSED = (
    Case("unused segment", Call.REMOVE, "/segments/*/*.log"),
    Case("unused segment sync", Call.SYNC, "/segments", 3),
)
STOP = (
    Case("last batch write", Call.WRITE, "/{used}/*.log"),
    Case("last batch sync", Call.SYNC, "/{used}/*.log"),
    Case("cut off", Call.TRUNCATE, "/{used}/*.log"),
    Case("floor sync", Call.SYNC, "/floor.new"),
    Case("floor name sync", Call.SYNC, ""),
    Case("lock", Call.TRUNCATE, "/lock"),
)


def fails_to_start(node: FailingNode, case: Case) -> None:
    """With one line, and nothing is damaged by it."""
    printed = node.printed()
    node.start(lambda: node.fail(case.calls, case.path, case.first, case.times))
    case.was_hit(node)
    assert node.ended() == 1
    (said,) = node.said(printed)
    assert names(node, case, said), said


@pytest.fixture(scope="module")
def newcomer(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingNode]:
    """One that has never come to start, on the directory that its last attempt has left."""
    node = FailingNode.alone(tmp_path_factory.mktemp("new"), library)
    yield node
    node.cluster.stop()


@cases(*FIRST_START)
def test_the_first_start(newcomer: FailingNode, case: Case) -> None:
    fails_to_start(newcomer, case)


def test_the_first_start_at_last(newcomer: FailingNode) -> None:
    newcomer.calls.heal()
    newcomer.up()
    assert newcomer.put()
    newcomer.kill()
    is_back(newcomer)
    newcomer.kill()


@cases(*START)
def test_a_start(lasting: FailingNode, case: Case) -> None:
    """What one such start has left the next one begins with."""
    if lasting.runs or not lasting.former:
        lasting.calls.heal()
        lasting.up()
        lasting.kill()
    fails_to_start(lasting, case)
    lasting.verify()


def test_a_start_at_last(lasting: FailingNode) -> None:
    lasting.calls.heal()
    lasting.up()
    assert lasting.put()


@cases(*UNUSED)
def test_a_start_removes_what_nobody_has_used(node: FailingNode, case: Case) -> None:
    """It only takes room."""
    node.kill()
    node.start(lambda: node.fail(case.calls, case.path, case.first, case.times))
    case.was_hit(node)
    node.up()
    if case.calls == Call.REMOVE:
        until(lambda: any("removing " in text and EIO in text for text in node.damage()), "it says so")
    assert node.put()
    node.kill()
    is_back(node)


@cases(*STOP)
def test_a_stop(node: FailingNode, case: Case) -> None:
    """What is acknowledged is durable before it: what fails is only for the next start."""
    node.put()
    case.hits(node, node.stop)
    assert node.ended() == 0
    is_back(node)


# --- a snapshot from another node

RECEIVED = tuple(
    replace(case, times=-1)  # it is offered again and again
    for case in (
        Case("new", Call.OPEN, "/snapshots/*.receiving"),
        Case("begun name sync", Call.SYNC, "/snapshots", 2),
        Case("write", Call.WRITE, "/snapshots/*.receiving"),
        Case("write back", Call.WRITE_BACK, "/snapshots/*.receiving"),
        Case("sync", Call.SYNC, "/snapshots/*.receiving"),
        Case("rename", Call.RENAME, "/snapshots/*.receiving"),
        Case("name sync", Call.SYNC, "/snapshots", 3),
        Case("write and removal", Call.WRITE | Call.REMOVE, "/snapshots/*.receiving"),
    )
)


@pytest.fixture(scope="module")
def third(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingNode]:
    """The third of three nodes."""
    directory = tmp_path_factory.mktemp("three")
    calls = FailingCalls(library, directory / "rule", f"{directory}/n3*")
    with cluster_of(3, directory, options=QUICK[-2:], environments={3: calls.environment}) as cluster:
        node = FailingNode(cluster, calls, 3)
        node.used = 1
        put(cluster, "first", b"value")
        until(partial(takes_one, cluster, 3), "it has a directory of snapshots")
        yield node


def takes_one(cluster: DemoCluster, node_id: int) -> bool:
    return snapshot(cluster, node_id).status == 200


@pytest.fixture(scope="module")
def missed(third: FailingNode) -> dict[str, bytes]:
    """What it does not have: it is down, and the logs of the others begin behind its own."""
    third.kill()
    values: dict[str, bytes] = {}
    for number in range(2):
        values |= fill(third.cluster, number, 1, 400_000, f"missed-{number}-")
        for other in (1, 2):
            until(partial(takes_one, third.cluster, other), f"node {other} takes a snapshot")
    return values


@cases(*RECEIVED)
def test_a_snapshot_that_is_received(third: FailingNode, missed: dict[str, bytes], case: Case) -> None:
    """It goes on as it was, and says so."""
    third.kill()
    printed = third.printed()
    third.start(lambda: third.fail(case.calls, case.path, case.first, case.times))
    case.was_hit(third)
    until(lambda: any(names(third, case, line) for line in third.said(printed)), "it says so")
    assert third.status()["role"] == "follower"
    third.kill()
    third.verify()


def test_a_snapshot_that_is_received_at_last(third: FailingNode, missed: dict[str, bytes]) -> None:
    third.calls.heal()
    third.start()
    all_alike(third.cluster, missed)
    assert int(str(third.status()["snapshot_index"])) > 0
    third.kill()
    third.verify()


# --- all of it

TABLES = (LOG, NEXT, HARMLESS, NAMED, CHANGE, OLD, SNAPSHOT, FIRST_SNAPSHOT, FIRST_START, START, UNUSED, STOP, RECEIVED)
ANY_SEGMENT = dict.fromkeys(("former", "used", "next"), "segments/" + 16 * "?")
PRINTED = (Call.WRITE, ".log")
"""A call on no file in the data directory, but on the one beside it that has the node's words."""


def is_in_the_tables(call: Call, path: str) -> bool:
    return any(
        call in case.calls and fnmatch(path, case.path.format(**ANY_SEGMENT)) for table in TABLES for case in table
    )


def test_the_tables_have_every_call(node: FailingNode, third: FailingNode) -> None:
    node.snapshot()
    node.stop()
    missing = set()
    for each in (node, third):
        for call, path in each.calls.seen():
            below = path.removeprefix(str(each.data))
            if (call, below) != PRINTED and not is_in_the_tables(call, below):
                missing.add((str(call), re.sub("[0-9]+", "N", below)))
    assert missing == set()
