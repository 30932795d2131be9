"""The key-value store's state in a snapshot, version 1. Little endian::

    u64 index of the last command applied; u64 number of keys
    for each key: u64 version; u32 bytes in the key; u32 bytes in the value; key; value

Keys come part by part, within each in their order (parted_dict.pyx): equal states are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from raftpy.contracts.state_machine import SavedState
from raftpy.replicated.kv_packing import pack_keys
from raftpy.replicated.parted_dict import DictView

VERSION = 1
CHUNK = 32 << 10
"""Bytes in a chunk at least, but for the last one: of small keys this is made in a quarter of a millisecond."""
READ = 1 << 20
"""Bytes that are read at a time."""

_HEAD = Struct("<QQ")
_KEY = Struct("<QII")


class KeyValueView:
    """A ``StateView``: ``view`` of ``count`` keys, after the command at ``applied_index``."""

    def __init__(self, applied_index: int, count: int, view: DictView) -> None:
        self._head = _HEAD.pack(applied_index, count)
        self._view = view

    def write(self) -> Iterator[bytes]:
        """See ``StateView``."""
        pieces, size = [self._head], 0
        while (part := self._view.next_part()) is not None:
            keys, values = part
            position = 0
            while position < len(keys):
                piece, position = pack_keys(keys, values, position, CHUNK - size)
                pieces.append(piece)
                size += len(piece)
                if size >= CHUNK:
                    yield b"".join(pieces)
                    pieces, size = [], 0
        yield b"".join(pieces)

    def close(self) -> None:
        self._view.close()


class SavedKeys:
    """The same read back. Raises ``ValueError`` where these bytes are none."""

    def __init__(self, saved: SavedState) -> None:
        self._saved = saved
        self.applied_index, self.count = _HEAD.unpack(self._whole(saved.read(_HEAD.size), _HEAD.size))

    def __iter__(self) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
        data, at, head = b"", 0, _KEY.size
        unpack = _KEY.unpack_from
        for _ in range(self.count):
            if len(data) - at < head:
                data, at = data[at:] + self._saved.read(READ), 0
            version, key_size, value_size = unpack(self._whole(data, at + head), at)
            start, end = at + head + key_size, at + head + key_size + value_size
            if end > len(data):
                data = data[at:] + self._saved.read(max(READ, end - len(data)))
                start, end, at = start - at, end - at, 0
                self._whole(data, end)
            yield data[at + head : start], (version, data[start:end])
            at = end
        if at < len(data) or self._saved.read(1):
            raise ValueError("the state has bytes behind its last key")

    @staticmethod
    def _whole(data: bytes, size: int) -> bytes:
        if len(data) < size:
            raise ValueError(f"the state ends before the last of its keys, {size - len(data)} bytes are missing")
        return data
