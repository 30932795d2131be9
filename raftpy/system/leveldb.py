"""LevelDB, ``raftpy.contracts.database`` for real: the one module that knows which binding is installed, plyvel, or
plyvel-next with the same interface.

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

from pathlib import PurePath
from typing import Any

from raftpy.contracts.database import Database

try:
    import plyvel as binding
except ImportError:  # CPython 3.12 and later: see the dependencies in pyproject.toml
    import plyvel_next as binding

BINDING = f"{binding.__name__} {binding.__version__} (LevelDB {binding.__leveldb_version__})"


class LevelDB:
    """The ``DatabaseEngine`` LevelDB. What it opens is the binding's own object, with nothing round it."""

    Error: type[Exception] = binding.Error

    def open(self, path: PurePath, *, create: bool, write_buffer_size: int) -> Database:
        database: Any = binding.DB(
            str(path),
            create_if_missing=create,
            paranoid_checks=True,
            compression=None,
            write_buffer_size=write_buffer_size,
        )
        result: Database = database
        return result

    def text(self, error: BaseException) -> str:
        """The binding hands over bytes."""
        if isinstance(error, binding.Error):
            said = error.args[0] if error.args else ""
            return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return f"{type(error).__name__}: {error}"

    def is_locked(self, error: Exception) -> bool:
        said = self.text(error)
        return "lock " in said and ("temporarily unavailable" in said or "already held" in said)

    def is_damage(self, error: Exception) -> bool:
        """Among them is "Invalid argument": what a read beyond the end of a table gives, and opening what is none."""
        said = self.text(error)
        return isinstance(error, binding.CorruptionError) or said.startswith("NotFound") or "nvalid argument" in said
