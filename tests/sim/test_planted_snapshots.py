"""Each check of the snapshots of a simulated cluster can fail: what must not be is done on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from raftcore.values.message import Snapshot
from raftpy.runtime import snapshotting
from raftpy.runtime.group import Group
from raftpy.runtime.restoring import Restoring
from raftpy.runtime.snapshot_source import SnapshotSource
from raftpy.runtime.snapshotting import Snapshotting
from raftpy.sim import run as running
from raftpy.sim.machine import DiskMachine, MemoryMachine, written_state
from raftpy.sim.plan import Fault, Plan, SnapshotLoad
from raftpy.sim.run import run
from raftpy.storage.snapshots import store
from raftpy.storage.snapshots.folder import SystemFolder
from raftpy.storage.snapshots.store import SnapshotStore
from tests.sim.test_planted import QUIET, broken, failing

KILLS = tuple(Fault(at_s=0.25 + 0.1 * node, kind="power", node=node, value=0.05) for node in (1, 2, 3))
SNAPSHOTS = replace(QUIET, snapshots=SnapshotLoad(machine="memory", asked_s=0.02), faults=KILLS, duration_s=0.8)
ON_DISK = replace(SNAPSHOTS, snapshots=replace(SNAPSHOTS.snapshots, machine="disk"))


@pytest.mark.parametrize("plan", [SNAPSHOTS, ON_DISK])
def test_a_world_with_snapshots_is_clean_without_it(plan: Plan) -> None:
    outcome = run(plan)
    assert outcome.failure is None, outcome.failure
    assert outcome.reached["a log was cut"]
    assert outcome.reached["a node started from a snapshot"]


def a_later_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(self: MemoryMachine) -> Any:
        class Later:
            def write(view) -> Iterator[bytes]:  # noqa: N805
                yield written_state(self.store)

            def close(view) -> None:  # noqa: N805
                pass

        return Later()

    monkeypatch.setattr(MemoryMachine, "capture", capture)


def another_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Snapshotting._known

    def later(self: Snapshotting, index: int) -> Any:
        seen = known(self, index)
        return Snapshot(seen.index, seen.term, seen.conf_state, seen.conf_index, seen.time_ms + self._group.raw.id)

    monkeypatch.setattr(Snapshotting, "_known", later)


def directories_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SystemFolder, "sync", lambda self: None)


def the_oldest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(self: SnapshotStore, group: int, oldest: Any, up_to: int) -> None:
        pass

    monkeypatch.setattr(SnapshotStore, "_delete_older", delete)


def garbage_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "is_writing", lambda name: False)


def cut_as_far_as_all_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshotting, "cut_to", lambda first, kept, durable, held: held)


def a_command_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Restoring._begin

    def later(self: Restoring, chosen: Any, known: int, committed: int) -> Any:
        return replace(begin(self, chosen, known, committed), known=known + 2)

    monkeypatch.setattr(Restoring, "_begin", later)


def nothing_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(self: MemoryMachine, saved: Any) -> None:
        self.store.restore(saved)
        self.store._data.remove(self.store.scan()[0][0].key)
        self.on_restored()

    monkeypatch.setattr(MemoryMachine, "restore", restore)


@pytest.mark.parametrize(
    ("done", "check"),
    [
        (a_later_state, "one state at each index"),
        (another_configuration, "one state at each index"),
        (nothing_is_restored, "one state at each index"),
        (directories_not_synced, "snapshots are durable"),
        (the_oldest_stays, "the newest are kept"),
        (cut_as_far_as_all_hold_it, "the log reaches a snapshot"),
        (a_command_is_passed_over, "applied in order"),
    ],
)
def test_snapshots(monkeypatch: pytest.MonkeyPatch, done: Callable[[pytest.MonkeyPatch], None], check: str) -> None:
    done(monkeypatch)
    assert failing(SNAPSHOTS) == check


def test_nothing_of_a_snapshot_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    garbage_stays(monkeypatch)
    faults = tuple(
        Fault(at_s=0.2 + 0.04 * count, kind="kill_in_snapshot", node=1, other=count, value=0.01)
        for count in range(3, 13)
    )
    assert failing(replace(SNAPSHOTS, faults=faults)) == "nothing of a snapshot is left"


def test_the_log_reaches_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskMachine, "sync", lambda self: self.store.applied_index)
    assert failing(ON_DISK) == "the log reaches the machine"


def test_the_newest_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restoring, "_choose", lambda self, offered, told, up_to=0: None)
    assert failing(SNAPSHOTS) == "the newest whole one"


@pytest.mark.parametrize(("commit_index", "check"), [(6, "applied is committed"), (7, "none")])
def test_what_was_applied_is_committed(commit_index: int, check: str) -> None:
    made = running.Run(SNAPSHOTS)
    raw = SimpleNamespace(first_index=1, last_index=9, commit_index=commit_index)
    life: Any = SimpleNamespace(
        process=SimpleNamespace(node=1),
        lacked_before=0,
        applied={0: 7},
        groups={0: SimpleNamespace(raw=raw, lacks_state=False)},
    )
    made.checks.snapshots._look_at_the_beginning(life, 0)
    found = made.checks._found
    assert ("none" if found is None else found.check) == check


def test_a_cut_log_stays_cut() -> None:
    made = running.Run(SNAPSHOTS)
    member = made.cluster.members[1]
    assert broken(lambda: made.checks._begins_elsewhere(member, 0, 5, 3, True)) == "a cut log stays cut"


def test_what_a_call_of_snapshot_has_said_is_there() -> None:
    made = running.Run(SNAPSHOTS)
    life: Any = SimpleNamespace(process=SimpleNamespace(node=1))
    made.checks.snapshots.reported(life, 0, 7)
    assert broken(made.checks.look_again) == "snapshots are durable"


def test_a_snapshot_under_way_is_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Snapshotting, "_let_go", lambda self: None)
    assert failing(replace(SNAPSHOTS, faults=())) == "comes to rest"


BEHIND = replace(
    SNAPSHOTS,
    snapshots=replace(SNAPSHOTS.snapshots, trailing_bytes=0, asked_s=1.0),
    faults=(
        Fault(at_s=0.3, kind="left_behind", node=3, value=0.4),
        *(Fault(at_s=1.0, kind="stop", node=node, value=0.1) for node in (1, 2)),
    ),
    duration_s=1.2,
)
"""A snapshot goes to node 3, and whoever has given it is stopped while it still has the file open."""


def test_no_file_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run(BEHIND)
    assert outcome.failure is None, outcome.failure
    assert outcome.reached["a snapshot was received"]
    monkeypatch.setattr(SnapshotSource, "end", lambda self: None)
    failure = run(BEHIND).failure
    assert failure is not None
    assert failure.check == "nothing left behind"
    assert "still has /data/snapshots/0-" in failure.text


def test_no_thread_is_left_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs a second for what it is at is begun as the node ends, and nobody waits for it."""
    plan = replace(BEHIND, interleaved=True)
    outcome = run(plan)
    assert outcome.failure is None, outcome.failure
    end_waits = Group.end_waits

    def leave_a_thread(self: Group) -> None:
        end_waits(self)
        executor: Any = self.host.executor
        storage: Any = self.host.storage

        def work() -> None:
            executor._beside.process.spent += 1.0
            storage._files.remove(storage.path / "floor")

        executor.start("left behind", work)

    monkeypatch.setattr(Group, "end_waits", leave_a_thread)
    failure = run(plan).failure
    assert failure is not None
    assert failure.check == "nothing left behind"
    assert "a thread of it is still at work" in failure.text
