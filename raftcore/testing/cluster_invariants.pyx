"""Everything that must always hold, checkable in one call, in every build.

``check(node)`` looks at one node, ``check_all(nodes, history)`` at each of them and at what must hold between them
(Figure 3 of the paper). A failed check raises InvariantViolation with the number of the rule. Building with
RAFTPY_INVARIANTS=1 makes every call of a RawNode that changes something end with ``check`` of that node.

Rules of one node: R roles and terms, L log, C configuration, P progress (on a leader), Q reads, O outbox.
Rules between nodes: S1 election safety, S2 leader append-only, S3 log matching, S4 leader completeness, S5 state
machine safety, S6 votes are for one candidate a term, S7 quorums of neighbouring configurations overlap.
"""

from raftcore.base.errors import InvariantViolation
from raftcore.base.types import StateType

from raftcore.api.raw_node cimport RawNode
from raftcore.check.invariants cimport CHECK_EACH_STEP, check_raft

CHECKED_EACH_STEP = bool(CHECK_EACH_STEP)


def check(node):
    """Checks one node. Raises InvariantViolation for the first rule that does not hold."""
    check_raft((<RawNode?> node).raft)


class History:
    """What earlier states of a cluster have shown, for the rules that span time. Give the same one to every call.

    Attributes:
        leaders: term -> node id.
        votes: (node id, term) -> candidate.
        committed: index -> term.
        committed_in: index -> lowest term of a node that held it as committed.
        logs: (leader, term) -> index -> term, of its log when it was last seen as leader.
    """

    def __init__(self):
        self.leaders = {}    # term -> node id
        self.votes = {}      # (node id, term) -> candidate
        self.committed = {}  # index -> term
        self.committed_in = {}  # index -> lowest term of a node that held it as committed
        self.logs = {}       # (leader, term) -> index -> term of its log when last seen as leader


def check_all(nodes, history=None):
    """Checks each node, and the rules between them.

    Args:
        nodes: RawNodes of one group, at one moment.
        history: a History carried from call to call, for the rules that span time; None for this moment alone.
    """
    nodes = list(nodes)
    if history is None:
        history = History()
    for node in nodes:
        check(node)
    for node in nodes:
        observe_leader(node, history)
        observe_vote(node, history)
    for node in nodes:
        observe_commits(node, history)
    leaders = [node for node in nodes if node.state == StateType.StateLeader]
    if leaders:
        leader_is_complete(max(leaders, key=lambda node: node.term), history)
    for position, node in enumerate(nodes):
        for other in nodes[position + 1:]:
            logs_match(node, other)
            quorums_overlap(node, other)


def broken(rule, text):
    """Raises InvariantViolation for a rule between nodes."""
    raise InvariantViolation(f"{rule}: {text}")


def observe_leader(node, history):
    """S1 election safety: a term has one leader. S2: a leader only appends to its log."""
    if node.state != StateType.StateLeader:
        return
    first = history.leaders.setdefault(node.term, node.id)
    if first != node.id:
        broken("S1", f"term {node.term} has two leaders, {first} and {node.id}")
    log = {index: node.term_at(index) for index in range(node.first_index, node.last_index + 1)}
    before = history.logs.get((node.id, node.term), {})
    for index, term in before.items():
        if index >= node.first_index and log.get(index) != term:
            broken("S2", f"leader {node.id} of term {node.term} changed entry {index}: {term} to {log.get(index)}")
    history.logs[node.id, node.term] = log


def observe_vote(node, history):
    """S6: a node votes for one candidate a term, also over a crash."""
    if node.vote == 0:
        return
    first = history.votes.setdefault((node.id, node.term), node.vote)
    if first != node.vote:
        broken("S6", f"node {node.id} voted in term {node.term} for {first} and for {node.vote}")


def observe_commits(node, history):
    """S5: what one node holds as committed at an index, all do, forever."""
    for index in range(node.first_index, node.commit_index + 1):
        term = node.term_at(index)
        first = history.committed.setdefault(index, term)
        history.committed_in[index] = min(node.term, history.committed_in.get(index, node.term))
        if first != term:
            broken("S5", f"entry {index} was committed in term {first}, and node {node.id} holds it in term {term}")


def leader_is_complete(leader, history):
    """S4 leader completeness: a leader has every entry that was committed in its term or before (Figure 3).

    An entry of a former term may be committed late, by a later leader. A leader that was elected before that, and has
    not heard of it yet, may lack it: so the term counts in which it was committed, not its own.
    """
    for index, term in history.committed.items():
        if index < leader.first_index or history.committed_in.get(index, term) > leader.term:
            continue
        if leader.term_at(index) != term:
            broken("S4", f"leader {leader.id} of term {leader.term} lacks entry {index} of term {term}, committed")


def logs_match(node, other):
    """S3 log matching: logs that agree at an index agree up to there."""
    first = max(node.first_index, other.first_index)
    agreed = False
    for index in range(min(node.last_index, other.last_index), first - 1, -1):
        same = node.term_at(index) == other.term_at(index)
        if agreed and not same:
            broken("S3", f"nodes {node.id} and {other.id} agree after entry {index}, and differ in it")
        agreed = agreed or same


def quorums_overlap(node, other):
    """S7: configurations at most one change apart have no two quorums without a common member (thesis 4.1, 4.3).

    Two nodes may be further apart while one lags behind; then nothing is said.
    """
    ours, theirs = node.conf_state, other.conf_state
    if node.conf_index == other.conf_index or ours == theirs:
        return
    if ours.voters_outgoing or theirs.voters_outgoing:
        joint, simple = (ours, theirs) if ours.voters_outgoing else (theirs, ours)
        if simple.voters_outgoing or simple.voters in (joint.voters, joint.voters_outgoing):
            return  # one half is the other's only half: its majorities overlap with themselves
        return
    changed = set(ours.voters) ^ set(theirs.voters)
    if len(changed) > 1:
        return
    small, large = sorted((len(ours.voters), len(theirs.voters)))
    if small // 2 + 1 + large // 2 + 1 <= len(set(ours.voters) | set(theirs.voters)):
        broken("S7", f"nodes {node.id} and {other.id} could elect apart: {ours!r}, {theirs!r}")
