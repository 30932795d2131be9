"""Snapshots on their way between nodes in processes of their own, which are killed -9 in the middle; and damaged files.

At the end all three have the same state, with everything that was acknowledged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from raftpy.cli.demo_cluster import DemoCluster
from tests.chaos.nodes import all_alike, fill, level, put, snapshot, status, until, words
from tests.chaos.slow_restore import MIDDLE
from tests.cli.support import running, wait_for_leader

VALUE = 500_000
RATE = 4 << 20
"""Bytes of snapshots a second that a node gives: the ten values below take more than a second."""
OPTIONS = ["--trailing-bytes", "0", "--snapshot-rate", str(RATE)]


class Nodes(DemoCluster):
    """Of which those in ``slow`` stay in the middle of a restore."""

    def __init__(self, directory: Path) -> None:
        super().__init__(3, directory=directory, options=OPTIONS)
        self.slow: set[int] = set()

    def command(self, node_id: int) -> list[str]:
        command = super().command(node_id)
        if node_id in self.slow:
            command[command.index("raftpy")] = "tests.chaos.slow_restore"
            command.remove("-P")
        assert command[0] == sys.executable
        return command


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Nodes]:
    with running(Nodes(tmp_path)) as nodes:
        yield nodes


def leave_behind(cluster: Nodes, seed: int) -> tuple[int, int, dict[str, bytes]]:
    """Kills a follower, and goes on until the others' logs begin behind its own. The leader, the killed one, what was
    put."""
    leader = wait_for_leader(cluster)
    lost = next(node_id for node_id in cluster.ids if node_id != leader)
    others = [node_id for node_id in cluster.ids if node_id != lost]
    put(cluster, "first", b"value")
    holds = level(cluster)
    cluster.kill(lost)
    values = {"first": b"value"} | fill(cluster, seed, 10, VALUE)
    level(cluster, others)
    for node_id in others:
        assert snapshot(cluster, node_id).status == 200
    values |= fill(cluster, seed + 1, 1, 10, "then")
    level(cluster, others)
    for node_id in others:
        assert snapshot(cluster, node_id).status == 200
    until(lambda: all(status(cluster, each)["first_index"] > holds + 1 for each in others), "logs are cut")
    return wait_for_leader(cluster), lost, values


def position(cluster: Nodes, node_id: int) -> int:
    """How many bytes of a snapshot are at the node; 0 while none is coming."""
    coming = status(cluster, node_id).get("incoming_snapshot")
    return 0 if coming is None else coming["position"]


def come_halfway(cluster: Nodes, lost: int) -> int:
    """Starts the node, and returns when a good part of the snapshot is here; how many bytes."""
    cluster.start(lost)
    found = [0]

    def enough() -> bool:
        found[0] = position(cluster, lost)
        return found[0] > 3 * VALUE

    until(enough, "some of it is here")
    assert found[0] < 9 * VALUE, "it came faster than allowed"
    return found[0]


def test_the_leader_is_killed_in_the_middle_of_a_transfer(cluster: Nodes, seed: int) -> None:
    leader, lost, values = leave_behind(cluster, seed)
    come_halfway(cluster, lost)
    cluster.kill(leader)
    put(cluster, "without", b"it")  # the other two are a majority, and lead
    cluster.start(leader)
    all_alike(cluster, {**values, "without": b"it"})
    assert any("restored from the snapshot" in line for line in words(cluster, lost))


def test_a_follower_is_killed_in_the_middle_of_a_fetch(cluster: Nodes, seed: int) -> None:
    """It goes on where it was: only what was on its way comes again."""
    _, lost, values = leave_behind(cluster, seed)
    before = come_halfway(cluster, lost)
    cluster.kill(lost)
    (file,) = (cluster.directory / f"n{lost}" / "snapshots").glob("*.receiving")
    kept = file.stat().st_size
    assert kept >= before - (1 << 20)
    cluster.start(lost)
    first: list[int] = []

    def comes() -> bool:
        first[:] = [position(cluster, lost)]
        return first[0] > 0

    until(comes, "it comes again")
    assert first[0] >= kept - (256 << 10), "it has begun anew"
    all_alike(cluster, values)
    assert any("restored from the snapshot" in line for line in words(cluster, lost))


def is_restoring(cluster: Nodes, node_id: int, times: int) -> bool:
    """Whether the node is in the middle of a restore for the so manieth time."""
    return words(cluster, node_id).count(MIDDLE) == times


def test_a_follower_is_killed_in_the_middle_of_a_restore(cluster: Nodes, seed: int) -> None:
    """In the first life while it runs, in the second while it starts."""
    _, lost, values = leave_behind(cluster, seed)
    cluster.slow = {lost}
    for life in (1, 2):
        cluster.start(lost)
        until(partial(is_restoring, cluster, lost, life), "it restores")
        put(cluster, f"meanwhile{life}", b"value", without=lost)
        cluster.kill(lost)
    cluster.slow = set()
    cluster.start(lost)
    all_alike(cluster, {**values, "meanwhile1": b"value", "meanwhile2": b"value"})
    assert not any("restored from the snapshot" in line for line in words(cluster, lost)), "a start has done it"


def cut(path: Path) -> None:
    """The file ends in the middle."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path: Path) -> None:
    """One bit in the middle is another one."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 4]))


@pytest.mark.parametrize("leads", [False, True], ids=["follower", "leader"])
def test_a_damaged_snapshot_is_not_used_where_there_is_an_older_one(cluster: Nodes, seed: int, *, leads: bool) -> None:
    """Cut, flipped or missing: the node starts from the one before, and says why."""
    leader = wait_for_leader(cluster)
    victim = next(node_id for node_id in cluster.ids if (node_id == leader) == leads)
    harms: dict[str, Callable[[Path], object]] = {"cut": cut, "flipped": flip, "missing": Path.unlink}
    values = fill(cluster, seed, 2, VALUE)
    level(cluster)
    older = snapshot(cluster, victim).json()["index"]
    for kind, harm in harms.items():
        values |= fill(cluster, seed, 2, 10, kind)
        level(cluster)
        newer = snapshot(cluster, victim).json()["index"]
        assert newer > older
        cluster.kill(victim)
        begun = len(words(cluster, victim))
        (path,) = (cluster.directory / f"n{victim}" / "snapshots").glob(f"0-{newer}-*.snapshot")
        harm(path)
        put(cluster, f"beside-{kind}", b"value")
        values[f"beside-{kind}"] = b"value"
        cluster.start(victim)
        until(lambda: "snapshot_index" in status(cluster, victim), "it is up")
        assert status(cluster, victim)["snapshot_index"] == older
        said = [line for line in words(cluster, victim)[begun:] if str(path) in line]
        assert len(said) == (kind != "missing"), said
        all_alike(cluster, values)
        wait_for_leader(cluster)
        # The next one takes the damaged one's place, and is good.
        older = snapshot(cluster, victim).json()["index"]
        assert older > newer
