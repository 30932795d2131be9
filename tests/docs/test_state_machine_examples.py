"""The state machines that the docstrings of the protocols show run in a node, give out their state, and get it back."""

from __future__ import annotations

import asyncio
import inspect
import socket
import sqlite3
import struct
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raftpy import Config, Node
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


async def lives(directory: Path, new: Callable[[], Any], state: Callable[[Any], Any], expected: Any) -> None:
    """Commands, a snapshot between them, and two more lives, of which the log is cut at the second's beginning."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        config = Config(id=1, cluster={1: f"127.0.0.1:{port.getsockname()[1]}"}, data_dir=directory)
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
        machine = new()
        async with Node(config, machine) as node:
            await node.wait_for_leader()
            await node.read_index()
            assert state(machine) == expected


def test_the_one_in_memory(tmp_path: Path) -> None:
    words = example(InMemoryStateMachine)["Words"]
    expected = {command: COMMANDS.count(command) for command in COMMANDS}
    asyncio.run(lives(tmp_path, words, lambda machine: machine.counts, expected))


def test_the_one_on_disk(tmp_path: Path) -> None:
    shown = example(OnDiskStateMachine)["Words"]

    class View:
        def __init__(self, words: list[bytes]) -> None:
            self.words = words

        def write(self) -> Iterator[bytes]:
            for word in self.words:
                yield struct.pack("<I", len(word)) + word

        def close(self) -> None:
            self.words = []

    class Words(shown):  # type: ignore[misc]
        """With what the example leaves out; a node that keeps its disk never has to restore it."""

        def words(self) -> list[bytes]:
            return [word for (word,) in self.database.execute("SELECT word FROM words ORDER BY word")]

        def capture(self) -> View:
            return View(self.words())

        def restore(self, saved: SavedState) -> None:
            raise AssertionError("it stands where it stood")

    path = str(tmp_path / "words.db")
    expected = sorted(set(COMMANDS))
    asyncio.run(lives(tmp_path / "node", lambda: Words(path), lambda machine: machine.words(), expected))
