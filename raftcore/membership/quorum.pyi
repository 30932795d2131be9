from collections.abc import Iterable
from enum import IntEnum

class VoteResult(IntEnum):
    """How an election stands: a quorum may still come about, cannot any more, or has."""

    VotePending = 1
    VoteLost = 2
    VoteWon = 3

def vote_result(incoming: Iterable[bool | None], outgoing: Iterable[bool | None] = ()) -> VoteResult: ...
def committed_index(incoming: Iterable[int], outgoing: Iterable[int] = ()) -> int: ...
