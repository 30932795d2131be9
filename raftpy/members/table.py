"""The member table: what the cluster has agreed on about its members, beside the configuration (decision 5).

Node id -> record (addresses, store id, priority, witness), beside them the largest command that is taken, and who was
a member and is none any more. What changes of it travels in the context of a configuration change, and a table changes
only when such an entry is applied, so it is the same on every replica at the same index; at a restart it comes back
with the log. A whole table has the same byte form, which a snapshot carries. The form stands in docs/wire-format.md
("Member table").

Invariants: a record with a store id keeps it for ever. A node is one disk: what forgot its promises must not speak
under the id of what made them, whoever proposes it. And an id that was removed is never a member's again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType

from raftcore.base.errors import DecodeError
from raftcore.base.types import LARGEST_ID
from raftpy.contracts.types import MAX_ADDRESS, RemovedMember

TABLE_VERSION = 1
"""Of what says nothing of the largest command; releases that know no other take nothing from the next."""
LIMITED_VERSION = 2
REMOVED_VERSION = 3
"""Of what says who was removed, which only whole tables do."""
MAX_PRIORITY = 65_535
DEFAULT_COMMAND = 16 << 20
"""Bytes in the largest command, as long as no entry has set it."""
LARGEST_COMMAND = 32 << 20
"""What it can be set to; well below the largest message of a transport."""

_HEAD = Struct("<BBH")  # version, 0, number of records
_LIMIT = Struct("<I")  # in version 2, behind the head: bytes in the largest command
_REMOVED = Struct("<I")  # in version 3, behind the limit, which may be 0 there: number of members removed
_FORMER = Struct("<QQQB")  # in version 3, ahead of the records: node id, store id, index, length of the UDP address
_RECORD = Struct("<QQHBBB")  # node id, store id, priority, flags, lengths of both addresses
_WITNESS = 1
# Narrow and fixed, because every replica must read the same: what host:port is takes no look at a library here.
_UDP = re.compile(rb"[A-Za-z0-9_.:%\[\]-]*\Z")
_HTTP = re.compile(rb"(?:https://)?[A-Za-z0-9_.:%\[\]-]*\Z")


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """One member. Raises ``ValueError`` for what the byte form does not hold."""

    udp: str = ""
    """``host:port``; empty: not known."""
    http: str = ""
    """``host:port``, or ``https://host:port``; empty: it serves none, or it is not known."""
    store_id: int = 0
    """Of its data directory; 0: not known yet."""
    priority: int = 0
    """0 to 65,535: of voters that are up and hold all that is committed, the one with the highest leads."""
    witness: bool = False
    """It votes, and holds no commands."""

    def __post_init__(self) -> None:
        for name, form, scheme in (("udp", _UDP, ""), ("http", _HTTP, ", behind https:// or not,")):
            text = getattr(self, name)
            if not text.isascii() or len(text) > MAX_ADDRESS or not form.match(text.encode()):
                raise ValueError(
                    f"{name} address {text!r}: at most {MAX_ADDRESS} of A-Z a-z 0-9 _ . : % [ ] -{scheme} are allowed"
                )
        if not 0 <= self.store_id < 2**64:
            raise ValueError(f"store id {self.store_id}: 0 to 2**64 - 1 is allowed")
        if not 0 <= self.priority <= MAX_PRIORITY:
            raise ValueError(f"priority {self.priority}: 0 to {MAX_PRIORITY} is allowed")


def encode_records(records: Mapping[int, MemberRecord], max_command: int = 0) -> bytes:
    """Records, by node id, as bytes, in ascending order (docs/wire-format.md, "Member table"); and the largest command,
    0 for nothing about it."""
    parts = [_HEAD.pack(LIMITED_VERSION if max_command else TABLE_VERSION, 0, len(records))]
    if max_command:
        parts.append(_LIMIT.pack(max_command))
    for node_id, record in sorted(records.items()):
        udp, http = record.udp.encode("ascii"), record.http.encode("ascii")
        flags = _WITNESS if record.witness else 0
        parts.append(_RECORD.pack(node_id, record.store_id, record.priority, flags, len(udp), len(http)))
        parts += udp, http
    return b"".join(parts)


def decode_records(data: bytes | bytearray | memoryview) -> tuple[dict[int, MemberRecord], int]:
    """The records in ``data``, and the largest command, 0 where nothing is said of it; ``DecodeError`` when these bytes
    are none, or of a version not known here."""
    view = bytes(data)
    if len(view) < _HEAD.size:
        raise DecodeError(f"member records of {len(view)} bytes: they have at least {_HEAD.size}")
    version, reserved, count = _HEAD.unpack_from(view)
    if version not in (TABLE_VERSION, LIMITED_VERSION):
        raise DecodeError(f"member records of version {version}: this release reads versions up to {LIMITED_VERSION}")
    if reserved:
        raise DecodeError(f"member records with {reserved} where 0 is expected")
    max_command, start = _limit_in(view) if version == LIMITED_VERSION else (0, _HEAD.size)
    return _records_in(view, start, count), max_command


def _records_in(view: bytes, start: int, count: int) -> dict[int, MemberRecord]:
    """The records that ``view`` ends with, from ``start`` on."""
    if count * _RECORD.size > len(view) - start:
        raise DecodeError(f"{count} member records in {len(view)} bytes: each has at least {_RECORD.size}")
    records: dict[int, MemberRecord] = {}
    at, before = start, 0
    for _ in range(count):
        node_id, record, at = _decode_one(view, at)
        _check_order(node_id, before)
        records[node_id] = record
        before = node_id
    if at != len(view):
        raise DecodeError(f"{len(view) - at} bytes are left over after {count} member records")
    return records


def _check_order(node_id: int, before: int) -> None:
    if not before < node_id <= LARGEST_ID:
        raise DecodeError(f"member {node_id} after {before}: ids must ascend and be at most {LARGEST_ID}")


def _limit_in(view: bytes) -> tuple[int, int]:
    """The largest command in ``view``, and where it ends."""
    end = _HEAD.size + _LIMIT.size
    if len(view) < end:
        raise DecodeError(f"{len(view) - _HEAD.size} bytes where the largest command has {_LIMIT.size}")
    (max_command,) = _LIMIT.unpack_from(view, _HEAD.size)
    if not max_command:
        raise DecodeError("the largest command has 0 bytes: at least 1 is allowed")
    return max_command, end


def _decode_one(view: bytes, at: int) -> tuple[int, MemberRecord, int]:
    if len(view) - at < _RECORD.size:
        raise DecodeError(f"{len(view) - at} bytes where a member record needs {_RECORD.size}")
    node_id, store_id, priority, flags, udp_size, http_size = _RECORD.unpack_from(view, at)
    at += _RECORD.size
    if flags & ~_WITNESS:
        raise DecodeError(f"flags {flags:#x} of member {node_id}: at most {_WITNESS:#x} is allowed")
    if udp_size + http_size > len(view) - at:
        raise DecodeError(f"addresses of {udp_size + http_size} bytes, but only {len(view) - at} are left")
    udp, http = view[at : at + udp_size], view[at + udp_size : at + udp_size + http_size]
    if not (_UDP.match(udp) and _HTTP.match(http)):
        raise DecodeError(f"member {node_id} has the addresses {udp!r} and {http!r}, with characters not allowed")
    record = MemberRecord(udp.decode("ascii"), http.decode("ascii"), store_id, priority, bool(flags & _WITNESS))
    return node_id, record, at + udp_size + http_size


def _removed_in(view: bytes, at: int) -> tuple[dict[int, RemovedMember], int]:
    """Who was removed, as ``view`` says from ``at`` on, and where that ends."""
    if len(view) - at < _REMOVED.size:
        raise DecodeError(f"{len(view) - at} bytes where the number of removed members has {_REMOVED.size}")
    (count,) = _REMOVED.unpack_from(view, at)
    at += _REMOVED.size
    if count * _FORMER.size > len(view) - at:
        raise DecodeError(f"{count} removed members in {len(view) - at} bytes: each has at least {_FORMER.size}")
    removed: dict[int, RemovedMember] = {}
    before = 0
    for _ in range(count):
        if len(view) - at < _FORMER.size:
            raise DecodeError(f"{len(view) - at} bytes where a removed member needs {_FORMER.size}")
        node_id, store_id, index, size = _FORMER.unpack_from(view, at)
        at += _FORMER.size
        _check_order(node_id, before)
        udp = view[at : at + size]
        if len(udp) < size or not _UDP.match(udp):
            raise DecodeError(
                f"removed member {node_id} has the address {udp!r}, cut off or with characters not allowed"
            )
        if not index:
            raise DecodeError(f"member {node_id} was removed at index 0: 1 is the first")
        removed[node_id] = RemovedMember(index, store_id, udp.decode("ascii"))
        before, at = node_id, at + size
    return removed, at


class MemberTable:
    """Node id -> ``MemberRecord``, as of the last applied entry, the largest command, and who was removed."""

    def __init__(
        self,
        records: Mapping[int, MemberRecord] | None = None,
        max_command: int = 0,
        removed: Mapping[int, RemovedMember] | None = None,
    ) -> None:
        """``max_command``: in bytes, 0 where no entry has set it."""
        self._records = dict(records or {})
        self._max_command = max_command
        self._removed = dict(removed or {})

    @property
    def max_command(self) -> int:
        """Bytes in the largest command that is taken, as set last, else the default."""
        return self._max_command or DEFAULT_COMMAND

    def get(self, node_id: int) -> MemberRecord | None:
        """The member's record, None when it has none."""
        return self._records.get(node_id)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, MemberTable)
            and self._records == other._records
            and self._max_command == other._max_command
            and self._removed == other._removed
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        limit = f", {self._max_command}" if self._max_command or self._removed else ""
        removed = f", {self._removed!r}" if self._removed else ""
        return f"MemberTable({self._records!r}{limit}{removed})"

    def copy(self) -> MemberTable:
        """The same, to be changed by itself."""
        return MemberTable(self._records, self._max_command, self._removed)

    def apply(self, context: bytes) -> Iterable[int]:
        """Takes over what an applied entry's context says. Gives the ids whose record names another store than the
        one known, or another kind of member (a witness stays one, and nobody becomes one), or that were removed: such a
        record does nothing.

        Raises ``DecodeError``, and nothing has changed.
        """
        refused = []
        records, max_command = decode_records(context)
        self._max_command = max_command or self._max_command
        for node_id, record in records.items():
            known = self._records.get(node_id)
            if node_id in self._removed or (
                known is not None and (known.store_id not in (0, record.store_id) or known.witness != record.witness)
            ):
                refused.append(node_id)
            else:
                self._records[node_id] = record
        return refused

    def witnesses(self) -> frozenset[int]:
        """Ids of the members that are witnesses."""
        return frozenset(node_id for node_id, record in self._records.items() if record.witness)

    def priorities(self) -> dict[int, int]:
        """Priorities that are not 0, by node id."""
        return {node_id: record.priority for node_id, record in self._records.items() if record.priority}

    @property
    def removed(self) -> Mapping[int, RemovedMember]:
        """Who was removed, by node id."""
        return MappingProxyType(self._removed)

    def remove(self, node_id: int, index: int) -> None:
        """The configuration entry at ``index`` has removed the member: its record goes, and its id is used up."""
        known = self._records.pop(node_id, MemberRecord())
        self._removed.setdefault(node_id, RemovedMember(index, known.store_id, known.udp))

    def encode(self) -> bytes:
        """The whole table as bytes: the same for equal tables."""
        plain = encode_records(self._records, self._max_command)
        if not self._removed:
            return plain
        parts = [
            _HEAD.pack(REMOVED_VERSION, 0, len(self._records)),
            _LIMIT.pack(self._max_command),
            _REMOVED.pack(len(self._removed)),
        ]
        for node_id, member in sorted(self._removed.items()):
            udp = member.udp.encode("ascii")
            parts += _FORMER.pack(node_id, member.store_id, member.index, len(udp)), udp
        head = _HEAD.size + (_LIMIT.size if self._max_command else 0)
        return b"".join(parts) + plain[head:]

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> MemberTable:
        """The table in ``data``; ``DecodeError`` when these bytes are none."""
        view = bytes(data)
        if not view.startswith(bytes((REMOVED_VERSION, 0))):
            return cls(*decode_records(view))
        start = _HEAD.size + _LIMIT.size
        if len(view) < start:
            raise DecodeError(
                f"a member table of version {REMOVED_VERSION} in {len(view)} bytes: it has {start} at least"
            )
        _, _, count = _HEAD.unpack_from(view)
        (max_command,) = _LIMIT.unpack_from(view, _HEAD.size)
        removed, at = _removed_in(view, start)
        records = _records_in(view, at, count)
        if not removed:
            raise DecodeError(f"a member table of version {REMOVED_VERSION} from which nobody was removed")
        if both := sorted(records.keys() & removed.keys()):
            raise DecodeError(f"member {both[0]} is a member, and was removed")
        return cls(records, max_command, removed)
