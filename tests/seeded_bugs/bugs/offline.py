"""Mistakes in reading what is stored while nobody else does: offline (docs/design-storage.md, "Offline tools"), by a
start ("A row of segments"), and by the scrub of a node that runs ("A scrub")."""

from tests.seeded_bugs.bug import Bug

OFFLINE = "raftpy/storage/offline/"
SCRUBBING = "raftpy/runtime/scrubbing.py"
WAL = "raftpy/storage/leveldb/wal.py"
READ = "tests/storage/test_offline.py"
SCRUBBED = "tests/node/test_scrubbing.py"

BUGS = (
    Bug(
        name="directory-read-while-a-node-writes",
        breaks="no node may be running on a directory that is read offline",
        file=OFFLINE + "directory.py",
        old="        if not file.lock_shared():\n",
        new="        if file.size() < 0:\n",
        near=READ,
    ),
    Bug(
        name="reading-ends-at-the-first-damage",
        breaks="behind what is damaged the reading goes on with the next record whose checksum holds",
        file=OFFLINE + "salvage.py",
        old="            yield None\n            at = following\n",
        new="            yield None\n            return\n",
        near=READ,
    ),
    Bug(
        name="lost-segment-not-missed",
        breaks="each segment says which one was in use before it",
        file=OFFLINE + "segments.py",
        old="            if previous and found.header.previous != previous:\n",
        new="            if previous > found.header.previous:\n",
        near=READ,
    ),
    Bug(
        name="shortened-segment-not-missed",
        breaks="each segment says where the one before it ended, to whole batches that it has lost",
        file="raftpy/storage/leveldb/loading.py",
        old="        if previous and loaded.sizes[previous] != end_before:\n",
        new="        if previous and loaded.sizes[previous] > end_before:\n",
        near="tests/storage/test_segment_ends.py",
    ),
    Bug(
        name="last-batch-not-written-again",
        breaks="what a start has read from memory alone is durable once it goes on (loading.py, design-storage.md)",
        file="raftpy/storage/leveldb/segment.py",
        old="            file.write_at(self.data[self._last_batch : self.end], self._last_batch)\n",
        new="",
        near="tests/sim/disk/test_lives_on_segments.py",
    ),
    Bug(
        name="gap-in-a-log-not-named",
        breaks="the entries that are missing in a log are named",
        file=OFFLINE + "groups.py",
        old="        elif first > max(expected, 1) and (expected or report.head is not None):\n",
        new="        elif first > max(expected, 1) and expected == first:\n",
        near=READ,
    ),
    Bug(
        name="entries-outside-of-the-range-exported",
        breaks="what is exported are the entries that were asked for",
        file=OFFLINE + "exporting.py",
        old="                if first <= entry.index <= last:\n",
        new="                if first <= entry.index:\n",
        near=READ,
    ),
    Bug(
        name="damaged-snapshot-stays",
        breaks="in the place of a snapshot that the scrub has found damaged another one is taken",
        file=SCRUBBING,
        old="            group.replace_snapshot(ref)\n",
        new="            pass\n",
        near=SCRUBBED,
    ),
    Bug(
        name="scrub-as-fast-as-the-disk",
        breaks="the scrub reads scrub_rate bytes a second",
        file=SCRUBBING,
        old="        self._allowed -= read\n",
        new="        self._allowed -= min(read, 1)\n",
        near=SCRUBBED,
    ),
    Bug(
        name="zeros-at-the-end-of-a-closed-segment-taken-for-room",
        breaks="the records of a closed segment reach to where they ended when it was closed",
        file=WAL,
        old="    if verdict != WHOLE or any(piece[end:]) or expected - end >= HEADER:\n",
        new="    if verdict != WHOLE or any(piece[end:]):\n",
        near=SCRUBBED,
    ),
)
