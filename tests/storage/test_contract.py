"""The contract of raftpy.contracts.storage.Storage, over every implementation."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raftcore.base.errors import Compacted, Unavailable
from raftcore.values.message import Entries, Message, Snapshot
from raftpy.contracts.errors import StorageFailed, StorageLocked, WrongIdentity
from raftpy.contracts.storage import Storage
from raftpy.contracts.types import StoreOwner
from raftpy.storage.identity import cluster_hash
from tests.storage.support import EVERYTHING, MEMBERS, OWNER, Disk, Model, append, commit_only, entries, joined, submit


@pytest.fixture(params=["memory", "leveldb"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(request.param, tmp_path / "node1")


class TestIdentity:
    def test_first_start_is_empty_and_has_an_identity(self, disk: Disk) -> None:
        store, recovered = disk.open()
        assert recovered.store_id != 0
        assert recovered.boot >> 32 == 1
        assert recovered.members == MEMBERS
        assert recovered.pins == {}
        assert recovered.groups[0].conf_state.voters == (1, 2, 3)
        Model().check(store, recovered)

    def test_store_id_stays_and_every_boot_is_new(self, disk: Disk) -> None:
        store, first = disk.open()
        boots = [first.boot]
        for _ in range(3):
            store, again = disk.reopen(store)
            assert again.store_id == first.store_id
            boots.append(again.boot)
        assert [boot >> 32 for boot in boots] == [1, 2, 3, 4]
        assert len({boot & 0xFFFFFFFF for boot in boots}) == 4

    def test_two_disks_have_two_store_ids(self, tmp_path: Path, disk: Disk) -> None:
        other = Disk(disk.kind, tmp_path / "node2")
        assert disk.open()[1].store_id != other.open()[1].store_id

    def test_cluster_id_is_the_hash_of_the_first_members(self, disk: Disk) -> None:
        _, recovered = disk.open()
        assert recovered.cluster_id == cluster_hash(MEMBERS)
        assert cluster_hash(dict(reversed(MEMBERS.items()))) == cluster_hash(MEMBERS)
        assert cluster_hash({**MEMBERS, 3: "127.0.0.1:7104"}) != cluster_hash(MEMBERS)

    def test_cluster_hash_never_changes(self) -> None:
        assert cluster_hash(MEMBERS) == 0xA65B815B27F6D0FC

    def test_cluster_id_as_given(self, disk: Disk) -> None:
        store, recovered = disk.open(StoreOwner(1, MEMBERS, cluster_id=42))
        assert recovered.cluster_id == 42
        assert disk.reopen(store)[1].cluster_id == 42

    def test_members_are_those_first_given(self, disk: Disk) -> None:
        store, first = disk.open()
        _, again = disk.reopen(store, StoreOwner(1, {1: "10.0.0.1:1", 9: "10.0.0.9:1"}, cluster_id=7))
        assert again.members == MEMBERS
        assert again.cluster_id == first.cluster_id
        assert again.groups[0].conf_state.voters == (1, 2, 3)

    def test_another_nodes_store_is_refused_and_unharmed(self, disk: Disk) -> None:
        store, first = disk.open()
        submit(store, [append(entries(1, 3, 1), term=1)])
        store.close()
        with pytest.raises(WrongIdentity, match=r"belongs to node 1, not to node 2"):
            disk.open(StoreOwner(2, MEMBERS))
        _, again = disk.open()
        assert (again.boot >> 32, again.groups[0].last_index) == (2, 3)

    def test_a_store_in_use_is_locked(self, disk: Disk) -> None:
        store, _ = disk.open()
        with pytest.raises(StorageLocked, match=r"is in use by process \d+ on host .+ as node 1") as caught:
            disk.open()
        assert caught.value.node_id == 1
        submit(store, [append(entries(1, 1, 1))])  # and the holder is not disturbed
        assert disk.reopen(store)[1].groups[0].last_index == 1

    def test_a_handle_is_opened_once(self, disk: Disk) -> None:
        store, _ = disk.open()
        with pytest.raises(StorageFailed, match="opened before"):
            store.open(OWNER)
        store.close()
        with pytest.raises(StorageFailed, match="opened before"):
            store.open(OWNER)


class TestPins:
    def test_pins_come_back(self, disk: Disk) -> None:
        store, _ = disk.open()
        store.pin(3, 2**64 - 1)
        store.pin(2, 22)
        store.pin(2, 22)
        assert disk.reopen(store)[1].pins == {2: 22, 3: 2**64 - 1}

    def test_a_pin_holds(self, disk: Disk) -> None:
        store, _ = disk.open()
        store.pin(2, 22)
        with pytest.raises(WrongIdentity, match=r"node 2 .*0000000000000016.*0000000000000017"):
            store.pin(2, 23)
        submit(store, [append(entries(1, 1, 1))])  # refusing a pin is no failure of the store
        assert disk.reopen(store)[1].pins == {2: 22}

    def test_a_pin_is_replaced_only_when_that_is_said(self, disk: Disk) -> None:
        store, _ = disk.open()
        store.pin(2, 22)
        store.pin(2, 23, replace=True)
        store.pin(3, 33, replace=True)
        with pytest.raises(WrongIdentity):
            store.pin(2, 22)
        assert disk.reopen(store)[1].pins == {2: 23, 3: 33}


class TestWriting:
    def test_hard_state_and_entries_come_back(self, disk: Disk) -> None:
        store, _ = disk.open()
        model = Model()
        for appends in (
            [append(term=1, vote=2)],
            [append(entries(1, 3, 1), term=1, vote=2, commit=0)],
            [append(entries(4, 1, 1)), append(entries(5, 2, 1)), append(term=2, vote=1, commit=4)],
            [append(joined(entries(7, 2, 2), entries(9, 1, 2), entries(10, 3, 4)), term=4, vote=0, commit=5)],
        ):
            assert submit(store, appends)
            model.submit(appends)
            model.check(store)
        model.check(*disk.reopen(store))

    @pytest.mark.parametrize("first", range(1, 11))
    @pytest.mark.parametrize("one_batch", [False, True], ids=["batches", "one batch"])
    def test_conflicting_entries_replace_all_from_their_first_on(self, disk: Disk, first: int, one_batch: bool) -> None:
        # Records [1 2 3] [4] [5 6 7 8] [9], cut at every possible place; also when they are of the same batch.
        store, _ = disk.open()
        model = Model()
        appends = [append(entries(1, 3, 1)), append(entries(4, 1, 1))]
        appends += [append(joined(entries(5, 4, 1), entries(9, 1, 2))), append(entries(first, 2, 3), term=3)]
        for batch in [appends] if one_batch else [[message] for message in appends]:
            submit(store, batch)
            model.submit(batch)
            model.check(store)
        store, recovered = disk.reopen(store)
        model.check(store, recovered)
        more = [append(entries(first + 2, 3, 3))]
        submit(store, more)
        model.submit(more)
        model.check(*disk.reopen(store))

    def test_entries_replaced_twice_in_one_batch(self, disk: Disk) -> None:
        store, _ = disk.open()
        model = Model()
        submit(store, base := [append(entries(1, 8, 1))])
        model.submit(base)
        batch = [append(entries(6, 4, 2)), append(entries(8, 1, 3)), append(entries(3, 2, 4)), append(entries(5, 1, 4))]
        submit(store, batch)
        model.submit(batch)
        model.check(store)
        model.check(*disk.reopen(store))

    def test_commit_only_is_complete_at_once_and_rides_in_the_next_batch(self, disk: Disk) -> None:
        store, _ = disk.open()
        submit(store, [append(entries(1, 5, 2), term=2, vote=3)])
        assert submit(store, [commit_only(2, 3, 4)])
        submit(store, [append(entries(6, 1, 2))])
        _, recovered = disk.reopen(store)
        assert recovered.groups[0].hard_state.commit == 4

    def test_a_clean_close_keeps_the_commit_index(self, disk: Disk) -> None:
        store, _ = disk.open()
        submit(store, [append(entries(1, 5, 2), term=2, vote=3)])
        submit(store, [commit_only(2, 3, 5)])
        assert disk.reopen(store)[1].groups[0].hard_state.commit == 5

    def test_last_log_time_comes_back(self, disk: Disk) -> None:
        store, _ = disk.open()
        submit(store, [append(joined(entries(1, 2, 1, time_ms=17), entries(3, 1, 1, time_ms=1234)))])
        assert disk.reopen(store)[1].groups[0].last_time_ms == 1234

    def test_ids_and_terms_use_all_64_bits(self, disk: Disk) -> None:
        big = 2**64 - 1
        identity = StoreOwner(2**64 - 3, {2**64 - 3: "[::1]:1"})
        store, _ = disk.open(identity)
        submit(store, [append(entries(1, 1, big), term=big, vote=big - 2, commit=1)])
        _, recovered = disk.reopen(store, identity)
        state = recovered.groups[0]
        assert (state.hard_state.term, state.hard_state.vote, state.term_runs) == (big, big - 2, ((1, big),))

    @pytest.mark.parametrize("first", [5, 7])
    def test_a_gap_is_refused_and_the_handle_is_dead(self, disk: Disk, first: int) -> None:
        store, _ = disk.open()
        submit(store, [append(entries(1, 3, 1))])
        with pytest.raises(StorageFailed, match=rf"entries from {first} on, but the log ends at 3"):
            submit(store, [append(entries(first, 1, 1))])
        with pytest.raises(StorageFailed, match=rf"entries from {first} on"):
            submit(store, [append(entries(4, 1, 1))])
        assert disk.reopen(store)[1].groups[0].last_index == 3

    def test_closed(self, disk: Disk) -> None:
        store, _ = disk.open()
        store.close()
        store.close()
        for call in (
            lambda: submit(store, [append(entries(1, 1, 1))]),
            lambda: store.group(0).entries(1, 2, EVERYTHING),
            lambda: store.pin(2, 2),
            lambda: store.group(0).snapshot(),
        ):
            with pytest.raises(StorageFailed, match="is not open"):
                call()

    def test_closing_before_opening(self, disk: Disk) -> None:
        """As where the thread that is to open it comes too late: it must not be left open."""
        store = disk.new()
        store.close()
        with pytest.raises(StorageFailed):
            store.open(OWNER)
        disk.open()


LATER = 77
"""A log time, in milliseconds."""


class TestCompaction:
    """Records [1 2 3] [4] [5 6 7 8] [9 10], of terms 1, 1, 2 and 3."""

    WRITTEN = append(
        joined(entries(1, 3, 1), entries(4, 1, 1), entries(5, 4, 2), entries(9, 2, 3, LATER)),
        term=3,
        vote=2,
        commit=8,
    )

    @pytest.fixture
    def store(self, disk: Disk) -> Storage:
        store, _ = disk.open()
        submit(store, [self.WRITTEN])
        return store

    @pytest.fixture
    def model(self) -> Model:
        model = Model()
        model.submit([self.WRITTEN])
        return model

    @pytest.mark.parametrize("index", range(1, 11))
    def test_every_index(self, disk: Disk, store: Storage, model: Model, index: int) -> None:
        store.group(0).compact(index)
        assert submit(store, [])
        model.compacted = index
        model.check(store)
        store, recovered = disk.reopen(store)
        model.check(store, recovered)
        assert recovered.groups[0].last_time_ms == LATER
        for message in (append(entries(11, 2, 3, LATER)), append(entries(12, 3, 4, LATER))):
            submit(store, [message])
            model.submit([message])
            model.check(store)
        model.check(*disk.reopen(store))

    @pytest.mark.parametrize(("index", "first"), [(i, f) for i in (2, 4, 6, 10) for f in range(i + 1, 12)])
    @pytest.mark.parametrize("order", ["before", "with", "after"])
    def test_entries_are_replaced_behind_it(
        self, disk: Disk, store: Storage, model: Model, index: int, first: int, order: str
    ) -> None:
        """Right behind it, and farther on; by a batch before the compaction's, the same, or one after it."""
        replacing = append(joined(entries(first, 1, 5, LATER), entries(first + 1, 1, 6, LATER)), term=6)
        if order == "before":
            submit(store, [replacing])
        store.group(0).compact(index)
        submit(store, [replacing] if order == "with" else [])
        if order == "after":
            submit(store, [replacing])
        model.submit([replacing])
        model.compacted = index
        model.check(store)
        model.check(*disk.reopen(store))

    def test_it_is_there_with_the_next_batch_that_is_written(self, disk: Disk, store: Storage, model: Model) -> None:
        """A commit index is enough to carry it; before that a crash, or a close, keeps everything."""
        store.group(0).compact(5)
        store, recovered = disk.reopen(store)
        model.check(store, recovered)
        assert submit(store, [])
        store, recovered = disk.reopen(store)
        model.check(store, recovered)
        store.group(0).compact(5)
        store.group(0).compact(3)  # which is said already
        submit(store, [commit_only(3, 2, 9)])
        model.submit([commit_only(3, 2, 9)])
        model.compacted = 5
        model.check(store)
        store.group(0).compact(4)
        submit(store, [append(term=4)])
        model.submit([append(term=4)])
        model.check(*disk.reopen(store))

    def test_step_by_step(self, disk: Disk, store: Storage, model: Model) -> None:
        for index in range(1, 11):
            store.group(0).compact(index)
            following = append(entries(10 + index, 1, 3, LATER))
            submit(store, [following])
            model.submit([following])
            model.compacted = index
            model.check(store)
            if index % 3 == 0:
                store, recovered = disk.reopen(store)
                model.check(store, recovered)

    def test_the_commit_index_is_not_below_it(self, disk: Disk, store: Storage) -> None:
        store.group(0).compact(10)
        submit(store, [append(term=4, commit=8)])
        assert disk.reopen(store)[1].groups[0].hard_state.commit == 10

    def test_a_group_of_its_own(self, disk: Disk, tmp_path: Path) -> None:
        owner = StoreOwner(1, MEMBERS, groups={7: (1, 2)})
        store, _ = disk.open(owner)
        models = {group: Model() for group in (0, 7)}
        for group, model in models.items():
            submit(store, [self.WRITTEN], group)
            model.submit([self.WRITTEN])
        store.group(7).compact(6)
        submit(store, [], 0)  # in which it does not ride
        models[0].check(store, None, 0)
        assert store.submit([(0, [commit_only(3, 2, 8)]), (7, [])])
        models[7].compacted = 6
        store, recovered = disk.reopen(store, owner)
        for group, model in models.items():
            model.check(store, recovered, group)

    def test_what_cannot_be(self, disk: Disk, store: Storage, model: Model) -> None:
        with pytest.raises(Unavailable):
            store.group(0).compact(11)
        store.group(0).compact(0)
        submit(store, [])
        model.check(store)
        store.group(0).compact(6)
        submit(store, [])
        with pytest.raises(StorageFailed, match="entries from 6 on, but the log begins after 6"):
            submit(store, [append(entries(6, 1, 5, LATER))])
        model.compacted = 6
        store, recovered = disk.reopen(store)
        model.check(store, recovered)
        store.group(0).compact(9)
        with pytest.raises(StorageFailed, match="compacted up to 9, and entries are replaced from 8 on"):
            submit(store, [append(entries(8, 5, 5, LATER))])
        with pytest.raises(StorageFailed, match="compacted up to 9"):
            store.group(0).compact(7)


class TestReading:
    @pytest.fixture
    def log(self) -> Entries:
        parts = [entries(1, 3, 1), entries(4, 1, 1), entries(5, 4, 2, time_ms=5), entries(9, 3, 3, time_ms=9)]
        return joined(*parts)

    def test_every_range(self, disk: Disk, log: Entries) -> None:
        store, _ = disk.open()
        submit(store, [append(log)])
        for lo in range(1, 12):
            for hi in range(lo + 1, 13):
                assert store.group(0).entries(lo, hi, EVERYTHING) == log.slice(lo, hi)

    def test_max_bytes_is_exact(self, disk: Disk, log: Entries) -> None:
        """As many entries as fit, and one when none does."""
        store, _ = disk.open()
        submit(store, [append(log)])
        for lo in range(1, 12):
            sizes = {hi: len(log.slice(lo, hi).data) for hi in range(lo + 1, 13)}
            for limit in range(sizes[12] + 2):
                hi = max((hi for hi, size in sizes.items() if size <= limit), default=lo + 1)
                assert store.group(0).entries(lo, 12, limit) == log.slice(lo, hi), (lo, limit)

    def test_outside_the_log(self, disk: Disk, log: Entries) -> None:
        store, _ = disk.open()
        submit(store, [append(log)])
        with pytest.raises(Compacted):
            store.group(0).entries(0, 3, EVERYTHING)
        for lo, hi in ((12, 13), (11, 13), (5, 5), (6, 5)):
            with pytest.raises(Unavailable):
                store.group(0).entries(lo, hi, EVERYTHING)
        assert store.group(0).entries(1, 2, EVERYTHING).count == 1  # and it goes on

    def test_empty_log(self, disk: Disk) -> None:
        store, _ = disk.open()
        with pytest.raises(Unavailable):
            store.group(0).entries(1, 2, EVERYTHING)

    def test_no_snapshot_yet(self, disk: Disk) -> None:
        store, _ = disk.open()
        assert store.group(0).snapshot() == Snapshot()


@pytest.mark.parametrize("kind", [1, 2])
def test_a_start_names_the_entries_that_change_the_configuration(disk: Disk, kind: int) -> None:
    """Also where the log is cut off or compacted within the record that holds them."""
    store, _ = disk.open()
    model = Model()
    for appends in (
        [append(entries(1, 2, 1), term=1, commit=6), append(entries(3, 4, 1, kind=kind)), append(entries(7, 2, 1))],
        [append(entries(9, 3, 1, kind=kind))],
        [append(entries(10, 1, 2), term=2, commit=6)],
    ):
        submit(store, appends)
        model.submit(appends)
    store, recovered = disk.reopen(store)
    assert recovered.groups[0].conf_changes == (3, 4, 5, 6, 9)
    store.group(0).compact(4)
    submit(store, [])
    model.compacted = 4
    store, recovered = disk.reopen(store)
    assert recovered.groups[0].conf_changes == (5, 6, 9)
    model.check(store, recovered)


def test_random_appends_and_restarts(disk: Disk, seed: int) -> None:
    rng = random.Random(seed)
    store, recovered = disk.open()
    model = Model()
    term = 1
    for _ in range(60):
        appends: list[Message] = []
        end = len(model.log)
        for _ in range(rng.randint(1, 4)):
            term += rng.random() < 0.3
            if rng.random() < 0.2:
                appends.append(append(term=term, vote=rng.randint(0, 3), commit=rng.randint(0, min(end, 1))))
                continue
            first = rng.randint(max(1, end - 6), end + 1) if rng.random() < 0.4 else end + 1
            # A run never begins in a term below that of the entry before it.
            term = max(term, model.log[-1][0] if model.log else 1)
            run = entries(first, rng.randint(1, 5), term, kind=rng.choice((0, 0, 0, 1, 2)))
            if rng.random() < 0.3:
                run = joined(run, entries(run.last + 1, rng.randint(1, 3), term))
            end = run.last
            appends.append(append(run))
        submit(store, appends)
        model.submit(appends)
        if rng.random() < 0.2:
            store, recovered = disk.reopen(store)
            model.check(store, recovered)
        model.check(store)
    model.check(*disk.reopen(store))
