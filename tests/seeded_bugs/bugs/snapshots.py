"""Mistakes in snapshots and compaction (paper 7, Figure 13)."""

from tests.seeded_bugs.bug import Bug

POLICY = "raftpy/runtime/snapshot_policy.py"
LOG_CLOCK = "raftpy/runtime/log_clock.py"

BUGS = (
    Bug(
        name="snapshot-drops-what-follows-it",
        breaks="if the log has the snapshot's last entry, what follows it is retained (Figure 13, 6)",
        file="raftcore/algorithm/snapshots.pyx",
        old="    if r.log.match_term(s.index, s.term):\n",
        new="    if r.log.match_term(s.index, s.term) and s.index == r.log.last_index():\n",
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="snapshot-by-index-alone",
        breaks="only the same index and term make the log the snapshot's (Figure 13, 6); else it is discarded",
        file="raftcore/algorithm/snapshots.pyx",
        old="    if r.log.match_term(s.index, s.term):\n",
        new="    if s.index <= r.log.last_index():\n",
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="snapshot-without-its-configuration",
        breaks="a snapshot carries the latest configuration as of its index (paper 7)",
        file="raftcore/algorithm/snapshots.pyx",
        old="    r.log.restore(s, r.offers is not None)  # who brings its bytes restores the state by itself\n"
        "    restore_configuration(r, s.conf_state, s.conf_index)\n",
        new="    r.log.restore(s, r.offers is not None)\n"
        "    if len(s.conf_state.voters) != len(r.tracker.config.voters):\n"
        "        restore_configuration(r, s.conf_state, s.conf_index)\n",
        found_by=("tables", "model"),
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="snapshot-from-before-this-member-dropped",
        breaks="a server uses the latest configuration it has, be it no part of it (thesis 4.1): a snapshot's too",
        file="raftcore/algorithm/snapshots.pyx",
        old="    if r.log.match_term(s.index, s.term):\n",
        new="    if r.id not in s.conf_state.voters and r.id not in s.conf_state.learners:\n"
        "        return False\n"
        "    if r.log.match_term(s.index, s.term):\n",
        found_by=("tables", "model"),
        near="tests/core/test_added_members.py",
        seen="etcd #13741, tikv/raft-rs #472",
    ),
    Bug(
        name="lost-snapshot-taken-for-delivered",
        breaks="after a snapshot that failed, the follower is where it was before (paper 7)",
        file="raftcore/algorithm/snapshots.pyx",
        old="        pr.pending_snapshot = 0  # before",
        new="        pass  # before",
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="snapshot-to-who-is-not-there",
        breaks="a snapshot goes to a follower that answers (paper 7), not again and again into the void",
        file="raftcore/algorithm/sending.pyx",
        old="    if not pr.recent_active:\n        return False  # nobody",
        new="    if False:\n        return False  # nobody",
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="compacted-before-durable",
        breaks="only what is durable and applied is compacted (paper 7)",
        file="raftcore/log/log.pyx",
        old="        if index > self.applied or index >= self.unstable.offset:\n",
        new="        if index > self.applied:\n",
        near="tests/unit/test_log_storage.py",
    ),
    Bug(
        name="term-before-the-log-forgotten",
        breaks="the last included term is kept for the consistency check of the next append (paper 7)",
        file="raftcore/log/log_entries.pyx",
        old="        self._evict_through(index)\n        runs_drop_before(&self._terms, index)\n",
        new="        self._evict_through(index)\n"
        "        runs_drop_before(&self._terms, index + 1)\n"
        "        runs_at(&self._terms, 0).first = index\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log_model.py",
    ),
    Bug(
        name="applies-while-a-snapshot-waits",
        breaks="a snapshot replaces the state machine's state before later entries are applied (paper 7)",
        file="raftcore/log/log.pxd",
        old="log.awaits_entries or log.awaits_state or log.unstable.snapshot is not None:\n",
        new="log.awaits_entries or log.awaits_state:\n",
        found_by=("tables", "model"),
    ),
    Bug(
        name="stands-with-half-a-snapshot",
        breaks="a server whose snapshot is not in place yet has no state to lead with (paper 7)",
        file="raftcore/algorithm/roles.pyx",
        old="    return pr is not None and not pr.is_learner and not r.log.has_next_or_in_progress_snapshot()\n",
        new="    return pr is not None and not pr.is_learner\n",
        found_by=("tables", "model"),
        near="tests/paper/test_section_7.py",
    ),
    Bug(
        name="stands-without-a-state",
        breaks="who waits to be restored does not stand: it would lead and serve nobody (docs/design.md, decision 1)",
        file="raftcore/algorithm/roles.pyx",
        old="    if r.log.awaits_state:\n        return False\n",
        new="",
        near="tests/core/test_awaited_state.py",
    ),
    Bug(
        name="applies-without-a-state",
        breaks="a command is applied to the state that all commands before it have led to (paper 2)",
        file="raftcore/log/log.pxd",
        old="log.awaits_entries or log.awaits_state or log.unstable.snapshot is not None:\n",
        new="log.awaits_entries or log.unstable.snapshot is not None:\n",
        near="tests/core/test_awaited_state.py",
    ),
    Bug(
        name="state-of-another-entry",
        breaks="a state belongs to an entry by index and term (paper 7); of another entry it is no state of this log",
        file="raftcore/log/log.pyx",
        old="<= index < self.unstable.offset and match_term(self, index, term))\n",
        new="<= index < self.unstable.offset)\n",
        near="tests/core/test_awaited_state.py",
    ),
    Bug(
        name="state-beyond-the-durable-log",
        breaks="a machine on a disk of its own never stands beyond its log, whatever a crash takes of that",
        file="raftcore/log/log.pyx",
        old="<= index < self.unstable.offset and match_term(self, index, term))\n",
        new="<= index and match_term(self, index, term))\n",
        near="tests/core/test_awaited_state.py",
    ),
    Bug(
        name="older-snapshot-clears-a-newer-one",
        breaks="a write confirms the snapshot it wrote (paper 7), not another that took its place",
        file="raftcore/log/unstable.pyx",
        old="        if self.snapshot is not None and self.snapshot.index == index:\n",
        new="        if self.snapshot is not None:\n",
        near="tests/unit/test_unstable.py",
    ),
    Bug(
        name="snapshot-offered-to-who-needs-none",
        breaks="a snapshot goes to a follower that the log does not reach (paper 7), and to nobody else",
        file="raftcore/algorithm/snapshots.pyx",
        old="    if r.state != StateLeader or pr is None or pr.state != StateSnapshot:\n        return False\n",
        new="    if r.state != StateLeader or pr is None:\n        return False\n",
        near="tests/core/test_begun_snapshots.py",
    ),
    Bug(
        name="snapshot-begun-where-the-disk-lacks-its-room",
        breaks="no snapshot is due for want of space where the disk has no room for one (snapshot_policy.py)",
        file=POLICY,
        old="    return behind.needs <= behind.free <= behind.next_size",
        new="    return behind.free <= behind.next_size",
        near="tests/node/test_snapshot_policy.py",
    ),
    Bug(
        name="log-cut-behind-what-a-machine-has-not-synced",
        breaks="the log is never cut beyond what an on-disk machine has synced (snapshot_policy.py)",
        file=POLICY,
        old="    to = min(kept, durable, needless)\n",
        new="    to = min(kept, needless)\n",
        near="tests/node/test_snapshot_policy.py",
    ),
    Bug(
        name="log-cut-under-who-still-needs-it",
        breaks="the log is not cut beyond what has to stay for a member (snapshot_policy.py)",
        file=POLICY,
        old="    to = min(kept, durable, needless)\n",
        new="    to = min(kept, durable)\n",
        near="tests/node/test_snapshot_policy.py",
    ),
    Bug(
        name="log-clock-that-never-goes-back",
        breaks="a new entry tells what the log's time is, also where it is behind what was counted (log_clock.py)",
        file=LOG_CLOCK,
        old="            self._ahead_s = time_ms / 1000 - self._clock.monotonic()\n",
        new="            self._ahead_s = max(self._ahead_s, time_ms / 1000 - self._clock.monotonic())\n",
        near="tests/node/test_snapshot_turns.py",
    ),
    Bug(
        name="log-clock-that-passes-over-an-earlier-entry",
        breaks="the log's last entry tells the time, also an earlier one in the place of another (log_clock.py)",
        file=LOG_CLOCK,
        old="        if time_ms != self._last_ms:\n",
        new="        if time_ms > self._last_ms:\n",
        near="tests/node/test_snapshot_turns.py",
    ),
)
