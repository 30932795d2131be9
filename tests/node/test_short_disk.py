"""A disk that runs short of space: a snapshot is due at once, and none is tried where there is no room for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raftpy.contracts.errors import SnapshotFailed
from raftpy.runtime import snapshot_policy
from tests.node.lone import Lone
from tests.node.loop import run
from tests.node.words import LastWord


def refuse(name: str, mode: str) -> Any:
    raise SnapshotFailed(name, "opening it failed: No space left on device")


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "no new snapshot" in record.message]


@pytest.mark.parametrize("kept", [2, 5])
@pytest.mark.parametrize("after_s", [0, 70])
def test_a_disk_that_runs_short_makes_one_due_within_the_minute(
    after_s: int, kept: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_policy, "LEAST_BYTES", 1000)

    async def main() -> None:
        lone = Lone(LastWord)
        lone.settings = {"snapshots_kept": kept}
        node = await lone.start()
        disk = lone.disk.snapshots
        asked: list[int] = []
        free_space = disk.free_space
        monkeypatch.setattr(disk, "free_space", lambda: asked.append(1) or free_space())
        await lone.propose(b"x" * 700)
        taken = await node.snapshot()
        await asyncio.sleep(after_s)
        size = sum(map(len, disk.held.values()))
        asked.clear()
        await lone.propose(b"x" * 100)
        await asyncio.sleep(5)
        assert not asked, "while little is behind it the disk is not asked"
        # Much is free.
        await lone.propose(*[b"x" * 700] * 5)
        await asyncio.sleep(10)
        assert 0 < len(asked) <= 11, "once a second at most"
        assert node.status().snapshot_index == taken
        # Not even one fits.
        disk.capacity = size + size // 2
        await asyncio.sleep(10)
        assert node.status().snapshot_index == taken
        assert not complaints(caplog), "nothing is tried that would find no room"
        # It comes back, and is little.
        disk.capacity = size + 5500
        await asyncio.sleep(2)
        assert (second := node.status().snapshot_index) > taken
        # It stays little, and as nothing is appended nothing more could be won.
        asked.clear()
        await asyncio.sleep(120)
        assert node.status().snapshot_index == second
        assert not asked, "nor is the disk asked"
        # The next one lets the log be cut, as two are kept then that are behind it; no more, while it is short.
        await lone.propose(*[b"x" * 700] * 2)
        disk.capacity = sum(map(len, disk.held.values())) + 3000
        await asyncio.sleep(2)
        assert node.status().snapshot_index > second
        assert node.status().first_index == second + 1
        await lone.stop()

    run(main())


def test_one_that_has_little_is_tried_though_all_that_was_appended_would_not_fit(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state that stays small needs little room to free much log."""
    monkeypatch.setattr(snapshot_policy, "LEAST_BYTES", 1000)

    async def main() -> None:
        lone = Lone(LastWord)
        node = await lone.start()
        disk = lone.disk.snapshots
        taken = []
        for number in range(2):
            await lone.propose(b"%d" % number)
            taken.append(await node.snapshot())
        size = sum(map(len, disk.held.values())) // 2
        await lone.propose(*[b"x" * 700] * 5, b"short")
        disk.capacity = 4 * size
        await asyncio.sleep(2)
        assert node.status().snapshot_index > taken[-1]
        assert node.status().first_index == taken[-1] + 1, "and the log is cut behind the one before"
        assert not complaints(caplog)
        await lone.stop()

    run(main())


def test_one_that_fails_there_is_tried_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_policy, "LEAST_BYTES", 1000)

    async def main() -> None:
        lone = Lone(LastWord)
        node = await lone.start()
        disk = lone.disk.snapshots
        await lone.propose(b"x" * 700)
        taken = await node.snapshot()
        await lone.propose(*[b"x" * 700] * 2)
        disk.capacity = sum(map(len, disk.held.values())) + 3000
        monkeypatch.setattr(disk, "open", refuse)
        await asyncio.sleep(50)
        assert len(complaints(caplog)) == 1
        assert "No space" in (node.status().snapshot_failure or "")
        await asyncio.sleep(20)
        assert len(complaints(caplog)) == 2
        monkeypatch.delattr(disk, "open")  # the method is there again
        await asyncio.sleep(60)
        assert node.status().snapshot_index > taken, "and heals"
        assert node.status().snapshot_failure is None
        await lone.stop()

    run(main())
