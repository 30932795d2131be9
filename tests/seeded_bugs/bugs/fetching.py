"""Mistakes in bringing a snapshot from one node to another (docs/wire-format.md, "Snapshots on their way")."""

from tests.seeded_bugs.bug import Bug

FETCH = "raftpy/runtime/fetching.py"
SOURCE = "raftpy/runtime/snapshot_source.py"
WHOLE = "tests/node/test_fetching.py"
RULES = "tests/node/test_fetching_rules.py"

BUGS = (
    Bug(
        name="chunk-of-another-size-taken",
        breaks="a chunk that was not asked for is ignored (docs/wire-format.md)",
        file=FETCH,
        old="        if asked is None or asked.size != len(chunk.data):\n",
        new="        if asked is None:\n",
        near=RULES,
    ),
    Bug(
        name="chunk-of-another-file-taken",
        breaks="what is put together is one file: the size and the digest of each chunk's are the same",
        file=FETCH,
        old="        elif talk.file != self.offered:\n",
        new="        elif talk.file.size != self.offered.size:\n",
        near=RULES,
    ),
    Bug(
        name="answer-of-a-node-that-was-not-asked-believed",
        breaks="a chunk from a node that was not asked is ignored (docs/wire-format.md)",
        file=FETCH,
        old="        if fetch is None or fetch.source != node_id or fetch.ref != ref:\n",
        new="        if fetch is None or fetch.ref != ref:\n",
        near=RULES,
    ),
    Bug(
        name="overtaken-request-waited-for",
        breaks="what later requests have overtaken is lost, and asked for again at once",
        file=FETCH,
        old="if other.number + OVERTAKEN <= asked.number]:\n",
        new="if other.number + 1000 * OVERTAKEN <= asked.number]:\n",
        near=RULES,
    ),
    Bug(
        name="window-of-a-fetch-without-a-bound",
        breaks="no more is asked for than a window that is not written yet: the rest would be in memory",
        file=FETCH,
        old="        while self._next < self.offered.size and self._unwritten < WINDOW:\n",
        new="        while self._next < self.offered.size:\n",
        near=RULES,
    ),
    Bug(
        name="silent-source-never-given-up",
        breaks="a fetch is given up when nothing has come for a stated time",
        file=FETCH,
        old="        left_s = self._progress_s + GIVE_UP_S - self._clock.monotonic()\n",
        new="        left_s = self._progress_s + 1000 * GIVE_UP_S - self._clock.monotonic()\n",
        near=WHOLE,
    ),
    Bug(
        name="what-has-come-deleted-with-the-attempt",
        breaks="what has come of a snapshot stays for the next attempt",
        file=FETCH,
        old="            receiver.close()\n",
        new="            receiver.abort()\n",
        near=WHOLE,
    ),
    Bug(
        name="snapshot-that-is-here-not-checked",
        breaks="a snapshot counts as fetched only where it is whole",
        file=FETCH,
        old="            return self._complete(self._snapshots.verify(self.ref)).file\n",
        new="            return self._snapshots.open(self.ref).file\n",
        near=WHOLE,
    ),
    Bug(
        name="request-at-the-end-of-a-turn-forgotten",
        breaks="a request that is kept is answered",
        file=SOURCE,
        old="        elif not self._held_back and any(wanting.requests for wanting in self._wanting.values()):\n"
        "            self._begin()\n",
        new="",
        near=WHOLE,
    ),
    Bug(
        name="one-snapshot-given-for-another",
        breaks="a chunk is of the snapshot that was asked for",
        file=SOURCE,
        old="        if wanting.reader is None or wanting.ref != ref or begins:\n",
        new="        if wanting.reader is None or (begins and wanting.ref == ref):\n",
        near=WHOLE,
    ),
    Bug(
        name="damaged-snapshot-given-again-and-again",
        breaks="who is asked anew for all of a snapshot that it has given looks whether it is damaged",
        file=SOURCE,
        old="        if (anew or ref in self._damaged) and ref in there:\n",
        new="        if ref in self._damaged and ref in there:\n",
        near=WHOLE,
    ),
    Bug(
        name="file-that-nobody-asks-for-stays-open",
        breaks="a file is closed when nobody has asked for it for a while: a deleted one takes its room until then",
        file=SOURCE,
        old="if each.asked_s <= before_s and not each.requests}\n",
        new="if each.asked_s <= before_s - 1e9 and not each.requests}\n",
        near=RULES,
    ),
    Bug(
        name="backlog-of-a-slow-node-without-a-bound",
        breaks="to a node whose path takes no more nothing is read",
        file=SOURCE,
        old="            if self._transport.snapshot_backlog(wanting.node_id) > MOST_BACKLOG:\n",
        new="            if self._transport.snapshot_backlog(wanting.node_id) > 1000 * MOST_BACKLOG:\n",
        near=RULES,
    ),
    Bug(
        name="rate-of-snapshots-not-kept",
        breaks="a node gives no more than snapshot_rate bytes a second, to all together",
        file=SOURCE,
        old="        self._bytes = max(0.0, self._bytes - size)\n",
        new="        self._bytes = max(0.0, self._bytes - size / 2)\n",
        near=WHOLE,
    ),
    Bug(
        name="begun-snapshot-not-told-of",
        breaks="a follower goes on with the snapshot of which it has a part, where its leader has that one still",
        file="raftpy/runtime/installing.py",
        old="        self._told, self._tell_again = (leader, term, other), TELL_AGAIN\n"
        "        self._say(leader, other)\n",
        new="        self._told, self._tell_again = (leader, term, other), 0\n",
        near="tests/node/test_begun_snapshots.py",
    ),
    Bug(
        name="begun-snapshot-not-kept",
        breaks="a snapshot that a member has begun to receive is kept for a while, in case it comes back",
        file="raftpy/runtime/trailing.py",
        old=" | {ref.index for ref in begun.values()}\n",
        new="\n",
        near="tests/node/test_begun_snapshots.py",
    ),
    Bug(
        name="chunk-beyond-the-end-decodes",
        breaks="a chunk's bytes end within the snapshot (docs/wire-format.md)",
        file="raftpy/transport/exchange/snapshot_frames.py",
        old="    if offset + len(data) > size:\n",
        new="    if offset > size:\n",
        near="tests/transport/test_snapshot_frames.py",
    ),
)
