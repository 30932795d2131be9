"""Mistakes in committing (paper 5.3, 5.4.2, Figure 8)."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="old-term-committed-by-counting",
        breaks="a leader commits by counting only entries of its own term (paper 5.4.2, Figure 8)",
        file="raftcore/log/log.pyx",
        old="        if index <= self.committed or term == 0 or not match_term(self, index, term):\n",
        new="        if index <= self.committed or term == 0 or index > self._last:\n",
        found_by=("tables", "model"),
        near="tests/paper/test_figure_2_leaders.py",
        seen="PySyncObj #169",
    ),
    Bug(
        name="commit-beyond-what-the-append-covers",
        breaks="commitIndex = min(leaderCommit, index of last new entry) (Figure 2, AppendEntries 5)",
        file="raftcore/log/log.pyx",
        old="    log.commit_to(min(commit, last_new[0]))\n",
        new="    log.commit_to(min(commit, log._last))\n",
        found_by=("tables", "model"),
        near="tests/paper/test_figure_2_receivers.py",
    ),
    Bug(
        name="heartbeat-commits-what-may-differ",
        breaks="a follower's commit index covers only what is known to match (paper 5.3): min(match, commit)",
        file="raftcore/algorithm/sending.pyx",
        old="        m.commit = min(pr.match, r.log.committed)\n",
        new="        m.commit = r.log.committed\n",
        found_by=("tables", "model"),
        seen="etcd #3519",
    ),
    Bug(
        name="commit-index-goes-back",
        breaks="commitIndex increases monotonically (Figure 2)",
        file="raftcore/log/log.pyx",
        old="        if self.committed < index:\n            if self._last < index:\n",
        new="        if self.committed < index or self.applied <= index < self.committed:\n"
        "            if self._last < index:\n",
        found_by=("tables", "model"),
        near="tests/unit/test_log.py",
        seen="PySyncObj #166",
    ),
    Bug(
        name="leader-counts-entries-it-has-not-written",
        breaks="the leader counts itself once its own write is durable (thesis 10.2.1)",
        file="raftcore/algorithm/proposals.pyx",
        old="    m.index = r.log._last\n    return send(r, m)\n",
        new="    m.index = r.log._last\n    r.tracker.get(r.id).maybe_update(m.index)\n    return send(r, m)\n",
        found_by=("tables", "model"),
        near="tests/core/test_commit_rule.py",
    ),
    Bug(
        name="commit-not-told-to-followers",
        breaks="a leader tells followers the commit index in later appends, empty ones too (paper 5.3)",
        file="raftcore/membership/progress.pxd",
        old="    return index > pr.sent_commit and pr.sent_commit < pr.next - 1\n",
        new="    return index > pr.sent_commit and pr.sent_commit < pr.match\n",
        found_by=("tables", "model"),
        near="tests/unit/test_progress.py",
    ),
    Bug(
        name="acknowledgement-beyond-the-log-believed",
        breaks="nobody holds more of this term's log than its leader (log matching, paper 5.3)",
        file="raftcore/algorithm/peer_checks.pyx",
        old="        if m.term == r.term and r.state == StateLeader and not m.reject and m.index > r.log._last:\n",
        new="        if m.term == r.term and r.state == StateLeader and not m.reject and m.index > r.log._last + 1:\n",
        near="tests/core/test_peer_faults.py",
    ),
    Bug(
        name="heartbeat-beyond-the-log-believed",
        breaks="the commit index is at most the last index (Figure 2): whoever claims more has lost data, or we have",
        file="raftcore/algorithm/peer_checks.pyx",
        old="        if m.commit > r.log._last:\n",
        new="        if m.commit > r.log._last + 1:\n",
        near="tests/core/test_peer_faults.py",
    ),
)
