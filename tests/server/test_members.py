"""/v1/members and /v1/leader: read at any node, changed at the leader."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raftpy import Config, Node, Removed, Stopped
from raftpy.cli.demo_cluster import free_ports
from raftpy.replicated.kv import KeyValueStore
from tests.server.support import Cluster, Reply, ask


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three members that refuse, and are left as they are."""
    with Cluster(3) as cluster:
        yield cluster


@pytest.fixture
def own() -> Iterator[Cluster]:
    """Three members that a test may change, all of which have been heard."""
    with Cluster(3) as cluster:
        until(lambda: all(each["heard"] for each in members(cluster, cluster.leader())), "all are heard")
        yield cluster


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def listed(cluster: Cluster, node_id: int) -> dict[str, Any]:
    answer = ask(cluster.port[node_id], "GET", "/v1/members")
    assert answer.status == 200
    document: dict[str, Any] = answer.json
    return document


def members(cluster: Cluster, node_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = listed(cluster, node_id)["members"]
    return found


def voters(cluster: Cluster, node_id: int) -> list[int]:
    return [each["id"] for each in members(cluster, node_id) if each["voter"]]


def learners(cluster: Cluster, node_id: int) -> list[int]:
    return [each["id"] for each in members(cluster, node_id) if not each["voter"]]


def put(cluster: Cluster, method: str, page: str, body: object = None) -> Reply:
    """Asked of whoever leads, again where leadership moves."""
    for _ in range(20):
        answer = ask(cluster.port[cluster.leader()], method, page, None if body is None else json.dumps(body).encode())
        if answer.status not in (307, 503):
            break
        time.sleep(0.1)
    return answer


def done(cluster: Cluster, method: str, page: str, body: object = None) -> int:
    answer = put(cluster, method, page, body)
    assert (answer.status, list(answer.json)) == (200, ["index"]), answer.body
    index: int = answer.json["index"]
    return index


class Joining:
    """A node that is none of the first members of a cluster, in the loop of that; it serves no HTTP."""

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        self.id, self._cluster = node_id, cluster
        self.udp = f"127.0.0.1:{free_ports(1)[0]}"

    async def _make(self) -> Node:
        node = Node(Config(id=self.id, cluster=self._cluster.udp, udp=self.udp), KeyValueStore())
        await node.start()
        return node

    def __enter__(self) -> Joining:
        self.node = self._cluster.call(self._make())
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.call(self.node.stop())


# --- Reading --------------------------------------------------------------------------------------------------------


def test_every_node_lists_the_members(cluster: Cluster) -> None:
    leader = cluster.leader()
    until(lambda: all(each["heard"] for each in members(cluster, leader)), "all are heard")
    until(lambda: len({json.dumps(listed(cluster, i)) for i in cluster.ids}) == 1, "the same everywhere")
    answer = ask(cluster.port[leader], "GET", "/v1/members")
    assert answer.headers["cache-control"] == "no-store"
    assert list(answer.json) == ["index", "members", "next_id", "removed"]
    assert (answer.json["next_id"], answer.json["removed"]) == (4, [])
    assert answer.json["members"] == [
        {
            "id": i,
            "udp": cluster.udp[i],
            "http": f"127.0.0.1:{cluster.port[i]}",
            "voter": True,
            "leaving": False,
            "heard": True,
            "priority": 0,
        }
        for i in cluster.ids
    ]


def test_the_status_says_who_votes(own: Cluster) -> None:
    done(own, "POST", "/v1/members", {"id": 4, "udp": "127.0.0.1:9"})
    leader = own.leader()
    status = ask(own.port[leader], "GET", "/v1/status").json
    assert {each["id"]: each["voter"] for each in status["members"]} == {1: True, 2: True, 3: True, 4: False}


# --- Changing -------------------------------------------------------------------------------------------------------


def test_a_member_is_added_promoted_demoted_and_removed(own: Cluster) -> None:
    with Joining(own, 4) as four:
        before = listed(own, own.leader())["index"]
        index = done(own, "POST", f"/v1/members?expected={before}", {"id": 4, "udp": four.udp, "http": "127.0.0.1:9"})
        assert index > before
        assert learners(own, own.leader()) == [4]
        assert done(own, "POST", "/v1/members", {"id": 4, "udp": four.udp}) >= index, "it may be asked for again"
        done(own, "POST", "/v1/members?timeout=20", {"id": 4, "udp": four.udp, "learner": False})
        assert voters(own, own.leader()) == [1, 2, 3, 4]
        done(own, "POST", "/v1/members/4/demote")
        assert learners(own, own.leader()) == [4]
        done(own, "POST", "/v1/members/4/promote")
        assert voters(own, own.leader()) == [1, 2, 3, 4]
        for _ in range(2):
            done(own, "DELETE", "/v1/members/4")
        until(lambda: isinstance(four.node.failed, Removed), "it has ended")
    after = listed(own, own.leader())
    assert (after["removed"], after["next_id"]) == ([4], 5)


def test_several_changes_are_made_at_once(own: Cluster) -> None:
    leader = own.leader()
    first, second = (i for i in own.ids if i != leader)
    with Joining(own, 4) as four:
        done(own, "POST", "/v1/members", {"id": 4, "udp": four.udp, "learner": False})
        done(own, "POST", "/v1/members", {"id": 6, "udp": "127.0.0.1:12"})
        changes = [
            {"change": "add", "id": 5, "udp": "127.0.0.1:9", "http": "127.0.0.1:10"},
            {"change": "demote", "id": first},
            {"change": "remove", "id": second},
            {"change": "address", "id": 6, "http": "127.0.0.1:11"},
        ]
        done(own, "POST", "/v1/members?safe=true", {"changes": changes})
        assert voters(own, leader) == sorted([leader, 4])
        assert learners(own, leader) == sorted([first, 5, 6])
        assert listed(own, leader)["removed"] == [second]
        assert {each["id"]: each["http"] for each in members(own, leader)}[6] == "127.0.0.1:11"
        done(own, "POST", "/v1/members", {"changes": [{"change": "promote", "id": first}]})
        assert voters(own, leader) == sorted([leader, first, 4])


def test_a_dead_member_is_replaced(own: Cluster) -> None:
    dead = next(i for i in own.ids if i != own.leader())
    own.stop(dead)
    with Joining(own, 4) as four:
        done(own, "POST", f"/v1/members/{dead}/replace?timeout=20", {"id": 4, "udp": four.udp})
        assert voters(own, own.leader()) == sorted({1, 2, 3, 4} - {dead})
        assert listed(own, own.leader())["removed"] == [dead]


def test_an_address_is_set(own: Cluster) -> None:
    other = next(i for i in own.ids if i != own.leader())
    new = f"127.0.0.1:{free_ports(1)[0]}"
    done(own, "POST", f"/v1/members/{other}/address", {"udp": new, "http": None})
    found = {each["id"]: each for each in members(own, own.leader())}[other]
    assert (found["udp"], found["http"]) == (new, f"127.0.0.1:{own.port[other]}")


def test_leadership_goes_to_the_voter_that_is_named(own: Cluster) -> None:
    for node_id in (*own.ids, *own.ids):
        answer = ask(own.port[node_id % 3 + 1], "POST", "/v1/leader", b'{"id": %d}' % node_id)  # at any node
        assert (answer.status, answer.json) == (200, {"leader": node_id})
        assert own.leader() == node_id


# --- Refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "page", "body"),
    [
        ("POST", "/v1/members?expected=7&timeout=3.5", {"id": 4, "udp": "127.0.0.1:9"}),
        ("POST", "/v1/members/2/promote?safe=false", None),
        ("POST", "/v1/members/2/demote", None),
        ("POST", "/v1/members/2/address", {"udp": "127.0.0.1:9"}),
        ("POST", "/v1/members/2/replace", {"id": 4, "udp": "127.0.0.1:9"}),
        ("DELETE", "/v1/members/2", None),
    ],
)
def test_a_follower_sends_on_to_the_leader(cluster: Cluster, method: str, page: str, body: object) -> None:
    leader = cluster.leader()
    for node_id in set(cluster.ids) - {leader}:
        answer = ask(cluster.port[node_id], method, page, json.dumps(body).encode() if body else None)
        assert answer.status == 307
        assert answer.headers["location"] == f"http://127.0.0.1:{cluster.port[leader]}{page}"
    assert voters(cluster, leader) == [1, 2, 3]


@pytest.mark.parametrize(
    ("method", "page", "body", "text"),
    [
        ("POST", "/v1/members", {"id": 1, "udp": "127.0.0.1:9"}, "node 1 is a member already, at 127.0.0.1:"),
        ("POST", "/v1/members?expected=1", {"id": 4, "udp": "127.0.0.1:9"}, "and not 1 as expected"),
        ("DELETE", "/v1/members/2?expected=0", None, "and not 0 as expected"),
    ],
)
def test_a_change_is_refused_with_the_reason(cluster: Cluster, method: str, page: str, body: object, text: str) -> None:
    answer = put(cluster, method, page, body)
    assert (answer.status, answer.json["error"]) == (409, "change_refused")
    assert text in answer.json["message"]
    assert voters(cluster, cluster.leader()) == [1, 2, 3]


def test_what_is_not_safe_is_refused_unless_it_is_asked_for(own: Cluster) -> None:
    leader = own.leader()
    dead, other = (i for i in own.ids if i != leader)
    own.stop(dead)
    until(lambda: not next(m for m in own.status(leader).members if m.id == dead).reachable, "it is missed")
    answer = put(own, "POST", f"/v1/members/{other}/demote")
    assert (answer.status, answer.json["error"]) == (409, "change_refused")
    assert "no majority would be up" in answer.json["message"]


def test_a_learner_that_does_not_come_stays_one(own: Cluster) -> None:
    answer = put(own, "POST", "/v1/members?timeout=0.3", {"id": 4, "udp": "127.0.0.1:9", "learner": False})
    assert (answer.status, answer.json["error"]) == (504, "timeout")
    assert answer.json["message"] == (
        "not done within 0.3 s: node 4 was added and does not have the log yet: it is a learner"
    )
    assert learners(own, own.leader()) == [4]


@pytest.mark.parametrize(
    ("method", "page", "body", "text"),
    [
        ("POST", "/v1/members", b"", "the body is not understood: a JSON object is allowed"),
        ("POST", "/v1/members", b"[]", "the body is not understood: a JSON object is allowed"),
        ("POST", "/v1/members", b"{}", "which has nothing: allowed are id, udp, http (optional), learner (optional)"),
        ("POST", "/v1/members", b'{"id": 4, "udp": "127.0.0.1:9", "x": 1}', "which has id, udp, x: allowed are id"),
        ("POST", "/v1/members", b'{"id": "4", "udp": "127.0.0.1:9"}', "id is '4': a whole number is allowed"),
        ("POST", "/v1/members", b'{"id": true, "udp": "127.0.0.1:9"}', "id is True: a whole number is allowed"),
        ("POST", "/v1/members", b'{"id": 4, "udp": 7104}', "udp is 7104: a text is allowed, HOST:PORT"),
        ("POST", "/v1/members", b'{"id": 4, "udp": "127.0.0.1:9", "learner": 1}', "learner is 1: true or false"),
        ("POST", "/v1/members", b'{"changes": {}}', "changes is not understood: a list of objects is allowed"),
        ("POST", "/v1/members", b'{"changes": [1]}', "changes is not understood"),
        ("POST", "/v1/members", b'{"changes": [], "id": 4}', "which has changes, id: allowed are changes"),
        ("POST", "/v1/members", b'{"changes": [{"change": "x"}]}', "change is 'x': allowed are add, promote, demote,"),
        ("POST", "/v1/members", b'{"changes": [{"change": []}]}', "change is []: allowed are add"),
        ("POST", "/v1/members", b'{"changes": [{"change": "promote"}]}', "which has nothing: allowed are id"),
        ("POST", "/v1/members?expected=x", b"{}", "bad expected 'x'"),
        ("POST", "/v1/members?safe=no", b"{}", "bad safe 'no': allowed are true (the default) and false"),
        ("POST", "/v1/members?timeout=0", b"{}", "bad timeout '0': seconds are allowed, above 0"),
        ("POST", "/v1/members?timeout=nan", b"{}", "bad timeout 'nan'"),
        ("POST", "/v1/members?x=1", b"{}", "unknown query parameter 'x': allowed: expected, safe, timeout"),
        ("POST", "/v1/members/0/promote", b"", "bad node id '0': a whole number from 1 is allowed"),
        ("POST", "/v1/members/x/promote", b"", "bad node id 'x'"),
        ("DELETE", "/v1/members/", b"", "bad node id ''"),
        ("DELETE", "/v1/members/1/promote", b"", "bad node id '1/promote'"),
        ("POST", "/v1/members/1/address", b"{}", "no address is given: udp, http or both are allowed"),
        ("POST", "/v1/members/1/address?safe=true", b"{}", "unknown query parameter 'safe'"),
        ("POST", "/v1/members/1/replace", b'{"id": 4}', "which has id: allowed are id, udp, http (optional)"),
        ("POST", "/v1/leader", b"{}", "which has nothing: allowed are id"),
        ("POST", "/v1/leader", b'{"id": 9}', "leadership can go to a voter, 1, 2, 3, not to 9"),
    ],
)
def test_what_is_not_understood_is_refused_by_whoever_is_asked(
    cluster: Cluster, method: str, page: str, body: bytes, text: str
) -> None:
    leader = cluster.leader()
    for node_id in cluster.ids:
        answer = ask(cluster.port[node_id], method, page, body)
        assert (answer.status, answer.json["error"]) == (400, "bad_request"), answer.body
        assert text in answer.json["message"]
    assert voters(cluster, leader) == [1, 2, 3]


@pytest.mark.parametrize(
    ("page", "body", "text"),
    [
        ("/v1/members", {"changes": []}, "no change of the members is given"),
        ("/v1/members", {"id": 4, "udp": "nowhere"}, "has no port"),
        ("/v1/members", {"id": 2**64, "udp": "127.0.0.1:9"}, "node id 18446744073709551616: allowed is"),
        ("/v1/members/9/promote", None, "node 9 is no member: 1, 2, 3 are"),
        ("/v1/members/1/address", {"http": "nowhere"}, "nowhere"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_leader(cluster: Cluster, page: str, body: object, text: str) -> None:
    answer = put(cluster, "POST", page, body)
    assert (answer.status, answer.json["error"]) == (400, "bad_request"), answer.body
    assert text in answer.json["message"]


@pytest.mark.parametrize("page", ["/v1/members/1", "/v1/members/1/", "/v1/members/1/remove", "/v1/members/"])
def test_other_pages(cluster: Cluster, page: str) -> None:
    answer = ask(cluster.port[1], "POST", page)
    assert (answer.status, answer.json["error"]) == (404, "not_found")
    assert "POST knows /v1/members/ID/promote, /v1/members/ID/demote, " in answer.json["message"]


def test_other_methods(cluster: Cluster) -> None:
    assert ask(cluster.port[1], "DELETE", "/v1/members").headers["allow"] == "GET, POST, HEAD"
    assert ask(cluster.port[1], "GET", "/v1/members/1").headers["allow"] == "POST, DELETE"
    assert ask(cluster.port[1], "GET", "/v1/leader").headers["allow"] == "POST"
    assert ask(cluster.port[1], "GET", "/v1/members?x=1").status == 400


@pytest.mark.parametrize("error", [Stopped(), Removed(4, 7)])
def test_a_node_that_has_ended_does_not_know_the_outcome(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def ended(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr("raftpy.runtime.member_calls.Members.change", ended)
    answer = ask(cluster.port[1], "DELETE", "/v1/members/2")
    assert (answer.status, answer.json["error"]) == (504, "timeout")
    assert str(error) in answer.json["message"]
