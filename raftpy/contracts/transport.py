"""What the runtime asks of a transport: messages to and from the other nodes, and what they tell of themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from raftcore.api.outbox import Outbox
from raftcore.base.conflict import Conflict
from raftcore.values.message import Message
from raftpy.contracts.fetching import SnapshotRequest, SnapshotTalk
from raftpy.contracts.types import Heard, LocalIdentity, Oversized, RemovedMember, Standing


class Transport(Protocol):
    """Carries messages between one incarnation of this node and one of each peer. Loses, repeats and reorders them.

    1. What ``receive`` returns was said by a peer's newest known incarnation to this very incarnation of this node.
    2. Nothing is sent before ``start`` and nothing is given on after ``close``.
    3. No call waits: what the wire does not take now is dropped and counted, as Raft allows.

    Identity, boot, addresses, pins and what a hello says are those of the host, the one process that the node is: all
    of its groups share them, and messages of several groups share a datagram.

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
        """At most ``limit`` datagrams read, and such as the system hands over with the last of them, fewer than 64;
        returns those whose frames, from byte 64 on, may be stepped.

        The header is checked (checksum, cluster, both identities) and the transport's own frames are dealt with. When
        more waits, ``wake`` is called again.
        """
        ...

    def send(self, message: Message, group: int = 0) -> None:
        """Queues a message of ``group`` (u64) in the open datagram of ``message.to``; nothing leaves before ``flush``.

        One that no datagram of ``max_datagram`` bytes holds goes in fragments or in a larger one of its own, as far as
        the wire can carry it: what is in the log already must reach the peers, whatever the limit is now.
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
        """Binds a peer to a store id, whatever was heard of it; an incarnation of another store is forgotten."""
        ...

    def quarantine(self, conflict: Conflict, group: int = 0) -> None:
        """Tells every peer, from now on, that and why this node is quarantined in ``group`` (u64): ``Heard.conflicts``.

        Of many such groups some may be left out, those of the highest ids: each is told of as soon as there is room.
        """
        ...

    def reachable(self, node_id: int) -> bool:
        """True when the peer was heard in this incarnation, has not been silent for seconds, and refused nothing."""
        ...

    def refused_by(self, node_id: int) -> str | None:
        """Why the peer does not take this incarnation for this node, in words; None: it does, or is not heard."""
        ...

    def oversized(self, node_id: int) -> Oversized | None:
        """The last message to the peer that no datagram of ``max_datagram`` bytes held; None: there was none."""
        ...

    def http_address(self, node_id: int) -> str | None:
        """The HTTP address a node has told, as ``host:port``; None when it told none or was not heard."""
        ...

    @property
    def max_datagram(self) -> int:
        """Bytes in the largest datagram, header included; a large message may take more. Known after ``start``."""
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

    Optional: a transport lends its builders when it has the method. To one without it every message comes through
    ``send``; a subclass of raftpy's transports that wants every message in ``send`` sets ``lend_builders = None``.
    """

    def lend_builders(self, outbox: Outbox) -> None:
        """Called once, after ``start``: ``outbox`` has the builder of every node that can be sent to, from now on.

        The transport calls ``Outbox.set_builders`` whenever that changes. A builder's header says whom it is for and
        from whom, as in every datagram sent. ``flush`` sends what is in ``Outbox.full``, then what is in the builders.
        What was encoded for an incarnation of a peer that has ended is dropped and counted. For other nodes, and when a
        message fits no datagram, ``send`` is called as ever.
        """
        ...


class SocketTransport(Transport, Protocol):
    """A ``Transport`` that reads all that it reads from one descriptor.

    Optional: a transport is one of these when it has ``fileno``. A node on a transport without it never rests
    (raftpy/runtime/rest.pyx).
    """

    def fileno(self) -> int:
        """The descriptor, for which the loop calls ``wake`` whenever it can be read, and nothing else; -1: none now."""
        ...


class PatientTransport(Transport, Protocol):
    """A ``Transport`` with work of its own that may wait until its node is awake anyway.

    Optional: a transport is one of these when it has ``do_chores``. Any other sets timers of its own.
    """

    def do_chores(self) -> float:
        """Does what is due, and returns when something is next, as a reading of the clock.

        Called when that has come, or a tenth of a second later; so from the first call on the transport sets no timer
        for it.
        """
        ...


class FragmentingTransport(Transport, Protocol):
    """A ``Transport`` that carries messages larger than any datagram.

    Optional: a transport is one of these when it has ``max_message``. On one without it, what no datagram holds may
    never arrive, so that commands are limited by ``max_command``.
    """

    @property
    def max_message(self) -> int:
        """Bytes in the largest message that reaches the peers, as far as this node can say."""
        ...


class SizingTransport(Transport, Protocol):
    """A ``Transport`` that finds out how large datagrams to each peer may be.

    Optional: a transport is one of these when it has ``on_datagram_size``. ``max_datagram`` is then what no datagram
    exceeds, and ``max_command`` that of a datagram that passes any path.
    """

    def on_datagram_size(self, callback: Callable[[int], None]) -> None:
        """Sets whom to tell how many bytes a datagram may have that each of the peers takes that are heard.

        Told at once, and whenever it changes, which may be inside ``receive``. What is larger goes in fragments.
        """
        ...

    def on_far(self, callback: Callable[[frozenset[int]], None]) -> None:
        """Sets whom to tell which peers are far, so that what waits is better gathered than sent in many messages.

        Told at once, and whenever it changes, which may be inside ``receive``. An append to one of them may have as
        many bytes as one datagram on the widest path, whatever ``on_datagram_size`` says.
        """
        ...


class AskingTransport(Transport, Protocol):
    """A ``Transport`` over which a new node can ask its peers whether they know its id by another store.

    Optional: a transport is one of these when it has the method ``ask``. A new node on a transport without it takes
    part at once, as nobody can be asked. What a peer says (``Heard``) counts only for the two incarnations that spoke
    with each other.
    """

    def stand(self, standing: Standing) -> None:
        """What this node says of itself from now on."""
        ...

    def ask(self, number: int, node_ids: Collection[int]) -> None:
        """Asks these peers for their standing, at once; those not heard yet are probed.

        ``number`` grows with each question; see ``Heard.answered``. Questions and answers may be lost: ask again.
        """
        ...


class DismissingTransport(Transport, Protocol):
    """A ``Transport`` that tells nodes that they were removed.

    Optional: a transport is one of these when it has ``dismiss``. On one without it a node that was removed while it
    was down never hears of it, and goes on asking who leads.
    """

    def dismiss(self, removed: Mapping[int, RemovedMember]) -> None:
        """Whoever speaks as one of these, from whatever store, is told that it was removed, at the address that it
        had: the incarnation that spoke, once a second at most. All whom earlier calls named are among them."""
        ...

    def on_removed(self, callback: Callable[[int, int], None]) -> None:
        """Sets whom to tell, by node id, that a peer says this node was removed, and by which configuration entry.
        Called inside ``receive``. It is said again while this node speaks, and may be old."""
        ...


class FetchingTransport(Transport, Protocol):
    """A ``Transport`` over which snapshots go from node to node, beside everything else.

    Optional: a transport is one of these when it has ``send_snapshot_talk``. A node on a transport without it neither
    gives nor gets snapshots. What is said comes from a peer's newest known incarnation and is meant for this one, as
    with messages; it may be lost, repeated and reordered.
    """

    def on_snapshot_talk(self, callback: Callable[[int, SnapshotTalk], None]) -> None:
        """Sets whom to give what comes, with the id of the node that said it.

        Called inside ``receive``; a chunk's bytes lie in what was received, and may be kept.
        """
        ...

    def send_snapshot_talk(self, node_id: int, talk: SnapshotTalk) -> None:
        """Sends it, as fast as the path allows where it is large; Raft's messages overtake it. Nothing waits for a node
        that has not been heard."""
        ...

    def answers_already(self, node_id: int, request: SnapshotRequest) -> bool:
        """Whether just what the node asks for is on its way to it, as far as known: sent again it would only take room
        from the rest."""
        ...

    def snapshot_backlog(self, node_id: int) -> int:
        """Bytes that were to be sent to the node, and have not arrived as far as known. Whoever sends more than the
        path takes sees this grow, and stops for a while."""
        ...
