"""A snapshot comes from another node, from file to file, whatever becomes of either and of the network (paper 7)."""

from __future__ import annotations

import asyncio
import itertools
from random import Random
from typing import Any

import pytest

from raftpy.contracts.errors import FetchFailed, SnapshotFailed, Stopped
from raftpy.contracts.fetching import SnapshotRequest
from raftpy.contracts.snapshots import SnapshotRef
from raftpy.runtime import fetching
from raftpy.runtime.beside import Beside
from raftpy.runtime.fetching import CHUNK_BYTES, Fetch
from raftpy.storage.snapshots.receiver import SnapshotFileReceiver
from raftpy.transport import Unreliable
from tests.node.fetches import SIZE, FetchWorld, play
from tests.storage.snapshots import flipped, ref

WANTED = ref(150)
SLOW = Unreliable(delay_ms=(5, 5), long_delay_rate=0, drop_rate=0)


@pytest.mark.parametrize("max_datagram", [1200, 60_000])
@pytest.mark.parametrize("size", [0, 1, 100, SIZE])
def test_a_snapshot_arrives_byte_for_byte(size: int, max_datagram: int) -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED, size)
        assert await two.fetching.fetch(1, WANTED) == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)
        assert two.store.refs(0) == (WANTED,)
        assert two.place.names() == one.place.names(), "nothing else is left"
        assert two.fetching.progress(0) is None
        assert (one.fetching.given.given, one.fetching.given.passed_over) == (file.size, 0)

    play(scenario, max_datagram=max_datagram)


def test_it_is_there_in_the_next_life() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        await two.fetching.fetch(1, WANTED)
        two.kill()
        two.start()
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)

    play(scenario)


def test_one_that_is_here_is_not_fetched_again() -> None:
    async def scenario(world: FetchWorld) -> None:
        two = world.nodes[2]
        file = two.write(WANTED)
        assert await two.fetching.fetch(1, WANTED) == file, "node 1 has none"

    play(scenario)


def test_one_that_is_here_and_damaged_is_fetched_again() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        two.write(WANTED)
        two.place.damage(WANTED, flipped(70_000))
        assert await two.fetching.fetch(1, WANTED) == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)

    play(scenario)


def test_what_is_written_is_followed_by_as_long_a_rest_of_a_hundredth_of_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    took = itertools.chain([0.002, 0.01, 0.5], itertools.repeat(0.003))
    rests: list[float] = []
    late = [0.0]

    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        monotonic, write = world.clock.monotonic, SnapshotFileReceiver.write

        def slow(receiver: SnapshotFileReceiver, data: bytes) -> None:
            late[0] += next(took)
            write(receiver, data)

        def rest(seconds: float) -> None:
            rests.append(round(seconds, 6))
            late[0] += seconds

        monkeypatch.setattr(world.clock, "monotonic", lambda: monotonic() + late[0])
        monkeypatch.setattr(SnapshotFileReceiver, "write", slow)
        monkeypatch.setattr(two.steps, "rest", rest, raising=False)
        one.write(WANTED)
        await two.fetching.fetch(1, WANTED)
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)

    play(scenario)
    assert rests[:3] == [0.002, 0.01, 0.01]
    assert set(rests[3:]) == {0.003}
    assert len(rests) == -(-SIZE // CHUNK_BYTES)


def test_a_node_without_the_snapshot_says_so_at_once() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(ref(151))
        before = world.clock.monotonic()
        with pytest.raises(FetchFailed, match="node 1: the node has no such snapshot") as caught:
            await two.fetching.fetch(1, WANTED)
        assert (caught.value.source, caught.value.snapshot, caught.value.why) == (1, WANTED, FetchFailed.NOT_THERE)
        assert world.clock.monotonic() - before < 0.1

    play(scenario)


def test_a_silent_node_is_given_up_after_a_stated_time() -> None:
    async def scenario(world: FetchWorld) -> None:
        two = world.nodes[2]
        world.nodes[1].write(WANTED)
        world.network.disconnect(1)
        before = world.clock.monotonic()
        with pytest.raises(FetchFailed) as caught:
            await two.fetching.fetch(1, WANTED)
        assert caught.value.why == FetchFailed.SILENT
        assert fetching.GIVE_UP_S <= world.clock.monotonic() - before < fetching.GIVE_UP_S + 1

    play(scenario)


async def half(world: FetchWorld, node_id: int, source: int) -> asyncio.Task[object]:
    """A fetch that is under way, and has written something."""
    task = asyncio.ensure_future(world.nodes[node_id].fetching.fetch(source, WANTED))
    while True:
        progress = world.nodes[node_id].fetching.progress(0)
        if progress is not None and progress.position > SIZE // 3:
            return task
        assert not task.done()
        await asyncio.sleep(0.001)


def given(world: FetchWorld, *node_ids: int) -> int:
    return sum(world.nodes[node_id].fetching.given.given for node_id in node_ids)


def test_one_that_is_dropped_with_its_loop_waits_for_nothing() -> None:
    async def scenario(world: FetchWorld) -> None:
        two = world.nodes[2]
        world.nodes[1].write(WANTED)
        beside = Beside(two.steps, "fetch")
        assert two.fetching._transport is not None
        fetch = two.fetching._wanted[0] = Fetch(1, WANTED, two.fetching._transport, two.store, world.clock, beside)
        coroutine = fetch.run()
        while fetch._receiver is None:
            waited = coroutine.send(None)
            waited._asyncio_future_blocking = False
            await asyncio.wait([waited])
        coroutine.close()  # raises where it would wait for a thread once more
        assert beside.stopped
        fetch.end()

    play(scenario)


def test_another_node_goes_on_where_one_has_died() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two, three = world.nodes.values()
        file = one.write(WANTED)
        three.write(WANTED)
        task = await half(world, 2, 1)
        one.kill()
        with pytest.raises(FetchFailed) as caught:
            await task
        assert caught.value.why == FetchFailed.SILENT
        assert await two.fetching.fetch(3, WANTED) == file
        assert two.bytes_of(WANTED) == three.bytes_of(WANTED)
        assert given(world, 3) <= SIZE - SIZE // 4, "what was there did not come again"

    play(scenario, unreliable=SLOW)


def test_it_goes_on_when_the_source_is_restarted() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        task = await half(world, 2, 1)
        one.kill()
        await asyncio.sleep(1.0)
        one.start()
        assert await task == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)
        assert given(world, 1) <= SIZE - SIZE // 4

    play(scenario, unreliable=SLOW)


def test_it_goes_on_after_a_restart_of_the_receiver() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        task = await half(world, 2, 1)
        two.kill()
        with pytest.raises(Stopped):
            await task
        await asyncio.sleep(1.0)
        before = given(world, 1)
        two.start()
        await world.meet()
        assert await two.fetching.fetch(1, WANTED) == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)
        assert given(world, 1) - before <= SIZE - SIZE // 4

    play(scenario, unreliable=SLOW)


def test_a_cancelled_one_ends_and_is_gone_on_with() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        task = await half(world, 2, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1.0)
        assert not two.fetching._under_way
        before = given(world, 1)
        await two.fetching.fetch(1, WANTED)
        assert given(world, 1) - before <= SIZE - SIZE // 4

    play(scenario, unreliable=SLOW)


def test_another_one_that_is_wanted_takes_its_place() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        newer = one.write(ref(250), seed=2)
        task = await half(world, 2, 1)
        assert await two.fetching.fetch(1, ref(250)) == newer
        with pytest.raises(FetchFailed) as caught:
            await task
        assert caught.value.why == FetchFailed.SUPERSEDED
        assert two.store.refs(0) == (ref(250),)
        assert len(two.place.names()) == 1, "nothing is left of the former"

    play(scenario, unreliable=SLOW)


def test_a_source_that_offers_other_bytes_is_told_from_the_one_before() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two, three = world.nodes.values()
        one.write(WANTED)
        other = three.write(WANTED, seed=2)
        task = await half(world, 2, 1)
        one.kill()
        with pytest.raises(FetchFailed):
            await task
        assert await two.fetching.fetch(3, WANTED) == other
        assert two.bytes_of(WANTED) == three.bytes_of(WANTED)
        assert given(world, 3) == other.size, "all of it, as it is another one"

    play(scenario, unreliable=SLOW)


def test_a_full_disk_ends_it_and_is_not_blamed_on_the_source() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        two.place.memory.capacity = 1_000_000
        with pytest.raises(SnapshotFailed, match="the disk lacks"):
            await two.fetching.fetch(1, WANTED)
        two.place.memory.capacity = 1 << 40
        await two.fetching.fetch(1, WANTED)

    play(scenario)


def test_one_that_is_damaged_at_the_source_is_never_taken() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        one.place.damage(WANTED, flipped(SIZE // 2))
        with pytest.raises(FetchFailed) as caught:
            await two.fetching.fetch(1, WANTED)
        assert caught.value.why == FetchFailed.DAMAGED
        assert two.place.names() == []
        before = given(world, 1)
        with pytest.raises(FetchFailed) as again:
            await two.fetching.fetch(1, WANTED)
        assert again.value.why == FetchFailed.UNREADABLE, "the source has looked, as it is asked anew for all of it"
        assert given(world, 1) == before
        with pytest.raises(FetchFailed) as other:
            await world.nodes[3].fetching.fetch(1, WANTED)
        assert other.value.why == FetchFailed.UNREADABLE, "nobody else is given it"
        one.place.damage(WANTED, flipped(SIZE // 2))
        await world.nodes[3].fetching.fetch(1, WANTED)

    play(scenario)


def test_one_that_is_asked_for_anew_and_whole_is_given_again() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        verified: list[SnapshotRef] = []
        verify = one.store.verify
        store: Any = one.store
        store.verify = lambda ref: (verified.append(ref), verify(ref))[1]
        for _ in range(3):
            assert await two.fetching.fetch(1, WANTED) == file
            list(two.store.retain(0, 0))
        assert verified == [WANTED], "read back when it was asked for anew, and once"
        assert await world.nodes[3].fetching.fetch(1, WANTED) == file

    play(scenario)


@pytest.mark.parametrize("max_datagram", [1200, 60_000])
def test_loss_repetition_and_reordering_change_nothing(seed: int, max_datagram: int) -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        assert await two.fetching.fetch(1, WANTED) == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)

    bad = Unreliable(delay_ms=(0, 5), long_delay_rate=0.01, drop_rate=0.05, duplicate_rate=0.05)
    play(scenario, seed=seed, unreliable=bad, max_datagram=max_datagram)


def test_bits_flipped_on_the_way_are_as_good_as_lost(seed: int) -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        file = one.write(WANTED)
        source, carry = Random(seed), world.network.carry

        def flipping(from_id: int, to_id: int, datagram: bytes) -> None:
            if source.random() < 0.02:
                datagram = flipped(source.randrange(len(datagram)), source.randrange(8))(datagram)
            carry(from_id, to_id, datagram)

        network: Any = world.network
        network.carry = flipping
        assert await two.fetching.fetch(1, WANTED) == file
        assert two.bytes_of(WANTED) == one.bytes_of(WANTED)

    play(scenario)


def test_several_followers_are_served_at_once() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two, three = world.nodes.values()
        one.write(WANTED)
        tasks = [asyncio.ensure_future(node.fetching.fetch(1, WANTED)) for node in (two, three)]
        while (progress := two.fetching.progress(0)) is None or progress.position < SIZE // 2:
            await asyncio.sleep(0.001)
        other = three.fetching.progress(0)
        assert other is not None
        assert SIZE // 4 < other.position < SIZE
        await asyncio.gather(*tasks)
        assert two.bytes_of(WANTED) == three.bytes_of(WANTED) == one.bytes_of(WANTED)

    play(scenario, unreliable=SLOW)


def test_a_request_that_comes_as_the_last_one_was_answered_is_answered_too() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        file = one.write(WANTED)
        source = one.fetching.given
        assert source is not None
        for number in range(20):
            source.take(2, SnapshotRequest(WANTED, number, 100))
            task = source._task
            assert task is not None
            while not task.done():
                await asyncio.sleep(0)
            source.take(2, SnapshotRequest(WANTED, number, 101))
            await asyncio.sleep(0.1)
            assert source.given == 201 * (number + 1)
        assert file.size > 10_000

    play(scenario)


def test_a_rate_is_kept() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two, three = world.nodes.values()
        one.stop()
        one.start(rate=1 << 20)
        one.write(WANTED)
        await world.meet()
        before = world.clock.monotonic()
        await asyncio.gather(two.fetching.fetch(1, WANTED), three.fetching.fetch(1, WANTED))
        took_s = world.clock.monotonic() - before
        assert 0.9 * 2 * SIZE < took_s * (1 << 20) < 1.3 * 2 * SIZE
        assert given(world, 1) < 2.01 * SIZE, "waiting for its turn is not taken for a loss"

    play(scenario)
