"""The checker beside slower ones: all permutations, and the plain search, on histories that are true or spoilt."""

from __future__ import annotations

from itertools import combinations, permutations
from random import Random

import pytest

from raftpy.sim.linearizability import Kind, Operation, Verdict, check
from raftpy.sim.linearizability.checker import by_key
from raftpy.sim.linearizability.models import Register
from raftpy.sim.linearizability.search import search
from raftpy.sim.linearizability.shrink import shrink
from tests.sim.histories import Shape, make, spoil

KINDS = (Kind.READ, Kind.READ, Kind.WRITE, Kind.SWAP, Kind.DELETE)
APPENDS = (Kind.READ, Kind.READ, Kind.APPEND, Kind.APPEND, Kind.WRITE, Kind.DELETE)
SHAPES = {
    "unique values": Shape(0),
    "few values": Shape(0, values=2),
    "many unknown": Shape(0, values=3, unknown=0.4),
    "unknown and unique": Shape(0, unknown=0.4),
    "versions": Shape(0, versions=True, unknown=0.2),
    "versions of few values": Shape(0, values=2, versions=True, unknown=0.3),
    "appends": Shape(0, kinds=APPENDS, unknown=0.1),
    "appends alone": Shape(0, kinds=(Kind.READ, Kind.APPEND), unknown=0.2, values=2),
    "appends and swaps": Shape(0, values=2, kinds=(*APPENDS, Kind.SWAP), unknown=0.3),
    "appends with versions": Shape(0, values=2, kinds=(*APPENDS, Kind.SWAP), versions=True, unknown=0.3),
    "untold": Shape(0, values=2, untold=0.5, unknown=0.2),
    "untold with versions": Shape(0, values=2, untold=0.3, versions=True),
}


def shaped(name: str, operations: int, clients: int = 3, keys: int = 1) -> Shape:
    shape = SHAPES[name]
    return Shape(operations, clients, keys, shape.values, shape.kinds, shape.versions, shape.unknown, shape.untold)


def brute_force(history: list[Operation]) -> bool:
    """Every order of the known operations with every choice of the others; by the definition, and nothing else."""
    (operations,) = by_key(history).values()
    known = [each for each in operations if each.returned is not None]
    others = [each for each in operations if each.returned is None]
    return any(
        follows(order)
        for count in range(len(others) + 1)
        for chosen in combinations(others, count)
        for order in permutations(known + list(chosen))
        if keeps_to_times(order)
    )


def keeps_to_times(order: tuple[Operation, ...]) -> bool:
    earliest = float("inf")  # the first return of those that come later in the order
    for operation in reversed(order):
        if operation.call > earliest:
            return False
        if operation.returned is not None:
            earliest = min(earliest, operation.returned)
    return True


def follows(order: tuple[Operation, ...]) -> bool:
    model = Register()
    cell = model.initial()
    for operation in order:
        after = model.step(cell, operation.input, operation.output)
        if after is None:
            return False
        cell = after
    return True


def is_before(operation: Operation, other: Operation) -> bool:
    """Whether it returned before the other did."""
    return operation.returned is not None and other.returned is not None and operation.returned < other.returned


@pytest.mark.parametrize("name", SHAPES)
def test_true_histories_are_accepted(name: str, seed: int) -> None:
    source = Random(seed)
    for _ in range(60):
        history = make(source, shaped(name, source.randrange(1, 50), source.randrange(1, 6), source.randrange(1, 3)))
        result = check(history)
        assert result, (history, str(result.violation))


@pytest.mark.parametrize("name", SHAPES)
def test_beside_all_permutations(name: str, seed: int) -> None:
    source = Random(seed)
    wrong = tried = 0
    while tried < 150 or (wrong <= 10 and tried < 1000):
        tried += 1
        history = spoil(source, make(source, shaped(name, source.randrange(2, 7))))
        right = brute_force(history)
        wrong += not right
        assert bool(check(history)) is right, history
    assert wrong > 10


@pytest.mark.parametrize("name", SHAPES)
def test_beside_the_plain_search(name: str, seed: int) -> None:
    source = Random(seed)
    wrong = 0
    for _ in range(100):
        history = make(source, shaped(name, source.randrange(8, 26), source.randrange(2, 6)))
        for _ in range(source.randrange(1, 3)):
            history = spoil(source, history)
        (operations,) = by_key(history).values()
        found = search(Register(), operations, 50_000)
        result = check(history)
        wrong += not result
        if found.ordered is not None:
            assert bool(result) is found.ordered, history
    assert wrong > 5


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_blamed_is_the_earliest_answer_that_nothing_explains(name: str, seed: int) -> None:
    source = Random(seed)
    for _ in range(60):
        history = spoil(source, make(source, shaped(name, source.randrange(8, 40), 4)))
        result = check(history)
        if result.violation is None:
            assert result.verdict is Verdict.LINEARIZABLE
            continue
        blamed = result.violation.blocked
        assert blamed.returned is not None
        before = [
            each if is_before(each, blamed) else each._replace(returned=None, output=None)
            for each in history
            if each.call <= blamed.returned
        ]
        assert check(before)
        assert not check([each if each.call != blamed.call else blamed for each in before])


@pytest.mark.parametrize("name", SHAPES)
def test_shrunk_violations_are_violations_still_and_nothing_can_be_left_out(name: str, seed: int) -> None:
    source = Random(seed)
    shrunk = 0
    while shrunk < 8:
        history = spoil(source, make(source, shaped(name, source.randrange(8, 40), 4, 2)))
        if check(history):
            continue
        shrunk += 1
        smaller = shrink(history)
        assert not check(smaller)
        assert shrink(smaller) == smaller
        assert len({each.key for each in smaller}) == 1
