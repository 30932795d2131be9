"""A peer that is away says nothing of the path to it: what is known stands, and the others hear nothing of it."""

from __future__ import annotations

import pytest

from raftcore.wire.path_size import LARGEST_SIZE, SEALING
from raftpy.transport.exchange.probe_frames import FRAME_PROBE
from tests.transport.support import World, append, identity, peer_counts
from tests.transport.test_paths import BASE, kinds, phase, size, world_of


def cut_off(world: World, *nodes: int) -> None:
    """Nothing passes to these nodes or from them."""
    world.network.filter = lambda from_, to, what: not {from_, to} & set(nodes)


def test_what_is_known_of_a_path_stands_while_the_peer_is_away_and_when_it_is_back() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    three = world.start(identity(3))
    told: list[int] = []
    one.on_datagram_size(told.append)
    world.settle(60.0)

    def send(seconds: int) -> None:
        for _ in range(10 * seconds):
            one.send(append(2, 5000))
            one.send(append(3, 5000))
            one.flush()
            world.settle(0.1)

    send(5)
    assert told[-1] == 8972 - SEALING
    began = len(told)
    cut_off(world, 3)
    send(60)
    assert not one.reachable(3)
    probes = peer_counts(one, 3)["path_probes"]
    send(5)
    assert peer_counts(one, 3)["path_probes"] == probes, "nothing is asked of who is away"
    assert told[began:] == []
    assert (size(one, 3), phase(one, 3)) == (8972 - SEALING, "complete")
    world.network.filter = None
    send(10)
    assert one.reachable(3)
    assert three.reachable(1)
    assert told[began:] == []
    assert (size(one, 3), phase(one, 3)) == (8972 - SEALING, "complete")
    assert peer_counts(one, 3)["path_narrowed"] == 0


def test_a_path_that_became_narrower_while_the_peer_was_away_is_noticed_when_it_is_back() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    cut_off(world, 2)
    world.settle(30.0)
    world.network.filter = None
    world.network.path_size = 1472
    for _ in range(70):
        one.send(append(2, 5000))
        one.flush()
        world.settle(0.1)
    assert size(one) <= 1472 - SEALING
    world.settle(60.0)
    assert size(one) == 1472 - SEALING


def test_fragments_to_a_peer_that_goes_away_are_no_black_hole() -> None:
    world = world_of(8972)
    one, _ = world.pair()
    world.settle(60.0)
    one.send(append(2, 50_000, index=1))
    one.flush()
    world.settle(0.5)
    cut_off(world, 2)
    for _ in range(200):
        one.send(append(2, 1_000_000, index=2))
        one.flush()
        world.settle(0.1)
    assert size(one) == 8972 - SEALING
    assert peer_counts(one, 2)["path_narrowed"] == 0


@pytest.mark.parametrize("before", [0.0, 1.5, 4.0])
def test_a_search_goes_on_where_it_was_when_the_peer_is_back(before: float) -> None:
    world = world_of(1472)
    one, _ = world.pair()
    world.settle(before)
    found = size(one)
    cut_off(world, 2)
    world.settle(100.0)
    assert size(one) == found
    assert phase(one) == "searching"
    world.network.filter = None
    world.settle(30.0)
    assert (size(one), phase(one)) == (1472 - SEALING, "complete")


def test_probes_that_left_while_the_peer_was_away_do_not_count() -> None:
    world = world_of(1472)
    one, _ = world.pair()
    world.settle(0.5)
    cut_off(world, 2)
    world.settle(20.0)
    tried: list[int] = []

    def watch(from_: int, to: int, what: bytes) -> bool:
        tried.extend([len(what)] * (from_ == 1 and kinds(what) == [FRAME_PROBE]))
        return True

    world.network.filter = watch
    world.settle(10.0)
    assert one.reachable(2)
    assert tried.count(LARGEST_SIZE) == 3, "as if it were tried for the first time"


def test_the_size_for_all_is_that_of_those_who_are_there() -> None:
    world = world_of(8972)
    narrow = {3}
    one, _ = world.pair()
    world.network.filter = lambda from_, to, what: len(what) <= (1472 if {from_, to} & narrow else 8972)
    world.start(identity(3))
    told: list[int] = []
    one.on_datagram_size(told.append)
    world.settle(60.0)
    assert told[-1] == 1472 - SEALING
    cut_off(world, 3)
    world.settle(7.0)
    assert told[-1] == 8972 - SEALING
    cut_off(world, 2, 3)
    world.settle(60.0)
    known = len(told)
    world.network.filter = lambda from_, to, what: len(what) <= (1472 if {from_, to} & narrow else 8972)
    world.settle(3.0)
    assert told[-1] == 1472 - SEALING
    assert BASE not in told[known:], "nothing had to be found out again"
