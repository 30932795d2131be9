"""A snapshot carries the log time of its last entry, so that replicas agree on log time behind it."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import ConfState, Entries, Entry, Message, MessageType, Snapshot
from raftcore.log.log import RaftLog
from raftcore.testing.memory_storage import MemoryStorage
from raftcore.wire.codec import decode_message, encode_message
from tests.core.network import Network
from tests.core.server import of

STATE = ConfState((1, 2, 3))


def run(first: int, *times: int) -> Entries:
    """One entry of term 1 for each log time, from index ``first`` on."""
    return Entries.decode(b"".join(Entries.build([Entry(1, i)], time).data for i, time in enumerate(times, first)))


def logged(*times: int) -> RaftLog:
    log = RaftLog(MemoryStorage())
    log.append(run(1, *times))
    return log


@pytest.mark.parametrize("time_ms", [10, 1000, 2000])
def test_a_restored_log_goes_on_from_the_snapshots_time(time_ms: int) -> None:
    log = logged(500, 1000)
    log.restore(Snapshot(9, 1, STATE, time_ms=time_ms))
    assert log.last_time() == time_ms
    log.append(run(10, 0, time_ms + 1))
    unstable = log.next_unstable()
    assert unstable is not None
    assert [time for *_, time in unstable.runs()] == [time_ms, time_ms + 1]
    log.check()


def test_a_snapshot_of_unknown_time_leaves_the_newest_time_seen() -> None:
    log = logged(500, 1000)
    log.restore(Snapshot(9, 1, STATE))
    assert log.last_time() == 1000


def test_logs_with_snapshots_of_other_times_differ() -> None:
    logs = [logged(5), logged(5), logged(5)]
    for log, time_ms in zip(logs, (7, 8, 7), strict=True):
        log.restore(Snapshot(9, 1, STATE, time_ms=time_ms))
    assert logs[0].fingerprint() == logs[2].fingerprint() != logs[1].fingerprint()
    assert Snapshot(9, 1, STATE, time_ms=7) != Snapshot(9, 1, STATE, time_ms=8)


def test_the_storage_gives_a_snapshot_the_time_of_its_entry() -> None:
    storage = MemoryStorage()
    storage.append(run(1, 10, 20, 20, 30))
    assert storage.create_snapshot(3, STATE).time_ms == 20
    storage.compact(3)
    assert storage.log_time(3) == 20
    storage.compact(4)
    assert storage.initial_state().last_time_ms == 30, "the log is empty, the time is not forgotten"
    assert storage.create_snapshot(4).time_ms == 30
    storage.apply_snapshot(Snapshot(9, 2, STATE, time_ms=25))
    assert (storage.initial_state().last_time_ms, storage.log_time(9)) == (25, 25)


def test_it_travels() -> None:
    message = Message(MessageType.MsgSnap, 2, 1, 3, snapshot=Snapshot(9, 2, STATE, 1, 2**64 - 1))
    assert decode_message(*encode_message(message)) == message


@pytest.mark.parametrize("options", [{}, {"witnesses": (3,)}], ids=["member", "witness"])
def test_a_follower_behind_a_snapshot_has_the_leaders_log_time(options: dict[str, Any]) -> None:
    net = Network(3, **options)
    net.campaign(1)
    net.isolate(3)
    net.now_ms = 5000
    net.propose(1, b"a")
    index = net[1].raw.commit_index
    net[1].storage.create_snapshot(index, STATE)
    net[1].storage.compact(index)
    net[1].raw.compact(index)
    net.heal()
    net.tick_all(3)
    assert [m.snapshot.time_ms for m in of(MessageType.MsgSnap, net.sent) if m.snapshot] == [5000]
    net.crash(3)
    net.now_ms = 0  # its leader's clock is far behind by now
    net.campaign(3 if not options else 1)
    net.settle()
    times = {node_id: member.storage.initial_state().last_time_ms for node_id, member in net.members.items()}
    assert set(times.values()) == {net[net.leader].storage.log_time(net[1].raw.last_index)}
    assert min(times.values()) >= 5000
