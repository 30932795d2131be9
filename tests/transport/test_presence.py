"""When a peer is up and when it is down: one line for each change, whatever the network does to datagrams."""

from __future__ import annotations

import logging

import pytest

from raftpy.transport.exchange.counters import PeerCounters
from raftpy.transport.identity.presence import SILENT_LOOKS, Presence
from tests.transport.support import World, heartbeat, identity


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "raftpy.transport")
    return caplog


def take(said: pytest.LogCaptureFixture, node_id: int = 1) -> list[str]:
    """What the node has said since the last call, without its name."""
    mine = [r.getMessage() for r in said.records if r.getMessage().startswith(f"node {node_id}: ")]
    said.clear()
    return [line.partition(": ")[2] for line in mine]


def test_a_cut_link_is_noticed_after_a_while_and_mended_at_once(said: pytest.LogCaptureFixture) -> None:
    world = World()
    one, two = world.pair()
    assert take(said) == ["node 2 is up, at 127.0.0.1:7102"]
    world.network.cut(2, 1)
    world.settle(SILENT_LOOKS - 0.5)
    assert (take(said), one.reachable(2)) == ([], True), "a few hellos may be lost"
    world.settle(2.0)
    assert (take(said), one.reachable(2)) == (["node 2 is down: nothing heard for 5 s"], False)
    world.settle(10.0)
    assert take(said) == [], "once"
    assert two.reachable(1), "it hears us all the time"
    world.network.heal()
    two.send(heartbeat(1, 2))
    two.flush()
    world.settle()
    assert one.reachable(2)
    world.settle(1.0)
    assert take(said) == ["node 2 is up again, at 127.0.0.1:7102"]
    world.settle(10.0)
    assert take(said) == []


def test_an_incarnation_that_follows_another_at_once_has_started_again(said: pytest.LogCaptureFixture) -> None:
    world = World()
    world.pair()
    take(said)
    world.start(identity(2, counter=2))
    world.settle(1.0)
    assert take(said) == ["node 2 has started again, at 127.0.0.1:7102"]


def test_a_peer_that_is_heard_and_whose_address_refuses_does_not_fill_the_log(said: pytest.LogCaptureFixture) -> None:
    """Its answers arrive and ours are refused, as behind a firewall that answers for it."""
    world = World()
    one, _ = world.pair()
    take(said)
    for _ in range(100):
        one._report_refused(one._peers[2])
        world.settle(0.1)
    assert take(said) == ["node 2 is down: 127.0.0.1:7102 refuses datagrams"]
    world.settle(3.0)
    assert take(said) == ["node 2 is up again, at 127.0.0.1:7102"]


def test_a_peer_never_heard_is_not_down(said: pytest.LogCaptureFixture) -> None:
    world = World()
    one = world.start(identity(1))
    one._report_refused(one._peers[2])
    world.settle(20.0)
    assert take(said) == []
    assert not one.reachable(2)


def test_a_peer_that_begins_an_incarnation_after_a_long_silence_and_falls_silent_again_is_down() -> None:
    counters = PeerCounters()
    presence = Presence(counters)
    for _ in range(2 * SILENT_LOOKS):
        presence.look()
    assert presence.begun()  # it probes, which counts as nothing received
    assert [presence.look() for _ in range(SILENT_LOOKS + 1)] == [None] * (SILENT_LOOKS - 1) + [False, None]
    assert not presence.up
    assert not presence.reachable
