"""Strands: what a process does beside its loop stands in between, others go on, and it is the same in every run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from raftpy.sim.executor import WRITER, SimulatedExecutor
from raftpy.sim.plan import Fault, Load, Options, Plan
from raftpy.sim.process import Died, Process
from raftpy.sim.run import run
from raftpy.sim.strand import StrandLock, Strands
from raftpy.sim.swarm import draw_plan
from raftpy.sim.world import World
from raftpy.system.forking import undivided

PIECE_S = 0.01


class Place:
    """A process, and what happens in it, with the times of the world in milliseconds."""

    def __init__(self) -> None:
        self.world = World(1)
        self.process = Process(self.world, 1)
        self.strands = Strands(self.world, lambda process: 0.0)
        self.seen: list[tuple[str, int]] = []
        for at_ms in range(5, 50, 10):
            self.world.at(at_ms / 1000, self.process.call_soon, self.note, "loop")

    def note(self, what: str) -> None:
        self.seen.append((what, round((self.world.now + self.process.spent) * 1000)))

    def work(self, name: str, pieces: int) -> None:
        """Takes so many times ``PIECE_S``, and stands after each."""
        for _ in range(pieces):
            self.note(name)
            self.process.spent += PIECE_S
            self.strands.stand()
        self.note(f"{name} ends")


@pytest.fixture
def place() -> Iterator[Place]:
    threads = threading.active_count()
    made = Place()
    yield made
    made.strands.end()
    assert threading.active_count() == threads


def test_the_loop_goes_on_while_a_strand_stands(place: Place) -> None:
    ended: list[float] = []
    place.strands.begin(place.process, lambda: place.work("strand", 2), ended.append)
    assert place.strands.of(place.process)
    place.world.run(0.03)
    assert place.seen == [("strand", 0), ("loop", 5), ("strand", 10), ("loop", 15), ("strand ends", 20), ("loop", 25)]
    assert ended == [0.0]
    assert not place.strands.of(place.process)


def test_what_is_no_strand_does_not_stand(place: Place) -> None:
    place.process.call_soon(place.work, "turn", 2)
    place.world.run(0.01)
    assert place.seen == [("turn", 0), ("turn", 10), ("turn ends", 20)]


def test_a_strand_may_stand_longer_than_it_must(place: Place) -> None:
    strands = Strands(place.world, lambda process: 0.003)
    strands.begin(place.process, strands.stand, lambda delay_s: place.note("ended"))
    place.world.run(0.004)
    strands.end()
    assert place.seen == [("ended", 3)]


def test_a_strand_dies_with_its_process_where_it_stands(place: Place) -> None:
    unwound: list[bool] = []

    def work() -> None:
        try:
            place.work("strand", 2)
        finally:
            unwound.append(True)
            with pytest.raises(Died):
                place.strands.stand()

    place.strands.begin(place.process, work, lambda delay_s: None)
    place.world.at(0.002, place.process.kill)
    place.world.run(0.05)
    assert place.seen == [("strand", 0)]
    assert unwound == [True]


def test_strands_that_stand_when_the_world_is_over_die(place: Place) -> None:
    for name in "ab":
        place.strands.begin(place.process, partial(place.work, name, 2), lambda delay_s: None)
    place.strands.end()
    assert place.seen == [("a", 0), ("b", 0)]
    assert place.process.alive


def test_what_a_strand_lets_through_reaches_the_world(place: Place) -> None:
    def work() -> None:
        place.process.spent += PIECE_S
        place.strands.stand()
        raise KeyError("strand")

    place.strands.begin(place.process, work, lambda delay_s: None)
    with pytest.raises(KeyError, match="strand"):
        place.world.run(0.05)


def test_who_waits_for_a_strand_stands_still_for_as_long_as_it_takes(place: Place) -> None:
    ended: list[float] = []
    strand = place.strands.begin(place.process, lambda: place.work("strand", 3), ended.append)

    def wait() -> None:
        place.strands.finish(strand)
        place.note("waited")
        place.strands.finish(strand)  # which costs nothing any more

    place.world.at(0.004, place.process.call_soon, wait)
    place.world.run(0.05)
    assert [what for what, _ in place.seen[:5]] == ["strand", "strand", "strand", "strand ends", "waited"]
    assert [at for _, at in place.seen[:5]] == [0, 10, 20, 30, 30]
    assert place.seen[5:] == [("loop", 30)] * 3 + [("loop", 35), ("loop", 45)]
    assert ended == [pytest.approx(0.026)]


def test_whoever_finds_a_lock_taken_waits_for_its_holder(place: Place) -> None:
    lock = StrandLock(place.strands)

    def work(name: str) -> None:
        with lock:
            place.work(name, 2)

    place.strands.begin(place.process, lambda: work("strand"), lambda delay_s: None)
    place.world.at(0.001, place.process.call_soon, work, "turn")
    place.world.run(0.004)
    assert place.seen == [
        ("strand", 0), ("strand", 10), ("strand ends", 20), ("turn", 20), ("turn", 30), ("turn ends", 40),
    ]  # fmt: skip


def test_nobody_stands_where_no_fork_may_come_in_between(place: Place) -> None:
    def work() -> None:
        with undivided():
            place.work("strand", 2)

    place.strands.begin(place.process, work, lambda delay_s: None)
    assert place.seen == [("strand", 0), ("strand", 10), ("strand ends", 20)]


def test_a_worker_is_closed_when_its_round_has_ended(place: Place) -> None:
    rounds: list[bool] = []
    executor = SimulatedExecutor(place.process, lambda: 0.0, strands=place.strands, on_round=rounds.append)

    def work(items: list[int]) -> bool:
        place.work(str(items), 2)
        return True

    worker = executor.worker(WRITER, work)
    worker.put(1)
    place.world.at(0.001, worker.put, 2)
    place.world.at(0.002, place.process.call_soon, worker.close)
    place.world.run(0.004)
    assert [what for what, _ in place.seen] == ["[1]", "[1]", "[1] ends", "[2]", "[2]", "[2] ends"]
    assert rounds == [True, False, True, False]


def test_what_a_strand_posts_is_heard_before_it_goes_on(place: Place) -> None:
    executor = SimulatedExecutor(place.process, lambda: 0.0, strands=place.strands)

    def work() -> None:
        place.process.spent += PIECE_S
        assert executor.post(place.process.loop, place.note, "heard")
        place.work("strand", 1)

    executor.start("thread", work)
    place.world.run(0.02)
    assert place.seen == [("loop", 5), ("strand", 10), ("heard", 10), ("loop", 15), ("strand ends", 20)]


# --- In a world -------------------------------------------------------------------------------------------------------

PLAN = Plan(
    seed=7,
    duration_s=1.0,
    watched=True,
    interleaved=True,
    options=Options(write_mode="thread"),
    load=Load(clients=5, think_s=0.005),
    faults=tuple(
        Fault(at_s=0.2 * at, kind=kind, node=at % 3 + 1, value=0.05)
        for at, kind in enumerate(("kill", "power", "kill", "power"), 1)
    ),
)


def test_a_world_of_strands_runs_clean_and_the_same_again() -> None:
    threads = threading.active_count()
    outcome = run(PLAN)
    assert outcome.failure is None, outcome.failure
    assert outcome.reached["the loop went on in the middle of a write"]
    assert outcome.reached["a process died while a thread stood between two operations"]
    assert run(PLAN).hash == outcome.hash
    assert run(replace(PLAN, interleaved=False)).hash != outcome.hash
    assert threading.active_count() == threads


def test_strands_are_in_some_worlds_and_move_nothing_in_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [draw_plan(seed) for seed in range(400)]
    assert 0.1 < sum(plan.interleaved for plan in plans) / 400 < 0.3
    monkeypatch.setattr("raftpy.sim.swarm.INTERLEAVED", 0.0)
    for seed, plan in enumerate(plans):
        bare = draw_plan(seed)
        assert not bare.interleaved
        options = replace(plan.options, write_mode=bare.options.write_mode)
        assert replace(plan, interleaved=False, options=options) == bare


def test_who_waits_for_a_thread_stands_still_until_it_has_ended(place: Place) -> None:
    executor = SimulatedExecutor(place.process, lambda: 0.0, strands=place.strands)
    thread = executor.start("work", lambda: place.work("strand", 3))
    place.world.at(0.015, place.process.call_soon, lambda: (thread.join(), place.note("joined")))
    place.world.run(0.1)
    joined = place.seen.index(("joined", 30))
    assert ("strand ends", 30) in place.seen[:joined]
    assert [at for what, at in place.seen if what == "loop"] == [5, 15, 30, 35, 45]
