"""Log time never goes back within one log, wherever the entry before is kept."""

from __future__ import annotations

from raftcore import Entries, Entry, HardState, Message, MessageType
from tests.core.network import Member


def block(first: int, term: int, time_ms: int, count: int = 1) -> Entries:
    return Entries.build([Entry(term, first + i, 0, b"x") for i in range(count)], time_ms=time_ms)


def test_entries_replaced_after_a_restart_are_not_older_than_what_the_storage_has_before_them() -> None:
    # The leader of term 2 learned of index 2 from a snapshot, which hides the log time from it.
    member = Member(1, (1, 2, 3))
    member.storage.append(block(1, 1, 100, count=3))
    member.storage.set_hard_state(HardState(1, 0, 2))
    member.start()
    member.raw.step(
        Message(MessageType.MsgApp, to=1, from_=2, term=2, index=2, log_term=1, entries=block(3, 2, 50), commit=2)
    )
    (written,) = [m.entries for m in member.raw.ready().messages if m.entries is not None and m.must_sync]
    assert [run[4] for run in written.runs()] == [100]
    assert member.raw.last_time_ms == 100
    member.storage.append(written)
    assert member.storage.entries(1, 4).last_term == 2


def test_the_last_entry_s_time_is_told_after_a_restart_too() -> None:
    member = Member(1, (1, 2, 3))
    member.storage.append(block(1, 1, 100))
    member.storage.append(block(2, 1, 250))
    member.storage.set_hard_state(HardState(1, 0, 2))
    member.start()
    assert member.raw.last_time_ms == 250
