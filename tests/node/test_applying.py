"""Applying: order, kinds of entries, both forms of a state machine, its errors, slices of time."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from raftcore import Entries, Entry, EntryKind
from raftpy.contracts.errors import ApplyError, ApplyFailed, Timeout
from raftpy.runtime.applying import Applying
from raftpy.runtime.pending_proposals import Proposals

NORMAL, NOOP, CHANGE = EntryKind.EntryNormal, EntryKind.EntryNoop, EntryKind.EntryConfChange


class Clock:
    """Moves by ``step`` seconds whenever it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.now = 0.0
        self.step = step
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        self.now += self.step
        return self.now


class Single:
    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes]] = []
        self.errors: dict[int, BaseException] = {}

    def apply(self, index: int, command: bytes) -> Any:
        self.seen.append((index, command))
        if index in self.errors:
            raise self.errors[index]
        return -index


class Batch(Single):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        self.calls.append(len(commands))
        results: list[Any] = []
        for index, command in enumerate(commands, first_index):
            try:
                results.append(self.apply(index, command))
            except ApplyError as error:
                results.append(error)
        return results


def entries(first: int, kinds: Sequence[tuple[int, EntryKind]]) -> Entries:
    """(term, kind) for each entry; the payload is the index in digits, an empty entry's is empty."""
    return Entries.build(
        [Entry(term, i, kind, b"" if kind == NOOP else b"%d" % i) for i, (term, kind) in enumerate(kinds, first)]
    )


def applying(machine: Any, clock: Clock | None = None, configure: Any = None) -> tuple[Applying, Proposals]:
    loop = asyncio.new_event_loop()
    loop.close()  # nothing is scheduled on it here
    proposals = Proposals(loop, lambda: None, 1000)
    return Applying(machine, proposals, configure or (lambda *_: None), (clock or Clock()).monotonic), proposals


@pytest.mark.parametrize("machine", [Single, Batch])
def test_entries_come_in_order_and_only_commands_are_shown(machine: type[Single], seed: int) -> None:
    source = random.Random(seed)
    for _ in range(50):
        kinds: list[tuple[int, EntryKind]] = []
        term = 1
        for _ in range(source.randrange(1, 60)):
            term += source.random() < 0.2
            kinds.append((term, source.choice([NORMAL, NORMAL, NORMAL, NORMAL, NOOP, CHANGE])))
        changes: list[tuple[int, int, bytes]] = []
        under_test = machine()
        apply, _ = applying(under_test, configure=lambda *change, to=changes: to.append(change))
        at = 1
        while at <= len(kinds):
            count = source.randrange(1, 20)
            apply.push(entries(at, kinds[at - 1 : at - 1 + count]))
            at += count
        apply.begin()
        while apply.run() is not None:
            pass
        assert not apply.pending
        assert apply.applied == len(kinds)
        places = {kind: [i for i, (_, k) in enumerate(kinds, 1) if k == kind] for kind in (NORMAL, CHANGE)}
        assert under_test.seen == [(i, b"%d" % i) for i in places[NORMAL]]
        assert changes == [(i, CHANGE, b"%d" % i) for i in places[CHANGE]]


def test_a_message_is_given_back_when_it_is_through() -> None:
    apply, _ = applying(Single())
    one, two = entries(1, [(1, NORMAL)] * 3), entries(4, [(1, NOOP)])
    apply.push(one)
    apply.push(two)
    apply.begin()
    assert apply.run() is one
    assert apply.applied == 3
    assert apply.run() is two
    assert apply.run() is None


@pytest.mark.parametrize("machine", [Single, Batch])
def test_a_long_apply_is_done_in_slices(machine: type[Single]) -> None:
    clock = Clock(step=0.001)  # each look at the clock finds a quarter of the slice gone
    under_test = machine()
    apply, _ = applying(under_test, clock)
    whole = entries(1, [(1, NORMAL)] * 500)
    apply.push(whole)
    slices = 0
    while True:
        apply.begin()
        if apply.run() is whole:
            break
        assert apply.pending
        assert apply.run() is None  # not before the next slice begins
        slices += 1
    assert slices > 50  # it has learned that these take long
    assert under_test.seen == [(i, b"%d" % i) for i in range(1, 501)]
    assert apply.applied == 500


def test_a_fast_apply_looks_at_the_clock_once_in_256() -> None:
    """Not more seldom: the next command may be a slow one, however cheap these were."""
    clock = Clock()
    apply, _ = applying(Single(), clock)
    for first in range(1, 100_001, 1000):
        apply.push(entries(first, [(1, NORMAL)] * 1000))
    apply.begin()
    while apply.run() is not None:
        pass
    assert 100_000 // 256 <= clock.looks < 100_000 // 256 + 50


def test_many_small_messages_share_a_slice() -> None:
    clock = Clock(step=0.01)
    apply, _ = applying(Single(), clock)
    for index in range(1, 1001):
        apply.push(entries(index, [(1, NORMAL)]))
    apply.begin()
    while apply.run() is not None:
        pass
    assert 0 < apply.applied < 1000
    assert apply.pending


def propose(proposals: Proposals, *counts: int) -> list[Any]:
    made = [proposals.propose(b"x") if count == 1 else proposals.propose_many([b"x"] * count) for count in counts]
    proposals.take()
    return made


@pytest.mark.parametrize("machine", [Single, Batch])
def test_results_find_their_proposals(machine: type[Single]) -> None:
    apply, proposals = applying(machine())
    made = propose(proposals, 1, 3, 1, 2)
    proposals.appended(3, 2, 0.0)
    kinds = [(1, NORMAL), (1, NOOP), *[(2, NORMAL)] * 9]
    for first, last in ((1, 4), (5, 5), (6, 11)):  # cut anywhere
        apply.push(entries(first, kinds[first - 1 : last]))
    apply.begin()
    while apply.run() is not None:
        pass
    assert [p.result() for p in made] == [-3, [-4, -5, -6], -7, [-8, -9]]


@pytest.mark.parametrize("machine", [Single, Batch])
@pytest.mark.parametrize("commands", [1, 3])
def test_what_has_its_result_is_let_go_though_others_wait(machine: type[Single], commands: int) -> None:
    apply, proposals = applying(machine())
    (made,) = propose(proposals, commands)
    proposals.appended(1, 1, 0.0)
    held = sys.getrefcount(made)
    propose(proposals, 1)
    proposals.appended(1 + commands, 1, 0.0)
    apply.push(entries(1, [(1, NORMAL)] * commands))
    apply.begin()
    apply.run()
    proposals.resume()
    assert made.done()
    assert proposals.has_waiting
    assert sys.getrefcount(made) == held - 1


@pytest.mark.parametrize("machine", [Single, Batch])
def test_an_entry_of_another_leader_in_its_place_lets_go_of_it(machine: type[Single]) -> None:
    apply, proposals = applying(machine())
    (made,) = propose(proposals, 1)
    proposals.appended(1, 1, 0.0)
    held = sys.getrefcount(made)
    propose(proposals, 1)
    proposals.appended(2, 1, 0.0)
    apply.push(entries(1, [(2, NORMAL)]))
    apply.begin()
    apply.run()
    proposals.resume()
    assert isinstance(made.exception(), Timeout)
    assert proposals.has_waiting
    assert sys.getrefcount(made) == held - 1


@pytest.mark.parametrize("machine", [Single, Batch])
def test_an_apply_error_is_a_result(machine: type[Single]) -> None:
    under_test = machine()
    no = ApplyError("no")
    under_test.errors = {1: no, 3: no}
    apply, proposals = applying(under_test)
    one, many, other = propose(proposals, 1, 3, 1)
    proposals.appended(1, 1, 0.0)
    apply.push(entries(1, [(1, NORMAL)] * 5))
    apply.begin()
    assert apply.run() is not None
    assert one.exception() is no
    assert many.result() == [-2, no, -4]
    assert other.result() == -5


@pytest.mark.parametrize("error", [ValueError("bug"), MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize("machine", [Single, Batch])
def test_anything_else_is_not(machine: type[Single], error: BaseException) -> None:
    under_test = machine()
    under_test.errors = {2: error}
    apply, proposals = applying(under_test)
    one, two = propose(proposals, 1, 1)
    proposals.appended(1, 1, 0.0)
    apply.push(entries(1, [(1, NORMAL)] * 3))
    apply.begin()
    with pytest.raises(ApplyFailed) as failed:
        apply.run()
    assert failed.value.__cause__ is error
    assert not two.done()
    assert apply.applied == (1 if machine is Single else 0)


def test_apply_batch_must_return_one_result_for_each_command() -> None:
    class Short(Single):
        def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
            return [None]

    apply, _ = applying(Short())
    apply.push(entries(7, [(1, NORMAL)] * 2))
    apply.begin()
    with pytest.raises(ApplyFailed, match="entries 7 to 8") as failed:
        apply.run()
    assert "each of its 2 commands, got 1" in str(failed.value.__cause__)


def test_the_batch_is_a_sequence() -> None:
    kept: list[Sequence[bytes]] = []

    class Keeping(Single):
        def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
            kept.append(commands)
            return list(commands)

    apply, _ = applying(Keeping())
    apply.push(entries(5, [(1, NORMAL), (2, NORMAL), (2, NORMAL), (3, NORMAL)]))
    apply.begin()
    assert apply.run() is not None
    (commands,) = kept
    assert isinstance(commands, Sequence)
    assert len(commands) == 4
    assert list(commands) == [b"5", b"6", b"7", b"8"] == [commands[i] for i in range(4)]
    assert commands[-1] == b"8"
    assert commands[-4] == b"5"
    assert commands[1:3] == [b"6", b"7"]
    assert commands[::-1] == [b"8", b"7", b"6", b"5"]
    assert b"7" in commands
    assert commands.index(b"6") == 1
    assert list(reversed(commands)) == [b"8", b"7", b"6", b"5"]
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            commands[wrong]
    assert list(commands) == [b"5", b"6", b"7", b"8"]  # again, and after the fact


def test_nothing_is_applied_while_the_machine_is_restored_and_then_what_follows() -> None:
    """Entries that the snapshot covers are given back, those too that were half through: the core waits for them."""
    machine, clock = Single(), Clock(0.003)
    work, _ = applying(machine, clock)
    first, second = entries(1, [(1, NORMAL)] * 200), entries(201, [(2, NOOP), (2, NORMAL)])
    work.push(first)
    work.push(second)
    work.begin()
    assert work.run() is None
    assert 0 < work.applied < 200
    seen = list(machine.seen)
    work.hold()
    behind = entries(301, [(2, NORMAL)] * 2)
    work.push(behind)
    assert not work.pending
    work.begin()
    assert work.run() is None
    assert machine.seen == seen
    assert work.replaced(300) == [first, second]
    assert (work.applied, work.pending, work.held) == (300, True, False)
    clock.step = 0
    work.begin()
    assert work.run() is behind
    assert [index for index, _ in machine.seen[len(seen) :]] == [301, 302]


class Untold(Single):
    """Whose results nobody may ask for."""

    def __init__(self, results: Any) -> None:
        super().__init__()
        self.results = results

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Any]:
        given: Sequence[Any] = self.results(len(commands))
        return given


class Asked(list[Any]):
    """Says that somebody has iterated over it, as a sequence of one's own may fail then."""

    asked = 0

    def __iter__(self) -> Any:
        type(self).asked += 1
        return super().__iter__()


def test_a_range_or_a_tuple_of_results_is_only_counted_where_nobody_waits() -> None:
    for results in (range, lambda count: (None,) * count):
        apply, _ = applying(Untold(results))
        apply.push(entries(1, [(1, NORMAL)] * 300 + [(2, NOOP)] + [(2, NORMAL)] * 20))
        apply.begin()
        done = apply.run()
        assert done is not None
        assert apply.applied == done.last == 321
    apply, _ = applying(Untold(lambda count: range(count + 1)))
    apply.push(entries(1, [(1, NORMAL)] * 3))
    apply.begin()
    with pytest.raises(ApplyFailed) as failed:
        apply.run()
    assert "each of its 3 commands, got 4" in str(failed.value.__cause__)


def test_any_other_sequence_is_asked_for_its_results_though_nobody_waits() -> None:
    """It may fail, and must then fail on every node."""
    apply, _ = applying(Untold(lambda count: Asked(range(count))))
    apply.push(entries(1, [(1, NORMAL)] * 3))
    apply.begin()
    apply.run()
    assert Asked.asked == 1


class Sure(Asked):
    """It says that it does not."""

    asked = 0
    never_fails = True


def test_a_sequence_that_never_fails_is_asked_for_its_results_where_somebody_waits() -> None:
    apply, proposals = applying(Untold(lambda count: Sure(range(count))))
    apply.push(entries(1, [(1, NORMAL)] * 3))
    apply.begin()
    apply.run()
    assert (apply.applied, Sure.asked) == (3, 0)
    one, two = propose(proposals, 1, 1)
    proposals.appended(4, 1, 0.0)
    apply.push(entries(4, [(1, NORMAL)] * 3))
    apply.begin()
    apply.run()
    assert (one.result(), two.result(), Sure.asked) == (0, 1, 1)


def test_a_range_is_the_results_where_somebody_waits() -> None:
    apply, proposals = applying(Untold(lambda count: range(10, 10 + count)))
    one, two = propose(proposals, 1, 1)
    proposals.appended(1, 1, 0.0)
    apply.push(entries(1, [(1, NORMAL)] * 4))
    apply.begin()
    apply.run()
    assert (one.result(), two.result()) == (10, 11)
