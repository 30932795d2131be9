from typing import Self, final

from typing_extensions import Buffer

from raftcore.values.message import Entries

SEAL: int

def seal(key: bytes, body: Buffer, behind: bytes = b"") -> bytes: ...

@final
class Sealed:
    def __new__(cls, key: bytes, block: Buffer, behind: bytes = b"") -> Self: ...
    def __len__(self) -> int: ...

def unseal(key: bytes, value: bytes) -> bytes | None: ...
def unseal_record(key: bytes, value: bytes) -> tuple[Entries, bytes] | None: ...
