"""Mistakes in what a state is restored from and kept in: snapshots that are chosen and read, machines that stand
somewhere in the log, keys and values; and in calls of the system's that these rest on."""

from tests.seeded_bugs.bug import Bug

SNAPSHOTS = "raftpy/storage/snapshots/"
RESTORING = "raftpy/runtime/restoring.py"
REPLICATED = "raftpy/replicated/"
SYSTEM = "raftpy/system/"
RESTORED = "tests/node/test_restoring.py"

BUGS = (
    Bug(
        name="older-snapshot-not-tried",
        breaks="a state is restored from the newest snapshot that is whole (choosing.py)",
        file=SNAPSHOTS + "choosing.py",
        old="            refused(error)\n",
        new="            refused(error)\n            return None\n",
        near="tests/storage/test_snapshots.py",
    ),
    Bug(
        name="snapshot-that-changes-while-it-is-read-believed",
        breaks="what is given out of a snapshot is the file that was opened, to its end (reader.py)",
        file=SNAPSHOTS + "reader.py",
        old="            if sections.file != self.file:\n",
        new="            if sections.file is None:\n",
        near="tests/storage/test_snapshot_damage.py",
    ),
    Bug(
        name="joint-configuration-of-a-snapshot-left-by-nobody",
        breaks="a snapshot carries the latest configuration as of its index (paper 7): who leaves a joint one, too",
        file=SNAPSHOTS + "metadata.py",
        old="_AUTO_LEAVE if state.auto_leave else 0))\n",
        new="_AUTO_LEAVE if state.auto_leave and not state.voters_outgoing else 0))\n",
        near="tests/storage/test_snapshot_metadata.py",
    ),
    Bug(
        name="commit-index-of-the-store-alone",
        breaks="what was applied was committed, whatever the store has kept of it (restoring.py)",
        file=RESTORING,
        old="        commit = max(hard.commit, known)\n",
        new="        commit = hard.commit\n",
        near=RESTORED,
    ),
    Bug(
        name="machine-ahead-of-its-log-believed",
        breaks="a machine that has applied more than its log has is another node's, or the log lost its end",
        file=RESTORING,
        old="        if stands > initial.last_index:\n",
        new="        if stands > initial.last_index + 1:\n",
        near=RESTORED,
    ),
    Bug(
        name="snapshot-that-could-not-be-read-now-taken-for-lost",
        breaks="what the system lacked descriptors or memory to read is no loss (restoring.py)",
        file=RESTORING,
        old="                if unread and initial.snapshot_index:\n",
        new="                if unread and not self._others and initial.snapshot_index:\n",
        near="tests/node/test_passing.py",
    ),
    Bug(
        name="machine-with-half-a-protocol-taken-for-one-in-memory",
        breaks="a machine that offers one part of a protocol has to offer all of it (capturing.py)",
        file="raftpy/runtime/capturing.py",
        old="    on_disk = any(_offers(machine, name) for name in ON_DISK)\n",
        new="    on_disk = all(_offers(machine, name) for name in ON_DISK)\n",
        near="tests/node/test_snapshots.py",
    ),
    Bug(
        name="only-one-of-those-that-wait-read-again",
        breaks="what the store could not read for want of descriptors is tried again (log_reading.py), all of it",
        file="raftpy/runtime/log_reading.py",
        old="        for one in () if self._stopped else waiting:\n",
        new="        for one in () if self._stopped else waiting[:1]:\n",
        near="tests/node/test_log_reading.py",
    ),
    Bug(
        name="stop-that-does-not-wait-for-its-thread",
        breaks="once a node has stopped none of its threads touches anything (beside.py)",
        file="raftpy/runtime/beside.py",
        old="        if runs and self._thread is not None:\n            self._thread.join()\n",
        new="        assert not runs or self._thread is not None\n",
        near="tests/node/test_snapshot_threads.py",
    ),
    Bug(
        name="call-that-begins-after-the-stop",
        breaks="once a node has stopped none of its threads touches anything (beside.py), also one that was just begun",
        file="raftpy/runtime/beside.py",
        old="                if self.stopped:\n                    return\n                self._runs = True\n",
        new="                self._runs = True\n",
        near="tests/node/test_beside.py",
    ),
    Bug(
        name="wait-in-vain-believed-as-of-its-return",
        breaks="the system has not looked later than when its wait was over, however late it returns (rest.pyx)",
        file="raftpy/runtime/rest.pyx",
        old="            self.silent_at = now + milliseconds / 1000.0 if count == 0 else -INFINITY\n",
        new="            self.silent_at = monotonic_s() if count == 0 else -INFINITY\n",
        near="tests/node/test_rest_looks.py",
    ),
    Bug(
        name="version-of-a-key-begins-anew-after-some-puts",
        breaks="a version is the log index of the key's last write (docs/http-api.md), on each node the same",
        file=REPLICATED + "kv_puts.pyx",
        old="new_held(first_index + <uint64_t> done, value)",
        new="new_held(first_index + <uint64_t> i, value)",
        near="tests/replicated/test_kv_store.py",
    ),
    Bug(
        name="version-of-a-key-cut-to-four-bytes",
        breaks="what is restored is what was captured (kv_state.py): versions have 64 bits",
        file=REPLICATED + "kv_packing.pyx",
        old="            store(at, (<Held> slot[1]).version, 8)\n",
        new="            store(at, (<Held> slot[1]).version, 4)\n            store(at + 4, 0, 4)\n",
        near="tests/replicated/test_parted_dict.py",
    ),
    Bug(
        name="notes-of-a-joined-piece-lost",
        breaks="a piece that is joined with the next takes over what was noted there (sorted_keys.pyx)",
        file=REPLICATED + "sorted_keys.pyx",
        old="        self.changed[number] = self.changed[number + 1]\n",
        new="        self.changed[number] = None\n",
        near="tests/replicated/test_sorted_keys.py",
    ),
    Bug(
        name="last-key-of-a-listing-listed-again",
        breaks="a listing goes on behind the key that it is told of (docs/http-api.md)",
        file=REPLICATED + "sorted_keys.pyx",
        old="bisect_right(piece, start) if after and after >= prefix else",
        new="bisect_right(piece, start) if after > prefix else",
        near="tests/replicated/test_sorted_keys.py",
    ),
    Bug(
        name="written-and-not-synced",
        breaks="what is written durably would outlive a crash when the call returns (durable.pyx)",
        file=SYSTEM + "durable.pyx",
        old="        return error ? error : raftpy_sync(fd);\n",
        new="        return error;\n",
        near="tests/sim/disk/test_failing.py",
    ),
    Bug(
        name="rest-of-a-short-write-written-at-its-beginning",
        breaks="the system may take less than it is given: the rest comes behind it (durable.pyx)",
        file=SYSTEM + "durable.pyx",
        old="            offset += written;\n",
        new="",
        near="tests/sim/disk/test_failing.py",
    ),
    Bug(
        name="file-that-is-open-elsewhere-cut-down",
        breaks="who has a file open that is deleted has all of it still (removing.py)",
        file=SYSTEM + "removing.py",
        old="    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n",
        new="",
        near="tests/storage/test_removing.py",
    ),
)
