"""Mistakes in snapshots, in the log that is cut behind them, and in the start from one."""

from tests.seeded_bugs.bug import Patch

SNAPSHOTTING = "raftpy/runtime/snapshotting.py"
WRITER = "raftpy/storage/snapshots/writer.py"
STORE = "raftpy/storage/snapshots/store.py"

BUGS = (
    Patch(
        name="snapshot-not-synced",
        breaks="a snapshot is durable before it has its name (contracts/snapshots.py, 1)",
        file=WRITER,
        old="        self._file.sync()\n        self._close()\n        self._folder.rename",
        new="        self._close()\n        self._folder.rename",
    ),
    Patch(
        name="name-of-a-snapshot-not-synced",
        breaks="a snapshot that was committed is there after a crash, also by its name (contracts/snapshots.py, 1)",
        file=WRITER,
        old="        self._folder.sync()\n        self._end(snapshot)\n",
        new="        self._end(snapshot)\n",
    ),
    Patch(
        name="names-of-snapshots-believed-at-a-start",
        breaks="what a start finds is durable before an older snapshot, or the log, goes for it (store.py, 2)",
        file=STORE,
        old="            self._folder.sync()\n        for name in names:\n            ref = whole_ref(name)",
        new="            pass\n        for name in names:\n            ref = whole_ref(name)",
    ),
    Patch(
        name="abandoned-snapshot-kept",
        breaks="a start deletes what a crash has left of a snapshot (design-storage.md)",
        file=STORE,
        old="            if is_writing(name):\n                self._folder.remove(name)\n",
        new="            if is_writing(name):\n                pass\n",
    ),
    Patch(
        name="newer-snapshots-deleted-as-well",
        breaks="retain keeps the newest and deletes what is older (contracts/snapshots.py)",
        file=STORE,
        old="(oldest is None or ref < oldest)]",
        new="(oldest is None or ref != oldest)]",
    ),
    Patch(
        name="oldest-snapshot-not-read-back",
        breaks="the log is cut only behind a snapshot that was read back (contracts/snapshots.py, retain)",
        file=STORE,
        old="            if oldest is None or oldest in self._read_back:\n",
        new="            if oldest is None or oldest is not None:\n",
    ),
    Patch(
        name="bytes-of-snapshots-not-checked",
        breaks="nothing is given out of a snapshot that was not written (contracts/snapshots.py, 2)",
        file="raftpy/storage/snapshots/checking.py",
        old="        if crc != crc32c(raw[4:end], self._seed):\n",
        new="        if kind != Kind.DATA and crc != crc32c(raw[4:end], self._seed):\n",
    ),
    Patch(
        name="log-cut-behind-the-newest",
        breaks="the log is cut only behind the oldest snapshot kept (design-storage.md)",
        file=SNAPSHOTTING,
        old="        self._kept = 0 if kept is None else kept.index\n",
        new="        self._kept = 0 if kept is None else self._newest\n",
    ),
    Patch(
        name="log-cut-before-the-snapshot",
        breaks="the log is cut only behind a snapshot that is durable (design-storage.md)",
        file=SNAPSHOTTING,
        old="        if index > self._newest:\n            await self._write(index)\n",
        new="        if index > self._newest:\n            self._kept = index\n            self._cut()\n"
        "            await self._write(index)\n",
    ),
    Patch(
        name="capture-a-moment-later",
        breaks="index, configuration and the machine's view are of one moment (snapshotting.py)",
        file=SNAPSHOTTING,
        old="        if index > self._newest:\n            await self._write(index)\n",
        new="        if index > self._newest:\n            await self._beside.call(int)\n"
        "            await self._write(index)\n",
    ),
    Patch(
        name="view-changed-by-later-commands",
        breaks="what is applied later does not show in a view (contracts/state_machine.py)",
        file="raftpy/replicated/parted_dict.pyx",
        old="            self.remember(number, part, key)\n        before = PyDict_Size(part)\n",
        new="            assert part is not None\n        before = PyDict_Size(part)\n",
    ),
    Patch(
        name="configuration-said-to-be-of-the-snapshot",
        breaks="a snapshot names the entry that its configuration is from (metadata.py)",
        file=SNAPSHOTTING,
        old="        return Snapshot(index, term, raw.conf_state, raw.conf_index, time_ms)\n",
        new="        return Snapshot(index, term, raw.conf_state, index, time_ms)\n",
    ),
    Patch(
        name="sync-of-the-machine-not-asked",
        breaks="the log is never cut beyond what a machine on disk has synced (contracts/state_machine.py)",
        file=SNAPSHOTTING,
        old="EVERY_INDEX if offered.on_disk is None else offered.on_disk.sync()\n",
        new="EVERY_INDEX\n",
    ),
    Patch(
        name="commands-given-again-to-a-machine-on-disk",
        breaks="a machine on disk is given only the commands that it has not (contracts/state_machine.py)",
        file="raftpy/runtime/group.py",
        old="            known=start.known,\n",
        new="            known=start.applied,\n",
    ),
    Patch(
        name="first-command-behind-a-snapshot-passed-over",
        breaks="a machine is given each command behind what it has (contracts/state_machine.py)",
        file="raftpy/runtime/group.py",
        old="            known=start.known,\n",
        new="            known=start.known + 1 if start.known else 0,\n",
    ),
    Patch(
        name="oldest-snapshot-restored-in-place-of-the-newest",
        breaks="a start goes on behind the snapshot that it has restored (restoring.py)",
        file="raftpy/runtime/saved_state.py",
        old="    _restore_from(snapshots.open(chosen.file.ref), offered",
        new="    _restore_from(snapshots.open(snapshots.refs(chosen.file.ref.group)[-1]), offered",
    ),
    Patch(
        name="older-snapshot-not-looked-for",
        breaks="a state is restored from the newest snapshot that is whole (choosing.py)",
        file="raftpy/storage/snapshots/choosing.py",
        old="            refused(error)\n",
        new="            refused(error)\n            return None\n",
    ),
    Patch(
        name="commit-index-of-the-store-behind-a-snapshot",
        breaks="what was applied was committed, whatever the store has kept of it (restoring.py)",
        file="raftpy/runtime/restoring.py",
        old="        commit = max(hard.commit, committed)\n",
        new="        commit = hard.commit\n",
    ),
    Patch(
        name="one-snapshot-kept-where-it-is-on-its-way",
        breaks="two snapshots are kept at least, whatever is on its way to a member (snapshotting.py)",
        file=SNAPSHOTTING,
        old="        return max(kept, *(",
        new="        return max(1, *(",
    ),
    Patch(
        name="received-snapshot-not-compared",
        breaks="what was received is what was offered, to the byte (contracts/snapshots.py, finish)",
        file="raftpy/storage/snapshots/receiver.py",
        old="            if checked.file != self.file:\n",
        new="            if checked.file.size != self.file.size:\n",
    ),
    Patch(
        name="installed-snapshot-not-in-the-head",
        breaks="one batch names the snapshot and the log's new bounds (design-storage.md)",
        file="raftpy/storage/leveldb/group_log.py",
        old="        head.prev_index, head.prev_term = index, snapshot.term\n        head.last_index",
        new="        head.last_index",
    ),
    Patch(
        name="restored-before-the-log-is-the-snapshot",
        breaks="a machine on disk has nothing that its log has not, durably (installing.py)",
        file="raftpy/runtime/installing.py",
        old="        await self._durable\n",
        new="",
    ),
    Patch(
        name="machine-not-restored-from-what-came",
        breaks="a follower that receives a snapshot takes its state (paper 7, Figure 13, InstallSnapshot 8)",
        file="raftpy/runtime/installing.py",
        old="            await restore_beside(beside, group.clock, machine, self._snapshots, checked, group.name)\n",
        new="            pass\n",
    ),
    Patch(
        name="member-table-not-taken-from-what-came",
        breaks="a follower that receives a snapshot takes its configuration (paper 7, Figure 13, InstallSnapshot 8)",
        file="raftpy/runtime/group.py",
        old="            self.member_operations.restore(table)\n",
        new="            assert table is not None\n",
    ),
)
