"""What the runtime asks of the parts it is given: everything that touches a disk, a wire or a clock.

``raftpy.runtime`` sees only these protocols, so a node runs unchanged on real parts and, in tests and the simulator,
on parts that live in memory and on virtual time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from raftcore.api.outbox import Outbox
from raftcore.base.conflict import Conflict
from raftcore.values.message import Entries, Message, Snapshot
from raftcore.values.storage_view import InitialState
from raftpy.contracts.errors import StorageFailed

# --- Storage ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Who opens a store. ``cluster`` and ``cluster_id`` count at a data directory's first start only."""

    node_id: int
    """This node's id, 1 to 2**64 - 3; a directory of another node id is refused."""
    cluster: Mapping[int, str] = field(default_factory=dict)
    """The first members: node id to UDP address as ``host:port``."""
    cluster_id: int | None = None
    """None: a hash of ``cluster``, the same on every node that was given the same members."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a store knew when it was opened; everything in it is durable."""

    store_id: int
    """u64, random, made once with the data directory; never 0."""
    boot: int
    """u64: how often the directory has been opened in the high 32 bits, random low 32; never 0."""
    cluster_id: int
    """As decided at the first start, whatever ``Bootstrap`` says now."""
    initial_state: InitialState
    """Where the core starts from: hard state, configuration, and the shape of the log."""
    members: dict[int, str]
    """The members as first given; ``Bootstrap.cluster`` may differ by now, which is for the caller to point out."""
    pins: dict[int, int]
    """Peers' store ids as pinned: node id to store id."""


class Storage(Protocol):
    """Keeps term, vote and log (Figure 2, persistent state) and the identity of one node.

    The same contract for every implementation, checked by tests/storage/test_contract.py:

    1. What ``submit`` has reported complete is there after a crash at any later moment; what it has not may or may
       not be, but always as a prefix of the submitted order, each ``submit`` wholly or not at all.
    2. ``open`` restores exactly what was complete, or raises; it never restores something else.
    3. After any failed write the handle is dead: that call and all later ones raise ``StorageFailed``.

    All calls come from one thread, the loop's. Whatever threads an implementation has are its own affair. One
    exception, for a store that says so with an attribute ``opens_in_thread = True``: its ``open`` is called in another
    thread, while the loop goes on. Of the other methods only ``close`` is called meanwhile, in the loop's thread: the
    opening is wanted no more, and may end by raising ``StorageFailed``; where it succeeds, ``close`` is called again.
    """

    def open(self, identity: Bootstrap) -> Recovered:
        """Opens the store, making it at the first start, and syncs a new boot before it returns.

        Raises ``StorageLocked`` (in use), ``StorageDamaged``, ``WrongIdentity`` (another node's),
        ``ForeignDirectory`` (no node's), ``StorageFailed``.
        """
        ...

    def set_completion(
        self,
        callback: Callable[[Sequence[Message]], None],
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        """Sets whom to tell about appends that complete later, and about a write that failed later.

        Called in the loop's thread, which is where both are called back: ``callback`` once for each ``submit`` that
        returned False, with its sequence, in order, when it is durable; ``on_failure`` at most once, and then nothing
        that was still under way is ever reported durable. After ``close`` nothing is called any more. Without a
        running loop every ``submit`` completes before it returns.
        """
        ...

    def submit(self, appends: Sequence[Message]) -> bool:
        """Writes the term, vote, commit index and entries of MsgStorageAppend messages, in order, as one synced batch.

        True: all of them are durable now, and the caller delivers their responses. False: they complete later, when
        the completion callback is called with the same sequence. Entries that begin at or below the last index
        replace what was there from their first index on. An append with ``must_sync`` False (a commit index alone)
        is not written by itself: it rides in a later batch, and completes when everything before it has.
        Raises ``StorageFailed``.
        """
        ...

    def entries(self, lo: int, hi: int, max_bytes: int) -> Entries:
        """The durable entries with indexes in [lo, hi), at least one; stops before ``data`` exceeds ``max_bytes``.

        Raises ``raftcore.base.errors.Compacted`` below the log and ``Unavailable`` when it ends before ``hi``;
        ``StorageDamaged`` (and the handle is dead) for a record that is not what was written.
        """
        ...

    def snapshot(self) -> Snapshot:
        """The newest snapshot; index 0 when there never was one.

        Its index is not below the last one compacted, and its configuration need not name the member it is for:
        :meth:`raftcore.StorageView.snapshot` says more.
        """
        ...

    def pin(self, node_id: int, store_id: int, *, replace: bool = False) -> None:
        """Binds a node id to the store id first heard under it, durable on return.

        Pinning the same again does nothing; another store id raises ``WrongIdentity``, or takes the place of the one
        known when ``replace`` says so (the member table, which the cluster has agreed on).
        """
        ...

    def quarantine(self, conflict: Conflict) -> None:
        """Keeps why this node is quarantined, durable on return: ``initial_state.conflict`` of each later ``open``.

        Nothing is submitted after it; what the log holds stays as it is. Raises ``StorageFailed``.
        """
        ...

    def close(self) -> None:
        """Waits for what is under way and lets go of the store. May be called at any time and again."""
        ...


# --- Transport --------------------------------------------------------------------------------------------------


class Standing(enum.IntEnum):
    """How far a node has come in its cluster, by its own word; within one life it only rises (decision 5)."""

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
    """Who this node is in this life, as its store says after ``open``; stands in the header of all it sends."""

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
    conflict: Conflict | None = None
    """Why this node is quarantined, told to the peers; None when it is not."""
    standing: Standing = Standing.ESTABLISHED
    """Told to the peers likewise; see :meth:`AskingTransport.stand`."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a transport knows of a peer by the peer's own word."""

    store_id: int = 0
    """The store the node id is bound to; 0: none was ever heard."""
    http_address: str | None = None
    """``host:port``, empty when it serves none; None: not told yet by the newest life heard of it."""
    conflict: Conflict | None = None
    """Why it is quarantined, as the newest life heard of it has told; None when it has not."""
    standing: Standing | None = None
    """The highest that life has told; None: none yet."""
    answered: int = 0
    """The newest question of :meth:`AskingTransport.ask` that this life had heard when it said so."""
    refuses: bool = False
    """It does not take this life for this node: ``Transport.refused_by`` says why."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """The newest message to a peer that took a datagram above ``max_datagram``."""

    index: int
    """Of the entry that is too large, or the last one of the snapshot: the peer has it when its log reaches there."""
    size: int
    """Bytes of the datagram; 0: no UDP datagram holds it."""
    since_s: float
    """The clock's reading when a message for this index was handed in first."""
    refused: str = ""
    """Why the last attempt to send it failed; empty: it is on its way, as far as this machine knows."""


class Transport(Protocol):
    """Carries messages between one life of this node and one life of each peer. Loses, repeats and reorders them.

    1. What ``receive`` returns was said by a peer's newest known life to this very life of this node.
    2. Nothing is sent before ``start`` and nothing is given on after ``close``.
    3. No call waits: what the wire does not take now is dropped and counted, as Raft allows.

    All calls come from the loop's thread.
    """

    def start(
        self, identity: LocalIdentity, wake: Callable[[], None], pin: Callable[[int, int], None] | None = None
    ) -> None:
        """Takes hold of the address and makes itself known to the peers.

        ``wake`` is called in the loop whenever something waits to be read, possibly more than once for the same.
        ``pin(node_id, store_id)`` makes a peer's store id durable before anything of that peer is believed; it is
        called inside ``receive``, and what it raises comes out there. Raises ``TransportFailed`` (address in use, not
        of this machine, a name that does not resolve) and ``ConfigError`` (a malformed address).
        """
        ...

    def receive(self, limit: int = 64) -> list[bytes]:
        """At most ``limit`` datagrams read; returns those whose frames, from byte 64 on, may be stepped.

        The header is checked (checksum, cluster, both identities) and the transport's own frames are dealt with. When
        more waits, ``wake`` is called again.
        """
        ...

    def send(self, message: Message, group: int = 0) -> None:
        """Queues the message in the open datagram of ``message.to``; nothing leaves before ``flush``.

        One that no datagram of ``max_datagram`` bytes holds goes in a larger one of its own, as far as the wire can
        carry it: what is in the log already must reach the peers, whatever the limit is now.
        """
        ...

    def flush(self) -> None:
        """Puts everything queued on the wire."""
        ...

    def change_peers(self, members: Mapping[int, str]) -> None:
        """Makes ``members`` (node id to ``host:port``; this node's own is passed over) the nodes spoken to."""
        ...

    def on_unreachable(self, callback: Callable[[int], None]) -> None:
        """Sets whom to tell, by node id, that a peer's address has refused a datagram."""
        ...

    def on_heard(self, callback: Callable[[int], None]) -> None:
        """Sets whom to tell, by node id, that a peer has told something new of itself: see ``heard``.

        Called inside ``receive``, and what it raises comes out there; not for what a peer tells again.
        """
        ...

    def heard(self, node_id: int) -> Heard:
        """What is known of a peer; of an unknown node nothing."""
        ...

    def pin(self, node_id: int, store_id: int) -> None:
        """Binds a peer to a store id, whatever was heard of it; a life of another store is forgotten."""
        ...

    def quarantine(self, conflict: Conflict) -> None:
        """Tells every peer, from now on, that and why this node is quarantined."""
        ...

    def reachable(self, node_id: int) -> bool:
        """True when the peer has been heard in this life, has not been silent for seconds, and refused nothing."""
        ...

    def refused_by(self, node_id: int) -> str | None:
        """Why the peer does not take this life for this node, for people to read; None: it does, or is not heard."""
        ...

    def oversized(self, node_id: int) -> Oversized | None:
        """The last message to the peer that no datagram of ``max_datagram`` bytes held; None: there was none."""
        ...

    def http_address(self, node_id: int) -> str | None:
        """The HTTP address a node has told, as ``host:port``; None when it told none or was not heard."""
        ...

    @property
    def max_datagram(self) -> int:
        """Bytes in a datagram, header included; one large message may take more. Known after ``start``."""
        ...

    @property
    def max_command(self) -> int:
        """Bytes in the largest command that fits one datagram. Known after ``start``."""
        ...

    def stats(self) -> dict[str, Any]:
        """Counters as plain dicts: ``node`` (what has no peer), ``peers`` by node id, and what the wire knows."""
        ...

    def close(self) -> None:
        """Lets go of the address; what is queued is not sent. May be called again."""
        ...


class LendingTransport(Transport, Protocol):
    """A ``Transport`` that lets the core encode messages straight into its datagrams.

    Optional, and told by the method being there. To a transport without it every message comes through ``send``; a
    subclass of raftpy's transports that wants to see every message in ``send`` sets ``lend_builders = None``.
    """

    def lend_builders(self, outbox: Outbox) -> None:
        """Called once, after ``start``: ``outbox`` has the builder of every node that can be sent to, from now on.

        The transport calls ``Outbox.set_builders`` whenever that changes. A builder's header says whom it is for and
        from whom, as in every datagram sent. ``flush`` sends what is in ``Outbox.full``, then what is in the builders.
        What was encoded for a life of a peer that has ended is dropped and counted. For other nodes, and when a message
        fits no datagram, ``send`` is called as ever.
        """
        ...


class AskingTransport(Transport, Protocol):
    """A ``Transport`` over which a new node can ask its peers whether they know its id by another store.

    Optional, and told by ``ask`` being there. A new node on a transport without it takes part at once, as nobody can be
    asked. What a peer says (``Heard``) counts only for the two lives that spoke with each other.
    """

    def stand(self, standing: Standing) -> None:
        """What this node says of itself from now on."""
        ...

    def ask(self, number: int, node_ids: Collection[int]) -> None:
        """Asks these peers for their standing, at once; those not heard yet are knocked at.

        ``number`` grows with each question; see ``Heard.answered``. Questions and answers may be lost: ask again.
        """
        ...


# --- Clock ------------------------------------------------------------------------------------------------------


class TimerHandle(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """The call is not made; has no effect once it has been made."""
        ...


class Clock(Protocol):
    """The only source of time in raftpy: real, or virtual in tests and the simulator."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC; may jump, so nothing waits by it."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> TimerHandle:
        """Calls ``callback()`` in the loop's thread after ``delay_s`` seconds; calls with equal due time keep order.

        0 or less: as soon as the code now running has returned to the loop, never inside this call.
        """
        ...


# --- State machine ----------------------------------------------------------------------------------------------


class StateMachine(Protocol):
    """What the committed commands act on. The same commands in the same order must give the same state and results.

    So ``apply`` may not ask the clock, a random source, the order of a set or a dict it did not fill itself, or
    anything else that differs between replicas. ``ApplyError`` raised by it is a result like any other; any other
    exception stops the node (decision 10). It runs in the event loop and should not take long.

    Optional: ``apply_batch(first_index, commands) -> sequence of results``, one for each command, an ``ApplyError``
    object in the place of a command that failed. ``commands`` is a sequence that makes each command's bytes when asked
    for. Where it is there, ``apply`` is not called.
    """

    def apply(self, index: int, command: bytes) -> Any:
        """Carries out one command; ``index`` is its place in the log. What it returns is the proposer's result."""
        ...


class BatchStateMachine(StateMachine, Protocol):
    """A state machine that takes many commands at a time."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        """Carries out ``commands``, which stand at ``first_index`` and after; see :class:`StateMachine`."""
        ...
