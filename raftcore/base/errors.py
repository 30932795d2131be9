"""The core's exceptions.

Three kinds that never mix: what a caller can handle (:class:`RaftError`), a peer that broke the protocol
(:class:`PeerFault`, counted and otherwise without effect), and a broken promise of the algorithm itself
(:class:`InvariantViolation`, never swallowed).
"""

from __future__ import annotations


class RaftError(Exception):
    """Root of everything a caller can handle; raised only as one of its kinds below, and of those of raftpy."""


class ConfigError(RaftError, ValueError):
    """A setting is out of its allowed range, or does not fit another; or calls that exclude one another were mixed.

    Raised when a Config is made, by RawNode when the initial state contradicts itself or the Config, and by its
    ``ready``, ``advance``, ``collect`` and ``written`` out of turn. The message names the value and what was allowed.
    """


class ProposalDropped(RaftError):
    """The proposal was not appended; nothing happened, and it may be proposed again.

    Raised by ``RawNode.propose`` and ``propose_conf_change``, and by ``step`` for one that a follower has passed on
    (its proposer is not told). ``reason`` is a str, one of

        no_leader          no leader is known here, or this node stands for election itself
        not_leader         a follower with ``disable_proposal_forwarding``
        transferring       the leader hands leadership over (thesis 3.10): for an election timeout at most
        uncommitted_limit  the leader holds ``max_uncommitted_size`` bytes that are not applied yet
        removed            the leader is no member of the configuration any more
        empty              passed on without a command, or with a no-op, which only a leader appends itself
        quarantined        for ever: see ``RawNode.conflict``
    """

    def __init__(self, reason: str = "no_leader") -> None:
        super().__init__("raft proposal dropped")
        self.reason = reason


class StepLocalMessage(RaftError):
    """A message that only this node may send to itself arrived from outside.

    Raised by ``RawNode.step`` for the types that docs/messages.md calls local; ``step_frames`` counts it in ``faults``.
    """

    def __init__(self) -> None:
        super().__init__("raft: cannot step raft local message")


class StepPeerNotFound(RaftError):
    """A response came from a node that is not in this node's configuration.

    Raised by ``RawNode.step``; ``step_frames`` counts it in ``ignored``. Nothing has changed: after a removal it is
    usual.
    """

    def __init__(self) -> None:
        super().__init__("raft: cannot step as peer not found")


class ConfChangeError(RaftError, ValueError):
    """A configuration change is not possible from the current configuration (thesis 4.1 to 4.3), or is none at all.

    Raised by ``RawNode.apply_conf_change``, by RawNode for an initial configuration that cannot be, and when a
    ConfChange or ConfChangeV2 is made with a type, transition or node id that does not exist.
    """


class Compacted(RaftError):
    """The entries asked for are no longer in the log: a snapshot covers them.

    Raised by ``RawNode.compact`` up to an index that is compacted already, and by storages asked for
    such entries. The core asks none for them: it sends a snapshot instead.
    """

    def __init__(self, text: str = "requested index is unavailable due to compaction") -> None:
        super().__init__(text)


class Unavailable(RaftError):
    """The entries asked for are not in the log (yet).

    Raised by ``RawNode.compact`` up to an index that is not applied or not durable, and by a StorageView's ``entries``
    beyond its log.
    """

    def __init__(self, text: str = "requested entry at index is unavailable") -> None:
        super().__init__(text)


class SnapshotOutOfDate(RaftError):
    """A storage was given a snapshot that is not newer than the one it has; raised by storages, never by the core."""

    def __init__(self) -> None:
        super().__init__("requested index is older than the existing snapshot")


class SnapshotTemporarilyUnavailable(RaftError):
    """The storage has no snapshot to hand out right now; raised by a StorageView's ``snapshot``. The core sends none
    then, and asks again at the member's next answer."""

    def __init__(self) -> None:
        super().__init__("snapshot is temporarily unavailable")


class LogTemporarilyUnavailable(RaftError):
    """The storage does not have these entries at hand, and is reading them; raised by a StorageView's
    ``entries_at_hand``. The core goes on without them, and asks again after ``RawNode.report_entries``.

    Raised by its ``entries`` as well, where they cannot be read right now: what a message needed them for does not
    happen, and the message is as good as lost on its way (``RawNode.step``).
    """

    def __init__(self, text: str = "log is temporarily unavailable") -> None:
        super().__init__(text)


class DecodeError(RaftError, ValueError):
    """Bytes from outside are not a datagram, a frame, a message or a block of this format (docs/wire-format.md).

    Raised by all that decodes; the message says what is wrong and where. ``RawNode.step_frames`` counts it in
    ``faults``.
    """


class PeerFault(RaftError):
    """A well-formed message that no correct peer sends. It is counted and changes nothing.

    Raised by ``RawNode.step``; ``step_frames`` counts it in ``faults``. It does change one thing: that a leader
    contradicts what is committed here is noted. When the leader that this node follows has done so in three
    rounds, the node is quarantined and this is not raised (``RawNode.conflict``; docs/design.md, decision 1).
    """


class InvariantViolation(Exception):
    """Something that must always hold does not: a bug, here or in the driver. Never swallowed: the node stops.

    Raised by the core when it, its storage or its driver breaks a promise: entries reported as applied out of order, a
    log compacted further than the snapshot that has to be sent, a figure of the paper that does not hold.
    """
