"""A quarantined node tells its peers so in its hello; readers that do not know of it pass over it."""

from __future__ import annotations

from raftcore.base.conflict import Conflict
from raftpy.contracts.types import Standing
from raftpy.transport.identity.hello import Hello, decode_hello, encode_hello
from tests.transport.support import World, identity

CONFLICT = Conflict(index=201, term=1, leader=2, leader_term=3, current_term=4)


def test_a_hello_says_that_its_sender_is_quarantined() -> None:
    body = encode_hello(Hello("a:1", conflict=CONFLICT))
    assert body[5:] == bytes((1, 48)) + b"".join(n.to_bytes(8, "little") for n in (0, 201, 1, 2, 3, 4))
    assert decode_hello(body) == Hello("a:1", conflict=CONFLICT)
    assert decode_hello(body, group=1) == Hello("a:1")
    of_another_group = encode_hello(Hello("a:1", conflict=CONFLICT), group=1)
    assert decode_hello(of_another_group, group=1).conflict == CONFLICT
    assert decode_hello(of_another_group + body[5:]).conflict == CONFLICT
    plain = encode_hello(Hello("a:1"))
    assert decode_hello(plain + bytes((9, 3)) + b"abc" + body[5:]).conflict == CONFLICT  # behind an unknown kind
    for cut in range(len(plain), len(body) - 1):
        assert decode_hello(body[:cut]) == Hello("a:1")
        assert decode_hello(body[:cut] + b"\xff").conflict is None


def test_a_hello_says_all_that_there_is_to_say() -> None:
    hello = Hello("a:1", Standing.CLEARED, 3, 4, CONFLICT)
    assert decode_hello(encode_hello(hello)) == hello


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


def test_a_quarantine_is_told_by_the_next_incarnation_too_and_ends_with_an_incarnation_that_has_none() -> None:
    world = World()
    one, _ = world.pair()
    world.start(identity(2, counter=2, conflict=CONFLICT))
    world.settle()
    assert one.heard(2).conflict == CONFLICT
    world.start(identity(2, counter=3))
    world.settle()
    assert one.heard(2).conflict is None
