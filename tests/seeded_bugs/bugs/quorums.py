"""Mistakes in counting (paper 5.2, 5.3; thesis 4.2.2, 4.3)."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="half-is-a-majority-of-votes",
        breaks="a candidate needs the votes of a majority (paper 5.2): two of four are none",
        file="raftcore/membership/quorum.pyx",
        old="    cdef int granted = 0, rejected = 0, quorum = count // 2 + 1, i\n",
        new="    cdef int granted = 0, rejected = 0, quorum = (count + 1) // 2, i\n",
        found_by=("tables", "model", "explorer"),
        near="tests/unit/test_quorum.py",
    ),
    Bug(
        name="half-is-a-majority-of-matches",
        breaks="an entry is committed once a majority has it (paper 5.3): two of four are none",
        file="raftcore/membership/quorum.pyx",
        old="    return matched[count - (count // 2 + 1)]\n",
        new="    return matched[count // 2]\n",
        found_by=("tables", "model"),
        near="tests/unit/test_quorum.py",
    ),
    Bug(
        name="commit-quorum-less-one",
        breaks="an entry is committed once a majority has it (paper 5.3)",
        file="raftcore/membership/tracker.pyx",
        old="    result = majority_committed(matched, count)\n    if matched != on_stack:\n",
        new="    result = majority_committed(matched, count)\n"
        "    if count > 2:\n"
        "        result = matched[count - count // 2]\n"
        "    if matched != on_stack:\n",
        found_by=("tables", "model", "explorer"),
        near="tests/unit/test_tracker.py",
    ),
    Bug(
        name="old-majority-ignored-in-an-election",
        breaks="a joint configuration elects with majorities of both halves (paper 6, thesis 4.3)",
        file="raftcore/membership/tracker.pyx",
        old="            rejected[0] += 1\n"
        "    return joint_vote(half_vote(tracker.incoming, tracker.votes), half_vote(tracker.outgoing, "
        "tracker.votes))\n",
        new="            rejected[0] += 1\n    return half_vote(tracker.incoming, tracker.votes)\n",
        found_by=("tables", "model"),
        near="tests/unit/test_tracker.py",
    ),
    Bug(
        name="old-majority-ignored-in-committing",
        breaks="a joint configuration commits with majorities of both halves (paper 6, thesis 4.3)",
        file="raftcore/membership/tracker.pyx",
        old="        return min(half_committed(self.incoming), half_committed(self.outgoing))\n",
        new="        return half_committed(self.incoming)\n",
        found_by=("tables", "model"),
        near="tests/unit/test_tracker.py",
    ),
    Bug(
        name="old-majority-ignored-in-reads",
        breaks="a joint configuration confirms a leader with majorities of both halves (paper 6, thesis 6.4)",
        file="raftcore/algorithm/read_index.pyx",
        old="    return min(incoming, outgoing)\n",
        new="    return incoming\n",
        found_by=("tables", "model"),
        near="tests/core/test_read_index.py",
    ),
    Bug(
        name="one-half-pending-is-enough",
        breaks="a joint configuration elects with majorities of both halves (paper 6, thesis 4.3): one waits for "
        "the other",
        file="raftcore/membership/quorum.pyx",
        old="        return VoteLost\n    return VotePending\n\n\ncdef int compare_indexes",
        new="        return VoteLost\n    return VoteWon\n\n\ncdef int compare_indexes",
        found_by=("tables", "model", "explorer"),
        near="tests/unit/test_quorum.py",
    ),
    Bug(
        name="learners-counted-in-a-quorum",
        breaks="a learner is not counted for votes or commitment (thesis 4.2.1)",
        file="raftcore/membership/tracker.pyx",
        old="        self.incoming = [progress[id] for id in config.voters]\n",
        new="        self.incoming = [progress[id] for id in (*config.voters, *config.learners)]\n",
        found_by=("tables", "model"),
        near="tests/unit/test_tracker.py",
    ),
    Bug(
        name="many-members-miscounted",
        breaks="an entry is committed once a majority has it (paper 5.3), in large clusters too",
        file="raftcore/membership/quorum.pyx",
        old="    return (a > b) - (a < b)\n",
        new="    return <int> (a - b)\n",
        near="tests/unit/test_quorum.py",
    ),
)
