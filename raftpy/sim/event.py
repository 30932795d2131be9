"""Events: what happens in a simulated world, one by one."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Detail: TypeAlias = tuple[int | float | str | bytes, ...]


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
    commit                (index, group)
    applied               (index, checksum of the command, group)
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
    """What happened."""
    detail: Detail
    """More of it."""
