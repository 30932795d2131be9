"""A simulated disk: what outlives a process, a machine, and an error, and what does not."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import PurePath
from random import Random

import pytest

from raftpy.sim.disk.faults import DiskFaults
from raftpy.sim.disk.files import Disk, DiskFile, DiskFiles, PowerFailure

PLACE = PurePath("/place")
FILE = PLACE / "file"


def made(seed: int = 1, faults: DiskFaults | None = None) -> tuple[Disk, DiskFiles]:
    """A disk with an empty directory, durable by name."""
    disk = Disk(Random(seed), faults)
    files = disk.files()
    files.make_directory(PLACE)
    files.sync_directory(PLACE.parent)
    return disk, files


def put(files: DiskFiles, path: PurePath, data: bytes, sync: bool = False) -> DiskFile:
    """A file that holds ``data``, and is still open."""
    file = files.open(path, "rewrite")
    file.write(data)
    if sync:
        file.sync()
        files.sync_directory(path.parent)
    return file


def found_after(act: Callable[[DiskFiles], object], *, ordered: bool = False, out_of_order: float = 0.0) -> set[bytes]:
    """What 300 power failures after ``act`` leave in the file; b"none" where it is not there."""
    found = set()
    for seed in range(300):
        disk, files = made(seed, DiskFaults(out_of_order=out_of_order))
        if ordered:
            files.keep_order(PLACE)
        act(files)
        disk.power_failure()
        after = disk.files()
        found.add(after.read(FILE) if after.exists(FILE) else b"none")
    return found


class TestPowerFailure:
    def test_what_was_synced_stays(self) -> None:
        def act(files: DiskFiles) -> None:
            file = put(files, FILE, b"synced", sync=True)
            file.write(b"cut")
            file.truncate(6)
            file.sync()

        assert found_after(act, out_of_order=1.0) == {b"synced"}

    def test_a_write_is_there_or_not_or_in_part_or_as_zeros(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"old", sync=True).write(b"NEW")

        found = found_after(act)
        assert found == {
            b"old",
            *(b"old" + b"NEW"[:some] + bytes(zeros) for some in range(4) for zeros in (0, 3 - some)),
        }

    def test_what_was_written_from_a_buffer_is_what_was_in_it_then(self) -> None:
        def act(files: DiskFiles) -> None:
            buffer = bytearray(b"new")
            put(files, FILE, b"", sync=True).write(buffer)
            buffer[:] = b"..."

        assert found_after(act, ordered=True) == {b"", b"n", b"ne", b"new"}

    def test_sectors_out_of_order(self) -> None:
        old, new = bytes([1]) * 1536, bytes([2]) * 1536

        def act(files: DiskFiles) -> None:
            put(files, FILE, old, sync=True).write_at(new, 0)

        def whole(found: set[bytes]) -> set[tuple[int, ...]]:
            """Of those in which no sector is torn, which of them are new."""
            sectors = {tuple(data[i : i + 512] for i in (0, 512, 1024)) for data in found}
            return {tuple(part[0] for part in parts) for parts in sectors if all(len(set(part)) == 1 for part in parts)}

        assert whole(found_after(act, out_of_order=1.0)) == {(a, b, c) for a in (1, 2) for b in (1, 2) for c in (1, 2)}
        assert whole(found_after(act)) == {(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2)}

    def test_a_length_is_never_durable_before_its_contents_where_names_are_kept_in_order(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"old", sync=True).write(b"NEW")

        assert found_after(act, ordered=True) == {b"old", b"oldN", b"oldNE", b"oldNEW"}

    def test_two_writes_into_one_sector_never_come_out_of_order(self) -> None:
        def act(files: DiskFiles) -> None:
            file = put(files, FILE, b"..", sync=True)
            file.write_at(b"a", 0)
            file.write_at(b"b", 1)

        assert found_after(act, out_of_order=1.0) == {b"..", b"a.", b"ab"}

    def test_a_cut_that_was_not_synced(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"old", sync=True)
            put(files, FILE, b"n")

        assert found_after(act) == {b"old", b"", b"n", b"\0"}
        assert found_after(act, out_of_order=1.0) <= {b"old", b"", b"n", b"\0"}

    def test_a_name_that_was_not_synced(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"synced").sync()

        assert found_after(act) == {b"none", b"synced"}
        assert found_after(act, ordered=True) == {b"synced"}

    def test_a_replaced_file_is_the_old_one_or_the_new_one(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"old", sync=True)
            put(files, PLACE / "new", b"new").sync()
            files.replace(PLACE / "new", FILE)

        assert found_after(act) == {b"old", b"new"}

    def test_a_replaced_file_may_hold_nothing(self) -> None:
        def act(files: DiskFiles) -> None:
            put(files, FILE, b"old", sync=True)
            put(files, PLACE / "new", b"new")
            files.replace(PLACE / "new", FILE)

        assert found_after(act) >= {b"old", b"new", b"", bytes(3)}

    def test_names_are_lost_one_by_one(self) -> None:
        found = set()
        for seed in range(100):
            disk, files = made(seed)
            for name in "abc":
                put(files, PLACE / name, b"")
            disk.power_failure()
            found.add("".join(sorted(disk.files().names(PLACE))))
        assert found == {"", "a", "b", "c", "ab", "ac", "bc", "abc"}

    def test_a_journal_keeps_the_order_of_names(self) -> None:
        found = set()
        for seed in range(100):
            disk, files = made(seed)
            files.keep_order(PLACE)
            for name in "abc":
                put(files, PLACE / name, b"")
            files.remove(PLACE / "a")
            disk.power_failure()
            found.add("".join(sorted(disk.files().names(PLACE))))
        assert found == {"", "a", "ab", "abc", "bc"}


class TestKill:
    def test_what_was_written_stays_and_locks_go(self) -> None:
        disk, files = made()
        file = put(files, FILE, b"written")
        assert file.lock()
        assert file.lock_for_process()
        disk.kill()
        after = disk.files(pid=2)
        assert after.read(FILE) == b"written"
        again = after.open(FILE, "share")
        assert again.lock()
        assert again.lock_for_process()

    def test_a_dead_process_does_nothing_any_more(self) -> None:
        disk, files = made()
        file = put(files, FILE, b"x", sync=True)
        disk.kill()
        steps = disk.steps
        for call in (
            lambda: file.write(b"y"),
            lambda: file.write_at(b"y", 0),
            lambda: file.truncate(0),
            lambda: file.set_aside(10),
            file.sync,
            file.size,
            file.lock,
            file.unlock,
            lambda: files.open(FILE, "rewrite"),
            lambda: files.replace(FILE, PLACE / "other"),
            lambda: files.sync_directory(PLACE),
            lambda: files.make_directory(PLACE / "more"),
            lambda: files.remove_tree(PLACE),
            lambda: files.exists(FILE),
        ):
            with pytest.raises(OSError):  # noqa: PT011 - any
                call()
        file.close()
        assert (disk.steps, disk.files().read(FILE)) == (steps, b"x")

    def test_a_process_stops_between_two_operations(self) -> None:
        disk, files = made()
        file = put(files, FILE, b"x", sync=True)
        operations: list[str] = []

        def on_step(operation: str) -> None:
            operations.append(operation)
            if operation == "sync":
                raise PowerFailure

        disk.on_step = on_step
        file.write(b"y")
        for _ in range(2):
            with pytest.raises(PowerFailure):
                file.sync()
        with pytest.raises(PowerFailure):
            files.make_directory(PLACE / "more")
        assert operations == ["write", "sync"]
        disk.kill()
        assert disk.files().read(FILE) == b"xy"


class TestErrors:
    def test_a_full_disk_and_room_that_comes_back(self) -> None:
        disk, files = made()
        file = put(files, FILE, b"12345", sync=True)
        assert disk.used == 5
        disk.capacity = 8
        assert file.free_space() == files.free_space(FILE.parent) == 3
        with pytest.raises(OSError) as caught:
            file.write(b"6789")
        assert (caught.value.errno, files.read(FILE), file.free_space()) == (errno.ENOSPC, b"12345678", 0)
        assert not file.set_aside(100)
        file.write_at(b"X", 0)  # in place
        with pytest.raises(OSError):  # noqa: PT011
            files.open(PLACE / "other", "share")
        files.remove(FILE)
        put(files, PLACE / "other", b"1234567")

    def test_a_write_that_fails_may_have_written_some(self) -> None:
        found = set()
        for seed in range(100):
            disk, files = made(seed)
            file = files.open(FILE, "rewrite")
            disk.faults = DiskFaults(write_error=1.0)
            with pytest.raises(OSError) as caught:
                file.write(b"abc")
            assert caught.value.errno == errno.EIO
            found.add(files.read(FILE))
        assert found == {b"", b"a", b"ab", b"abc"}

    def test_after_a_failed_sync_the_next_one_lies(self) -> None:
        """As Linux has it: the pages count as clean, and are what they were, or not."""

        def act(files: DiskFiles) -> None:
            file = put(files, FILE, b"old", sync=True)
            file.write(b"x" * 5000)
            files.disk.faults = DiskFaults(sync_error=1.0)
            with pytest.raises(OSError, match="Input/output error"):
                file.sync()
            files.disk.faults = DiskFaults()
            file.write_at(b"!", 9999)
            file.sync()

        there, lost = b"old" + b"x" * 5000 + bytes(4996) + b"!", b"old" + bytes(9996) + b"!"
        assert found_after(act) == {there, lost}

    def test_what_was_read_may_be_gone_though_only_the_process_died(self) -> None:
        found = set()
        for seed in range(40):
            disk, files = made(seed)
            file = put(files, FILE, b"old", sync=True)
            file.write(b"new")
            disk.faults = DiskFaults(sync_error=1.0)
            with pytest.raises(OSError, match="Input/output error"):
                file.sync()
            disk.kill()
            found.add(disk.files().read(FILE))
        assert found == {b"old", b"oldnew"}

    def test_times(self) -> None:
        disk, files = made(faults=DiskFaults(write_s=(1.0, 1.0), sync_s=(10.0, 10.0)))
        disk.take_seconds()
        file = files.open(FILE, "rewrite")
        disk.take_seconds()
        file.write(b"x")
        file.sync()
        assert (disk.take_seconds(), disk.take_seconds()) == (11.0, 0.0)
        disk.faults = DiskFaults(slow=1.0, slow_s=(5.0, 5.0))
        file.sync()
        assert disk.take_seconds() == 5.0
        disk.faults = DiskFaults(stall=1.0, stall_s=(7.0, 7.0))
        file.sync()
        assert disk.take_seconds() == 7.0


class TestAtRest:
    def test_a_flipped_bit(self) -> None:
        disk, files = made()
        put(files, FILE, b"\0", sync=True)
        assert disk.flip_bit(FILE, 0, 3) == (0, 3)
        assert files.read(FILE) == b"\x08"
        assert disk.harm == ["bit 3 of byte 0 of /place/file"]

    def test_emptied_and_put_back(self) -> None:
        disk, files = made()
        put(files, FILE, b"x", sync=True).set_aside(100)
        image = disk.copy()
        put(files, FILE, b"y", sync=True)
        disk.empty(PLACE)
        assert (disk.paths(), disk.used) == ([], 0)
        disk.restore(image)
        assert (disk.paths(), disk.used, disk.files().read(FILE)) == ([FILE], 100, b"x" + bytes(99))
        assert disk.copy() == image
        assert len(disk.harm) == 2


def test_the_same_seed_leaves_the_same() -> None:
    def run(seed: int) -> object:
        disk, files = made(seed)
        disk.faults = DiskFaults(out_of_order=0.5, sync_error=0.1)
        rng = Random(seed)
        for step in range(200):
            path = PLACE / f"{rng.randrange(5)}"
            try:
                file = files.open(path, "share")
                file.write_at(rng.randbytes(rng.randrange(3000)), rng.randrange(5000))
                if step % 7 == 0:
                    file.sync()
                if step % 11 == 0:
                    files.sync_directory(PLACE)
            except OSError:
                pass
            if step % 20 == 19:
                disk.power_failure()
                files = disk.files()
                if not files.exists(PLACE):
                    return step
        return disk.copy(), disk.take_seconds(), disk.source.random()

    for seed in range(5):
        assert run(seed) == run(seed)
