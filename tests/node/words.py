"""State machines that give out their state: one in memory, and one with a disk of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from raftpy.contracts.files import Data
from raftpy.contracts.state_machine import SavedState

CHUNK = struct.Struct("<QI")


class WordsView:
    """Of the words at one moment."""

    def __init__(self, words: list[tuple[int, bytes]]) -> None:
        self.words = words
        self.closed = 0

    def write(self) -> Iterator[Data]:
        for index, word in self.words:
            yield CHUNK.pack(index, len(word)) + word

    def close(self) -> None:
        self.closed += 1


class ThreadedView(WordsView):
    """Asked in a thread."""

    writes_in_thread = True


def read_words(saved: SavedState) -> list[tuple[int, bytes]]:
    words = []
    while head := saved.read(CHUNK.size):
        index, size = CHUNK.unpack(head)
        words.append((index, saved.read(size)))
    return words


class Words:
    """In memory: what was applied, by index. ``given``: the commands that it was given in this life."""

    state_version = 1
    view_class = WordsView

    def __init__(self) -> None:
        self.words: list[tuple[int, bytes]] = []
        self.given: list[int] = []
        self.restored: list[int] = []
        self.views: list[WordsView] = []

    def apply(self, index: int, command: bytes) -> int:
        self.given.append(index)
        self.words.append((index, command))
        return index

    # For the harness, which compares what nodes have applied.
    @property
    def commands(self) -> list[bytes]:
        return [word for _, word in self.words]

    @property
    def indexes(self) -> list[int]:
        return [index for index, _ in self.words]

    def capture(self) -> WordsView:
        self.views.append(self.view_class(list(self.words)))
        return self.views[-1]

    def restore(self, saved: SavedState) -> None:
        self.words = read_words(saved)
        self.restored.append(saved.size)


class LastWord(Words):
    """Keeps the last word alone, so that its state does not grow."""

    def apply(self, index: int, command: bytes) -> int:
        self.words.clear()
        return super().apply(index, command)


class ThreadedWords(Words):
    """Its views are written in a thread."""

    view_class = ThreadedView


@dataclass
class WordsDisk:
    """What a machine has made durable."""

    words: list[tuple[int, bytes]] = field(default_factory=list)
    applied: int = 0


class WordsOnDisk(Words):
    """Keeps its words on a disk of its own, which is synced when it is asked to."""

    def __init__(self, disk: WordsDisk | None = None) -> None:
        super().__init__()
        self.disk = disk or WordsDisk()
        self.words = list(self.disk.words)

    def applied_index(self) -> int:
        return self.disk.applied

    def sync(self) -> int:
        if self.words:
            self.disk.words, self.disk.applied = list(self.words), self.words[-1][0]
        return self.disk.applied

    def restore(self, saved: SavedState) -> None:
        self.disk.words, self.disk.applied = [], 0
        super().restore(saved)
        self.sync()
