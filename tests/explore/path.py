"""The way to a violation, with the steps that the search took for done at once (Search.echoes)."""

from __future__ import annotations

from collections.abc import Iterable

from tests.explore.network import each
from tests.explore.table import Event, Local, Step, Table

Taken = tuple[Event, int, bool]  # event, what it was the first to send, is it of the path?


def complete_path(table: Table, initial: Iterable[Local], path: list[Event]) -> list[Event]:
    """The path, and in between those steps that change no node but send what the path delivers."""
    nodes = {local.state.id: local for local in initial}
    sent = 0
    taken: list[Taken] = []
    for event in path:
        step = table.step(nodes[event[0]], *event[1:])
        if step is None:
            raise AssertionError(f"{event} leads out of the scope")
        taken.append((event, step.sent & ~sent, True))
        sent |= step.sent
        nodes[event[0]] = step.target
        echo = next_echo(table, nodes, sent)
        while echo is not None:
            taken.append((echo.event, echo.sent & ~sent, False))
            sent |= echo.sent
            echo = next_echo(table, nodes, sent)
    return needed(taken)


def next_echo(table: Table, nodes: dict[int, Local], sent: int) -> Step | None:
    """A step that changes no node and sends something new; None when there is none."""
    for local in nodes.values():
        deliveries = [table.step(local, "deliver", at) for at in each(sent & table.network.to[local.state.id])]
        for step in [*table.own_steps(local), *deliveries]:
            if step is not None and step.broken is None and step.target is local and step.sent & ~sent:
                return step
    return None


def needed(taken: list[Taken]) -> list[Event]:
    """The steps of the path, and those that were the first to send what one of these delivers."""
    wanted = 0
    kept: list[Event] = []
    for event, new, of_the_path in reversed(taken):
        if of_the_path or new & wanted:
            kept.append(event)
            if event[1] == "deliver":
                wanted |= 1 << event[2]
    return kept[::-1]
