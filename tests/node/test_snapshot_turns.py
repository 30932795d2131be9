"""At full load no majority of the members takes a snapshot at once, minute after minute."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from raftpy.contracts.clock import ManualClock
from raftpy.runtime import snapshot_policy
from raftpy.runtime.log_clock import LogClock
from raftpy.runtime.snapshot_policy import APART_S, Behind, SnapshotPolicy, is_due, share_of
from tests.node.harness import Cluster
from tests.node.loop import run
from tests.node.words import LastWord

MB = 1 << 20
SNAPSHOT_S = 14.0
"""So long one of a gigabyte took."""


class Member:
    """One member that looks once a second, a little late at times, and whose clock says what it likes."""

    def __init__(self, node_id: int, members: tuple[int, ...], source: Random) -> None:
        self.share = share_of(node_id, members)
        self.source = source
        self.started = 0
        self.taken: list[float] = []
        self.start(0.0)

    def start(self, now: float) -> None:
        """Another life: nothing is known but what lies behind the last snapshot, and that there is one."""
        self.began = now - self.source.uniform(0, 10**6)
        self.behind_from = self.taken[-1] if self.taken else 0.0
        self.tried: float | None = None
        self.look_at = now + self.source.random()
        self.clock = ManualClock(now - self.began)
        self.log = LogClock(self.clock)
        self.started += 1

    def look(self, now: float, policy: SnapshotPolicy, rate: float, log_s: float) -> None:
        self.clock.advance(now - self.began - self.clock.monotonic())
        self.look_at = now + 1 + self.source.choice((0, 0, 0, self.source.random()))
        self.log.seen(int(1000 * (log_s - self.source.random() / 10)))
        seconds = float("inf") if self.tried is None else now - self.tried
        size = 1000 * MB if self.taken else 0
        if self.taken and now < self.taken[-1] + SNAPSHOT_S:
            return  # it is at work
        behind = Behind(1, int((now - self.behind_from) * rate), size, seconds)
        if is_due(policy, self.share, behind, self.log.seconds()):
            self.taken.append(now)
            self.tried = self.behind_from = now


def closest(members: list[Member], count: int) -> float:
    """The shortest time within which so many of the members began one."""
    begun = sorted((at, number) for number, member in enumerate(members) for at in member.taken)
    found = float("inf")
    for place, (at, _) in enumerate(begun):
        seen: set[int] = set()
        for later, number in begun[place:]:
            seen.add(number)
            if len(seen) == count:
                found = min(found, later - at)
                break
    return found


@pytest.mark.parametrize("rate_mb", [20, 50, 100, 400])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("restarts", [0, 30])
def test_members_stay_apart(rate_mb: int, count: int, restarts: int, seed: int) -> None:
    source, policy = Random(f"{seed} {rate_mb} {count} {restarts}"), SnapshotPolicy(256 * MB)
    ids = tuple(source.sample(range(1, 100), count))
    members = [Member(node_id, ids, source) for node_id in ids]
    minutes, now, leaders_clock = 60, 0.0, source.uniform(1.6e9, 1.7e9)
    stops = sorted(source.uniform(0, minutes * APART_S) for _ in range(restarts))
    while now < minutes * APART_S:
        member = min(members, key=lambda member: member.look_at)
        now = member.look_at
        if stops and stops[0] < now:
            stops.pop(0)
            source.choice(members).start(now)
            continue
        member.look(now, policy, rate_mb * MB, leaders_clock + now)
    assert closest(members, count // 2 + 1) > SNAPSHOT_S
    expected = min(minutes, minutes * APART_S * rate_mb / 1000) - restarts - 3
    for member in members:
        assert len(member.taken) > expected / 2, "one that was due waits for its turn, and no longer"
        assert all(b - a > APART_S - 6 for a, b in itertools.pairwise(member.taken)) or restarts


def test_the_log_s_time_runs_on_from_the_last_entry() -> None:
    """Whose leader may have another clock than the one before: the log's time stands still then for a while."""
    clock = ManualClock(50.0)
    log = LogClock(clock)
    log.seen(1_000_000)
    assert log.seconds() == 1000.0
    clock.advance(7.5)
    log.seen(1_000_000)
    assert log.seconds() == 1007.5
    log.seen(1_001_000)
    assert log.seconds() == 1001.0
    clock.advance(1.0)
    assert log.seconds() == 1002.0


def test_an_entry_of_an_earlier_time_in_the_place_of_the_last_one_tells_the_time() -> None:
    """It was not committed, and the next leader's clock is behind that of the one before: the log's time goes back."""
    clock = ManualClock(50.0)
    log = LogClock(clock)
    log.seen(2_000_000)
    clock.advance(3.0)
    log.seen(1_001_000)
    assert log.seconds() == 1001.0
    clock.advance(2.0)
    log.seen(1_001_000)
    assert log.seconds() == 1003.0


def test_members_have_one_time_again_soon_after_a_leader_s_clock_was_wrong(seed: int) -> None:
    """It was a day ahead, and put right: until the day is over the log's time stands still, and each member that starts
    meanwhile counts on from another moment. Behind that all agree."""
    source, day = Random(seed), 86_400.0
    clocks = [ManualClock(source.uniform(0, 10**6)) for _ in range(3)]
    logs = [LogClock(clock) for clock in clocks]
    times = []
    for now in range(-10, int(day) + 20, 5):
        for number, clock in enumerate(clocks):
            clock.advance(5.0)
            if now == 1000 * (number + 1) and number:
                logs[number] = LogClock(clock)
            logs[number].seen(int(1000 * (now + day if now <= 0 else max(day, now))))
        times.append([log.seconds() for log in logs])
    assert max(times[0]) - min(times[0]) < 0.01
    assert max(times[1000]) - min(times[1000]) > 900
    assert max(times[-1]) - min(times[-1]) < 0.01


@pytest.mark.parametrize("count", [3, 5])
def test_a_cluster_stays_apart(count: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of nodes that are written to without a pause; one is stopped in between and comes back."""
    monkeypatch.setattr(snapshot_policy, "BRIEF_BYTES", 0)
    ids = range(1, count + 1)
    taken: dict[int, list[float]] = {node_id: [] for node_id in ids}

    async def main() -> None:
        async with Cluster("memory", count, seed, machine=LastWord, snapshot_bytes=5000) as cluster:
            known = dict.fromkeys(ids, 0)
            for second in range(300):
                leader, _ = await cluster.single_leader()
                await cluster.propose(leader, b"x" * 2000)
                if second == 130:
                    victim = next(node_id for node_id in ids if node_id != leader)
                    await cluster.crash(victim)
                    await cluster.restart(victim)
                await asyncio.sleep(1)
                for node_id in ids:
                    index = cluster.nodes[node_id].status().snapshot_index
                    if index != known[node_id]:
                        known[node_id] = index
                        taken[node_id].append(cluster.clock.monotonic())
            logs = [node._running.snapshots._log_clock.seconds() for node in cluster.nodes.values()]
            assert [abs(seconds - cluster.clock.wall_ms() / 1000) < 2.5 for seconds in logs] == [True] * count

    run(main())
    begun = sorted((at, node_id) for node_id, times in taken.items() for at in times)
    majority = count // 2 + 1
    for place, (at, _) in enumerate(begun):
        assert len({node_id for later, node_id in begun[place:] if later - at < SNAPSHOT_S}) < majority, begun
    assert all(4 <= len(times) <= 6 for times in taken.values()), taken
