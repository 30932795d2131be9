"""Majorities, counted the slow way."""

from __future__ import annotations

from collections.abc import Collection, Sequence

UNLIMITED = 2**64 - 1


def committed(match: Sequence[int]) -> int:
    """The highest index that more than half of the members have; without members, any."""
    if not match:
        return UNLIMITED
    return max(index for index in (0, *match) if 2 * sum(have >= index for have in match) > len(match))


def joint_committed(incoming: Sequence[int], outgoing: Sequence[int]) -> int:
    return min(committed(incoming), committed(outgoing))


def is_won(votes: Collection[bool | None]) -> bool:
    return not votes or 2 * sum(vote is True for vote in votes) > len(votes)


def vote(votes: Collection[bool | None]) -> str:
    """Won; or lost, if it would not be won with everybody who is silent; or pending."""
    if is_won(votes):
        return "VoteWon"
    return "VotePending" if is_won([vote is not False for vote in votes]) else "VoteLost"


def joint_vote(incoming: Collection[bool | None], outgoing: Collection[bool | None]) -> str:
    results = {vote(incoming), vote(outgoing)}
    if "VoteLost" in results:
        return "VoteLost"
    return "VoteWon" if results == {"VoteWon"} else "VotePending"
