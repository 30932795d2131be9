"""Two committed histories that contradict each other: what a node remembers of it, and can say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conflict:
    """A committed entry of this node has another term, or other contents, in the log of its term's leader.

    Between nodes that forget nothing this cannot be (leader completeness, Figure 3): one of the two sides stands on a
    disk that has lost what it once acknowledged. Which one, the two of them cannot tell.
    """

    index: int
    """Of the entry, at or below this node's commit index."""
    term: int
    """Its term here."""
    leader: int
    """Node id of the leader whose log says otherwise."""
    leader_term: int
    """The entry's term there. Where the leader named only an earlier or a later one: that, which rules ``term`` out.
    The same as ``term``: the contents differ, because two leaders were elected for that term."""
    current_term: int
    """The term that the leader leads in, and this node is in."""

    def describe(self) -> str:
        """One line: the index, both terms or that only the contents differ, and what must not be done about it."""
        if self.term == self.leader_term:
            what = f"has other contents here than at node {self.leader}, though the terms agree (both {self.term})"
        else:
            what = f"has term {self.term} here and term {self.leader_term} at node {self.leader}"
        return (
            f"committed entry {self.index} {what}, the leader of term {self.current_term}; either side may be the "
            "wrong one (an older copy of a data directory put back, here or there), so neither disk should be deleted"
        )
