"""Entries go on in the bytes that they came in (raftcore/log/pieces.pyx), and are what they would be otherwise."""

from __future__ import annotations

import subprocess
import sys

from raftcore import Config, ConfState, InitialState, Outbox, RawNode
from raftcore.log.log import RaftLog
from raftcore.log.window import live_chunks
from raftcore.values.message import Entries, Entry, Message, MessageType
from raftcore.wire.codec import DatagramBuilder, Header
from tests.model.log import Disk

UNLIMITED = 2**64 - 1
COLLECTED = """
import gc
from raftcore.log.log import RaftLog

class Ending:
    def __init__(self, commands):
        self.commands, self.me = commands, self
    def __del__(self):
        self.commands.clear()

for before in range(12):
    log = RaftLog(None)
    commands = [bytes([65]) * 1000 for _ in range(500)]
    append, arguments = log.append_commands, (commands, 1, 0, 0, 20000)
    gc.collect()
    gc.disable()
    Ending(commands)
    kept = [None] * 1000
    gc.set_threshold(1000)
    for i in range(1000 - before - gc.get_count()[0]):
        kept[i] = []
    gc.enable()
    append(*arguments)
    gc.disable()
    print(log.last_index(), "commands")
"""
LARGE = 1000  # bytes of a command; of 20 there is a piece


def entries_from(first: int, term: int = 1, *, count: int = 20, size: int = LARGE, mark: int = 0) -> Entries:
    """As they come in one message."""
    data = bytes([mark]) * size
    return Entries.build([Entry(term, first + i, 0, data) for i in range(count)])


def contents(entries: Entries) -> list[tuple[int, int, bytes]]:
    return [(entry.term, entry.index, entry.data) for entry in entries]


def test_what_came_together_is_cut_as_it_came() -> None:
    log = RaftLog(Disk())
    came = [entries_from(1 + 20 * i) for i in range(10)]
    for entries in came:
        log.append(entries)
    for entries in came:
        assert log.slice(entries.first, entries.last + 1, UNLIMITED) is entries
    log.check()


def test_a_slice_across_pieces_has_what_they_have() -> None:
    log = RaftLog(Disk())
    came = [entries_from(1, mark=1), entries_from(21, count=2, mark=2), entries_from(23, 2, mark=3)]
    for entries in came:
        log.append(entries)
    whole = [one for entries in came for one in contents(entries)]
    for lo in range(1, 43, 3):
        for hi in range(lo + 1, 44, 4):
            assert contents(log.slice(lo, hi, UNLIMITED)) == whole[lo - 1 : hi - 1]


def test_what_is_replaced_is_gone() -> None:
    """A later leader's entries take the place of some (paper 5.3): none of these comes back with a piece."""
    log = RaftLog(Disk())
    first, second = entries_from(1, mark=1), entries_from(21, mark=2)
    log.append(first)
    log.append(second)
    log.append(entries_from(30, 2, count=3, mark=3))
    log.check()
    kept = contents(second)[:9]
    assert contents(log.slice(21, 30, UNLIMITED)) == kept
    assert contents(log.slice(1, 33, UNLIMITED))[20:29] == kept
    assert contents(log.slice(21, 33, UNLIMITED))[9:] == [(2, i, bytes([3]) * LARGE) for i in range(30, 33)]
    log.append(entries_from(21, 3, mark=4))
    log.check()
    assert contents(log.slice(21, 41, UNLIMITED)) == [(3, i, bytes([4]) * LARGE) for i in range(21, 41)]


def test_a_message_is_kept_for_as_long_as_its_entries() -> None:
    """Its bytes are not copied, and not kept for ever."""
    before = live_chunks()
    log = RaftLog(Disk())
    entries = entries_from(1)
    data = entries.data
    references = sys.getrefcount(data)
    log.append(entries)
    assert sys.getrefcount(data) > references
    assert live_chunks()[1] == before[1] + 20 * LARGE
    copy = log.clone()
    del log
    assert copy.slice(5, 6, UNLIMITED).commands() == [bytes(LARGE)]
    copy.append(entries_from(1, 2, count=1, size=1))
    copy.check()
    del copy
    assert sys.getrefcount(data) == references
    assert live_chunks() == before


def test_little_of_a_large_message_does_not_keep_all_of_it() -> None:
    log = RaftLog(Disk())
    entries = entries_from(1, count=2000)
    log.append(entries)
    log.commit_to(2000)
    log.stable_to(2000, 1)
    log.applied_to(2000, 0)
    log.compact(1999)
    unused = entries_from(1, count=2000)
    kept, free = sys.getrefcount(entries.data), sys.getrefcount(unused.data)
    assert kept == free
    assert log.memory_bytes() < 200_000
    assert log.slice(2000, 2001, UNLIMITED).commands() == [bytes(LARGE)]


def test_pieces_go_when_they_are_durable_and_applied() -> None:
    log = RaftLog(Disk())
    came = [entries_from(1 + 20 * i) for i in range(3)]
    for entries in came:
        log.append(entries)
    references = sys.getrefcount(came[0])
    log.commit_to(60)
    log.stable_to(20, 1)
    log.applied_to(19, 0)
    before = sys.getrefcount(came[0])
    assert before == references
    log.applied_to(20, 0)
    after = sys.getrefcount(came[0])
    assert after < references
    log.check()


def test_memory_is_counted_once() -> None:
    """What is copied and what is referred to take turns."""
    log = RaftLog(Disk())
    for index in range(1, 2001):
        log.append(entries_from(index, count=1, size=100 if index % 2 else 5000))
    payload = 1000 * 5100
    assert payload < log.memory_bytes() < 1.2 * payload


def test_the_end_of_a_message_does_not_keep_it() -> None:
    """A repeated append, of which only the last entries are new."""
    log = RaftLog(Disk())
    log.append(entries_from(1, count=55))
    again = entries_from(1, count=60)
    before = sys.getrefcount(again.data)
    assert log.maybe_append(0, 0, 0, again) == 60
    after = sys.getrefcount(again.data)
    assert after == before
    log.check()


def test_a_clone_does_the_same() -> None:
    node, outbox = node_of()
    for i in range(3):
        node.step(append(20 * i, entries_from(1 + 20 * i), commit=50))
    copy, (_, other) = node.clone(), node_of()
    assert copy.fingerprint() == node.fingerprint()
    assert node.collect(outbox)
    assert copy.collect(other)
    assert [(m.index, m.commit, m.entries) for m in outbox.appends] == [
        (m.index, m.commit, m.entries) for m in other.appends
    ]
    assert copy.fingerprint() == node.fingerprint()


def test_commands_may_be_taken_away_by_what_the_collector_ends() -> None:
    """Code of anybody's may run wherever an object is made that the garbage collector counts: the commands are read
    without one."""
    ran = subprocess.run([sys.executable, "-c", COLLECTED], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == ["500 commands"] * 12


def test_so_many_that_the_oldest_go() -> None:
    log = RaftLog(Disk())
    came = [entries_from(1 + 20 * i) for i in range(200)]
    for entries in came:
        log.append(entries)
    log.check()
    assert log.slice(3981, 4001, UNLIMITED) is came[-1]
    assert log.slice(1, 21, UNLIMITED) == came[0]
    log.append(entries_from(2001, 2))
    log.check()
    assert log.slice(2001, 2021, UNLIMITED) == entries_from(2001, 2)
    assert contents(log.slice(1981, 2011, UNLIMITED))[:20] == contents(came[99])


# ---- a node


def node_of(members: int = 3, **settings: int) -> tuple[RawNode, Outbox]:
    ids = tuple(range(1, members + 1))
    node = RawNode(Config(id=1, async_storage_writes=True, **settings), InitialState(conf_state=ConfState(ids)), Disk())
    builders = [
        DatagramBuilder(Header(cluster_id=1, from_=1, to=to, from_store=1, from_boot=1, to_store=to, to_boot=1), 60_000)
        for to in ids[1:]
    ]
    return node, Outbox(builders)


def append(index: int, entries: Entries, commit: int = 0) -> Message:
    term = entries.first_term
    return Message(
        MessageType.MsgApp,
        from_=2,
        to=1,
        term=term,
        index=index,
        log_term=1 if index else 0,
        entries=entries,
        commit=commit,
    )


def followers_write() -> tuple[RawNode, Outbox, list[Entries]]:
    node, outbox = node_of()
    came = [entries_from(1), entries_from(21, count=1, size=1), entries_from(22, count=1, size=1), entries_from(23)]
    for entries in came:
        node.step(append(entries.first - 1, entries, commit=30))
    assert node.collect(outbox)
    return node, outbox, came


def test_a_follower_writes_what_came_as_it_came() -> None:
    """And small ones together: a record of the store each would cost more than copying them."""
    _, outbox, came = followers_write()
    written = [message.entries for message in outbox.appends]
    assert written[0] is came[0]
    assert written[-1] is came[3]
    assert [one for entries in written for one in contents(entries)] == [
        one for entries in came for one in contents(entries)
    ]
    assert [(message.type, message.must_sync) for message in outbox.appends] == [
        (MessageType.MsgStorageAppend, True)
    ] * len(written)
    assert [message.commit for message in outbox.appends] == [20, 22, 30]  # of no entry that is written later
    assert outbox.appends[0].term == 1  # the term that the entries were accepted in is written no later than they are
    assert [message.index for message in outbox.appends] == list(range(1, len(written) + 1))


def test_nothing_is_acknowledged_before_the_last_piece_is_written() -> None:
    """Persist before you send (paper 5, Figure 2): an acknowledgement covers all that came before it."""
    node, outbox, came = followers_write()
    appends = list(outbox.appends)
    outbox.appends.clear()
    outbox.datagrams()
    for done in appends[:-1]:
        node.written([done], outbox)
        assert not outbox.has_datagrams()
        assert not outbox.applies
    assert not node.collect(outbox)
    node.written(appends[-1:], outbox)
    assert outbox.has_datagrams()
    while node.collect(outbox):
        pass
    assert [one for entries in outbox.applies for one in contents(entries)] == [
        one for entries in came for one in contents(entries)
    ][:30]


def leads(**settings: int) -> tuple[RawNode, Outbox]:
    node, outbox = node_of(1, **settings)
    node.campaign()
    settle(node, outbox)
    outbox.applies.clear()
    return node, outbox


def settle(node: RawNode, outbox: Outbox) -> None:
    while node.collect(outbox):
        appends = list(outbox.appends)
        outbox.appends.clear()
        node.written(appends, outbox)


def test_a_leader_takes_commands_in_pieces_of_a_message() -> None:
    node, outbox = leads(max_size_per_msg=30_000, max_inflight_bytes=1 << 20)
    commands = [bytes([i % 251]) * LARGE for i in range(100)]
    node.propose(commands)
    assert node.collect(outbox)
    sizes = [len(message.entries.data) for message in outbox.appends]
    assert max(sizes) <= 30_000
    assert [command for message in outbox.appends for command in message.entries.commands()] == commands
    assert len(sizes) == 4  # as many in each as fit: 29, 29, 29, 13
    written = [message.entries for message in outbox.appends]
    appends = list(outbox.appends)
    outbox.appends.clear()
    node.written(appends, outbox)
    settle(node, outbox)
    applied = list(outbox.applies)
    assert [a is w for a, w in zip(applied[:3], written[:3], strict=True)] == [True] * 3
    assert [command for entries in applied for command in entries.commands()] == commands


def test_no_more_is_handed_out_than_may_be_applied() -> None:
    """max_committed_size_per_ready, also where many pieces are at hand: payload and 16 bytes for each entry."""
    most = 50_000
    node, outbox = leads(max_committed_size_per_ready=most)
    commands = [bytes([i % 251]) * LARGE for i in range(200)]
    node.propose(commands)
    settle(node, outbox)
    got: list[bytes] = []
    rounds = 0
    while outbox.applies:
        handed = list(outbox.applies)
        outbox.applies.clear()
        assert sum(entries.payload_size + 16 * len(entries) for entries in handed) <= most
        got += [command for entries in handed for command in entries.commands()]
        for entries in handed:
            node.applied(entries)
        settle(node, outbox)
        rounds += 1
    assert got == commands
    assert rounds == 5  # 49 entries of 1,016 fit each time
