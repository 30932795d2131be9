"""Reads of what a node has applied, without asking the others: they may be old, but not wrong.

What they promise: each shows a state that the log had, at one of its indices, no later than the answer; and what one
client sees on one node never goes back: its next read there shows the state at the same index or a later one, whatever
keys the two ask for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from raftpy.sim.linearizability.history import ANY


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that the log made to a key."""

    index: int
    """Where in the log, from 1; it is also the key's version from then on."""
    key: Hashable
    """The key that was changed."""
    value: Any
    """What it has from then on; None: it is not there."""
    time: float
    """When the first node had applied it; in the units of the reads."""


class LocalRead(NamedTuple):
    """A read that was answered. What a client asks for on a node it asks one after the other."""

    client: int
    """Who asked."""
    node: Hashable
    """Who answered. A node that starts again may show an older state: let each of its lives have a name of its own."""
    key: Hashable
    """What was read."""
    returned: float
    """When the answer came."""
    value: Any
    """What it was; None: the key was not there."""
    version: int | None = None
    """The version that it told, 0 when the key was not there; None: it told none."""


@dataclass(frozen=True, slots=True)
class LocalViolation:
    """A read that breaks the promise."""

    read: LocalRead
    """The first one."""
    earlier: LocalRead | None
    """The read of the same client on the same node that it goes back behind; None: there was no such state at all."""
    text: str
    """The same for a reader."""

    def __str__(self) -> str:
        return self.text


class _Key:
    """What a key had: from ``starts[i]`` on, until ``starts[i + 1]``."""

    def __init__(self, initial: Any) -> None:
        self.starts = [0]
        self.values = [initial]
        self.times = [float("-inf")]

    def find(self, read: LocalRead, index: int) -> int | None:
        """The first index, not before this one, at which the log had what the read shows; None if there is none that
        was applied when it returned."""
        for place in range(bisect_right(self.starts, index) - 1, len(self.starts)):
            if self.times[place] > read.returned:
                break
            if self.shows(read, place):
                return max(index, self.starts[place])
        return None

    def shows(self, read: LocalRead, place: int) -> bool:
        if read.value is not ANY and read.value != self.values[place]:
            return False
        version = 0 if self.values[place] is None else self.starts[place]
        return read.version is None or read.version == version


def check_local_reads(
    applied: Iterable[Applied], reads: Iterable[LocalRead], initial: Any = None
) -> LocalViolation | None:
    """The first read that breaks the promise; None if all keep it.

    ``applied``: all changes in the order of the log; ``reads``: in the order in which they were asked; ``initial``: the
    value of every key before its first change. Raises ValueError if the changes are not in the order of their indices.
    """
    keys: dict[Hashable, _Key] = {}
    last = 0
    for change in applied:
        if change.index <= last:
            raise ValueError(f"{change} is not behind index {last}")
        last = change.index
        key = keys.setdefault(change.key, _Key(initial))
        key.starts.append(change.index)
        key.values.append(change.value)
        key.times.append(change.time)
    untouched = _Key(initial)
    reached: dict[tuple[int, Hashable], tuple[int, LocalRead]] = {}
    for read in reads:
        key = keys.get(read.key, untouched)
        index, earlier = reached.get((read.client, read.node), (0, None))
        found = key.find(read, index)
        if found is None:
            at_all = earlier is not None and key.find(read, 0) is not None
            return _violation(read, earlier if at_all else None, index, key)
        # A read that moves nothing is not the one to point at later.
        if earlier is None or found > index:
            reached[read.client, read.node] = found, read
    return None


def _violation(read: LocalRead, earlier: LocalRead | None, index: int, key: _Key) -> LocalViolation:
    lines = [f"a local read shows a state that the log {'no longer had' if earlier else 'never had by then'}:"]
    lines.append(f"    {_describe(read)}")
    if earlier is not None:
        lines.append(f"The same client had seen index {index} on that node:")
        lines.append(f"    {_describe(earlier)}")
    lines.append(f"What the log made of key {read.key!r}:")
    lines.extend(_changes(key, index if earlier is not None else key.starts[-1]))
    return LocalViolation(read, earlier, "\n".join(lines))


def _describe(read: LocalRead) -> str:
    version = "" if read.version is None else f", version {read.version}"
    return (
        f"client {read.client} on node {read.node} at {read.returned:g}: {read.key!r} is {_value(read.value)}{version}"
    )


def _changes(key: _Key, index: int) -> Sequence[str]:
    """A few changes around an index."""
    middle = bisect_right(key.starts, index)
    return [
        f"    from index {key.starts[place]} on {_value(key.values[place])}"
        + (f", applied at {key.times[place]:g}" if place else "")
        for place in range(max(0, middle - 4), min(len(key.starts), middle + 2))
    ]


def _value(value: Any) -> str:
    return "nothing" if value is None else repr(value)
