"""All that a simulated disk holds at one moment, apart from it: a copy that can be put back, or compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple


class FileImage(NamedTuple):
    """A file: ``data``, what was written to it, and its ``size``; behind ``data`` there are zeros."""

    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class DiskImage:
    """``directories`` and ``files`` by their paths, what is above before what is in it."""

    directories: tuple[PurePath, ...]
    files: tuple[tuple[PurePath, FileImage], ...]
