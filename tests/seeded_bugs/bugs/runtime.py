"""Mistakes beside the core: the runtime's own entries, large batches, bodies over HTTP, what is said of snapshots."""

from tests.seeded_bugs.bug import Bug

BUGS = (
    Bug(
        name="entry-that-must-be-understood-passed-over",
        breaks="an entry of the runtime's own that must be understood and is not stops the node (docs/wire-format.md)",
        file="raftpy/contracts/typed.py",
        old="        if self.must_understand:\n"
        "            raise NotUnderstood(where, self.name, self.version, newest)\n",
        new="        if self.must_understand and newest is not None:\n"
        "            raise NotUnderstood(where, self.name, self.version, newest)\n",
        near="tests/node/test_own_entries.py",
    ),
    Bug(
        name="large-batch-waited-for",
        breaks="a batch of two megabytes is written beside the loop, however fast the disk (docs/design-storage.md)",
        file="raftpy/storage/leveldb/writer.py",
        old="not self.pace.slow and not large)\n",
        new="not self.pace.slow)\n",
        near="tests/storage/test_writer.py",
    ),
    Bug(
        name="pace-that-the-log-outruns",
        breaks="who is fed at a pace gains on the log, however fast that grows (raftpy/runtime/pace.py)",
        file="raftpy/runtime/pace.py",
        old="            self._goal = max(self._goal, index) + GAIN * (end - self._end)\n",
        new="",
        near="tests/node/test_pace.py",
    ),
    Bug(
        name="pace-without-a-bound",
        breaks="whom nobody waits for is given catch_up_rate bytes a second (raftpy/runtime/pace.py)",
        file="raftpy/runtime/pace.py",
        old="        self._credit = max(self._credit, 0.0) - size\n",
        new="        self._credit = max(self._credit, 0.0)\n",
        near="tests/node/test_pace.py",
    ),
    Bug(
        name="needed-in-a-long-wait-for-the-pace",
        breaks="who becomes needed while it waits for its pace is fed soon (raftpy/runtime/pace.py)",
        file="raftpy/runtime/pace.py",
        old="        return min(max(-self._credit / self._rate, SHORTEST_S), LONGEST_S)\n",
        new="        return max(-self._credit / self._rate, SHORTEST_S)\n",
        near="tests/node/test_pace.py",
    ),
    Bug(
        name="place-of-a-body-that-gave-up-kept",
        breaks="a body that is not read any more holds no place (docs/http-api.md)",
        file="raftpy/server/bodies.py",
        old="                self.give_back(size)  # its turn came just as it gave up\n",
        new="                pass\n",
        near="tests/server/test_bodies.py",
    ),
    Bug(
        name="snapshot-failure-said-for-ever",
        breaks="the status says why there is no newer snapshot until there is one (docs/http-api.md)",
        file="raftpy/runtime/snapshotting.py",
        old="self._newest, self._bytes_before, self._not_taken = index, bytes_before, None\n",
        new="self._newest, self._bytes_before = index, bytes_before\n",
        near="tests/node/test_snapshots.py",
    ),
    Bug(
        name="turn-of-another-member",
        breaks="at full load no majority of the members takes a snapshot at once (docs/design-storage.md)",
        file="raftpy/runtime/snapshotting.py",
        old="share_of(raw.id, {*members, raw.id})",
        new="share_of(0, members)",
        near="tests/node/test_snapshot_turns.py",
    ),
    Bug(
        name="room-for-one-snapshot-found-by-two-groups",
        breaks="what another group of the host is writing is not free (docs/design-storage.md)",
        file="raftpy/runtime/disk_space.py",
        old="        return Room(self._free - taken, ",
        new="        return Room(self._free, ",
        near="tests/node/test_disk_space.py",
    ),
    Bug(
        name="quarter-of-the-disk-for-each-group",
        breaks="the trailing logs of a host's groups have a quarter of the free disk together (docs/design-storage.md)",
        file="raftpy/runtime/disk_space.py",
        old="        part = free // SHARE_OF_FREE // len(self._trailing)\n",
        new="        part = free // SHARE_OF_FREE\n",
        near="tests/node/test_disk_space.py",
    ),
    Bug(
        name="received-snapshot-takes-the-log-s-room",
        breaks="a snapshot leaves the room of two segments free (docs/design-storage.md)",
        file="raftpy/storage/snapshots/receiver.py",
        old="            self._appender = Appender(file, whole, self._sync_bytes, self._room)\n",
        new="            self._appender = Appender(file, whole, self._sync_bytes)\n",
        near="tests/storage/test_reserve.py",
    ),
)
