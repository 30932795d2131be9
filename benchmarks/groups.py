"""python -m benchmarks.groups [--groups N,N,...] [--in-flight N] [--seconds S] [--folder DIRECTORY]

What many groups cost: three hosts in three processes on loopback, each with its LevelDB and so many groups, every group
on all three. Printed as a Markdown table:

    elected      from the start of the hosts until each of them knows a leader of every group, their start included
    idle         processor time of a host that nobody asks anything, in percent of a processor
    commits/s    of all groups together, every host proposing to the groups that it leads, so many in flight on each
    syncs        synced writes of a host for each of these commits
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cluster import Cluster, MemberProcess

REST_S = 1.0
"""Before the hosts are watched at rest: hellos and the table of members are through then."""


def told(members: Sequence[MemberProcess], what: str, **options: float) -> list[dict[str, float]]:
    """What each says to an order that all carry out at the same time."""
    for member in members:
        member.order(what, **options)
    return [member.read() for member in members]


def total(members: Sequence[MemberProcess], what: str) -> float:
    """Of the usage of all."""
    return sum(said[what] for said in told(members, "usage"))


def measure(groups: int, in_flight: int, seconds: float, folder: Path | None) -> str:
    """One row of the table."""

    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        line = [sys.executable, "-m", "benchmarks.group_member", "--id", str(node_id), "--cluster", cluster]
        return [*line, "--data", str(data), "--groups", str(groups)]

    began = time.perf_counter()
    with Cluster(launch, folder) as cluster:
        members = list(cluster.members.values())
        told(members, "elected")
        elected_s = time.perf_counter() - began
        time.sleep(REST_S)
        used, watched = total(members, "cpu_s"), time.perf_counter()
        time.sleep(seconds)
        idle = (total(members, "cpu_s") - used) / (time.perf_counter() - watched) / len(members)
        told(members, "elected")
        syncs = total(members, "syncs")
        figures = told(members, "commit", in_flight=in_flight, seconds=seconds)
        syncs = total(members, "syncs") - syncs
        commits = sum(figure["commits"] for figure in figures)
        rate = sum(figure["commits"] / figure["seconds"] for figure in figures)
    share = syncs / len(members) / max(1.0, commits)
    return f"| {groups:,} | {elected_s:.2f} s | {idle:.1%} | {rate:,.0f} | {share:.3f} |"


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.groups", description="What many groups cost.")
    parser.add_argument("--groups", default="1,10,100", help="how many, a row each")
    parser.add_argument("--in-flight", type=int, default=64, help="commands in flight on each host")
    parser.add_argument("--seconds", type=float, default=3.0, help="of rest, and of commits")
    parser.add_argument("--folder", type=Path, help="where the stores go; a temporary directory without it")
    options = parser.parse_args(words)
    print("| groups | elected | idle | commits/s | syncs of a host per commit |\n|---:|---:|---:|---:|---:|")
    for groups in map(int, options.groups.split(",")):
        print(measure(groups, options.in_flight, options.seconds, options.folder), flush=True)


if __name__ == "__main__":
    main()
