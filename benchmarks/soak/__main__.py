"""python -m benchmarks.soak [--minutes N] [--outages N] [--size B] [--keys N] [--in-flight N] [--sample S]
                           [--snapshot-bytes B] [--snapshot-entries N] [--trailing-bytes B] [--folder D] [--chart FILE]

Three members in three processes on loopback with LevelDB, written to without a pause. So many times a follower is
killed (SIGKILL), stays down until the others' logs begin behind the end of its own, and comes back by a snapshot.
Printed are a line for each sample, and at the end what each figure was early and late, once logs had been cut: what is
flat is about the same. Exit status 1 where a member could not be brought up again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.cluster import Cluster, MemberProcess
from benchmarks.soak.record import FIGURES, MemberSample, Record, Sample, all_written, amplification

UP_AGAIN_S = 120.0
LAST_WORDS = 60
"""Lines of what a member has complained of that are shown where one has failed."""


@dataclass(slots=True)
class Outage:
    """A follower that is down, or on its way back."""

    node_id: int
    last: int
    """Index of the end of its log when it was killed."""
    since_s: float
    member: MemberProcess | None = None
    """Once it runs again."""


@dataclass(slots=True)
class Soak:
    """One run."""

    cluster: Cluster
    options: argparse.Namespace
    record: Record = field(default_factory=Record)
    outage: Outage | None = None
    begun: int = 0

    def run(self) -> None:
        """Writes until the time is over and every member is back."""
        began = time.monotonic()
        seconds = self.options.minutes * 60
        while (at_s := time.monotonic() - began) < seconds or self.outage is not None:
            self._outage(at_s, seconds)
            self._sample(began)

    def _sample(self, began: float) -> None:
        options = self.options
        figures = self.cluster.leader().tell(
            "write", seconds=options.sample, size=options.size, keys=options.keys, in_flight=options.in_flight
        )
        members = {node_id: self._look(member) for node_id, member in self.cluster.members.items()}
        sample = Sample(
            time.monotonic() - began, figures.get("p50_us"), figures.get("p99_us"), figures["rate"], members
        )
        self.record.samples.append(sample)
        shown = [f"{of(sample) or 0:12,.2f}" for of in FIGURES.values()]
        print(f"{sample.at_s:8.0f}" + "".join(f"{value:>17}" for value in shown), flush=True)

    def _look(self, member: MemberProcess) -> MemberSample:
        place = Path("/proc") / str(member.process.pid)
        said = member.tell("log")
        return MemberSample(
            disk_bytes=disk_bytes(self.cluster.data_of(member.id)),
            memory_bytes=anonymous_bytes((place / "status").read_text()),
            open_files=len(os.listdir(place / "fd")),
            first=said["first"],
            snapshot=said["snapshot"],
            last=said["last"],
            commands=said["commands"],
            log=said["log_written"],
            snapshots=said["snapshots_written"],
            to_disk=disk_writes(place / "io"),
        )

    def _outage(self, at_s: float, seconds: float) -> None:
        """Begins one when it is time, brings the member back when the others' logs have gone on, and ends it when the
        member has what it missed."""
        outage = self.outage
        if outage is None:
            if self.begun < self.options.outages and at_s >= seconds * (self.begun + 0.5) / self.options.outages:
                leader = self.cluster.leader()
                victim = next(member for member in self.cluster.members.values() if member is not leader)
                self.outage = Outage(victim.id, victim.tell("log")["last"], at_s)
                self.cluster.kill(victim)
                self.begun += 1
                print(f"member {victim.id} is killed, its log ends at {self.outage.last:,}", flush=True)
            return
        if outage.member is None:
            first = self.cluster.leader().tell("log")["first"]
            if first > outage.last + 1:
                print(f"member {outage.node_id} is started, the leader's log begins at {first:,}", flush=True)
                outage.member = self.cluster.launch(outage.node_id)
                outage.member.read()
                outage.since_s = at_s
        elif outage.member.tell("log")["applied"] > outage.last:
            print(f"member {outage.node_id} is up again", flush=True)
            self.record.installs += 1
            self.outage = None
        elif at_s > outage.since_s + UP_AGAIN_S + self.options.sample:
            raise RuntimeError(f"member {outage.node_id} is not up again within {UP_AGAIN_S:.0f} s")


def anonymous_bytes(status: str) -> int:
    """Of ``/proc/PID/status``: the memory that is the process's own, without the files that are mapped into it."""
    (line,) = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def disk_writes(io: Path) -> int:
    """Of ``/proc/PID/io``: the bytes that the process has had disks take; 0 where the system does not count them."""
    try:
        lines = io.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def disk_bytes(folder: Path) -> int:
    """What the files below it take on the disk."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # gone meanwhile
    return total


def main(arguments: list[str] | None = None) -> int:
    """Runs it as the arguments say; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="write without a pause, and watch")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--outages", type=int, default=5, help="how often a follower is killed and brought back (5)")
    parser.add_argument("--size", type=int, default=100, help="bytes of a value (100)")
    parser.add_argument("--keys", type=int, default=100_000, help="how many keys (100,000)")
    parser.add_argument("--in-flight", type=int, default=1024, help="how many writes at a time (1,024)")
    parser.add_argument("--sample", type=float, default=5.0, help="seconds between two samples (5)")
    parser.add_argument("--snapshot-bytes", type=int, help="as of raftpy serve")
    parser.add_argument("--snapshot-entries", type=int, help="as of raftpy serve")
    parser.add_argument("--trailing-bytes", type=int, help="as of raftpy serve")
    parser.add_argument("--folder", type=Path, help="where the data is put")
    parser.add_argument("--chart", type=Path, help="an SVG file, to be written")
    options = parser.parse_args(arguments)
    if not (options.minutes > 0 and options.sample > 0 and options.outages >= 0):
        parser.error("--minutes and --sample are more than 0, --outages is 0 or more")
    names = ("snapshot_bytes", "snapshot_entries", "trailing_bytes")
    settings = {name: value for name in names if (value := getattr(options, name)) is not None}

    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        line = [sys.executable, "-m", "benchmarks.soak.member", "--id", str(node_id), "--cluster", cluster]
        return [*line, "--data", str(data), "--settings", json.dumps(settings)]

    print(" seconds" + "".join(f"{name:>17}" for name in FIGURES))
    with Cluster(launch, options.folder) as cluster:
        soak = Soak(cluster, options)
        failure: RuntimeError | None = None
        try:
            soak.run()
        except RuntimeError as error:
            failure = error
            for member in cluster.members.values():
                sys.stderr.write("".join(member.complaints().splitlines(keepends=True)[-LAST_WORDS:]))
    record = soak.record
    print(f"\n{record.compactions()} cuts of a log, {record.installs} members brought up by a snapshot")
    for name, of in FIGURES.items():
        found = record.growth(of)
        print(f"{name:>17}: " + ("too few samples after the first cut" if found is None else
                                 f"{found[0]:12,.2f} early, {found[1]:12,.2f} late"))  # fmt: skip
    lives = record.lives()
    written, of_log = amplification(lives, all_written), amplification(lives, all_written, lambda member: member.log)
    print(f"written in all for a byte of commands: {written or 0:.2f}")
    print(f"written in all for a byte of it that was the log's: {of_log or 0:.2f}, at most 2")
    if options.chart is not None:
        from benchmarks.soak.chart import draw

        draw(record, options.chart)
    if failure is not None:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
