"""Snapshots while a node runs, and starts from them (paper 7): nothing that was acknowledged is lost or done twice."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from raftcore import ConfState
from raftpy import Config, Node, NoSnapshots, SnapshotFailed, StorageDamaged
from raftpy.contracts.errors import Stopped
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.storage import MemoryStore
from raftpy.storage.snapshots.names import whole_name
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.node.harness import Recorder
from tests.node.lone import Lone
from tests.node.loop import run
from tests.node.steps import LoopSteps
from tests.node.words import ThreadedWords, Words


def test_a_snapshot_is_of_what_is_applied_and_a_restart_goes_on_from_it() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        indexes = await lone.propose(b"a", b"b")
        assert await node.snapshot() == indexes[-1]
        assert len(lone.files) == 1
        later = await lone.propose(b"c")
        words = list(lone.machine.words)
        await lone.restart()
        assert lone.machine.words == words
        assert lone.machine.given == later, "what the snapshot holds is not applied again"
        assert lone.machine.restored
        assert lone.node.status().applied_index >= later[-1]
        await lone.propose(b"d")
        await lone.stop()

    run(main())


@pytest.mark.parametrize("machine", [Words, ThreadedWords])
def test_the_log_is_cut_behind_the_oldest_of_two_snapshots(machine: type[Words]) -> None:
    async def main() -> None:
        lone = Lone(machine)
        node = await lone.start()
        await lone.propose(b"a")
        first = await node.snapshot()
        assert lone.log[0] == 1, "one snapshot alone may be damaged: the log is what takes its place"
        await lone.propose(b"b")
        second = await node.snapshot()
        await asyncio.sleep(0.1)
        assert lone.log[0] == first + 1
        assert node.status().first_index == first + 1
        await lone.propose(b"c")
        third = await node.snapshot()
        await asyncio.sleep(0.1)
        assert lone.log[0] == second + 1
        assert len(lone.files) == 2, "the first one is not needed any more"
        assert [view.closed for view in lone.machine.views] == [1, 1, 1]
        await lone.propose(b"d")
        words = list(lone.machine.words)
        for _ in range(2):
            await lone.restart()
            assert lone.machine.words == words
        assert third < lone.node.status().last_index
        await lone.stop()

    run(main())


def test_nothing_new_is_no_new_snapshot() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        index = await node.snapshot()
        assert await node.snapshot() == index
        assert len(lone.machine.views) == 1
        assert await asyncio.gather(node.snapshot(), node.snapshot()) == [index, index]
        await lone.stop()

    run(main())


def test_commands_go_on_while_a_snapshot_is_written_and_do_not_show_in_it() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        lone.steps.held = True
        taking = asyncio.ensure_future(node.snapshot())
        await asyncio.sleep(0.01)
        other = asyncio.ensure_future(node.snapshot())
        (behind,) = await lone.propose(b"b")
        assert not taking.done()
        lone.steps.release()
        assert await taking == behind - 1
        assert await other == behind - 1, "calls at the same time share one"
        await lone.restart()
        assert lone.machine.given == [behind]
        assert lone.machine.commands == [b"a", b"b"]
        await lone.stop()

    run(main())


def test_a_damaged_snapshot_is_found_out_and_the_one_before_used(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        first = await node.snapshot()
        between = await lone.propose(b"b")
        await node.snapshot()
        later = await lone.propose(b"c")
        words = list(lone.machine.words)
        newest = whole_name(lone.node._running.host.storage.snapshots.refs(0)[0])
        lone.disk.snapshots.held[newest][-200] ^= 1
        node = await lone.restart()
        assert lone.machine.words == words
        assert lone.machine.given == between + later
        assert "an older one is looked for" in caplog.text
        assert first < between[0]
        # And it does not count any more when the next ones decide how far the log is cut.
        await lone.propose(b"d")
        assert await node.snapshot() > later[0]
        assert lone.log[0] == first + 1
        await lone.stop()

    run(main())


def test_without_any_whole_snapshot_a_cut_log_is_refused_and_a_whole_one_is_enough() -> None:
    async def main(*, cut: bool) -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        if cut:
            await lone.propose(b"b")
            await node.snapshot()
            await asyncio.sleep(0.1)
        words = list(lone.machine.words)
        for name in lone.files:
            lone.disk.snapshots.held[name][-200] ^= 1
        if cut:
            with pytest.raises(StorageDamaged, match="no whole snapshot reaches it"):
                await lone.restart()
        else:
            await lone.restart()
            assert lone.machine.words == words
            await lone.stop()

    run(main(cut=True))
    run(main(cut=False))


def test_a_machine_that_gives_out_no_state_keeps_the_whole_log() -> None:
    async def main() -> None:
        lone = Lone(Recorder)
        node = await lone.start()
        await lone.propose(b"a")
        with pytest.raises(NoSnapshots, match=r"Recorder gives out no state: it has no capture\(\), no restore\(\)"):
            await node.snapshot()
        await lone.restart()
        assert lone.machine.commands == [b"a"]
        await lone.stop()

    run(main())


def test_a_cut_log_is_refused_where_the_machine_cannot_be_restored() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        for word in (b"a", b"b"):
            await lone.propose(word)
            await node.snapshot()
        await asyncio.sleep(0.1)
        lone.make = Recorder
        with pytest.raises(NoSnapshots):
            await lone.restart()

    run(main())


def test_a_machine_with_half_of_a_protocol_is_told_what_is_missing() -> None:
    class Half(Words):
        sync = None

        def applied_index(self) -> int:
            return 0

    async def main() -> None:
        lone = Lone(Half)
        node = await lone.start()
        with pytest.raises(NoSnapshots, match=r"it has no sync\(\)$"):
            await node.snapshot()
        await lone.stop()

    run(main())


def test_a_full_disk_costs_the_snapshot_and_nothing_else() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        await node.snapshot()
        files = lone.files
        await lone.propose(b"b" * 1000)
        lone.disk.snapshots.capacity = 800
        with pytest.raises(SnapshotFailed, match="No space left"):
            await node.snapshot()
        assert lone.files == files
        assert "No space left" in (node.status().snapshot_failure or "")
        await lone.propose(b"c")
        assert [view.closed for view in lone.machine.views] == [1, 1]
        lone.disk.snapshots.capacity = 1 << 20
        assert await node.snapshot() == node.status().applied_index
        assert node.status().snapshot_failure is None
        await lone.stop()

    run(main())


def test_what_the_machine_raises_ends_the_snapshot_alone() -> None:
    class Failing(Words):
        def capture(self) -> Any:
            raise ZeroDivisionError

    async def main() -> None:
        lone = Lone(Failing)
        node = await lone.start()
        await lone.propose(b"a")
        with pytest.raises(ZeroDivisionError):
            await node.snapshot()
        assert node.status().snapshot_failure == "ZeroDivisionError()"
        await lone.propose(b"b")
        assert lone.files == []
        await lone.stop()

    run(main())


def test_a_stop_while_a_snapshot_is_written_leaves_nothing_of_it() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        lone.steps.held = True
        taking = asyncio.ensure_future(node.snapshot())
        await asyncio.sleep(0.01)
        await node.stop()
        with pytest.raises(Stopped):
            await taking
        lone.steps.release()
        assert lone.files == []
        assert [view.closed for view in lone.machine.views] == [1]
        await lone.start()
        assert lone.machine.commands == [b"a"]
        await lone.stop()

    run(main())


def test_the_commit_index_begins_no_lower_than_what_was_applied() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a", b"b", b"c")
        index = await node.snapshot()
        await lone.stop()
        group = lone.disk.groups[0]
        group.hard_state = type(group.hard_state)(group.hard_state.term, group.hard_state.vote, 1)
        raws: list[int] = []
        lone.make = lambda: Words()
        node = Node(
            Config(id=1, cluster={1: "127.0.0.1:7101"}, seed=1),
            Words(),
            storage=MemoryStore(lone.disk),
            transport=MemoryTransport(MemoryNetwork(lone.clock, 1)),
            clock=lone.clock,
            executor=LoopSteps(),
        )
        await node.start()
        raws.append(node.status().commit_index)
        assert raws == [index]
        assert node._running.raw.conf_state == ConfState([1])
        await node.stop()

    run(main())


# --- By themselves ----------------------------------------------------------------------


def test_a_warning_once_where_a_snapshot_would_be_due(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        lone = Lone(Recorder)
        lone.settings = {"snapshot_entries": 1}
        await lone.start()
        await lone.propose(b"a", b"b")
        with caplog.at_level(logging.WARNING, "raftpy"):
            await asyncio.sleep(10)
        assert caplog.text.count("so the log is kept whole") == 1
        await lone.stop()

    run(main())


def test_snapshots_are_taken_by_themselves_after_so_many_entries() -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"snapshot_entries": 10}
        node = await lone.start()
        taken: list[int] = []
        for _ in range(6):
            await lone.propose(*[b"word"] * 7)
            await asyncio.sleep(2)
            if (index := node.status().snapshot_index) not in taken:
                taken.append(index)
        assert len(taken) in (4, 5)
        assert all(b - a >= 10 for a, b in zip(taken, taken[1:], strict=False))
        assert node.status().first_index == taken[-2] + 1
        await lone.restart()
        assert len(lone.machine.given) < 14
        assert lone.node.status().snapshot_index == taken[-1]
        await lone.stop()

    run(main())


def test_and_after_so_many_bytes_one_a_minute() -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"snapshot_bytes": 1000}
        node = await lone.start()
        await lone.propose(b"x" * 600)
        await asyncio.sleep(70)
        assert node.status().snapshot_index == 0
        await lone.propose(b"x" * 400)
        await asyncio.sleep(2)
        assert (first := node.status().snapshot_index) > 0
        await lone.propose(*[b"x" * 1000] * 5)
        await asyncio.sleep(50)
        assert node.status().snapshot_index == first
        await asyncio.sleep(15)
        assert (second := node.status().snapshot_index) > first
        await lone.propose(b"x")
        await asyncio.sleep(130)
        assert node.status().snapshot_index == second, "what was before it counts no more"
        await lone.stop()

    run(main())


def test_one_that_fails_by_itself_is_said_and_tried_again_a_minute_later(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"snapshot_entries": 5}
        node = await lone.start()
        lone.disk.snapshots.capacity = 10
        await lone.propose(*[b"word"] * 7)
        await asyncio.sleep(30)
        assert caplog.text.count("No space left") == 1
        lone.disk.snapshots.capacity = 1 << 20
        await asyncio.sleep(20)
        assert node.status().snapshot_index == 0
        assert "No space left" in (node.status().snapshot_failure or "")
        await asyncio.sleep(15)
        assert node.status().snapshot_index == node.status().applied_index
        assert node.status().snapshot_failure is None
        await lone.stop()

    run(main())


@pytest.mark.parametrize("kept", [2, 3, 5])
def test_so_many_are_kept_and_the_log_behind_the_oldest_of_them(kept: int) -> None:
    async def main() -> None:
        lone = Lone()
        lone.settings = {"snapshots_kept": kept}
        node = await lone.start()
        taken: list[int] = []
        for number in range(7):
            await lone.propose(b"word %d" % number)
            taken.append(await node.snapshot())
            assert len(lone.files) == min(number + 1, kept)
            await lone.propose(b"the cut goes with the next batch")
            assert lone.log[0] == (1 if number + 1 < kept else taken[-kept] + 1)
        # All of them but the oldest may be damaged.
        words = list(lone.machine.words)
        for index in taken[1 - kept :]:
            lone.disk.snapshots.held[whole_name(SnapshotRef(0, index, 1))][100] ^= 1
        await lone.restart()
        assert lone.machine.words == words
        await lone.stop()

    run(main())


def test_those_of_an_earlier_life_let_the_log_be_cut_too() -> None:
    async def main() -> None:
        lone = Lone()
        node = await lone.start()
        await lone.propose(b"a")
        first = await node.snapshot()
        await lone.propose(b"b")
        node._running.snapshots._cut = lambda: None  # type: ignore[method-assign]  # it dies before
        await node.snapshot()
        await lone.restart()
        assert lone.log[0] == 1
        await asyncio.sleep(2)
        assert lone.log[0] == first + 1
        await lone.stop()

    run(main())
