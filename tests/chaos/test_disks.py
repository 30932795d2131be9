"""Disks that are full or fail, for real, under nodes in processes of their own: small file systems, devices that end.

A snapshot that finds no room costs itself alone: the node goes on, says so, and takes the next one when there is room.
Where the log finds none, or its device fails, the node stops with one line, and what it has acknowledged is there when
it starts on the healed disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftpy.cli.demo_cluster import DemoCluster
from tests.chaos.devices import Device, small_disk
from tests.chaos.nodes import all_alike, exit_status, fill, put, snapshot, status, until, words
from tests.cli.support import cluster_of, wait_for_leader

VALUE = 400_000
"""Bytes of a value, of which eight are more than a small disk has room for."""
FULL = "No space left on device"
"""Snapshots may take all of a disk of their own."""
IO_ERRORS = ("Input/output error", "Cannot allocate memory")
"""The system's words for a device that fails; ext4 has the latter where the block that is lost is one of its own."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DemoCluster]:
    """Three processes with a leader. What a test puts under a data directory is gone by then."""
    with cluster_of(3, tmp_path) as processes:
        yield processes


def follower(cluster: DemoCluster) -> int:
    leader = wait_for_leader(cluster)
    return next(node_id for node_id in cluster.ids if node_id != leader)


def restart_on(cluster: DemoCluster, node_id: int) -> None:
    """Starts a node again; returns when it follows the leader."""
    cluster.start(node_id)
    until(lambda: status(cluster, node_id).get("leader") is not None, f"node {node_id} knows a leader")


def put_until_it_stops(cluster: DemoCluster, node_id: int, seed: int, most: int, values: dict[str, bytes]) -> str:
    """Puts values, which are added to ``values``, until the node has stopped by itself: the one line that it says."""
    begun = len(words(cluster, node_id))
    for number in range(most):
        values |= fill(cluster, seed, 1, VALUE, f"n{number}-")
        if cluster.pid(node_id) is None:
            break
    assert exit_status(cluster, node_id) == 1
    said = [line for line in words(cluster, node_id)[begun:] if ": info: " not in line and "up: udp" not in line]
    assert len(said) == 1, said
    return said[0]


@pytest.mark.needs_root
def test_a_snapshot_that_finds_no_room(tmp_path: Path, seed: int) -> None:
    with cluster_of(3, tmp_path, options=["--snapshot-entries", "6"]) as cluster:
        without_room(cluster, seed)


def without_room(cluster: DemoCluster, seed: int) -> None:
    """What happens on a follower that takes snapshots by itself, and on request."""
    victim = follower(cluster)
    cluster.kill(victim)
    place = cluster.directory / f"n{victim}" / "snapshots"
    with small_disk(place, "2m") as disk:
        restart_on(cluster, victim)
        values = fill(cluster, seed, 8, VALUE)
        said_so = f"node {victim}: no new snapshot, or the log not cut behind it: "
        until(lambda: any(said_so in line for line in words(cluster, victim)), "it says so by itself")
        assert FULL in status(cluster, victim)["snapshot_failure"]
        refused = snapshot(cluster, victim)
        assert (refused.status, refused.json()["error"]) == (503, "snapshot_failed")
        assert FULL in refused.message()
        assert [path.name for path in place.iterdir()] == []  # and its room is free again
        said = status(cluster, victim)
        assert (said["role"], said["snapshot_index"]) == ("follower", 0)
        assert FULL in said["snapshot_failure"]
        put(cluster, "later", b"value")
        disk.grow("64m")
        taken = snapshot(cluster, victim)
        assert taken.status == 200, taken.message()
        said = status(cluster, victim)
        assert (said["snapshot_index"], said["snapshot_failure"]) == (taken.json()["index"], None)
        all_alike(cluster, {**values, "later": b"value"})
        # What it has written there counts: the next life begins with it.
        cluster.kill(victim)
        restart_on(cluster, victim)
        all_alike(cluster, {**values, "later": b"value"})
        cluster.kill(victim)


@pytest.mark.needs_root
def test_a_log_that_finds_no_room(cluster: DemoCluster, seed: int) -> None:
    """The node stops by name, the others go on; when there is room it starts, and has all it had acknowledged."""
    victim = follower(cluster)
    values = fill(cluster, seed, 2, VALUE, "before")
    cluster.kill(victim)
    with small_disk(cluster.directory / f"n{victim}", "64m") as disk:
        restart_on(cluster, victim)
        disk.fill()
        last = put_until_it_stops(cluster, victim, seed, 200, values)  # space has been set aside for the first of them
        assert "error" in last
        assert "No space left on device" in last
        # As long as there is none, it says so again, and damages nothing.
        cluster.start(victim)
        assert exit_status(cluster, victim) == 1
        assert "No space left on device" in words(cluster, victim)[-1]
        disk.empty("256m")
        restart_on(cluster, victim)
        all_alike(cluster, values)
        cluster.kill(victim)


@pytest.mark.needs_root
def test_a_device_that_fails_under_a_log(cluster: DemoCluster, seed: int) -> None:
    """EIO from a device for whatever is written: one line, exit status 1, and nothing acknowledged is lost by it."""
    victim = follower(cluster)
    values = fill(cluster, seed, 2, VALUE, "before")
    cluster.kill(victim)
    with Device(cluster.directory / f"n{victim}") as device:
        restart_on(cluster, victim)
        device.fail()
        last = put_until_it_stops(cluster, victim, seed, 100, values)
        assert any(text in last for text in IO_ERRORS)
        device.heal()
        restart_on(cluster, victim)
        all_alike(cluster, values)
        cluster.kill(victim)


@pytest.mark.needs_root
def test_a_device_that_fails_under_snapshots(cluster: DemoCluster, seed: int) -> None:
    victim = follower(cluster)
    cluster.kill(victim)
    with Device(cluster.directory / f"n{victim}" / "snapshots") as device:
        restart_on(cluster, victim)
        values = fill(cluster, seed, 4, VALUE)
        until(lambda: status(cluster, victim)["applied_index"] >= 4, "all of it is applied")
        assert snapshot(cluster, victim).status == 200
        put(cluster, "later", b"value")
        until(lambda: status(cluster, victim)["applied_index"] >= 5, "that, too")
        device.fail()
        refused = snapshot(cluster, victim)
        assert (refused.status, refused.json()["error"]) == (503, "snapshot_failed")
        assert any(text in refused.message() for text in IO_ERRORS)
        assert any(text in status(cluster, victim)["snapshot_failure"] for text in IO_ERRORS)
        put(cluster, "more", b"value")
        device.heal()
        assert snapshot(cluster, victim).status == 200
        assert status(cluster, victim)["snapshot_failure"] is None
        values |= {"later": b"value", "more": b"value"}
        all_alike(cluster, values)
        cluster.kill(victim)
        restart_on(cluster, victim)
        all_alike(cluster, values)
        cluster.kill(victim)
