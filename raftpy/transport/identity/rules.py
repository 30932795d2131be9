"""Who may speak to whom: one incarnation of a node to one of another.

A node is an id for all time; an *incarnation* of it is one start of one data directory: (store id, boot). A datagram's
header names the sender's incarnation, and the receiver's as the sender last heard it ("its idea of us"; 0: not heard
yet). What one node knows of one peer:

                    a datagram of the pinned store (the first one is pinned)
       UNHEARD  ------------------------------------------------------------->  HEARD (store, boot)  --+
       boot = 0                                                                    ^                   |  newer boot:
       frames wait, a bare header (a probe) goes out                               +-------------------+  learn it

`judge` decides, in this order (no line changes anything by itself; the transport learns, answers and counts):

    sender's store      sender's boot           its idea of us    learn   answer   give on   counted as
    ------------------  ----------------------  ----------------  ------  -------  --------  -----------
    not the pinned one  any                     any               -       -        -         wrong_store
    pinned, or first    older counter           any               -       -        -         stale_boot
                        same counter, other low any               -       -        -         forked_boot
                        first or newer counter  0                 yes     yes      -         probes
                                                other than ours   yes     yes      -         other_incarnation
                                                ours              yes     -        yes       received
                        the one we know         (the same three lines, nothing left to learn)

An *answer* is a bare header: no frames, the receiver's incarnation as just learned. So:

1. Answers end. One is sent only for a wrong idea of us, and it carries the idea learned from the very datagram it
   answers: it can be wrong, and be answered in turn, only where its receiver has begun a new incarnation meanwhile. A
   chain of answers is at most one longer than the number of restarts during it.
2. What was said to or by an earlier incarnation does nothing. To an earlier one: the idea of us is not ours. By an
   earlier one: a boot's counter only grows, so a delayed datagram, bare or not, never brings an older incarnation back.
   (Until a peer's newest incarnation has been heard here, an older one that knew this very incarnation of ours is still
   believed: that is no different from a peer that said something and then crashed.)
3. Two incarnations under one counter and one store are a copied or rolled-back data directory. The one heard first
   stays; the other is counted and not believed until it starts again. Who is right cannot be told from here. The other
   is told that it is refused, and so is one with an older counter (refusal.py): exactly that incarnation, once a second
   at most, and answered by nothing.
4. A store id other than the pinned one is never answered, and so never taken: an emptied directory under an old node
   id, or a second store under a used one, has forgotten what it promised, and comes back only under a new node id. It
   is told that it is refused, too.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from raftpy.contracts.types import BOOT_SHIFT
from raftpy.transport.identity.refusal import Refusal


class HeaderLike(Protocol):
    """The part of a datagram's header that says whose incarnations it is from (``from_store``, ``from_boot``) and to
    (``to_store``, ``to_boot``); the latter are 0 when the sender has not heard the receiver. Each is a u64."""

    @property
    def from_store(self) -> int: ...

    @property
    def from_boot(self) -> int: ...

    @property
    def to_store(self) -> int: ...

    @property
    def to_boot(self) -> int: ...


class Verdict(enum.Enum):
    """What becomes of a datagram from a known peer; the value is the counter it goes under."""

    ACCEPT = "received"
    PROBE = "probes"
    OTHER_INCARNATION = "other_incarnation"
    STALE_BOOT = "stale_boot"
    FORKED_BOOT = "forked_boot"
    WRONG_STORE = "wrong_store"

    @property
    def answered(self) -> bool:
        """True when a bare header goes back."""
        return self in (Verdict.PROBE, Verdict.OTHER_INCARNATION)

    @property
    def refusal(self) -> Refusal | None:
        """What the sender is to be told; None: nothing."""
        return _REFUSALS.get(self)

    @property
    def believed(self) -> bool:
        """True when the sender's store and boot are to be learned, should they be new."""
        return self in (Verdict.ACCEPT, Verdict.PROBE, Verdict.OTHER_INCARNATION)


_REFUSALS = {
    Verdict.STALE_BOOT: Refusal.OLDER_START,
    Verdict.FORKED_BOOT: Refusal.SECOND_START,
    Verdict.WRONG_STORE: Refusal.OTHER_STORE,
}


@dataclass(slots=True)
class PeerIncarnation:
    """What is known of a peer's incarnation.

    1. boot == 0 exactly when store == 0: not heard in this incarnation of ours.
    2. store != 0 implies store == pinned.
    3. boot >> BOOT_SHIFT never decreases.
    """

    pinned: int = 0
    store: int = 0
    boot: int = 0

    def valid(self) -> bool:
        """The numbered guarantees that can be seen in one moment."""
        return (self.boot == 0) == (self.store == 0) and self.store in (0, self.pinned)

    def is_news(self, header: HeaderLike) -> bool:
        """True when the header is of an incarnation not known yet; ask only after a verdict that is believed."""
        return header.from_boot != self.boot

    def learn(self, header: HeaderLike) -> None:
        """Takes the header's sender for the peer's present incarnation; the caller has made its pin durable."""
        self.pinned = self.store = header.from_store
        self.boot = header.from_boot


def judge(own_store: int, own_boot: int, peer: PeerIncarnation, header: HeaderLike) -> Verdict:
    """The table above. The header's checksum, cluster and node ids have been checked, its store and boot are not 0."""
    if peer.pinned not in (0, header.from_store):
        return Verdict.WRONG_STORE
    if header.from_boot != peer.boot and peer.boot:
        known_counter = peer.boot >> BOOT_SHIFT
        counter = header.from_boot >> BOOT_SHIFT
        if counter < known_counter:
            return Verdict.STALE_BOOT
        if counter == known_counter:
            return Verdict.FORKED_BOOT
    if header.to_store == own_store and header.to_boot == own_boot:
        return Verdict.ACCEPT
    if header.to_boot == 0:
        return Verdict.PROBE
    return Verdict.OTHER_INCARNATION
