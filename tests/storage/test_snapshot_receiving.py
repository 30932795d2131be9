"""The contract of raftpy.contracts.snapshots.SnapshotReceiver, over every kind of store."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftpy.contracts.errors import SnapshotDamaged, SnapshotFailed
from raftpy.contracts.snapshots import SnapshotFile, complete
from raftpy.storage.snapshots.blocks import BLOCK_SIZE
from raftpy.storage.snapshots.names import receiving_name
from tests.storage.snapshots import SAMPLE, SMALL, Place, contents, flipped, ranges, raw, ref, write


@pytest.fixture
def sent(tmp_path: Path) -> tuple[SnapshotFile, bytes]:
    """A snapshot of another node."""
    other = Place("memory", tmp_path, max_body=SMALL).store()
    file = write(other, ref(7), SAMPLE)
    return file, raw(other, ref(7))


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_it_comes_in_pieces(place: Place, sent: tuple[SnapshotFile, bytes], size: int) -> None:
    file, data = sent
    store = place.store()
    receiver = complete(store.receive(file))
    for piece in ranges(data, size):
        assert receiver.write(piece) is None
    assert (receiver.position, store.refs(0)) == (file.size, ())
    assert complete(receiver.finish()) == file
    assert (store.refs(0), store.begun(0), place.names()) == ((ref(7),), None, ["0-7-1.snapshot"])
    assert contents(place.store(), ref(7)) == SAMPLE
    receiver.abort()
    receiver.close()
    assert store.refs(0) == (ref(7),)
    with pytest.raises(ValueError, match="committed or given up"):
        complete(receiver.finish())
    with pytest.raises(ValueError, match="there already"):
        complete(store.receive(file))


def test_it_goes_on_where_it_stopped(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    receiver = complete(place.store().receive(file))
    receiver.write(data[:300])
    receiver.close()
    store = place.store()  # in another life
    assert (store.begun(0), store.begun(1)) == (file, None)
    steps = store.receive(file)
    assert next(steps) == 40
    receiver = complete(steps)
    assert 300 - 89 < receiver.position <= 300  # the last block may be there in part, and is asked for again
    receiver.write(data[receiver.position : 350])
    receiver.close()
    receiver.close()
    receiver = complete(store.receive(file))  # and in the same one
    receiver.write(data[receiver.position :])
    receiver.close()
    receiver = complete(place.store().receive(file))
    assert receiver.position == file.size
    assert complete(receiver.finish()) == file


def test_looking_for_where_it_stopped_may_be_given_up(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    store = place.store()
    receiver = complete(store.receive(file))
    receiver.write(data[:300])
    receiver.close()
    steps = store.receive(file)
    next(steps)
    steps.close()
    receiver = complete(store.receive(file))
    assert receiver.position > 200


def test_what_was_begun_of_another_one_goes(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    store = place.store()
    receiver = complete(store.receive(file))
    receiver.write(data[:300])
    with pytest.raises(ValueError, match="group 0 is being received already"):
        complete(store.receive(file))
    with pytest.raises(ValueError, match="group 0, index 7, term 1 is being made already"):
        store.begin(ref(7))
    receiver.close()
    assert len(place.names()) == 1
    newer = SnapshotFile(ref(8), 1000, bytes(16))
    receiver = complete(store.receive(newer))
    assert (receiver.position, len(place.names())) == (0, 1)
    receiver.abort()
    assert place.names() == []
    assert complete(store.receive(file)).position == 0


def test_it_goes_when_there_is_one_as_new(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    store = place.store()
    receiver = complete(store.receive(file))
    receiver.write(data[:300])
    write(store, ref(6))
    write(store, ref(9))
    assert len(place.names()) == 3  # not while somebody is at it
    receiver.close()
    assert len(place.names()) == 3
    assert len(place.store().refs(0)) == len(place.names()) == 2


def test_it_stays_through_an_older_one(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    store = place.store()
    receiver = complete(store.receive(file))
    receiver.write(data[:300])
    receiver.close()
    write(store, ref(6))
    assert complete(place.store().receive(file)).position > 200


@pytest.mark.parametrize("what", ["a bit", "a digest", "another snapshot"])
def test_what_is_not_what_was_offered_is_nothing(place: Place, sent: tuple[SnapshotFile, bytes], what: str) -> None:
    file, data = sent
    offered = file
    if what == "a bit":
        data = flipped(200)(data)
    elif what == "a digest":
        offered = SnapshotFile(file.ref, file.size, bytes(16))
    else:
        offered = SnapshotFile(ref(8), file.size, file.digest)
    store = place.store()
    receiver = complete(store.receive(offered))
    receiver.write(data)
    with pytest.raises(SnapshotDamaged):
        complete(receiver.finish())
    assert (store.refs(0), place.names()) == ((), [])
    assert store.begun(0) is None, "else it would be asked for before anything else that is offered"
    receiver = complete(store.receive(file))
    receiver.write(sent[1])
    complete(receiver.finish())
    assert contents(store, ref(7)) == SAMPLE


def test_too_many_bytes_and_too_few(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    receiver = complete(place.store().receive(file))
    receiver.write(data[:-5])
    with pytest.raises(ValueError, match="6 bytes of a snapshot of which 5 are missing"):
        receiver.write(b"xxxxxx")
    with pytest.raises(ValueError, match="5 bytes of the snapshot are missing"):
        complete(receiver.finish())
    receiver.write(data[-5:])
    assert complete(receiver.finish()) == file


def test_what_takes_the_place_of_a_damaged_one(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    file, data = sent
    store = place.store()
    write(store, ref(7), SAMPLE)
    place.damage(ref(7), lambda data: data + b"\0")
    with pytest.raises(SnapshotDamaged, match="end is not there"):
        store.open(ref(7))
    with pytest.raises(SnapshotDamaged, match="and 1 bytes follow"):
        complete(store.verify(ref(7)))
    receiver = complete(store.receive(file))
    receiver.write(data)
    complete(receiver.finish())
    assert contents(store, ref(7)) == SAMPLE
    assert list(store.retain(0, 1)) == []  # it was read back


def test_whatever_was_received_is_found_out(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    """What a crash may leave of it: less, zeros, something else, even more. What counts is a true beginning."""
    file, data = sent
    store = place.store()
    for left in (
        *(data[:size] for size in range(0, len(data), 7)),
        *(data[:size] + bytes(len(data) - size) for size in range(0, len(data), 7)),
        *(flipped(byte)(data) for byte in range(0, len(data), 7)),
        data + b"more",
        bytes(9999),
    ):
        place.put(receiving_name(file), left)
        receiver = complete(store.receive(file))
        at = receiver.position
        same = next((i for i, byte in enumerate(left) if data[i : i + 1] != bytes([byte])), len(left))
        assert left[:at] == data[:at]
        assert at >= same - BLOCK_SIZE - SMALL
        receiver.write(data[at:])
        receiver.close()
        assert place.get(place.names()[0]) == data
    assert complete(complete(store.receive(file)).finish()) == file


def test_more_than_was_offered_is_no_beginning_of_it(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    shorter = SnapshotFile(ref(7), 300, sent[0].digest)
    place.put(receiving_name(shorter), sent[1])
    assert complete(place.store().receive(shorter)).position == 0


def test_a_disk_without_room_for_it(place: Place, sent: tuple[SnapshotFile, bytes]) -> None:
    store = place.store()
    with pytest.raises(SnapshotFailed, match=r"the disk lacks \d+ bytes for the \d+ of it"):
        complete(store.receive(SnapshotFile(ref(8), 2**63, bytes(16))))
    assert place.names() == []
    assert complete(store.receive(sent[0])).position == 0
