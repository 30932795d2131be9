"""A data directory that is somebody else's is refused before anything is written there; a node's own never is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftpy.contracts.errors import ForeignDirectory, WrongIdentity
from raftpy.contracts.types import StoreOwner
from raftpy.storage import LevelDBStorage
from tests.storage.late import LateExecutor
from tests.storage.layout import batch_ends, log_files, newest_file
from tests.storage.support import MEMBERS, OWNER, abandon, append, entries, submit


def contents(directory: Path) -> dict[str, tuple[int, int, bytes | None]]:
    """Everything below a directory: kind and rights, time of the last change, bytes."""
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else None,
        )
        for path in [directory, *directory.rglob("*")]
    }


def opens(path: Path) -> bool:
    """Opens, and closes again; False when the directory is called foreign."""
    store = LevelDBStorage(path)
    try:
        store.open(OWNER)
    except ForeignDirectory:
        return False
    store.close()
    return True


def write(name: str, data: bytes = b"x") -> Callable[[Path], object]:
    def make(directory: Path) -> None:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return make


FOREIGN: dict[str, Callable[[Path], object]] = {
    "a file": write("notes.txt"),
    "an empty file": write("notes.txt", b""),
    "a hidden file": write(".bashrc"),
    "a directory": lambda directory: (directory / "lib").mkdir(),
    "a dangling link": lambda directory: (directory / "link").symlink_to("nowhere"),
    "a lock of another program": write("lock", b"4711\n"),
    "a lock of another program in JSON": write("lock", b'{"owner": "somebody"}'),
    "a directory that is called lock": lambda directory: (directory / "lock").mkdir(),
    "a pipe that is called lock": lambda directory: os.mkfifo(directory / "lock"),
    "a floor of another program": write("floor", b"oak\n"),
    "a directory that is called floor": lambda directory: (directory / "floor").mkdir(),
    "a database of another program": write("leveldb/CURRENT", b"MANIFEST-000001\n"),
    "a database of another program, not begun": write("leveldb/LOCK", b""),
    "a file that is called leveldb": write("leveldb", b""),
    "a directory of another program that is called segments": write("segments/0000000000000001", b""),
    "a file that is called segments": write("segments", b""),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_directory_is_refused_untouched(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ForeignDirectory) as caught:
        LevelDBStorage(tmp_path).open(OWNER)
    assert contents(tmp_path) == before
    assert caught.value.entries == tuple(os.listdir(tmp_path))
    for words in (f"the directory {tmp_path} ", f"holds {os.listdir(tmp_path)[0]};", "nothing was written", "empty"):
        assert words in str(caught.value)


def test_a_few_of_many_entries_are_named(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"file-{number:02}").touch()
    (tmp_path / "lost+found").mkdir()
    with pytest.raises(ForeignDirectory, match="holds file-00, file-01, file-02, file-03, file-04 and 95 more;"):
        LevelDBStorage(tmp_path).open(OWNER)


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    assert opens(tmp_path)
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    assert opens(tmp_path / "disk")
    assert opens(tmp_path / "to" / "be" / "made")


def test_what_is_put_beside_a_nodes_store_does_no_harm(tmp_path: Path) -> None:
    assert opens(tmp_path)
    (tmp_path / "README").write_text("of whoever runs this node")
    (tmp_path / "lock").unlink()
    assert opens(tmp_path)


# --- A first start that was killed ------------------------------------------------------------------------------------


STEPS = ("mkdir", "open", "ftruncate", "pwrite", "write", "replace")
"""Of the system's calls those that change what is in a directory; the database's own come after the floor."""


@pytest.fixture
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Copies of a data directory as a first start leaves it after each of its steps."""
    live = tmp_path / "live"
    copies: list[Path] = []
    copying = False

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*arguments: Any, **options: Any) -> Any:
            nonlocal copying
            result = step(*arguments, **options)
            if live.is_dir() and not copying:
                copying = True
                copies.append(shutil.copytree(live, tmp_path / f"copy-{len(copies)}"))
                copying = False
            return result

        return taken

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, watched(getattr(os, name)))
        LevelDBStorage(live, executor=LateExecutor(Random(1))).open(OWNER)
    return copies


def test_a_first_start_killed_between_any_two_steps_can_be_made_again(states: list[Path]) -> None:
    halves = {frozenset(os.listdir(state)) for state in states}
    assert {frozenset(), frozenset({"lock"}), frozenset({"lock", "floor.new"}), frozenset({"lock", "floor"})} <= halves
    assert all(opens(state) for state in states)


@pytest.mark.parametrize("left", [0, 5], ids="{} bytes".format)
@pytest.mark.parametrize("zeros", [0, 40], ids="{} zeros".format)
def test_a_power_failure_in_a_first_start_leaves_less_or_zeros(states: list[Path], left: int, zeros: int) -> None:
    for state in states:
        for name in {"lock", "floor.new"} & set(os.listdir(state)):
            path = state / name
            path.write_bytes(path.read_bytes()[:left] + bytes(zeros))
        assert opens(state)


def test_what_lies_beside_a_first_start_that_was_killed_is_named(states: list[Path]) -> None:
    half = next(state for state in states if os.listdir(state) == ["lock"])
    (half / "notes.txt").touch()
    before = contents(half)
    with pytest.raises(ForeignDirectory, match=r"holds notes\.txt;"):
        LevelDBStorage(half).open(OWNER)
    assert contents(half) == before


def test_a_start_of_another_node_changes_nothing(tmp_path: Path) -> None:
    """Also where a crash has left the beginning of a batch, which a start of the right one cuts off."""
    store = LevelDBStorage(tmp_path)
    store.open(OWNER)
    submit(store, [append(entries(1, 4, 1), term=1, vote=2)])
    abandon(store)
    file = newest_file(tmp_path)
    data = file.read_bytes()
    end = batch_ends(data)[-1]
    file.write_bytes(data[:end] + b"\x01\x02\x03\x04\xff\x00\x01torn")
    before = {path: path.read_bytes() for path in log_files(tmp_path)}
    with pytest.raises(WrongIdentity):
        LevelDBStorage(tmp_path).open(StoreOwner(2, MEMBERS))
    assert {path: path.read_bytes() for path in log_files(tmp_path)} == before
    store = LevelDBStorage(tmp_path)
    assert store.open(OWNER).groups[0].last_index == 4
    assert file.read_bytes() == data[:end]
    store.close()
