"""A cluster in lockstep whose disks take their time: writes end so many ticks after they began, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raftcore import StateType
from tests.core.network import Network


class SlowDisks(Network):
    """Each member writes what waits in one go, as soon as the last write is done, and tells its core what that took.

    ``write_ticks``: node id -> ticks of a write; 0 for a disk that takes no time. What needs no sync takes none either.
    """

    def __init__(self, write_ticks: Mapping[int, int], **options: Any) -> None:
        super().__init__(sorted(write_ticks), **options)
        self.write_ticks = dict(write_ticks)
        self.ticks = 0
        self.writing: dict[int, tuple[int, int]] = {}
        """Node -> how many appends are being written, and the tick at which that is done."""
        self.handed_out: dict[int, list[int]] = {node_id: [] for node_id in write_ticks}
        """Node -> the ticks at which the appends that wait were handed out."""
        self.writes_held = {node_id for node_id, ticks in write_ticks.items() if ticks}
        self.silent: set[int] = set()
        """Whose process is gone."""

    def pass_tick(self) -> None:
        """The clock goes on by a tick everywhere; then come finished writes and messages, until nothing is left."""
        self.ticks += 1
        for member in self.members.values():
            if member.id not in self.silent:
                member.raw.tick(self.ticks * 10)
        for _ in range(6):  # what a finished write lets out may begin other writes
            self.settle()
            for node_id in sorted(self.writes_held):
                self._write(node_id)
        self.settle()

    def _write(self, node_id: int) -> None:
        member, handed_out = self[node_id], self.handed_out[node_id]
        if node_id in self.writing and self.writing[node_id][1] <= self.ticks:
            count, _ = self.writing.pop(node_id)
            written = member.appends[:count]
            self.write(member, count)
            for append, began in zip(written, handed_out, strict=False):
                if append.must_sync:
                    member.raw.report_write(self.ticks - began)
            del handed_out[:count]
        handed_out += [self.ticks] * (len(member.appends) - len(handed_out))
        if node_id not in self.writing and member.appends:
            takes = self.write_ticks[node_id] if any(append.must_sync for append in member.appends) else 0
            self.writing[node_id] = len(member.appends), self.ticks + takes

    def stop(self, node_id: int) -> None:
        self.isolate(node_id)
        self.silent.add(node_id)

    def leaders(self) -> list[int]:
        return [m.id for m in self.members.values() if m.role == StateType.StateLeader and m.id not in self.silent]
