"""Planted violations, each of another kind: found, and explained by the operation that shows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftpy.sim.linearizability import ANY, Input, Kind, Operation, Output, Verdict, check
from raftpy.sim.linearizability.shrink import shrink

History = list[Operation]
PLANTED: dict[str, tuple[Callable[[], History], int]] = {}
"""Name: the history, and the index of the operation that must be blamed."""


def planted(blamed: int) -> Callable[[Callable[[], History]], Callable[[], History]]:
    def keep(make: Callable[[], History]) -> Callable[[], History]:
        PLANTED[make.__name__] = (make, blamed)
        return make

    return keep


def read(client: int, call: float, returned: float, value: object, version: int | None = None) -> Operation:
    return Operation(client, "k", call, returned, Input(Kind.READ), Output(value=value, version=version))


def write(client: int, call: float, returned: float | None, value: str, version: int | None = None) -> Operation:
    output = None if returned is None else Output(version=version)
    return Operation(client, "k", call, returned, Input(Kind.WRITE, value), output)


def append(client: int, call: float, returned: float | None, value: str) -> Operation:
    output = None if returned is None else Output()
    return Operation(client, "k", call, returned, Input(Kind.APPEND, value), output)


def delete(client: int, call: float, returned: float, done: bool) -> Operation:
    return Operation(client, "k", call, returned, Input(Kind.DELETE), Output(done))


def swap(
    client: int,
    call: float,
    returned: float | None,
    value: str,
    expected: object = ANY,
    version: int | None = None,
    done: bool = True,
    told: int | None = None,
) -> Operation:
    output = None if returned is None else Output(done, version=told)
    return Operation(client, "k", call, returned, Input(Kind.SWAP, value, expected, version), output)


@planted(2)
def lost_update() -> History:
    """Two clients read the same value and each replaces it; both are told that they did."""
    return [write(0, 0, 1, "0"), swap(1, 2, 6, "1", "0"), swap(2, 3, 7, "2", "0")]


@planted(2)
def swapped_twice_by_version() -> History:
    """The same, with the version as the condition."""
    return [write(0, 0, 1, "0", 5), swap(1, 2, 3, "1", version=5, told=6), swap(2, 4, 5, "2", version=5, told=7)]


@planted(2)
def stale_read() -> History:
    """A write was acknowledged, then an older value is read."""
    return [write(0, 0, 1, "old"), write(0, 2, 3, "new"), read(1, 4, 5, "old")]


@planted(1)
def never_written() -> History:
    return [write(0, 0, 1, "a"), read(1, 0, 2, "b")]


@planted(2)
def read_before_the_write_was_called() -> History:
    return [write(0, 0, 1, "a"), write(0, 4, 5, "b"), read(1, 2, 3, "b")]


@planted(3)
def read_going_back() -> History:
    """While a write is under way, one client sees it, and after that another does not."""
    return [write(0, 0, 1, "a"), write(0, 2, 9, "b"), read(1, 3, 4, "b"), read(2, 5, 6, "a")]


@planted(1)
def acknowledged_write_lost() -> History:
    return [write(0, 0, 1, "a"), read(1, 2, 3, None)]


@planted(3)
def write_applied_twice() -> History:
    """A write is overwritten, and comes back: it was applied once more."""
    return [write(0, 0, 1, "a"), write(1, 2, 3, "b"), read(2, 4, 5, "b"), read(2, 6, 7, "a")]


@planted(3)
def unknown_write_appears_and_vanishes() -> History:
    return [write(0, 0, 1, "a"), write(1, 2, None, "b"), read(2, 3, 4, "b"), read(2, 5, 6, "a")]


@planted(4)
def unknown_write_happens_twice() -> History:
    """A write of unknown outcome is seen, overwritten, and seen again."""
    return [
        write(1, 0, None, "b"),
        read(2, 1, 2, "b"),
        write(0, 3, 4, "a"),
        read(2, 5, 6, "a"),
        read(2, 7, 8, "b"),
    ]


@planted(1)
def swap_of_what_was_not_there() -> History:
    return [write(0, 0, 1, "a"), swap(1, 2, 3, "c", "b")]


@planted(1)
def swap_refused_though_the_value_was_there() -> History:
    return [write(0, 0, 1, "a"), swap(1, 2, 3, "b", "a", done=False)]


@planted(2)
def refused_swap_happened() -> History:
    return [write(0, 0, 1, "a"), swap(1, 2, 3, "c", "b", done=False), read(2, 4, 5, "c")]


@planted(2)
def deleted_key_is_back() -> History:
    return [write(0, 0, 1, "a"), delete(0, 2, 3, True), read(1, 4, 5, "a")]


@planted(2)
def deleted_twice() -> History:
    return [write(0, 0, 1, "a"), delete(0, 2, 4, True), delete(1, 3, 5, True)]


@planted(1)
def delete_missed_a_key_that_was_there() -> History:
    return [write(0, 0, 1, "a"), delete(1, 2, 3, False)]


@planted(1)
def append_applied_twice() -> History:
    return [append(0, 0, 1, "a"), read(1, 2, 3, "aa")]


@planted(2)
def append_lost() -> History:
    return [append(0, 0, 3, "a"), append(1, 1, 2, "b"), read(2, 4, 5, "a")]


@planted(3)
def appends_seen_in_two_orders() -> History:
    return [append(0, 0, 9, "a"), append(1, 0, 9, "b"), read(2, 1, 2, "ab"), read(3, 3, 4, "ba")]


@planted(1)
def version_given_twice() -> History:
    return [write(0, 0, 1, "a", 4), write(1, 2, 3, "b", 4)]


@planted(1)
def version_going_back() -> History:
    return [write(0, 0, 1, "a", 4), write(1, 2, 3, "b", 3)]


@planted(2)
def value_with_the_version_of_another() -> History:
    return [write(0, 0, 1, "a", 4), write(1, 2, 3, "b", 5), read(2, 4, 5, "b", 4)]


@planted(2)
def version_of_an_unknown_write_changes() -> History:
    """Nobody was told the version of the write, but it has only one."""
    return [write(0, 0, None, "a"), read(1, 1, 2, "a", 7), read(1, 3, 4, "a", 8)]


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name: str) -> None:
    make, blamed = PLANTED[name]
    history = make()
    result = check(history)
    assert result.verdict is Verdict.VIOLATION
    assert result.violation is not None
    assert result.violation.blocked == history[blamed]
    assert result.violation.key == "k"


@pytest.mark.parametrize("name", PLANTED)
def test_without_what_is_blamed_there_is_nothing_wrong(name: str) -> None:
    make, blamed = PLANTED[name]
    history = make()
    assert check(history[:blamed] + history[blamed + 1 :])


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found_among_other_keys(name: str) -> None:
    make, blamed = PLANTED[name]
    history = make()
    others = [each._replace(key=key) for key in ("a", "z") for each in history[:blamed]]
    result = check(others + history)
    assert result.violation is not None
    assert result.violation.key == "k"


def test_a_violation_in_words() -> None:
    result = check([write(0, 0, 1, "old"), write(0, 2, 3, "new", 9), write(3, 1, None, "x"), read(1, 4, 5, "old")])
    assert str(result.violation) == (
        "key 'k' is not linearizable: no order explains all answers up to that of\n"
        "    client 1 [4 .. 5] read -> 'old'\n"
        "All answers before it are explained by this order (2 of 4 operations):\n"
        "    client 0 [0 .. 1] write 'old' -> done   leaves 'old'\n"
        "    client 0 [2 .. 3] write 'new' -> done, version 9   leaves 'new', version 9\n"
        "Called before that answer, and not in the order:\n"
        "    client 3 [1 .. never returned] write 'x' -> outcome not known"
    )


def test_a_violation_shrinks_to_what_shows_it() -> None:
    stale = [write(0, 0, 1, "old"), write(0, 2, 3, "new"), read(1, 4, 5, "old")]
    around = [read(2, 0, 2, "old"), write(2, 6, 7, "x"), read(2, 8, 9, "x"), read(3, 3.5, 3.6, "new")]
    others = [each._replace(key="other") for each in around]
    assert shrink(stale + around + others) == stale


def test_a_history_without_a_violation_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="no violation"):
        shrink([write(0, 0, 1, "a")])
