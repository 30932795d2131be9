"""What happened in a simulated world, event by event: a running hash of all of it, and on request the list itself.

Two runs of one plan must have the same hash, whatever the interpreter's hash seed. The events of the list are for
people (``raftpy sim draw``) and for tests.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from raftcore.wire.codec import crc32c

Detail: TypeAlias = tuple[int | float | str | bytes, ...]

_MOMENT = struct.Struct("<dQ")


class Event(NamedTuple):
    """One thing that happened. ``detail`` by ``kind``:

    ====================  ==============================================================================
    start                 (boot,)
    stop                  () when a clean stop has ended
    crash                 (how,) "kill" or "power"
    failed                (error,) the node has stopped by itself
    pause, resume         ()
    send                  (number of the datagram, node it goes to, its bytes)
    deliver, drop         (number,), (number, why)
    role                  (term, role, leader, group)
    commit                (index,)
    applied               (index, checksum of the command)
    invoke, return        (number of the operation, client, text), (number, text)
    disk                  (operation,)
    fault, healed         (kind, its numbers as text), ()
    ====================  ==============================================================================
    """

    time: float
    """Virtual seconds."""
    node: int
    """0: the world."""
    kind: str
    detail: Detail


class Trace:
    """Takes the events of one run; keeps them if ``record`` is set."""

    def __init__(self, record: bool = False) -> None:
        self.events: list[Event] | None = [] if record else None
        self.count = 0
        self._hash = 0

    def add(self, time: float, node: int, kind: str, *detail: int | float | str | bytes) -> None:
        """One event has happened."""
        self.count += 1
        text = _MOMENT.pack(time, node) + kind.encode()
        for part in detail:
            if part.__class__ is bytes:
                text += part
            elif part.__class__ is int:
                text += (part & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little")
            else:
                text += repr(part).encode()
        # Each link of the chain is seeded by the one before it, so that an exchange of two events shows.
        self._hash = crc32c(self._hash.to_bytes(8, "little") + text) | (self._hash & 0xFFFFFFFF) << 32
        if self.events is not None:
            self.events.append(Event(time, node, kind, detail))

    @property
    def hash(self) -> str:
        """Of all events so far, in hexadecimal."""
        return f"{self.count:x}-{self._hash:016x}"
