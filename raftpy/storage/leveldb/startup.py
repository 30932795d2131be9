"""What is checked when a store is opened, before anything is believed.

LevelDB's own checksums are not relied on, and the end of an iterator proves nothing: a damaged block can end it
quietly. So every record that must be there is asked for by name, the log must be dense from its first to its recorded
last entry, and where it seems to end the record that would follow is asked for by name as well: a block that cannot be
read then says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from struct import Struct
from struct import error as StructError  # noqa: N812

from raftcore.base.errors import DecodeError
from raftcore.values.message import Entries
from raftpy.contracts.database import Batch, Database, DatabaseEngine
from raftpy.contracts.errors import StorageDamaged, StorageFailed, WrongIdentity
from raftpy.storage.leveldb import keys
from raftpy.storage.leveldb.head import HEAD, Head
from raftpy.storage.leveldb.places import SeenRecord
from raftpy.storage.leveldb.sealing import seal, unseal, unseal_record
from raftpy.storage.records import CONF_CHANGE_KINDS, Index, kind_of

_IDENTITY = Struct("<IQQ")
_PIN = Struct("<QQ")
_CLUSTER = Struct("<Q")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose database it is: the node's id, and the id of the store. ``node_id`` and ``store_id`` are u64."""

    node_id: int
    store_id: int

    def check(self, node_id: int, directory: PurePath) -> None:
        """Raises ``WrongIdentity`` when the data directory is not that of ``node_id``."""
        if self.node_id != node_id:
            raise WrongIdentity(f"the store {directory} belongs to node {self.node_id}, not to node {node_id}")


@dataclass(frozen=True, slots=True)
class Log:
    """What the scan of a group's log has found: where its records are (``index``), (first index, term) of each run of
    terms (``term_runs``), ``last_term`` and ``last_time_ms`` of its last entry, in milliseconds."""

    index: Index
    term_runs: list[tuple[int, int]]
    last_term: int
    last_time_ms: int
    head: Head
    """The newest there is."""
    whole: bool
    """Whether a head stands behind the last record, as behind the last of every batch."""
    conf_changes: list[int]
    """Which entries change the configuration, ascending."""


class Reader:
    """Reads the records of one database; every failure names the database's directory and the record.

    ``seen(group)``: what was read already of the records of a group's log, ascending; None: they are read here.
    ``given_up`` is not empty any more once reading the log is to end, with ``StorageFailed``.
    """

    def __init__(
        self,
        engine: DatabaseEngine,
        database: Database,
        directory: PurePath,
        given_up: Sequence[object] = (),
        seen: Callable[[int], Iterator[SeenRecord]] | None = None,
    ) -> None:
        self._seen = seen or self._read
        self._engine = engine
        self._database = database
        self._given_up = given_up
        self._directory = directory

    def damaged(self, key: bytes, what: str) -> StorageDamaged:
        """What to raise about the record at ``key``: ``what`` is wrong with it."""
        return StorageDamaged(what, f"{self._directory}: {keys.describe(key)}")

    def get(self, key: bytes) -> bytes | None:
        """The body under ``key``, or None when there is no such record."""
        value = self._value(key)
        if value is None:
            return None
        body = unseal(key, value)
        if body is None:
            raise self.damaged(key, "its checksum does not hold")
        return body

    def require(self, key: bytes) -> bytes:
        """The body under ``key``, which must be there."""
        body = self.get(key)
        if body is None:
            raise self.damaged(key, "it is missing")
        return body

    @contextmanager
    def translated(self, key: bytes) -> Iterator[None]:
        """The database's errors about the record at ``key`` as ours: ``StorageDamaged`` when it means damage, else
        ``StorageFailed``."""
        try:
            yield
        except self._engine.Error as error:
            if self._engine.is_damage(error):
                raise self.damaged(key, self._engine.text(error)) from error
            what = f"reading {keys.describe(key)} of {self._directory}"
            raise StorageFailed(f"{what} failed: {self._engine.text(error)}") from error
        except OSError as error:
            raise StorageFailed(f"reading {keys.describe(key)} of {self._directory} failed: {error}") from error

    def identity(self, version: int = keys.FORMAT) -> Identity | None:
        """None in a database that never was a store; a store of another format than ``version`` is refused with
        ``StorageFailed``."""
        body = self.get(keys.IDENTITY)
        if body is None:
            return None
        found = int.from_bytes(body[:4], "little")
        if found != version:
            raise StorageFailed(
                f"{self._directory} has store format {found}, and this release reads and writes format "
                f"{version}: use the release that wrote it"
            )
        if len(body) != _IDENTITY.size:
            raise self.damaged(keys.IDENTITY, f"{len(body)} bytes, {_IDENTITY.size} expected")
        _, node_id, store_id = _IDENTITY.unpack(body)
        return Identity(node_id, store_id)

    def groups(self) -> list[int]:
        """The groups that have a bootstrap record, as far as an iterator tells; what must be there is asked for."""
        start, stop = keys.bootstrap_range()
        groups: list[int] = []
        with self.translated(start):
            for key, _ in self._database.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False):
                group = keys.bootstrap_group(key)
                if group is None:
                    raise self.damaged(key, "it names no group")
                groups.append(group)
        return groups

    def members(self) -> tuple[int, dict[int, str]]:
        """(cluster id, members first given), which group 0's bootstrap record has; it must be there."""
        key = keys.bootstrap_key(0)
        body = self.require(key)
        try:
            (cluster_id,) = _CLUSTER.unpack_from(body)
            members = {int(node_id): str(address) for node_id, address in json.loads(body[_CLUSTER.size :]).items()}
        except (ValueError, AttributeError, StructError) as error:
            raise self.damaged(key, f"it cannot be read: {error}") from error
        return cluster_id, members

    def voters(self, group: int, cluster_id: int) -> tuple[int, ...] | None:
        """The first voters of a group other than 0; None when it has no bootstrap record."""
        key = keys.bootstrap_key(group)
        body = self.get(key)
        if body is None:
            return None
        try:
            if _CLUSTER.unpack_from(body) != (cluster_id,):
                raise ValueError(f"it is of another cluster than {cluster_id:016x}")
            return tuple(int(node_id) for node_id in json.loads(body[_CLUSTER.size :]))
        except (ValueError, TypeError, StructError) as error:
            raise self.damaged(key, f"it cannot be read: {error}") from error

    def pins(self) -> dict[int, int]:
        """Peers' store ids as pinned: node id to store id. ``StorageDamaged`` when the record is missing or is none."""
        body = self.require(keys.PINS)
        if len(body) % _PIN.size:
            raise self.damaged(keys.PINS, f"{len(body)} bytes, a multiple of {_PIN.size} expected")
        return dict(_PIN.iter_unpack(body))

    def head(self, group: int) -> Head:
        """The head under the group's own key. ``StorageDamaged`` when the record is missing or is none."""
        key = keys.head_key(group)
        try:
            return Head.unpack(self.require(key))
        except ValueError as error:
            raise self.damaged(key, str(error)) from error

    def value(self, key: bytes) -> bytes:
        """All that is stored under ``key``, which must be there."""
        value = self._value(key)
        if value is None:
            raise self.damaged(key, "it is missing")
        return value

    def record(self, group: int, first: int) -> Entries:
        """The record whose first entry has index ``first``; it must be there and hold together."""
        key = keys.entry_key(group, first)
        entries, _ = self._open(key, self.value(key))
        if entries.first != first:
            raise self.damaged(key, f"it holds entries from {entries.first} on")
        return entries

    def log(self, group: int, head: Head) -> Log:
        """Reads the whole log of the group; ``head`` is the one under its own key. Whether the log ends where it should
        is :meth:`check_end`'s business."""
        index = Index(head.prev_index)
        runs: list[tuple[int, int]] = []
        changes: list[int] = []
        expected, term, time_ms, behind = head.prev_index + 1, head.prev_term, 0, 0
        append = index.firsts.append
        given_up = self._given_up
        self.check_wanted()
        for seen in self._seen(group):
            if given_up:
                self.check_wanted()
            key, first, count, its_term, its_time_ms, kind, behind = seen
            if not index.firsts and head.prev_index:
                if first + count <= head.prev_index:
                    continue  # outside of the log: given up, and its room not given back yet
                self._check_first(seen, head)
            elif first != expected:
                raise self.damaged(key, f"it holds entries from {first} on where {expected} follows")
            if keys.entry_first(key) != first:
                raise self.damaged(key, f"it holds entries from {first} on")
            if its_term < term:
                raise self.damaged(key, f"term {its_term} after term {term}")
            if (its_term != term or not runs) and first + count > expected:
                term = its_term
                runs.append((expected, term))
            if its_time_ms < time_ms:
                raise self.damaged(key, f"log time {its_time_ms} ms after {time_ms} ms")
            if behind not in (0, HEAD.size):
                raise self.damaged(key, f"{behind} bytes behind its block, 0 or {HEAD.size} expected")
            time_ms = its_time_ms
            append(first)
            following = first + count
            if kind in CONF_CHANGE_KINDS:
                changes += range(expected, following)
            expected = following
        if head.prev_index and not index.firsts:
            raise self.damaged(keys.entry_key(group, head.prev_index), "no record holds it, up to which is compacted")
        index.last = expected - 1
        whole = bool(behind) or not index.firsts
        if index.firsts and behind:
            key = keys.entry_key(group, index.firsts[-1])
            head = self._newer(head, key, self._open(key, self.value(key))[1])
        return Log(index, runs, term, time_ms, head, whole, changes)

    def _read(self, group: int) -> Iterator[SeenRecord]:
        """What is to be seen of the group's records, by an iterator of the database."""
        start, stop = keys.entry_range(group)
        with self.translated(start):
            for key, value in self._database.iterator(start=start, stop=stop, verify_checksums=True, fill_cache=False):
                entries, behind = self._open(key, value)
                time_ms = int.from_bytes(entries.data[16:24], "little")
                kind = kind_of(entries)
                yield SeenRecord(key, entries.first, entries.count, entries.first_term, time_ms, kind, len(behind))

    def _check_first(self, seen: SeenRecord, head: Head) -> None:
        """The first record of a log that is compacted holds the last entry that was given up."""
        last = seen.first + seen.entries - 1
        if not seen.first <= head.prev_index <= last or seen.term != head.prev_term:
            what = f"entries {seen.first} to {last} in term {seen.term}"
            needed = f"{head.prev_index} in term {head.prev_term}"
            raise self.damaged(seen.key, f"it holds {what}, and the log is compacted up to {needed}")

    def check_end(self, group: int, log: Log) -> None:
        """Refuses a log that does not end where the newest head says, or that goes on beyond."""
        last, head = log.index.last, log.head
        following = keys.entry_key(group, last + 1)
        if last != head.last_index or log.last_term != head.last_term:
            raise self.damaged(
                following,
                f"the log ends at {last} in term {log.last_term}, and {head.last_index} in term {head.last_term} was "
                "written",
            )
        if not log.whole:
            raise self.damaged(following, f"the batch that wrote entry {last} is not there whole")
        if self._value(following) is not None:
            raise self.damaged(following, f"LevelDB's iterator ended before it, at {last}")

    def check_wanted(self) -> None:
        """``StorageFailed`` once the opening was given up."""
        if self._given_up:
            raise StorageFailed(f"the opening of {self._directory} was given up")

    def _newer(self, head: Head, key: bytes, behind: bytes) -> Head:
        """``head``, or the one behind the record at ``key`` when that was written later."""
        try:
            last = Head.unpack(behind)
        except ValueError as error:
            raise self.damaged(key, str(error)) from error
        return last if last.number > head.number else head

    def _value(self, key: bytes) -> bytes | None:
        with self.translated(key):
            return self._database.get(key, verify_checksums=True)

    def _open(self, key: bytes, value: bytes) -> tuple[Entries, bytes]:
        """The entries of a record, and the head behind them."""
        try:
            opened = unseal_record(key, value)
        except DecodeError as error:
            raise self.damaged(key, str(error)) from error
        if opened is None:
            raise self.damaged(key, "its checksum does not hold")
        return opened


def pack_identity(identity: Identity) -> bytes:
    """The body of the identity record, of the present format."""
    return _IDENTITY.pack(keys.FORMAT, identity.node_id, identity.store_id)


def found(batch: Batch, node_id: int, store_id: int, cluster_id: int, members: dict[int, str]) -> None:
    """Puts the records of a new store, which has group 0 alone, into ``batch``."""
    bootstrap = _CLUSTER.pack(cluster_id) + json.dumps({str(key): members[key] for key in sorted(members)}).encode()
    for key, body in (
        (keys.IDENTITY, pack_identity(Identity(node_id, store_id))),
        (keys.PINS, b""),
        (keys.bootstrap_key(0), bootstrap),
        (keys.head_key(0), Head().pack()),
    ):
        batch.put(key, seal(key, body))


def found_group(batch: Batch, group: int, cluster_id: int, voters: tuple[int, ...]) -> None:
    """Puts the bootstrap record of a new group into ``batch``; its head must come in the same one."""
    key = keys.bootstrap_key(group)
    batch.put(key, seal(key, _CLUSTER.pack(cluster_id) + json.dumps(voters).encode()))


def pack_pins(pins: dict[int, int]) -> bytes:
    """The body of the pins record."""
    return b"".join(_PIN.pack(node_id, pins[node_id]) for node_id in sorted(pins))
