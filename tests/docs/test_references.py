"""What a comment or docstring refers to is there: decisions, pages, headings, words of the table of messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DESIGN = (ROOT / "docs" / "design.md").read_text()
TREES = ("raftcore", "raftpy", "tests", "benchmarks", "examples", ".ci")
SUFFIXES = (".py", ".pyi", ".pyx", ".pxd")


def sources() -> Iterator[tuple[str, str]]:
    """(name, text on one line) of every source file but this one."""
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*")):
            if path.suffix in SUFFIXES and path != Path(__file__):
                # A reference may run over the end of a line, and the next line may begin a comment anew.
                yield path.relative_to(ROOT).as_posix(), re.sub(r"\s*\n[ #]*", " ", path.read_text())


def found(pattern: str) -> list[tuple[str, str]]:
    """(file, what the pattern's group is) of every place."""
    return [(name, place[1]) for name, text in sources() for place in re.finditer(pattern, text)]


def test_decisions_have_a_number_that_the_design_has() -> None:
    numbers = set(re.findall(r"^### (\d+)\. ", DESIGN, re.MULTILINE))
    named = found(r"\b[Dd]ecisions?:? ((?:\d+(?:, | and )?)+)")
    assert len(named) > 10
    assert [(name, text) for name, text in named if not set(re.findall(r"\d+", text)) <= numbers] == []


def test_nothing_refers_to_a_decision_without_a_number_or_to_another_architecture() -> None:
    assert found(r"(\([^()]*\bdecision: \w+[^()]*\)|\(architecture, [^()]*\))") == []


def test_pages_that_are_named_exist() -> None:
    named = found(r"\b(docs/[\w-]+\.md)\b")
    assert len(named) > 10
    assert [(name, page) for name, page in named if not (ROOT / page).exists()] == []


def test_headings_that_are_quoted_exist() -> None:
    headings = {heading.strip() for heading in re.findall(r"^#+ (.*)$", DESIGN, re.MULTILINE)}
    quoted = found(r'\(docs/design\.md, "([^"]+)"\)')
    assert quoted
    assert [(name, heading) for name, heading in quoted if heading not in headings] == []


def test_words_of_the_table_of_messages_exist() -> None:
    words = set(re.findall(r"^\| ([a-z ]+) \| [A-Z]", (ROOT / "docs" / "messages.md").read_text(), re.MULTILINE))
    quoted = found(r"\(docs/messages\.md, ([a-z ]+)\)")
    assert quoted
    assert [(name, word) for name, word in quoted if word not in words] == []
