"""Carries the comparison out: sessions in alternating rounds, figures collected, failures noted and survived."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.compare.systems import Figures, System
from benchmarks.compare.works import GROUPS, WORKS, Lengths, takes_s
from benchmarks.rows import Row, summary

GIVE_UP = 2
"""Failed sessions of a group after which a system is not asked for it any more."""


@dataclass(frozen=True, slots=True)
class Session:
    """One system doing the works of one group in one round."""

    number: int
    """Of the round, from 1."""
    system: System
    group: str
    works: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """All that was measured, and what was not."""

    taken: dict[tuple[str, str], list[Figures]] = field(default_factory=dict)
    """By system and work, in the order of the rounds."""
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    """By system and group: why the last failed session failed."""
    missing: dict[str, str] = field(default_factory=dict)
    """Systems that could not be measured at all, and why."""
    elapsed_s: float = 0.0

    def rows(self) -> list[Row]:
        """One row for each system and work that gave figures, in the order of the works."""
        places = {name: place for place, name in enumerate(WORKS)}
        return [
            summary(system, work, figures, WORKS[work].unit if WORKS[work].figure == "value" else None)
            for (system, work), figures in sorted(self.taken.items(), key=lambda item: places[item[0][1]])
        ]


def schedule(systems: Sequence[System], works: Sequence[str], lengths: Lengths) -> list[Session]:
    """The sessions of all rounds. In each round the systems take turns, group by group; who begins moves on."""
    sessions = []
    for number in range(1, lengths.rounds + 1):
        for group in GROUPS:
            if not lengths.takes_part(group, number):
                continue
            wanted = [work for work in works if WORKS[work].group == group]
            able = [(system, tuple(work for work in wanted if work in system.works)) for system in systems]
            able = [(system, mine) for system, mine in able if mine]
            first = (number - 1) % len(able) if able else 0
            sessions += [Session(number, system, group, mine) for system, mine in able[first:] + able[:first]]
    return sessions


def estimate_s(sessions: Sequence[Session], lengths: Lengths) -> float:
    """About how long they take, in seconds."""
    return sum(takes_s(session.group, len(session.works), lengths) for session in sessions)


def prepare(systems: Mapping[str, System], say: Callable[[str], None]) -> tuple[list[System], dict[str, str]]:
    """Builds what has to be built. Gives those that can be measured, and why the others cannot."""
    ready, missing = [], {}
    for system in systems.values():
        reason = system.missing()
        if reason is None:
            say(f"making {system.name} ready")
            try:
                system.prepare()
            except RuntimeError as error:
                reason = str(error)
        if reason is None:
            ready.append(system)
        else:
            missing[system.name] = reason
            say(f"{system.name}: {reason}")
    return ready, missing


def run(
    sessions: Sequence[Session],
    lengths: Lengths,
    folder: Path,
    begins: Callable[[Session], None],
    ends: Callable[[Session, str], None],
) -> Outcome:
    """Carries out all sessions; ``begins`` and ``ends`` hear of each, the latter with what came out as text."""
    outcome = Outcome()
    failures: dict[tuple[str, str], int] = {}
    began = time.monotonic()
    for session in sessions:
        key = session.system.name, session.group
        if failures.get(key, 0) >= GIVE_UP:
            ends(session, "left out: it failed before")
            continue
        begins(session)
        said = []
        try:
            for work, figures in session.system.measure(session.group, session.works, lengths, folder):
                outcome.taken.setdefault((session.system.name, work), []).append(figures)
                shown = figures.get(WORKS[work].figure)
                said.append(f"{work} {shown:,.10g}" if shown is not None else work)
        except Exception as error:  # a peer that fails must not end the run
            failures[key] = failures.get(key, 0) + 1
            outcome.failed[key] = f"{type(error).__name__}: {error}"
            said.append(f"failed: {error}")
        ends(session, ", ".join(said))
    outcome.elapsed_s = time.monotonic() - began
    return outcome
