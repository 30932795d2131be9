"""What was seen of a soaked cluster, one line for each moment; and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.rows import median


@dataclass(frozen=True, slots=True)
class MemberSample:
    """One member at one moment, while it runs."""

    disk_bytes: int
    """What its data directory takes on the disk."""
    memory_bytes: int
    """What its process holds of memory, without files that are mapped into it."""
    open_files: int
    """How many its process has open."""
    first: int
    """Index of its log's first entry."""
    snapshot: int
    """Index of its newest snapshot."""
    last: int
    """Index of its log's last entry."""
    commands: int = 0
    """Bytes of the commands that its process has appended to its log."""
    log: int = 0
    """Bytes that its process has written for its log, as the node counts them."""
    snapshots: int = 0
    """Likewise, for snapshots, taken and received."""
    to_disk: int = 0
    """Bytes that its process has had the disk take, as the system counts them; 0: that is not known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The cluster at one moment; the writes are those since the one before."""

    at_s: float
    """Seconds since the first write."""
    p50_us: float | None
    p99_us: float | None
    """None: nothing was written, because the leader had gone."""
    rate: float
    """Writes a second."""
    members: dict[int, MemberSample]
    """Those that run, by id."""


@dataclass(slots=True)
class Record:
    """A whole run."""

    samples: list[Sample] = field(default_factory=list)
    installs: int = 0
    """How often a member came back to a log that began behind the end of its own, and was brought up by a snapshot."""

    def compactions(self) -> int:
        """How often a member's log was seen to begin further on than a sample before."""
        found = 0
        for before, after in zip(self.samples, self.samples[1:], strict=False):
            for node_id, member in after.members.items():
                earlier = before.members.get(node_id)
                found += earlier is not None and member.first > earlier.first
        return found

    def lives(self) -> list[MemberSample]:
        """What was seen last of each life of each member: who is started again counts from nothing."""
        ended: list[MemberSample] = []
        newest: dict[int, MemberSample] = {}
        for sample in self.samples:
            for node_id, member in sample.members.items():
                before = newest.get(node_id)
                if before is not None and (member.commands < before.commands or member.log < before.log):
                    ended.append(before)
                newest[node_id] = member
        return [*ended, *newest.values()]

    def growth(self, figure: Callable[[Sample], float | None]) -> tuple[float, float] | None:
        """The figure's median in the second quarter of the samples after the first cut of each log, and in their last:
        what is flat has about the same twice. None where there are not enough samples."""
        values = [value for value in map(figure, self.samples[self._settled() :]) if value is not None]
        quarter = len(values) // 4
        if not quarter:
            return None
        return median(values[quarter : 2 * quarter]), median(values[-quarter:])

    def _settled(self) -> int:
        """From which sample on every member's log has been cut once."""
        cut: set[int] = set()
        for number, sample in enumerate(self.samples):
            cut.update(node_id for node_id, member in sample.members.items() if member.first > 1)
            if len(cut) >= len(self.samples[0].members):
                return number
        return len(self.samples)


def most(samples: Sequence[MemberSample], figure: Callable[[MemberSample], int]) -> float | None:
    """Of the members that run, the one that has most."""
    return float(max(map(figure, samples))) if samples else None


def amplification(
    members: Iterable[MemberSample],
    written: Callable[[MemberSample], int],
    of: Callable[[MemberSample], int] = lambda member: member.commands,
) -> float | None:
    """Bytes that the members have written for each byte of their commands, or of what ``of`` says, all of it since they
    were started, and together; None: there is nothing."""
    found = list(members)
    total, base = sum(map(written, found)), sum(map(of, found))
    return total / base if base and total else None


def all_written(member: MemberSample) -> int:
    """Bytes for its log and for snapshots."""
    return member.log + member.snapshots


FIGURES: dict[str, Callable[[Sample], float | None]] = {
    "disk, MB": lambda sample: _mega(most(list(sample.members.values()), lambda member: member.disk_bytes)),
    "memory, MB": lambda sample: _mega(most(list(sample.members.values()), lambda member: member.memory_bytes)),
    "open files": lambda sample: most(list(sample.members.values()), lambda member: member.open_files),
    "p99, ms": lambda sample: None if sample.p99_us is None else sample.p99_us / 1000,
    "writes a second": lambda sample: sample.rate,
    "written a byte": lambda sample: amplification(sample.members.values(), all_written),
    "with snapshots": lambda sample: amplification(sample.members.values(), all_written, lambda member: member.log),
    "to disk a byte": lambda sample: amplification(sample.members.values(), lambda member: member.to_disk),
}
"""Name -> what it is of a sample; of members, the one that has most. The last three are of all that run together,
since they were started: what they wrote for each byte of a command; that for each byte of it that was the log's, which
is what snapshots make of it, and is to be at most 2; and for each byte of a command what the system says that disks
took."""


def _mega(size: float | None) -> float | None:
    return None if size is None else size / 1e6
