"""Places in the source, and the list of those that no test reaches."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

LISTED = Path(__file__).with_name("uncovered.toml")


@dataclass(frozen=True)
class Place:
    """A line of the core: its file, its number, and its text without indentation."""

    file: str
    number: int
    text: str


@dataclass(frozen=True)
class Listed:
    """A line that no test reaches, and why. By its text: numbers change with each edit above it."""

    file: str
    text: str
    reason: str


def read(path: Path = LISTED) -> list[Listed]:
    """The list. ValueError for an entry without a reason, or with a field that is not known."""
    out = []
    for number, entry in enumerate(tomllib.loads(path.read_text()).get("line", []), 1):
        if set(entry) != {"file", "text", "reason"} or not all(entry.values()):
            raise ValueError(f"{path.name}, entry {number}: file, text and reason, each not empty; got {entry}")
        out.append(Listed(**entry))
    return out


def complaints(missed: Sequence[Place], listed: Iterable[Listed]) -> list[str]:
    """What is wrong with the list: a line that is not reached and not in it, an entry whose line is reached (or gone).

    A text that stands in a file more than once is listed as often as it is not reached.
    """
    entries = Counter((entry.file, entry.text) for entry in listed)
    left = entries.copy()
    out = []
    for place in missed:
        if left[place.file, place.text] > 0:
            left[place.file, place.text] -= 1
        else:
            out.append(f"{place.file}:{place.number}: not reached, not listed: {place.text}")
    out += [
        f"{file}: listed, but reached or gone: {text}" for (file, text), count in left.items() for _ in range(count)
    ]
    return out
