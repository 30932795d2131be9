"""What the core knows of a snapshot, as two sections of it: the configuration at its index, and the log time.

Index and term stand in the snapshot's name. Little endian::

    configuration, version 1    u64 index of the entry that the configuration is from; u32 voters, u32 outgoing voters,
                                u32 learners, u32 learners next: how many; u32 1: auto_leave; then the ids, u64 each,
                                group by group, ascending
    log-time, version 1         u64 milliseconds; 0: not known
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from struct import Struct

from raftcore.base.errors import DecodeError
from raftcore.base.types import LARGEST_ID
from raftcore.values.message import ConfState, Snapshot
from raftpy.contracts.snapshots import SnapshotReader, SnapshotRef, SnapshotWriter
from raftpy.contracts.typed import TypeHeader

CONFIGURATION = TypeHeader("configuration", 1)
LOG_TIME = TypeHeader("log-time", 1)

_CONFIGURATION = Struct("<QIIIII")
_TIME = Struct("<Q")
_AUTO_LEAVE = 1


def ref_of(group: int, snapshot: Snapshot) -> SnapshotRef:
    """The name of the state that the core's ``snapshot`` stands for. ``ValueError`` where it stands for none."""
    return SnapshotRef(group, snapshot.index, snapshot.term)


def write_metadata(writer: SnapshotWriter, snapshot: Snapshot) -> None:
    """Writes both sections. Raises ``SnapshotFailed``."""
    state = snapshot.conf_state
    groups = (state.voters, state.voters_outgoing, state.learners, state.learners_next)
    writer.section(CONFIGURATION)
    counts = [len(group) for group in groups]
    writer.write(_CONFIGURATION.pack(snapshot.conf_index, *counts, _AUTO_LEAVE if state.auto_leave else 0))
    writer.write(b"".join(node_id.to_bytes(8, "little") for group in groups for node_id in group))
    writer.section(LOG_TIME)
    writer.write(_TIME.pack(snapshot.time_ms))


def read_metadata(reader: SnapshotReader) -> Snapshot:
    """What the core is told of an open snapshot. It reads no further than these sections.

    Raises ``DecodeError`` where they are not there, or are no configuration and no time; ``NotUnderstood`` for later
    versions; ``SnapshotDamaged``, ``SnapshotFailed``.
    """
    newest = {header.name: header.version for header in (CONFIGURATION, LOG_TIME)}
    found: dict[str, bytes] = {}
    where = f"snapshot of {reader.file.ref}"
    for header, chunks in reader.sections():
        if header.name in newest and header.is_understood(newest, where):
            found[header.name] = b"".join(chunks)
            if len(found) == len(newest):
                break
    missing = newest.keys() - found.keys()
    if missing:
        raise DecodeError(f"the {where} has no section {', '.join(sorted(missing))}")
    conf_index, state = _decode_configuration(found[CONFIGURATION.name])
    time = found[LOG_TIME.name]
    if len(time) != _TIME.size:
        raise DecodeError(f"a log time of {len(time)} bytes: it has {_TIME.size}")
    ref = reader.file.ref
    return Snapshot(ref.index, ref.term, state, conf_index, _TIME.unpack(time)[0])


def _decode_configuration(data: bytes) -> tuple[int, ConfState]:
    if len(data) < _CONFIGURATION.size:
        raise DecodeError(f"a configuration of {len(data)} bytes: it has at least {_CONFIGURATION.size}")
    conf_index, *counts, flags = _CONFIGURATION.unpack_from(data)
    if flags & ~_AUTO_LEAVE:
        raise DecodeError(f"a configuration with flags {flags:#x}: at most {_AUTO_LEAVE:#x} is allowed")
    if len(data) - _CONFIGURATION.size != 8 * sum(counts):
        raise DecodeError(f"{len(data) - _CONFIGURATION.size} bytes for the {sum(counts)} ids of a configuration")
    ids = [int.from_bytes(data[at : at + 8], "little") for at in range(_CONFIGURATION.size, len(data), 8)]
    ends = list(accumulate(counts))
    groups = [ids[end - count : end] for count, end in zip(counts, ends, strict=True)]
    for group in groups:
        if any(not 1 <= node_id <= LARGEST_ID for node_id in group) or any(a >= b for a, b in pairwise(group)):
            raise DecodeError(f"a configuration with the ids {group}: they ascend from 1 to {LARGEST_ID}")
    voters, outgoing, learners, learners_next = groups
    return conf_index, ConfState(voters, outgoing, learners, learners_next, auto_leave=bool(flags))
