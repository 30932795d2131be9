"""What a leader knows of one member: matchIndex and nextIndex (Figure 2), and how it sends to it.

Probe: one append with entries, then silence until an answer. Replicate: as many as the window takes. Snapshot: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROBE, REPLICATE, SNAPSHOT = "StateProbe", "StateReplicate", "StateSnapshot"


@dataclass
class Progress:
    id: int
    next: int
    window: int
    """Most messages on their way."""
    window_bytes: int
    """No more messages once so many payload bytes are on their way."""
    match: int = 0
    state: str = PROBE
    waiting: bool = False
    """Nothing more until it answers."""
    awaits: bool = False
    """Nothing more until what it lacks has been read."""
    spare: bool = False
    """It is far behind, and a quorum of others that are not was heard at the last look: no haste."""
    snapshot: int = 0
    active: bool = True
    """Heard from since the last look at the quorum. A newcomer has the benefit of the doubt."""
    told_commit: int = 0
    """Commit index it was last told."""
    inflight: list[tuple[int, int]] = field(default_factory=list)
    """(last index, payload bytes) of each append on its way."""
    conf_index: int = 0
    """Entry of the configuration that made this progress."""
    heard_ms: int = 0
    bare: bool = False
    """Probe without entries: where the logs agree is being looked for (max_reject_runs)."""
    is_learner: bool = False
    takeover_pause: int = 0
    """Election timeouts for which nothing is handed over to it by priority."""
    takeover_tries: int = 0
    """So often that was tried in vain."""

    def start_over(self, match: int, next: int) -> None:
        """A new leader knows nothing yet."""
        self.enter(PROBE)
        self.match, self.next, self.told_commit = match, next, 0
        self.active, self.spare, self.heard_ms = False, False, 0
        self.takeover_pause = self.takeover_tries = 0

    def enter(self, state: str) -> None:
        self.state, self.waiting, self.snapshot, self.inflight, self.bare = state, False, 0, [], False
        self.awaits = False

    def probe(self) -> None:
        """From what is known to match, or behind a snapshot that may have arrived."""
        behind = max(self.match, self.snapshot)
        self.enter(PROBE)
        self.next = behind + 1
        self.told_commit = min(self.told_commit, behind)

    def replicate(self) -> None:
        self.enter(REPLICATE)
        self.next = self.match + 1

    def send_snapshot(self, index: int) -> None:
        self.enter(SNAPSHOT)
        self.snapshot, self.next, self.told_commit = index, index + 1, index

    @property
    def full(self) -> bool:
        return len(self.inflight) >= self.window or sum(size for _, size in self.inflight) >= self.window_bytes

    @property
    def paused(self) -> bool:
        return self.waiting or self.awaits or self.state == SNAPSHOT

    def sent(self, count: int, size: int) -> None:
        """An append with so many entries and payload bytes has gone out."""
        if self.state == PROBE:
            self.waiting = self.waiting or count > 0 or self.bare
            return
        if count:
            self.next += count
            self.inflight.append((self.next - 1, size))
        self.waiting = self.full

    def wants_commit(self, committed: int) -> bool:
        """Is the commit index news to it, and can it use it with the entries that it was sent?"""
        return self.told_commit < min(committed, self.next - 1)

    def accepted(self, index: int) -> bool:
        if index <= self.match:
            return False
        self.awaits = self.awaits and self.next > index  # it lacks others than were asked for
        self.match, self.next, self.waiting = index, max(self.next, index + 1), False
        return True

    def rejected(self, index: int, hint: int) -> bool:
        """It refused what follows `index`; it may agree up to `hint`. False for old news."""
        if self.state == SNAPSHOT:
            return False
        if self.state == REPLICATE:
            if index <= self.match:
                return False
            self.next = self.match + 1
        else:
            if index != self.next - 1:
                return False
            self.next = max(min(index, hint + 1), self.match + 1)
            self.waiting = False
        self.awaits = False
        self.told_commit = min(self.told_commit, self.next - 1)
        return True

    def free(self, index: int) -> None:
        while self.inflight and self.inflight[0][0] <= index:
            del self.inflight[0]

    def __str__(self) -> str:
        words = [self.state, f"match={self.match}", f"next={self.next}"]
        words += ["learner"] * self.is_learner + ["paused"] * self.paused
        words += [f"pendingSnap={self.snapshot}"] * (self.snapshot > 0) + ["inactive"] * (not self.active)
        words += [f"inflight={len(self.inflight)}" + "[full]" * self.full] * bool(self.inflight)
        return " ".join(words)
