"""A key-value store as a replicated state machine: put, get, delete, compare-and-swap, list by prefix.

What it guarantees:

1. Its state after applying log entry i is a function of the entries 1..i alone: no clock, no randomness, no order of
   a set or of a dict decides anything. So every replica holds the same keys, values and versions.
2. The version of a key is the log index of its last write: it grows with every write and is never used twice, also
   not after the key was deleted and put again.
3. A condition that does not hold is a result, not an exception: the entry is applied, changes nothing and says what
   it found.

Reads are plain calls on the state as applied here and now. To read linearizably, await ``Node.read_index()`` first
(thesis 6.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
from typing import NamedTuple, overload

from raftpy.contracts.state_machine import SavedState
from raftpy.replicated import kv_commands
from raftpy.replicated.held import Held
from raftpy.replicated.kv_commands import PUT, decode
from raftpy.replicated.kv_puts import put_all
from raftpy.replicated.kv_state import VERSION, KeyValueView, SavedKeys
from raftpy.replicated.parted_dict import PartedDict
from raftpy.replicated.sorted_keys import SortedKeys


class Kind(Enum):
    """What a command came to."""

    READ = "read"
    """A read's point in the log has been reached."""
    WRITTEN = "written"
    """A put was carried out."""
    DELETED = "deleted"
    """A delete was carried out."""
    MISSING = "missing"
    """A delete found no such key."""
    MISMATCH = "mismatch"
    """The condition did not hold; nothing changed."""


_WRITTEN = Kind.WRITTEN


@dataclass(slots=True)
class Outcome:
    """The result of one command, the same on every replica. One is made for every entry: freezing would triple that."""

    kind: Kind
    """What the command came to."""
    index: int
    """The command's own log index; for WRITTEN it is the key's new version."""
    version: int
    """The key's version after the command; 0 when the key is not there, and for a read's point in the log."""


class Written(Sequence[Outcome]):
    """The outcomes of puts that follow one another, each made when it is asked for. ``count`` entries from ``first`` on
    are theirs."""

    __slots__ = ("_indexes",)
    never_fails = True
    """See ``BatchStateMachine.apply_batch``."""

    def __init__(self, first: int, count: int) -> None:
        self._indexes = range(first, first + count)

    def __len__(self) -> int:
        return len(self._indexes)

    @overload
    def __getitem__(self, position: int) -> Outcome: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, position: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(position, slice):
            return list(self)[position]
        index = self._indexes[position]
        return Outcome(_WRITTEN, index, index)

    def __iter__(self) -> Iterator[Outcome]:
        return map(Outcome, repeat(_WRITTEN), self._indexes, self._indexes)


class Stored(NamedTuple):
    """A value with its version, the log index of the key's last write."""

    version: int
    value: bytes


class Item(NamedTuple):
    """One line of a listing."""

    key: bytes
    """The key, as it was put."""
    version: int
    """Log index of its last write."""
    size: int
    """Bytes of the value."""


class KeyValueStore:
    """Keys and values are bytes; keys are listed in byte order, which for UTF-8 is the order of code points.

    A ``BatchStateMachine`` and an ``InMemoryStateMachine``. It is not thread-safe: whoever reads it beside the node's
    thread locks it himself.
    """

    state_version = VERSION
    """See ``InMemoryStateMachine``."""

    def __init__(self) -> None:
        self._data = PartedDict()  # of Held
        self._keys = SortedKeys(self._data)
        self.applied_index = 0
        """The log index of the last command applied; 0 before the first."""

    def __len__(self) -> int:
        return len(self._data)

    def apply(self, index: int, command: bytes) -> Outcome:
        """Performs the command of log entry ``index``. Raises ``UnknownCommand``, and nothing else."""
        form, key, value, expected = decode(index, command)
        self.applied_index = index
        if form == PUT:  # first, because it is by far the most frequent
            return self._put(index, key, value)
        if form == kv_commands.READ:
            return Outcome(Kind.READ, index, 0)
        stored = self._data.get(key)
        version = stored.version if stored is not None else 0
        if form == kv_commands.PUT_IF_ABSENT:
            return self._put(index, key, value) if stored is None else Outcome(Kind.MISMATCH, index, version)
        if form == kv_commands.PUT_IF_VERSION:
            # Absent never matches, not even version 0: that condition has a form of its own.
            if stored is not None and version == expected:
                return self._put(index, key, value)
            return Outcome(Kind.MISMATCH, index, version)
        if stored is None:
            return Outcome(Kind.MISSING, index, 0)
        if form == kv_commands.DELETE_IF_VERSION and version != expected:
            return Outcome(Kind.MISMATCH, index, version)
        self._data.remove(key)
        self._keys.toggle(key)
        return Outcome(Kind.DELETED, index, 0)

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> Sequence[Outcome]:
        """Performs the commands of consecutive entries; the same results as ``apply`` one by one, in order.

        ``apply`` is not called for all of them: a subclass that wants to see each one overrides both.
        """
        some = list(commands)
        done = put_all(first_index, some, self._data, self._keys)
        if done:
            self.applied_index = first_index + done - 1
        written = Written(first_index, done)
        if done == len(some):
            return written
        apply = self.apply
        return [*written, *(apply(index, command) for index, command in enumerate(some[done:], first_index + done))]

    def _put(self, index: int, key: bytes, value: bytes) -> Outcome:
        if self._data.put(key, Held(index, value)):
            self._keys.toggle(key)
        return Outcome(_WRITTEN, index, index)

    def get(self, key: bytes) -> Stored | None:
        """The value of ``key`` as applied here, or None. It may be old: ``Node.read_index`` first makes it
        linearizable."""
        stored = self._data.get(key)
        return None if stored is None else Stored(stored.version, stored.value)

    def scan(self, prefix: bytes = b"", limit: int = 1000, after: bytes = b"") -> tuple[list[Item], bool]:
        """The first ``limit`` keys, at least 0, that begin with ``prefix`` and come after ``after`` (b"": from the
        first), in byte order, as applied here.

        Also says whether there are more of them; to go on, pass the last key as ``after``.
        """
        order = self._keys
        keys = order.range(prefix, after, limit + 1)
        get = order.present.get  # of the same moment, should another state take the place of this one just now
        items = [Item(key, held.version, len(held.value)) for key in keys[:limit] for held in (get(key),)]
        return items, len(keys) > limit

    def capture(self) -> KeyValueView:
        """All keys as they are now, at once, however many there are."""
        return KeyValueView(self.applied_index, len(self._data), self._data.capture())

    def restore(self, saved: SavedState) -> None:
        """Takes over what a view has written, in place of what there is. Raises ``ValueError`` where it is none.

        What there is can be read until then, also in another thread; for so long there are both.
        """
        keys, data = SavedKeys(saved), PartedDict()
        keys.put_into(data)
        order = SortedKeys(data)
        order.load(data.keys())
        self._data, self._keys, self.applied_index = data, order, keys.applied_index
