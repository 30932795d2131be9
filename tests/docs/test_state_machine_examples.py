"""The state machines that the docstrings of the protocols show run in a node, give out their state, and get it back."""

from __future__ import annotations

import asyncio
import inspect
import io
import socket
import sqlite3
import struct
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raftpy import Config, Node, SnapshotFailed
from raftpy.contracts.state_machine import InMemoryStateMachine, OnDiskStateMachine, SavedState

COMMANDS = [b"a", b"b", b"a", b"c" * 300, b"b", b"a"]


def example(protocol: type) -> dict[str, Any]:
    """What the code in the protocol's docstring defines."""
    _, found, rest = inspect.cleandoc(protocol.__doc__ or "").partition("::\n\n")
    assert found
    lines = rest.splitlines()
    end = next((number for number, line in enumerate(lines) if line and not line.startswith("    ")), len(lines))
    names: dict[str, Any] = {"struct": struct, "sqlite3": sqlite3, "Iterator": Iterator, "SavedState": SavedState}
    source = "from __future__ import annotations\n" + textwrap.dedent("\n".join(lines[:end]))
    exec(compile(source, protocol.__name__, "exec"), names)
    return names


def config_of(directory: Path) -> Config:
    """Of a node alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        return Config(id=1, cluster={1: f"127.0.0.1:{port.getsockname()[1]}"}, data_dir=directory)


async def lives(config: Config, new: Callable[[], Any], state: Callable[[Any], Any], expected: Any) -> None:
    """Commands, a snapshot between them, and two more lives, of which the log is cut at the second's beginning."""
    machine = new()
    async with Node(config, machine) as node:
        await node.wait_for_leader()
        for number, command in enumerate(COMMANDS):
            await node.propose(command)
            if number in (2, 3):
                assert await node.snapshot() == node.status().applied_index
        assert state(machine) == expected
        assert node.status().first_index > 1
    for _ in range(2):
        await lives_on(config, new, state, expected)


async def lives_on(config: Config, new: Callable[[], Any], state: Callable[[Any], Any], expected: Any) -> None:
    """One more life."""
    machine = new()
    async with Node(config, machine) as node:
        await node.wait_for_leader()
        await node.read_index()
        assert state(machine) == expected


def test_the_one_in_memory(tmp_path: Path) -> None:
    words = example(InMemoryStateMachine)["Words"]
    expected = {command: COMMANDS.count(command) for command in COMMANDS}
    asyncio.run(lives(config_of(tmp_path), words, lambda machine: machine.counts, expected))


def on_disk(path: Path) -> Any:
    return example(OnDiskStateMachine)["Words"](str(path))


def words_of(machine: Any) -> list[bytes]:
    return [word for (word,) in machine.database.execute("SELECT word FROM words ORDER BY word")]


def remove(path: Path) -> None:
    """The database, and the files that SQLite has beside it."""
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


class Saved:
    """Bytes that a view has written. Where ``reads`` are given, the disk fails after so many."""

    version = 1

    def __init__(self, data: bytes, reads: int | None = None) -> None:
        self._file, self._left = io.BytesIO(data), reads
        self.size = len(data)

    def read(self, size: int) -> bytes:
        if self._left == 0:
            raise SnapshotFailed("words.snapshot", "it cannot be read any more")
        if self._left is not None:
            self._left -= 1
        return self._file.read(size)


def test_the_one_on_disk(tmp_path: Path) -> None:
    path, config = tmp_path / "words.db", config_of(tmp_path / "node")
    expected = sorted(set(COMMANDS))
    asyncio.run(lives(config, lambda: on_disk(path), words_of, expected))
    restored: list[int] = []

    def lost() -> Any:
        """It has lost its disk, so that it is restored."""
        remove(path)
        machine = on_disk(path)
        restore = machine.restore
        machine.restore = lambda saved: (restore(saved), restored.append(machine.applied_index()))
        return machine

    asyncio.run(lives_on(config, lost, words_of, expected))
    assert len(restored) == 1
    assert restored[0] > 0


def test_its_view_is_of_one_moment(tmp_path: Path) -> None:
    machine = on_disk(tmp_path / "words.db")
    for index, word in ((1, b"a"), (2, b"b"), (4, b"a")):
        machine.apply(index, word)
    view = machine.capture()
    machine.apply(5, b"c")
    written = b"".join(view.write())
    view.close()
    other = on_disk(tmp_path / "other.db")
    other.restore(Saved(written))
    assert (words_of(other), other.applied_index(), other.sync()) == ([b"a", b"b"], 4, 4)


def test_its_restore_can_be_cut_off_anywhere_and_begun_again(tmp_path: Path) -> None:
    machine = on_disk(tmp_path / "words.db")
    for index in range(1, 6):
        machine.apply(index, b"new %d" % index)
    view = machine.capture()
    written = b"".join(view.write())
    view.close()
    other = tmp_path / "other.db"
    for reads in range(12):  # the index, two for each of five words, and the one that finds the end
        machine = on_disk(other)
        machine.apply(9, b"old")
        with pytest.raises(SnapshotFailed):
            machine.restore(Saved(written, reads))
        machine.database.close()
        machine = on_disk(other)
        assert machine.applied_index() == 0
        machine.restore(Saved(written, 12))
        machine.database.close()
        machine = on_disk(other)
        assert (words_of(machine), machine.applied_index()) == ([b"new %d" % index for index in range(1, 6)], 5)
        machine.database.close()


def test_nothing_applied_is_nothing_restored(tmp_path: Path) -> None:
    view = on_disk(tmp_path / "words.db").capture()
    other = on_disk(tmp_path / "other.db")
    other.restore(Saved(b"".join(view.write())))
    assert (words_of(other), other.applied_index()) == ([], 0)
