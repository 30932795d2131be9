"""What the files in ``snapshots/`` are called: the name says which snapshot it is, and how far it has come.

    GROUP-INDEX-TERM.snapshot                  whole, durable
    GROUP-INDEX-TERM.writing                   being written here; garbage once its process has ended
    GROUP-INDEX-TERM-SIZE-DIGEST.receiving     comes from another node; goes on after a restart

Numbers are decimal, the digest is hexadecimal. Everything else is somebody else's, and left alone.
"""

from __future__ import annotations

import re

from raftpy.contracts.snapshots import DIGEST_SIZE, SnapshotFile, SnapshotRef

_NUMBER = "(0|[1-9][0-9]{0,19})"
_REF = f"{_NUMBER}-{_NUMBER}-{_NUMBER}"
_WHOLE = re.compile(rf"{_REF}\.snapshot")
_WRITING = re.compile(rf"{_REF}\.writing")
_RECEIVING = re.compile(rf"{_REF}-{_NUMBER}-([0-9a-f]{{{2 * DIGEST_SIZE}}})\.receiving")


def whole_name(ref: SnapshotRef) -> str:
    """Of a snapshot."""
    return f"{_stem(ref)}.snapshot"


def writing_name(ref: SnapshotRef) -> str:
    """While it is written."""
    return f"{_stem(ref)}.writing"


def receiving_name(file: SnapshotFile) -> str:
    """While it is received."""
    return f"{_stem(file.ref)}-{file.size}-{file.digest.hex()}.receiving"


def whole_ref(name: str) -> SnapshotRef | None:
    """Of which snapshot this is the name; None: of none."""
    found = _WHOLE.fullmatch(name)
    return None if found is None else _ref(found)


def is_writing(name: str) -> bool:
    """Whether it is the name of one that is, or was, being written."""
    found = _WRITING.fullmatch(name)
    return found is not None and _ref(found) is not None


def receiving_file(name: str) -> SnapshotFile | None:
    """Of which snapshot, as it was offered, this is the beginning; None: of none."""
    found = _RECEIVING.fullmatch(name)
    ref = None if found is None else _ref(found)
    return None if found is None or ref is None else SnapshotFile(ref, int(found[4]), bytes.fromhex(found[5]))


def _stem(ref: SnapshotRef) -> str:
    return f"{ref.group}-{ref.index}-{ref.term}"


def _ref(found: re.Match[str]) -> SnapshotRef | None:
    try:
        return SnapshotRef(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
