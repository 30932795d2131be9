"""Several groups in one store: what is each group's own, what all have in common, and what one synced batch means."""

from __future__ import annotations

import hashlib
import random
import shutil
from itertools import islice
from pathlib import Path

import pytest

from raftcore.base.conflict import Conflict
from raftcore.base.errors import Unavailable
from raftcore.values.message import Message
from raftpy.contracts.errors import StorageDamaged, StorageFailed, UnknownGroup
from raftpy.contracts.storage import AppendBatch, Storage
from raftpy.contracts.types import Recovered, StoreOwner
from raftpy.storage import LevelDBStorage
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.sealing import unseal
from tests.storage.interrupted import Interrupted, interrupted_after
from tests.storage.late import LateExecutor
from tests.storage.layout import log_files, open_records, rewrite
from tests.storage.script import script
from tests.storage.support import (
    EVERYTHING,
    MEMBERS,
    OWNER,
    Disk,
    Drawn,
    Model,
    abandon,
    append,
    commit_only,
    entries,
    joined,
    submit,
)

GROUPS = {0: (1, 2, 3), 5: (1, 2), 2**64 - 1: (1, 3)}
OWNER_OF_GROUPS = StoreOwner(1, MEMBERS, groups=GROUPS)
CONFLICT = Conflict(3, 1, 2, 4, 5)


@pytest.fixture(params=["memory", "leveldb"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return Disk(request.param, tmp_path / "node1")


def check(models: dict[int, Model], store: Storage, recovered: Recovered | None = None) -> None:
    """Each group holds what its model says, and none is there beside them."""
    for group, model in models.items():
        model.check(store, recovered, group)
    assert recovered is None or list(recovered.groups) == sorted(models)


class TestFounding:
    def test_each_group_begins_with_its_own_voters(self, disk: Disk) -> None:
        store, recovered = disk.open(OWNER_OF_GROUPS)
        assert {group: state.conf_state.voters for group, state in recovered.groups.items()} == GROUPS
        assert (recovered.boot >> 32, recovered.members) == (1, MEMBERS)
        check({group: Model() for group in GROUPS}, store, recovered)
        store, again = disk.reopen(store, OWNER_OF_GROUPS)
        assert again.groups == recovered.groups
        assert again.boot >> 32 == 2

    def test_without_names_there_is_group_0(self, disk: Disk) -> None:
        store, recovered = disk.open()
        assert list(recovered.groups) == [0]
        with pytest.raises(UnknownGroup, match="group 7 is not known here"):
            store.group(7)
        assert store.group(0).snapshot().index == 0

    def test_group_0_is_there_whether_it_is_named_or_not(self, disk: Disk) -> None:
        _, recovered = disk.open(StoreOwner(1, MEMBERS, groups={5: {1, 2}}))
        assert {group: state.conf_state.voters for group, state in recovered.groups.items()} == {
            0: (1, 2, 3),
            5: (1, 2),
        }

    def test_a_group_may_be_founded_later_and_changes_nothing_else(self, disk: Disk) -> None:
        models = {0: Model(), 5: Model(), 6: Model()}
        store, _ = disk.open(StoreOwner(1, MEMBERS, groups={5: [1]}))
        for group in (0, 5):
            submit(store, first := [append(entries(1, 3, 2 + group), term=2 + group, vote=1)], group)
            models[group].submit(first)
        store, recovered = disk.reopen(store, StoreOwner(1, MEMBERS, groups={6: [3, 1, 2]}))
        assert recovered.groups[6].conf_state.voters == (1, 2, 3)
        check(models, store, recovered)
        submit(store, first := [append(entries(1, 1, 1), term=1)], 6)
        models[6].submit(first)
        check(models, *disk.reopen(store))

    def test_the_voters_first_given_count(self, disk: Disk) -> None:
        store, _ = disk.open(StoreOwner(1, MEMBERS, groups={5: [1, 2]}))
        _, recovered = disk.reopen(store, StoreOwner(1, MEMBERS, groups={5: [1, 2, 3]}))
        assert recovered.groups[5].conf_state.voters == (1, 2)

    def test_a_group_not_named_any_more_is_there_as_soon_as_it_holds_anything(self, disk: Disk) -> None:
        store, _ = disk.open(StoreOwner(1, MEMBERS, groups={5: [1], 6: [1], 7: [1], 8: [1]}))
        submit(store, [append(term=1)], 5)
        submit(store, [append(entries(1, 1, 1))], 6)
        store.group(7).quarantine(CONFLICT)
        store, recovered = disk.reopen(store)
        assert list(recovered.groups) == [0, 5, 6, 7]
        submit(store, [append(term=2)], 5)
        store, recovered = disk.reopen(store, StoreOwner(1, MEMBERS, groups={8: [2]}))
        assert recovered.groups[5].hard_state.term == 2
        assert recovered.groups[8].conf_state.voters == (1,), "it was founded, though nothing was ever written of it"

    @pytest.mark.parametrize(
        ("groups", "what"),
        [
            ({-1: [1]}, "a group's id is 0 to 18446744073709551615, got -1"),
            ({2**64: [1]}, "got 18446744073709551616"),
            ({5: [0, 1]}, r"a node's id is 1 to 18446744073709551613, got \(0, 1\) for group 5"),
            ({5: [2**64 - 2]}, "for group 5"),
            ({0: [1, 2]}, r"group 0 begins with the members, \(1, 2, 3\), got \(1, 2\)"),
        ],
    )
    def test_groups_that_cannot_be(self, disk: Disk, groups: dict[int, list[int]], what: str) -> None:
        with pytest.raises(ValueError, match=what):
            disk.open(StoreOwner(1, MEMBERS, groups=groups))
        assert not disk.path.exists()
        assert disk.open()[1].boot >> 32 == 1

    def test_a_group_may_begin_without_voters(self, disk: Disk) -> None:
        store, recovered = disk.open(StoreOwner(1, MEMBERS, groups={5: []}))
        assert recovered.groups[5].conf_state.voters == ()
        submit(store, [append(entries(1, 1, 1), term=1)], 5)
        assert disk.reopen(store)[1].groups[5].last_index == 1


class TestWriting:
    def test_each_group_has_its_own_log_and_hard_state(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        models = {group: Model() for group in GROUPS}
        batch: AppendBatch
        for batch in (
            [(group, [append(entries(1, 2 + place, 1 + place), term=1 + place, vote=1)]) for place, group in
             enumerate(GROUPS)],
            [(5, [append(joined(entries(4, 2, 7), entries(6, 1, 8)), term=8)]), (0, [append(term=9, vote=3)])],
            [(0, [append(entries(2, 1, 9))]), (5, [append(entries(2, 3, 9), term=9)])],
            [(5, [append(entries(5, 1, 9))]), (0, [append(entries(3, 1, 9))]), (5, [append(entries(4, 1, 10))])],
        ):  # fmt: skip
            assert store.submit(batch)
            for group, appends in batch:
                models[group].submit(appends)
            check(models, store)
        check(models, *disk.reopen(store))

    def test_a_commit_rides_in_the_next_batch_of_its_own_group(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        for group in GROUPS:
            submit(store, [append(entries(1, 5, 2), term=2, vote=3)], group)
        assert store.submit([(group, [commit_only(2, 3, 4)]) for group in GROUPS])
        submit(store, [append(entries(6, 1, 2))], 5)
        if disk.kind == "memory":
            disk.memory.crash()
        else:
            abandon(store)
        _, recovered = disk.open()
        commits = {group: state.hard_state.commit for group, state in recovered.groups.items()}
        assert commits == {0: 0, 5: 4, 2**64 - 1: 0}

    def test_a_clean_close_keeps_every_groups_commit_index(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        for group in GROUPS:
            submit(store, [append(entries(1, 5, 2), term=2, vote=3)], group)
        store.submit([(group, [commit_only(2, 3, 1 + place)]) for place, group in enumerate(GROUPS)])
        _, recovered = disk.reopen(store)
        assert [state.hard_state.commit for state in recovered.groups.values()] == [1, 2, 3]

    def test_a_gap_in_one_group_writes_nothing_of_any_and_kills_the_handle(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        with pytest.raises(StorageFailed, match="entries from 3 on, but the log ends at 0"):
            store.submit([(0, [append(entries(1, 1, 1), term=1)]), (5, [append(entries(3, 1, 1))])])
        with pytest.raises(StorageFailed, match="entries from 3 on"):
            submit(store, [append(term=2)], 2**64 - 1)
        with pytest.raises(StorageFailed, match="entries from 3 on"):
            store.group(0)
        _, recovered = disk.reopen(store, OWNER_OF_GROUPS)
        assert all(state.last_index == state.hard_state.term == 0 for state in recovered.groups.values())

    def test_an_unknown_group_is_a_failed_write(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        with pytest.raises(StorageFailed, match="appends for group 6, which the store .* does not know"):
            store.submit([(0, [append(term=1)]), (6, [append(term=1)])])
        assert disk.reopen(store)[1].groups[0].hard_state.term == 0

    def test_reading_one_group_says_nothing_of_another(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        log = store.group(5)
        submit(store, [append(entries(1, 3, 1))])
        with pytest.raises(Unavailable):
            log.entries(1, 2, EVERYTHING)
        submit(store, [append(entries(1, 2, 4))], 5)
        assert log.entries(1, 3, EVERYTHING) == entries(1, 2, 4), "and a group's part follows what is written"

    def test_a_quarantine_is_one_groups(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        store.group(5).quarantine(CONFLICT)
        submit(store, [append(entries(1, 1, 1), term=1)])
        for _ in range(2):
            store, recovered = disk.reopen(store)
            conflicts = {group: state.conflict for group, state in recovered.groups.items()}
            assert conflicts == {0: None, 5: CONFLICT}
        assert recovered.groups[0].last_index == 1

    def test_closed(self, disk: Disk) -> None:
        store, _ = disk.open(OWNER_OF_GROUPS)
        log = store.group(5)
        store.close()
        for call in (lambda: store.group(5), log.snapshot, lambda: log.quarantine(CONFLICT)):
            with pytest.raises(StorageFailed, match="is not open"):
                call()


def test_random_batches_of_several_groups(disk: Disk, seed: int) -> None:
    rng = random.Random(seed)
    groups = [0, 1, 2**32, 2**64 - 1]
    owner = StoreOwner(1, MEMBERS, groups=dict.fromkeys(groups, MEMBERS))
    store, _ = disk.open(owner)
    models = {group: Model() for group in groups}
    terms = dict.fromkeys(groups, 1)
    for _ in range(60):
        batch: list[tuple[int, list[Message]]] = []
        for group in rng.choices(groups, k=rng.randint(1, 5)):  # also the same more than once
            model = models[group]
            terms[group] += rng.random() < 0.3
            term = terms[group] = max(terms[group], model.log[-1][0] if model.log else 1)
            end = len(model.log)
            first = rng.randint(max(1, end - 6), end + 1) if rng.random() < 0.4 else end + 1
            appends = [append(entries(first, rng.randint(1, 5), term), term=term, vote=rng.randint(0, 3))]
            if rng.random() < 0.3:
                appends = [append(term=term, vote=rng.randint(0, 3))]
            batch.append((group, appends))
            model.submit(appends)
        assert store.submit(batch)
        if rng.random() < 0.2:
            store, recovered = disk.reopen(store, owner)
            check(models, store, recovered)
        check(models, store)
    check(models, *disk.reopen(store, owner))


# --- LevelDB's alone


def everything(path: Path) -> list[tuple[bytes, bytes]]:
    """All records of a store that nobody has open."""
    with open_records(path) as row:
        return list(row.iterator(start=b"", stop=b"\xff", verify_checksums=True, fill_cache=False))


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def test_a_store_of_group_0_alone_is_on_disk_what_it_always_was(tmp_path: Path) -> None:
    """Every byte of its write-ahead file, its floor and its records, in format 3."""
    path = tmp_path / "node1"

    def opened() -> LevelDBStorage:
        # No segment is made beforehand, which would be named in whatever batch comes next.
        store = LevelDBStorage(path, mode="inline", entropy=Drawn(b"\7"), executor=LateExecutor())
        store.open(OWNER)
        return store

    writes = script(7)
    store = opened()
    store.pin(2, 22)
    for appends in islice(writes, 60):
        submit(store, appends)
    abandon(store)
    (ahead,) = log_files(path)
    assert digest(ahead.read_bytes().rstrip(b"\0")) == WAL_DIGEST
    assert digest((path / Floor.FILE).read_bytes()) == FLOOR_DIGEST
    store = opened()
    for appends in islice(writes, 20):
        submit(store, appends)
    store.close()
    assert digest((path / Floor.FILE).read_bytes()) == CLOSED_FLOOR_DIGEST
    assert digest(repr(everything(path)).encode()) == RECORDS_DIGEST


WAL_DIGEST = "9986de8e875e971c"
FLOOR_DIGEST = "567c6a47da59b94b"
CLOSED_FLOOR_DIGEST = "c20eb95d08a9f109"
RECORDS_DIGEST = "27de5f231fd71aed"


def test_other_groups_add_records_of_their_own_and_change_none_of_group_0(tmp_path: Path) -> None:
    found: list[dict[bytes, bytes]] = []
    for name, owner in (("alone", OWNER), ("together", OWNER_OF_GROUPS)):
        store = LevelDBStorage(tmp_path / name, mode="inline", entropy=Drawn(b"\7"))
        store.open(owner)
        for appends in islice(script(7), 20):
            submit(store, appends)
        store.close()
        found.append(dict(everything(tmp_path / name)))
    alone, together = found
    assert {key: together.get(key) for key in alone} == alone
    others = sorted(together.keys() - alone.keys())
    assert others == sorted(key(group) for group in (5, 2**64 - 1) for key in (keys.bootstrap_key, keys.head_key))


class TestDamage:
    """A group that is damaged makes the store a damaged one, and the refusal names the group."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        store, _ = Disk("leveldb", tmp_path / "node1").open(StoreOwner(1, MEMBERS, groups={5: [1], 6: [1]}))
        for group in (0, 5):
            submit(store, [append(entries(1, 3, 1), term=1, vote=1)], group)
            submit(store, [append(entries(4, 3, 2), term=2, vote=1)], group)
        store.close()
        return tmp_path / "node1"

    def head(self, path: Path, group: int) -> Head:
        key = keys.head_key(group)
        body = unseal(key, dict(everything(path))[key])
        assert body is not None
        return Head.unpack(body)

    @pytest.mark.parametrize("group", [0, 5, 6])
    @pytest.mark.parametrize("key_of", [keys.bootstrap_key, keys.head_key], ids=["bootstrap", "head"])
    @pytest.mark.parametrize("body", [None, b"", b"12345678{}x"])
    def test_a_small_record(self, path: Path, group: int, key_of: object, body: bytes | None) -> None:
        assert callable(key_of)
        rewrite(path, (key_of(group), body))
        for owner in (OWNER, StoreOwner(1, MEMBERS, groups={5: [1], 6: [1]})):  # nor is one that is named founded anew
            with pytest.raises(StorageDamaged, match=rf"record '(bootstrap|head)' \(group {group}, key "):
                LevelDBStorage(path).open(owner)

    def test_a_bootstrap_record_of_another_cluster(self, path: Path) -> None:
        rewrite(path, (keys.bootstrap_key(6), bytes(8) + b"[1]"))
        with pytest.raises(StorageDamaged, match=r"'bootstrap' \(group 6.*of another cluster"):
            LevelDBStorage(path).open(OWNER)

    @pytest.mark.parametrize("first", [1, 4])
    def test_an_entry(self, path: Path, first: int) -> None:
        rewrite(path, (keys.entry_key(5, first), None))
        with pytest.raises(StorageDamaged, match=r"record of entry \d \(group 5, "):
            LevelDBStorage(path).open(OWNER)

    def test_entries_of_a_group_that_was_never_founded(self, path: Path) -> None:
        rewrite(path, (keys.entry_key(9, 1), entries(1, 1, 1).data))
        with pytest.raises(StorageDamaged, match=r"record of entry 2 \(group 9, "):
            LevelDBStorage(path).open(StoreOwner(1, MEMBERS, groups={9: [1]}))

    def test_a_group_below_its_floor(self, path: Path) -> None:
        head = self.head(path, 5)
        head.term = 1
        rewrite(path, (keys.head_key(5), head.pack()))
        with pytest.raises(StorageDamaged, match=r"\(group 5\) is damaged: it is below its floor: term 1, .* says 2"):
            LevelDBStorage(path).open(OWNER)

    def test_a_group_that_is_not_as_it_was_closed(self, path: Path) -> None:
        head = self.head(path, 6)
        head.term = 1
        rewrite(path, (keys.head_key(6), head.pack()))
        with pytest.raises(StorageDamaged, match=r"\(group 6\) is damaged: it is not as it was closed"):
            LevelDBStorage(path).open(OWNER)

    def test_a_head_of_an_older_start_than_the_others(self, path: Path) -> None:
        """The start before wrote its boot in all heads, and died before it wrote the floor: one head went missing."""
        old_floor = (path / Floor.FILE).read_bytes()
        old_head = self.head(path, 5)
        store = LevelDBStorage(path)
        store.open(OWNER)
        abandon(store)
        (path / Floor.FILE).write_bytes(old_floor)
        rewrite(path, (keys.head_key(5), old_head.pack()))
        with pytest.raises(StorageDamaged, match=r"'head' \(group 5, .*: each start writes all of them"):
            LevelDBStorage(path).open(OWNER)

    def test_all_groups_are_refused_together_while_the_store_is_open(self, path: Path) -> None:
        store = LevelDBStorage(path)
        store.open(OWNER)
        assert store._row is not None
        store._row.put(keys.entry_key(5, 1), b"rubbish", sync=True)
        with pytest.raises(StorageDamaged, match="group 5"):
            store.group(5).entries(1, 2, EVERYTHING)
        with pytest.raises(StorageDamaged, match="group 5"):
            submit(store, [append(term=9)])
        store.close()


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("named", [True, False], ids=["named again", "not named again"])
def test_a_founding_that_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int, named: bool
) -> None:
    """Groups are founded with the boot, in its batch: between any two steps there are all or none of them."""
    disk = Disk("leveldb", tmp_path / "node1")
    store, _ = disk.open()
    submit(store, first := [append(entries(1, 3, 1), term=1, vote=1)])
    models = {0: Model()}
    models[0].submit(first)
    store.close()
    with interrupted_after(monkeypatch, after), pytest.raises(Interrupted):
        LevelDBStorage(disk.path).open(OWNER_OF_GROUPS)
    shutil.copytree(disk.path, tmp_path / "copy")
    assert {key for key, _ in everything(tmp_path / "copy")} >= {keys.bootstrap_key(group) for group in GROUPS}
    if named:
        models |= {group: Model() for group in GROUPS if group}
    store, recovered = disk.open(OWNER_OF_GROUPS if named else OWNER)
    assert recovered.boot >> 32 == 3
    check(models, store, recovered)
    store, recovered = disk.reopen(store, OWNER_OF_GROUPS if named else OWNER)
    check(models, store, recovered)
    models |= {group: Model() for group in GROUPS if group}  # and whoever names them later finds them in order
    check(models, *disk.reopen(store, OWNER_OF_GROUPS))
