"""What is wrong with a data directory, one thing after the other: nothing here stops at the first."""

from __future__ import annotations

from dataclasses import dataclass

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import NotUnderstood, SnapshotFailed, StorageDamaged


@dataclass(frozen=True, slots=True)
class Fault:
    """One damaged thing: ``where`` names the file or the record, ``what`` says what is wrong, and at which byte."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Faults:
    """What was found, in the order in which it was found.

    Attributes:
        found: what is damaged.
        notes: what is worth knowing and no damage, one line each.
    """

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.notes: list[str] = []

    def add(self, where: object, what: str) -> None:
        """``what`` is wrong with ``where``; the same thing counts once."""
        fault = Fault(str(where), what)
        if fault not in self.found[-1:]:
            self.found.append(fault)

    def note(self, what: str) -> None:
        """Something to know."""
        self.notes.append(what)

    def caught(self, where: object) -> _Caught:
        """Whatever inside finds damage, or cannot be read, ends there, and is noted."""
        return _Caught(self, where)

    def take(self, error: BaseException, where: object) -> bool:
        """Notes an error about ``where``; False where it is none of what is stored."""
        if isinstance(error, StorageDamaged):
            self.add(error.where, error.what)
        elif isinstance(error, SnapshotFailed):
            self.add(error.path, error.what)
        elif isinstance(error, NotUnderstood):
            self.note(str(error))
        elif isinstance(error, DecodeError):
            self.add(where, str(error))
        elif isinstance(error, OSError):
            self.add(where, f"reading it failed: {error.strerror or error}")
        else:
            return False
        return True


class _Caught:
    def __init__(self, faults: Faults, where: object) -> None:
        self._faults = faults
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return error is not None and self._faults.take(error, self._where)
