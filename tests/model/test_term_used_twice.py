"""Core and model under a leader that repeats entries with other contents in the same term: random words of it, writes
that end at any time, and crashes, compared after each."""

from __future__ import annotations

import random

from raftcore import LOCAL_APPEND_THREAD, ConfState, Entries, Entry, EntryKind, MessageType, Snapshot
from tests.model.pair import Flight, Pair
from tests.model.test_quarantine import SETTINGS, flight
from tests.model.values import HardState, Message

CONTENTS = (b"", b"a", b"b", b"b" * 60)
KINDS = (EntryKind.EntryNormal,) * 6 + (EntryKind.EntryNoop,)
STEPS = 40


class Follower:
    """Node 1, whose disk is slow; node 2 leads every term."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self.pair = Pair(SETTINGS, ConfState((1, 2, 3)), 1, keep_application=True)
        self.writes: list[Message] = []
        self.answers: list[list[Flight]] = []

    def append(self) -> None:
        """A few entries behind one that it has, of its terms or of later ones."""
        source, core = self.source, self.pair.core
        term = max(1, core.term) + (source.random() < 0.1)
        index = source.randint(core.commit_index, core.last_index)
        before = at = core.term_at(index) or 0
        made = []
        for next_index in range(index + 1, index + 1 + source.randint(0, 4)):
            own = core.term_at(next_index)
            at = max(at, 1, own if own is not None and source.random() < 0.9 else source.randint(1, term))
            kind = source.choice(KINDS)
            made.append(Entry(min(at, term), next_index, kind, b"" if kind else source.choice(CONTENTS)))
        given = Entries.build(made) if made else None
        commit = core.commit_index + (source.random() < 0.1)
        self.pair.step(flight(MessageType.MsgApp, term, 2, index=index, log_term=before, commit=commit, entries=given))

    def snapshot(self) -> None:
        """Of a log that may be another than this node's, of its terms or of others."""
        source, core = self.source, self.pair.core
        term = max(1, core.term) + (source.random() < 0.1)
        index = source.randint(max(1, core.commit_index), core.last_index + 2)
        own = core.term_at(index)
        at = own if own and source.random() < 0.5 else source.randint(1, term)
        given = Snapshot(index, at, ConfState((1, 2, 3)), time_ms=at)
        self.pair.step(flight(MessageType.MsgSnap, term, 2, snapshot=given))

    def heartbeat(self) -> None:
        self.pair.step(flight(MessageType.MsgHeartbeat, max(1, self.pair.core.term) + (self.source.random() < 0.2), 2))

    def hand_out(self) -> None:
        if not self.pair.core.has_ready():
            return
        core, model = self.pair.ready()
        for given, expected in zip(core.messages, model.messages, strict=True):
            if given.to == LOCAL_APPEND_THREAD:
                self.writes.append(expected)
                both = zip(given.responses or (), expected.responses, strict=True)
                self.answers.append([Flight(one, other) for one, other in both if one.to == 1])

    def write(self) -> None:
        if self.writes:
            write = self.writes.pop(0)
            hard = HardState(write.term, write.vote, write.commit)
            self.pair.write(hard if any(hard) else None, write, write.must_sync)
            for answer in self.answers.pop(0):
                self.pair.step(answer)

    def durable_is_on_the_disk(self) -> bool:
        """What counts as durable the disk holds, as the log does."""
        log, store = self.pair.model.log, self.pair.store
        if log.pending is None:
            assert (store.before, store.before_term) == (log.snapshot_index, log.snapshot_term)
        at = max(store.before, log.snapshot_index)
        on_disk = store.items[at - store.before : log.offset - 1 - store.before]
        return on_disk == log.at(at + 1, log.offset)

    def crash(self) -> None:
        self.writes.clear()
        self.answers.clear()
        self.pair.start()


def test_core_and_model_replace_alike(seed: int) -> None:
    rewrites = 0
    for number in range(seed, seed + 150):
        follower = Follower(random.Random(number))
        steps = [follower.append] * 6 + [follower.hand_out] * 4 + [follower.write] * 3
        steps += [follower.heartbeat, follower.snapshot]
        for _ in range(STEPS):
            follower.source.choice(steps)()
            assert follower.durable_is_on_the_disk(), f"seed {number}"
            if follower.source.random() < 0.02:
                rewrites += follower.pair.model.log.rewrites
                follower.crash()
        rewrites += follower.pair.model.log.rewrites
    assert rewrites > 100, f"entries whose names could come again were replaced {rewrites} times: seed {seed}"
