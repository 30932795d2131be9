"""A quarantined node tells its peers so in its hello; readers that do not know of it pass over it."""

from __future__ import annotations

from dataclasses import replace

from raftcore.base.conflict import Conflict
from raftpy.contracts.types import Standing
from raftpy.transport.identity.hello import Hello, decode_hello, encode_hello
from tests.transport.support import World, identity

CONFLICT = Conflict(index=201, term=1, leader=2, leader_term=3, current_term=4)


def test_a_hello_says_that_its_sender_is_quarantined() -> None:
    body = encode_hello(Hello("a:1", conflicts={0: CONFLICT}))
    assert body[5:] == bytes((1, 48)) + b"".join(n.to_bytes(8, "little") for n in (0, 201, 1, 2, 3, 4))
    assert decode_hello(body) == Hello("a:1", conflicts={0: CONFLICT})
    of_another_group = encode_hello(Hello("a:1", conflicts={1: CONFLICT}))
    assert decode_hello(of_another_group) == Hello("a:1", conflicts={1: CONFLICT})
    assert decode_hello(of_another_group + body[5:]).conflicts == {0: CONFLICT, 1: CONFLICT}
    other = encode_hello(Hello("a:1", conflicts={0: replace(CONFLICT, index=7)}))
    assert decode_hello(body + other[5:]).conflicts == {0: CONFLICT}  # of two of one group the first counts
    plain = encode_hello(Hello("a:1"))
    assert decode_hello(plain + bytes((9, 3)) + b"abc" + body[5:]).conflicts == {0: CONFLICT}  # behind an unknown kind
    for cut in range(len(plain), len(body) - 1):
        assert decode_hello(body[:cut]) == Hello("a:1")
        assert decode_hello(body[:cut] + b"\xff").conflicts == {}


def test_a_hello_says_all_that_there_is_to_say() -> None:
    hello = Hello("a:1", Standing.CLEARED, 3, 4, {0: CONFLICT, 5: CONFLICT, 2**64 - 1: CONFLICT})
    assert decode_hello(encode_hello(hello)) == hello


def test_of_many_groups_a_hello_tells_as_many_as_fit() -> None:
    """By ascending id; in the smallest datagram, beside the longest address and a standing, there is room for three."""
    longest = f"https://{'.'.join(['h' * 58] * 4)}:65535"
    many = dict.fromkeys(range(1000, 0, -1), CONFLICT)
    told = decode_hello(encode_hello(Hello(longest, Standing.JOINED, 1, 1, many))).conflicts
    assert list(told) == [1, 2, 3]
    assert len(encode_hello(Hello("a:1", conflicts=many), 700)) <= 700
    assert list(decode_hello(encode_hello(Hello("a:1", conflicts=many), 700)).conflicts) == list(range(1, 14))


def test_what_is_told_of_each_group_arrives() -> None:
    world = World()
    one, two = world.pair()
    for group in (7, 0, 2**64 - 1):
        two.quarantine(CONFLICT, group)
    world.settle()
    assert one.heard(2).conflicts == {0: CONFLICT, 7: CONFLICT, 2**64 - 1: CONFLICT}
    many = dict.fromkeys(range(2000), CONFLICT)
    world.start(identity(3, conflicts=many))
    world.settle()
    told = one.heard(3).conflicts
    assert list(told) == list(range(len(told)))
    assert 100 < len(told) < 2000


def test_a_quarantine_is_told_at_once_and_to_whoever_comes_later() -> None:
    world = World()
    heard: list[int] = []
    one, two = world.pair()
    one.on_heard(heard.append)
    assert one.heard(2).conflicts == {}
    two.quarantine(CONFLICT)
    world.settle()
    assert (one.heard(2).conflicts, heard) == ({0: CONFLICT}, [2])
    world.settle(1.5)
    assert heard == [2]  # told again every second, and no news
    three = world.start(identity(3))
    world.settle()
    assert three.heard(2).conflicts == {0: CONFLICT}
    assert one.heard(3).conflicts == {}


def test_a_quarantine_is_told_by_the_next_incarnation_too_and_ends_with_an_incarnation_that_has_none() -> None:
    world = World()
    one, _ = world.pair()
    world.start(identity(2, counter=2, conflicts={0: CONFLICT}))
    world.settle()
    assert one.heard(2).conflicts == {0: CONFLICT}
    world.start(identity(2, counter=3))
    world.settle()
    assert one.heard(2).conflicts == {}
