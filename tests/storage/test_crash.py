"""Real processes, killed and starved: whatever was acknowledged is there, and nothing that was never submitted."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.types import Recovered
from raftpy.storage import LevelDBStorage
from tests.storage.script import GROUPS, OWNER_OF_GROUPS, batches
from tests.storage.support import OWNER, Disk, Model, append, entries, submit


def run(
    path: Path,
    seed: int,
    done: int,
    kill_after: float | None = None,
    file_limit: int | None = None,
    opened: bool = False,
) -> list[str]:
    """Lets the writing process run until it is killed or gives up; the whole lines that it has printed.

    The time to ``kill_after`` begins with the process, or when the store is open.
    """

    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.script", str(path), str(seed), str(done)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=limit,  # noqa: PLW1509 - the limit is for this one process
    )
    assert process.stdout is not None
    before = process.stdout.readline() if opened else b""
    timer = threading.Timer(60 if kill_after is None else kill_after, process.kill)
    timer.start()
    output, errors = process.communicate()
    output = before + output
    timer.cancel()
    assert errors == b"", errors.decode()
    return [line.decode().rstrip("\n") for line in output.splitlines(keepends=True) if line.endswith(b"\n")]


def numbers(lines: list[str], word: str) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith(word + " ")]


def models_after(seed: int, writes: int) -> dict[int, Model]:
    models = {group: Model() for group in GROUPS}
    for batch in islice(batches(seed), writes):
        for group, appends in batch:
            models[group].submit(appends)
    return models


def matches(models: dict[int, Model], recovered: Recovered) -> bool:
    """Whether each group's log is as long as its model's, with the same hard state."""
    for group, model in models.items():
        state = recovered.groups[group]
        hard_state = (state.hard_state.term, state.hard_state.vote, state.hard_state.commit)
        if len(model.log) != state.last_index or model.hard_state != hard_state:
            return False
    return True


def check_and_count(path: Path, seed: int, acknowledged: int, tried: int, boots: list[int]) -> int:
    """Opens the store; it must hold the first N writes exactly, each in all its groups or in none,
    acknowledged <= N <= tried. Returns N."""
    disk = Disk("leveldb", path)
    store, recovered = disk.open(OWNER_OF_GROUPS)
    assert all(recovered.boot >> 32 > boot >> 32 for boot in boots)
    boots.append(recovered.boot)
    found = []
    for count in range(acknowledged, tried + 1):
        models = models_after(seed, count)
        if matches(models, recovered):
            try:
                for group, model in models.items():
                    model.check(store, recovered, group)
            except AssertionError:
                continue
            found.append(count)
    store.close()
    tried_all = f"none of the first {acknowledged} to {tried} writes (seed {seed})"
    assert found, f"{tried_all} gives what the store holds: {recovered.groups}"
    return found[-1]


def test_kill_9_twenty_times(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    path = tmp_path / "node1"
    count = 0
    boots: list[int] = []
    killed_writing = 0
    for turn in range(20):
        # Every second one is killed while it writes, however long this machine takes to start it.
        lines = run(path, seed, count, kill_after=rng.uniform(0.05, 0.9), opened=turn % 2 == 1)
        boots += numbers(lines, "boot")
        acknowledged = max(numbers(lines, "done"), default=count - 1) + 1
        tried = max(numbers(lines, "try"), default=count - 1) + 1
        killed_writing += tried > acknowledged
        count = check_and_count(path, seed, acknowledged, tried, boots)
    assert count > 20


@pytest.mark.parametrize("limit", [0, 100, 4096, 20_000, 100_000, 300_000])
def test_files_that_may_not_grow(tmp_path: Path, seed: int, limit: int) -> None:
    """RLIMIT_FSIZE: the write that crosses it is cut short, as on a full disk (Python ignores SIGXFSZ)."""
    path = tmp_path / "node1"
    Disk("leveldb", path).open(OWNER_OF_GROUPS)[0].close()
    boots: list[int] = []
    lines = run(path, seed, 0, file_limit=limit)
    acknowledged = max(numbers(lines, "done"), default=-1) + 1
    tried = max(numbers(lines, "try"), default=-1) + 1
    if lines[0].startswith("refused"):  # not damaged: there was no room to start in
        assert lines[0].startswith(f"refused StorageFailed opening the store {path} failed")
        assert "File too large" in lines[0]
    else:
        (failed,) = (line for line in lines if line.startswith("failed "))
        assert f"writing to the store {path} failed: [Errno " in failed
        assert "File too large" in failed
        assert lines[-1] == failed.replace("failed", "again", 1)
    boots += numbers(lines, "boot")
    count = check_and_count(path, seed, acknowledged, tried, boots)
    lines = run(path, seed, count, kill_after=1.0)
    acknowledged = max(numbers(lines, "done"), default=count - 1) + 1
    check_and_count(path, seed, acknowledged, max(numbers(lines, "try"), default=count - 1) + 1, boots)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.needs_root
def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Everything acknowledged is there once there is room again; the handle that met the full disk stays dead."""
    disk = Disk("leveldb", small_disk / "node1")
    model = Model()
    store, _ = disk.open()
    with pytest.raises(StorageFailed, match=r"writing to the store .* failed: .*No space left on device"):
        while True:
            appends = [append(entries(len(model.log) + 1, 50, 1), term=1)]
            submit(store, appends)
            model.submit(appends)
    assert len(model.log) > 1000
    for _ in range(2):
        with pytest.raises(StorageFailed, match="No space left"):
            submit(store, [append(entries(len(model.log) + 1, 1, 1))])
    store.close()
    with pytest.raises(StorageFailed, match="the store .* failed: .*No space left"):  # not damaged
        LevelDBStorage(small_disk / "node1").open(OWNER)
    roomy = tmp_path / "roomy"
    shutil.copytree(small_disk / "node1", roomy)
    store, recovered = Disk("leveldb", roomy).open()
    if recovered.groups[0].last_index > len(model.log):
        model.submit(appends)  # the write that failed may surface
    model.check(store, recovered)
