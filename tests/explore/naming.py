"""Keys of messages and members under a renaming of the nodes, and the numbers that states are joined by.

The fingerprint of a cluster is the exclusive or of one random-looking number for each part: each node's state, each
message that is on its way. One number is made for each renaming under which the scope stays the same; they lie side by
side in one integer, so that a step changes all of them at once. The smallest is the state's canonical fingerprint: two
clusters that differ by a renaming have the same one. (128 bits: a chance of 1 in 10**24 that two of ten million states
are taken for one.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from raftcore import Message
from raftcore.base.types import StateType
from raftcore.check.protocol_state import ProtocolState, ReadState
from raftcore.testing.exploration import protocol_state
from tests.explore.member import Member
from tests.explore.scope import Scope

BYTES = 16
Renaming = Mapping[int, int]
NO_READS = ReadState(0, False, (), (), ())


def message_key(message: Message, renaming: Renaming) -> tuple[Any, ...]:
    """Everything a receiver can tell of a message."""
    return (
        message.type,
        renaming.get(message.to, message.to),
        renaming.get(message.from_, message.from_),
        message.term,
        message.log_term,
        message.index,
        message.commit,
        renaming.get(message.vote, message.vote),
        message.reject,
        message.reject_hint,
        message.conf_index,
        message.must_sync,
        None if message.entries is None else message.entries.data,
        message.context,
        None if message.responses is None else tuple(message_key(m, renaming) for m in message.responses),
    )


def what_matters(state: ProtocolState, scope: Scope) -> ProtocolState:
    """The protocol state without what cannot change anything that this scope can reach.

    Who was heard from lately decides only about check-quorum, snapshots (no log is compacted here) and priorities. The
    window of appends in flight decides only when it can be full. How long a leader has been silent decides only
    whether check-quorum lets a follower that knows one vote. Where a leader's log ended when it was elected only holds
    configuration changes back.
    """
    progress = state.progress
    if progress and not scope.hearing_matters:
        progress = tuple([pr._replace(recent_active=False) for pr in progress])
    if progress and not scope.inflight:
        progress = tuple([pr._replace(inflights=()) for pr in progress])
    silent = state.timeout_passed and scope.check_quorum and state.leader != 0 and state.role != StateType.StateLeader
    reads = state.reads if scope.reads else NO_READS
    pending = state.pending_conf_index if scope.change else 0
    return state._replace(progress=progress, timeout_passed=silent, reads=reads, pending_conf_index=pending)


def member_key(member: Member, scope: Scope, renaming: Renaming) -> tuple[Any, ...]:
    """Everything that decides what a member does next."""
    state = what_matters(protocol_state(member.raw, renaming), scope)
    if not member.writes:  # no confirmation is to come
        state = state._replace(log=state.log._replace(rewrites=0))
    if not scope.durable_matters:
        return (state,)
    hard, riding = member.storage.hard_state, member.committed_only
    durable = (
        hard.term,
        renaming.get(hard.vote, hard.vote),
        None if riding is None else (riding.term, renaming.get(riding.vote, riding.vote)),
        member.storage.last_index,
        member.storage.initial_state().term_runs,
    )
    return (state, durable, tuple([message_key(m, renaming) for m in member.writes]))


def number(key: object) -> bytes:
    """A random-looking number for a key, the same in every process."""
    return blake2b(repr(key).encode(), digest_size=BYTES).digest()


class Numbers:
    """Makes the numbers of one scope, one for each of its renamings, side by side."""

    def __init__(self, scope: Scope) -> None:
        self.renamings = scope.symmetries()
        self.same = self.renamings[0]
        """The renaming that leaves every name as it is."""
        self.width = BYTES * len(self.renamings)

    def of(self, key: Callable[[Renaming], object]) -> int:
        """key: gives the part's key under a renaming."""
        return int.from_bytes(b"".join([number(key(renaming)) for renaming in self.renamings]), "big")

    def canonical(self, joined: int) -> bytes:
        """The fingerprint that all renamings of a state share."""
        if self.width == BYTES:
            return joined.to_bytes(BYTES, "big")
        raw = joined.to_bytes(self.width, "big")
        return min([raw[at : at + BYTES] for at in range(0, self.width, BYTES)])
