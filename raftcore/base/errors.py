"""The core's exceptions.

Three kinds that never mix: what a caller can handle (:class:`RaftError`), a peer that broke the protocol
(:class:`PeerFault`, counted and otherwise without effect), and a broken promise of the algorithm itself
(:class:`InvariantViolation`, never swallowed).
"""

from __future__ import annotations


class RaftError(Exception):
    """Root of everything a caller can handle."""


class ConfigError(RaftError, ValueError):
    """A setting is out of its allowed range; the message names the value and what was allowed."""


class ProposalDropped(RaftError):
    """The proposal was not appended; nothing happened, and it may be proposed again.

    ``reason`` is one of ``no_leader``, ``not_leader``, ``transferring``, ``uncommitted_limit``, ``removed``, ``empty``
    (forwarded without a command) and ``quarantined`` (for ever: see ``RawNode.conflict``).
    """

    def __init__(self, reason: str = "no_leader") -> None:
        super().__init__("raft proposal dropped")
        self.reason = reason


class StepLocalMessage(RaftError):
    """A message that only this node may send to itself arrived from outside."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step raft local message")


class StepPeerNotFound(RaftError):
    """A response came from a node that is not in this node's configuration."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step as peer not found")


class ConfChangeError(RaftError, ValueError):
    """A configuration change is not possible from the current configuration."""


class Compacted(RaftError):
    """The entries asked for are no longer in the log: a snapshot covers them."""

    def __init__(self, text: str = "requested index is unavailable due to compaction") -> None:
        super().__init__(text)


class Unavailable(RaftError):
    """The entries asked for are not in the log (yet)."""

    def __init__(self, text: str = "requested entry at index is unavailable") -> None:
        super().__init__(text)


class SnapshotOutOfDate(RaftError):
    """A storage was given a snapshot that is not newer than the one it has."""

    def __init__(self) -> None:
        super().__init__("requested index is older than the existing snapshot")


class SnapshotTemporarilyUnavailable(RaftError):
    """The storage has no snapshot to hand out right now; the core asks again later."""

    def __init__(self) -> None:
        super().__init__("snapshot is temporarily unavailable")


class DecodeError(RaftError, ValueError):
    """Bytes from outside are not a datagram, a frame, a message or a block of this format."""


class PeerFault(RaftError):
    """A well-formed message that no correct peer sends. It is counted and changes nothing.

    But for one thing: that a leader contradicts what is committed here is noted. Told three times by the leader that
    this node follows, it quarantines the node, which is no fault any more (``RawNode.conflict``).
    """


class InvariantViolation(Exception):
    """Something that must always hold does not: a bug. Never caught inside raftcore or raftpy."""
