"""Limits lowered below an entry of the log: the entry still reaches everybody, or status says why not."""

from __future__ import annotations

import pytest

from raftcore.wire.fragment import FRAME_FRAGMENT
from raftpy import TooLarge
from raftpy.runtime.status import UNANSWERED_S
from raftpy.transport import MemoryTransport
from tests.node.harness import Cluster, play

LARGE = b"large" * 8000  # 40,000 bytes
LIMIT = 1200
COMMAND = 2000
GIVEN_UP_S = 5.0


def is_large(datagram: bytes) -> bool:
    """Whether it is of a message that no datagram of LIMIT bytes holds."""
    return len(datagram) > LIMIT or (len(datagram) > 72 and datagram[72] == FRAME_FRAGMENT)


@pytest.fixture(params=[False, True], ids=["fragments", "earlier"])
def earlier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the nodes are of an earlier version, which knows no fragments."""
    if request.param:
        monkeypatch.setattr(MemoryTransport, "_takes", lambda *_: None)
    return bool(request.param)


async def lower_the_limit(cluster: Cluster) -> int:
    """Puts LARGE into the log of two nodes, with the third down, and restarts all with a lower limit; the third."""
    leader, _ = await cluster.single_leader()
    behind = next(i for i in cluster.ids if i != leader)
    await cluster.crash(behind)
    await cluster.propose(leader, LARGE, timeout=20)
    others = [i for i in cluster.ids if i != behind]
    cluster.settings |= {"max_datagram": LIMIT}
    for node_id in others:
        await cluster.crash(node_id)
        await cluster.restart(node_id)
    return behind


def unserved(cluster: Cluster, behind: int) -> str | None:
    """What the leader says of the node, as far as there is a leader."""
    for leader in cluster.leaders().values():
        return next(member.unserved for member in cluster.nodes[leader].status().members if member.id == behind)
    return None


@pytest.mark.parametrize("kind", ["memory", "memory-unreliable", "udp"])
def test_what_is_in_the_log_is_still_sent_and_the_limit_is_one_for_new_commands(kind: str, seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        behind = await lower_the_limit(cluster)
        await cluster.restart(behind)
        await cluster.committed(LARGE, 3)
        assert unserved(cluster, behind) is None
        leader, _ = await cluster.single_leader()
        await cluster.nodes[leader].set_max_command(COMMAND)
        with pytest.raises(TooLarge, match=f"at most {COMMAND} bytes"):
            await cluster.propose(leader, b"x" * (COMMAND + 1))
        await cluster.propose(leader, b"x" * COMMAND, timeout=20)

    play(kind, 3, seed, scenario)


def test_a_follower_whose_path_carries_nothing_large_is_shown_until_it_does(seed: int, earlier: bool) -> None:
    async def scenario(cluster: Cluster) -> None:
        behind = await lower_the_limit(cluster)
        watch = cluster.network.filter
        assert watch is not None
        cluster.network.filter = lambda a, b, what: watch(a, b, what) and not (b == behind and is_large(what))
        await cluster.restart(behind)
        started = cluster.clock.monotonic()
        reason = await cluster.until(lambda: unserved(cluster, behind), "a reason")
        assert cluster.clock.monotonic() - started >= (UNANSWERED_S if earlier else GIVEN_UP_S), (
            "one that is lost now and then is no reason"
        )
        assert f"does not fit a datagram of max_datagram, {LIMIT} bytes" in reason
        assert ("not come through" if earlier else "none of its fragments was acknowledged for 5 s") in reason
        index = int(reason.split()[1])
        leader, _ = await cluster.single_leader()
        assert LARGE in cluster.machines[leader].commands
        assert cluster.machines[leader].indexes[cluster.machines[leader].commands.index(LARGE)] == index
        others = [member for member in cluster.nodes[leader].status().members if member.id != behind]
        assert [member.unserved for member in others] == [None, None]
        cluster.network.filter = watch
        await cluster.committed(LARGE, 3)
        await cluster.until(lambda: unserved(cluster, behind) is None, "no reason any more")

    play("memory", 3, seed, scenario)


def test_a_follower_that_does_not_lead_says_nothing_of_the_others(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        behind = await lower_the_limit(cluster)
        watch = cluster.network.filter
        assert watch is not None
        cluster.network.filter = lambda a, b, what: watch(a, b, what) and not (b == behind and is_large(what))
        await cluster.restart(behind)
        await cluster.until(lambda: unserved(cluster, behind), "a reason")
        leader, _ = await cluster.single_leader()
        for follower in set(cluster.ids) - {leader}:
            assert {member.unserved for member in cluster.nodes[follower].status().members} == {None}

    play("memory", 3, seed, scenario)
