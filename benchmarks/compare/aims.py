"""What raftpy means to reach, and how far a run says it is there: ratios within the run wherever there is a peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.compare.table import by_key, headline, number, spread
from benchmarks.rows import Row, median

Rows = Mapping[tuple[str, str], Row]

DURABLE_PEERS = ("hashicorp-wal", "etcd-raft", "dragonboat-tan")
"""Those whose commands are synced to disk by a majority, as raftpy's are."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim: what is measured, and its bound."""

    work: str
    text: str
    bound: float
    measured: float | None
    """None when this run does not say."""
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the run meets it."""
        if self.measured is None:
            return None
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def _over(mine: float | None, theirs: float | None) -> float | None:
    return mine / theirs if mine is not None and theirs else None


def _figure(rows: Rows, system: str, work: str, name: str | None = None) -> float | None:
    row = rows.get((system, work))
    if row is None:
        return None
    value: float | None = headline(row) if name is None else getattr(row, name)
    return value


def _extra(rows: Rows, system: str, work: str, name: str) -> float | None:
    """The median of a figure that only the rounds have."""
    row = rows.get((system, work))
    values = [each[name] for each in row.rounds if name in each] if row is not None else []
    return median(values) if values else None


def _best(rows: Rows, work: str, systems: Sequence[str], more: bool, name: str | None = None) -> float | None:
    values = [value for system in systems if (value := _figure(rows, system, work, name)) is not None]
    return (max if more else min)(values) if values else None


def _latency(rows: Rows) -> list[Aim]:
    aims = []
    for work in ("seq16", "seq1k"):
        for name, bound in (("p50_us", 1.25), ("p99_us", 1.5)):
            mine, floor = _figure(rows, "raftpy", work, name), _figure(rows, "floor", work, name)
            aims.append(Aim(work, f"{name[:3]}, times the floor's", bound, _over(mine, floor)))
        best = _best(rows, work, DURABLE_PEERS, more=False)
        aims.append(Aim(work, "p50, times the best durable peer's", 1.0, _over(_figure(rows, "raftpy", work), best)))
    return aims


def _load(rows: Rows) -> list[Aim]:
    aims = []
    for work, bound in (("inflight16", 1.6), ("inflight256", 1.1), ("inflight1k", 1.1)):
        ratio = _over(_figure(rows, "raftpy", work), _best(rows, work, DURABLE_PEERS, more=True))
        aims.append(Aim(work, "a second, times the best durable peer's", bound, ratio, at_least=True))
    cpu = _figure(rows, "raftpy", "inflight16", "cpu_us_per_op")
    least = _best(rows, "inflight16", DURABLE_PEERS, more=False, name="cpu_us_per_op")
    leader = _figure(rows, "raftpy", "inflight16", "leader_cpu_us_per_op")
    aims.append(
        Aim("inflight16", "CPU of all three for a command, times the least of these peers", 1.0, _over(cpu, least))
    )
    aims.append(Aim("inflight16", "CPU of the leader for a command, us", 0.8, leader))
    batch = _figure(rows, "raftpy", "batch16")
    aims.append(Aim("batch16", "entries a second", 2_000_000, batch, at_least=True))
    to_etcd = _over(batch, _figure(rows, "etcd-raft", "batch16"))
    aims.append(Aim("batch16", "times etcd/raft", 2.0, to_etcd, at_least=True))
    return aims


def _core(rows: Rows) -> list[Aim]:
    def ns(work: str) -> float | None:
        return _figure(rows, "raftpy", work)

    aims = [
        Aim("core1", "ns an entry, driven from Python", 3000, ns("core1")),
        Aim("core1", "ns an entry, driven by a loop in C", 1000, _extra(rows, "raftpy", "core1", "c_loop_ns")),
        Aim("core10", "times raft-rs", 1.0, _over(ns("core10"), _figure(rows, "raft-rs", "core10"))),
        Aim("core100", "ns an entry", 150, ns("core100")),
        Aim("core1000", "ns an entry", 100, ns("core1000")),
    ]
    for terms in (1, 100, 10_000):
        work = f"backtrack{terms}"
        aims.append(Aim(work, "round trips: 2 and one for 60 terms", round(2 + terms / 60, 1), ns(work)))
    return aims


def _recovery(rows: Rows) -> list[Aim]:
    outages = rows.get(("raftpy", "failover"))
    worst = spread(outages) if outages is not None else None
    return [
        Aim("restart1m", "ms", 1000, _figure(rows, "raftpy", "restart1m")),
        Aim("failover", "ms, median", 220, _figure(rows, "raftpy", "failover")),
        Aim("failover", "ms, worst", 500, worst[1] if worst else None),
        Aim("read1", "p50, times a UDP round trip", 1.5,
            _over(_figure(rows, "raftpy", "read1"), _figure(rows, "floor", "read1"))),
        Aim("read1k", "reads a second", 400_000, _figure(rows, "raftpy", "read1k"), at_least=True),
        Aim("idle", "percent of a core, a node", 0.3, _figure(rows, "raftpy", "idle")),
    ]  # fmt: skip


def aims(rows: Sequence[Row]) -> list[Aim]:
    """All of them, as far as the rows say."""
    found = by_key(rows)
    return [*_latency(found), *_load(found), *_core(found), *_recovery(found)]


AIM_HEAD = ["work", "what", "aim", "this run", "met"]


def aim_lines(found: Sequence[Aim]) -> list[list[str]]:
    """A line for each, below ``AIM_HEAD``."""
    words = {True: "yes", False: "no", None: "not measured"}
    return [
        [aim.work, aim.text, ("at least " if aim.at_least else "at most ") + number(aim.bound),
         number(aim.measured), words[aim.met]]
        for aim in found
    ]  # fmt: skip
