"""A look at LevelDB's write-ahead files before LevelDB reads them.

LevelDB takes a last record that claims more bytes than the file has for one whose writer died half-way, and leaves it
and whatever follows out, quietly: right for a torn write, and wrong when the length field is what was damaged, for
then acknowledged records vanish. The two can be told apart. A torn record's bytes are a mere beginning, whose checksum
no shorter length makes right; behind a damaged length the whole record is still there, and some length does.

Also, LevelDB opens a database without any write-ahead file, though every one that was ever open has one.

What stays: a file cut off at its end cannot be told from a torn write, nor, while LevelDB is just turning its memory
into a table, the loss of the newer of two files. See floor.py for what the floor adds.

The format is LevelDB's doc/log_format.md: blocks of 32 KiB, in them records of a masked CRC32C (u32) over type and
data, a length (u16), a type (u8) and the data, all little endian; a block's last bytes, fewer than 7, are padding.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct

from raftcore.codec import crc32c
from raftpy.errors import StorageDamaged

BLOCK = 32 * 1024
_HEADER = Struct("<IHB")
_MASK_DELTA = 0xA282EAD8


def check_write_ahead(directory: Path) -> None:
    """Raises ``StorageDamaged`` when the database in ``directory`` has lost a write-ahead file or a record's length."""
    files = sorted(directory.glob("*.log"))
    if not files:
        raise StorageDamaged("its write-ahead file (*.log) is missing", str(directory))
    for path in files:
        offset = damaged_length(path.read_bytes())
        if offset is not None:
            raise StorageDamaged(f"the length of the record at byte {offset} is not what was written", str(path))


def damaged_length(data: bytes) -> int | None:
    """Where in a write-ahead file a record claims more than the file holds though it is there; None: nowhere.

    Only the last block is looked at: in an earlier one LevelDB itself reports a record that leaves its block.
    """
    offset = len(data) // BLOCK * BLOCK
    while offset + _HEADER.size <= len(data):
        masked, length, kind = _HEADER.unpack_from(data, offset)
        start = offset + _HEADER.size
        if kind == 0 and length == 0:
            return None  # never written: space that the file system had set aside
        if start + length > len(data):
            return offset if _checksum_of_a_part(data, start, kind, masked) else None
        offset = start + length
    return None


def _checksum_of_a_part(data: bytes, start: int, kind: int, masked: int) -> bool:
    """Whether ``masked`` is the checksum of the type and some number of the bytes from ``start`` on."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    wanted = (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
    crc = crc32c(bytes([kind]))
    for at in range(start, len(data)):
        if crc == wanted:
            return True
        crc = crc32c(data[at : at + 1], crc)
    return crc == wanted
