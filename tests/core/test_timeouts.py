"""Election timeouts of nodes that were given the same seed (paper 5.2: drawn apart, so that votes are rarely split)."""

from __future__ import annotations

import pytest

from raftcore import Config, ConfState, HardState, InitialState, RawNode, StateType
from raftcore.testing.memory_storage import MemoryStorage

ELECTION_TICK = 10_000  # so many that two draws are the same by chance only once in ten thousand
DRAWS = 40


def timeouts(node_id: int, seed: int) -> list[int]:
    """The timeouts that a node draws, one election after the other."""
    config = Config(id=node_id, election_tick=ELECTION_TICK, heartbeat_tick=1, seed=seed, async_storage_writes=True)
    raw = RawNode(config, InitialState(conf_state=ConfState(voters=(1, 2, 3, 4, 5))), MemoryStorage())
    found = []
    for _ in range(DRAWS):
        raw.campaign()
        while raw.has_ready():
            raw.ready()
        found.append(raw.ticks_until_due())
    return found


@pytest.mark.parametrize("given", [0, 1, 12345])
def test_nodes_of_one_seed_draw_apart_however_many_elections_each_has_seen(given: int) -> None:
    drawn = [timeouts(node_id, given) for node_id in (1, 2, 3, 4, 5)]
    for one in drawn:
        for other in drawn:
            for later in range(DRAWS // 2):
                if one is other and later == 0:
                    continue
                same = sum(a == b for a, b in zip(one[later:], other, strict=False))
                assert same <= 3, f"{same} of {DRAWS - later} timeouts are the same, {later} elections later"


def test_a_seed_gives_the_same_timeouts_again() -> None:
    assert timeouts(2, 7) == timeouts(2, 7)
    assert timeouts(2, 7) != timeouts(2, 8)


def follower(election_tick: int = 10, **hard: int) -> RawNode:
    """One of three, with a hard state if one is given."""
    state = InitialState(hard_state=HardState(**hard), conf_state=ConfState(voters=(1, 2, 3)))
    return RawNode(Config(id=1, election_tick=election_tick, heartbeat_tick=1, seed=7), state, MemoryStorage())


@pytest.mark.parametrize("drawn", [10, 11, 15, 19])
def test_where_all_members_are_new_only_what_was_drawn_beyond_the_shortest_timeout_is_waited_for(drawn: int) -> None:
    raw = follower()
    raw.set_randomized_election_timeout(drawn)
    raw.report_no_leader(1000)
    assert (raw.state, raw.term) == (StateType.StateFollower, 0)
    assert raw.ticks_until_due() == drawn - 10 + 1
    raw.tick(1000, drawn - 10)
    assert raw.state == StateType.StateFollower
    raw.tick(1001)
    assert (raw.state, raw.term) == (StateType.StateCandidate, 1)


def test_who_has_a_term_may_have_a_leader_and_waits_for_its_word_as_ever() -> None:
    """The shortest timeout is what leases and refused votes rest on (thesis 4.2.3, 6.4.1)."""
    before = follower(term=1, vote=0, commit=0)
    standing = follower()
    standing.campaign()
    for raw in (before, standing):
        due = raw.ticks_until_due()
        raw.report_no_leader()
        assert raw.ticks_until_due() == due
