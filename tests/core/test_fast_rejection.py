"""Finding the last agreement: hints and probes go back a term at a time (paper 5.3's optimisation, both sides)."""

from __future__ import annotations

import random

import pytest

from raftcore import Message, MessageType
from tests.core.server import of, with_logs

Hint = tuple[int, int, int]  # (rejected index, hint index, hint term)


def rejections(leader: list[int], follower: list[int]) -> tuple[list[Hint], list[int]]:
    """What follower 2 rejects until its log is the leader's, and where the leader probes in turn."""
    net = with_logs({1: leader, 2: follower, 3: leader})
    net.campaign(1)
    assert net[2].log() == net[1].log()
    hints = [(m.index, m.reject_hint, m.log_term) for m in of(MessageType.MsgAppResp, net.sent) if m.reject]
    probes: list[int] = []
    for message in of(MessageType.MsgApp, net.sent):
        if message.to == 2 and (not probes or probes[-1] > message.index):
            probes.append(message.index)
    return hints, probes[: len(hints) + 1]


@pytest.mark.parametrize(
    ("leader", "follower", "hints", "probes"),
    [
        # nothing to find
        ([1, 1, 1], [1, 1, 1], [], [3]),
        # the follower's log is only shorter
        ([1, 1, 1, 1], [1, 1], [(4, 2, 1)], [4, 2]),
        ([1, 2, 3, 4], [], [(4, 0, 0)], [4, 0]),
        # the follower has more of the same term: no conflict at the probe
        ([1, 1], [1, 1, 1, 1], [], [2]),
        # the follower's terms are all lower: the leader skips its own higher ones
        ([1, 3, 3, 3, 5, 5, 5, 5, 5], [1, 1, 1, 1, 2, 2], [(9, 6, 2)], [9, 1]),
        ([1, 3, 3, 3, 3, 3, 3, 3, 3, 7], [1, 3, 3, 3, 4, 4, 5, 5, 5, 6], [(10, 10, 6), (9, 4, 3)], [10, 9, 4]),
        # the follower's terms are all higher: it skips them itself
        ([1, 2, 2, 2, 2], [1, 3, 3, 3, 3], [(5, 1, 1)], [5, 1]),
        # one conflicting term on each side
        ([1, 1, 1, 4, 4, 4], [1, 1, 1, 2, 2, 2, 3, 3], [(6, 6, 2)], [6, 3]),
        ([1, 1, 1, 4, 4, 4], [1, 1, 1, 3, 3, 3, 5, 5], [(6, 6, 3)], [6, 3]),
        # terms that take turns: one rejection for each
        ([1, 2, 4, 6], [1, 3, 5, 7], [(4, 3, 5), (3, 2, 3), (2, 1, 1)], [4, 3, 2, 1]),
        # a long run on one side costs no more
        ([1] + [2] * 40, [1] * 41, [(41, 41, 1)], [41, 1]),
        ([1] * 41, [1] + [2] * 40, [(41, 1, 1)], [41, 1]),
        # same lengths, no agreement at all
        ([2, 2, 2], [1, 1, 1], [(3, 3, 1)], [3, 0]),
        ([1, 1, 1], [2, 2, 2], [(3, 0, 0)], [3, 0]),
    ],
)
def test_table(leader: list[int], follower: list[int], hints: list[Hint], probes: list[int]) -> None:
    assert rejections(leader, follower) == (hints, probes)


def agreement(one: list[int], other: list[int]) -> int:
    index = 0
    while index < min(len(one), len(other)) and one[index] == other[index]:
        index += 1
    return index


def test_any_two_logs(seed: int) -> None:
    """No probe goes below the last agreement, and there are no more of them than there are terms.

    Two logs that hold the same term hold the same entries of it up to where the shorter one ends: a term has one
    leader. So they are cut from one history for as long as they agree.
    """
    rng = random.Random(seed)
    for _ in range(60):
        common = sorted(rng.randint(1, 5) for _ in range(rng.randint(0, 8)))
        top = max(common, default=0)
        leader = common + sorted(top + 1 + 2 * rng.randint(0, 4) for _ in range(rng.randint(0, 12)))
        follower = common + sorted(top + 2 + 2 * rng.randint(0, 4) for _ in range(rng.randint(0, 12)))
        if not leader:
            continue
        hints, probes = rejections(leader, follower)
        agree = agreement(leader, follower)
        assert all(probe >= agree for probe in probes), (leader, follower, probes)
        assert probes == sorted(set(probes), reverse=True)
        assert len(hints) <= 1 + len(set(leader[agree:]) | set(follower[agree:]))


def rejection(term: int, index: int, hint: int, hint_term: int) -> Message:
    return Message(
        MessageType.MsgAppResp,
        to=1, from_=2, term=term, index=index, reject=True, reject_hint=hint, log_term=hint_term,
    )  # fmt: skip


@pytest.mark.parametrize("term_of_hint", [0, 1, 3, 99])
@pytest.mark.parametrize("hint", [0, 1, 3, 99])
def test_a_wrong_hint_never_moves_match_or_stops_replication(hint: int, term_of_hint: int) -> None:
    net = with_logs({1: [1, 2, 2], 2: [1, 2, 2], 3: [1, 2, 2]})
    net.isolate(2)
    net.campaign(1)
    net.heal()
    net.sent.clear()
    before = net[1].raw.status().progress[2]
    net[1].raw.step(rejection(net[1].raw.term, before.next - 1, hint, term_of_hint))
    net.collect(net[1])
    after = net[1].raw.status().progress[2]
    assert after.match == before.match
    assert after.next > after.match
    net.tick_all(3)
    assert net[2].log() == net[1].log()


def test_a_rejection_that_answers_an_older_probe_is_ignored() -> None:
    net = with_logs({1: [1, 2, 2], 2: [1], 3: [1, 2, 2]})
    net.isolate(2)
    net.campaign(1)
    before = net[1].raw.status().progress[2]
    net[1].raw.step(rejection(net[1].raw.term, before.next + 5, 0, 0))
    assert net[1].raw.status().progress[2].next == before.next
