"""Groups of one host share a disk: what is free is asked for once, and promised to nobody twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from raftpy.contracts.errors import SnapshotFailed
from raftpy.runtime import snapshot_policy
from raftpy.runtime.disk_space import LOOKS_APART_S, DiskSpace, Room
from tests.node.loop import run
from tests.node.steps import LoopSteps
from tests.node.test_groups import ADDRESSES, Hosts
from tests.node.test_short_disk import complaints
from tests.node.words import LastWord, Words


class Disk:
    """As far as it is asked: so many bytes are ``free``, None where it does not say; ``asked``: how often it was."""

    def __init__(self, free: int | None) -> None:
        self.free = free
        self.asked = 0
        self.now = 0.0
        taken: Any = self
        self.space = DiskSpace(taken, taken)

    def monotonic(self) -> float:
        return self.now

    def free_space(self) -> int:
        self.asked += 1
        if self.free is None:
            raise SnapshotFailed("disk", "asking for free space failed")
        return self.free


def test_all_groups_that_look_one_after_the_other_find_what_the_first_has_found() -> None:
    disk = Disk(1000)
    assert [disk.space.room(group, 10, 1) for group in range(3)] == [
        Room(1000, 0, 0), Room(1000, 10, 1), Room(1000, 20, 2),
    ]  # fmt: skip
    assert disk.asked == 1
    disk.free, disk.now = 900, LOOKS_APART_S
    assert disk.space.room(1, 10, 1) == Room(900, 20, 2)
    assert disk.asked == 2


def test_what_another_is_writing_is_not_free() -> None:
    disk = Disk(1000)
    left = 400
    for group in (1, 2, 3):
        disk.space.room(group, 500, 50)
    disk.space.writes(1, lambda: left)
    assert disk.space.room(2, 500, 50) == Room(600, 500, 50), "and it waits for none any more"
    left = -5  # it is larger than was thought
    assert disk.space.room(2, 500, 50) == Room(1000, 500, 50)
    disk.free = 700
    disk.space.written(1)
    assert disk.space.room(2, 500, 50) == Room(700, 500, 50), "the disk is asked again"


def test_who_would_take_none_counts_for_nothing() -> None:
    disk = Disk(1000)
    for group in (1, 2, 3):
        disk.space.room(group, 500, 50)
    disk.space.needs_none(2)
    disk.space.writes(3, lambda: 100)
    disk.space.leave(3)
    assert disk.space.room(1, 500, 50) == Room(1000, 0, 0)


def test_a_disk_that_does_not_say() -> None:
    disk = Disk(None)
    assert disk.space.room(1, 500, 50) is None
    assert disk.space.room(2, 500, 50) is None
    assert disk.asked == 1
    disk.free, disk.now = 100, 1.0
    assert disk.space.room(1, 500, 50) == Room(100, 500, 50)


def test_a_quarter_of_what_is_free_is_promised_once() -> None:
    disk = Disk(0)
    kept = [SimpleNamespace(limit=10**9) for _ in range(3)]
    disk.space.share(0, kept[0], 1000, 1600)
    assert kept[0].limit == 400
    disk.space.share(1, kept[1], 1000, 1600)
    assert [each.limit for each in kept] == [200, 200, 10**9], "the third has taken no snapshot, and cuts nothing"
    disk.space.share(0, kept[0], 1000, 1200)
    assert [each.limit for each in kept] == [150, 150, 10**9]
    disk.space.share(2, kept[2], 100, 9000)
    assert [each.limit for each in kept] == [750, 750, 100]
    disk.space.leave(0)
    disk.space.share(1, kept[1], 1000, 1600)
    assert [each.limit for each in kept] == [750, 200, 100], "who has ended needs no part"


def limits(all_hosts: Hosts) -> list[int]:
    driver = all_hosts.hosts[1].driver
    assert driver is not None
    return [group.snapshots._trailing.limit for group in driver.groups.values()]


def lone(machine: Callable[[], Any], scenario: Callable[[Hosts], Awaitable[None]]) -> None:
    """Two groups of one host alone; what runs beside the loop is a step of it."""

    async def main() -> None:
        all_hosts = Hosts(1, range(2), addresses={1: ADDRESSES[1]}, machine=machine, write_s=0)
        await all_hosts.start(1, executor=LoopSteps())
        await scenario(all_hosts)
        await all_hosts.__aexit__()

    run(main())


def test_the_groups_of_a_host_keep_a_quarter_together() -> None:
    async def scenario(all_hosts: Hosts) -> None:
        disk = all_hosts.disks[1].snapshots
        disk.capacity = 40_000
        for number in range(3):
            for group_id in all_hosts.groups:
                await all_hosts.propose(group_id, b"%d" % number + bytes(1000))
                await all_hosts.hosts[1].group(group_id).snapshot()
        assert 0 < sum(limits(all_hosts)) <= disk.free_space() // 4
        assert len(set(limits(all_hosts))) == 1

    lone(LastWord, scenario)


def test_of_two_groups_one_alone_begins_what_has_room_for_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have as much log behind their last snapshots, and see the disk run short in the same second."""
    monkeypatch.setattr(snapshot_policy, "LEAST_BYTES", 1000)
    monkeypatch.setattr(snapshot_policy, "SMALL_BYTES", 100)  # else theirs would be

    async def scenario(all_hosts: Hosts) -> None:
        host, disk = all_hosts.hosts[1], all_hosts.disks[1].snapshots
        taken = []
        for group_id in all_hosts.groups:
            await all_hosts.propose(group_id, b"x" * 700)
            taken.append(await host.group(group_id).snapshot())
        await asyncio.sleep(70)
        for _ in range(4):
            for group_id in all_hosts.groups:
                await all_hosts.propose(group_id, b"x" * 3000)
        held = sum(map(len, disk.held.values()))
        disk.capacity = held + 20_000  # one takes 13,000
        await asyncio.sleep(2)
        newest = [host.group(group_id).status().snapshot_index for group_id in all_hosts.groups]
        assert sum(new > old for new, old in zip(newest, taken, strict=True)) == 1
        assert not complaints(caplog)

    lone(Words, scenario)
