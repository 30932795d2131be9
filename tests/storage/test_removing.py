"""A large file is deleted in steps, and is whole for whoever has it still (``raftpy/system/removing.py``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from raftpy.system import removing
from raftpy.system.files import SystemFiles

SIZE = 3 * removing.STEP + 1


def large(path: Path) -> Path:
    """A file that is deleted in steps, with something in it."""
    with path.open("wb") as file:
        file.write(b"beginning")
        file.truncate(SIZE)
    return path


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes to which files are cut, from now on."""
    seen: list[int] = []
    truncate = os.ftruncate

    def noting(fd: int, size: int) -> None:
        seen.append(size)
        truncate(fd, size)

    monkeypatch.setattr(removing.os, "ftruncate", noting)
    return seen


def test_a_large_file_goes_step_by_step_when_its_name_is_gone(
    tmp_path: Path, cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = large(tmp_path / "large")
    noting, named = os.ftruncate, []
    monkeypatch.setattr(removing.os, "ftruncate", lambda fd, size: (named.append(path.exists()), noting(fd, size)))
    SystemFiles().remove(path)
    assert not path.exists()
    assert cuts == ([2 * removing.STEP + 1, removing.STEP + 1, 1] if sys.platform == "linux" else [])
    assert named == [False] * len(cuts), "what a crash leaves has no name: it is never a snapshot cut short"


def test_a_small_file_goes_at_once(tmp_path: Path, cuts: list[int]) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x")
    SystemFiles().remove(path)
    assert (path.exists(), cuts) == (False, [])


def test_who_has_it_open_reads_all_of_it(tmp_path: Path, cuts: list[int]) -> None:
    """A snapshot may be on its way to a member when it is deleted."""
    path = large(tmp_path / "large")
    with path.open("rb") as reader:
        SystemFiles().remove(path)
        assert cuts == []
        assert (reader.read(9), os.fstat(reader.fileno()).st_size) == (b"beginning", SIZE)
    assert not path.exists()


def test_a_file_with_another_name_stays_as_it_is(tmp_path: Path, cuts: list[int]) -> None:
    """As a backup by hard links has it."""
    path, kept = large(tmp_path / "large"), tmp_path / "kept"
    os.link(path, kept)
    SystemFiles().remove(path)
    assert (path.exists(), cuts) == (False, [])
    assert kept.stat().st_size == SIZE


def test_where_steps_are_refused_it_goes_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = large(tmp_path / "large")

    def refused(fd: int, size: int) -> None:
        raise OSError("no")

    monkeypatch.setattr(removing.os, "ftruncate", refused)
    SystemFiles().remove(path)
    assert not path.exists()


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path: Path, cuts: list[int]) -> None:
    kept, link = large(tmp_path / "kept"), tmp_path / "link"
    link.symlink_to(kept)
    SystemFiles().remove(link)
    assert (link.is_symlink(), kept.stat().st_size, cuts) == (False, SIZE, [])


def test_a_file_that_may_not_be_written_goes_at_once(
    tmp_path: Path, cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To delete it takes no more than a right to its directory."""
    path = large(tmp_path / "large")

    def refused(*arguments: object) -> int:
        raise PermissionError("not yours")

    monkeypatch.setattr(removing.os, "open", refused)
    SystemFiles().remove(path)
    assert (path.exists(), cuts) == (False, [])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SystemFiles().remove(tmp_path / "nothing")
