"""What the parts of a node tell one another: who opens a store, who a node is, what is known of a peer."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from raftcore.base.conflict import Conflict
from raftcore.values.storage_view import InitialState

MAX_ADDRESS = 255
"""Bytes in an address, UDP or HTTP: as many as one byte of length can count."""
MAX_GROUP = 2**64 - 1
"""The largest id of a group; 0, the smallest, is the one with the table of hosts."""
BOOT_SHIFT = 32
"""The high half of a boot counts a data directory's starts, its low half is random."""


@dataclass(frozen=True, slots=True)
class StoreOwner:
    """Who opens a store. ``cluster`` and ``cluster_id`` count at a data directory's first start only.

    A store is of one node, and keeps a log for each of its groups. Store id, boot, cluster id, members and pins are the
    node's, so the same in all of its groups.
    """

    node_id: int
    """This node's id, 1 to 2**64 - 3; a directory of another node id is refused."""
    cluster: Mapping[int, str] = field(default_factory=dict)
    """The first members: node id to UDP address as ``host:port``."""
    cluster_id: int | None = None
    """None: a hash of ``cluster``, the same on every node that was given the same members."""
    groups: Mapping[int, Collection[int]] = field(default_factory=dict)
    """Group id (u64) to the node ids of the group's first voters.

    A group that the store has not known yet is founded in it at this opening; of one that it knows, what was given at
    its founding counts. Group 0, which holds the table of the members, is there always, and its first voters are the
    ids in ``cluster``: whoever names it names those.
    """


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store knew when it was opened; everything in it is durable."""

    store_id: int
    """u64, random, made once with the data directory; never 0."""
    boot: int
    """u64: how often the directory has been opened in the high 32 bits, random low 32; never 0."""
    cluster_id: int
    """As decided at the first start, whatever ``StoreOwner`` says now."""
    groups: dict[int, InitialState]
    """Where each group's core starts from: hard state, configuration, and the shape of the log.

    Ascending by group id: group 0, every group that ``StoreOwner.groups`` names, and every other one that the store
    holds anything of, be it a term. One that was founded, is not named any more and never came to hold anything has
    promised nothing to anybody, and is left out.
    """
    members: dict[int, str]
    """The members as first given; ``StoreOwner.cluster`` may differ by now, which is for the caller to point out."""
    pins: dict[int, int]
    """Peers' store ids as pinned: node id to store id."""


class Standing(enum.IntEnum):
    """How far a node has come in its cluster, by its own word; within one incarnation it only rises (decision 5)."""

    NEW = 1
    """Its store holds no term, no vote and no entry; it takes no part before it knows that it may."""
    CLEARED = 2
    """New; and no member that takes part knows this node's id by another store."""
    JOINED = 3
    """Takes part, and has neither entries nor known a leader."""
    ESTABLISHED = 4
    """Holds entries, or has known a leader: a majority of this cluster has taken part."""

    @property
    def is_new(self) -> bool:
        """True while the node takes no part."""
        return self < Standing.JOINED


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """Who this node is in this incarnation, as its store says after ``open``; stands in the header of all it sends."""

    node_id: int
    """u64, this node's id for all time; never 0."""
    store_id: int
    """u64, of the data directory; never 0."""
    boot: int
    """u64, of this start: a counter in the high 32 bits, random low 32; never 0."""
    cluster_id: int
    """u64; a datagram with another is dropped and counted."""
    members: Mapping[int, str]
    """Every member's UDP address as ``host:port``, this node's own among them."""
    pins: Mapping[int, int] = field(default_factory=dict)
    """Store ids already pinned: node id to store id."""
    http_address: str = ""
    """This node's HTTP address as ``host:port``, told to the peers; empty when it serves none."""
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)
    """Why this node is quarantined, told to the peers: group id to conflict; empty when it is not."""
    standing: Standing = Standing.ESTABLISHED
    """Told to the peers likewise; see :meth:`AskingTransport.stand`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transport knows of a peer by the peer's own word."""

    store_id: int = 0
    """The store the node id is bound to; 0: none was ever heard."""
    http_address: str | None = None
    """``host:port``, empty when it serves none; None: not told yet by the newest incarnation heard of it."""
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)
    """Why it is quarantined, by group id, as the newest incarnation heard of it has told; empty when it has not."""
    standing: Standing | None = None
    """The highest that incarnation has told; None: none yet."""
    answered: int = 0
    """The newest question of :meth:`AskingTransport.ask` that this incarnation had heard when it said so."""
    refuses: bool = False
    """It does not take this incarnation for this node: ``Transport.refused_by`` says why."""
    refuses_start: bool = False
    """It does not, because it has heard a later start of the same store, or another one from the same state."""
    boot: int = 0
    """Which start of it the newest incarnation heard is, u64; 0: none was heard."""


@dataclass(frozen=True, slots=True)
class RemovedMember:
    """Who was a member, and is none any more, for ever."""

    index: int
    """Of the configuration entry that removed it."""
    store_id: int = 0
    """Of its data directory; 0: it was never known."""
    udp: str = ""
    """``host:port`` at which it was last reached; empty: not known."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """The newest message to a peer that no datagram of ``max_datagram`` bytes held."""

    index: int
    """Of the entry that is too large, or the last one of the snapshot: the peer has it when its log reaches there."""
    size: int
    """Bytes of the datagram, before it is cut; 0: no UDP datagram holds it."""
    since_s: float
    """The clock's reading when a message for this index was handed in first."""
    refused: str = ""
    """Why the last attempt to send it failed; empty: it is on its way, as far as this machine knows."""
    cut: bool = False
    """It goes in fragments that the peer puts together; else in one datagram."""
