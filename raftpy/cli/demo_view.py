"""What the demo shows: events as lines, and on a terminal a live table of the cluster above a line of counts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from raftpy.cli.addresses import Address
from raftpy.cli.demo_writer import Writer
from raftpy.cli.live import LiveView
from raftpy.cli.status import table_of

PLAIN_INTERVAL = 2.0
"""Seconds between two progress lines when the output is no terminal."""


class View(LiveView):
    """Used as a context manager; ``event`` and ``refresh`` may be called inside."""

    def __init__(self, http: Mapping[int, Address], writer: Writer) -> None:
        super().__init__(auto_refresh=False)
        self._http = http
        self._writer = writer
        self._started = time.monotonic()
        self._shown = self._started

    def event(self, text: str) -> None:
        """One line that stays."""
        self.line(f"{time.monotonic() - self._started:6.1f} s  {text}")

    def refresh(self, statuses: Mapping[int, dict[str, Any] | None]) -> None:
        """The state of the cluster as just heard; None for a node that does not answer."""
        if self._live is not None:
            from rich.console import Group
            from rich.text import Text

            self._live.update(Group(table_of(self._rows(statuses)), Text(self._counts())), refresh=True)
        elif time.monotonic() - self._shown >= PLAIN_INTERVAL:
            self._shown = time.monotonic()
            states = ", ".join(f"{row['id']} {row['role']}{_place(row)}" for row in self._rows(statuses))
            self.event(f"{states}; {self._counts()}")

    def _rows(self, statuses: Mapping[int, dict[str, Any] | None]) -> Sequence[dict[str, Any]]:
        rows = []
        for node_id, address in self._http.items():
            status = statuses.get(node_id)
            known = {"id": node_id, "http": str(address)}
            rows.append(known | (status or {"role": "unreachable"}))
        return rows

    def _counts(self) -> str:
        text = f"{len(self._writer.acknowledged)} acknowledged ({self._writer.rate:.0f}/s)"
        if self._writer.unknown:
            text += f", {len(self._writer.unknown)} unknown"
        if self._writer.outage is not None:
            text += f", outage {self._writer.outage * 1000:.0f} ms"
        return text


def _place(row: Mapping[str, Any]) -> str:
    """How far a node that answers has come, and where its log begins."""
    return f" at {row['applied_index']}, log from {row['first_index']}" if "applied_index" in row else ""
