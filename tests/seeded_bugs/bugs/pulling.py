"""Mistakes where a node gets its state from another, and in offers of snapshots that a member has in part."""

from tests.seeded_bugs.bug import Bug

PULLING = "raftpy/runtime/pulling.py"
OFFERING = "raftpy/runtime/offering.py"
PULLED = "tests/node/test_pulling.py"
OFFERED = "tests/node/test_offering.py"
CORE = "raftcore/algorithm/snapshots.pyx"
BEGUN = "tests/core/test_begun_snapshots.py"

BUGS = (
    Bug(
        name="state-of-another-history-pulled",
        breaks="a state is taken of an entry that the log has, in its term (pulling.py)",
        file=PULLING,
        old="            if self._fits(ref) and self._not_before_s",
        new="            if ref.index <= raw.last_index and self._not_before_s",
        near=PULLED,
    ),
    Bug(
        name="offer-of-another-history",
        breaks="a snapshot is offered that the log goes on from (RawNode.offer_snapshot)",
        file=CORE,
        old="    if not r.log.snapshot_index <= s.index <= r.log.committed or not r.log.match_term(s.index, s.term):\n",
        new="    if not r.log.snapshot_index <= s.index <= r.log.committed:\n",
        near=BEGUN,
    ),
    Bug(
        name="offer-to-who-waits-for-none",
        breaks="a snapshot is offered only in the place of one that is on its way (RawNode.offer_snapshot)",
        file=CORE,
        old=(
            "    if r.state != StateLeader or pr is None or pr.state != StateSnapshot:\n"
            "        return False\n"
            "    if not"
        ),
        new="    if r.state != StateLeader or pr is None:\n        return False\n    if not",
        near=BEGUN,
    ),
    Bug(
        name="question-of-before-the-offer-passed-over",
        breaks="a member may have asked before it was seen that it was offered one (offering.py)",
        file=OFFERING,
        old="            if asked is not None and at_s >= min(since, looked_s) and _wants_another(asked, index):\n",
        new="            if asked is not None and at_s >= since and _wants_another(asked, index):\n",
        near=OFFERED,
    ),
    Bug(
        name="deleted-snapshot-waited-for",
        breaks="who was told that what it wants is not here waits for another offer (offering.py)",
        file=OFFERING,
        old="    return asked.looked and (asked.ref.index != offered or asked.snapshot is None)",
        new="    return asked.looked and asked.ref.index != offered",
        near=OFFERED,
    ),
    Bug(
        name="begun-snapshot-offered-before-it-was-looked-for",
        breaks="nothing is made of a question before the disk has said whether the snapshot is there (offering.py)",
        file=OFFERING,
        old="    return asked.looked and (",
        new="    return (",
        near=OFFERED,
    ),
)
