"""The table of message types has a row for each type, and says what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import raftcore
from raftcore import Message, MessageType
from raftcore.base.types import message_words

SOURCES = Path(raftcore.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"


def documented() -> dict[MessageType, frozenset[str]]:
    """The words of each row of docs/messages.md; the row's number and name must belong together."""
    rows = re.findall(r"^\| (\d+) \| (\w+) \| .* \| ([a-z, ]+) \|$", (DOCS / "messages.md").read_text(), re.MULTILINE)
    return {MessageType[name]: frozenset(words.split(", ")) for number, name, words in rows
            if MessageType[name] == int(number)}  # fmt: skip


def explained() -> set[str]:
    """The words that docs/messages.md explains."""
    page = (DOCS / "messages.md").read_text()
    return set(re.findall(r"^\| ([a-z ]+) \| [A-Z]", page, re.MULTILINE))


def with_word(word: str) -> set[MessageType]:
    return {type for type in MessageType if word in message_words(type)}


def test_the_documentation_has_a_row_for_each_type() -> None:
    assert set(documented()) == set(MessageType)


@pytest.mark.parametrize("type", list(MessageType), ids=lambda type: type.name)
def test_the_table_says_what_the_documentation_says(type: MessageType) -> None:
    assert message_words(type) == documented()[type]


def test_every_word_is_explained() -> None:
    assert {word for type in MessageType for word in message_words(type)} == explained()


def test_each_type_is_either_local_or_of_the_network() -> None:
    # A row that says nothing fails here.
    assert [type.name for type in MessageType if len(message_words(type) & {"local", "network"}) != 1] == []


def test_there_are_as_many_types_as_rows() -> None:
    # A row without a name in MessageType fails here; a name without a row is not compiled.
    assert [int(type) for type in MessageType] == list(range(len(MessageType)))
    with pytest.raises(ValueError, match=rf"\(0 to {len(MessageType) - 1}\)"):
        message_words(len(MessageType))
    with pytest.raises(ValueError, match=rf"\(0 to {len(MessageType) - 1}\)"):
        message_words(-1)
    with pytest.raises(ValueError, match=rf"\(0 to {len(MessageType) - 1}\)"):
        Message(len(MessageType))


def travelling() -> dict[MessageType, tuple[int, str]]:
    """The frame kind of each type that docs/wire-format.md lists, and what the page says of the type."""
    page = (DOCS / "wire-format.md").read_text()
    table = page[page.index("Which types travel") : page.index("**Contexts.**")]
    found = {}
    for kinds, names, text in re.findall(r"^\| ([\d, ]+) \| ([\w, ]+) \| (.*)\|$", table, re.MULTILINE):
        for kind, name in zip(kinds.split(", "), names.split(", "), strict=True):
            found[MessageType[name]] = (int(kind), text)
    return found


def test_the_wire_format_has_a_line_for_each_type_of_the_network() -> None:
    found = travelling()
    assert {type: kind for type, (kind, _) in found.items()} == {type: type + 1 for type in with_word("network")}
    termless = {type for type, (_, text) in found.items() if re.search(rf"No term|{type.name} has no term", text)}
    assert termless == with_word("termless")
    optional = {type for type, (_, text) in found.items() if "The term may be missing" in text}
    assert optional == with_word("term optional")


def test_there_is_no_second_place_for_a_set_of_types() -> None:
    sources = [path for suffix in ("*.pyx", "*.pxd", "*.py") for path in SOURCES.rglob(suffix)]
    assert SOURCES / "base" / "types.pxd" in sources
    sets = re.compile(r"1 << \(?Msg\w+\)? *\||\| *\(?1 << Msg|\btype (?:<|<=|>|>=) [1-9]|[1-9] (?:<|<=) type\b")
    assert [path.name for path in sources if path.name != "types.pxd" and sets.search(path.read_text())] == []
