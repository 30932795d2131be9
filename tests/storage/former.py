"""Data directories of format 2, as the last release that wrote it has left them.

``closed`` and ``killed`` are the sample of damage.py. ``groups`` was written by the script in script.py: 60 batches of
``batches(1)`` to its groups, group 0 compacted up to ``COMPACTED`` after 40 of them, closed and opened again after 51,
and killed.
"""

from __future__ import annotations

import tarfile
from itertools import islice
from pathlib import Path

from tests.storage.script import GROUPS, batches
from tests.storage.support import Model

ARCHIVE = Path(__file__).parent / "data" / "format2.tar.xz"
COMPACTED = 3051


def former(name: str, target: Path) -> Path:
    """Makes ``target``, the data directory of this name."""
    with tarfile.open(ARCHIVE) as archive:
        for member in archive.getmembers():
            if member.name.split("/")[0] != name:
                continue
            path = target / Path(*Path(member.name).parts[1:])
            if member.isdir():
                path.mkdir(parents=True)
            else:
                file = archive.extractfile(member)
                assert file is not None
                path.write_bytes(file.read())
    return target


def models_of_groups() -> dict[int, Model]:
    """What the directory ``groups`` holds."""
    models = {group: Model() for group in GROUPS}
    for batch in islice(batches(1), 60):
        for group, appends in batch:
            models[group].submit(appends)
    models[0].compacted = COMPACTED
    return models
