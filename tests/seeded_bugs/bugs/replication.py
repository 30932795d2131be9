"""Mistakes in log replication (paper 5.3; thesis 10.2.1)."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="append-without-the-consistency-check",
        breaks="reply false if the log has no entry at prevLogIndex with prevLogTerm (Figure 2, AppendEntries 2)",
        file="raftcore/log/log.pyx",
        old="    if not match_term(log, prev, prev_term):\n        return False\n    last_new[0] = prev\n",
        new="    if prev > log._last:\n        return False\n    last_new[0] = prev\n",
        found_by=("tables", "explorer"),
        near="tests/paper/test_figure_2_receivers.py",
    ),
    Bug(
        name="conflicting-entry-kept",
        breaks="an existing entry that conflicts is deleted, with all that follow it (Figure 2, AppendEntries 3)",
        file="raftcore/log/log_entries.pyx",
        old="            if position < 0 or runs_at(&self._terms, position).value != header.term:\n",
        new="            if position < 0:\n",
        found_by=("tables", "model", "explorer"),
        near="tests/paper/test_figure_2_receivers.py",
    ),
    Bug(
        name="truncate-on-a-shorter-append",
        breaks="only a conflict deletes entries (Figure 2, AppendEntries 3): the message may be an old one",
        file="raftcore/log/log.pyx",
        old="        conflict = log.find_conflict(entries)\n"
        "        if conflict:\n"
        "            if conflict <= log.committed:\n",
        new="        conflict = log.find_conflict(entries)\n"
        "        if conflict == 0 and entries.first > log.committed:\n"
        "            conflict = entries.first\n"
        "        if conflict:\n"
        "            if conflict <= log.committed:\n",
        found_by=("tables", "model"),
        near="tests/paper/test_figure_2_receivers.py",
        seen="many: the classic",
    ),
    Bug(
        name="follower-acknowledges-its-whole-log",
        breaks="a success covers what the append covers (paper 5.3): what follows may not be the leader's",
        file="raftcore/algorithm/replication.pyx",
        old="        answer.index = last_new\n",
        new="        answer.index = r.log.last_index()\n",
        found_by=("tables", "model"),
        near="tests/paper/test_figure_2_receivers.py",
    ),
    Bug(
        name="stale-append-acknowledges-the-whole-log",
        breaks="a success covers what is known to match (paper 5.3): as far as the message goes, no further",
        file="raftcore/algorithm/replication.pyx",
        old="min(r.log.committed, m.index if m.entries is None else m.index + m.entries.count)",
        new="r.log.last_index()",
        found_by=("tables", "model"),
        near="tests/paper/test_figure_2_receivers.py",
    ),
    Bug(
        name="acknowledgement-of-a-former-term-trusted",
        breaks="a response with an old term is ignored (paper 5.1): that log may have been replaced since",
        file="raftcore/algorithm/step.pyx",
        old="        snapshot_applied(r, m)\n    return False\n\n\ncdef bint echoes_progress",
        new="        snapshot_applied(r, m)\n"
        "    return type == MsgAppResp and m.index <= r.log.last_index()\n\n\n"
        "cdef bint echoes_progress",
        found_by=("tables", "model"),
        near="tests/paper/test_section_5_1.py",
    ),
    Bug(
        name="append-of-a-former-term-accepted",
        breaks="reply false if term < currentTerm (Figure 2, AppendEntries 1)",
        file="raftcore/algorithm/step.pyx",
        old="        snapshot_applied(r, m)\n    return False\n\n\ncdef bint echoes_progress",
        new="        snapshot_applied(r, m)\n"
        "    return type == MsgApp and m.commit <= r.log.last_index()\n\n\n"
        "cdef bint echoes_progress",
        found_by=("tables", "model", "explorer"),
        near="tests/paper/test_section_5_1.py",
    ),
    Bug(
        name="stale-acknowledgement-moves-match-back",
        breaks="matchIndex increases monotonically (Figure 2)",
        file="raftcore/membership/progress.pxd",
        old="    if n <= pr.match:\n        return False\n    pr.match = n\n",
        new="    if n == pr.match:\n        return False\n    pr.match = n\n",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="stale-rejection-believed",
        breaks="a rejection moves nextIndex back only if it answers the probe that is out (paper 5.3, thesis 10.2.1)",
        file="raftcore/membership/progress.pyx",
        old="            if self.next - 1 != rejected:\n                return False\n",
        new="",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="stale-rejection-of-a-known-match",
        breaks="what a follower has acknowledged it has (paper 5.3): an older rejection is no news",
        file="raftcore/membership/progress.pyx",
        old="            if rejected <= self.match:\n"
        "                return False\n"
        "            self.next = self.match + 1\n",
        new="            self.next = min(rejected, self.match + 1)\n",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="hint-skips-entries",
        breaks="nextIndex goes back to where the logs can agree, at most (end of paper 5.3)",
        file="raftcore/membership/progress.pyx",
        old="            self.next = max(min(rejected, match_hint + 1), self.match + 1)\n",
        new="            self.next = max(min(rejected + 1, match_hint + 2), self.match + 1)\n",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="sent-counts-as-acknowledged",
        breaks="matchIndex is the highest entry known to be replicated (Figure 2), not the highest that was sent",
        file="raftcore/membership/progress.pyx",
        old="                self.next += entries\n                self.inflights.add(self.next - 1, bytes)\n",
        new="                self.next += entries\n"
        "                self.match = self.next - 1\n"
        "                self.inflights.add(self.next - 1, bytes)\n",
        found_by=("tables", "model", "explorer"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="lost-messages-not-sent-again",
        breaks="a leader retries AppendEntries until all followers store all entries (paper 5.3)",
        file="raftcore/membership/progress.pyx",
        old="        self.next = max(self.match, snapshot_index) + 1\n",
        new="        self.next = max(self.next, snapshot_index + 1)\n",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="run-listed-too-far",
        breaks="the listed runs agree only where term and index do (log matching, paper 5.3)",
        file="raftcore/algorithm/options/backtrack.pyx",
        old="        if own == term and index > below:\n            return index\n",
        new="        if own == term:\n            return max(index, last)\n",
        near="tests/core/test_backtrack.py",
    ),
    Bug(
        name="window-freed-one-short",
        breaks="an acknowledgement frees every message up to its index (thesis 10.2.1)",
        file="raftcore/membership/inflights.pyx",
        old="        while self.count > 0 and self.ring[self.start].index <= index:\n",
        new="        while self.count > 0 and self.ring[self.start].index < index:\n",
        found_by=("tables", "model"),
        near="tests/unit/test_inflights.py",
    ),
    Bug(
        name="window-grown-out-of-order",
        breaks="messages leave the window in the order in which they entered it (thesis 10.2.1)",
        file="raftcore/membership/inflights.pyx",
        old="        for i in range(room, wrapped):\n            ring[i - room] = ring[i]\n",
        new="",
        near="tests/unit/test_inflights.py",
    ),
    Bug(
        name="append-below-the-commit-index-unchecked",
        breaks="a leader has all committed entries (leader completeness, Figure 3): one that differs is a fault",
        file="raftcore/algorithm/peer_checks.pyx",
        old="    if conflict != 0 and conflict <= r.log.committed:\n",
        new="    if conflict != 0 and conflict < r.log.committed:\n",
        near="tests/core/test_peer_faults.py",
    ),
)
