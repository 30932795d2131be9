"""``raftpy status``: the whole cluster from any node, as a table and as JSON, also when a part of it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import raftpy.cli.status as asking
from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import DemoCluster, free_ports
from raftpy.cli.http_client import Answer, NotSent
from raftpy.cli.status import add_quarantined, add_unserved, print_table
from tests.cli.support import check_one_line, cluster_of, in_process, raftpy, wait_for_leader


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    with cluster_of(3, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_the_table_has_a_line_for_each_member(cluster: DemoCluster) -> None:
    leader = wait_for_leader(cluster)
    follower = leader % 3 + 1
    ended = raftpy("status", "--http", str(cluster.http[follower]))
    assert (ended.status, ended.err) == (0, "")
    head, *rows = [line.split() for line in ended.text.splitlines() if line.strip() and "─" not in line]
    assert head == ["id", "role", "term", "first", "last", "commit", "applied", "snapshot", "leader", "http"]
    assert [row[0] for row in rows] == ["1", "2", "3"]
    for row in rows:
        node_id = int(row[0])
        assert row[1] == ("leader" if node_id == leader else "follower")
        assert row[8] == str(leader)
        assert row[9] == str(cluster.http[node_id])
        assert all(int(number) >= 1 for number in row[2:7])
        assert row[7] == "0", "no snapshot yet"


def test_json(cluster: DemoCluster) -> None:
    leader = wait_for_leader(cluster)
    ended = raftpy("status", "--json", env={"RAFTPY_HTTP": str(cluster.http[1])})
    members = json.loads(ended.out)["members"]
    assert [member["id"] for member in members] == [1, 2, 3]
    for member in members:
        assert sorted(member) == sorted(
            [
                "id",
                "udp",
                "http",
                "role",
                "term",
                "leader",
                "first_index",
                "last_index",
                "commit_index",
                "applied_index",
                "snapshot_index",
            ]
        )
        assert member["leader"] == leader
        assert member["udp"] == cluster.udp[member["id"]]


def test_an_unreachable_member_is_shown_as_such(cluster: DemoCluster) -> None:
    dead = wait_for_leader(cluster)
    alive = [node_id for node_id in cluster.ids if node_id != dead]
    cluster.kill(dead)
    try:
        wait_for_leader(cluster)
        http = f"{cluster.http[dead]},{cluster.http[alive[0]]}"  # the first address does not answer: the next is asked
        ended = raftpy("status", "--http", http)
        assert ended.status == 0
        row = next(line.split() for line in ended.text.splitlines() if line.split()[:1] == [str(dead)])
        assert row == [str(dead), "unreachable", *["-"] * 7, str(cluster.http[dead])]
        members = json.loads(raftpy("status", "--http", http, "--json").out)["members"]
        assert members[dead - 1] == {
            "id": dead,
            "udp": cluster.udp[dead],
            "http": str(cluster.http[dead]),
            "role": "unreachable",
            "error": f"{cluster.http[dead]}: connection refused",
        }
    finally:
        cluster.start(dead)
        wait_for_leader(cluster)


def test_a_member_that_cannot_be_served_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    members = [{"id": i, "udp": f"127.0.0.1:{7100 + i}", "http": None, "unserved": None} for i in (1, 2)]
    reason = "entry 7 does not fit [a datagram]"
    leader = {"id": 1, "role": "leader", "members": [members[0], {**members[1], "unserved": reason}]}
    follower = {"id": 2, "role": "follower", "members": members}
    rows: list[dict[str, object]] = [{"id": 1, "role": "leader"}, {"id": 2, "role": "follower"}]
    add_unserved(rows, [leader, follower, {}])
    assert rows == [{"id": 1, "role": "leader"}, {"id": 2, "role": "follower", "unserved": reason}]
    print_table(rows)
    assert capsys.readouterr().out.splitlines()[-1] == f"node 2 cannot be served: {reason}"


def test_a_member_that_its_peers_refuse_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from raftpy.cli.status import _ask_member

    own = {"id": 2, "role": "candidate", "refused": "node 1 refuses this node [a copy]", "members": []}
    member = {"id": 2, "udp": "127.0.0.1:7102", "http": "127.0.0.1:8102"}
    row, _ = _ask_member({**member, "status": own})
    print_table([row])
    assert capsys.readouterr().out.splitlines()[-1] == "node 2 has no part: node 1 refuses this node [a copy]"
    row, _ = _ask_member({**member, "status": {**own, "refused": None}})
    assert "refused" not in row


def test_a_member_without_a_vote_is_a_learner() -> None:
    member = {"id": 4, "udp": "127.0.0.1:7104", "http": "127.0.0.1:8104"}
    own = {"id": 4, "role": "follower", "members": []}
    for voter, role in ((False, "learner"), (True, "follower"), (None, "follower")):  # None: of an earlier release
        assert asking._ask_member({**member, "voter": voter, "status": own})[0]["role"] == role


def test_a_member_that_is_being_started_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = {"phase": "restoring", "group": 0, "snapshot_index": 7, "position": 5, "size": 9}
    body = {"error": "starting", "message": "this node is [being] started: 5 of 9", "starting": progress}
    answer = Answer(503, {}, json.dumps(body).encode())
    monkeypatch.setattr(asking, "ask", lambda *arguments, **options: answer)
    row, said = asking._ask_member({"id": 2, "udp": "127.0.0.1:7102", "http": "127.0.0.1:8102"})
    assert (row["role"], row["starting"], said) == ("starting", progress, {})
    print_table([row])
    assert capsys.readouterr().out.splitlines()[-1] == "node 2 says: this node is [being] started: 5 of 9"


def test_where_nobody_serves_yet_who_is_being_started_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says which member it is; a script that waits for the cluster still sees that it is not there."""
    progress = {"phase": "restoring", "group": 0, "snapshot_index": 7, "position": 5, "size": 9}
    body = {"error": "starting", "message": "this node is [being] started: 5 of 9", "starting": progress}

    def ask(address: Address, *arguments: object, **options: object) -> Answer:
        if address.port == 8101:
            raise NotSent(f"{address}: connection refused")
        return Answer(503, {}, json.dumps(body).encode())

    monkeypatch.setattr(asking, "ask", ask)
    asked = ("status", "--http", "127.0.0.1:8101,127.0.0.1:8102")
    why = "no node serves yet: 127.0.0.1:8101: connection refused, 127.0.0.1:8102 is being started"
    ended = in_process(*asked)
    check_one_line(ended, 1, f"raftpy status: {why}")
    rows = [line.split() for line in ended.text.splitlines() if "127.0.0.1:810" in line]
    assert rows[0] == ["-", "unreachable", *["-"] * 7, "127.0.0.1:8101"]
    assert rows[1] == ["-", "starting", *["-"] * 7, "127.0.0.1:8102"]
    assert ended.text.splitlines()[-1] == "127.0.0.1:8102 says: this node is [being] started: 5 of 9"
    ended = in_process(*asked, "--json")
    check_one_line(ended, 1, why)
    known = {"id": None, "udp": None, "http": "127.0.0.1:8102"}
    assert json.loads(ended.out)["members"][1] == {
        **known,
        "role": "starting",
        "starting": progress,
        "error": "this node is [being] started: 5 of 9",
    }


def test_nobody_answers() -> None:
    port = free_ports(1)[0]
    check_one_line(
        raftpy("status", "--http", f"127.0.0.1:{port}"),
        1,
        f"raftpy status: no node answers: 127.0.0.1:{port}: connection refused",
    )


def test_somebody_else_answers(cluster: DemoCluster) -> None:
    """A port where something speaks, but not this API."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        Thread(target=server.handle_request).start()
        http = f"127.0.0.1:{server.server_address[1]}"
        check_one_line(raftpy("status", "--http", http), 1, f"{http} is no raftpy node", "501")


def test_a_member_that_is_brought_up_by_a_snapshot_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    coming = {"index": 40, "source": 1, "position": 0, "size": None, "restoring": False}
    print_table([{"id": 3, "role": "follower", "incoming_snapshot": coming}])
    gets = "node 3 gets the snapshot at entry 40 from node 1"
    assert capsys.readouterr().out.splitlines()[-1] == f"{gets}: 0 bytes are here"
    print_table([{"id": 3, "role": "follower", "incoming_snapshot": {**coming, "position": 1000, "size": 23456}}])
    assert capsys.readouterr().out.splitlines()[-1] == f"{gets}: 1,000 of 23,456 bytes are here"
    print_table([{"id": 3, "role": "follower", "incoming_snapshot": {**coming, "size": 23456, "restoring": True}}])
    text = "node 3 restores its state from the snapshot at entry 40, 23,456 bytes"
    assert capsys.readouterr().out.splitlines()[-1] == text


def test_a_new_member_that_waits_for_others_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for others, named in (([3], "node 3"), ([1, 3], "nodes 1, 3")):
        print_table([{"id": 2, "role": "follower", "waits_for": others}])
        text = f"node 2 is new and takes no part before it has heard from {named}: its log says more"
        assert capsys.readouterr().out.splitlines()[-1] == text


def test_a_member_that_can_take_no_snapshot_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"id": 3, "role": "follower", "snapshot_failure": "x.writing: No space left [on device]"}])
    text = "node 3 has no newer snapshot: x.writing: No space left [on device]"
    assert capsys.readouterr().out.splitlines()[-1] == text


def test_a_quarantined_member_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """In its own words; or in those that a peer has heard, when it does not answer itself."""
    plain = {"udp": "127.0.0.1:7101", "http": None, "quarantine": None}
    said = {"index": 7, "message": "committed entry 7 [is another] there"}
    itself = {"id": 1, "role": "quarantined", "quarantine": said, "members": [{**plain, "id": 1}]}
    peer = {"id": 2, "role": "leader", "quarantine": None, "members": [{**plain, "id": 1, "quarantine": said}]}
    for statuses in ([itself, {}], [peer, {}]):
        rows: list[dict[str, object]] = [{"id": 1, "role": "quarantined"}, {"id": 2, "role": "leader"}]
        add_quarantined(rows, statuses)
        assert rows[0]["quarantine"] == said["message"]
        assert "quarantine" not in rows[1]
        print_table(rows)
        assert capsys.readouterr().out.splitlines()[-1] == f"node 1 is quarantined: {said['message']}"
