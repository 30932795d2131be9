"""Tables of sorted writes; the docstrings are in tables.pyx."""

from typing import TypeAlias, final

from raftpy.sim.disk.leveldb.varints import Malformed

_Entry: TypeAlias = tuple[bytes, int, bytes | None]
"""Key, sequence number of the write, and its value; None where it deletes."""
_Unreadable: TypeAlias = tuple[bytes, Malformed]
"""Of something that does not hold: the key before it, b"" for none, and what is wrong."""

def internal_key(entry: _Entry) -> bytes: ...
def build(entries: list[_Entry]) -> bytes: ...

@final
class Block: ...

class Table:
    def __init__(self, data: bytes, size: int) -> None: ...
    def get(self, key: bytes) -> _Entry | None: ...
    def entries_from(self, key: bytes, before: bytes = b"") -> tuple[list[_Entry], _Unreadable | None]: ...
