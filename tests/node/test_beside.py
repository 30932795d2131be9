"""Calls in threads beside the loop: once they are stopped none begins. What is under way: test_snapshot_threads.py."""

from __future__ import annotations

import asyncio

import pytest

from raftpy.contracts.errors import Stopped
from raftpy.runtime.beside import Beside
from tests.node.loop import run
from tests.node.steps import LoopSteps


def test_a_call_whose_thread_has_not_begun_when_it_is_stopped_is_never_made() -> None:
    """Nobody waits for it: whoever has stopped it may have closed by then all that it would touch."""

    async def main() -> None:
        steps = LoopSteps()
        steps.held = True
        beside = Beside(steps, "beside")
        made: list[int] = []
        call = asyncio.ensure_future(beside.call(lambda: made.append(1)))
        await asyncio.sleep(0)
        assert len(steps.waiting) == 1
        beside.stop(Stopped)
        beside.wait()
        steps.release()
        with pytest.raises(Stopped):
            await call
        assert made == []

    run(main())
