"""The list of seeded bugs does not rot: every patch still applies, and the documentation names what is in the list."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.seeded_bugs.bug import GROUPS, Bug, Patch
from tests.seeded_bugs.bugs import BUGS
from tests.seeded_bugs.report import ABSENT
from tests.seeded_bugs.worlds.bugs import BUGS as WORLDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", [*BUGS, *WORLDS], ids=lambda bug: bug.name)
def test_every_patch_applies_exactly_once(bug: Patch) -> None:
    text = (ROOT / bug.file).read_text()
    assert bug.patched(text) != text


@pytest.mark.parametrize("bug", [*BUGS, *WORLDS], ids=lambda bug: bug.name)
def test_every_record_is_whole(bug: Patch) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", bug.name)
    assert bug.breaks
    assert "|" not in bug.breaks  # it is a cell of a table


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_of_the_core_says_who_finds_it(bug: Bug) -> None:
    assert bug.found_by
    assert set(bug.found_by) <= set(GROUPS)
    assert bug.near == "" or (ROOT / bug.near).is_file()


def test_names_are_unique_and_there_are_many() -> None:
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []
    assert len(BUGS) >= 100


def test_every_group_of_finders_is_the_first_to_find_some() -> None:
    assert {bug.found_by[0] for bug in BUGS} | {group for bug in BUGS for group in bug.found_by} == set(GROUPS)


def test_no_bug_is_left_to_random_schedules_alone() -> None:
    """With another seed, or after a change of what the core draws, those come elsewhere."""
    assert [bug.name for bug in BUGS if "tables" not in bug.found_by] == []


def documented() -> dict[str, tuple[str, set[str]]]:
    """Bug -> (what it breaks, groups that find it), from the table in docs/testing.md."""
    rows = {}
    for line in (ROOT / "docs" / "testing.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 2 + len(GROUPS) and re.fullmatch(r"[a-z]+(-[a-z]+)+", cells[0]):
            found = {group for group, cell in zip(GROUPS, cells[2:], strict=True) if cell != ABSENT}
            rows[cells[0]] = (cells[1], found)
    return rows


def test_the_table_in_the_documentation_is_the_list() -> None:
    assert documented() == {bug.name: (bug.breaks, set(bug.found_by)) for bug in BUGS}
