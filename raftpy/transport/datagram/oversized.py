"""Messages that no datagram of ``max_datagram`` bytes holds: those with a large command.

They go in fragments (fragments.py) to a peer that has told that it puts them together. To any other, which is of an
earlier version, such a message leaves in a datagram of its own, as large as UDP carries. Where the path takes less, IP
cuts it into fragments, which may be lost on the way, or the system refuses it. ``Peer.oversized`` keeps what became of
the newest, for whoever wonders why a follower stays behind.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from raftcore.values.message import Message
from raftcore.wire.codec import DatagramBuilder
from raftcore.wire.outgoing import GIVE_UP_US
from raftpy.contracts.types import Oversized
from raftpy.transport.exchange.sizes import LARGEST_DATAGRAM
from raftpy.transport.identity.peer import Peer


def oversized_datagram(peer: Peer, message: Message, group: int, now_s: float) -> bytes:
    """A datagram with this message alone, noted with the peer. ValueError when no UDP datagram holds it."""
    builder = DatagramBuilder(peer.builder.header, LARGEST_DATAGRAM)
    try:
        builder.add(message, group)
    except ValueError as error:
        peer.counters.too_large += 1
        note_oversized(peer, message, now_s, 0, str(error))
        raise
    datagram = builder.finish()
    peer.counters.oversized += 1
    note_oversized(peer, message, now_s, len(datagram))
    return datagram


def note_oversized(
    peer: Peer, message: Message, now_s: float, size: int, refused: str = "", *, cut: bool = False
) -> None:
    """A message is on its way in ``size`` bytes, in one datagram or ``cut``; or it is ``refused``, and why."""
    if message.snapshot is not None:
        index = message.snapshot.index
    elif message.entries is not None:
        index = message.index + 1  # with others it would have been cut: this entry is too large by itself
    else:
        return
    before = peer.oversized
    since_s = now_s
    if before is not None and before.index == index:
        since_s = before.since_s
        if cut and before.cut:
            refused = before.refused  # until it has arrived, what became of the one before is all that is known
    peer.oversized = Oversized(index, size, since_s, refused, cut)


def note_given_up(peer: Peer) -> None:
    """What was under way to the peer in fragments is given up."""
    if peer.oversized is not None and peer.oversized.cut:
        peer.oversized = replace(
            peer.oversized, refused=f"none of its fragments was acknowledged for {GIVE_UP_US // 1_000_000} s"
        )


def note_refused(peer: Peer, number: int) -> str | None:
    """The system did not take a datagram, for the errno ``number``: what that means if it was the oversized one."""
    if peer.oversized is None or peer.oversized.cut or number != errno.EMSGSIZE:
        return None
    reason = f"{errno.errorcode[number]}: a datagram of {peer.oversized.size} bytes is too long for the path"
    peer.oversized = replace(peer.oversized, refused=reason)
    return reason
