"""Each fault does what it says, ends when it says, and leaves a cluster that comes to rest as any other.

That a fault was inflicted, which SOMETIMES counts, does not say that anything has come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk
from raftpy.sim.disk.image import DiskImage
from raftpy.sim.faults import DATA, FAULTS, inflict
from raftpy.sim.plan import Fault, NetworkFaults, SnapshotLoad
from tests.sim.scenarios.stage import STEADY_DISK, Stage, stage

Act = Callable[..., None]


@contextmanager
def faulty(machine: str = "none", block_bytes: int = 0, chunk_bytes: int = 0) -> Iterator[tuple[Stage, Act]]:
    """A cluster of three that node 1 leads, and ``act(kind, node, other, value)``, which inflicts a fault; in the end
    all is well. ``machine``: what state machines give out."""
    load = SnapshotLoad(machine=machine, trailing_bytes=0, block_bytes=block_bytes, chunk_bytes=chunk_bytes)
    with stage(snapshots=load) as world:
        yield (
            world,
            lambda kind, node=0, other=0, value=0.0: inflict(
                world.cluster, Fault(at_s=0.0, kind=kind, node=node, other=other, value=value)
            ),
        )
        world.finish()


def lives(world: Stage) -> list[int]:
    """Who is alive."""
    return [member.node for member, _ in world.cluster.lives()]


def operations(world: Stage, node: int) -> list[str]:
    """What will have been done to the disk of a node, as it goes on; "died" where its process did in place of one."""
    done: list[str] = []
    disk = world.member(node).disk
    honest = disk.on_step
    assert honest is not None

    def on_step(operation: str) -> None:
        try:
            honest(operation)
        except BaseException:
            done.append("died")
            raise
        done.append(operation)

    disk.on_step = on_step
    return done


def test_each_has_a_test_here() -> None:
    here = Path(__file__)
    names = ("faults", "snapshot_faults", "path_faults", "descriptors", "lost_orders")
    source = "".join(here.with_name(f"test_{name}.py").read_text() for name in names)
    assert [kind for kind in FAULTS if f'"{kind}"' not in source] == []


# --- Processes and machines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["kill", "power"])
def test_kill_and_power_take_the_process_for_a_time(how: str) -> None:
    with faulty() as (world, act):
        with pytest.MonkeyPatch.context() as patch:
            ended: list[str] = []
            patch.setattr(Disk, "kill", lambda self: ended.append("kill"))
            patch.setattr(Disk, "power_failure", lambda self: ended.append("power"))
            act(how, 2, value=0.3)
            assert (ended, lives(world)) == ([how], [1, 3])
        world.member(2).disk.kill()
        world.pass_(0.29)
        assert lives(world) == [1, 3]
        world.pass_(0.02)
        assert lives(world) == [1, 2, 3]


def test_blackout_takes_all_machines_and_each_comes_back_at_its_own_time() -> None:
    with faulty() as (world, act):
        act("blackout", value=0.5)
        assert lives(world) == []
        seen = []
        for _ in range(50):
            world.pass_(0.01)
            seen.append(len(lives(world)))
        assert seen == sorted(seen)
        assert {1, 2, 3} <= set(seen)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_kill_in_write_comes_in_the_place_of_an_operation(count: int) -> None:
    with faulty() as (world, act):
        done = operations(world, 2)
        act("kill_in_write", 2, other=count, value=0.2)
        for number in range(3):
            world.write(1, "a", str(number))
            world.pass_(0.05)
        assert done[count - 1] == "died"
        assert "died" not in done[: count - 1]
        assert lives(world) == [1, 3]
        world.pass_(0.2)
        assert lives(world) == [1, 2, 3]


def test_kill_in_turn_comes_before_a_call_of_the_loop() -> None:
    with faulty() as (world, act):
        act("kill_in_turn", 2, other=5, value=0.2)
        assert lives(world) == [1, 2, 3]
        world.until(lambda: lives(world) == [1, 3], "it dies")
        world.until(lambda: lives(world) == [1, 2, 3], "it is back", 0.21)


def test_crash_loop_comes_each_time_that_somebody_has_read_there() -> None:
    with faulty() as (world, act):
        act("crash_loop", 2, other=2, value=0.01)
        for times in (1, 2):
            world.pass_(0.5)
            before = world.life(2)
            before.reads[0] = 1  # as clients count them
            world.pass_(0.009)
            assert world.life(2) is before
            world.until(lambda life=before: world.member(2).life is not life, "it dies", 0.002)  # type: ignore[misc]
            world.until(lambda: world.up(2), "it is there again, at once", 0.1)
            assert world.member(2).lives == 1 + times
        world.life(2).reads[0] = 1
        world.pass_(0.5)
        assert world.member(2).lives == 3


def test_kill_in_start_comes_in_the_start_that_follows() -> None:
    with faulty() as (world, act):
        done = operations(world, 2)
        act("kill_in_start", 2, other=4, value=0.2)
        assert lives(world) == [1, 3]
        world.until(lambda: "died" in done, "it dies again")
        assert done.index("died") == 3
        assert world.reached["a process died while it started"] == 1


def test_kill_in_start_takes_the_start_under_way() -> None:
    with faulty() as (world, act):
        world.kill(2)
        world.start(2)
        done = operations(world, 2)
        act("kill_in_start", 2, other=2, value=0.2)
        world.until(lambda: "died" in done, "it dies")
        assert done[1] == "died"
        assert world.reached["a process died while it started"] == 1


def test_stop_is_a_clean_one() -> None:
    with faulty() as (world, act):
        life = world.life(2)
        act("stop", 2, value=0.3)
        world.until(lambda: life.stopped, "it stops")
        assert world.cluster._closed_cleanly(world.member(2))
        world.pass_(0.25)
        assert lives(world) == [1, 3]
        world.pass_(0.1)
        assert lives(world) == [1, 2, 3]


def test_kill_in_stop_comes_within_it() -> None:
    with faulty() as (world, act):
        life = world.life(2)
        act("kill_in_stop", 2, other=1, value=0.3)
        world.until(lambda: lives(world) == [1, 3], "it dies")
        assert not life.stopped
        assert world.reached["a process died while it stopped"] == 1
        assert not world.cluster._closed_cleanly(world.member(2))


def test_pause_keeps_a_process_from_everything_while_its_clock_goes_on() -> None:
    with faulty() as (world, act):
        process = world.life(1).process
        act("pause", 1, value=0.5)
        before, sent, clock = world.world.now, heard_of(world, 1), process.monotonic()
        world.pass_(0.49)
        assert process.monotonic() - clock == pytest.approx(world.world.now - before)
        assert sent == []
        world.pass_(0.02)
        assert sent != []


def heard_of(world: Stage, node: int) -> list[int]:
    """To whom a node will have sent something."""
    sent: list[int] = []
    keep = world.cluster.network.keep
    assert keep is not None

    def look(from_id: int, to_id: int, datagram: bytes) -> bool:
        if from_id == node:
            sent.append(to_id)
        return keep(from_id, to_id, datagram)

    world.cluster.network.keep = look
    return sent


def test_stop_starting_stops_it_before_it_has_started() -> None:
    with faulty() as (world, act):
        ended = []
        world.cluster.on_ended = lambda member, life: ended.append((life.started, type(life.error).__name__))
        act("stop_starting", 2, value=0.0)
        world.until(lambda: len(ended) == 2, "it ends again")
        assert ended == [(True, "NoneType"), (False, "Stopped")]
        assert world.reached["a node was stopped while it started"] == 1


def test_second_start_is_refused() -> None:
    with faulty() as (world, act):
        act("second_start", 2)
        assert world.reached["a second start on a directory in use was refused"] == 1


# --- Links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "node", "other", "links"),
    [
        ("isolate", 1, 0, {(1, 2), (1, 3), (2, 1), (3, 1)}),
        ("cut", 1, 3, {(1, 3)}),
        ("sever", 1, 3, {(1, 3), (3, 1)}),
        ("see_some", 1, 0b0100, {(1, 3), (3, 1)}),
        ("mute", 2, 0, {(2, 1), (2, 3)}),
        ("deafen", 2, 0, {(1, 2), (3, 2)}),
        ("split", 0, 0b0110, {(1, 3), (2, 3), (3, 1), (3, 2)}),
        ("split", 0, 0b1000, {(1, 3), (2, 3), (3, 1), (3, 2)}),
    ],
)
def test_isolate_and_others_cut_links_for_a_time(kind: str, node: int, other: int, links: set[tuple[int, int]]) -> None:
    with faulty() as (world, act):
        act(kind, node, other, 0.2)
        assert world.cluster.network.cuts == links
        world.pass_(0.19)
        assert world.cluster.network.cuts == links
        world.pass_(0.02)
        assert world.cluster.network.cuts == set()


def test_slow_link_takes_longer_until_all_is_healed() -> None:
    with faulty() as (world, act):
        act("slow_link", 1, 2, 0.25)
        world.pass_(3.0)
        assert world.cluster.network.slow == {(1, 2): 0.25}
    assert world.cluster.network.slow == {}


def test_calm_is_good_for_a_time() -> None:
    with faulty() as (world, act):
        network = world.cluster.network
        bad = NetworkFaults(loss=0.1, late=0.1, flipped=0.1, held=0.1, duplication=0.1)
        world.cluster.plan = replace(world.cluster.plan, network=bad)
        network.faults = bad
        good = replace(bad, loss=0.0, late=0.0, flipped=0.0, held=0.0)
        act("calm", value=0.3)
        assert network.faults == good
        world.pass_(0.29)
        assert network.faults == good
        world.pass_(0.02)
        assert network.faults == bad


def test_what_overlaps_ends_with_the_last() -> None:
    bad = NetworkFaults(loss=0.1, late=0.1, flipped=0.1, held=0.1)
    with faulty() as (world, act):
        network, disk = world.cluster.network, world.member(2).disk
        world.cluster.plan = replace(world.cluster.plan, network=bad)
        network.faults = bad

        def seen() -> tuple[bool, bool, set[tuple[int, int]], DiskFaults]:
            return network.faults != bad, world.life(3).process.paused, set(network.cuts), disk.faults

        act("calm", value=0.3)
        act("pause", 3, value=0.3)
        act("mute", 2, value=0.3)
        act("slow_disk", 2, value=0.3)
        world.pass_(0.1)
        act("calm", value=0.3)
        act("pause", 3, value=0.3)
        act("cut", 2, 3, value=0.3)
        act("stalled_disk", 2, value=0.1)
        assert seen() == (True, True, {(2, 1), (2, 3)}, replace(STEADY_DISK, slow=1.0, stall=1.0))
        world.pass_(0.15)
        assert seen() == (True, True, {(2, 1), (2, 3)}, replace(STEADY_DISK, slow=1.0))
        world.pass_(0.1)
        assert seen() == (True, True, {(2, 3)}, STEADY_DISK)
        world.pass_(0.1)
        assert seen() == (False, False, set(), STEADY_DISK)


def test_a_shorter_one_does_not_end_what_is_under_way() -> None:
    with faulty() as (world, act):
        act("pause", 3, value=0.3)
        act("cut", 1, 2, value=0.3)
        act("pause", 3, value=0.1)
        act("cut", 1, 2, value=0.1)
        world.pass_(0.2)
        assert (world.life(3).process.paused, world.cluster.network.cuts) == (True, {(1, 2)})


def test_smaller_datagrams_come_with_the_next_start() -> None:
    with faulty() as (world, act):
        act("smaller_datagrams", 2, value=512.0)
        assert world.life(2).host.transport._max_datagram == 60_000  # type: ignore[attr-defined]
        world.restart(2)
        assert world.life(2).host.transport._max_datagram == 512  # type: ignore[attr-defined]


# --- Disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("full_disk", replace(STEADY_DISK, no_space=1.0)),
        ("broken_disk", replace(STEADY_DISK, write_error=0.5, sync_error=0.5)),
        ("slow_disk", replace(STEADY_DISK, slow=1.0)),
        ("stalled_disk", replace(STEADY_DISK, stall=1.0)),
    ],
)
def test_full_disk_and_others_are_so_for_a_time(kind: str, bad: DiskFaults) -> None:
    with faulty() as (world, act):
        disk = world.member(2).disk
        act(kind, 2, value=0.2)
        assert disk.faults == bad
        world.write(1, "a", "1")
        world.pass_(0.19)
        if kind in ("full_disk", "broken_disk"):
            assert (world.reached["a node stopped by itself"], disk.errors > 0) == (1, True)
        else:
            assert disk.total_s > (0.3 if kind == "stalled_disk" else 0.01)
        world.pass_(0.02)
        assert disk.faults == STEADY_DISK


def test_stop_full_stops_on_a_disk_without_room() -> None:
    with faulty() as (world, act):
        world.written(1, "a", "1")
        act("stop_full", 2, value=0.3)
        world.until(lambda: lives(world) == [1, 3], "it stops")
        assert world.reached["a store could not be closed cleanly"] == 1


def test_flipped_bit_turns_over_one_of_the_file_that_it_says() -> None:
    with faulty() as (world, act):
        disk = world.member(2).disk
        before = dict(disk.copy().files)
        files = [path for path, file in before.items() if file.data]
        act("flipped_bit", 2, other=len(files) + 1, value=1.0)
        after = dict(disk.copy().files)
        changed = [path for path in before if before[path] != after[path]]
        assert changed == [files[1]]
        old, new = (int.from_bytes(image[files[1]].data, "big") for image in (before, after))
        assert (old ^ new).bit_count() == 1
        disk.restore(DiskImage(disk.copy().directories, tuple(before.items())))  # and back: nothing is damaged


def test_emptied_disk_takes_everything_in_its_directory() -> None:
    with faulty() as (world, act):
        member = world.member(2)
        act("emptied_disk", 2, value=0.2)
        assert [path for path in member.disk.paths() if DATA in path.parents] == []
        assert (member.trusted, lives(world)) == (False, [1, 3])


def test_older_copy_is_put_back_once_there_is_something_newer() -> None:
    with faulty() as (world, act):
        member = world.member(2)
        act("older_copy", 2, value=0.2)
        copied = member.disk.copy()
        world.until(lambda: world.up(2), "it is up again")
        world.written(1, "a", "1")
        world.until(lambda: member.put_back, "the copy is put back")
        assert (member.disk.copy(), lives(world)) == (copied, [1, 3])


# --- Leaders and clocks -----------------------------------------------------------------------------------------------


def test_hand_over_gives_leadership_away() -> None:
    with faulty() as (world, act):
        act("hand_over")
        world.until(lambda: world.leads(2) or world.leads(3), "another leads")
        assert world.up(1)


@pytest.mark.parametrize("kind", ["transfer", "transfer_by"])
def test_transfer_gives_leadership_to_that_one(kind: str) -> None:
    with faulty() as (world, act):
        act(kind, 3, 2)
        world.until(lambda: world.leads(2), "node 2 leads", 0.2)


def test_priority_is_set() -> None:
    with faulty() as (world, act):
        act("priority", other=2, value=3.0)
        driver = world.life(1).host.driver
        assert driver is not None
        world.until(lambda: driver.priority(2) == 3, "it is known")


def test_max_command_is_agreed_on_and_what_is_larger_is_refused() -> None:
    with faulty() as (world, act):
        act("max_command", value=5_000.0)
        limits = [world.life(node).calls(0) for node in (1, 2, 3)]
        world.until(lambda: [each.max_command for each in limits] == [5_000] * 3, "it is known")
        assert world.reached["a limit of commands was set"] == 1


def test_wall_clock_jumps_at_once_and_stays_wrong() -> None:
    with faulty() as (world, act):
        clocks = [world.life(node).process.wall_ms() for node in (1, 2)]
        assert clocks[0] == clocks[1]
        act("wall_clock", 2, value=-50.0)
        assert world.life(2).process.wall_ms() - clocks[1] == -50_000
        world.restart(2)
        assert world.life(2).process.wall_ms() - world.life(1).process.wall_ms() == -50_000


def test_drift_comes_with_the_next_start() -> None:
    with faulty() as (world, act):
        act("drift", 2, value=1.03)
        for rate in (1.0, 1.03):
            process = world.life(2).process
            clock = process.monotonic()
            world.pass_(1.0)
            assert process.monotonic() - clock == pytest.approx(rate)
            world.restart(2)
