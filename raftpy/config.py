"""A node's settings: checked once, where they are made, with errors that name the value and what was allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from types import MappingProxyType

from raftcore.base.errors import ConfigError
from raftcore.base.types import LARGEST_ID
from raftpy.transport.exchange.address import is_wildcard as is_wildcard  # noqa: PLC0414 (for applications, too)
from raftpy.transport.exchange.address import parse_address
from raftpy.transport.exchange.http_address import HttpAddress, split_scheme
from raftpy.transport.exchange.sizes import (
    LARGEST_DATAGRAM,
    LOOPBACK_DATAGRAM,
    SMALLEST_DATAGRAM,
)
from raftpy.transport.exchange.unreliable import Unreliable

LISTEN_HINT = "to listen at the wildcard, give --listen {} (Config.listen) beside it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How one node of a cluster runs. Raises ``ConfigError`` for a value that is not allowed.

    Immutable. Times are in milliseconds, sizes in bytes; the core's names for the same settings (etcd/raft's) count in
    ticks of ``tick_ms``.
    """

    id: int
    """This node's id for all time, 1 to 2**64 - 3; one of ``cluster``, unless ``udp`` is given."""

    cluster: Mapping[int, str]
    """The first members, node id to UDP address as ``host:port``; the same on every node. Counts at the first start.

    The addresses are those at which the others reach a member, so a wildcard such as 0.0.0.0 is none: see ``listen``.
    Names are looked up behind the start, and again while the member is silent.
    """

    udp: str | None = None
    """This node's own UDP address, ``host:port``, where it is none of the first members or has moved since: under it
    the others know it, see ``Node.members``. A node that is none of the first members takes part once it was added.
    None: the one in ``cluster``."""

    contacts: Mapping[int, str] = field(default_factory=dict)
    """Other nodes that this one speaks to from the start, or where those in ``cluster`` are reached by now, node id to
    UDP address: counts until the cluster's own table of the members says something of them. For a node that joins after
    the first members have gone, or moved, and for one that was down while all were replaced whom it knew as members."""

    listen: str | None = None
    """UDP address, ``host:port``, to listen at in place of the node's own in ``cluster``: a wildcard, or the address
    behind a translation. Messages of the peers must arrive there. None: the node's own."""

    data_dir: str | PathLike[str] | None = None
    """Where term, vote and log are kept: made when missing, refused when other files are in it.

    None: in memory, which forgets them when the node stops.
    """

    http: str | None = None
    """Address at which clients reach this node's HTTP server; told to the peers so that they can name it.

    ``host:port``, or behind a TLS proxy ``https://host[:port]``. Kept in one form: ``http://`` is left out, and a port
    that the scheme stands for is written.
    """

    cluster_id: int | None = None
    """What tells this cluster's datagrams from others', 1 to 2**64 - 1. None: a hash of ``cluster``. Counts at the
    first start."""

    tick_ms: int = 10
    """Length of a tick, 1 to 1,000 milliseconds: all other times are counted in ticks."""

    heartbeat_ms: int = 50
    """How often a leader says that it is there (paper 5.2), in milliseconds; a multiple of ``tick_ms``, below the
    election timeout."""

    quiet_heartbeat_ms: int | None = None
    """How often it says so while nothing is going on, in milliseconds: a multiple of ``tick_ms``, ``heartbeat_ms`` at
    least, below the election timeout. A quiet node wakes up for little else.

    None: half as much again as ``heartbeat_ms``, or less, so that two come within the shortest election timeout and
    one of them may be lost: 70 with the defaults.
    """

    election_ms: tuple[int, int] = (150, 300)
    """A follower that hears from no leader for a time drawn from the first up to the second starts an election (paper
    5.2).

    In milliseconds. The first is a multiple of ``tick_ms``, 3,600,000 at most; the second is twice the first: the core
    draws from [n, 2n) ticks.
    """

    max_datagram: int | None = None
    """Bytes of the largest datagram, 512 to 65,507. None: as large as the path to each peer takes.

    That is found out on Linux, from 1,152 bytes up to this (RFC 8899), for each peer. Elsewhere each path is taken to
    carry this, by default 60,000 when every member is on loopback, else 1,200, and datagrams have 48 fewer. What does
    not fit one, as a message with a large command, is sent in fragments.
    """

    max_inflight_messages: int = 256
    """Append messages that may be on their way to one follower, 1 to 2**20."""

    max_inflight_bytes: int = 1 << 20
    """Their bytes together, at least one datagram's, 2**40 at most; about what a follower's socket buffer should
    hold. A larger message may be on its way when no other is."""

    max_uncommitted_bytes: int = 64 << 20
    """Commands a leader takes while they are not applied, in bytes, 1 to 2**40; more is refused as ``Overloaded``.

    What is proposed before the next pass of the event loop is taken or refused together, and always taken where nothing
    is uncommitted: so much more there may be.
    """

    log_cache_bytes: int = 64 << 20
    """Bytes of the log's newest entries that stay in memory, 0 to 2**40: commands, and 16 for each entry. Groups of a
    host share them evenly.

    What a follower lacks is sent from there; what is older is read back from the store, beside everything else. Entries
    that are not durable yet stay in memory in any case; those that are not applied, up to this size or 4 MiB."""

    catch_up_rate: int | None = 24 << 20
    """Bytes of the log a second, 2**16 to 2**40, that a follower is sent of what a leader reads back for it, where a
    quorum has been heard of members that lack nothing of that kind: so that the others' commits keep their times while
    it catches up.

    However little that is, it is sent two entries for each by which the log grows meanwhile, so it gets there. None: as
    fast as it takes them."""

    snapshot_bytes: int = 256 << 20
    """Bytes of log behind a group's last snapshot before the next is taken, 1 to 2**40, where the state machine gives
    out its state (``raftpy.InMemoryStateMachine``).

    A state that is larger waits for as much log as it had bytes in the last snapshot, so that snapshots never write
    more than the log does. One a minute at most, each node in its own turn of the minute, so that not all members are
    at it at once; below 16 MiB the first one comes up to an interval later instead. Where the disk runs short one is
    taken sooner (docs/design-storage.md)."""

    snapshot_entries: int | None = None
    """The same in entries, 1 to 2**40: whichever comes first, and as often as they come. None: they do not count."""

    snapshots_kept: int = 2
    """How many snapshots of a group are kept, 2 to 64; the log is cut behind the oldest of them, once that was read
    back.

    One that is damaged must not cost the node its state: then an older one is used, and the log behind that. So two are
    the least. Each more takes its size on the disk, and an interval more of log stays."""

    snapshot_rate: int | None = None
    """Bytes of snapshots a second, 2**20 to 2**40, that this node gives to others, all together. None: as fast as the
    path takes them beside everything else."""
    trailing_bytes: int = 1 << 30
    """Bytes of log that may stay behind a group's oldest snapshot, 0 to 2**40, a quarter of what is free on the disk at
    most. A leader keeps what any member that it has heard in the last ten minutes still needs; any other node keeps as
    much, since it may come to lead. A member that needs more is brought up by a snapshot."""

    scrub_rate: int | None = 1 << 20
    """Bytes a second, 2**16 to 2**40, at which closed parts of the log and snapshots are read back, once a day and for
    the first time an hour after the start, so that damage is found before what is damaged is needed:
    ``NodeStatus.damage``. 0 or None: they are not."""

    bootstrap: bool = False
    """Lets a new node take part without the members that do not answer within three seconds.

    A node whose store holds nothing asks every other member whether the cluster knows its id by another store, and
    waits for all their answers. For a cluster that is founded before all its members are there; never to bring back a
    node that has lost its data.
    """

    pre_vote: bool = True
    """Ask before standing for election, so that a node that was cut off disturbs nobody when it returns (thesis
    9.6)."""

    check_quorum: bool = True
    """A leader that hears no quorum for an election timeout steps down (thesis 6.2); while a leader is heard, votes are
    refused (thesis 4.2.3)."""

    unreliable: Unreliable | None = None
    """Makes this node's network bad on purpose, on the sending side. None: what the variable RAFTPY_UNRELIABLE says."""

    seed: int | None = None
    """Of the election timeouts and all else that is random here, 0 to 2**64 - 1. None: another one each time."""

    addresses: Mapping[int, str] = field(init=False, repr=False, compare=False)
    """``cluster``, checked and read-only, by ascending node id."""

    def __post_init__(self) -> None:
        _within("id", self.id, 1, LARGEST_ID)
        object.__setattr__(self, "addresses", _checked_cluster(self.cluster))
        object.__setattr__(self, "contacts", _checked_cluster(self.contacts) if self.contacts else MappingProxyType({}))
        if self.udp is not None:
            _checked_advertised("udp", self.udp, LISTEN_HINT.format(self.udp))
        elif self.id not in self.cluster:
            raise ConfigError(
                f"id is {self.id}, which is not in the cluster: its nodes are {_listed(self.cluster)}; a node that is "
                "added to them later needs its own UDP address (--udp, Config.udp)"
            )
        if self.http is not None:
            object.__setattr__(self, "http", checked_http(self.http))
        if self.listen is not None:
            _checked_address("listen", self.listen)
        if self.cluster_id is not None:
            _within("cluster_id", self.cluster_id, 1, 2**64 - 1)
        self._check_times()
        if self.max_datagram is not None:
            _within("max_datagram", self.max_datagram, SMALLEST_DATAGRAM, LARGEST_DATAGRAM, " bytes")
        _within("max_inflight_messages", self.max_inflight_messages, 1, 1 << 20)
        _within("max_inflight_bytes", self.max_inflight_bytes, 1, 1 << 40, " bytes")
        if self.max_inflight_bytes < (datagram := self.max_datagram or LOOPBACK_DATAGRAM):
            raise ConfigError(
                f"max_inflight_bytes is {self.max_inflight_bytes}: it must hold at least one datagram, "
                f"{datagram:,} bytes"
            )
        _within("max_uncommitted_bytes", self.max_uncommitted_bytes, 1, 1 << 40, " bytes")
        _within("log_cache_bytes", self.log_cache_bytes, 0, 1 << 40, " bytes")
        if self.catch_up_rate is not None:
            _within("catch_up_rate", self.catch_up_rate, 1 << 16, 1 << 40, " bytes a second")
        _within("snapshot_bytes", self.snapshot_bytes, 1, 1 << 40, " bytes")
        if self.snapshot_entries is not None:
            _within("snapshot_entries", self.snapshot_entries, 1, 1 << 40, " entries")
        if self.snapshot_rate is not None:
            _within("snapshot_rate", self.snapshot_rate, 1 << 20, 1 << 40, " bytes a second")
        if self.scrub_rate not in (None, 0):
            _within("scrub_rate", self.scrub_rate, 1 << 16, 1 << 40, " bytes a second")
        _within("snapshots_kept", self.snapshots_kept, 2, 64, " snapshots")
        _within("trailing_bytes", self.trailing_bytes, 0, 1 << 40, " bytes")
        if self.seed is not None:
            _within("seed", self.seed, 0, 2**64 - 1)

    def _check_times(self) -> None:
        _within("tick_ms", self.tick_ms, 1, 1000)
        _in_ticks("heartbeat_ms", self.heartbeat_ms, self.tick_ms)
        match self.election_ms:
            case (int(shortest), int(longest)):
                pass
            case _:
                raise ConfigError(f"election_ms is {self.election_ms!r}: a pair (shortest, longest) is expected")
        _in_ticks("election_ms[0]", shortest, self.tick_ms)
        if longest != 2 * shortest:
            raise ConfigError(
                f"election_ms is {self.election_ms}: the second must be twice the first, here {2 * shortest}"
            )
        if self.heartbeat_ms >= shortest:
            raise ConfigError(
                f"heartbeat_ms is {self.heartbeat_ms}: it must be below the shortest election timeout, {shortest}"
            )
        if self.quiet_heartbeat_ms is not None:
            _in_ticks("quiet_heartbeat_ms", self.quiet_heartbeat_ms, self.tick_ms)
            if not self.heartbeat_ms <= self.quiet_heartbeat_ms < shortest:
                raise ConfigError(
                    f"quiet_heartbeat_ms is {self.quiet_heartbeat_ms}: it must be heartbeat_ms ({self.heartbeat_ms}) "
                    f"or more, and below the shortest election timeout, {shortest}"
                )

    @property
    def heartbeat_ticks(self) -> int:
        """``heartbeat_ms`` in ticks."""
        return self.heartbeat_ms // self.tick_ms

    @property
    def quiet_heartbeat_ticks(self) -> int:
        """``quiet_heartbeat_ms``, or what stands for None, in ticks."""
        if self.quiet_heartbeat_ms is not None:
            return self.quiet_heartbeat_ms // self.tick_ms
        two_come = (self.election_ticks - 1) // 2  # with a tick left in which the second may arrive
        return max(self.heartbeat_ticks, min(self.heartbeat_ticks * 3 // 2, two_come))

    @property
    def election_ticks(self) -> int:
        """The shortest election timeout in ticks."""
        return self.election_ms[0] // self.tick_ms


def parse_cluster(text: str) -> dict[int, str]:
    """Reads ``1=127.0.0.1:7101,2=[::1]:7102``; raises ``ConfigError`` that names the part it does not understand."""
    cluster: dict[int, str] = {}
    for part in text.split(","):
        number, separator, address = part.strip().partition("=")
        if not separator or not number.isascii() or not number.isdigit():
            raise ConfigError(f"{part.strip()!r} in the cluster {text!r}: expected ID=HOST:PORT, with a number as ID")
        node_id = int(number)
        if node_id in cluster:
            raise ConfigError(f"node {node_id} is in the cluster {text!r} twice")
        cluster[node_id] = address
    return dict(_checked_cluster(cluster))


def format_cluster(cluster: Mapping[int, str]) -> str:
    """What ``parse_cluster`` reads, by ascending id; nothing is checked."""
    return ",".join(f"{node_id}={address}" for node_id, address in sorted(cluster.items()))


def _checked_cluster(cluster: Mapping[int, str]) -> Mapping[int, str]:
    if not cluster:
        raise ConfigError("the cluster is empty: at least one node is needed")
    seen: dict[str, int] = {}
    for node_id, address in cluster.items():
        _within("a node id in the cluster", node_id, 1, LARGEST_ID)
        _checked_advertised(f"the address of node {node_id}", address, LISTEN_HINT.format(address))
        other = seen.setdefault(address, node_id)
        if other != node_id:
            raise ConfigError(f"nodes {other} and {node_id} have the same address {address}: each needs its own")
    return MappingProxyType(dict(sorted(cluster.items())))


def check_udp(name: str, address: object) -> None:
    """Refuses an address at which others cannot reach a member, with ``ConfigError``; ``name`` says whose it is."""
    _checked_advertised(name, address, "others need one that is theirs to use")


def _checked_advertised(name: str, address: object, hint: str) -> None:
    """Refuses an address that others cannot use; ``hint`` says how to listen at a wildcard."""
    if isinstance(address, str):
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if is_wildcard(host):
            raise ConfigError(
                f"{name}: {address} is a wildcard, at which nobody can reach it: name one address; {hint}"
            )
        if port and not port.strip("0"):
            raise ConfigError(
                f"{name}: {address} has port 0, which stands for any free port, and nobody would know which: name "
                "one from 1 to 65535"
            )
    _checked_address(name, address)


def checked_http(http: object) -> str:
    """The address in its one form, see http_address.py. Raises ``ConfigError``."""
    if not isinstance(http, str):
        raise ConfigError(f"http is {http!r}: expected a string, HOST:PORT")
    try:
        scheme, address = split_scheme(http)
    except ConfigError as error:
        raise ConfigError(f"http: {error}") from None
    _checked_advertised("http", address, "http is what clients are told; serve at the wildcard itself")
    return str(HttpAddress(scheme, *parse_address(address)))


def _checked_address(name: str, address: object) -> None:
    if not isinstance(address, str):
        raise ConfigError(f"{name} is {address!r}: expected a string, HOST:PORT")
    try:
        parse_address(address)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _within(name: str, value: object, low: int, high: int, unit: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}: allowed is a whole number from {low:,} to {high:,}{unit}")


def _in_ticks(name: str, value: object, tick_ms: int) -> None:
    _within(name, value, tick_ms, 3_600_000, " ms")
    assert isinstance(value, int)
    if value % tick_ms:
        raise ConfigError(f"{name} is {value}: it must be a multiple of tick_ms, which is {tick_ms}")


def _listed(cluster: Mapping[int, str]) -> str:
    return ", ".join(map(str, sorted(cluster)))
