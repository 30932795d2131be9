"""Mistakes where a node gets its state from another, and where the snapshot that a node has in part is offered."""

from tests.seeded_bugs.bug import Patch

LOG = "raftcore/log/log.pyx"

BUGS = (
    Patch(
        name="applied-from-the-beginning-after-a-pull",
        breaks="commands go on behind the snapshot from which a state was restored (pulling.py)",
        file=LOG,
        old="        self.commit_to(index)\n        if index > self.applied:\n            self.applied_to(index, 0)\n",
        new="        self.commit_to(index)\n",
    ),
    Patch(
        name="member-table-not-taken-from-what-was-pulled",
        breaks="who gets the state of a snapshot gets the member table in it (pulling.py)",
        file="raftpy/runtime/group.py",
        old='        self._begin_at(snapshot, table, size)\n        log.info("%s: restored from',
        new='        self._begin_at(snapshot, None, size)\n        log.info("%s: restored from',
    ),
    Patch(
        name="offer-that-the-log-does-not-reach",
        breaks="a snapshot is offered that the leader's log goes on from (RawNode.offer_snapshot)",
        file="raftcore/algorithm/snapshots.pyx",
        old="    if not r.log.snapshot_index <= s.index <= r.log.committed or not r.log.match_term(s.index, s.term):\n",
        new=(
            "    if s.index > r.log.committed or (\n"
            "            s.index >= r.log.snapshot_index and not r.log.match_term(s.index, s.term)):\n"
        ),
    ),
    Patch(
        name="part-of-a-snapshot-never-offered-again",
        breaks="one that a member has in part is offered in the place of the newest (offering.py)",
        file="raftpy/runtime/offering.py",
        old="    return asked.looked and (asked.ref.index != offered or asked.snapshot is None)",
        new="    return asked.looked and asked.ref.index > offered",
    ),
)
