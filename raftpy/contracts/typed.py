"""Typed parts: bytes under a header that says what they are, for readers that may be older than the writer.

A section of a snapshot and an entry of the runtime's own begin with the same header: a name, the version of what
follows, and whether whoever does not know it may pass over it::

    offset  size
    0       1     form of this header, 1
    1       1     flags: 1 must be understood
    2       2     version of the contents, u16, little endian, at least 1
    4       1     bytes in the name, 1 to 64
    5       n     name: a to z, 0 to 9, "-" and "."

Names with a dot are for others than raftpy itself. A version is raised when an older reader would misread the contents;
a reader of version 3 reads 1 and 2 as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import NotUnderstood

FORM = 1
MAX_NAME = 64
MAX_VERSION = 65_535

_HEAD = Struct("<BBHB")
_MUST_UNDERSTAND = 1
_NAME = re.compile(r"[a-z0-9.-]+")
MAX_HEADER = _HEAD.size + MAX_NAME
"""Bytes of the longest header."""


@dataclass(frozen=True, slots=True)
class TypeHeader:
    """What a part is. Raises ``ValueError`` for what the byte form does not hold."""

    name: str
    """1 to 64 of a to z, 0 to 9, "-" and "."."""
    version: int = 1
    """Of the contents, 1 to 65,535."""
    must_understand: bool = True
    """Whoever does not know the name, or not this version of it, must stop; False: passes over the part."""

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME or not _NAME.fullmatch(self.name):
            raise ValueError(f"a part's name is 1 to {MAX_NAME} of a-z 0-9 - and ., got {self.name!r}")
        if not 1 <= self.version <= MAX_VERSION:
            raise ValueError(f"the version of {self.name!r} is 1 to {MAX_VERSION}, got {self.version}")

    def encode(self) -> bytes:
        """The header's bytes."""
        flags = _MUST_UNDERSTAND if self.must_understand else 0
        return _HEAD.pack(FORM, flags, self.version, len(self.name)) + self.name.encode("ascii")

    @classmethod
    def decode(cls, data: bytes | memoryview) -> tuple[TypeHeader, int]:
        """The header that ``data`` begins with, and where the contents begin; ``DecodeError`` where there is none."""
        if len(data) < _HEAD.size:
            raise DecodeError(f"{len(data)} bytes where the header of a typed part has at least {_HEAD.size}")
        form, flags, version, size = _HEAD.unpack_from(data)
        if form != FORM:
            raise DecodeError(f"the header of a typed part has form {form}: this release reads form {FORM}")
        if flags & ~_MUST_UNDERSTAND:
            raise DecodeError(f"a typed part has flags {flags:#x}: at most {_MUST_UNDERSTAND:#x} is allowed")
        end = _HEAD.size + size
        if len(data) < end:
            raise DecodeError(f"a typed part's name has {size} bytes, but only {len(data) - _HEAD.size} are left")
        name = bytes(data[_HEAD.size : end]).decode("ascii", "replace")
        try:
            return cls(name, version, bool(flags & _MUST_UNDERSTAND)), end
        except ValueError as error:
            raise DecodeError(str(error)) from None

    def is_understood(self, known: Mapping[str, int], where: str) -> bool:
        """Whether the part is read with ``known``, name -> newest version; False: it is passed over.

        Raises ``NotUnderstood``, which names ``where``, for one that must be understood and is not.
        """
        newest = known.get(self.name)
        if newest is not None and self.version <= newest:
            return True
        if self.must_understand:
            raise NotUnderstood(where, self.name, self.version, newest)
        return False


def wrap(header: TypeHeader, contents: bytes) -> bytes:
    """One part by itself, as the runtime's own entries are."""
    return header.encode() + contents


def unwrap(data: bytes) -> tuple[TypeHeader, bytes]:
    """The header of such a part, and its contents; ``DecodeError`` when these bytes are none."""
    header, start = TypeHeader.decode(data)
    return header, data[start:]
