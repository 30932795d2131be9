"""A database and a store on a disk on which each write, or each sync, of some files fails: what they make of it.

The real ones run in a process of their own, ``python -m tests.sim.disk.failing DIRECTORY FAULT...``, with failing.c
before the C library; a fault is ``NAME:CALL:ERRNO``.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePath
from random import Random
from typing import Any

from raftpy.contracts.database import Database, DatabaseEngine
from raftpy.contracts.errors import StorageFailed
from raftpy.contracts.files import Files
from raftpy.sim.entropy import SeededEntropy
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb.store import make_directory
from raftpy.system.files import SystemFiles
from raftpy.system.leveldb import LevelDB
from tests.sim.disk.both import BUFFER, kind
from tests.storage.late import LateExecutor
from tests.storage.support import OWNER, append, entries, submit

CALLS = ("", "write", "sync")
"""As failing.c counts them."""
MOST_WRITES = 200
"""By then the next write-ahead file is full as well, which waits for LevelDB's thread, or for what has failed there."""

Switch = Callable[[bool], None]
"""Makes the disk bad, and good again."""


def open_database(engine: DatabaseEngine, path: PurePath) -> Database:
    return engine.open(path, create=True, write_buffer_size=BUFFER)


def tried(engine: DatabaseEngine, call: Callable[[], Any]) -> str:
    """ "done", or how it was refused."""
    try:
        call()
    except engine.Error as error:
        return kind(engine, error)
    return "done"


def found(engine: DatabaseEngine, path: PurePath) -> list[str]:
    """All keys, on a good disk."""
    database = open_database(engine, path)
    keys = [key for key, _ in database.iterator(start=b"", stop=b"\xff", verify_checksums=True, fill_cache=False)]
    database.close()
    return [key.decode() for key in keys]


def in_a_write(engine: DatabaseEngine, path: PurePath, bad: Switch) -> list[Any]:
    """The disk is bad during one write of several."""
    database = open_database(engine, path)
    said: list[Any] = []
    for key in (b"a", b"b", b"c", b"d"):
        bad(key == b"b")
        said.append(tried(engine, lambda key=key: database.put(key, b"1", sync=True)))  # type: ignore[misc]
    database.close()
    return [*said, found(engine, path)]


def in_an_opening(engine: DatabaseEngine, path: PurePath, bad: Switch) -> list[Any]:
    """The disk is bad during the first opening, and during one that makes a table of what was written."""
    said: list[Any] = []
    for key in (b"a", b"b"):
        bad(True)
        said.append(tried(engine, lambda: open_database(engine, path).close()))
        bad(False)
        database = open_database(engine, path)
        database.put(key, b"1", sync=True)
        database.close()
    return [*said, found(engine, path)]


def in_its_thread(engine: DatabaseEngine, path: PurePath, bad: Switch) -> list[Any]:
    """The disk is bad while a write-ahead file is full, and what is in it becomes a table."""
    database = open_database(engine, path)
    acknowledged: list[str] = []
    bad(True)
    said = "done"
    for number in range(MOST_WRITES):
        key = f"{number:04}"
        said = tried(engine, lambda key=key: database.put(key.encode(), bytes(1000), sync=True))  # type: ignore[misc]
        if said != "done":
            break
        acknowledged.append(key)
    bad(False)
    after = tried(engine, lambda: database.put(b"after", b"1", sync=True))
    database.close()
    return [said, after, set(acknowledged) <= set(found(engine, path))]


def in_a_store(files: Files, engine: DatabaseEngine, path: PurePath, bad: Switch) -> list[Any]:
    """The disk is bad in an opening of the store, then in one of its writes; what it held after each of them."""
    said: list[Any] = []

    def store() -> LevelDBStorage:
        return LevelDBStorage(
            path,
            mode="inline",
            files=files,
            database=engine,
            executor=LateExecutor(Random(len(said))),
            entropy=SeededEntropy(Random(len(said))),
        )

    def attempt(call: Callable[[], Any]) -> None:
        try:
            call()
        except StorageFailed as error:
            said.append(type(error).__name__)
        else:
            said.append("done")

    def write(opened: LevelDBStorage) -> None:
        submit(opened, [append(entries(last[0] + 1, 1, 1), term=1)])
        last[0] += 1

    last = [0]
    for _ in range(2):
        bad(True)
        opened = store()
        attempt(lambda opened=opened: opened.open(OWNER))  # type: ignore[misc]
        with suppress(StorageFailed):
            opened.close()
        bad(False)
        opened = store()
        last = [opened.open(OWNER).groups[0].last_index]
        said.append(last[0])
        for on in (False, True, False):
            bad(on)
            attempt(lambda opened=opened: write(opened))  # type: ignore[misc]
        with suppress(StorageFailed):
            opened.close()
    return said


def all_of_it(files: Files, engine: DatabaseEngine, directory: PurePath, bad: Switch) -> dict[str, list[Any]]:
    """Everything, each in a directory of its own."""
    acts = {act.__name__: act for act in (in_a_write, in_an_opening, in_its_thread)}
    said = {}
    for name, act in acts.items():
        make_directory(files, directory / name)
        said[name] = act(engine, directory / name / "db", bad)
    said["in_a_store"] = in_a_store(files, engine, directory / "store", bad)
    return said


def main(directory: str, *faults: str) -> None:
    fail = ctypes.CDLL(None).fail
    for turn, fault in enumerate(faults):
        name, call, number = fault.split(":")

        def bad(on: bool, name: str = name, call: str = call, number: str = number) -> None:
            fail(name.encode(), CALLS.index(call) if on else 0, int(number))

        place = Path(directory, f"{turn}")
        place.mkdir()
        print(json.dumps(all_of_it(SystemFiles(), LevelDB(), place, bad)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
