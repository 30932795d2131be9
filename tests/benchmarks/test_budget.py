"""The latency budget: times by part, the table, and one short run from end to end."""

from __future__ import annotations

import re

import pytest

from benchmarks.budget import OUTSIDE, PARTS, main, table
from benchmarks.traced import PASS, Mark, Trace, timer_cost_ns, typical


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_a_part_does_not_count_what_its_inner_parts_take() -> None:
    hands = Hands()
    trace = Trace(hands)

    def inner(took: int) -> int:
        hands.now += took
        return took

    wrapped = trace.wrap("inner", inner)

    def outer() -> int:
        hands.now += 5
        return wrapped(took=100) + wrapped(20) + inner(3)

    assert trace.wrap("outer", outer)() == 123
    assert trace.spent == {"inner": 120, "outer": 8}
    assert trace.calls == {"inner": 2, "outer": 1}
    trace.reset()
    assert (trace.spent, trace.calls) == ({}, {})


def test_what_a_pass_takes_is_told_by_what_came_before() -> None:
    hands = Hands()
    trace = Trace(hands)

    def spend(took: int) -> None:
        hands.now += took

    write = trace.wrap("write", spend)

    def run() -> None:
        spend(1)
        write(20)
        spend(3)
        write(40)
        spend(5)

    trace.wrap(PASS, run)()
    assert trace.spent == {PASS: 1, "write": 60, f"{PASS} after write": 8}
    assert trace.calls == {PASS: 1, "write": 2, f"{PASS} after write": 2}
    trace.on = False
    trace.wrap(PASS, run)()
    assert hands.now == 2 * 69
    assert sum(trace.spent.values()) == 69


def test_a_mark_counts_what_runs() -> None:
    hands = Hands()
    trace = Trace(hands)

    def inner() -> Mark:
        hands.now += 30
        return trace.mark()

    def outer() -> Mark:
        hands.now += 5
        trace.wrap("inner", inner)()
        hands.now += 1
        return trace.wrap("inner", inner)()  # type: ignore[no-any-return]

    assert trace.wrap("outer", outer)() == (66, {"outer": 6, "inner": 60}, {"inner": 1})
    assert trace.spent == {"outer": 6, "inner": 60}


def test_a_part_that_raises_is_counted_and_closed() -> None:
    hands = Hands()
    trace = Trace(hands)

    def failing() -> None:
        hands.now += 7
        raise ValueError

    wrapped = trace.wrap("failing", failing)

    def outer() -> None:
        with pytest.raises(ValueError, match=r"^$"):
            wrapped()
        hands.now += 1

    trace.wrap("outer", outer)()
    assert trace.spent == {"failing": 7, "outer": 1}


def test_typical_commands_are_the_middle_fifth_by_their_time() -> None:
    marks: list[Mark] = [(0, {}, {})]
    for took in (10, 900, 30, 1, 20):  # 20 lies in the middle
        at, spent, calls = marks[-1]
        later = {"select": spent.get("select", 0) + took - 1}
        marks.append((at + took, later, {"propose": calls.get("propose", 0) + 1}))
    assert typical(marks) == (20, {"select": 19}, {"propose": 1})
    assert typical(marks[:2]) == (10, {"select": 9}, {"propose": 1})


def test_the_parts_add_up_to_all() -> None:
    figures = {
        "elapsed": 10_000_000,
        "spent": {"select": 6_000_000, PASS: 1_000_000, "propose": 500_000},
        "calls": {"select": 50, PASS: 60, "propose": 100},
        "timer": 500.0,
    }
    lines = table(figures)
    assert f"| {PARTS['select']} | 0.5 | 60.00 | 60.0% |" in lines
    assert f"| {OUTSIDE} |  | 25.00 | 25.0% |" in lines
    assert "| all | | 100.00 | |" in lines
    assert lines[-1] == "100 commands. Timers: about 1.05 us of each command's time."


def test_a_timer_costs_something() -> None:
    assert 0 < timer_cost_ns() < 1e6


def test_a_short_run(capsys: pytest.CaptureFixture[str]) -> None:
    # So many that passes end among those in the middle: one pass may hold several commands, with nothing outside it.
    main(["--count", "300", "--concurrency", "64", "--seconds", "0.2"])
    printed = capsys.readouterr().out
    assert "One command of 16 B at a time:" in printed
    assert "64 commands of 16 B in flight:" in printed
    for first in printed.split("\n\n")[1::3]:
        rows = dict(re.findall(r"^\| (.+?) \|.*\| (-?[\d.]+) \| -?[\d.]+% \|$", first, re.MULTILINE))
        parts = (PASS, "storage.submit", "transport.receive", f"{PASS} after transport.receive", "apply")
        assert {*(PARTS[part] for part in parts), OUTSIDE} <= set(rows)
        (total,) = re.findall(r"^\| all \| \| ([\d.]+) \| \|$", first, re.MULTILINE)
        assert sum(float(took) for took in rows.values()) == pytest.approx(float(total), abs=0.1)
