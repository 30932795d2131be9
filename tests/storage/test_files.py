"""Both file systems, the real one and the simulated one, say and do the same: so what runs on one runs on the other."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from random import Random

import pytest

from raftpy.contracts.files import Files
from raftpy.sim.disk.files import Disk, DiskFiles
from raftpy.system.files import SystemFiles


@pytest.fixture(params=["system", "simulated"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Files, PurePath]:
    """A file system, and an empty directory in it."""
    if request.param == "system":
        return SystemFiles(), tmp_path
    files = Disk(Random(1)).files()
    files.make_directory(PurePath("/place"))
    return files, PurePath("/place")


def put(files: Files, path: PurePath, data: bytes) -> None:
    file = files.open(path, "rewrite")
    file.write(data)
    file.close()


def test_what_is_written_is_read(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    path = directory / "a"
    file = files.open(path, "rewrite")
    file.write(b"one ")
    file.write(b"two")
    file.sync()
    file.close()
    assert files.read(path) == b"one two"
    assert files.read_beginning(path, 3) == b"one"
    assert files.read_beginning(path, 30) == b"one two"
    file = files.open(path, "share")
    file.write_at(b"X", 4)
    assert (file.read_at(3, 4), file.read_at(30, 5), file.read_at(3, 30), file.size()) == (b"Xwo", b"wo", b"", 7)
    buffer = memoryview(bytearray(b"......"))
    assert (file.read_into(buffer[1:4], 4), bytes(buffer)) == (3, b".Xwo..")
    assert (file.read_into(buffer[:5], 5), bytes(buffer)) == (2, b"wowo..")
    assert (file.read_into(buffer, 30), file.read_into(buffer[:0], 0)) == (0, 0)
    file.truncate(2)
    file.write_at(b"!", 4)
    file.close()
    assert files.read(path) == b"on\0\0!"
    file = files.open(path, "change")
    file.write(b"ON")
    file.write_durably(memoryview(b"?!?")[1:], 3)
    file.write_durably(b"", 9)
    assert file.read_at(9, 1) == b"N\0!?"
    file.close()
    assert files.read(path) == b"ON\0!?"
    put(files, path, b"new")
    assert files.read(path) == b"new"


def test_what_is_written_is_taken_as_it_is_at_the_call(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    data = bytearray(b"abcdef")
    file = files.open(directory / "a", "share")
    file.write(memoryview(data)[1:4])
    file.write_at(data, 3)
    data[:] = b"......"
    assert files.read(directory / "a") == b"bcdabcdef"
    file.write_at(memoryview(b"Z" * 3_000_000), 1)
    assert (file.size(), files.read_beginning(directory / "a", 3)) == (3_000_001, b"bZZ")
    file.close()


def test_a_file_that_is_only_read(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    put(files, directory / "a", b"abc")
    file = files.open(directory / "a", "read")
    assert (file.read_at(9, 1), file.size()) == (b"bc", 3)
    for call in (
        lambda: file.write(b"x"),
        lambda: file.write_at(b"x", 0),
        lambda: file.truncate(1),
    ):
        with pytest.raises(OSError):  # noqa: PT011 - which one differs from system to system
            call()
    assert not file.set_aside(10)
    file.close()
    assert files.read(directory / "a") == b"abc"


def test_a_file_that_is_deleted_stays_for_who_has_it_open(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    put(files, directory / "a", b"abc")
    file = files.open(directory / "a", "read")
    files.remove(directory / "a")
    files.sync_directory(directory)
    assert files.names(directory) == []
    assert file.read_at(9, 0) == b"abc"
    put(files, directory / "a", b"new")
    assert file.read_at(9, 0) == b"abc"
    file.close()
    assert files.read(directory / "a") == b"new"


def test_space_that_is_set_aside_reads_as_zeros(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    put(files, directory / "a", b"one")
    file = files.open(directory / "a", "change")
    assert file.free_space() > 0
    assert files.free_space(directory) > 0
    with pytest.raises(FileNotFoundError):
        files.free_space(directory / "none")
    if file.set_aside(10):  # not every file system can
        assert files.read(directory / "a") == b"one" + bytes(7)
        assert file.set_aside(5)
        assert file.size() == 10
    file.close()


def test_names(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    inner = directory / "inner"
    files.make_directory(inner)
    files.make_directory(inner)
    put(files, inner / "a", b"a")
    put(files, inner / "b", b"b")
    files.replace(inner / "a", inner / "b")
    files.sync_directory(inner)
    assert (files.names(directory), files.names(inner), files.read(inner / "b")) == (["inner"], ["b"], b"a")
    asked = [(files.exists(path), files.is_file(path), files.is_directory(path)) for path in (inner, inner / "b")]
    assert asked == [(True, False, True), (True, True, False)]
    for path in (inner / "a", inner / "b" / "c", directory / "x" / "y"):
        assert not files.exists(path)
        assert not files.is_file(path)
        assert not files.is_directory(path)
    assert files.identity(inner) == files.identity(directory / "inner") != files.identity(directory)
    assert files.disk_of(inner) == files.disk_of(directory)
    assert files.real_path(inner).name == "inner"
    files.remove_tree(inner)
    assert files.names(directory) == []


def test_what_is_not_there(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    path = directory / "a"
    put(files, directory / "file", b"")
    for call in (
        lambda: files.open(path, "change"),
        lambda: files.open(path, "read"),
        lambda: files.remove(path),
        lambda: files.open(path / "b", "rewrite"),
        lambda: files.read(path),
        lambda: files.read_beginning(path, 3),
        lambda: files.names(path),
        lambda: files.identity(path),
        lambda: files.make_directory(path / "b"),
        lambda: files.replace(path, directory / "b"),
        lambda: files.remove_tree(path),
        lambda: files.sync_directory(path),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    with pytest.raises(FileExistsError):
        files.make_directory(directory / "file")
    with pytest.raises(NotADirectoryError):
        files.names(directory / "file")
    with pytest.raises(IsADirectoryError):
        files.read(directory)


def test_one_open_file_has_the_lock(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    one, other = files.open(directory / "lock", "share"), files.open(directory / "lock", "share")
    assert one.lock()
    assert one.lock()
    assert not other.lock()
    one.close()
    assert other.lock()
    assert other.lock_for_process()
    assert other.lock_for_process()
    other.close()
    pid, host = files.holder()
    assert (pid > 0, host != "") == (True, True)


def test_unlocking_frees_what_was_locked_and_no_more(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    one, other = files.open(directory / "lock", "share"), files.open(directory / "lock", "share")
    assert one.lock()
    other.unlock()
    assert not other.lock()
    one.unlock()
    one.unlock()
    assert other.lock()
    one.unlock()
    assert not one.lock()
    one.close()
    other.close()


def test_who_only_reads_has_the_lock_beside_others_that_do(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    put(files, directory / "lock", b"held")
    one, other = files.open(directory / "lock", "read"), files.open(directory / "lock", "read")
    alone = files.open(directory / "lock", "share")
    assert one.lock_shared()
    assert one.lock_shared()
    assert other.lock_shared()
    assert not alone.lock()
    one.close()
    assert not alone.lock()
    other.unlock()
    assert alone.lock()
    assert not other.lock_shared()
    alone.close()
    assert other.lock_shared()
    other.close()
    assert files.read(directory / "lock") == b"held"


def test_handles_have_places_of_their_own(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    one = files.open(directory / "a", "share")
    other = files.open(directory / "a", "change")
    one.write(b"abc")
    other.write(b"X")
    other.write_at(b"Z", 2)
    other.write(b"Y")
    one.write(b"d")
    assert one.read_at(10, 0) == b"XYZd"
    one.truncate(6)
    assert other.size() == 6
    assert files.read(directory / "a") == b"XYZd\0\0"
    again = files.open(directory / "a", "rewrite")
    assert one.size() == 0
    one.write(b"e")  # behind what was written through this handle
    assert files.read(directory / "a") == b"\0\0\0\0e"
    for file in (one, other, again):
        file.close()
    for call in (one.size, lambda: one.write(b"x"), one.sync, lambda: one.read_at(1, 0), one.lock):
        with pytest.raises(OSError):  # noqa: PT011 - any
            call()


def test_a_file_that_is_open_stays_what_it_is(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    put(files, directory / "old", b"old")
    put(files, directory / "new", b"new")
    old, new = files.open(directory / "old", "share"), files.open(directory / "new", "share")
    files.replace(directory / "new", directory / "old")
    assert (old.read_at(9, 0), new.read_at(9, 0)) == (b"old", b"new")
    old.write(b"gone")
    new.write(b"NEW!")
    assert files.read(directory / "old") == b"NEW!"
    assert files.names(directory) == ["old"]
    old.close()
    new.close()


def test_a_tree_goes_with_all_that_is_in_it(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    for path in (directory / "a", directory / "a" / "b"):
        files.make_directory(path)
        put(files, path / "file", b"x")
        files.sync_directory(path)
    files.remove_tree(directory / "a")
    assert files.names(directory) == []
    assert not files.exists(directory / "a" / "b" / "file")


def test_what_is_something_else(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    inner, file = directory / "inner", directory / "file"
    files.make_directory(inner)
    put(files, file, b"")
    for call in (
        lambda: files.open(inner, "share"),
        lambda: files.open(inner, "rewrite"),
        lambda: files.open(inner, "change"),
        lambda: files.remove(inner),
        lambda: files.read_beginning(inner, 1),
        lambda: files.replace(file, inner),
    ):
        with pytest.raises(IsADirectoryError):
            call()
    for call in (
        lambda: files.open(file / "x", "share"),
        lambda: files.open(file / "x", "change"),
        lambda: files.open(file / "x", "read"),
        lambda: files.remove(file / "x"),
        lambda: files.read(file / "x"),
        lambda: files.make_directory(file / "x"),
        lambda: files.remove_tree(file),
    ):
        with pytest.raises(NotADirectoryError):
            call()
    assert sorted(files.names(directory)) == ["file", "inner"]


def locked_elsewhere(files: Files, path: PurePath) -> bool:
    """Whether another process finds the lock of a process taken."""
    if isinstance(files, DiskFiles):
        file = files.disk.files(pid=2).open(path, "share")
        taken = not file.lock_for_process()
        file.close()
        return taken
    code = (
        "import pathlib, sys; from raftpy.system.files import SystemFiles; "
        "print(SystemFiles().open(pathlib.PurePath(sys.argv[1]), 'share').lock_for_process())"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return ran.stdout.strip() == "False"


def test_one_process_has_the_lock_of_a_process(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    path = directory / "LOCK"
    file = files.open(path, "share")
    assert not locked_elsewhere(files, path)
    assert file.lock_for_process()
    assert locked_elsewhere(files, path)
    other = files.open(path, "share")
    assert other.lock_for_process()
    other.close()  # any handle of the file
    assert not locked_elsewhere(files, path)
    assert file.lock_for_process()
    file.close()
    assert not locked_elsewhere(files, path)


def test_whether_another_process_has_the_lock_of_a_process(place: tuple[Files, PurePath]) -> None:
    files, directory = place
    path = directory / "LOCK"
    file = files.open(path, "share")
    assert not file.locked_by_another()
    with taken_elsewhere(files, path):
        reader = files.open(path, "read")
        assert reader.locked_by_another()
        reader.close()
    assert not file.locked_by_another()
    assert not locked_elsewhere(files, path)  # asking takes nothing
    file.close()


@contextmanager
def taken_elsewhere(files: Files, path: PurePath) -> Iterator[None]:
    """While another process has the lock of a process."""
    if isinstance(files, DiskFiles):
        file = files.disk.files(pid=2).open(path, "share")
        assert file.lock_for_process()
        yield
        file.close()
        return
    code = (
        "import pathlib, sys; from raftpy.system.files import SystemFiles; "
        "file = SystemFiles().open(pathlib.PurePath(sys.argv[1]), 'share'); "
        "print(file.lock_for_process(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield
        process.stdin.close()


def test_an_error_names_the_file(tmp_path: Path) -> None:
    """The system says no name where a call is given a descriptor, and an error is what somebody has to go by."""
    files, path = SystemFiles(), tmp_path / "a"
    put(files, path, b"what is there")
    to_read, to_write = files.open(path, "read"), files.open(path, "rewrite")
    for refused in (
        lambda: to_read.write(b"x"),
        lambda: to_read.write_at(b"x", 1),
        lambda: to_read.write_durably(b"x", 1),
        lambda: to_read.truncate(1),
        lambda: to_write.read_at(1, 0),
        lambda: to_write.read_into(memoryview(bytearray(1)), 0),
    ):
        with pytest.raises(OSError, match=re.escape(str(path))):
            refused()
    to_read.close()
    to_write.close()
