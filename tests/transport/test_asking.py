"""How nodes ask each other for their standing, and what they tell of it."""

from __future__ import annotations

from dataclasses import replace

from raftcore.wire.codec import DatagramBuilder
from raftpy.contracts.types import LocalIdentity, Standing
from raftpy.transport.identity.hello import FRAME_HELLO, Hello, encode_hello
from raftpy.transport.identity.refusal import FRAME_REFUSAL, Refusal, encode_refusal
from tests.transport.support import World, bare, header, identity, peer_counts

ONE, TWO = identity(1), identity(2)


def framed(speaker: LocalIdentity, spoken_to: LocalIdentity, kind: int, body: bytes) -> bytes:
    builder = DatagramBuilder(header(speaker, spoken_to), 1200)
    builder.add_frame(kind, body)
    return builder.finish()


def sendings(world: World) -> list[tuple[int, int]]:
    """(from, to) of everything sent from now on."""
    sent: list[tuple[int, int]] = []

    def note(from_id: int, to_id: int, what: bytes) -> bool:
        sent.append((from_id, to_id))
        return True

    world.network.filter = note
    return sent


def test_acquaintance_tells_the_standing_in_one_round_trip() -> None:
    world = World()
    one = world.start(replace(ONE, standing=Standing.NEW))
    two = world.start(replace(TWO, standing=Standing.JOINED))
    world.settle()
    assert (one.heard(2).standing, two.heard(1).standing) == (Standing.JOINED, Standing.NEW)


def test_who_is_asked_answers_at_once_and_only_once() -> None:
    world = World()
    one, two = world.pair()
    sent = sendings(world)
    two.stand(Standing.CLEARED)
    one.ask(3, [2, 3, 9])
    world.settle()
    assert (one.heard(2).standing, one.heard(2).answered) == (Standing.ESTABLISHED, 3), "standing never falls"
    assert sent == [(1, 2), (1, 3), (2, 1)], "node 3 is probed, 9 is no member"
    assert two.heard(1).answered == 0


def test_one_that_is_not_heard_is_probed() -> None:
    world = World()
    world.network.filter = lambda *_: False
    one, _ = world.start(ONE), world.start(TWO)
    world.settle()
    world.network.filter = None
    assert not one.reachable(2)
    one.ask(1, [2])
    world.settle()
    assert (one.reachable(2), one.heard(2).standing) == (True, Standing.ESTABLISHED)


def test_hellos_that_come_late_or_twice_take_nothing_back() -> None:
    world = World()
    one, _ = world.pair()
    new = framed(TWO, ONE, FRAME_HELLO, encode_hello(Hello("h:1", Standing.NEW, 0, 4)))
    joined = framed(TWO, ONE, FRAME_HELLO, encode_hello(Hello("h:1", Standing.JOINED, 0, 2)))
    for each in (joined, new, joined):
        one.arrive(each)
    assert (one.heard(2).standing, one.heard(2).answered) == (Standing.ESTABLISHED, 4)


def test_every_later_hello_repeats_the_answer() -> None:
    world = World()
    one, _ = world.pair()
    world.network.filter = lambda from_id, to_id, what: from_id == 1  # the answer itself is lost
    one.ask(5, [2])
    world.settle()
    assert one.heard(2).answered == 0
    world.network.filter = None
    world.settle(1.1)
    assert one.heard(2).answered == 5


def test_a_closed_transport_asks_nobody() -> None:
    world = World()
    one, _ = world.pair()
    one.close()
    sent = sendings(world)
    one.ask(1, [2])
    world.settle()
    assert sent == []


def test_what_an_incarnation_has_told_is_forgotten_with_it() -> None:
    world = World()
    one, _ = world.pair()
    assert one.heard(2).standing is Standing.ESTABLISHED
    one.arrive(bare(header(identity(2, counter=2), ONE)))
    assert (one.heard(2).standing, one.heard(2).answered) == (None, 0)


def test_a_refusal_is_told_once_and_stands_until_the_peer_says_something_else() -> None:
    world = World()
    one, _ = world.pair()
    told: list[int] = []
    one.on_heard(told.append)
    refused = framed(TWO, ONE, FRAME_REFUSAL, encode_refusal(Refusal.OTHER_STORE))
    for _ in range(3):
        one.arrive(refused)
    assert (one.heard(2).refuses, told) == (True, [2])
    one.arrive(bare(header(TWO, ONE)))
    assert not one.heard(2).refuses


def test_frames_of_a_later_version_are_passed_over() -> None:
    world = World()
    one, _ = world.pair()
    one.arrive(framed(TWO, ONE, 200, b"what?"))
    assert peer_counts(one, 2)["malformed_hello"] == 0
    assert world.take(1) == []
