"""The state machine of a simulated node: the shipped key-value store, and a note of what was applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raftcore.wire.codec import crc32c
from raftpy.replicated.kv import KeyValueStore, Outcome


class Machine:
    """One replica in one life of a node."""

    def __init__(self) -> None:
        self.store = KeyValueStore()
        self.on_applied: Callable[[int, Sequence[bytes]], object] = _nothing
        """Told of each batch: first index, commands."""

    def apply(self, index: int, command: bytes) -> Any:
        """See ``StateMachine.apply``."""
        self.on_applied(index, [command])
        return self.store.apply(index, command)

    def fingerprint(self) -> int:
        """Equal for equal states."""
        text = bytearray()
        for item in self.store.scan(limit=1 << 30)[0]:
            stored = self.store.get(item.key)
            assert stored is not None
            text += b"%d %d %d " % (item.version, len(item.key), len(stored.value)) + item.key + stored.value
        return crc32c(bytes(text))


class BatchMachine(Machine):
    """One that takes many commands at once."""

    def apply_batch(self, first_index: int, commands: Sequence[bytes]) -> list[Outcome]:
        """See ``BatchStateMachine.apply_batch``."""
        commands = list(commands)
        self.on_applied(first_index, commands)
        return self.store.apply_batch(first_index, commands)


def _nothing(first_index: int, commands: Sequence[bytes]) -> None:
    """Nobody looks."""
