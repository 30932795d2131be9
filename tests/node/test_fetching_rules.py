"""What a node that fetches asks for and believes, and what one that gives keeps in memory and open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from raftcore import ConfState, Snapshot
from raftpy.contracts.errors import FetchFailed, SnapshotFailed
from raftpy.contracts.fetching import (
    LARGEST_CHUNK,
    NotGiven,
    SnapshotChunk,
    SnapshotRefusal,
    SnapshotRequest,
    SnapshotTalk,
)
from raftpy.contracts.files import OpenMode
from raftpy.contracts.snapshots import SnapshotFile
from raftpy.runtime import fetching, snapshot_source
from raftpy.runtime.fetching import CHUNK_BYTES, OVERTAKEN, WINDOW
from raftpy.runtime.snapshot_source import Asked as SourceAsked
from raftpy.storage.snapshots.memory import MemoryFolder, MemoryFolderFile
from raftpy.storage.snapshots.metadata import write_metadata
from tests.node.fetches import SIZE, FetchWorld, Giver, play
from tests.storage.snapshots import MACHINE, ref, write

WANTED = ref(150)


class Asked:
    """Stands between a node that fetches and its transport: what it asks for is kept, and answered by the test."""

    def __init__(self, node: Giver, file: SnapshotFile, data: bytes) -> None:
        self.file, self.data = file, data
        self.requests: list[SnapshotRequest] = []
        self.node = node
        node.transport.send_snapshot_talk = self._send  # type: ignore[method-assign]

    def _send(self, node_id: int, talk: SnapshotTalk) -> None:
        assert node_id == 1
        assert isinstance(talk, SnapshotRequest)
        self.requests.append(talk)

    def take(self) -> list[SnapshotRequest]:
        taken, self.requests = self.requests, []
        return taken

    def chunk(self, offset: int, size: int) -> SnapshotChunk:
        return SnapshotChunk(self.file, offset, self.data[offset : offset + size])

    def say(self, talk: SnapshotTalk, source: int = 1) -> None:
        self.node.fetching._take(source, talk)

    def answer(self, request: SnapshotRequest) -> None:
        self.say(self.chunk(request.offset, request.size))


async def begun(world: FetchWorld) -> tuple[Asked, asyncio.Task[SnapshotFile]]:
    """A fetch that knows which file it is, and has asked for its first bytes."""
    one, two = world.nodes[1], world.nodes[2]
    file = one.write(WANTED)
    asked = Asked(two, file, one.bytes_of(WANTED))
    task = asyncio.ensure_future(two.fetching.fetch(1, WANTED))
    await turns()
    assert asked.take() == [SnapshotRequest(WANTED, 0, 0)], "first of all which file it is"
    asked.say(asked.chunk(0, 0))
    await turns()
    return asked, task


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def end(task: asyncio.Task[SnapshotFile]) -> None:
    task.cancel()
    await asyncio.wait([task])
    await turns()


def test_a_window_is_asked_for_and_more_as_it_is_written() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        first = asked.take()
        assert [(each.offset, each.size) for each in first] == [
            (at, CHUNK_BYTES) for at in range(0, WINDOW, CHUNK_BYTES)
        ]
        asked.answer(first[1])
        await turns()
        assert asked.take() == [], "what comes too early waits in memory, and counts"
        asked.answer(first[0])
        await turns()
        assert [each.offset for each in asked.take()] == [WINDOW, WINDOW + CHUNK_BYTES]
        await end(task)

    play(scenario)


def test_a_turn_of_the_loop_gives_one_chunk_to_whoever_asks() -> None:
    """What a turn costs is so bounded without a clock, also where several nodes and groups ask at a time."""

    async def scenario(world: FetchWorld) -> None:
        one, loop = world.nodes[1], asyncio.get_running_loop()
        others = ref(150, group=1)
        one.write(WANTED)
        one.write(others)
        given: list[int] = []  # bytes, by turn
        same_turn: list[None] = []  # while it is not empty
        send = one.transport.send_snapshot_talk

        def note(node_id: int, talk: SnapshotTalk) -> None:
            if isinstance(talk, SnapshotChunk):
                if not same_turn:
                    given.append(0)
                    same_turn.append(None)
                    loop.call_soon(same_turn.clear)
                given[-1] += len(talk.data)
            send(node_id, talk)

        one.transport.send_snapshot_talk = note  # type: ignore[method-assign]
        asking = [world.nodes[node_id].fetching.fetch(1, each) for node_id in (2, 3) for each in (WANTED, others)]
        await asyncio.gather(*asking)
        assert sum(given) > 4 * SIZE
        assert max(given) == CHUNK_BYTES

    play(scenario)


def test_what_was_not_asked_for_is_ignored_and_counted() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        first = asked.take()
        two = world.nodes[2]
        fetch = two.fetching._wanted[0]
        for nonsense in (
            asked.chunk(0, CHUNK_BYTES - 1),
            asked.chunk(1, CHUNK_BYTES),
            asked.chunk(WINDOW, CHUNK_BYTES),
            asked.chunk(0, 2 * CHUNK_BYTES),
        ):
            asked.say(nonsense)
        assert (fetch.ignored, fetch.position, len(fetch._arrived)) == (4, 0, 0)
        right = asked.chunk(0, CHUNK_BYTES)
        asked.say(right, source=3)
        asked.say(replace(right, file=replace(asked.file, ref=ref(151))))
        asked.say(replace(right, file=replace(asked.file, ref=ref(150, group=1))))
        asked.say(SnapshotRefusal(ref(151), NotGiven.NOT_THERE))
        assert (two.fetching.ignored, len(fetch._arrived)) == (4, 0)
        asked.answer(first[0])
        asked.answer(first[0])
        assert fetch.ignored == 5, "it had come before"
        await turns()
        assert fetch.position == CHUNK_BYTES
        assert not task.done()
        await end(task)

    play(scenario)


def test_other_bytes_under_the_same_name_end_it() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        asked.say(replace(asked.chunk(0, CHUNK_BYTES), file=replace(asked.file, digest=bytes(16))))
        with pytest.raises(FetchFailed) as caught:
            await task
        assert caught.value.why == FetchFailed.CHANGED

    play(scenario)


def test_what_later_requests_have_overtaken_is_asked_for_again() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        first = asked.take()
        for number in range(1, OVERTAKEN):
            asked.answer(first[number])
        await turns()
        assert asked.take() == []
        asked.answer(first[OVERTAKEN])
        await turns()
        assert asked.take() == [first[0]]
        asked.answer(first[OVERTAKEN + 1])
        await turns()
        assert asked.take() == [], "it was asked for anew behind that"
        await end(task)

    play(scenario)


def test_silence_asks_for_the_oldest_alone_and_more_and_more_seldom() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        first = asked.take()
        asked.answer(first[0])
        await turns()
        asked.take()
        times = []
        while len(times) < 4:
            before = len(asked.requests)
            await asyncio.sleep(0.01)
            if len(asked.requests) > before:
                times.append(world.clock.monotonic())
        assert asked.take() == [first[1], first[2], first[3], first[4]]
        pauses = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
        assert pauses == sorted(pauses)
        assert pauses[-1] > 2 * pauses[0]
        await end(task)

    play(scenario)


def test_a_refusal_ends_it() -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        asked.say(SnapshotRefusal(WANTED, NotGiven.UNREADABLE))
        with pytest.raises(FetchFailed) as caught:
            await task
        assert caught.value.why == FetchFailed.UNREADABLE

    play(scenario)


def test_the_disk_is_touched_in_threads_alone() -> None:
    async def scenario(world: FetchWorld) -> None:
        one, two = world.nodes[1], world.nodes[2]
        one.write(WANTED)
        one.steps.held = two.steps.held = True
        opened: list[str] = []

        def noting(folder: MemoryFolder) -> Callable[[str, OpenMode], MemoryFolderFile]:
            def note(name: str, mode: OpenMode) -> MemoryFolderFile:
                opened.append(name)
                return MemoryFolder.open(folder, name, mode)

            return note

        for node in (one, two):
            node.place.memory.open = noting(node.place.memory)  # type: ignore[method-assign]
        task = asyncio.ensure_future(two.fetching.fetch(1, WANTED))
        for _ in range(200):
            await asyncio.sleep(0.01)
            assert opened == []
            if one.steps.waiting:
                break
            two.steps.release()
        assert one.steps.names == ["raftpy snapshots from 1"]
        assert set(two.steps.names) == {"raftpy fetch 2"}
        one.steps.release()
        await task
        assert len(opened) == 2, "each opens a file"

    play(scenario)


@pytest.mark.parametrize("room", [300_000, SIZE // 2, SIZE - 1])
def test_a_disk_that_fills_up_meanwhile_ends_it_and_gets_its_room_back(room: int) -> None:
    async def scenario(world: FetchWorld) -> None:
        asked, task = await begun(world)
        two = world.nodes[2]
        two.place.memory.capacity = room
        with pytest.raises(SnapshotFailed, match="No space left"):
            while True:
                for request in asked.take():
                    asked.answer(request)
                await turns()
                if task.done():
                    await task
        assert two.place.names() == []
        two.place.memory.capacity = 1 << 40
        again = asyncio.ensure_future(two.fetching.fetch(1, WANTED))
        while not again.done():
            for request in asked.take():
                asked.answer(request)
            await turns()
        assert await again == asked.file

    play(scenario)


# --- Giving ---------------------------------------------------------------------------------------------------------


class Answers:
    """Asks a node for what a test likes, without a receiver."""

    def __init__(self, node: Giver) -> None:
        self.node = node
        self.heard: list[tuple[int, SnapshotTalk]] = []
        self.backlog = 0
        transport: Any = node.transport
        transport.send_snapshot_talk = lambda to, talk: self.heard.append((to, talk))
        transport.snapshot_backlog = lambda to: self.backlog

    def ask(self, request: SnapshotRequest, of: int = 2) -> None:
        self.node.fetching._take(of, request)

    async def take(self) -> list[tuple[int, SnapshotTalk]]:
        await turns()
        taken, self.heard[:] = list(self.heard), []
        return taken

    @property
    def source(self) -> snapshot_source.SnapshotSource:
        assert self.node.fetching.given is not None
        return self.node.fetching.given


def test_what_there_is_is_given_and_nothing_else() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        file = write(one.store, WANTED, [(MACHINE, b"x" * 100)])
        data = one.bytes_of(WANTED)
        answers = Answers(one)
        for request, answer in (
            (SnapshotRequest(WANTED, 0, 0), SnapshotChunk(file, 0, b"")),
            (SnapshotRequest(WANTED, 10, 20), SnapshotChunk(file, 10, data[10:30])),
            (SnapshotRequest(WANTED, 10, LARGEST_CHUNK), SnapshotChunk(file, 10, data[10:])),
            (SnapshotRequest(WANTED, file.size, 5), SnapshotChunk(file, file.size, b"")),
            (SnapshotRequest(WANTED, file.size + 1, 5), SnapshotRefusal(WANTED, NotGiven.NOT_THERE)),
            (SnapshotRequest(ref(151), 0, 5), SnapshotRefusal(ref(151), NotGiven.NOT_THERE)),
            (SnapshotRequest(ref(150, group=7), 0, 5), SnapshotRefusal(ref(150, group=7), NotGiven.NOT_THERE)),
        ):
            answers.ask(request)
            assert await answers.take() == [(2, answer)]
        assert one.store._damaged == set(), "whoever asks for nonsense leaves nothing behind"
        assert len(answers.source._wanting) == 1

    play(scenario)


def test_a_file_stays_open_while_it_is_asked_for_and_is_closed_after() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        one.write(WANTED)
        data = one.bytes_of(WANTED)
        answers = Answers(one)
        answers.ask(SnapshotRequest(WANTED, 0, 10))
        await answers.take()
        list(one.store.retain(0, 0))
        assert one.store.refs(0) == ()
        await asyncio.sleep(snapshot_source.IDLE_S / 2)
        answers.ask(SnapshotRequest(WANTED, 10, 10))
        ((_, answer),) = await answers.take()
        assert isinstance(answer, SnapshotChunk)
        assert answer.data == data[10:20], "its store has deleted it"
        (wanting,) = answers.source._wanting.values()
        reader = wanting.reader
        assert reader is not None
        await asyncio.sleep(snapshot_source.IDLE_S * 2.1)
        assert answers.source._wanting == {}
        assert wanting.reader is None
        answers.ask(SnapshotRequest(WANTED, 20, 10))
        assert await answers.take() == [(2, SnapshotRefusal(WANTED, NotGiven.NOT_THERE))]

    play(scenario)


def test_what_a_node_has_asked_for_last_is_known_for_a_while() -> None:
    """So that it is offered that one again when it comes back, and that one is there still."""

    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        one.write(WANTED)
        writer = one.store.begin(ref(160))
        write_metadata(writer, Snapshot(160, 2, ConfState((1, 2, 3)), 7, 1234))
        writer.commit()
        answers, clock = Answers(one), world.clock
        source = answers.source
        assert source.asked(2, 0) is None
        answers.ask(SnapshotRequest(ref(160), 0, 1))
        at_s = clock.monotonic()
        assert source.asked(2, 0) == SourceAsked(ref(160), at_s, False, None), "the disk has not answered yet"
        await turns()
        known = Snapshot(160, 2, ConfState((1, 2, 3)), 7, 1234)
        assert source.asked(2, 0) == SourceAsked(ref(160), at_s, True, known)
        await asyncio.sleep(1)
        answers.ask(SnapshotRequest(ref(151), 0, 1))
        assert source.asked(2, 0) == SourceAsked(ref(151), at_s + 1, True, None), "it is not here"
        answers.ask(SnapshotRequest(ref(1, group=7), 0, 1), of=3)
        assert source.asked(3, 7) is None, "of a group without snapshots nothing is noted: there may be any number"
        answers.ask(SnapshotRequest(WANTED, 0, 1), of=3)
        await turns()
        assert source.asked(3, 0) == SourceAsked(WANTED, at_s + 1, False, None), "it says nothing of itself"
        assert source.begun(0) == {2: ref(151), 3: WANTED}
        await asyncio.sleep(snapshot_source.BEGUN_S / 2)
        answers.ask(SnapshotRequest(WANTED, 0, 1), of=3)
        await asyncio.sleep(snapshot_source.BEGUN_S / 2 + 1)
        assert source.begun(0) == {3: WANTED}
        assert source.begun(7) == {}
        await asyncio.sleep(snapshot_source.BEGUN_S / 2)
        assert source.begun(0) == {}
        assert source._asked == {}

    play(scenario)


def test_what_is_kept_for_a_node_is_bounded() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        one.write(WANTED)
        answers = Answers(one)
        one.steps.held = True
        for number in range(1000):
            answers.ask(SnapshotRequest(WANTED, number, 100))
        await turns()
        (wanting,) = answers.source._wanting.values()
        assert len(wanting.requests) <= snapshot_source.MOST_WANTED
        assert answers.source.passed_over >= 1000 - 2 * snapshot_source.MOST_WANTED
        one.steps.release()
        await turns()
        assert 0 < len(await answers.take()) <= 2 * snapshot_source.MOST_WANTED
        answers.backlog = snapshot_source.MOST_BACKLOG + 1
        answers.ask(SnapshotRequest(WANTED, 0, 100))
        assert await answers.take() == [], "the path takes no more"
        answers.backlog = 0
        answers.ask(SnapshotRequest(WANTED, 0, 100))
        assert len(await answers.take()) == 1

    play(scenario)


def test_nodes_take_turns() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        one.write(WANTED)
        answers = Answers(one)
        one.steps.held = True
        for number in range(20):
            answers.ask(SnapshotRequest(WANTED, number * CHUNK_BYTES, CHUNK_BYTES), of=2)
        answers.ask(SnapshotRequest(WANTED, 0, CHUNK_BYTES), of=3)
        await turns()
        one.steps.held = False
        one.steps.release()
        order = [to for to, _ in await answers.take()]
        assert order.index(3) <= snapshot_source.BATCH_BYTES // CHUNK_BYTES

    play(scenario)


def test_a_disk_that_does_not_give_it_is_told() -> None:
    async def scenario(world: FetchWorld) -> None:
        one = world.nodes[1]
        one.write(WANTED)
        answers = Answers(one)
        del one.place.memory.held[one.place.names()[0]]
        answers.ask(SnapshotRequest(WANTED, 0, 100))
        assert await answers.take() == [(2, SnapshotRefusal(WANTED, NotGiven.UNREADABLE))]

    play(scenario)


def test_without_a_transport_that_carries_snapshots_there_is_nothing_to_wait_for() -> None:
    async def scenario(world: FetchWorld) -> None:
        two = world.nodes[2]
        alone = fetching.Fetching(2, object(), two.store, world.clock, two.steps)  # type: ignore[arg-type]
        alone.start()
        with pytest.raises(FetchFailed) as caught:
            await alone.fetch(1, WANTED)
        assert caught.value.why == FetchFailed.CANNOT
        alone.stop(lambda: FetchFailed(1, WANTED, "stopped"))
        alone.end()

    play(scenario)
