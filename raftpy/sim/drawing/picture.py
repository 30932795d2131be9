"""From a list of events to what can be drawn: stretches of a node's life and role, arrows, spans and marks.

Plain lists, that go as JSON into the page, whose script says where they stand on the screen.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raftcore.base.types import StateType
from raftpy.sim.drawing.datagrams import describe
from raftpy.sim.event import Detail, Event
from raftpy.sim.faults import FAULTS
from raftpy.sim.outcome import Failure

MOST_EVENTS = 200_000
"""That one page shows; a browser stays quick with so many."""
UP, PAUSED, DOWN = "up", "paused", "down"

_ROLES = {int(role): role.name.removeprefix("State") for role in StateType}


@dataclass(frozen=True, slots=True)
class Range:
    """The part of a trace that is drawn."""

    first: int
    """Where its first event stands in the trace."""
    last: int
    """Where its last event stands, plus one."""
    start: float
    """Virtual seconds."""
    end: float
    """Virtual seconds."""
    cut: str
    """What was left out, in words; empty: nothing."""


def choose(events: Sequence[Event], start: float | None, end: float | None, most: int = MOST_EVENTS) -> Range:
    """The events from ``start`` to ``end`` seconds (None: the first, the last), of those the ``most`` newest.

    Raises ``ValueError`` for a range in which nothing happened.
    """
    if not events:
        raise ValueError("there are no events to draw")
    first = 0 if start is None else bisect.bisect_left(events, start, key=lambda event: event.time)
    last = len(events) if end is None else bisect.bisect_right(events, end, key=lambda event: event.time)
    if first >= last:
        raise ValueError(
            f"nothing happened from {_seconds(start, 'the beginning')} to {_seconds(end, 'the end')}: "
            f"the events are from {events[0].time:g} s to {events[-1].time:g} s"
        )
    cut = []
    if last - first < len(events):
        cut.append(f"{last - first:,} of {len(events):,} events lie in the chosen range.")
    if last - first > most:
        cut.append(
            f"Of {last - first:,} events the newest {most:,} are drawn, from {events[last - most].time:g} s on; "
            "--from and --to choose others."
        )
        first = last - most
        start = None
    return Range(
        first,
        last,
        events[first].time if start is None else start,
        events[last - 1].time if end is None else end,
        " ".join(cut),
    )


def _seconds(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:g} s"


def picture(
    events: Sequence[Event],
    failure: Failure | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    most: int = MOST_EVENTS,
) -> dict[str, Any]:
    """Everything that the page's script draws, as plain values. Raises ``ValueError`` as ``choose`` does."""
    chosen = choose(events, start, end, most)
    made = _Picture(chosen, many_groups=any(event.kind == "role" and event.detail[3:] > (0,) for event in events))
    for position, event in enumerate(events[: chosen.last]):
        made.take(event, position - chosen.first)
    return made.finished(failure)


class _Picture:
    """Takes the events one by one, also those before the range: they say how things stand where it begins."""

    def __init__(self, chosen: Range, many_groups: bool) -> None:
        self._many = many_groups
        self._start, self._end, self._cut = chosen.start, chosen.end, chosen.cut
        self._nodes: set[int] = set()
        self._groups: set[int] = set()
        self._clients: set[int | float | str | bytes] = set()
        self._kinds: dict[str, int] = {}
        self._types: dict[str, int] = {}
        self._rows: list[list[Any]] = []  # [time, node, kind, text, number of its datagram or -1]
        self._lives: list[list[Any]] = []  # [node, from, to, state, why]
        self._living: dict[int, list[Any]] = {}
        self._roles: list[list[Any]] = []  # [node, group, from, to, term, role, leader]
        self._playing: dict[tuple[int, int], list[Any]] = {}
        self._arrows: list[list[Any]] = []  # [from, to, time, row, types, label, text, groups, arrivals, bytes, number]
        self._flying: dict[Any, list[Any]] = {}
        self._spans: list[list[Any]] = []  # [client, from, to or -1, text, result, row of invoke, row of return, node]
        self._asking: dict[Any, list[Any]] = {}
        self._marks: list[list[Any]] = []  # [time, node, kind, text, row, group or -1]

    def take(self, event: Event, row: int) -> None:
        """``row``: its place in the list of the events that are drawn; negative: it lies before them."""
        if event.node:
            self._nodes.add(event.node)
        handler = getattr(self, f"_on_{event.kind}", self._on_other)
        text, datagram = handler(event, row)
        if row >= 0:
            kind = self._kinds.setdefault(event.kind, len(self._kinds))
            self._rows.append([_time(event.time), event.node, kind, text, datagram])

    # --- A node's life --------------------------------------------------------------------------------------------

    def _live(self, event: Event, row: int, state: str, text: str, *, mark: bool = True) -> tuple[str, int]:
        before = self._living.pop(event.node, None)
        if before is not None:
            before[2] = _time(event.time)
        if state != UP:
            self._end_roles(event)
        self._living[event.node] = life = [event.node, _time(event.time), -1, state, text]
        self._lives.append(life)
        if mark and row >= 0:
            self._marks.append([_time(event.time), event.node, event.kind, text, row, -1])
        return text, -1

    def _on_start(self, event: Event, row: int) -> tuple[str, int]:
        return self._live(event, row, UP, f"starts{_of('boot', event.detail)}")

    def _on_stop(self, event: Event, row: int) -> tuple[str, int]:
        return self._live(event, row, DOWN, "has stopped cleanly")

    def _on_crash(self, event: Event, row: int) -> tuple[str, int]:
        hows = {"kill": "killed: the process is gone", "power": "power failure: what was not synced may be gone"}
        how = _word(event.detail[0]) if event.detail else ""
        return self._live(event, row, DOWN, hows.get(how, f"crashes: {how}"))

    def _on_failed(self, event: Event, row: int) -> tuple[str, int]:
        return self._live(event, row, DOWN, f"stops by itself: {_words(event.detail)}")

    def _on_pause(self, event: Event, row: int) -> tuple[str, int]:
        return self._live(event, row, PAUSED, "paused: it does nothing, and time goes on")

    def _on_resume(self, event: Event, row: int) -> tuple[str, int]:
        return self._live(event, row, UP, "goes on after a pause")

    # --- Its role -------------------------------------------------------------------------------------------------

    def _on_role(self, event: Event, row: int) -> tuple[str, int]:
        term, role, leader, group = (*event.detail, *(0,) * 4)[:4]
        name = _ROLES.get(role, str(role)) if isinstance(role, int) else _word(role)
        name = name.removeprefix("State").replace("_", "").replace("-", "").replace(" ", "").capitalize()
        name = {"Precandidate": "PreCandidate"}.get(name, name)
        assert isinstance(group, int)
        self._groups.add(group)
        before = self._playing.get((event.node, group))
        if before is not None and before[4:6] == [term, name]:
            before[6] = leader  # it has learned, or forgotten, who leads
        else:
            if before is not None:
                before[3] = _time(event.time)
            self._playing[event.node, group] = played = [event.node, group, _time(event.time), -1, term, name, leader]
            self._roles.append(played)
        who = f"node {_word(leader)} as leader" if leader else "no leader"
        known = "" if name == "Leader" else f", knows {who}"
        return f"{name}{self._whose(group)} in term {_word(term)}{known}", -1

    def _end_roles(self, event: Event) -> None:
        """A node that is paused keeps its role, one that is gone has none."""
        if event.kind != "pause":
            for key in [key for key in self._playing if key[0] == event.node]:
                self._playing.pop(key)[3] = _time(event.time)

    # --- Datagrams ------------------------------------------------------------------------------------------------

    def _on_send(self, event: Event, row: int) -> tuple[str, int]:
        number, to, data = event.detail
        assert isinstance(to, int)
        self._nodes.add(to)
        arrow = [event.node, to, _time(event.time), row, [], "", data, [], [], 0, number]
        self._flying[number] = arrow
        if row < 0:
            return "", -1
        text = self._said(arrow)
        return f"to {to}: {text}", number if isinstance(number, int) else -1

    def _said(self, arrow: list[Any]) -> str:
        """Decodes a datagram into its arrow, and returns its label."""
        data = arrow[6]
        said = describe(data) if isinstance(data, bytes) else []
        arrow[4] = sorted({self._types.setdefault(part.type, len(self._types)) for part in said})
        labels = list(dict.fromkeys(part.label for part in said))
        arrow[5] = ", ".join(labels[:3]) + (f" +{len(labels) - 3}" if len(labels) > 3 else "")
        arrow[6] = "\n".join(f"group {part.group}: {part.text}" if self._many else part.text for part in said)
        arrow[7] = sorted({part.group for part in said})
        arrow[9] = len(data) if isinstance(data, bytes) else 0
        self._groups.update(arrow[7])
        self._arrows.append(arrow)
        return str(arrow[5])

    def _arrive(self, event: Event, row: int, why: str) -> tuple[str, int]:
        number = event.detail[0]
        arrow = self._flying.get(number)
        if arrow is None:
            return f"{why or 'arrives'}: datagram {_word(number)}, which nobody is known to have sent", -1
        if row >= 0 and isinstance(arrow[6], bytes):
            self._said(arrow)  # sent before what is drawn, and arrives in it
        arrow[8].append([_time(event.time), why, row])
        end = ("lost" if why == "lost" else f"lost ({why})") if why else "arrives"
        return f"{end} from {arrow[0]}: {arrow[5]}", number if isinstance(number, int) else -1

    def _on_deliver(self, event: Event, row: int) -> tuple[str, int]:
        return self._arrive(event, row, "")

    def _on_drop(self, event: Event, row: int) -> tuple[str, int]:
        return self._arrive(event, row, _words(event.detail[1:]) or "dropped")

    # --- Clients --------------------------------------------------------------------------------------------------

    def _on_invoke(self, event: Event, row: int) -> tuple[str, int]:
        number, client, *rest = event.detail
        text = _words(rest)
        self._clients.add(client)
        span = [client, _time(event.time), -1, text, "", row, -1, event.node]
        self._asking[number] = span
        self._spans.append(span)
        return f"client {_word(client)} asks ({_word(number)}): {text}", -1

    def _on_return(self, event: Event, row: int) -> tuple[str, int]:
        number, *rest = event.detail
        text = _words(rest)
        span = self._asking.pop(number, None)
        if span is None:
            return f"answer to ({_word(number)}), which nobody asked: {text}", -1
        span[2], span[4], span[6] = _time(event.time), text, row
        return f"client {_word(span[0])} is answered ({_word(number)}) {span[3]}: {text}", -1

    # --- The rest -------------------------------------------------------------------------------------------------

    def _mark(self, event: Event, row: int, text: str, group: int = -1) -> tuple[str, int]:
        """``group``: of one group; -1: of the node."""
        if row >= 0:
            self._marks.append([_time(event.time), event.node, event.kind, text, row, group])
        return text, -1

    def _on_commit(self, event: Event, row: int) -> tuple[str, int]:
        index, group = event.detail
        assert isinstance(group, int)
        return self._mark(event, row, f"committed up to {_word(index)}{self._whose(group)}", group)

    def _on_applied(self, event: Event, row: int) -> tuple[str, int]:
        index, checksum, group = event.detail
        assert isinstance(group, int)
        return self._mark(event, row, f"applied {_word(index)}{self._whose(group)} (checksum {_word(checksum)})", group)

    def _whose(self, group: int) -> str:
        return f" of group {group}" if self._many else ""

    def _on_disk(self, event: Event, row: int) -> tuple[str, int]:
        return self._mark(event, row, f"disk: {_words(event.detail)}")

    def _on_fault(self, event: Event, row: int) -> tuple[str, int]:
        kind, *rest = event.detail
        meaning = " ".join((getattr(FAULTS.get(_word(kind)), "__doc__", None) or "").replace("``", "").split())
        text = f"{_word(kind)} ({_words(rest)})" if rest else _word(kind)
        return self._mark(event, row, f"{text}\n{meaning}" if meaning else text)

    def _on_healed(self, event: Event, row: int) -> tuple[str, int]:
        return self._mark(event, row, "everything is healed: from here on all has to become well")

    def _on_other(self, event: Event, row: int) -> tuple[str, int]:
        return self._mark(event, row, f"{event.kind} {_words(event.detail)}".rstrip())

    # --- All of it ------------------------------------------------------------------------------------------------

    def finished(self, failure: Failure | None) -> dict[str, Any]:
        """What began before the range begins where the range does; what ended before it is left out."""
        start, end = _time(self._start), _time(self._end)
        failed: list[Any] | None = None
        if failure is not None:
            failed = [_time(failure.time_s), failure.check, failure.text]
        return {
            "start": start,
            "end": end,
            "cut": self._cut,
            "failure": failed,
            "nodes": sorted(self._nodes),
            "groups": sorted(self._groups),
            "clients": [_word(client) for client in sorted(self._clients, key=str)],
            "kinds": list(self._kinds),
            "types": list(self._types),
            "events": self._rows,
            "lives": [life for life in self._lives if life[2] == -1 or life[2] >= start],
            "roles": [role for role in self._roles if role[3] == -1 or role[3] >= start],
            "arrows": self._arrows,
            "spans": [[_word(span[0]), *span[1:]] for span in self._spans if span[2] == -1 or span[2] >= start],
            "marks": self._marks,
        }


def _time(seconds: float) -> float:
    return round(seconds, 7) if math.isfinite(seconds) else 0.0


def _word(value: int | float | str | bytes) -> str:
    return value if isinstance(value, str) else repr(value)[1:] if isinstance(value, bytes) else str(value)


def _words(detail: Detail | list[Any]) -> str:
    return " ".join(_word(part) for part in detail)


def _of(name: str, detail: Detail) -> str:
    return f", {name} {_word(detail[0])}" if detail else ""
