"""What the core knows of a snapshot, as sections of it."""

from __future__ import annotations

from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftcore.base.errors import DecodeError
from raftcore.base.types import LARGEST_ID
from raftcore.values.message import ConfState, Snapshot
from raftpy.contracts.errors import NotUnderstood
from raftpy.contracts.snapshots import SnapshotRef, complete
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.metadata import CONFIGURATION, LOG_TIME, read_metadata, ref_of, write_metadata
from raftpy.storage.snapshots.store import SnapshotStore
from tests.storage.snapshots import MACHINE, Place, Section, flipped, ref, write

IDS = st.sets(st.integers(1, LARGEST_ID), max_size=9)
CONFIGURATIONS = st.builds(ConfState, IDS, IDS, IDS, IDS, st.booleans())
U64 = st.integers(1, 2**64 - 1)
TIME = pack("<Q", 5)


def new_store() -> SnapshotStore:
    return Place("memory", Path()).store()


@given(U64, U64, CONFIGURATIONS, U64, st.integers(0, 2**63))
def test_what_is_written_is_read(index: int, term: int, state: ConfState, conf_index: int, time_ms: int) -> None:
    snapshot = Snapshot(index, term, state, min(conf_index, index), time_ms)
    store = new_store()
    writer = store.begin(ref_of(3, snapshot))
    write_metadata(writer, snapshot)
    writer.section(MACHINE)
    writer.write(b"state")
    writer.commit()
    reader = store.open(SnapshotRef(3, index, term))
    assert read_metadata(reader) == snapshot
    reader.close()


def test_no_more_is_read_than_what_is_asked_for(tmp_path: Path) -> None:
    place = Place("memory", tmp_path)
    store = place.store()
    snapshot = Snapshot(7, 1, ConfState((1, 2, 3)), 0, 5)
    writer = store.begin(ref(7))
    write_metadata(writer, snapshot)
    writer.section(MACHINE)
    writer.write(bytes(1_000_000))
    writer.commit()
    place.damage(ref(7), flipped(500_000))
    assert read_metadata(store.open(ref(7))) == snapshot
    with pytest.raises(Exception, match="checksum"):
        complete(store.verify(ref(7)))


def test_the_bytes_never_change() -> None:
    store = new_store()
    writer = store.begin(ref(9))
    write_metadata(writer, Snapshot(9, 1, ConfState((1, 2), (3,), (4,), (), True), 8, 1_700_000_000_123))
    writer.commit()
    (first, configuration), (second, time) = [(h, b"".join(c)) for h, c in store.open(ref(9)).sections()]
    assert (first, second) == (TypeHeader("configuration", 1), TypeHeader("log-time", 1))
    assert configuration == pack("<QIIIII4Q", 8, 2, 1, 1, 0, 1, 1, 2, 3, 4)
    assert time == pack("<Q", 1_700_000_000_123)


GOOD = pack("<QIIIII3Q", 0, 3, 0, 0, 0, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ([], "group 0, index 7, term 1 has no section configuration, log-time"),
        ([(CONFIGURATION, GOOD)], "has no section log-time"),
        ([(CONFIGURATION, GOOD[:27]), (LOG_TIME, TIME)], "a configuration of 27 bytes: it has at least 28"),
        ([(CONFIGURATION, GOOD[:-1]), (LOG_TIME, TIME)], "23 bytes for the 3 ids"),
        ([(CONFIGURATION, GOOD + bytes(8)), (LOG_TIME, TIME)], "32 bytes for the 3 ids"),
        ([(CONFIGURATION, pack("<QIIIII", 0, 0, 0, 0, 0, 2)), (LOG_TIME, TIME)], "flags 0x2: at most 0x1"),
        ([(CONFIGURATION, pack("<QIIIII2Q", 0, 2, 0, 0, 0, 0, 2, 1)), (LOG_TIME, TIME)], r"ids \[2, 1\]"),
        ([(CONFIGURATION, pack("<QIIIIIQ", 0, 1, 0, 0, 0, 0, 0)), (LOG_TIME, TIME)], r"ids \[0\]"),
        ([(CONFIGURATION, pack("<QIIIIIQ", 0, 1, 0, 0, 0, 0, 2**64 - 1)), (LOG_TIME, TIME)], r"ids \["),
        ([(CONFIGURATION, GOOD), (LOG_TIME, b"x")], "a log time of 1 bytes: it has 8"),
    ],
)
def test_what_is_refused(sections: list[Section], text: str) -> None:
    store = new_store()
    write(store, ref(7), sections)
    with pytest.raises(DecodeError, match=text):
        read_metadata(store.open(ref(7)))


def test_later_versions_are_not_understood() -> None:
    store = new_store()
    write(store, ref(7), [(CONFIGURATION, GOOD), (TypeHeader("log-time", 2), TIME)])
    with pytest.raises(NotUnderstood, match="snapshot of group 0, index 7, term 1: 'log-time' of version 2"):
        read_metadata(store.open(ref(7)))
