"""The HTTP API of three real nodes: redirects, no leader, no majority, overload, status, health."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftpy import Node, StorageFailed
from tests.server.support import Cluster, Reply, ask


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


def followers(cluster: Cluster, leader: int) -> list[int]:
    return [node_id for node_id in cluster.ids if node_id != leader]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/v1/kv/a%2Fb//c"),
        ("GET", "/v1/kv/a%2Fb//c"),
        ("GET", "/v1/kv/x?consistency=linearizable"),
        ("HEAD", "/v1/kv/x"),
        ("DELETE", "/v1/kv/x"),
        ("GET", "/v1/kv?prefix=%C3%A9&limit=7"),
    ],
)
def test_a_follower_redirects_to_the_leader(cluster: Cluster, method: str, target: str) -> None:
    leader = cluster.leader()
    for node_id in followers(cluster, leader):
        before = cluster.status(node_id).last_index
        answer = ask(cluster.port[node_id], method, target, b"x" if method == "PUT" else None)
        assert answer.status == 307
        location = f"http://127.0.0.1:{cluster.port[leader]}{target}"
        assert answer.headers["location"] == location
        if method != "HEAD":
            assert answer.json == {"leader": leader, "location": location}
        assert cluster.status(node_id).last_index == before


def test_following_the_redirect_ends_at_the_leader(cluster: Cluster) -> None:
    leader = cluster.leader()
    follower = followers(cluster, leader)[0]
    location = ask(cluster.port[follower], "PUT", "/v1/kv/followed", b"x").headers["location"]
    host, path = location.removeprefix("http://").split("/", 1)
    assert ask(int(host.rpartition(":")[2]), "PUT", f"/{path}", b"x").status == 200


def test_bad_requests_are_refused_by_whoever_is_asked(cluster: Cluster) -> None:
    """A follower does not send a client on that will be refused anyway."""
    follower = followers(cluster, cluster.leader())[0]
    assert ask(cluster.port[follower], "PUT", "/v1/kv/x", b"x", {"If-Match": "1"}).status == 400
    assert ask(cluster.port[follower], "PUT", "/v1/kv/x", bytes(17_000_000)).status == 413


def test_every_replica_answers_stale_reads_by_itself(cluster: Cluster) -> None:
    leader = cluster.leader()
    index = ask(cluster.port[leader], "PUT", "/v1/kv/everywhere", b"here").json["index"]
    for node_id in cluster.ids:
        deadline = time.monotonic() + 5
        while (got := ask(cluster.port[node_id], "GET", "/v1/kv/everywhere?consistency=stale")).status == 404:
            assert time.monotonic() < deadline
        assert (got.status, got.body, got.headers["etag"]) == (200, b"here", f'"{index}"')
        assert int(got.headers["x-raft-index"]) >= index
        listed = ask(cluster.port[node_id], "GET", "/v1/kv?prefix=everywhere&consistency=stale")
        assert listed.json["items"] == [{"key": "everywhere", "version": index, "size": 4}]


def test_a_linearizable_read_sees_every_acknowledged_write(cluster: Cluster) -> None:
    leader = cluster.leader()
    for number in range(50):
        ask(cluster.port[leader], "PUT", "/v1/kv/counter", str(number).encode())
        assert ask(cluster.port[leader], "GET", "/v1/kv/counter").body == str(number).encode()


def test_status(cluster: Cluster) -> None:
    leader = cluster.leader()
    ask(cluster.port[leader], "PUT", "/v1/kv/status", b"x")
    for node_id in cluster.ids:
        answer = ask(cluster.port[node_id], "GET", "/v1/status")
        assert answer.status == 200
        status = answer.json
        assert list(status) == [
            "id", "role", "failure", "refused", "quarantine", "term", "leader", "first_index", "snapshot_index",
            "without_state",
            "incoming_snapshot",
            "snapshot_failure",
            "damage",
            "written",
            "last_index",
            "commit_index", "applied_index", "waits_for", "proposals", "members", "transport",
        ]  # fmt: skip
        assert status["id"] == node_id
        assert status["written"] is None, "its store does not say"
        assert status["role"] == ("leader" if node_id == leader else "follower")
        assert (status["failure"], status["refused"], status["first_index"]) == (None, None, 1)
        assert status["leader"] == leader
        assert status["term"] >= 1
        assert 1 <= status["applied_index"] <= status["commit_index"] <= status["last_index"]
        assert [member["udp"] for member in status["members"]] == [cluster.udp[i] for i in cluster.ids]
        # Followers hear of each other in their own time; the leader is known to all.
        addresses = {i: f"127.0.0.1:{cluster.port[i]}" for i in cluster.ids}
        assert all(member["http"] in (addresses[member["id"]], None) for member in status["members"])
        assert status["members"][leader - 1]["http"] == addresses[leader]


def test_status_of_the_leader_says_how_far_each_member_is(cluster: Cluster) -> None:
    leader = cluster.leader()
    index = ask(cluster.port[leader], "PUT", "/v1/kv/status", b"x").json["index"]
    status = wait_for(cluster.port[leader], lambda status: all(m["match"] >= index for m in status["members"]))
    for member in status["members"]:
        assert sorted(member) == [
            "http", "id", "match", "next", "priority", "quarantine", "reachable", "refuses", "state", "udp", "unserved",
            "voter",
        ]  # fmt: skip
        assert member["next"] == member["match"] + 1
        assert (member["reachable"], member["state"], member["priority"], member["unserved"]) == (
            True, "replicate", 0, None,
        )  # fmt: skip
    follower = ask(cluster.port[followers(cluster, leader)[0]], "GET", "/v1/status").json
    assert [(m["match"], m["next"], m["state"]) for m in follower["members"]] == [(None, None, None)] * 3


def test_status_has_the_counters_of_the_transport(cluster: Cluster) -> None:
    leader = cluster.leader()
    for node_id in cluster.ids:
        transport = ask(cluster.port[node_id], "GET", "/v1/status").json["transport"]
        own = json.loads(json.dumps(cluster.status(node_id).transport))  # ids of nodes become text
        assert list(transport) == list(own) == ["node", "peers", "wire"]
        assert sorted(transport["peers"]) == sorted(str(i) for i in cluster.ids if i != node_id)
        for peer_id, counters in transport["peers"].items():
            assert list(counters) == list(own["peers"][peer_id])
            assert node_id != leader or counters["received"] > 0


def test_a_member_that_is_gone_is_shown_as_not_reachable() -> None:
    with Cluster(3) as cluster:
        leader = cluster.leader()
        gone = followers(cluster, leader)[0]
        cluster.stop(gone)
        status = wait_for(cluster.port[leader], lambda status: not status["members"][gone - 1]["reachable"])
        assert status["transport"]["peers"][str(gone)]["reachable"] is False
        assert [m["id"] for m in status["members"] if m["reachable"]] == [i for i in cluster.ids if i != gone]


def wait_for(port: int, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first status for which it holds."""
    deadline = time.monotonic() + 10
    while not holds(status := ask(port, "GET", "/v1/status").json):
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
    return dict(status)


def test_health(cluster: Cluster) -> None:
    leader = cluster.leader()
    for node_id in cluster.ids:
        answer = ask(cluster.port[node_id], "GET", "/healthz")
        assert (answer.status, answer.json) == (200, {"status": "ok", "id": node_id, "leader": leader})
        assert ask(cluster.port[node_id], "HEAD", "/healthz").body == b""


def test_health_of_a_node_that_has_failed_says_so_and_why() -> None:
    with Cluster(1) as cluster:
        assert cluster.leader() == 1
        disk_full = StorageFailed("the log cannot be written: no space left on device")
        cluster.call(fail(cluster.nodes[1], disk_full))
        answer = ask(cluster.port[1], "GET", "/healthz")
        assert (answer.status, answer.json["error"]) == (503, "failed")
        assert answer.json["message"] == f"the node has failed: {disk_full}"
        assert "retry-after" not in answer.headers, "no other answer will come from this node"
        assert ask(cluster.port[1], "GET", "/v1/status").json["failure"] == str(disk_full)


def test_health_of_a_node_that_was_stopped_is_not_ok() -> None:
    with Cluster(1) as cluster:
        cluster.leader()
        cluster.call(cluster.nodes[1].stop())
        answer = ask(cluster.port[1], "GET", "/healthz")
        assert (answer.status, answer.json) == (503, {"error": "stopped", "message": "the node has stopped"})


async def fail(node: Node, error: Exception) -> None:
    assert node._host.driver is not None
    node._host.driver.fail(error)


def test_without_a_leader_503_and_stale_reads_go_on() -> None:
    with Cluster(3, start=(2,)) as cluster:
        port = cluster.port[2]
        for method, path in (("PUT", "/v1/kv/a"), ("GET", "/v1/kv/a"), ("DELETE", "/v1/kv/a"), ("GET", "/v1/kv")):
            answer = ask(port, method, path)
            assert (answer.status, answer.json["error"]) == (503, "no_leader")
            assert answer.headers["retry-after"] == "1"
        assert ask(port, "GET", "/v1/kv/a?consistency=stale").status == 404
        assert ask(port, "GET", "/v1/kv?consistency=stale").json == {"items": [], "more": False}
        status = ask(port, "GET", "/v1/status").json
        assert (status["id"], status["leader"], status["last_index"]) == (2, None, 0)
        assert status["role"] in ("follower", "candidate")
        assert [member["http"] is None for member in status["members"]] == [True, False, True]
        assert ask(port, "GET", "/healthz").json == {"status": "ok", "id": 2, "leader": None}


def test_a_leader_without_a_known_http_address_is_503() -> None:
    with Cluster(2, config=lambda node_id: {"http": None}) as cluster:
        follower = followers(cluster, cluster.leader())[0]
        answer = ask(cluster.port[follower], "PUT", "/v1/kv/a", b"x")
        assert (answer.status, answer.json["error"]) == (503, "no_leader")
        assert "HTTP address is not known" in answer.json["message"]
        assert answer.headers["retry-after"] == "1"


def test_without_a_majority_504_and_then_overloaded() -> None:
    """The leader has appended the command, and cannot say what will become of it."""
    with Cluster(3, timeout=1.0, most_waiting=2, config=lambda _: {"check_quorum": False}) as cluster:
        leader = cluster.leader()
        port = cluster.port[leader]
        assert ask(port, "PUT", "/v1/kv/before", b"x").status == 200
        for node_id in followers(cluster, leader):
            cluster.stop(node_id)
        answers: list[Reply] = []
        requests = [
            threading.Thread(target=lambda m=method: answers.append(ask(port, m, "/v1/kv/before", b"y")))
            for method in ("PUT", "GET")
        ]
        began = time.monotonic()
        for request in requests:
            request.start()
        time.sleep(0.3)
        third = ask(port, "PUT", "/v1/kv/before", b"z")
        assert (third.status, third.json["error"]) == (503, "overloaded")
        assert third.headers["retry-after"] == "1"
        assert time.monotonic() - began < 1
        for request in requests:
            request.join()
        for answer in answers:
            assert (answer.status, answer.json["error"]) == (504, "timeout")
            assert "may or may not be committed" in answer.json["message"]
        assert len(answers) == 2
        assert time.monotonic() - began < 4  # the second given to create_server, not the node's five
        assert ask(port, "GET", "/v1/kv/before?consistency=stale").body == b"x"
        # What waited has been let go of: there is room again.
        assert ask(port, "PUT", "/v1/kv/before", b"z").status == 504


def test_the_nodes_own_limit_is_overloaded_too() -> None:
    with Cluster(3, timeout=0.5, config=lambda _: {"max_uncommitted_bytes": 3000, "check_quorum": False}) as cluster:
        leader = cluster.leader()
        for node_id in followers(cluster, leader):
            cluster.stop(node_id)
        statuses = [ask(cluster.port[leader], "PUT", "/v1/kv/a", bytes(1000)).status for _ in range(5)]
        assert statuses[0] == 504
        assert statuses[-1] == 503
        assert ask(cluster.port[leader], "PUT", "/v1/kv/a", bytes(1000)).json["error"] == "overloaded"
