"""The clocks."""

from __future__ import annotations

import asyncio
import time

import pytest

from raftpy.contracts.clock import Clock, ManualClock, SystemClock


def test_manual_clock_calls_in_order_of_time_then_of_asking() -> None:
    clock = ManualClock()
    calls: list[tuple[str, float]] = []

    def note(name: str) -> None:
        calls.append((name, clock.monotonic()))

    clock.call_later(2, lambda: note("late"))
    clock.call_later(1, lambda: note("first"))
    clock.call_later(1, lambda: note("second"))
    clock.call_later(1, lambda: clock.call_later(0, lambda: note("asked at once")))
    clock.call_later(1, lambda: note("third"))
    clock.call_later(-5, lambda: note("now"))
    assert calls == [], "never inside call_later"
    assert clock.advance(1.5) == 6
    assert calls == [("now", 0), ("first", 1), ("second", 1), ("third", 1), ("asked at once", 1)]
    assert clock.monotonic() == 1.5
    assert clock.next_due() == 2
    assert clock.advance(0.5) == 1
    assert calls[-1] == ("late", 2)
    assert clock.next_due() is None


def test_manual_clock_cancels() -> None:
    clock = ManualClock()
    calls: list[int] = []
    first = clock.call_later(1, lambda: calls.append(1))
    second = clock.call_later(2, lambda: calls.append(2))
    first.cancel()
    assert clock.next_due() == 2
    clock.advance(5)
    second.cancel()
    assert calls == [2]


def test_manual_clock_wall_runs_beside() -> None:
    clock = ManualClock(start_s=10, wall_start_ms=1_000_000)
    clock.advance(1.25)
    assert (clock.monotonic(), clock.wall_ms()) == (11.25, 1_001_250)


def test_manual_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="moved by -1 s: allowed is 0 or more"):
        ManualClock().advance(-1)


def test_system_clock() -> None:
    async def run() -> list[str]:
        clock: Clock = SystemClock()
        calls: list[str] = []
        clock.call_later(0.02, lambda: calls.append("late"))
        clock.call_later(0, lambda: calls.append("soon"))
        clock.call_later(0.01, lambda: calls.append("cancelled")).cancel()
        clock.call_later(0, lambda: calls.append("soon after"))
        assert calls == []
        start = clock.monotonic()
        await asyncio.sleep(0.05)
        assert clock.monotonic() - start >= 0.05
        return calls

    assert asyncio.run(run()) == ["soon", "soon after", "late"]
    assert abs(SystemClock().wall_ms() - time.time() * 1000) < 1000
