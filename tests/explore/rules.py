"""Everything that must hold, at each state, and how each rule is decided without looking at the same thing twice.

raftcore.testing.cluster_invariants is asked about every node state once; about every pair of node states that ever
stand side by side once; about every node state together with everything that was ever committed once; and about the two
ends of every step of a node. Its rules look at no more than that at a time, so together this is check_all at every
state with its whole history:

    one node                       R, L, C, P, Q, O
    two nodes                      S1 (now), S3, S5 (now), S7
    a node and what was committed  S4 leader completeness, S5 state machine safety
    before and after a step        S2 leader append-only, S5, S6 votes are for one candidate a term, over crashes too
    claims to a term (search)      S1 election safety, over time

Rules of the explorer's own: D1, D2 (member.py) a promise is on the disk before it leaves; D3 a term never falls, nor
a vote changes, on the disk; E1 entries of one index and term are the same; F1, F2 no correct peer is accused, no error
escapes; I1 a read's index covers what was committed when it was asked for; T1 no proposal is taken while leadership is
handed over, T2 that ends with an election timeout; W1 a committed command is held by a full member, W2 a witness does
not stand, W3 nor hold commands.
"""

from __future__ import annotations

from raftcore import EntryKind, StateType
from raftcore.base.errors import InvariantViolation, ProposalDropped
from raftcore.check.protocol_state import ProtocolState
from raftcore.testing.cluster_invariants import History, check, check_all
from raftcore.testing.exploration import set_elapsed
from tests.explore.member import Member
from tests.explore.past import Past
from tests.explore.scope import ELECTION_TICK, Scope


def one_node(member: Member, state: ProtocolState, scope: Scope) -> str | None:
    """What is wrong with one node by itself."""
    try:
        check(member.raw)
    except InvariantViolation as error:
        return str(error)
    if scope.witness and state.id == scope.nodes:
        if state.role != StateType.StateFollower:
            return f"W2: witness {state.id} is {StateType(state.role).name}"
        if any(kind == EntryKind.EntryNormal and data for _, kind, data in state.log.entries):
            return f"W3: witness {state.id} holds a command"
    if state.transferee != 0:
        return handing_over(member)
    return None


def handing_over(member: Member) -> str | None:
    """T1, T2: what must hold of a leader that hands over."""
    trial = member.copy().raw
    try:
        trial.propose([b"meanwhile"])
    except ProposalDropped as error:
        if error.reason != "transferring":
            return f"T1: node {trial.id} hands over, and drops a proposal for another reason: {error.reason}"
    else:
        return f"T1: node {trial.id} takes a proposal while it hands over to {trial.status().transferee}"
    set_elapsed(trial, ELECTION_TICK - 1)
    trial.tick()
    if trial.status().transferee != 0:
        return f"T2: node {trial.id} goes on handing over to {trial.status().transferee} after an election timeout"
    return None


def one_step(before: Member, after: Member, volatile: bool) -> str | None:
    """What is wrong with a step of one node. ``volatile``: it may have lost what was not on its disk."""
    hard, now = before.storage.hard_state, after.storage.hard_state
    if now.term < hard.term or (now.term == hard.term and hard.vote not in (0, now.vote)):
        return f"D3: the disk of node {after.raw.id} went from {hard!r} to {now!r}"
    if volatile:
        return None
    if after.raw.term < before.raw.term:
        return f"D3: node {after.raw.id} went from term {before.raw.term} to {after.raw.term}"
    history = History()
    try:
        check_all([before.raw], history)
        check_all([after.raw], history)
    except InvariantViolation as error:
        return str(error)
    return None


def two_nodes(one: Member, other: Member, first: ProtocolState, second: ProtocolState, scope: Scope) -> str | None:
    """What is wrong between two nodes at one moment."""
    try:
        check_all([one.raw, other.raw])
    except InvariantViolation as error:
        return str(error)
    if scope.witness and scope.nodes in (first.id, second.id):
        return None
    for index, (ours, theirs) in enumerate(zip(first.log.entries, second.log.entries, strict=False), 1):
        if ours[0] == theirs[0] and ours != theirs:
            return f"E1: entry {index} of term {ours[0]} is {ours} at node {first.id}, {theirs} at node {second.id}"
    return None


def node_and_past(member: Member, past: Past) -> str | None:
    """What is wrong between a node and what was ever committed."""
    try:
        check_all([member.raw], past.history())
    except InvariantViolation as error:
        return str(error)
    return None


def payloads_kept(states: list[ProtocolState], past: Past, scope: Scope) -> str | None:
    """W1: what is committed is held, with its payload, by a member that is no witness."""
    for index, (term, _) in enumerate(past.committed, 1):
        full = [state.log.entries[index - 1] for state in states if state.id != scope.nodes and state.log.last >= index]
        if not any(entry[0] == term and (entry[2] or entry[1] != EntryKind.EntryNormal) for entry in full):
            return f"W1: no full member holds the committed entry {index} of term {term}"
    return None


def read_covers(index: int, context: bytes, past: Past) -> str | None:
    """I1: linearizability of a read (thesis 6.4)."""
    committed = past.reads[int(context)]
    if index < committed:
        return f"I1: read {context.decode()} is answered with index {index}, but {committed} was committed before it"
    return None
