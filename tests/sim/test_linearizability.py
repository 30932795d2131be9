"""The checker on published histories, and on the rules that a history follows."""

from __future__ import annotations

import pytest

from raftpy.sim.linearizability import Input, Kind, Operation, Output, Recorder, Verdict, check
from raftpy.sim.linearizability.models import Register
from raftpy.sim.linearizability.search import search
from tests.sim import published

READ = Input(Kind.READ)


def write(value: str) -> Input:
    return Input(Kind.WRITE, value)


def saw(value: str | None, version: int | None = None) -> Output:
    return Output(value=value, version=version)


DONE = Output()


@pytest.mark.parametrize("name", published.HISTORIES)
def test_published_histories(name: str) -> None:
    result = check(published.operations(name), published.initial(name))
    assert result.verdict is (Verdict.LINEARIZABLE if published.HISTORIES[name] else Verdict.VIOLATION)


def test_the_published_histories_are_all_there() -> None:
    assert set(published.texts()) - set(published.HISTORIES) == {published.DID_NOT_START}
    assert len(published.HISTORIES) == 108


# The registers of porcupine's own tests, from a quiz of MIT's 6.824 (2017), section VII.


def test_reads_beside_a_slow_write_that_one_order_explains() -> None:
    assert check(
        [
            Operation(0, "x", 0, 100, write("100"), DONE),
            Operation(1, "x", 25, 75, READ, saw("100")),
            Operation(2, "x", 30, 60, READ, saw("0")),
        ],
        "0",
    )


def test_a_read_that_goes_back_beside_a_slow_write() -> None:
    result = check(
        [
            Operation(0, "x", 0, 100, write("200"), DONE),
            Operation(1, "x", 10, 30, READ, saw("200")),
            Operation(2, "x", 40, 90, READ, saw("0")),
        ],
        "0",
    )
    assert result.violation is not None
    assert result.violation.blocked.client == 2


def test_operations_that_take_no_time() -> None:
    history = [
        Operation(0, "x", 0, 100, write("100"), DONE),
        Operation(1, "x", 25, 75, READ, saw("100")),
        Operation(2, "x", 30, 30, READ, saw("0")),
        Operation(3, "x", 30, 30, READ, saw("0")),
    ]
    assert check(history, "0")


def test_operations_that_share_a_moment_are_concurrent() -> None:
    assert check([Operation(0, "x", 0, 1, write("a"), DONE), Operation(1, "x", 1, 2, READ, saw(None))])
    assert not check([Operation(0, "x", 0, 1, write("a"), DONE), Operation(1, "x", 1.5, 2, READ, saw(None))])


def test_a_write_without_outcome_may_have_happened_or_not_or_happen_late() -> None:
    lost = Operation(0, "x", 0, None, write("a"), None)
    assert check([lost, Operation(1, "x", 1, 2, READ, saw(None))])
    assert check([lost, Operation(1, "x", 1, 2, READ, saw("a"))])
    assert check([lost, Operation(1, "x", 1, 2, READ, saw(None)), Operation(1, "x", 3, 4, READ, saw("a"))])


def test_many_writes_at_once_take_few_steps_where_their_versions_are_told() -> None:
    """Versions only grow, as log indexes do: of writes that were told theirs there is one order. Behind each stands a
    condition that failed on a version, which tells nothing of the value."""
    writes = [Operation(n, "x", 0, 1000, write(str(n)), Output(version=2 * n)) for n in range(1, 31)]
    failed = [
        Operation(100 + n, "x", 0, 1000, Input(Kind.SWAP, "never", version=1), Output(False, version=2 * n))
        for n in range(1, 31)
    ]
    assert check([*reversed(writes), *failed], budget=200)
    wrong = Operation(999, "x", 0, 1000, Input(Kind.SWAP, "never", version=1), Output(False, version=31))
    result = check([*reversed(writes), *failed, wrong], budget=2000)
    assert result.verdict is Verdict.VIOLATION, "nobody was told that the key had version 31"


def test_a_search_that_is_given_up_says_so_and_takes_the_same_steps_again() -> None:
    operations = published.operations("jepsen/etcd_000.log")
    first = check(operations, budget=20)
    assert first.verdict is Verdict.UNDECIDED
    assert first.violation is None
    assert not first
    assert check(operations, budget=20) == first


def test_a_violation_is_found_beside_a_key_that_was_given_up() -> None:
    hard = published.operations("jepsen/etcd_000.log")
    wrong = [Operation(0, "y", 0, 1, READ, saw("never"))]
    result = check(hard + wrong, budget=20)
    assert result.verdict is Verdict.VIOLATION
    assert result.violation is not None
    assert result.violation.key == "y"


def test_an_operation_that_returns_before_its_call_is_refused() -> None:
    with pytest.raises(ValueError, match="returned before it was called"):
        check([Operation(0, "x", 2, 1, READ, saw(None))])


def test_a_recorder_orders_what_happens_within_one_moment() -> None:
    recorder = Recorder()
    first = recorder.call(1, "x", write("a"))
    recorder.answer(first, DONE)
    recorder.answer(recorder.call(2, "x", READ), saw("a"))
    refused = recorder.call(3, "x", write("b"))
    recorder.call(4, "x", write("c"))
    recorder.refuse(refused)
    assert recorder.operations() == [
        Operation(1, "x", 1, 2, write("a"), DONE),
        Operation(2, "x", 3, 4, READ, saw("a")),
        Operation(4, "x", 6, None, write("c"), None),
    ]


def test_the_plain_search_agrees_on_a_published_violation() -> None:
    operations = published.operations("jepsen/etcd_000.log")
    assert search(Register(), operations, 10**6).ordered is False
