"""Pages of logs that are read beside the loop: whoever has asked is answered, whatever the system lacks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from raftcore import Entries
from raftcore.base.errors import LogTemporarilyUnavailable
from raftpy.contracts.clock import ManualClock
from raftpy.runtime.log_reading import AGAIN_S, LogReading
from tests.node.steps import LoopSteps


def test_all_that_could_not_be_read_is_read_a_little_later() -> None:
    """Of several groups, say, whose followers all wait: none of them asks twice."""

    async def main() -> None:
        clock, lacking = ManualClock(), True
        failures: list[BaseException] = []
        reading = LogReading(LoopSteps(), clock, 1, failures.append)
        read: list[int] = []
        reported: list[int] = []

        def page(number: int) -> Callable[[], list[Entries]]:
            def call() -> list[Entries]:
                read.append(number)
                if lacking:
                    raise LogTemporarilyUnavailable("[Errno 24] Too many open files")
                return []

            return call

        def report(number: int) -> Callable[[list[Entries]], object]:
            return lambda pieces: reported.append(number)

        for number in range(5):
            assert reading.ask(page(number), report(number), failures.append, beside=number % 2 > 0) is None
        for _ in range(3):
            await turns()
            assert sorted(read) == list(range(5)), "each is tried once"
            read.clear()
            assert clock.advance(AGAIN_S) == 1, "one timer for all of them"
        lacking = False
        await turns()
        assert sorted(reported) == list(range(5))
        assert clock.advance(10 * AGAIN_S) == 0
        assert failures == []
        reading.stop()
        reading.end()

    asyncio.run(main())


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
