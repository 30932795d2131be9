"""What befalls snapshots in a simulated cluster: each fault does what it says, and ends when it says."""

from __future__ import annotations

import pytest

from raftpy.sim.disk.directory import Directory
from raftpy.sim.snapshots import FOLDER, durable
from raftpy.storage.snapshots.names import receiving_file, receiving_name
from tests.sim.scenarios.stage import Stage
from tests.sim.test_faults import Act, faulty, lives, operations


def whole(world: Stage, node: int) -> list[int]:
    """The indexes of the snapshots that a node has, whole and durable."""
    return sorted(ref.index for ref in durable(world.member(node).disk, 0))


def test_snapshot_takes_one() -> None:
    with faulty("memory") as (world, act):
        world.written(1, "a", "1")
        act("snapshot", 1)
        world.until(lambda: len(whole(world, 1)) == 1, "it is there")
        assert (whole(world, 2), world.reached["a log was cut"]) == ([], 0)
        world.written(1, "a", "2")
        act("snapshot", 1)
        world.until(lambda: world.reached["a log was cut"] == 1, "the log is cut behind the older one")
        assert world.life(1).groups[0].raw.first_index == whole(world, 1)[0] + 1


@pytest.mark.parametrize("count", range(1, 16))
def test_kill_in_snapshot_comes_in_the_place_of_an_operation(count: int) -> None:
    with faulty("memory") as (world, act):
        world.written(1, "a", "1")
        act("snapshot", 2)
        world.until(lambda: len(whole(world, 2)) == 1, "it is there")
        world.written(1, "a", "2")
        done = operations(world, 2)
        act("kill_in_snapshot", 2, count, 0.1)
        world.pass_(0.05)
        world.written(1, "a", "3")
        world.until(lambda: "died" in done, "it dies", 1.0)
        assert done.index("died") == count - 1
        world.until(lambda: world.up(2), "it is up again", 1.0)
        assert len(whole(world, 2)) in (1, 2)
        assert world.reached["a node started from a snapshot"]


@pytest.mark.parametrize(("other", "name"), [(0, "no room for a snapshot"), (1, "a snapshot failed with its disk")])
def test_failing_snapshot_fails_with_its_disk_and_nothing_else_does(other: int, name: str) -> None:
    with faulty("memory") as (world, act):
        for number in range(20):
            world.written(1, "a", str(number))
            act("failing_snapshot", 2, other)
            world.pass_(0.05)
            if world.reached[name]:
                break
        assert world.reached[name] == 1
        assert world.member(2).disk.faults.no_space == world.member(2).disk.faults.write_error == 0.0
        assert lives(world) == [1, 2, 3]
        before = whole(world, 2)
        act("snapshot", 2)
        world.until(lambda: whole(world, 2) != before, "the next one is taken")


@pytest.mark.parametrize("how", range(15))
@pytest.mark.parametrize("machine", ["memory", "disk"])
def test_harmed_snapshot_waits_for_two_and_harms_one(machine: str, how: int) -> None:
    with faulty(machine) as (world, act):
        world.written(1, "a", "1")
        act("harmed_snapshot", 3, how, 0.2)
        assert world.member(3).disk.harm == []
        asked = world.write(1, "a", "2")
        world.until(lambda: asked.ended, "it is answered")
        world.until(lambda: lives(world) == [1, 2], "there are two")
        assert len(world.member(3).disk.harm) == 1
        left = whole(world, 3)
        assert len(left) == 1
        world.until(lambda: world.up(3), "it is up again")
        if machine == "memory":
            assert world.life(3).groups[0].snapshots.newest == left[0]
        world.written(1, "a", "3")


@pytest.mark.parametrize("how", range(3))
@pytest.mark.parametrize("machine", ["memory", "disk"])
def test_lost_state_harms_all_snapshots_and_the_state_comes_from_another_node(machine: str, how: int) -> None:
    with faulty(machine) as (world, act):
        for number in range(3):
            world.written(1, "a", str(number))
            act("snapshot", 3)
            world.pass_(0.1)
        world.until(lambda: world.life(3).groups[0].raw.first_index > 1, "its log is cut")
        before = whole(world, 3)
        assert before
        act("lost_state", 3, how, 0.2)
        assert lives(world) == [1, 2]
        assert whole(world, 3) == []
        world.until(lambda: world.up(3), "it is up again")
        world.until(lambda: not world.life(3).groups[0].lacks_state, "it has its state")
        assert world.reached["a node started without a state"] == 1
        assert world.reached["a node got its state from another"] == 1
        world.written(1, "a", "last")
        act("lost_state", 2, how, 0.2)
        assert lives(world) == [1, 2, 3], "a majority has to have its own"


def fall_behind(world: Stage, act: Act) -> None:
    """Node 3 hears nothing until the logs of the others begin behind what it has."""
    act("left_behind", 3, value=0.6)
    last = world.life(3).groups[0].raw.last_index
    for number in range(6):
        world.written(1, "a", str(number))
        world.pass_(0.05)
    assert world.life(1).groups[0].raw.first_index > last + 1
    assert world.life(3).groups[0].raw.last_index == last


@pytest.mark.parametrize("machine", ["memory", "disk"])
def test_left_behind_brings_a_follower_behind_the_log_of_its_leader(machine: str) -> None:
    with faulty(machine) as (world, act):
        fall_behind(world, act)
        world.until(lambda: world.reached["a follower was brought up by a snapshot"] == 1, "it is brought up")
        assert world.reached["a snapshot was received"] == 1


@pytest.mark.parametrize("count", range(1, 6))
def test_kill_in_fetch_comes_in_the_place_of_an_operation(count: int) -> None:
    with faulty("memory") as (world, act):
        act("kill_in_fetch", 3, count, 0.1)
        fall_behind(world, act)
        done = operations(world, 3)
        world.until(lambda: "died" in done, "it dies")
        assert world.reached["a process was to die while it received a snapshot"] == 1
        assert done.index("died") >= count - 1
        world.until(
            lambda: world.reached["a follower was brought up by a snapshot"] == 1, "it comes all the same", 30.0
        )


@pytest.mark.parametrize("percent", [40, 60, 80])
def test_kill_half_way_leaves_a_part_with_which_its_next_life_goes_on(percent: int) -> None:
    with faulty("memory", block_bytes=69, chunk_bytes=64) as (world, act):
        act("kill_half_way", 3, percent, 0.1)
        fall_behind(world, act)
        done = operations(world, 3)
        world.until(lambda: "died" in done, "it dies")
        assert world.reached["a process was to die half way through a snapshot that it received"] == 1
        folder = world.member(3).disk.find(FOLDER)
        assert isinstance(folder, Directory)
        (begun,) = [file for file in map(receiving_file, folder.names) if file is not None]
        there = world.member(3).disk.contents(FOLDER / receiving_name(begun)).size
        world.until(lambda: world.reached["a follower was brought up by a snapshot"] == 1, "in the end", 30.0)
        if there > begun.size // 3:  # else the machine lost its power, and with it what was not synced
            assert world.reached["a snapshot was received from the middle on"] == 1


def test_other_bytes_of_the_same_size_are_not_taken() -> None:
    with faulty("memory") as (world, act):
        act("other_bytes", 1)
        fall_behind(world, act)
        world.until(lambda: world.reached["a follower was brought up by a snapshot"] == 1, "in the end", 30.0)
        assert world.reached["a snapshot came with other bytes of the same size"] == 1
        assert world.reached["a snapshot was not received"] == 1


def test_kill_giving_takes_the_source_and_another_takes_its_place() -> None:
    with faulty("memory") as (world, act):
        act("kill_giving", 1, 1, 0.5)
        fall_behind(world, act)
        world.until(lambda: lives(world) == [2, 3], "it dies")
        assert world.reached["a process was to die while it gave a snapshot to another"] == 1
        world.until(lambda: world.reached["a follower was brought up by a snapshot"] == 1, "by whoever leads", 30.0)


@pytest.mark.parametrize("machine", ["memory", "disk"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_kill_in_restore_takes_a_follower_whose_log_is_the_snapshot(machine: str, count: int) -> None:
    with faulty(machine) as (world, act):
        act("kill_in_restore", 3, count, 0.1)
        fall_behind(world, act)
        world.until(lambda: lives(world) == [1, 2], "it dies")
        assert world.reached["a process was to die while its machine was restored"] == 1
        world.until(lambda: world.up(3), "it is up again")
        assert world.life(3).groups[0].snapshots.newest > 0


def test_wrong_chunk_is_noticed_and_asked_for_again() -> None:
    with faulty("memory") as (world, act):
        act("wrong_chunk", 1, 2)
        fall_behind(world, act)
        world.until(lambda: world.reached["a follower was brought up by a snapshot"] == 1, "in the end", 30.0)
        assert world.reached["a snapshot came with a bit turned over"] == 2
        assert world.reached["a snapshot was not received"]
