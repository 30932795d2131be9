"""/v1/limits: read at any node, set at the leader, and held by the key-value store from then on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.server.support import Cluster, ask

DEFAULT = 16 << 20
LARGEST = 32 << 20


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


def shown(cluster: Cluster, node_id: int) -> object:
    answer = ask(cluster.port[node_id], "GET", "/v1/limits")
    assert (answer.status, list(answer.json)) == (200, ["max_command"])
    return answer.json["max_command"]


def set_to(cluster: Cluster, size: int) -> None:
    answer = ask(cluster.port[cluster.leader()], "PUT", "/v1/limits", b'{"max_command": %d}' % size)
    assert (answer.status, answer.json) == (200, {"max_command": size})
    until = time.monotonic() + 10
    while [shown(cluster, node_id) for node_id in cluster.ids] != [size] * 3:
        assert time.monotonic() < until, "the same at every node"
        time.sleep(0.01)


def test_it_is_raised_and_lowered_for_the_whole_cluster(cluster: Cluster) -> None:
    leader = cluster.leader()
    assert [shown(cluster, node_id) for node_id in cluster.ids] == [DEFAULT] * 3
    for size in (LARGEST, 1000, DEFAULT):
        set_to(cluster, size)
        room = size - 3 - len("limited")
        answer = ask(cluster.port[leader], "PUT", "/v1/kv/limited", bytes(room + 1))
        assert (answer.status, answer.json["error"]) == (413, "too_large")
        assert answer.json["message"] == (
            f"a value of {room + 1} bytes is too large: at most {room} bytes with this key and these conditions"
        )
        assert ask(cluster.port[leader], "PUT", "/v1/kv/limited", bytes(room)).status == 200
        assert len(ask(cluster.port[leader], "GET", "/v1/kv/limited").body) == room


def test_only_the_leader_sets_it(cluster: Cluster) -> None:
    leader = cluster.leader()
    follower = leader % 3 + 1
    answer = ask(cluster.port[follower], "PUT", "/v1/limits", b'{"max_command": 5}')
    assert answer.status == 307
    assert answer.headers["location"] == f"http://127.0.0.1:{cluster.port[leader]}/v1/limits"
    assert shown(cluster, leader) == DEFAULT


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is not understood"),
        (b"1000", "the body is not understood"),
        (b'{"max_command": 1, "min_command": 1}', "the body is not understood"),
        (b'{"max_commands": 1}', "the body is not understood"),
        (b"\xff", "the body is not understood"),
        (b'{"max_command": 0}', "the largest command is 0: allowed is a whole number from 1 to 33,554,432 bytes"),
        (b'{"max_command": 33554433}', "the largest command is 33554433: allowed is"),
        (b'{"max_command": true}', "the largest command is True: allowed is"),
        (b'{"max_command": "1"}', "the largest command is '1': allowed is"),
    ],
)
def test_what_is_not_understood_changes_nothing(cluster: Cluster, body: bytes, text: str) -> None:
    for node_id in cluster.ids:
        answer = ask(cluster.port[node_id], "PUT", "/v1/limits", body)
        assert (answer.status, answer.json["error"]) == (400, "bad_request")
        assert text in answer.json["message"]
        assert shown(cluster, node_id) == DEFAULT


def test_a_document_that_is_too_long(cluster: Cluster) -> None:
    answer = ask(cluster.port[1], "PUT", "/v1/limits", b" " * 1025)
    assert (answer.status, answer.json["error"]) == (413, "too_large")
    assert answer.json["message"] == "a document of 1025 bytes is too large: at most 1024 bytes"


def test_other_queries_and_methods(cluster: Cluster) -> None:
    assert ask(cluster.port[1], "GET", "/v1/limits?x=1").status == 400
    assert ask(cluster.port[1], "PUT", "/v1/limits?x=1", b'{"max_command": 1}').status == 400
    assert ask(cluster.port[1], "DELETE", "/v1/limits").headers["allow"] == "GET, PUT, HEAD"
