"""Mistakes in what a node makes of disks that have forgotten: a term with two leaders, a committed entry told
otherwise, and a cluster that is new."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="acknowledged-entry-replaced-in-its-term",
        breaks="what a node has acknowledged to the leader of its term it keeps, also where the term has two leaders "
        "(election safety, Figure 3, is lost with the disks; leader completeness need not be)",
        file="raftcore/algorithm/peer_checks.pyx",
        old="    return check_acknowledged(r, m) if m.index < r.acknowledged else 0\n",
        new="    return 0\n",
        near="tests/core/test_term_used_twice.py",
    ),
    Bug(
        name="last-acknowledged-entry-with-other-contents",
        breaks="an entry's index and term name its contents (log matching, Figure 3): others are not acknowledged",
        file="raftcore/algorithm/peer_checks.pyx",
        old="    hi = min(m.index + m.entries.count, r.acknowledged) + 1\n",
        new="    hi = min(m.index + m.entries.count, r.acknowledged)\n",
        near="tests/core/test_term_used_twice.py",
    ),
    Bug(
        name="snapshot-of-the-terms-other-leader",
        breaks="a snapshot's log holds what was acknowledged to the leader that sends it (paper 7, Figure 3)",
        file="raftcore/algorithm/peer_checks.pyx",
        old="    return check_covers_acknowledged(r, m)\n",
        new="    return 0\n",
        near="tests/core/test_term_used_twice.py",
    ),
    Bug(
        name="late-write-of-what-a-snapshot-replaced",
        breaks="an acknowledgement follows the write of that very entry (Figure 2, persistent state)",
        file="raftcore/log/log.pyx",
        old="        if snapshot.term < last_term or (snapshot.term == last_term and snapshot.index < self._last):\n",
        new="        if snapshot.term <= last_term and snapshot.index < self._last:\n",
        near="tests/unit/test_log.py",
    ),
    Bug(
        name="contents-of-committed-entries-not-compared",
        breaks="the leader of a later term has every committed entry (leader completeness, Figure 3), its contents too",
        file="raftcore/algorithm/peer_checks.pyx",
        old="        entries, entries.first, min(entries.first + entries.count - 1, r.log.committed) + 1, "
        "2 * len(entries.data))\n    if conflict != 0:\n",
        new="        entries, entries.first, min(entries.first + entries.count - 1, r.log.committed) + 1, "
        "2 * len(entries.data))\n    if False:\n",
        near="tests/core/test_quarantine.py",
    ),
    Bug(
        name="two-rounds-of-contradiction-suffice",
        breaks="a contradiction counts when it is told in three rounds (docs/design.md, decision 1): a repeated "
        "datagram is none",
        file="raftcore/algorithm/quarantine.pyx",
        old="    ROUNDS = 3\n",
        new="    ROUNDS = 2\n",
        near="tests/core/test_quarantine.py",
    ),
    Bug(
        name="repeated-datagram-counts-as-a-round",
        breaks="a round of contradiction ends with a heartbeat of the leader, an interval later (docs/design.md, "
        "decision 1)",
        file="raftcore/algorithm/quarantine.pyx",
        old="    elif s.heartbeat and s.elapsed >= r.options.heartbeat_timeout:\n",
        new="    elif s.elapsed >= r.options.heartbeat_timeout:\n",
        near="tests/core/test_quarantine.py",
    ),
    Bug(
        name="word-of-a-nonvoter-quarantines",
        breaks="a contradiction counts as the word of a leader that is a voter (docs/design.md, decision 1)",
        file="raftcore/algorithm/quarantine.pyx",
        old="    return m.from_ in r.tracker.config.voters or m.from_ in r.tracker.config.voters_outgoing\n",
        new="    return True\n",
        near="tests/core/test_quarantine.py",
    ),
    Bug(
        name="entry-behind-a-suspected-one-acknowledged",
        breaks="an acknowledgement of an entry is one of all before it (log matching, Figure 3): none while one of "
        "them was told otherwise",
        file="raftcore/algorithm/quarantine.pyx",
        old="    if m.index >= s.index:\n        return True\n",
        new="    if m.index >= s.index:\n        return r.log.term_or_zero(s.index) == s.leader_term\n",
        near="tests/core/test_quarantine.py",
    ),
    Bug(
        name="snapshot-over-a-suspected-entry-taken",
        breaks="a snapshot stands for every entry that it covers (paper 7): none while one of them was told otherwise",
        file="raftcore/algorithm/peer_checks.pyx",
        old="    if r.suspicion.rounds and m.term == r.term and s.index >= r.suspicion.index:\n",
        new="    if False:\n",
        near="tests/core/test_quarantine_snapshots.py",
    ),
    Bug(
        name="timeout-cut-short-though-there-was-a-term",
        breaks="a follower waits at least the shortest election timeout for a leader's word (paper 5.2; lease and "
        "check-quorum rest on it, thesis 4.2.3, 6.4.1)",
        file="raftcore/algorithm/step.pyx",
        old="    if r.term == 0 and r.state == StateFollower:\n",
        new="    if r.state == StateFollower:\n",
        near="tests/core/test_timeouts.py",
    ),
)
