"""What a log keeps in memory, when it gives it back, and what clones share."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable

import pytest

from raftcore.log.log import RaftLog
from raftcore.log.log_entries import LogEntries
from raftcore.log.window import live_chunks
from raftcore.values.message import Snapshot
from tests.model.log import UNLIMITED, Disk, Item, decode, encode
from tests.unit.logs import CONF_CHANGE, NORMAL, ents, item, log_of

# ---- memory


def chunks_of_this_test() -> tuple[int, int]:
    """The chunks alive once the logs of earlier tests, which may hang in cycles, are gone."""
    gc.collect()
    return live_chunks()


def commit_and_apply(log: RaftLog, index: int) -> None:
    """Entries up to `index` are committed, durable (on the log's disk, too) and applied."""
    disk = log.storage
    if index > disk.last:
        disk.write(disk.last + 1, decode(log.slice(disk.last + 1, index + 1, UNLIMITED)))
    log.commit_to(index)
    log.stable_to(index, log.term_or_zero(index))
    log.applied_to(index, 0)
    log.check()


def test_what_is_durable_and_applied_leaves_the_window() -> None:
    log = RaftLog(Disk(), window_max_entries=2)
    log.append_commands([b"a", b"b", b"c", b"d", b"e"], 1, NORMAL, 0)
    log.commit_to(5)
    log.applied_to(4, 0)
    assert log.window_first == 1  # applied, not durable
    log.storage.write(1, decode(log.slice(1, 6, UNLIMITED)))
    log.stable_to(3, 1)
    assert log.window_first == 4  # entry 4 is not durable, entry 5 neither
    log.stable_to(5, 1)
    assert log.window_first == 4
    log.append_commands([b"f"], 1, NORMAL, 0)
    assert log.window_first == 5  # entry 5 is not applied
    log.append_commands([b"g"], 1, NORMAL, 0)
    assert log.window_first == 5
    log.check()
    assert log.storage.reads == 0
    assert b"".join(log.slice(1, 8, UNLIMITED).commands()) == b"abcdefg"
    assert log.storage.reads == 1


def test_what_a_state_machine_has_not_got_to_leaves_the_window_where_it_is_much() -> None:
    """One that is slow, or is being restored, must not let the memory grow: it is read back for it."""
    log = RaftLog(Disk(), window_max_bytes=30, max_applying_bytes=100)
    log.append_commands([bytes([n]) * 64 for n in range(5)], 1, NORMAL, 0)
    log.commit_to(5)
    log.storage.write(1, decode(log.slice(1, 6, UNLIMITED)))
    log.stable_to(4, 1)
    assert log.window_first == 1  # 400 bytes, four times what is applied at once
    log.append_commands([b""], 1, NORMAL, 0)
    assert log.window_first == 2
    log.append_commands([bytes(500)], 1, NORMAL, 0)
    assert log.window_first == 5  # entry 5 is not durable
    log.check()
    assert log.storage.reads == 0
    first = log.next_committed(False)
    assert [item.data for item in decode(first)] == [bytes(64)]
    assert log.storage.reads == 1


def test_the_window_is_bounded_in_bytes() -> None:
    log = RaftLog(Disk(), window_max_bytes=132)
    log.append_commands([bytes(60), bytes(60), bytes(40)], 1, NORMAL, 0)
    commit_and_apply(log, 3)
    assert log.window_first == 2  # exactly 100, and 16 for each of the two
    log.append_commands([b""], 1, NORMAL, 0)
    assert log.window_first == 3  # an empty one takes room as well
    log.append_commands([bytes(101)], 1, NORMAL, 0)
    assert log.window_first == 4  # 117 of an entry that is not durable yet, and the empty one
    commit_and_apply(log, 5)
    assert log.window_first == 5
    log.append_commands([bytes(16)], 1, NORMAL, 0)
    assert log.window_first == 6
    assert log.last_time() == 0


def test_memory_is_given_back() -> None:
    before = chunks_of_this_test()
    log = RaftLog(Disk())
    log.append_commands([bytes(100)] * 2000, 1, NORMAL, 0)
    full = log.memory_bytes()
    assert full > 200_000 + 2000 * 16
    commit_and_apply(log, 2000)
    log.compact(1999)
    log.check()
    assert log.memory_bytes() < 100_000
    log.compact(2000)
    log.check()
    assert live_chunks()[0] <= before[0] + 1  # the open one
    del log
    assert live_chunks() == before


def test_what_stays_of_a_large_window_takes_twice_its_size_at_most() -> None:
    """Room for as many entries again, whether that is above the size that is never given back or below it."""
    for kept in (900, 100):
        log = RaftLog(Disk())
        log.append_commands([b""] * 8000, 1, NORMAL, 0)
        commit_and_apply(log, 8000)
        full = log.memory_bytes()
        assert full >= 8000 * 16
        log.compact(8000 - kept)
        log.check()
        given_back = full - log.memory_bytes()
        assert given_back >= (8000 - max(2 * kept, 1024)) * 16
        assert log.slice(8001 - kept, 8001, UNLIMITED).count == kept


def test_the_open_chunk_is_used_again() -> None:
    log = RaftLog(Disk(), window_max_entries=0)
    for index in range(1, 300):
        log.append_commands([bytes(100)], 1, NORMAL, 0)
        commit_and_apply(log, index)
        assert log.window_first == index + 1
    assert log.memory_bytes() < 2000


def test_replaced_entries_give_their_memory_back() -> None:
    before = live_chunks()[1]
    log = log_of(1)
    for term in range(2, 50):
        log.append(encode(2, [item(term, bytes(100_000)), item(term, bytes(50))]))
        log.check()
    assert live_chunks()[1] - before < 200_000
    log.restore(Snapshot(1, 1))
    log.check()
    assert live_chunks()[1] - before <= 65_536


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000])
def test_payloads_of_all_sizes(size: int) -> None:
    """Around the borders of chunks; alone, in one call and from blocks, all read back as they were."""
    items = [item(1, bytes([n]) * (size + n)) for n in range(1, 6)] + [Item(1, NORMAL, b"", 0)]
    items += items
    one_by_one, at_once, follower = RaftLog(Disk()), RaftLog(Disk()), RaftLog(Disk())
    for each in items:
        one_by_one.append_commands([each.data], 1, NORMAL, 0)
    at_once.append_commands([each.data for each in items], 1, NORMAL, 0)
    follower.append(at_once.slice(1, 4, UNLIMITED))
    follower.append(at_once.slice(4, 13, UNLIMITED))
    for log in (one_by_one, at_once, follower):
        log.check()
        assert decode(log.slice(1, 13, UNLIMITED)) == items
        assert decode(log.slice(3, 9, UNLIMITED)) == items[2:8]
    assert one_by_one.fingerprint() == at_once.fingerprint() == follower.fingerprint()


OUT_OF_MEMORY = """
import resource

from raftcore.log.log import RaftLog
from raftcore.values.message import Entries, Entry
from raftcore.log.window import live_chunks
from tests.model.log import Disk

MIB = 1 << 20
log = RaftLog(Disk())
log.append_commands([b"one", b"two"], 1, 0, 0)
large = bytes(48 * MIB)
entries = Entries.build([Entry(2, 2, 0, b"small"), Entry(2, 3, 0, large)])
before, chunks = log.fingerprint(), live_chunks()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 24 * MIB, used + 24 * MIB))
for attempt in (
    lambda: log.append_commands([b"small", large], 1, 0, 0),
    lambda: log.append(entries),
    lambda: log.maybe_append(1, 1, 3, entries),
):
    try:
        attempt()
    except MemoryError as error:
        print(error)
    log.check()
    assert log.fingerprint() == before
    assert live_chunks() == chunks
assert log.append_commands([b"three"], 1, 0, 0) == 3
print("done")
"""


def test_out_of_memory_leaves_the_log_as_it_was() -> None:
    """In a process of its own, which may not have the memory that a large payload takes."""
    ran = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, check=False, timeout=60)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "command 1 of 50331648 bytes",
        "50331653 bytes of payload",
        "50331653 bytes of payload",
        "done",
    ]


def test_sixteen_bytes_an_entry() -> None:
    """Beside its payload; and a quarter of room to grow, at most."""
    log = RaftLog(Disk())
    for _ in range(100):
        log.append_commands([bytes(16)] * 1000, 1, NORMAL, 0)
    beside = log.memory_bytes() - 100_000 * 16
    assert 16 <= beside / 100_000 < 20.1
    log.check()


# ---- clones and fingerprints


def test_a_clone_goes_its_own_way() -> None:
    before = chunks_of_this_test()
    log = log_of(1, 1, 2, committed=1)
    other_disk = Disk()
    copy = log.clone(other_disk)
    assert copy.storage is other_disk
    assert log.clone().storage is log.storage
    assert copy.fingerprint() == log.fingerprint()
    log.append_commands([b"left"], 3, NORMAL, 0)
    copy.append_commands([b"rght"], 3, NORMAL, 0)
    for each in (log, copy):
        each.check()
    assert log.slice(4, 5, UNLIMITED).commands() == [b"left"]
    assert copy.slice(4, 5, UNLIMITED).commands() == [b"rght"]
    assert copy.fingerprint() != log.fingerprint()
    log.restore(Snapshot(9, 9))
    assert decode(copy.slice(1, 4, UNLIMITED)) == [item(1), item(1), item(2)]
    copy.check()
    del log, copy, each
    assert live_chunks() == before


def test_small_clones_are_small() -> None:
    log = log_of(1, 1, 2)
    copies = []
    for _ in range(100):
        log = log.clone()
        log.append_commands([b"step"], 2, NORMAL, 0)
        copies.append(log)
    assert all(copy.memory_bytes() < 40_000 for copy in copies)
    assert live_chunks()[1] < 100_000


CHANGES: list[Callable[[RaftLog], object]] = [
    lambda log: log.append_commands([b"x"], 3, NORMAL, 0),
    lambda log: log.append_commands([b"y"], 3, NORMAL, 0),
    lambda log: log.append_commands([b"x"], 4, NORMAL, 0),
    lambda log: log.append_commands([b"x"], 3, CONF_CHANGE, 0),
    lambda log: log.append_commands([b"x"], 3, NORMAL, 7),
    lambda log: log.append(ents(3, 3)),
    lambda log: log.commit_to(3),
    lambda log: log.accept_applying(2, 0, True),
    lambda log: log.accept_applying(2, 9, True),
    lambda log: log.applied_to(2, 0),
    lambda log: log.accept_unstable(),
    lambda log: log.stable_to(2, 1),
    lambda log: (log.stable_to(1, 1), log.compact(1)),
    lambda log: log.restore(Snapshot(3, 2)),
    lambda log: log.restore(Snapshot(3, 2, time_ms=1)),
    lambda log: log.restore(Snapshot(3, 2, conf_index=1)),
    lambda log: (log.restore(Snapshot(3, 2)), log.accept_unstable()),
    lambda log: None,
]


def test_every_difference_shows_in_the_fingerprint() -> None:
    prints = []
    for change in CHANGES:
        log = log_of(1, 1, 2, committed=2)
        log.applied_to(1, 0)
        twin = log.clone()
        for each in (log, twin):
            change(each)
            each.check()
        assert log.fingerprint() == twin.fingerprint()
        prints.append(log.fingerprint())
    assert len(set(prints)) == len(CHANGES)


def test_repr_names_where_the_log_stands() -> None:
    assert repr(log_of(1, 2, committed=1)) == (
        "RaftLog(snapshot=0/0, last=2/2, committed=1, applied=0, applying=0, unstable=1, in_progress=1)"
    )


def test_the_base_by_itself_is_an_empty_log() -> None:
    empty = LogEntries()
    assert (empty.first_index(), empty.last_index(), empty.last_term(), empty.term_runs()) == (1, 0, 0, [(0, 0)])
    assert empty.slice(1, 1, UNLIMITED) is None
