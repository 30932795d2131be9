"""Messages that no datagram of ``max_datagram`` bytes holds: an entry put into the log while the limit was higher.

What is in the log must reach the peers: the limit is one for new commands. So such a message leaves in a datagram of
its own, as large as UDP carries. Where the path takes less, IP cuts it into fragments, which may be lost on the way, or
the system refuses it. ``Peer.oversized`` keeps what became of the newest, for whoever wonders why a follower stays
behind.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from raftcore.values.message import Message
from raftcore.wire.codec import DatagramBuilder
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
        _note(peer, message, now_s, 0, str(error))
        raise
    datagram = builder.finish()
    peer.counters.oversized += 1
    _note(peer, message, now_s, len(datagram), "")
    return datagram


def _note(peer: Peer, message: Message, now_s: float, size: int, refused: str) -> None:
    if message.snapshot is not None:
        index = message.snapshot.index
    elif message.entries is not None:
        index = message.index + 1  # with others it would have been cut: this entry is too large by itself
    else:
        return
    before = peer.oversized
    since_s = before.since_s if before is not None and before.index == index else now_s
    peer.oversized = Oversized(index, size, since_s, refused)


def note_refused(peer: Peer, number: int) -> str | None:
    """The system did not take a datagram, for the errno ``number``: what that means if it was the oversized one."""
    if peer.oversized is None or number != errno.EMSGSIZE:
        return None
    reason = f"{errno.errorcode[number]}: a datagram of {peer.oversized.size} bytes is too long for the path"
    peer.oversized = replace(peer.oversized, refused=reason)
    return reason
