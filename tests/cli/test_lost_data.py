"""``raftpy serve`` on directories that were removed, and on first starts with members missing: real processes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.http_client import ask
from tests.cli.support import cluster_of, status_or_none, wait_for_leader

ENDS_WITHIN_S = 15.0


@pytest.fixture
def founders(tmp_path: Path) -> Iterator[DemoCluster]:
    """Three nodes of which none is started."""
    cluster = DemoCluster(3, directory=tmp_path)
    yield cluster
    cluster.stop()


def put(cluster: DemoCluster, key: str) -> int:
    """Puts by way of the leader; the version."""
    leader = wait_for_leader(cluster)
    answer = ask(cluster.http[leader], "PUT", f"/v1/kv/{key}", b"v")
    assert answer.status == 200
    version = answer.json()["index"]
    assert isinstance(version, int)
    return version


def stale(cluster: DemoCluster, node_id: int, key: str) -> int:
    return ask(cluster.http[node_id], "GET", f"/v1/kv/{key}?consistency=stale").status


def data(cluster: DemoCluster, node_id: int) -> Path:
    return cluster.directory / f"n{node_id}"


def ending(cluster: DemoCluster, node_id: int) -> tuple[int, list[str]]:
    """Waits for the end of the node's process: its exit status, and the lines it has logged since its start line."""
    status = cluster._processes[node_id].wait(ENDS_WITHIN_S)
    text = cluster.log_path(node_id).read_text()
    return status, [line for line in text[text.rindex("is up: udp") :].splitlines()[1:] if ": info: " not in line]


def says(cluster: DemoCluster, node_id: int, words: str) -> str:
    """Waits for words in the node's log; the log."""
    until = time.monotonic() + ENDS_WITHIN_S
    while words not in (log := cluster.log_path(node_id).read_text()):
        assert time.monotonic() < until, log
        time.sleep(0.05)
    return log


def no_leader(cluster: DemoCluster, node_ids: tuple[int, ...], seconds: float) -> None:
    """For so long none of these nodes knows a leader or leaves term 0."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for node_id in node_ids:
            status = status_or_none(cluster.http[node_id])
            assert status is None or (status["leader"], status["term"]) == (None, 0)
        time.sleep(0.1)


def test_two_of_three_whose_directories_were_removed_stop(tmp_path: Path) -> None:
    with cluster_of(3, tmp_path) as cluster:
        versions = [put(cluster, f"key-{number}") for number in range(8)]
        assert versions == sorted(versions)
        deadline = time.monotonic() + 10
        while stale(cluster, 1, "key-7") != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for node_id in (2, 3):
            cluster.kill(node_id)
            shutil.move(data(cluster, node_id), tmp_path / f"kept-{node_id}")
        for _ in range(2):  # whoever starts them again and again gets the same answer
            for node_id in (2, 3):
                cluster.start(node_id)
            for node_id in (2, 3):
                status, lines = ending(cluster, node_id)
                assert status == 1
                assert len(lines) == 1, lines
                for words in (f"error: node {node_id} has stopped: node 1 knows node {node_id} by", "README"):
                    assert words in lines[0]
        assert [stale(cluster, 1, f"key-{number}") for number in range(8)] == [200] * 8
        # The first way out: the directories are put back.
        for node_id in (2, 3):
            shutil.rmtree(data(cluster, node_id))
            shutil.move(tmp_path / f"kept-{node_id}", data(cluster, node_id))
            cluster.start(node_id)
        assert put(cluster, "after") > versions[-1]


def test_they_wait_for_a_survivor_that_is_down_even_when_killed_meanwhile(tmp_path: Path) -> None:
    with cluster_of(3, tmp_path) as cluster:
        put(cluster, "kept")
        for node_id in cluster.ids:
            cluster.kill(node_id)
        for node_id in (2, 3):
            shutil.rmtree(data(cluster, node_id))
        for _ in range(2):
            for node_id in (2, 3):
                cluster.start(node_id)
            for node_id in (2, 3):
                says(cluster, node_id, "waits for node 1 to say")
            no_leader(cluster, (2, 3), 1.0)
            for node_id in (2, 3):
                cluster.kill(node_id)
                cluster.log_path(node_id).unlink()
        for node_id in (2, 3, 1):
            cluster.start(node_id)
        for node_id in (2, 3):
            status, lines = ending(cluster, node_id)
            assert (status, "has stopped: node 1 knows" in lines[-1]) == (1, True)
        assert status_or_none(cluster.http[1]) is not None


def test_a_third_that_is_missing_is_waited_for(founders: DemoCluster) -> None:
    for node_id in (1, 2):
        founders.start(node_id)
    for node_id in (1, 2):
        says(founders, node_id, "takes no part yet: it waits for node 3 to say")
    no_leader(founders, (1, 2), 1.0)
    for node_id in (1, 2):
        log = founders.log_path(node_id).read_text()
        assert (log.count("takes no part yet"), log.count("--bootstrap")) == (1, 1)
    founders.start(3)
    put(founders, "all-three")


def test_bootstrap_founds_without_the_third_which_may_come_later(tmp_path: Path) -> None:
    cluster = DemoCluster(3, directory=tmp_path, options=["--bootstrap"])
    try:
        for node_id in (1, 2):
            cluster.start(node_id)
        put(cluster, "without-the-third")
        cluster._options.clear()
        cluster.start(3)
        deadline = time.monotonic() + 10
        while status_or_none(cluster.http[3]) is None or stale(cluster, 3, "without-the-third") != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for node_id, times in ((1, 1), (2, 1), (3, 0)):
            log = cluster.log_path(node_id).read_text()
            assert log.count(f"node {node_id} takes part without a word of node 3, as bootstrap says") == times
            assert "takes no part" not in log
    finally:
        cluster.stop()
