"""A snapshot that is not what was written is never taken for one: every bit, every length, every block."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raftcore.base.crc import crc32c
from raftpy.contracts.errors import NotUnderstood, SnapshotDamaged
from raftpy.contracts.snapshots import complete
from raftpy.contracts.typed import TypeHeader
from raftpy.storage.snapshots.blocks import BLOCK, BLOCK_SIZE, END, HEAD_SIZE, Kind
from tests.storage.snapshots import MACHINE, SAMPLE, SMALL, Place, Section, contents, flipped, ref, write


class Sample:
    """A small snapshot in blocks as short as they can be, to be damaged."""

    def __init__(self, path: Path, kind: str = "memory") -> None:
        self.place = Place(kind, path / "snapshots", max_body=SMALL)
        self.store = self.place.store()
        write(self.store, ref(7), SAMPLE)
        self.data = self.place.get("0-7-1.snapshot")

    def blocks(self) -> list[bytes]:
        """The head, and each block."""
        found, at = [self.data[:HEAD_SIZE]], HEAD_SIZE
        while at < len(self.data):
            end = at + BLOCK_SIZE + BLOCK.unpack_from(self.data, at)[1]
            found.append(self.data[at:end])
            at = end
        return found

    def refuse(self, data: bytes) -> str:
        """With ``data`` in its place it is refused, in one line that names it, and gives out nothing else than a
        beginning of what was written; that line."""
        self.place.put("0-7-1.snapshot", data)
        with pytest.raises(SnapshotDamaged, match=r"0-7-1\.snapshot: it is damaged: ") as caught:
            complete(self.store.verify(ref(7)))
        assert "\n" not in str(caught.value)
        given: list[Section] = []
        try:
            reader = self.store.open(ref(7))
        except SnapshotDamaged:
            return str(caught.value)
        with pytest.raises(SnapshotDamaged):
            for header, chunks in reader.sections():
                given.append((header, b""))
                for chunk in chunks:
                    given[-1] = header, given[-1][1] + chunk
        reader.close()
        for number, (header, got) in enumerate(given):
            assert header == SAMPLE[number][0]
            assert SAMPLE[number][1].startswith(got)
        return str(caught.value)


@pytest.fixture
def made(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


def seal(sample: Sample, number: int, kind: int, body: bytes, packing: int = 0, reserved: int = 0) -> bytes:
    """A block as a later release might write it: its checksum holds."""
    rest = BLOCK.pack(0, len(body), number, kind, packing, reserved)[4:] + body
    return crc32c(rest, crc32c(sample.data[:36])).to_bytes(4, "little") + rest


def test_the_sample_has_all_that_can_be_damaged(made: Sample) -> None:
    kinds = [BLOCK.unpack_from(block)[3] for block in made.blocks()[1:]]
    assert kinds == [1, 2, 1, 2, 1, 2, 2, 2, 2, 3]
    assert len(made.data) < 700
    made.place.put("0-7-1.snapshot", made.data)
    assert contents(made.store, ref(7)) == SAMPLE


def test_any_one_bit(made: Sample) -> None:
    for byte in range(len(made.data)):
        for bit in range(8):
            made.refuse(flipped(byte, bit)(made.data))


@pytest.mark.parametrize("kind", ["system", "simulated"])
def test_a_bit_of_each_byte_on_a_disk(tmp_path: Path, kind: str) -> None:
    made = Sample(tmp_path, kind)
    for byte in range(0, len(made.data), 3):
        made.refuse(flipped(byte, byte % 8)(made.data))


def test_any_length(made: Sample) -> None:
    for size in range(len(made.data)):
        made.refuse(made.data[:size])
    for more in (b"\0", bytes(52), bytes(5000), made.blocks()[-1], made.data):
        made.refuse(made.data + more)


def test_zeros_from_anywhere_on_and_anywhere(made: Sample) -> None:
    size = len(made.data)
    for at in range(size):
        made.refuse(made.data[:at] + bytes(size - at))
        if made.data[at : at + 16].strip(b"\0"):
            made.refuse(made.data[:at] + bytes(16) + made.data[at + 16 :])


def damaged_blocks(made: Sample) -> Iterator[list[bytes]]:
    blocks = made.blocks()
    count = len(blocks)
    for one in range(1, count):
        yield blocks[:one] + blocks[one + 1 :]  # one is missing
        yield [*blocks[:one], blocks[one], *blocks[one:]]  # one comes twice
        for other in range(one + 1, count):
            swapped = list(blocks)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            yield swapped


def test_blocks_out_of_order(made: Sample) -> None:
    for blocks in damaged_blocks(made):
        made.refuse(b"".join(blocks))


def test_one_without_a_block_is_not_even_opened(made: Sample) -> None:
    blocks = made.blocks()
    made.place.put("0-7-1.snapshot", b"".join([*blocks[:3], *blocks[4:]]))
    with pytest.raises(SnapshotDamaged, match="the end is not there"):
        made.store.open(ref(7))


def test_blocks_of_another_snapshot(made: Sample) -> None:
    write(made.store, ref(8), SAMPLE)
    made_too = Sample(made.place.path)
    made_too.data = made.place.get("0-8-1.snapshot")
    blocks, others = made.blocks(), made_too.blocks()
    for at in range(len(blocks)):
        made.refuse(b"".join([*blocks[:at], others[at], *blocks[at + 1 :]]))
        made.refuse(b"".join([*blocks[:at], *others[at:]]))


def test_a_size_that_no_memory_should_be_taken_for(made: Sample) -> None:
    block = bytearray(made.blocks()[1])
    block[4:8] = b"\xff\xff\xff\xff"
    text = made.refuse(made.data[:HEAD_SIZE] + bytes(block) + made.data[HEAD_SIZE + len(block) :])
    assert "block 0, at byte 40: it says that it has 4294967295 bytes, and has at most 262144" in text


def test_an_end_that_answers_for_others(made: Sample) -> None:
    blocks = made.blocks()
    number, size = len(blocks) - 2, len(made.data)
    digest = made.data[-16:]
    for body in (
        END.pack(number + 1, size, digest),
        END.pack(number, size + 1, digest),
        END.pack(number, size, bytes(16)),
        END.pack(number, size, digest)[:-1],
        END.pack(number, size, digest) + b"\0",
    ):
        made.refuse(b"".join([*blocks[:-1], seal(made, number, Kind.END, body)]))


def test_bytes_of_no_section(made: Sample) -> None:
    blocks = made.blocks()
    assert "bytes of no section" in made.refuse(blocks[0] + seal(made, 0, Kind.DATA, b"x") + b"".join(blocks[2:]))


def test_what_a_later_release_has_written_is_no_damage(made: Sample) -> None:
    blocks = made.blocks()
    header = TypeHeader("machine").encode()
    for block, text in (
        (seal(made, 0, 4, b""), "'kind of block' of version 4"),
        (seal(made, 0, Kind.SECTION, header, packing=1), "'packing of blocks' of version 1"),
        (seal(made, 0, Kind.SECTION, header, reserved=2), "'packing of blocks' of version 2"),
        (seal(made, 0, Kind.SECTION, b"\x02" + header[1:]), "'header of a section .*form 2.*' of version 2"),
        (seal(made, 0, Kind.SECTION, header + b"x"), "'header of section machine with 1 bytes more' of version 1"),
        (seal(made, 0, Kind.SECTION, b""), "'header of a section .*' of version 0"),
    ):
        made.place.put("0-7-1.snapshot", b"".join([blocks[0], block, *blocks[2:]]))
        with pytest.raises(NotUnderstood, match=rf"0-7-1\.snapshot: {text} must be understood"):
            complete(made.store.verify(ref(7)))


def test_one_that_changes_while_it_is_read(made: Sample) -> None:
    """The store's own files do not change; if one does all the same, it is not taken for what it was."""
    reader = made.store.open(ref(7))
    other = Place("memory", made.place.path, max_body=SMALL)
    write(other.store(), ref(7), [(MACHINE, b"another one")])
    made.place.memory.held["0-7-1.snapshot"][:] = other.get("0-7-1.snapshot")
    with pytest.raises(SnapshotDamaged, match="it has changed since it was opened"):
        list(reader.sections())


GOLDEN = """
    7261667473 6e6170 0100 0000    raftsnap, format 1
    0500000000000000               group 5
    2c01000000000000               index 300
    0400000000000000               term 4
    91832d3d                       checksum
    171d2b9f 06000000 0000000000000000 01 00 0000    block 0, 6 bytes, begins a section
    01 00 0200 01 61               form 1, need not be understood, version 2, "a"
    952621e3 05000000 0100000000000000 02 00 0000    block 1, 5 bytes of it
    68656c6c6f
    f1eeaa31 20000000 0200000000000000 03 00 0000    block 2, 32 bytes, the end
    0200000000000000               blocks before it
    8f00000000000000               bytes in the file
    f769b058094c3d8988f8bbd69a87ab00    digest
"""


def test_the_bytes_never_change(made: Sample) -> None:
    """A file that was written once is read for ever: this is one, down to its last byte."""
    write(made.store, ref(300, group=5), [(TypeHeader("a", 2, must_understand=False), b"hello")])
    lines = [line.strip().partition("    ")[0].replace(" ", "") for line in GOLDEN.splitlines()]
    assert made.place.get("5-300-4.snapshot").hex() == "".join(lines)
