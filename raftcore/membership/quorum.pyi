from collections.abc import Iterable
from enum import IntEnum

class VoteResult(IntEnum):
    VotePending = 1
    VoteLost = 2
    VoteWon = 3

def vote_result(incoming: Iterable[bool | None], outgoing: Iterable[bool | None] = ()) -> VoteResult: ...
def committed_index(incoming: Iterable[int], outgoing: Iterable[int] = ()) -> int: ...
