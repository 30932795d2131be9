"""Nodes whose disks take long: they elect a leader all the same, and the log says what a write took."""

from __future__ import annotations

import logging
import re

import pytest

from raftcore.base.types import MessageType
from raftcore.values.message import Message
from raftpy.runtime.slow_writes import APART_S, SlowWrites
from raftpy.storage import MemoryStore
from tests.node.harness import PLAIN, Cluster
from tests.node.loop import run

SLOW_S = 0.4
ELECTION_S = 7.0
"""Within that there was no leader when candidates did not wait for writes, terms 1 to 21. Without pre-vote, where more
candidates stand at the same time, it may take twice as long."""


def slow_lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, int]]:
    """(node, milliseconds) of each line about a slow write."""
    found = []
    for record in caplog.records:
        line = re.match(r"node (\d+): a write to the store (?:took|is under way for) ([\d,]+) ms", record.getMessage())
        if line is not None:
            assert record.levelno == logging.WARNING
            found.append((int(line[1]), int(line[2].replace(",", ""))))
    return found


@pytest.mark.parametrize("settings", [{}, PLAIN], ids=["pre-vote", "plain"])
@pytest.mark.parametrize("write_s", [0.15, 0.3, SLOW_S])
@pytest.mark.parametrize("seed", range(3))
def test_a_leader_is_elected_and_commits(seed: int, write_s: float, settings: dict[str, bool]) -> None:
    async def main() -> None:
        cluster = Cluster("memory", 3, seed, **settings)
        cluster.write_seconds = dict.fromkeys(cluster.ids, write_s)
        async with cluster:
            began = cluster.clock.monotonic()
            leader, _ = await cluster.single_leader()
            assert cluster.clock.monotonic() - began < (2 if settings else 1) * ELECTION_S
            await cluster.propose(leader, b"x")
            assert cluster.clock.monotonic() - began < 3 * ELECTION_S

    run(main())


def test_a_leader_with_a_disk_of_five_seconds_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cluster = Cluster("memory", 3, 1)
        async with cluster:
            leader, _ = await cluster.single_leader()
            await cluster.propose(leader, b"before")
            assert slow_lines(caplog) == []
            storage = cluster.nodes[leader]._host.storage
            assert isinstance(storage, MemoryStore)
            storage._delay_s = 5.0
            began = cluster.clock.monotonic()
            for number in range(4):
                await cluster.propose(leader, b"%d" % number)
            await cluster.sleep_ms(6000)
            assert cluster.nodes[leader].status().role == "leader"
            lines = slow_lines(caplog)
            assert {node for node, _ in lines} == {leader}
            assert any(1000 <= ms < 5000 for _, ms in lines), "while it is under way"
            assert any(ms >= 5000 for _, ms in lines), "when it is done"
            assert len(lines) <= 2 * ((cluster.clock.monotonic() - began) / APART_S + 1)

    run(main())


class Told:
    """A clock that stands, and what the core was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.reported: list[int] = []
        self.writes = SlowWrites(7, 0.01, 0.05, self.reported.append, lambda: self.now)

    def took(self, seconds: float, *, must_sync: bool = True) -> bool:
        append = Message(MessageType.MsgStorageAppend, must_sync=must_sync)
        return self.writes.took([(0, [append])], seconds)


def test_the_core_is_told_in_ticks_until_quick_writes_have_made_it_forget() -> None:
    told = Told()
    assert told.took(0.4)
    assert [told.took(0.001) for _ in range(6)] == [True, True, True, True, True, False]
    assert told.reported == [40, 0, 0, 0, 0, 0, 0]


def test_what_waits_for_no_sync_is_no_measure_of_the_disk() -> None:
    told = Told()
    told.took(0.4)
    told.took(0.001, must_sync=False)
    assert told.reported == [40]


def test_a_line_names_the_figures_and_the_next_comes_seconds_later(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    told.took(0.05)  # as long as the heartbeat interval is not slow yet
    told.took(0.412)
    for told.now in (1.0, 2.0, 3.0):
        told.took(told.now)
    told.now = APART_S
    told.took(0.1)
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("node 7: a write to the store took 412 ms; commits and elections wait for it")
    assert "above 50 ms, the heartbeat interval" in first
    assert "took 100 ms (the longest of 4 slow ones since the last such line: 3,000 ms)" in second


def test_a_write_that_never_ends_is_told_of_after_a_second(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    for tenths in range(120):
        told.now = tenths / 10
        told.writes.waiting(told.now)
    assert [ms for _, ms in slow_lines(caplog)] == [1100, 6100, 11100]
