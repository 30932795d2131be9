"""What a transport counts. Plain slotted attributes, added to in place."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from raftpy.transport.exchange.exchange import Traffic


@dataclass(slots=True)
class PeerCounters(Traffic):
    """Datagrams to and from one peer; each one read under its id is under exactly one of ``received`` (see Traffic) and
    the first block."""

    probes: int = 0
    """From an incarnation that had not heard this one yet; answered by a bare header."""
    other_incarnation: int = 0
    """Meant for another incarnation of this node; answered by a bare header."""
    stale_boot: int = 0
    """From an earlier incarnation of the peer than the newest heard."""
    forked_boot: int = 0
    """From a second incarnation under the same boot counter: a copied or rolled-back data directory."""
    wrong_store: int = 0
    """From another data directory than the one pinned for the peer."""

    malformed_hello: int = 0
    """Hello and refusal frames that did not decode; their datagrams count as received all the same."""
    incarnations: int = 0
    """Different incarnations of the peer heard: 1 and one more for each restart of it that was noticed."""

    answers: int = 0
    """Of the datagrams in ``sent``, bare headers sent as an answer."""
    refusals: int = 0
    """Of these, refusals: the peer's id is used by an incarnation that is not taken for it."""
    probes_sent: int = 0
    """Of these, bare headers sent to a peer not heard yet."""

    messages_dropped: int = 0
    """Messages given up while waiting for a peer to be heard, or queued for an incarnation of it that has ended."""
    oversized: int = 0
    """Messages sent in a datagram of their own above max_datagram: an entry of a time when the limit was higher."""
    too_large: int = 0
    """Messages given up because no UDP datagram holds them, or not as many fragments as the peer puts together."""
    fragmented: int = 0
    """Messages that were to go in fragments."""
    fragmented_again: int = 0
    """Messages that were not taken because the same was on its way in fragments."""
    fragmented_given_up: int = 0
    """Messages given up with some of their fragments not acknowledged."""
    fragments_sent: int = 0
    """Of the datagrams in ``sent``, those with a fragment."""
    fragments_received: int = 0
    """Of the datagrams in ``received``, those with a fragment."""
    fragmented_received: int = 0
    """Messages put together from fragments."""
    lane_gaps: int = 0
    """Gaps in the peer's lanes that were waited for in vain: Raft repeats what was missing there."""
    malformed_fragments: int = 0
    """Fragments, and acknowledgements of such, that did not decode, or said what cannot be."""
    malformed_snapshot_frames: int = 0
    """Requests for snapshots, and answers to such, that did not decode."""
    snapshot_frames_dropped: int = 0
    """Such that were not sent: the peer had not been heard, or takes no fragments."""
    path_probes: int = 0
    """Of the datagrams in ``sent``, those that tried what size the path takes."""
    path_narrowed: int = 0
    """How often the path to its present incarnation took less than before."""
    malformed_probes: int = 0
    """Such, and answers to such, that did not decode."""
    too_long: int = 0
    """Datagrams that the system, or a router, refused as too long for the path; that was taken up."""
    send_buffer_full: int = 0
    """Datagrams the system did not take because its buffers were full."""
    send_refused: int = 0
    """Datagrams the peer's host refused: nobody listens at its address."""
    unresolved: int = 0
    """Datagrams that could not be sent because the peer's name does not resolve."""
    send_failed: int = 0
    """Datagrams the system refused for any other reason (no route, too long)."""
    dropped: int = 0
    """Datagrams thrown away on purpose, by Unreliable or a MemoryNetwork."""
    duplicated: int = 0
    """Datagrams sent twice on purpose."""
    delayed: int = 0
    """Datagrams sent late on purpose."""

    def as_dict(self) -> dict[str, int]:
        """Counter name to count."""
        traffic = {name: getattr(self, name) for name in ("received", "received_bytes", "sent", "sent_bytes")}
        return {**traffic, **asdict(self)}


@dataclass(slots=True)
class NodeCounters:
    """Datagrams that belong to no peer; each is dropped."""

    malformed: int = 0
    """Too short, another version, a wrong checksum, or an incarnation of 0."""
    wrong_cluster: int = 0
    """Of another cluster id than this node's."""
    misdirected: int = 0
    """For another node id than this node's: an address in somebody's list is wrong."""
    unknown_peer: int = 0
    """From a node id that is no member, or is this node's own."""
    unknown_target: int = 0
    """Messages, not datagrams: for a node id that is no member."""
    read_errors: int = 0
    """Errors the system reported while reading."""

    def as_dict(self) -> dict[str, int]:
        """Counter name to count."""
        return asdict(self)
