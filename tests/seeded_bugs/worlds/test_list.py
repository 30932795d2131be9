"""The driver's seeded bugs are many, and the documentation has their table; each by itself: ../test_list.py."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.seeded_bugs.worlds.__main__ import SEEDS, main
from tests.seeded_bugs.worlds.bugs import BUGS

ROOT = Path(__file__).parents[3]
PARTS = ("raftpy/storage/leveldb/", "raftpy/storage/", "raftpy/runtime/", "raftpy/transport/", "raftcore/")


def test_names_are_unique_and_there_are_many_of_each_part() -> None:
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []
    assert len(BUGS) >= 32
    assert [part for part in PARTS if not any(bug.file.startswith(part) for bug in BUGS)] == []


def test_the_table_in_the_documentation_is_the_list() -> None:
    documented = {}
    for line in (ROOT / "docs" / "testing.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 6 and re.fullmatch(r"[a-z]+(-[a-z]+)+", cells[0]):
            documented[cells[0]] = (cells[1], cells[2])
            assert cells[3]
            assert 1 <= int(cells[4]) <= SEEDS
    assert documented == {bug.name: (bug.breaks, bug.file) for bug in BUGS}


def test_which_bugs_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [bug.name for bug in BUGS]
    assert main(["--list", "--only", "pin-not-synced,batch-not-synced"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["batch-not-synced", "pin-not-synced"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "no-such"], "no such bug: no-such"),
        (["--only", ","], "no such bug: ','"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
    ],
)
def test_wrong_usage(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", *arguments]) == 2
    assert text in capsys.readouterr().err
