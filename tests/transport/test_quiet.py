"""What a transport does while nothing is to be carried: hellos that say nothing new, and chores that wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftcore.base.conflict import Conflict
from raftcore.wire.datagram import frame_datagram
from raftpy import Config, Node
from raftpy.contracts.types import Standing
from raftpy.transport import MemoryTransport, UdpTransport
from raftpy.transport.identity import peer as peers
from raftpy.transport.identity.hello import FRAME_HELLO, Hello, encode_hello
from tests.node.harness import Recorder, _free_addresses
from tests.transport.support import World, header, identity, peer_counts
from tests.transport.test_udp import Ends, on_loop

ONE, TWO = identity(1), identity(2)
CONFLICT = Conflict(1, 2, 3, 4, 5)


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of it from now on."""
    calls: list[tuple[Any, ...]] = []
    own = getattr(owner, name)

    def counting(*arguments: Any) -> Any:
        calls.append(arguments)
        return own(*arguments)

    monkeypatch.setattr(owner, name, counting)
    return calls


def hello(**says: Any) -> bytes:
    """A datagram with one, from node 2 to node 1."""
    return frame_datagram(header(TWO, ONE), FRAME_HELLO, 0, encode_hello(Hello("h:1", Standing.JOINED, **says)))


# --- Hellos -----------------------------------------------------------------------------------------------------


def test_a_hello_that_comes_again_is_not_read_again_and_counts_as_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one, _ = world.pair()
    read = counted(monkeypatch, one, "_take_own")
    one.arrive(hello(probes=1200))
    before = peer_counts(one, 2)["received"]
    for _ in range(5):
        one.arrive(hello(probes=1200))
    assert len(read) == 1
    assert peer_counts(one, 2)["received"] == before + 5


def test_a_hello_that_says_something_else_is_read() -> None:
    world = World()
    one, _ = world.pair()
    for says in ({"probes": 1200}, {"probes": 1300}, {"probes": 1200}):
        one.arrive(hello(**says))
        one.arrive(hello(**says))
        assert one._peers[2].probes == says["probes"]


def test_a_hello_that_asks_is_answered_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one, _ = world.pair()
    answers = counted(monkeypatch, one, "_send_hello")
    for _ in range(3):
        one.arrive(hello(asks=7))
    assert len(answers) == 3


def test_a_damaged_copy_of_a_hello_is_not_taken_for_it() -> None:
    world = World()
    one, _ = world.pair()
    one.arrive(hello())
    before = peer_counts(one, 2)["received"]
    whole = hello()
    one.arrive(whole[:-1] + bytes((whole[-1] ^ 1,)))
    assert peer_counts(one, 2)["received"] == before


def test_a_hello_in_front_of_messages_does_not_hide_them(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one, two = world.pair()
    read = counted(monkeypatch, one, "_take_own")
    builder = type(two._peers[1].builder)(header(TWO, ONE), 1200)
    from tests.transport.support import commits, heartbeat

    for _ in range(2):
        builder.add_frame(FRAME_HELLO, encode_hello(Hello("h:1")))
        builder.add(heartbeat(1, 2, commit=8))
        one.arrive(builder.finish())
        assert commits(world.take(1)) == [8]
    assert len(read) == 2


def test_the_same_hello_begins_the_search_for_the_size_of_another_path() -> None:
    """The peer has another address, and says what it always said."""

    async def test(ends: Ends) -> None:
        one, _ = await ends.pair()
        if not one._paths.searches:
            return
        peer = one._peers[2]
        await ends.until(lambda: peer.path is not None and peer.repeated is not None)
        one._paths.forget(peer)
        assert peer.path is None
        await ends.until(lambda: peer.path is not None)

    on_loop(test)()


def test_another_incarnation_is_told_and_believed_anew() -> None:
    world = World()
    one, two = world.pair()
    one.arrive(hello())
    assert one._peers[2].repeated is not None
    again = world.start(identity(2, counter=2, http_address="h:1"))
    world.settle(0.1)
    assert one.http_address(2) == "h:1"
    assert again.http_address(1) == ONE.http_address
    assert two is not again


def test_what_is_said_is_made_once_and_anew_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    one, two = world.pair()
    world.settle(2.0)
    made = counted(monkeypatch, peers.Peer, "hello_datagram")
    world.settle(5.0)
    assert made == []
    one.stand(Standing.ESTABLISHED)
    world.settle(1.0)
    assert two.heard(1).standing is Standing.ESTABLISHED
    one.quarantine(CONFLICT)
    world.settle()
    assert two.heard(1).conflicts == {0: CONFLICT}
    one.quarantine(Conflict(9, 9, 9, 9, 9), 4)
    world.settle()
    assert set(two.heard(1).conflicts) == {0, 4}
    two.ask(3, [1])
    world.settle()
    assert two.heard(1).answered == 3


# --- Chores -----------------------------------------------------------------------------------------------------


def hellos(transport: UdpTransport, calls: list[tuple[Any, ...]]) -> int:
    return sum(1 for call in calls if call[0] is transport)


def test_whoever_does_the_chores_decides_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first call on the transport sends no hello of its own accord, and each when it is due."""
    sent = counted(monkeypatch, UdpTransport, "_hello_or_probe_all")

    async def test(ends: Ends) -> None:
        one, two = await ends.pair()
        first = one.do_chores()
        assert hellos(one, sent) == 0, "nothing was due"
        assert 0 < first - one.clock.monotonic() <= 1.0
        await ends.until(lambda: hellos(two, sent) >= 2)
        assert one.clock.monotonic() > first
        assert hellos(one, sent) == 0, "it has no timer any more"
        second = one.do_chores()
        assert hellos(one, sent) == 1
        assert 0.9 < second - one.clock.monotonic() <= 1.0
        assert one.do_chores() == second
        assert hellos(one, sent) == 1

    on_loop(test)()


def test_a_transport_that_is_closed_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = counted(monkeypatch, UdpTransport, "_hello_or_probe_all")

    async def test(ends: Ends) -> None:
        one, _ = await ends.pair()
        due = one.do_chores()
        one.close()
        await asyncio.sleep(due - one.clock.monotonic() + 0.01)
        one.do_chores()
        assert hellos(one, sent) == 0

    on_loop(test)()


def test_what_is_driven_by_nobody_keeps_its_timer() -> None:
    world = World()
    one, two = world.pair()
    assert not hasattr(one, "do_chores")
    assert isinstance(one, MemoryTransport)
    before = peer_counts(two, 1)["received"]
    world.settle(3.1)
    assert peer_counts(two, 1)["received"] >= before + 3


@pytest.mark.parametrize("heartbeat_ms", [50, 3000])
def test_a_nodes_chores_are_done_once_a_second_however_long_it_sleeps(
    heartbeat_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = counted(monkeypatch, UdpTransport, "_hello_or_probe_all")

    async def main() -> None:
        election = (150, 300) if heartbeat_ms == 50 else (9000, 18_000)
        config = Config(id=1, cluster=_free_addresses(1), heartbeat_ms=heartbeat_ms, election_ms=election)
        async with Node(config, Recorder()):
            await asyncio.sleep(3.6)
            assert 2 <= len(sent) <= 3

    asyncio.run(main())
