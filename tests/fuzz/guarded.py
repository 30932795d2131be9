"""Decodes mutations placed right before or right behind a page without access: one byte too far is a SIGSEGV.

``python -m tests.fuzz.guarded after|before SEED COUNT``; ends with status 0 and "decoded COUNT", or not at all.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import random
import sys

from raftcore import Entries
from raftcore.base.crc import crc32c_portable
from raftcore.base.errors import DecodeError
from raftcore.wire import codec
from tests.fuzz.mutate import mutation

PAGE = mmap.PAGESIZE
PAGES = 16


class Guarded:
    """PAGES usable pages between two that cannot be touched."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, (PAGES + 2) * PAGE)
        self._view = memoryview(self._map)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (start, start + (PAGES + 1) * PAGE):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, data: bytes, side: str) -> memoryview:
        """data, its end (`after`) or its start (`before`) at a guard."""
        at = (PAGES + 1) * PAGE - len(data) if side == "after" else PAGE
        self._view[at : at + len(data)] = data
        return self._view[at : at + len(data)]


def decode_all(datagram: memoryview) -> None:
    """Every way in."""
    for call in (codec.parse_header, codec.messages, codec.frames, Entries.decode):
        try:
            for _ in call(datagram) or ():  # type: ignore[operator]
                pass
        except (DecodeError, TypeError):
            pass
    if codec.crc32c(datagram) != crc32c_portable(datagram):
        raise AssertionError("checksums differ")


def main(side: str, seed: str, count: int) -> None:
    faulthandler.enable()
    guarded = Guarded()
    for i in range(count):
        datagram = mutation(random.Random(f"{seed}:{i}"))
        # The whole datagram, each of its frames' bodies alone, and a cut at a random place.
        decode_all(guarded.put(datagram, side))
        rng = random.Random(i)
        decode_all(guarded.put(datagram[: rng.randrange(len(datagram) + 1)], side))
        tail = guarded.put(datagram[min(len(datagram), 80) :], side)
        for kind in (3, 4, 6, 8):
            try:
                codec.decode_message(kind, tail)
            except DecodeError:
                pass
    print(f"decoded {count}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
