"""The parts of the stores that can be looked at alone: index, plan, seal, floor, write-ahead files, identity."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from raftcore.values.message import Entries, Entry
from raftpy.contracts.errors import StorageDamaged, StorageFailed
from raftpy.contracts.types import MAX_GROUP, StoreOwner
from raftpy.storage.identity import boot_after, new_store_id, resolve_cluster_id
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.floor import Floor, GroupFloor
from raftpy.storage.leveldb.head import Head
from raftpy.storage.leveldb.sealing import seal, unseal
from raftpy.storage.records import Index, Plan, fit
from tests.storage.support import FILES, Drawn, append, commit_only, entries, joined


def index_of(*firsts: int, last: int, prev: int = 0) -> Index:
    index = Index(prev)
    index.firsts.extend(firsts)
    index.last = last
    return index


class TestIndex:
    def test_every_entry_has_one_record(self) -> None:
        index = index_of(1, 4, 5, 9, last=11)
        assert [index.position(i) for i in range(1, 12)] == [0, 0, 0, 1, 2, 2, 2, 2, 3, 3, 3]
        assert [index.span(position) for position in range(4)] == [(1, 3), (4, 4), (5, 8), (9, 11)]

    @pytest.mark.parametrize(
        ("at", "doomed", "through"),
        [
            (1, [1, 4, 5, 9], None),
            (2, [4, 5, 9], 1),
            (4, [4, 5, 9], None),
            (7, [9], 5),
            (9, [9], None),
            (10, [], 9),
            (12, [], None),
        ],
    )
    def test_cut(self, at: int, doomed: list[int], through: int | None) -> None:
        index = index_of(1, 4, 5, 9, last=11)
        found, cut = index.cut(at)
        assert (list(found), cut) == (doomed, through)
        index.truncate(at)
        assert index.last == at - 1
        assert list(index.firsts) == [first for first in (1, 4, 5, 9) if first not in doomed]

    @pytest.mark.parametrize("at", range(1, 12))
    def test_compact(self, at: int) -> None:
        """The record that holds the entry stays, and those behind it."""
        index = index_of(1, 4, 5, 9, last=11)
        doomed = list(index.compact(at))
        assert doomed + list(index.firsts) == [1, 4, 5, 9]
        assert index.firsts[0] == max(first for first in (1, 4, 5, 9) if first <= at)
        assert (index.prev, index.last) == (at, 11)


class TestPlan:
    def test_the_newest_hard_state_counts(self) -> None:
        plan = Plan([append(term=1, vote=1), append(entries(1, 1, 1)), append(term=2, vote=3, commit=1)], 0, 0)
        assert plan.newest is not None
        assert (plan.newest.term, plan.newest.vote, plan.newest.commit) == (2, 3, 1)
        assert Plan([append(entries(1, 1, 1))], 0, 0).newest is None

    def test_what_must_be_written(self) -> None:
        assert not Plan([], 0, 0).must_write
        assert not Plan([commit_only(1, 1, 1)], 0, 5).must_write
        assert Plan([commit_only(1, 1, 1), append(term=2)], 0, 5).must_write
        assert Plan([append(entries(6, 1, 1), must_sync=False)], 0, 5).must_write

    def test_replaced_before_it_was_written(self) -> None:
        plan = Plan([append(entries(6, 3, 1)), append(entries(9, 2, 1)), append(entries(7, 1, 2))], 0, 5)
        assert [(run.first, run.last, run.last_term) for run in plan.staged] == [(6, 6, 1), (7, 7, 2)]
        assert plan.cut == 0

    @pytest.mark.parametrize(
        ("runs", "cut"),
        [([(6, 1)], 0), ([(5, 1)], 5), ([(6, 2), (4, 1)], 4), ([(3, 1), (4, 1)], 3), ([(3, 1), (2, 9)], 2)],
    )
    def test_cut_is_the_lowest(self, runs: list[tuple[int, int]], cut: int) -> None:
        assert Plan([append(entries(first, count, 1)) for first, count in runs], 0, 5).cut == cut

    def test_below_the_log(self) -> None:
        with pytest.raises(StorageFailed, match="entries from 3 on, but the log begins after 3"):
            Plan([append(entries(3, 1, 1))], 3, 5)


def test_fit_agrees_with_slicing(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        parts = []
        first = 1
        for term in range(1, rng.randint(2, 4)):
            count = rng.randint(1, 5)
            made = [Entry(term, index, 0, bytes(rng.choice((0, 1, 16, 300)))) for index in range(first, first + count)]
            parts.append(Entries.build(made))
            first += count
        run = joined(*parts)
        sizes = [len(run.slice(1, hi).data) for hi in range(2, first + 1)]
        for limit in [rng.randint(0, sizes[-1] + 50) for _ in range(20)] + sizes + [size - 1 for size in sizes]:
            fitting = sum(size <= limit for size in sizes)
            assert fit(run, limit, at_least=0) == fitting
            assert fit(run, limit, at_least=1) == max(1, fitting)


class TestKeys:
    def test_the_order_of_keys_is_the_order_of_the_log(self) -> None:
        firsts = [1, 2, 255, 256, 2**32, 2**63, 2**64 - 1]
        made = [keys.entry_key(7, first) for first in firsts]
        assert sorted(made) == made
        start, stop = keys.entry_range(7)
        assert all(start <= key < stop for key in made)
        assert not any(start <= keys.entry_key(group, 1) < stop for group in (0, 6, 8, MAX_GROUP))
        assert [keys.entry_first(key) for key in made] == firsts

    def test_every_record_of_a_group_is_named_with_it(self) -> None:
        for key in (keys.head_key(5), keys.bootstrap_key(5), keys.entry_key(5, 1)):
            assert key[1:9] == (5).to_bytes(8, "big")

    def test_everything_small_sorts_before_the_logs(self) -> None:
        small = [keys.IDENTITY, keys.PINS, keys.bootstrap_key(MAX_GROUP), keys.head_key(MAX_GROUP)]
        assert max(small) < keys.entry_key(0, 1)
        assert len(set(small)) == len(small)
        assert keys.entry_key(MAX_GROUP, 2**64 - 1) < keys.entry_range(MAX_GROUP)[1]

    def test_a_seal_holds_for_its_key_and_body_only(self) -> None:
        value = seal(b"key", b"body")
        assert unseal(b"key", value) == b"body"
        assert unseal(b"kez", value) is None
        assert unseal(b"keyb", seal(b"key", b"body")[:4] + b"ody\xff") is not None  # the split is not sealed ...
        for size in range(len(value)):  # ... but keys have fixed lengths, and nothing shorter passes
            assert unseal(b"key", value[:size]) is None

    def test_keys_in_errors(self) -> None:
        assert keys.describe(keys.entry_key(3, 77)).startswith("record of entry 77 (group 3, key ")
        assert keys.describe(keys.head_key(3)).startswith("record 'head' (group 3, key ")
        assert keys.describe(b"z" + bytes(8)).startswith("record 'unknown'")


class TestHead:
    ALL = Head(1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2**64 - 1)

    def test_its_bytes_are_these_and_stay_these(self) -> None:
        numbers = (1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2**64 - 1)
        assert self.ALL.pack() == b"".join(number.to_bytes(8, "little") for number in numbers)
        assert Head.unpack(self.ALL.pack()) == self.ALL

    def test_a_copy_says_the_same_and_is_another(self) -> None:
        copy = self.ALL.copy()
        assert copy == self.ALL
        copy.vote = 0
        assert copy != self.ALL
        assert self.ALL.vote == 3
        assert self.ALL != (1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2**64 - 1)

    def test_it_says_all_of_itself(self) -> None:
        assert repr(self.ALL) == (
            "Head(boot=1, term=2, vote=3, commit=4, prev_index=5, prev_term=6, last_index=7, last_term=8, cut=9, "
            "closed=1, number=18446744073709551615)"
        )

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (bytes(87), "87 bytes, 88 expected"),
            (bytes(89), "89 bytes, 88 expected"),
            (Head(prev_index=2, last_index=1).pack(), "contradict each other"),
            (Head(commit=2, last_index=1).pack(), "contradict each other"),
            (Head(closed=2).pack(), "contradict each other"),
        ],
    )
    def test_what_cannot_be_one_is_refused(self, body: bytes, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Head.unpack(body)


class TestFloor:
    FLOOR = Floor(5, 3 << 32 | 9, False, {0: GroupFloor(term=4, vote=2, prev_index=10, last_index=20, last_term=3)})
    HEAD = Head(boot=3 << 32 | 9, term=4, vote=2, commit=15, prev_index=10, last_index=20, last_term=3)

    def check(self, **changes: int) -> None:
        head = Head.unpack(self.HEAD.pack())
        for name, value in changes.items():
            setattr(head, name, value)
        self.FLOOR.check(5, 0, head, "here")

    def test_written_and_read(self, tmp_path: Path) -> None:
        self.FLOOR.write(FILES, tmp_path)
        assert Floor.read(FILES, tmp_path) == self.FLOOR
        assert [path.name for path in tmp_path.iterdir()] == ["floor"]

    def test_none(self, tmp_path: Path) -> None:
        assert Floor.read(FILES, tmp_path) is None

    @pytest.mark.parametrize("left", [b"", b"raftpy floor 9", b"rubbish"])
    def test_a_write_that_was_interrupted_leaves_the_old_one(self, tmp_path: Path, left: bytes) -> None:
        self.FLOOR.write(FILES, tmp_path)
        (tmp_path / "floor.new").write_bytes(left)
        assert Floor.read(FILES, tmp_path) == self.FLOOR
        Floor(6).write(FILES, tmp_path)
        assert Floor.read(FILES, tmp_path) == Floor(6)

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"term": 5, "vote": 0},
            {"term": 5, "vote": 3},
            {"prev_index": 15},
            {"last_index": 21},
            {"boot": 4 << 32 | 1},
            {"last_index": 19, "cut": 20},
            {"last_index": 14, "cut": 12},
            {"last_index": 19, "boot": 4 << 32},
        ],
    )
    def test_at_or_above(self, changes: dict[str, int]) -> None:
        self.check(**changes)

    @pytest.mark.parametrize(
        ("changes", "what"),
        [
            ({"boot": 2 << 32 | 0xFFFFFFFF}, "boot"),
            ({"boot": 3 << 32 | 10}, "boot"),
            ({"term": 3}, "term 3, the floor says 4"),
            ({"vote": 0}, "vote 0, the floor says 2"),
            ({"vote": 3}, "vote 3, the floor says 2"),
            ({"prev_index": 9}, "index before the log 9, the floor says 10"),
            ({"last_index": 19}, "last index 19, the floor says 20"),
            ({"last_index": 19, "cut": 21}, "last index 19"),
        ],
    )
    def test_below(self, changes: dict[str, int], what: str) -> None:
        with pytest.raises(StorageDamaged, match=rf"here \(group 0\) is damaged: it is below its floor: {what}"):
            self.check(**changes)

    def test_a_vote_not_yet_cast_may_be_cast_in_its_term(self) -> None:
        Floor(5, 1 << 32, False, {0: GroupFloor(term=4)}).check(5, 0, Head(boot=1 << 32, term=4, vote=3), "here")

    @pytest.mark.parametrize("change", [{"term": 5}, {"vote": 3}, {"last_index": 1}, {"last_term": 2}, {"closed": 0}])
    def test_after_a_clean_close_it_is_exact(self, change: dict[str, int]) -> None:
        head = Head(boot=1 << 32, term=4, closed=1)
        floor = Floor(5, 1 << 32, True, {0: GroupFloor.of(head)})
        floor.check(5, 0, head, "here")
        for name, value in change.items():
            setattr(head, name, value)
        with pytest.raises(StorageDamaged, match=r"here \(group 0\) is damaged: it is not as it was closed"):
            floor.check(5, 0, head, "here")


class TestIdentity:
    def test_ids_are_never_zero(self) -> None:
        assert new_store_id(Drawn(bytes(16) + b"\1" + bytes(7))) == 1
        assert boot_after(0, Drawn(bytes(1))) == 1 << 32
        assert resolve_cluster_id(StoreOwner(1, {})) != 0

    def test_boots_only_grow(self) -> None:
        boot = 0
        for low in (b"\xff" * 4, bytes(4), b"\x80" * 4):
            following = boot_after(boot, Drawn(low))
            assert following >> 32 == (boot >> 32) + 1
            boot = following

    def test_the_last_boot_of_all(self) -> None:
        """4 billion starts on, the counter stays within the u64; the random half still tells the boots apart."""
        boot = boot_after(0xFFFFFFFF << 32, Drawn(b"\7"))
        assert boot == 0xFFFFFFFF_07070707
