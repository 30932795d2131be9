"""A quarantined node tells its peers so in its hello; readers that do not know of it pass over it."""

from __future__ import annotations

from raftcore.conflict import Conflict
from raftpy.transport.hello import decode_conflict, decode_hello, encode_hello
from tests.transport.support import World, identity

CONFLICT = Conflict(index=201, term=1, leader=2, leader_term=3, current_term=4)


def test_a_hello_says_that_its_sender_is_quarantined() -> None:
    body = encode_hello("a:1", CONFLICT)
    assert body[5:] == bytes((1, 48)) + b"".join(n.to_bytes(8, "little") for n in (0, 201, 1, 2, 3, 4))
    assert decode_hello(body) == "a:1"  # as an earlier release reads it
    assert decode_conflict(body) == CONFLICT
    assert decode_conflict(body, group=1) is None
    assert decode_conflict(encode_hello("a:1", CONFLICT, 1), group=1) == CONFLICT
    plain = encode_hello("a:1")
    assert decode_conflict(plain) is None
    assert decode_conflict(plain + bytes((9, 3)) + b"abc" + body[5:]) == CONFLICT  # behind a kind that is not known
    for cut in range(len(plain), len(body) - 1):
        assert decode_conflict(body[:cut]) is None
        assert decode_conflict(body[:cut] + b"\xff") is None


def test_a_quarantine_is_told_at_once_and_to_whoever_comes_later() -> None:
    world = World()
    heard: list[int] = []
    one, two = world.pair()
    one.on_heard(heard.append)
    assert one.heard(2).conflict is None
    two.quarantine(CONFLICT)
    world.settle()
    assert (one.heard(2).conflict, heard) == (CONFLICT, [2])
    world.settle(1.5)
    assert heard == [2]  # told again every second, and no news
    three = world.start(identity(3))
    world.settle()
    assert three.heard(2).conflict == CONFLICT
    assert one.heard(3).conflict is None


def test_a_quarantine_is_told_by_the_next_life_too_and_ends_with_a_life_that_has_none() -> None:
    world = World()
    one, _ = world.pair()
    world.start(identity(2, counter=2, conflict=CONFLICT))
    world.settle()
    assert one.heard(2).conflict == CONFLICT
    world.start(identity(2, counter=3))
    world.settle()
    assert one.heard(2).conflict is None
