"""When a new node begins, waits or stops: the table of founding.py, line by line, and what always holds."""

from __future__ import annotations

import itertools
import random

import pytest

from raftpy.contracts.types import Heard, Standing
from raftpy.runtime.founding import Judgement, Outcome, judge

SILENT = Heard()
NEW, CLEARED = Heard(5, "", standing=Standing.NEW), Heard(5, "", standing=Standing.CLEARED)
JOINED, ESTABLISHED = Heard(5, "", standing=Standing.JOINED), Heard(5, "", standing=Standing.ESTABLISHED)
STILL_NEW = Heard(5, "", standing=Standing.NEW, answered=7)
REFUSES = Heard(5, "", standing=Standing.ESTABLISHED, refuses=True)
ASKED = 7
"""The question put after somebody was heard to hold entries."""


def judged(*others: Heard, confirmed_from: int = 0, patient: bool = True) -> Judgement:
    """What node 1 makes of the words of nodes 2, 3 and so on."""
    return judge(dict(enumerate(others, 2)), confirmed_from, patient)


@pytest.mark.parametrize(
    ("others", "outcome", "members"),
    [
        ((NEW,), Outcome.BEGIN, ()),
        ((NEW, NEW), Outcome.BEGIN, ()),
        ((NEW, CLEARED), Outcome.BEGIN, ()),
        ((NEW, SILENT), Outcome.WAIT, (3,)),
        ((SILENT, SILENT), Outcome.WAIT, (2, 3)),
        ((REFUSES, SILENT), Outcome.REFUSED, (2,)),
        ((NEW, REFUSES), Outcome.REFUSED, (3,)),
        # the late member of a cluster that runs
        ((ESTABLISHED, ESTABLISHED), Outcome.BEGIN, ()),
        ((ESTABLISHED, JOINED), Outcome.BEGIN, ()),
        ((JOINED, JOINED), Outcome.BEGIN, ()),
        ((ESTABLISHED, SILENT), Outcome.WAIT, (3,)),
        # two late members
        ((ESTABLISHED, ESTABLISHED, ESTABLISHED, NEW), Outcome.CLEARED, (5,)),
        ((ESTABLISHED, ESTABLISHED, ESTABLISHED, CLEARED), Outcome.BEGIN, ()),
        ((ESTABLISHED, ESTABLISHED, SILENT, NEW), Outcome.WAIT, (4,)),
        # one was faster
        ((JOINED, NEW), Outcome.CLEARED, (3,)),
        ((JOINED, CLEARED), Outcome.BEGIN, ()),
        ((JOINED,), Outcome.BEGIN, ()),
        # too few are left to have elected a leader
        ((ESTABLISHED,), Outcome.FORGOTTEN, (2,)),
        ((ESTABLISHED, NEW), Outcome.CONFIRM, (3,)),
        ((ESTABLISHED, ESTABLISHED, NEW), Outcome.CONFIRM, (4,)),
        ((ESTABLISHED, SILENT, NEW, NEW), Outcome.CONFIRM, (4, 5)),
    ],
)
def test_table(others: tuple[Heard, ...], outcome: Outcome, members: tuple[int, ...]) -> None:
    assert judged(*others) == Judgement(outcome, members)


def test_too_few_stop_only_once_the_new_ones_have_said_so_again() -> None:
    assert judged(ESTABLISHED, NEW, confirmed_from=ASKED) == Judgement(Outcome.CONFIRM, (3,))
    assert judged(ESTABLISHED, STILL_NEW, confirmed_from=ASKED + 1) == Judgement(Outcome.CONFIRM, (3,))
    assert judged(ESTABLISHED, STILL_NEW, confirmed_from=ASKED) == Judgement(Outcome.FORGOTTEN, (2,))
    # of five, three must have forgotten: one confirmation is enough beside this node and one more is not needed
    assert judged(ESTABLISHED, SILENT, STILL_NEW, NEW, confirmed_from=ASKED).outcome is Outcome.CONFIRM
    assert judged(ESTABLISHED, SILENT, STILL_NEW, STILL_NEW, confirmed_from=ASKED).outcome is Outcome.FORGOTTEN
    assert judged(ESTABLISHED, NEW, STILL_NEW, STILL_NEW, confirmed_from=ASKED).outcome is Outcome.FORGOTTEN


def test_bootstrap_gives_up_only_the_silent_and_the_slow() -> None:
    assert judged(NEW, SILENT, patient=False).outcome is Outcome.BEGIN
    assert judged(SILENT, SILENT, patient=False).outcome is Outcome.BEGIN
    assert judged(ESTABLISHED, SILENT, patient=False).outcome is Outcome.BEGIN
    assert judged(JOINED, NEW, patient=False).outcome is Outcome.BEGIN
    assert judged(REFUSES, SILENT, patient=False).outcome is Outcome.REFUSED
    assert judged(ESTABLISHED, NEW, patient=False).outcome is Outcome.CONFIRM
    assert judged(ESTABLISHED, patient=False).outcome is Outcome.FORGOTTEN


@pytest.mark.parametrize("others", [1, 2, 3, 4])
def test_what_always_holds(others: int) -> None:
    """Over every combination of words: who begins, and that hearing less never makes a node bolder."""
    words = (SILENT, NEW, STILL_NEW, CLEARED, JOINED, ESTABLISHED, REFUSES)
    for said in itertools.product(words, repeat=others):
        for patient in (True, False):
            judgement = judged(*said, confirmed_from=ASKED, patient=patient)
            if REFUSES in said:
                assert judgement.outcome is Outcome.REFUSED
                continue
            remembering = sum(word in (SILENT, JOINED, ESTABLISHED) for word in said)
            if ESTABLISHED in said and 2 * remembering <= others + 1:
                assert judgement.outcome in (Outcome.CONFIRM, Outcome.FORGOTTEN)
            else:
                assert judgement.outcome in (Outcome.BEGIN, Outcome.WAIT, Outcome.CLEARED)
            if judgement.outcome is Outcome.BEGIN:
                assert not patient or SILENT not in said
                assert judgement.members == ()
            else:
                assert judgement.members != (), "somebody is named"


def test_new_members_of_a_new_cluster_all_begin_in_the_end(seed: int) -> None:
    """Words pass between nodes that judge by what they have heard, in any order and late: nobody stops, none waits."""
    source = random.Random(seed)
    for size in (2, 3, 4, 5) * 25:
        standing = dict.fromkeys(range(size), Standing.NEW)
        heard = {one: {other: Heard() for other in range(size) if other != one} for one in range(size)}
        leader_known = False
        for _ in range(4000):
            one, other = source.sample(range(size), 2)
            known = heard[one][other].standing
            heard[one][other] = Heard(5, "", standing=max(standing[other], known or standing[other]))
            if standing[one].is_new:
                judgement = judge(heard[one], 0, patient=True)
                assert judgement.outcome not in (Outcome.REFUSED, Outcome.FORGOTTEN)
                if judgement.outcome is Outcome.BEGIN:
                    standing[one] = Standing.JOINED
                elif judgement.outcome is Outcome.CLEARED:
                    standing[one] = Standing.CLEARED
            joined = [i for i, mine in standing.items() if not mine.is_new]
            leader_known |= 2 * len(joined) > size and source.random() < 0.1
            if leader_known:
                standing |= dict.fromkeys(joined, Standing.ESTABLISHED)
        assert set(standing.values()) == {Standing.ESTABLISHED}, f"size {size}, seed {seed}"
