"""The key-value store's state in a snapshot, version 1. Little endian::

    u64 index of the last command applied; u64 number of keys
    for each key: u64 version; u32 bytes in the key; u32 bytes in the value; key; value

Keys come part by part, within each in their order (parted_dict.pyx): equal states are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from raftpy.contracts.state_machine import SavedState
from raftpy.replicated.kv_packing import Packer, unpack_keys
from raftpy.replicated.parted_dict import DictView, PartedDict

VERSION = 1
CHUNK = 256 << 10
"""Bytes in a chunk at least, but for the last one."""
READ = 256 << 10
"""Bytes that are read at a time: with small keys these take milliseconds to unpack, in which no other thread runs."""

_HEAD = Struct("<QQ")
_KEY = Struct("<QII")


class KeyValueView:
    """A ``StateView``: ``view`` of ``count`` keys, after the command at ``applied_index``."""

    writes_in_thread = True
    """Its bytes are made without the interpreter's lock, nearly all the time."""

    def __init__(self, applied_index: int, count: int, view: DictView) -> None:
        self._head = _HEAD.pack(applied_index, count)
        self._view = view

    def write(self) -> Iterator[bytes]:
        """See ``StateView``."""
        packer = Packer(self._view, self._head, CHUNK)
        while (chunk := packer.next_chunk()) is not None:
            yield chunk

    def close(self) -> None:
        self._view.close()


class SavedKeys:
    """The same read back. Raises ``ValueError`` where these bytes are none."""

    def __init__(self, saved: SavedState) -> None:
        self._saved = saved
        head = saved.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise _cut_off(_HEAD.size - len(head))
        self.applied_index, self.count = _HEAD.unpack(head)

    def put_into(self, keys: PartedDict) -> None:
        """Puts all of them into the dict, which is empty. Raises ``ValueError`` after some of them where what follows
        cannot be read, and what ``SavedState.read`` raises."""
        data = b""
        at, needed, left = unpack_keys(data, 0, keys, self.count)
        while left:
            data = data[at:] + self._saved.read(max(READ, needed - (len(data) - at)))
            if len(data) < needed:
                raise _cut_off(needed - len(data))
            at, needed, left = unpack_keys(data, 0, keys, left)
        if at < len(data) or self._saved.read(1):
            raise ValueError("the state has bytes behind its last key")


def read_keys(chunks: Iterator[bytes]) -> tuple[int, int, Iterator[tuple[bytes, int, bytes]]]:
    """The index of the last command applied, the number of keys, and key, version and value of each, read from the
    state's bytes one by one: no more of them is in memory than one key and one chunk. Raises ``ValueError``, also later
    on, where these bytes are none."""
    saved = _Pieces(chunks)
    applied_index, count = _HEAD.unpack(saved.take(_HEAD.size))
    return applied_index, count, _each_key(saved, count)


def _each_key(saved: _Pieces, count: int) -> Iterator[tuple[bytes, int, bytes]]:
    for _ in range(count):
        version, key_size, value_size = _KEY.unpack(saved.take(_KEY.size))
        yield saved.take(key_size), version, saved.take(value_size)
    if not saved.is_empty():
        raise ValueError("the state has bytes behind its last key")


class _Pieces:
    """Bytes that come in chunks, given out in pieces of other sizes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, which must be there."""
        at = self._at
        if at + size > len(self._data):
            parts, there = [self._data[at:]], len(self._data) - at
            while there < size:
                chunk = next(self._chunks, b"")
                if not chunk:
                    raise _cut_off(size - there)
                parts.append(chunk)
                there += len(chunk)
            self._data, at = b"".join(parts), 0
        self._at = at + size
        return self._data[at : at + size]

    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data) and not next(self._chunks, b"")


def _cut_off(missing: int) -> ValueError:
    return ValueError(f"the state ends before the last of its keys, {missing} bytes are missing")
