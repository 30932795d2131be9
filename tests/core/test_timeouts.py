"""Election timeouts of nodes that were given the same seed (paper 5.2: drawn apart, so that votes are rarely split)."""

from __future__ import annotations

import pytest

from raftcore import Config, ConfState, InitialState, RawNode
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
