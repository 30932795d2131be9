"""docs/benchmarks.md, written by a full run and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.compare.aims import AIM_HEAD, aim_lines, aims
from benchmarks.compare.runner import Outcome
from benchmarks.compare.systems import System
from benchmarks.compare.table import DETAIL_HEAD, details, markdown_table, matrix
from benchmarks.compare.works import RARE, WORKS, Lengths

HEAD = """\
# Benchmarks

Written by `python -m benchmarks.compare`; a new full run writes it anew. [CONTRIBUTING.md](../CONTRIBUTING.md#measure)
says how to measure a change.

## How to read it

Three processes on loopback, one cluster at a time, every command synced to disk by a majority before it counts (but for
`raftpy-memory` and `pysyncobj`, which sync nothing). The load is made in the leader's process. All systems take their
orders from the same driver and time themselves in the same way; what their programs look like, and how they are tuned,
is in [benchmarks/peers](../benchmarks/peers/README.md).

The rounds alternate: in each, every system has its turn at every work, close to one another, and each time another one
begins. A figure is the median over the rounds. A machine's speed drifts by as much as a factor of two between minutes,
so what counts is the ratio between two systems of one run, not a figure of one run beside a figure of another.

`floor` is what a durable commit costs at least in Python: raw UDP sockets and synced LevelDB writes in three processes,
with no Raft at all; for reads it is one UDP round trip. `-`: the system has no such call, or the work makes no sense
for it. Latencies are in microseconds: p50, p99, p99.9 and p99.99, also where the figure of a work is a rate (then of
each sixteenth client). CPU is in microseconds for each command, those of the warm-up counted: of all three processes
together, and of the leader's alone, which makes the load too. `core` works have neither disk nor sockets: three cores
in one process that pass bytes, with entries of 16 B; raftpy's three are driven from Python. `backtrack` counts the
round trips until a leader has found the last entry it shares with a follower, in logs of 1,000,000 entries. `restart1m`
is the time from the start of a killed process until it has applied the whole log again, interpreter included; the peers
without a call for batches have their entries written one by one.
"""

LIMITS = """\
## What limits the comparison

- Loopback, few cores, one disk for all three processes: there is no network, and a cluster competes with itself for the
  cores. Whoever uses less CPU gains more here than on three machines.
- etcd/raft and raft-rs are cores; the rest of the etcd program is ours (benchmarks/peers/etcdraft), over etcd's own
  write-ahead log. A real etcd server does more for each command.
- The state machines count commands. An expensive `apply` makes the systems more alike.
- Under load the peers run with heartbeats of 100 ms and elections after a second or more, so that load costs no leader;
  raftpy runs with its defaults, 50 ms and 150 to 300 ms. For outages, restarts, reads and idle clusters all have
  50 ms, and 150 to 300 ms or the nearest their settings allow.
- The Go peers run with GOGC=400: more memory for less garbage collection.
- hashicorp/raft's read (`VerifyLeader`) asks a quorum whether this node leads; it does not wait for the state machine.
- PySyncObj's journal is never synced, and it is tuned differently for latency (no batching) and throughput.
"""


def document(
    outcome: Outcome,
    systems: Mapping[str, System],
    lengths: Lengths,
    records: Mapping[str, Mapping[str, str]],
    charts: Sequence[str],
) -> str:
    """The whole text. ``records``: titles and what to list below them (machine, versions)."""
    rows = outcome.rows()
    shown = [name for name in systems if name not in outcome.missing]
    works = [work for work in WORKS if any(row.work == work for row in rows)]
    overview = matrix(rows, shown, works, outcome.failed)
    parts = [HEAD, "## Overview\n", markdown_table(overview[0], overview[1:], 1)]
    parts += ["", *(f"![{name.removesuffix('.svg').replace('-', ', ')}]({name})" for name in charts)]
    parts += ["", "## Aims\n", _aims(outcome)]
    parts += [
        "\n## All figures\n",
        "The last two columns are ratios of the median: of this system to the floor, and of raftpy to this system.\n",
        markdown_table(DETAIL_HEAD, details(rows), 2),
        "\n" + LIMITS,
    ]
    for title, record in records.items():
        parts += [f"## {title}\n", *(f"- {name}: {value}" for name, value in record.items()), ""]
    parts += ["## Settings\n", *_settings(lengths), f"- the run took {outcome.elapsed_s / 60:.1f} minutes"]
    parts += [f"- {name}: {reason.splitlines()[0]}" for name, reason in outcome.missing.items()]
    parts += [f"- {name} failed at {group}: {why.splitlines()[0]}" for (name, group), why in outcome.failed.items()]
    return "\n".join(parts) + "\n"


def _aims(outcome: Outcome) -> str:
    return markdown_table(AIM_HEAD, aim_lines(aims(outcome.rows())), 3)


def _settings(lengths: Lengths) -> list[str]:
    return [
        f"- {lengths.rounds} rounds; restarts in {RARE['restart']} of them, backtracking in {RARE['backtrack']}",
        f"- sequential: {lengths.count:,} commands a round",
        f"- in flight: {lengths.seconds:g} s a round for each size, after a warm-up of a quarter of that",
        f"- reads: {lengths.reading_s:g} s a round; idle: {lengths.idle_s:g} s",
        f"- outages: {lengths.failovers} a round; restarts: {lengths.restarts} a round of {lengths.entries:,} entries",
    ]
