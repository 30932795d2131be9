"""Mistakes in what the core is asked to do: its options, and what it leaves to the driver."""

from tests.seeded_bugs.bug import Patch

BUGS = (
    Patch(
        name="votes-asked-for-before-the-disk",
        breaks="a candidate persists its term and vote before it asks for votes (Figure 2, persistent state)",
        file="raftcore/base/options.pyx",
        old="        self.promises = PROMISES & ~(1 << MsgVote) if config.votes_before_write else PROMISES\n",
        new="        self.promises = PROMISES if config.votes_before_write else PROMISES & ~(1 << MsgVote)\n",
    ),
    Patch(
        name="transfer-never-clears",
        breaks="a transfer has one election timeout; then the leader takes proposals again (thesis 3.10)",
        file="raftcore/algorithm/step.pyx",
        old="    r.transferee = 0  # a transfer has one election timeout (thesis 3.10)\n",
        new="",
    ),
    Patch(
        name="preferred-voter-told-once",
        breaks="a preferred voter that does not come to lead is told again, after a pause (options/priority.pyx)",
        file="raftcore/algorithm/options/priority.pyx",
        old="        best.takeover_pause = PAUSE << best.takeover_tries\n",
        new="        best.takeover_pause = PAUSE << 16\n",
    ),
)
