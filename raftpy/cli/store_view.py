"""What ``raftpy store`` prints of a data directory: as tables, as JSON, and how far the reading is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import SnapshotFailed
from raftpy.contracts.types import BOOT_SHIFT
from raftpy.members.own_entries import MEMBERS
from raftpy.members.table import MemberTable
from raftpy.storage.leveldb.floor import FLOOR_FORMAT
from raftpy.storage.offline.examining import Examined
from raftpy.storage.offline.exporting import section
from raftpy.storage.offline.groups import GroupReport
from raftpy.storage.offline.progress import Progress, Untold
from raftpy.storage.offline.snapshots import SnapshotReport

GROUP_COLUMNS = ("group", "term", "vote", "commit", "first", "last", "last term", "records", "bytes")
SNAPSHOT_COLUMNS = ("group", "index", "term", "bytes", "whole", "file")
SEGMENT_COLUMNS = ("segment", "bytes", "needed", "file")
LEFT = frozenset({"whole", "file"})


def as_dict(found: Examined) -> dict[str, Any]:
    """All of it, for JSON. Ids of stores, boots and clusters are hexadecimal; what is not known is null."""
    identity, boot = found.identity, found.boot
    return {
        "path": str(found.path),
        "node_id": None if identity is None else identity.node_id,
        "format": FLOOR_FORMAT,
        "store_id": None if identity is None else f"{identity.store_id:016x}",
        "cluster_id": None if found.cluster_id is None else f"{found.cluster_id:016x}",
        "boot": None if boot is None else f"{boot:016x}",
        "starts": None if boot is None else boot >> BOOT_SHIFT,
        "closed": None if found.floor is None else found.floor.closed,
        "first_members": {str(node_id): found.members[node_id] for node_id in sorted(found.members)},
        "pins": {str(node_id): f"{store_id:016x}" for node_id, store_id in sorted(found.pins.items())},
        "member_table": _member_table(found),
        "groups": [_group(found, report) for _, report in sorted(found.groups.items())],
        "segments": [
            {"number": each.number, "bytes": each.size, "needed": each.needed, "file": each.path}
            for each in found.row.summaries()
        ],
        "notes": found.faults.notes,
        "damage": [{"where": fault.where, "what": fault.what} for fault in found.faults.found],
    }


def _group(found: Examined, report: GroupReport) -> dict[str, Any]:
    head, conflict = report.head, report.conflict
    return {
        "group": report.group,
        "term": None if head is None else head.term,
        "vote": None if head is None else head.vote,
        "commit": None if head is None else head.commit,
        "first": report.first,
        "last": report.last,
        "last_term": None if head is None else head.last_term,
        "last_time_ms": report.last_time_ms,
        "records": report.records,
        "bytes": report.size,
        "first_voters": list(report.voters),
        "quarantine": None if conflict is None else {"index": conflict.index, "term": conflict.term},
        "snapshots": [_snapshot(each) for each in found.snapshots.get(report.group, ())],
    }


def _snapshot(each: SnapshotReport) -> dict[str, Any]:
    sections = () if each.checked is None else each.checked.sections
    metadata = each.metadata
    return {
        "index": each.ref.index,
        "term": each.ref.term,
        "bytes": each.size,
        "whole": each.is_whole,
        "time_ms": None if metadata is None else metadata.time_ms,
        "voters": None if metadata is None or metadata.conf_state is None else list(metadata.conf_state.voters),
        "sections": [{"name": header.name, "version": header.version, "bytes": size} for header, size in sections],
        "file": each.path,
    }


def _member_table(found: Examined) -> dict[str, Any] | None:
    """The member table of group 0's newest whole snapshot, with the index that it is of; None: there is none."""
    newest = found.newest(0)
    if newest is None:
        return None
    try:
        for _, chunks in section(found, newest, MEMBERS.name):
            table = MemberTable.decode(b"".join(chunks))
            members = {}
            for node_id in table:
                record = table.get(node_id)
                assert record is not None
                members[str(node_id)] = {"udp": record.udp, "http": record.http, "witness": record.witness}
            return {"index": newest.ref.index, "max_command": table.max_command, "members": members}
    except DecodeError as error:
        found.faults.add(newest.path, f"its member table cannot be read: {error}")
    except SnapshotFailed as error:
        found.faults.add(error.path, error.what)
    return None


def print_tables(said: dict[str, Any]) -> None:
    """What ``as_dict`` says, for a reader."""
    from rich.console import Console

    # Piped into a file there is no width to keep to.
    console = Console() if sys.stdout.isatty() else Console(width=240)

    def line(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    node_id, boot = _or_dash(said["node_id"]), _or_dash(said["boot"])
    closed = {True: "closed cleanly", False: "not closed cleanly", None: "its floor is not whole"}[said["closed"]]
    line(f"{said['path']}: node {node_id}, format {said['format']}, {closed}")
    line(f"store {_or_dash(said['store_id'])}, cluster {_or_dash(said['cluster_id'])}, boot {boot}")
    table = said["member_table"]
    if table is None:
        members = ", ".join(f"{key}={value}" for key, value in said["first_members"].items())
        line(f"members as first given: {_or_dash(members or None)}")
    else:
        members = ", ".join(f"{key}={value['udp']}" for key, value in table["members"].items())
        line(f"members at entry {table['index']}: {members}; commands up to {table['max_command']:,} bytes")
    console.print(_table(GROUP_COLUMNS, [_group_row(group) for group in said["groups"]]))
    snapshots = [_snapshot_row(group, each) for group in said["groups"] for each in group["snapshots"]]
    if snapshots:
        console.print(_table(SNAPSHOT_COLUMNS, snapshots))
    segments = [[each["number"], each["bytes"], each["needed"], each["file"]] for each in said["segments"]]
    console.print(_table(SEGMENT_COLUMNS, segments))
    for group in said["groups"]:
        if group["quarantine"] is not None:
            line(f"group {group['group']} is quarantined at entry {group['quarantine']['index']}")
    for note in said["notes"]:
        line(f"note: {note}")


def _group_row(group: dict[str, Any]) -> list[Any]:
    return [group[title.replace(" ", "_")] for title in GROUP_COLUMNS]


def _snapshot_row(group: dict[str, Any], each: dict[str, Any]) -> list[Any]:
    whole = "yes" if each["whole"] else "NO"
    return [group["group"], each["index"], each["term"], each["bytes"], whole, each["file"]]


def _or_dash(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, justify="left" if title in LEFT else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_or_dash(cell)) for cell in row))
    return table


@contextmanager
def progress_shown() -> Iterator[Progress]:
    """A ``Progress`` on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield Untold()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Shown(bar)


class _Shown:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("reading", total=0)
        self._total = 0

    def expect(self, size: int) -> None:
        """See ``Progress``."""
        self._total += size
        self._bar.update(self._task, total=self._total)

    def read(self, size: int) -> None:
        """See ``Progress``."""
        self._bar.update(self._task, advance=size)
