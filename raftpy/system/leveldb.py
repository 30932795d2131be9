"""The one module that knows which LevelDB binding is installed: plyvel, or plyvel-next with the same interface.

What this project relies on, and what was found out about it (plyvel 1.5.1 and plyvel-next 2.1.2, LevelDB 1.22/1.23):

- ``write_batch(sync=True)`` followed by an explicit ``write()`` writes all or nothing and returns after the
  write-ahead file is synced. As a context manager it would write its half when the body raises; it is not used so.
- Without ``paranoid_checks`` LevelDB opens a store whose write-ahead file is broken in the middle and drops the rest.
- On Linux a sync is ``fdatasync`` of the write-ahead file. On macOS LevelDB asks for ``F_FULLFSYNC`` (its
  util/env_posix.cc, ``SyncFd``, where CMake's ``HAVE_FULLFSYNC`` is on), because ``fsync`` there leaves data in the
  drive's own cache; a file system without it gets ``fsync`` and may lose the newest writes at a power failure.
  Whether a particular wheel was built with it cannot be seen from Python.
- LevelDB syncs its directory with the manifest only. A write-ahead file begun in the middle of a run is therefore
  named durably by the file system's own journal (ext4, XFS, btrfs and APFS sync the name with the file).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Protocol

try:
    import plyvel as binding
except ImportError:  # CPython 3.12 and later: see the dependencies in pyproject.toml
    import plyvel_next as binding

Error: type[Exception] = binding.Error
"""Any failure that LevelDB reports."""

BINDING = f"{binding.__name__} {binding.__version__} (LevelDB {binding.__leveldb_version__})"


class Batch(Protocol):
    """Writes that reach the disk together; ``write`` leaves them in the batch until ``clear``."""

    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def write(self) -> None: ...
    def clear(self) -> None: ...


class Database(Protocol):
    """What is used of a plyvel DB."""

    def get(self, key: bytes, *, verify_checksums: bool) -> bytes | None: ...
    def put(self, key: bytes, value: bytes, *, sync: bool) -> None: ...
    def write_batch(self, *, sync: bool) -> Batch: ...
    def iterator(
        self, *, start: bytes, stop: bytes, verify_checksums: bool, fill_cache: bool
    ) -> Iterator[tuple[bytes, bytes]]: ...
    def close(self) -> None: ...


def open_database(path: PurePath, *, create: bool, write_buffer_size: int) -> Database:
    """Opens LevelDB at ``path``, making it only when ``create`` is set. Raises ``Error``."""
    database: Any = binding.DB(
        str(path),
        create_if_missing=create,
        paranoid_checks=True,
        compression=None,
        write_buffer_size=write_buffer_size,
    )
    result: Database = database
    return result


def text(error: BaseException) -> str:
    """What LevelDB said, as text (the binding hands over bytes); other errors by their class as well."""
    if isinstance(error, Error):
        said = error.args[0] if error.args else ""
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return f"{type(error).__name__}: {error}"


def is_locked(error: Exception) -> bool:
    """Whether opening failed because somebody has the database open."""
    said = text(error)
    return "lock " in said and ("temporarily unavailable" in said or "already held" in said)


def is_damage(error: Exception) -> bool:
    """Whether the failure means that what was on disk is not there any more; a full disk, say, does not.

    "Invalid argument" is what a read beyond the end of a table gives, and opening a database that is none.
    """
    said = text(error)
    return isinstance(error, binding.CorruptionError) or said.startswith("NotFound") or "nvalid argument" in said
