"""The loop on virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.node.loop import Deadlock, VirtualClock, run


def test_an_hour_passes_at_once_and_in_order() -> None:
    order: list[tuple[float, str]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append((asyncio.get_running_loop().time(), name))

    async def main() -> None:
        await asyncio.gather(sleeper("hour", 3600), sleeper("second", 1), sleeper("minute", 60))

    begun = time.perf_counter()
    run(main())
    assert time.perf_counter() - begun < 1
    assert [name for _, name in order] == ["second", "minute", "hour"]
    assert [t for t, _ in order] == pytest.approx([1, 60, 3600])


def test_timeouts_are_virtual_too() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()
        assert asyncio.get_running_loop().time() == pytest.approx(100)

    run(main())


def test_a_wait_that_nothing_can_end_is_an_error_and_no_hang() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="no timer is set"):
        run(main())


def test_the_clock_runs_beside_the_loop() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop(), wall_start_ms=5000)
        assert (clock.monotonic(), clock.wall_ms()) == (0.0, 5000)
        called: list[str] = []
        clock.call_later(1.5, lambda: called.append("late"))
        clock.call_later(0, lambda: called.append("now"))
        clock.call_later(1.0, lambda: called.append("never")).cancel()
        assert called == []
        await asyncio.sleep(2)
        assert called == ["now", "late"]
        assert (clock.monotonic(), clock.wall_ms()) == (2.0, 7000)

    run(main())
