"""A storage that has to read what left the memory says "not now", and nobody else waits for it.

The rule is raft-rs's (LogTemporarilyUnavailable and on_entries_fetched): a leader sends nothing to the follower that
the entries are for, and goes on with the others; who restarts hands out what is to be applied once it has been read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raftcore import Config, ConfState, Entries, Entry, HardState, Message, MessageType, PagedStorageView, RawNode
from raftcore.base.errors import Compacted, InvariantViolation, LogTemporarilyUnavailable
from raftcore.testing.memory_storage import MemoryStorage
from tests.core.network import ELECTION_TICK, Network
from tests.core.test_outbox import builder


class Paged(MemoryStorage):
    """Has at hand what a test has read of it."""

    at_hand = False
    urgent: bool | None = None
    """Whether it was asked last for what somebody waits for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[tuple[int, int]] = []

    def entries_at_hand(self, lo: int, hi: int, max_bytes: int, urgent: bool) -> Entries:
        self.asked.append((lo, hi))
        self.urgent = urgent
        if not self.at_hand:
            raise LogTemporarilyUnavailable
        return self.entries(lo, hi, max_bytes)


def paged(ids: int, **options: Any) -> Network:
    """A cluster that keeps nothing in memory but what is not durable or not applied."""
    net = Network(ids, **{"max_window_entries": 0, "max_size_per_msg": 0, **options})
    for member in net.members.values():
        member.storage = Paged()
        member.start()
    return net


def behind(**options: Any) -> Network:
    """Node 1 leads, node 3 lacks four entries, which node 1 has to read."""
    net = paged(3, **options)
    net.campaign(1)
    net.isolate(3)
    for command in (b"a", b"b", b"c", b"d"):
        net.propose(1, command)
    net.heal()
    net.sent.clear()
    return net


def sent_to(net: Network, node_id: int) -> int:
    """How many entries it was sent; empty appends look for where the logs agree."""
    return sum(m.entries.count for m in net.of_type(MessageType.MsgApp) if m.to == node_id and m.entries)


def commands(net: Network, node_id: int) -> list[bytes]:
    return [command for _, _, command in net[node_id].applied]


def test_the_view_of_such_a_storage() -> None:
    assert isinstance(Paged(), PagedStorageView)
    assert not isinstance(MemoryStorage(), PagedStorageView)


def test_nothing_is_sent_to_who_waits_for_entries_and_the_others_go_on() -> None:
    net = behind()
    net.tick_all(3)
    assert sent_to(net, 3) == 0
    assert commands(net, 3) == []
    net.propose(1, b"e")
    assert commands(net, 1) == commands(net, 2) == [b"a", b"b", b"c", b"d", b"e"]
    assert sent_to(net, 3) == 0
    assert net[3].raw.leader == 1  # heartbeats reach it all the same
    progress = net[1].raw.status().progress[3]
    assert (progress.paused, progress.paused_because) == (True, "entries")


def test_the_storage_is_asked_once_until_it_has_read() -> None:
    net = behind()
    net.tick_all(5)
    net.propose(1, b"e")
    storage = net[1].storage
    assert isinstance(storage, Paged)
    assert len(storage.asked) == 1
    assert storage.asked[0][0] == 2  # entry 1, the empty one, node 3 has


def test_once_they_are_read_they_are_sent() -> None:
    net = behind()
    net.tick_all(2)
    net[1].storage.at_hand = True
    net[1].raw.report_entries()
    net.settle()
    assert sent_to(net, 3) == 4
    assert commands(net, 3) == [b"a", b"b", b"c", b"d"]
    assert net[1].raw.status().progress[3].paused_because is None
    assert net[3].raw.commit_index == net[1].raw.commit_index


def test_a_report_too_early_makes_it_wait_again() -> None:
    net = behind()
    net.tick_all(2)
    net[1].raw.report_entries()
    net.settle()
    assert net[1].raw.status().progress[3].paused_because == "entries"
    assert len(net[1].storage.asked) == 2
    net[1].storage.at_hand = True
    net[1].raw.report_entries()
    net.settle()
    assert commands(net, 3) == [b"a", b"b", b"c", b"d"]


def test_a_report_that_nobody_waits_for_changes_nothing() -> None:
    net = paged(3)
    net.campaign(1)
    for member in net.members.values():
        before = member.raw.fingerprint()
        member.raw.report_entries()
        assert member.raw.fingerprint() == before
        assert not member.raw.has_ready()


def test_what_was_compacted_meanwhile_is_sent_as_a_snapshot() -> None:
    net = behind()
    net.tick_all(2)
    storage = net[1].storage
    storage.create_snapshot(4, ConfState(voters=(1, 2, 3)))
    net[1].raw.compact(4)
    storage.compact(4)
    assert net.of_type(MessageType.MsgSnap) == []
    net[1].raw.report_entries()  # they cannot be had any more
    net.settle()
    assert [m.to for m in net.of_type(MessageType.MsgSnap)] == [3]
    with pytest.raises(Compacted):
        storage.entries_at_hand(2, 3, 0) if storage.at_hand else storage.entries(2, 3, 0)


def test_a_new_leader_asks_for_itself() -> None:
    net = behind()
    net.tick_all(2)
    assert net[1].raw.status().progress[3].paused_because == "entries"
    net.campaign(2)
    assert net.leader == 2
    net.tick_all(2)
    assert net[2].storage.asked
    net[1].raw.report_entries()  # of a leadership that is over
    net.settle()
    assert commands(net, 3) == []
    net[2].storage.at_hand = True
    net[2].raw.report_entries()
    net.settle()
    assert commands(net, 3) == [b"a", b"b", b"c", b"d"]


def test_a_follower_that_moves_on_by_itself_waits_no_more() -> None:
    """Its answer shows that it has them: an append had been thought to be lost."""
    net = behind()
    net.tick_all(2)
    last = net[1].raw.last_index
    net[3].storage.append(net[1].storage.entries(2, last + 1))
    answer = [m for m in net.sent if m.type == MessageType.MsgHeartbeatResp and m.from_ == 3][-1]
    found = type(answer)(MessageType.MsgAppResp, to=1, from_=3, term=answer.term, index=last)
    net.deliver(found)
    progress = net[1].raw.status().progress[3]
    assert (progress.match, progress.paused) == (last, False)


def test_each_follower_waits_for_itself() -> None:
    net = paged(5)
    net.campaign(1)
    net.isolate(4)
    net.propose(1, b"a")
    net.isolate(5)
    net.propose(1, b"b")
    net.heal()
    net.tick_all(2)
    paused = {i: p.paused_because for i, p in net[1].raw.status().progress.items()}
    assert paused == {1: None, 2: None, 3: None, 4: "entries", 5: "entries"}
    net[1].storage.at_hand = True
    net[1].raw.report_entries()
    net.settle()
    assert commands(net, 4) == commands(net, 5) == [b"a", b"b"]


def test_what_is_to_be_applied_after_a_restart_waits_too() -> None:
    net = paged(1)
    net.campaign(1)
    for command in (b"a", b"b", b"c"):
        net.propose(1, command)
    net.crash(1)
    net.settle()
    assert commands(net, 1) == []
    assert not net[1].raw.has_ready()
    assert len(net[1].storage.asked) == 1
    net.tick(1)
    assert len(net[1].storage.asked) == 1
    net[1].storage.at_hand = True
    net[1].raw.report_entries()
    assert net[1].raw.has_ready()
    net.settle()
    assert commands(net, 1)[:2] == [b"a", b"b"]  # the last commit index needs no sync
    assert net[1].raw.applied_index == net[1].raw.commit_index


def test_an_election_needs_no_storage_that_has_time() -> None:
    """Whether a configuration change waits to be applied is asked at once: entries, not entries_at_hand."""
    net = paged(3)
    net.campaign(1)
    net.propose(1, b"a")
    net.crash(2)
    net.settle()
    net.campaign(2)
    assert net.leader == 2


def test_a_clone_waits_as_the_node_does() -> None:
    net = behind()
    net.tick_all(2)
    copy = net[1].raw.clone()
    assert copy.fingerprint() == net[1].raw.fingerprint()
    assert copy.status().progress[3].paused_because == "entries"
    copy.report_entries()  # asks again, and waits again
    assert copy.fingerprint() == net[1].raw.fingerprint()


def test_a_snapshot_takes_the_place_of_what_was_to_be_applied() -> None:
    net = paged(3)
    net.campaign(1)
    net.propose(1, b"a")
    net.crash(3)
    net.settle()
    assert commands(net, 3) == []
    net.isolate(3)
    for command in (b"b", b"c"):
        net.propose(1, command)
    storage = net[1].storage
    storage.create_snapshot(net[1].raw.applied_index, ConfState(voters=(1, 2, 3)))
    net[1].raw.compact(net[1].raw.applied_index)
    storage.compact(net[1].raw.applied_index)
    net.heal()
    net.tick_all(3)
    assert net[3].raw.applied_index == net[1].raw.applied_index
    net.propose(1, b"d")
    assert commands(net, 3) == [b"d"]


class Wrong(Paged):
    """Gives what another index holds."""

    at_hand = True

    def entries_at_hand(self, lo: int, hi: int, max_bytes: int, urgent: bool) -> Entries:
        return self.entries(lo + 1, hi, max_bytes)


def test_a_storage_that_has_others_at_hand_is_refused() -> None:
    net = behind()
    storage = Wrong()
    storage.append(net[1].storage.entries(1, net[1].raw.last_index + 1))
    storage.set_hard_state(net[1].storage.hard_state)
    leader = RawNode(
        Config(id=1, election_tick=ELECTION_TICK, async_storage_writes=True),
        storage.initial_state(),
        storage,
    )
    with pytest.raises(InvariantViolation, match="storage gave entries"):
        leader.ready()


@pytest.mark.parametrize(("changes", "reads"), [((), 0), ((2,), 0), (None, 1)])
def test_who_stands_for_election_reads_nothing_where_the_start_has_named_the_changes(
    changes: tuple[int, ...] | None, reads: int
) -> None:
    """Of four entries that are committed and not applied, the second one may have taken its vote away (paper 6)."""

    class Counted(Paged):
        reads = 0

        def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
            self.reads += 1
            return super().entries(lo, hi, max_bytes)

    storage = Counted(HardState(1, 1, 4))
    storage.append(Entries.build([Entry(1, index) for index in range(1, 5)]))
    initial = replace(storage.initial_state(), conf_state=ConfState(voters=(1,)), conf_changes=changes)
    raw = RawNode(Config(id=1), initial, storage)
    raw.campaign()
    assert (raw.term > 1) is (changes != (2,))
    assert storage.reads == reads


class Lacking(MemoryStorage):
    """Cannot be read while ``lacks`` is set."""

    lacks = False

    def entries(self, lo: int, hi: int, max_bytes: int = 2**64 - 1) -> Entries:
        if self.lacks:
            raise LogTemporarilyUnavailable("Too many open files")
        return super().entries(lo, hi, max_bytes)


def held(commit: int) -> tuple[RawNode, Lacking]:
    """Node 2 with entries 1 to 4 of term 1, none of them in memory, committed up to ``commit``."""
    storage = Lacking(HardState(1, 0, commit))
    storage.append(Entries.build([Entry(1, index, data=b"%d" % index) for index in range(1, 5)]))
    initial = replace(storage.initial_state(), conf_state=ConfState(voters=(1, 2, 3)), conf_changes=())
    config = Config(id=2, election_tick=ELECTION_TICK, async_storage_writes=True, max_window_entries=0)
    return RawNode(config, initial, storage), storage


def append(first: int, last: int, term: int, commit: int = 0) -> Message:
    entries = Entries.build([Entry(term, index, data=b"%d" % index) for index in range(first, last + 1)])
    return Message(
        MessageType.MsgApp, to=2, from_=1, term=term, index=first - 1, log_term=min(1, first - 1), entries=entries,
        commit=commit,
    )  # fmt: skip


def frame(message: Message) -> bytes:
    built = builder(1, 2)
    built.add(message)
    return built.finish()


@pytest.mark.parametrize("commit", [0, 4])
def test_a_message_that_cannot_be_compared_now_is_as_good_as_lost(commit: int) -> None:
    """A repeated append: committed or not, its contents are compared with the log's, which is on the disk alone."""
    raw, storage = held(commit)
    message = append(1, 4, 1, commit)
    storage.lacks = True
    before = raw.last_index, raw.commit_index
    assert raw.step_frames(frame(message)) == 0
    assert (raw.ignored, raw.faults) == (1, 0)
    assert (raw.last_index, raw.commit_index) == before
    with pytest.raises(LogTemporarilyUnavailable, match="Too many open files"):
        raw.step(message)
    storage.lacks = False
    assert raw.step_frames(frame(message)) == 1
    assert (raw.last_index, raw.term_at(4)) == (4, 1)
    raw.step_frames(frame(append(5, 5, 1, 4)))
    assert (raw.last_index, raw.commit_index) == (5, 4)


def test_entries_that_cannot_be_put_behind_what_is_on_the_disk_change_nothing() -> None:
    """They replace what is there, and the log time of the entry before them has to be read."""
    raw, storage = held(1)
    storage.lacks = True
    for message in (append(3, 3, 2), append(3, 5, 2)):
        assert raw.step_frames(frame(message)) == 0
        assert [raw.term_at(index) for index in range(1, 5)] == [1, 1, 1, 1]
        assert raw.last_index == 4
    assert raw.term == 2, "which was heard all the same"
    storage.lacks = False
    assert raw.step_frames(frame(append(3, 3, 2))) == 1
    assert (raw.last_index, raw.term_at(3)) == (3, 2)


class Counting(Paged):
    """Counts entries that are to be applied as the core does."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked_to_apply: list[tuple[int, int, int]] = []

    def committed_at_hand(self, lo: int, hi: int, max_bytes: int) -> Entries:
        self.asked_to_apply.append((lo, hi, max_bytes))
        if not self.at_hand:
            raise LogTemporarilyUnavailable
        return self.entries(lo, hi, 0)


def test_what_is_to_be_applied_is_asked_for_as_such_where_the_storage_knows_of_it() -> None:
    """Followers are sent what entries_at_hand gives all the same."""
    net = paged(3, max_committed_size_per_ready=1000)
    for member in net.members.values():
        member.storage = Counting()
        member.start()
    net.campaign(1)
    for command in (b"a", b"b", b"c"):
        net.propose(1, command)
    net.crash(1)
    net.settle()
    storage = net[1].storage
    assert [(lo, limit) for lo, _, limit in storage.asked_to_apply] == [(1, 1000)]
    assert storage.asked == []
    storage.at_hand = True
    net[1].raw.report_entries()
    net.settle()
    net.campaign(1)
    assert commands(net, 1) == [b"a", b"b", b"c"]
    net.isolate(3)
    net.propose(1, b"d")
    net.heal()
    net.tick_all(2)
    assert storage.asked
    assert commands(net, 3) == [b"a", b"b", b"c", b"d"]
