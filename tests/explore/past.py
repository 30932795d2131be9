"""What has happened and cannot be seen in the nodes any more: what was ever committed, what was used up.

It is part of a state, so that rules that span time are decided by the state alone, whichever way led to it.
"""

from __future__ import annotations

from raftcore.testing.cluster_invariants import History
from tests.explore.naming import number

Spent = tuple[int, int, int, int]  # crashes, heartbeats, transfers, changes
Committed = tuple[tuple[int, int], ...]  # (term, term of the leader that committed it) of each index from 1 on


LIMITED = ("crash", "heartbeat", "transfer", "change")


class Past:
    """Immutable, and one object for each value (see Pasts)."""

    __slots__ = ("committed", "joined", "later", "reads", "spent")

    def __init__(self, committed: Committed, spent: Spent, reads: tuple[int, ...], joined: int) -> None:
        self.committed = committed
        """The longest committed prefix that any node has ever known."""
        self.spent = spent
        """How often each of LIMITED has happened."""
        self.reads = reads
        """For each read asked for, how many entries were committed by then, as anybody knew."""
        self.joined = joined
        """Its number for fingerprints."""
        self.later: dict[object, Past] = {}

    def history(self) -> History:
        """As raftcore.testing.cluster_invariants wants it."""
        history = History()
        for index, (term, committed_in) in enumerate(self.committed, 1):
            history.committed[index] = term
            history.committed_in[index] = committed_in
        return history


class Pasts:
    """All pasts met so far."""

    def __init__(self, renamings: int) -> None:
        self.renamings = renamings
        self.known: dict[tuple[Committed, Spent, tuple[int, ...]], Past] = {}

    def of(self, committed: Committed = (), spent: Spent = (0, 0, 0, 0), reads: tuple[int, ...] = ()) -> Past:
        values = (committed, spent, reads)
        if values not in self.known:
            joined = int.from_bytes(number(("past", *values)) * self.renamings, "big")  # no node is named in it
            self.known[values] = Past(*values, joined)
        return self.known[values]

    def after_commit(self, past: Past, terms: tuple[int, ...], node_term: int) -> Past:
        """A node of ``node_term`` holds these as committed. The first to know is the leader that commits, so that what
        is new was committed in its term. Contradictions are not seen here but by the rules."""
        if len(terms) <= len(past.committed):
            return past
        found = past.later.get((terms, node_term))
        if found is None:
            new = tuple([(term, node_term) for term in terms[len(past.committed) :]])
            found = past.later[terms, node_term] = self.of(past.committed + new, past.spent, past.reads)
        return found

    def after(self, past: Past, what: str) -> Past:
        """One more of LIMITED, or a read asked for."""
        found = past.later.get(what)
        if found is None:
            spent = tuple([count + (name == what) for name, count in zip(LIMITED, past.spent, strict=True)])
            reads = (*past.reads, len(past.committed)) if what == "read" else past.reads
            found = past.later[what] = self.of(past.committed, spent, reads)  # type: ignore[arg-type]
        return found
