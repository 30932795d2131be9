"""What a store asks of its database: LevelDB, as far as it is used.

What an implementation owes, and a store may rely on:

1. A batch, and a ``put`` with ``sync``, is durable when the call returns, wholly; what fails or is interrupted is
   there wholly or not at all.
2. What is durable is found by every later opening, or the opening or the reading of it fails. Reading may fail late,
   and an iterator end too early: a store asks for what must be there (``raftpy/storage/leveldb/startup.py``).
3. The database is a directory in which ``CURRENT`` names the manifest, and whose write-ahead files are ``NUMBER.log``,
   both in the form of LevelDB's doc/log_format.md; zeros behind their records, and files that are cut behind the last
   whole record while nobody has the database open, do no harm (``raftpy/storage/leveldb/wal.py`` looks at them).
4. While it is open its file ``LOCK`` is locked as by ``File.lock_for_process``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Protocol


class Batch(Protocol):
    """Writes that reach the disk together; ``write`` leaves them in the batch until ``clear``."""

    def put(self, key: bytes, value: bytes) -> None:
        """Adds a value to be written."""
        ...

    def delete(self, key: bytes) -> None:
        """Adds that what is under the key is to go, if there is anything."""
        ...

    def write(self) -> None:
        """Writes all that was added, in its order; durable on return if the batch was made with ``sync``."""
        ...

    def clear(self) -> None:
        """Nothing is in the batch any more."""
        ...


class Database(Protocol):
    """An open database. Every call may raise its engine's ``Error``."""

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None:
        """The value under the key, or None."""
        ...

    def put(self, key: bytes, value: bytes, *, sync: bool) -> None:
        """Writes one value."""
        ...

    def write_batch(self, *, sync: bool) -> Batch:
        """An empty batch, which may be used again and again."""
        ...

    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]:
        """Key and value, ascending, from ``start`` on and before ``stop``, as of now."""
        ...

    def close(self) -> None:
        """Lets go of the files, and writes nothing that was not written. May be called again."""
        ...


class DatabaseEngine(Protocol):
    """Opens databases, and tells their failures apart."""

    @property
    def Error(self) -> type[Exception]:  # noqa: N802 - a class
        """Any failure that a database reports."""
        ...

    def open(self, path: PurePath, *, create: bool, write_buffer_size: int) -> Database:
        """Opens the database in the directory ``path``, whose parent is there; makes it only when ``create`` is set.

        The name of a directory that it makes is the caller's to sync (``Files.sync_directory`` of the parent).
        ``write_buffer_size``: bytes kept in memory, and in one write-ahead file, before a table is made of them.
        What is damaged is refused rather than left out.
        """
        ...

    def text(self, error: BaseException) -> str:
        """What the database said; other errors by their class as well."""
        ...

    def is_locked(self, error: Exception) -> bool:
        """Whether opening failed because somebody has the database open."""
        ...

    def is_damage(self, error: Exception) -> bool:
        """Whether the failure means that what was on disk is not there any more; a full disk, say, does not."""
        ...
