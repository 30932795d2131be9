"""What a node's log says of leaders and peers: one line at level INFO for each change, and none for a commit."""

from __future__ import annotations

import logging

import pytest

from raftcore.base.types import StateType
from raftpy.runtime.role_log import RoleLog
from raftpy.transport.datagram.memory import RELIABLE
from tests.node.harness import Cluster, play
from tests.node.test_commits import commit


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "raftpy")


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.INFO, name: str = "raftpy") -> list[str]:
    """What was said at this level since the last call of ``caplog.clear``, by this logger."""
    return [r.getMessage() for r in caplog.records if r.levelno == level and r.name == name]


def test_an_election_is_one_line_on_each_node(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        said = [line for line in lines(caplog) if line.endswith(f"in term {term}")]
        assert sorted(said) == sorted(
            f"node {i}: " + ("became leader" if i == leader else f"leader is node {leader}") + f" in term {term}"
            for i in cluster.ids
        )

    play("memory", 3, seed, scenario)


def test_commits_and_heartbeats_are_no_lines(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        await cluster.single_leader()
        await commit(cluster, b"first")
        await cluster.sleep_ms(2000)
        cluster.network.unreliable = RELIABLE  # in order: of an append that overtakes another something is said
        caplog.clear()
        for number in range(50):
            await commit(cluster, b"%d" % number)
        await cluster.sleep_ms(3000)
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.DEBUG] == []

    play("memory", 3, seed, scenario)


def test_what_the_core_says_of_each_commit_is_below_debug(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        caplog.set_level(1, "raftpy.core")
        leader, _ = await cluster.single_leader()
        caplog.clear()
        index = await cluster.propose(leader, b"x")
        said = [r for r in caplog.records if r.name == "raftpy.core" and f"'index': {index}" in r.getMessage()]
        assert said
        assert all(0 < record.levelno < logging.DEBUG for record in said)

    play("memory", 3, seed, scenario)


def test_a_leader_that_is_cut_off_has_lost_the_quorum(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        caplog.clear()
        cluster.disconnect(leader)
        successor, later = await cluster.single_leader()
        await cluster.until(lambda: cluster.nodes[leader].status().role != "leader", "it steps down")
        own = [line for line in lines(caplog) if line.startswith(f"node {leader}: ")]
        assert len(own) == 1
        assert own[0].startswith(f"node {leader}: lost the quorum, leads no more in term {term}")
        assert f"node {successor}: became leader in term {later}" in lines(caplog)
        cluster.reconnect(leader)
        await cluster.single_leader()
        assert lines(caplog)[-1] == f"node {leader}: leader is node {successor} in term {later}"

    play("memory", 3, seed, scenario)


def test_a_hand_over_names_the_new_leader_and_no_lost_quorum(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, term = await cluster.single_leader()
        await commit(cluster, b"x")
        other = leader % 3 + 1
        caplog.clear()
        await cluster.nodes[leader].transfer_leadership(other)
        _, later = await cluster.single_leader()
        own = [line for line in lines(caplog) if line.startswith(f"node {leader}: ")]
        assert own == [
            f"node {leader}: leads no more: term {later} has begun",
            f"node {leader}: leader is node {other} in term {later}",
        ]
        assert later > term

    play("memory", 3, seed, scenario)


def test_a_leader_that_gives_up_by_itself_has_not_lost_the_quorum(caplog: pytest.LogCaptureFixture) -> None:
    """Why it gave up is told where that was decided: the line must not give another reason."""
    for stepped_down, words in (
        (True, "leads no more in term 3"),
        (False, "lost the quorum, leads no more in term 3: "),
    ):
        caplog.clear()
        role_log = RoleLog("node 1")
        role_log.changed(StateType.StateLeader, 1, 3, stepped_down=False)
        role_log.changed(StateType.StateFollower, 0, 3, stepped_down=stepped_down)
        became, lost = lines(caplog)
        assert became == "node 1: became leader in term 3"
        assert lost.startswith(f"node 1: {words}")
        assert stepped_down == (lost == f"node 1: {words}")


def test_followers_say_when_no_leader_is_known_any_more(caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        other = leader % 2 + 1
        caplog.clear()
        await cluster.crash(leader)
        await cluster.sleep_ms(2000)
        said = [line for line in lines(caplog) if line.startswith(f"node {other}: ")]
        assert len(said) == 1, "one line, however often it stands for election"
        assert said[0].startswith(f"node {other}: no leader is known any more in term ")

    play("memory", 2, seed, scenario)


@pytest.mark.parametrize(("kind", "why"), [("memory", "nothing heard for 5 s"), ("udp", "refuses datagrams")])
def test_peers_that_go_and_come(kind: str, why: str, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        said = lambda: lines(caplog, name="raftpy.transport")  # noqa: E731
        await cluster.single_leader()
        await cluster.until(lambda: len(said()) == 6, "each has heard the two others")
        assert all(" is up, at 127.0.0.1:" in line for line in said())
        caplog.clear()
        gone = cluster.random.choice(list(cluster.ids))
        others = [i for i in cluster.ids if i != gone]
        await cluster.crash(gone)
        await cluster.until(lambda: len(said()) == 2, "both others miss it")
        assert sorted(line.split(" is down: ")[0] for line in said()) == [f"node {i}: node {gone}" for i in others]
        assert all(why in line for line in said())
        assert not any(cluster.nodes[i].status().members[gone - 1].reachable for i in others)
        caplog.clear()
        await cluster.restart(gone)
        await cluster.until(lambda: len(said()) == 4, "each has heard the others, and only those who had to")
        assert sorted(line.split(", at")[0] for line in said()) == sorted(
            [f"node {i}: node {gone} is up" for i in others] + [f"node {gone}: node {i} is up" for i in others]
        )
        assert all(cluster.nodes[i].status().members[gone - 1].reachable for i in others)

    play(kind, 3, seed, scenario)
