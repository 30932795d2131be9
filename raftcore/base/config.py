"""Settings of one core. Everything beyond etcd/raft is an option that is off here; the driver switches it on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from raftcore.base.errors import ConfigError
from raftcore.base.types import LARGEST_ID, UNLIMITED

READ_ONLY_MODES = ("safe", "lease")

Trace = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a :class:`raftcore.RawNode`; checked on construction (:class:`ConfigError`).

    Times are in ticks of the caller (``RawNode.tick``) unless a name ends in ``_ms``; sizes are in bytes, up to 2**64 -
    1 (``UNLIMITED``, no limit). The names are those of etcd/raft's Config where it has the setting.
    """

    id: int
    """This node's id, 1 to 2**64 - 3, for all time."""
    election_tick: int = 10
    """Ticks without a leader before an election; each wait is drawn from [election_tick, 2 * election_tick) (paper
    5.2). Above ``heartbeat_tick``, below 2**30."""
    heartbeat_tick: int = 1
    """Ticks between a leader's heartbeats (paper 5.2), at least 1."""
    quiet_heartbeat_tick: int = 0
    """Ticks between a leader's heartbeats while nothing is going on: at least ``heartbeat_tick``, below
    ``election_tick``. 0: ``heartbeat_tick``, as in etcd/raft. Nothing is going on where, at a heartbeat, nothing was
    appended and no read was begun since the last one, and all members hold the whole log, which is committed (beyond
    etcd/raft)."""
    max_size_per_msg: int = UNLIMITED
    """Bytes of blocks (headers included) in one append; one entry always goes. 0: one entry a message."""
    max_committed_size_per_ready: int = UNLIMITED
    """Bytes of committed entries handed out and not yet reported as applied (payload, and 16 for each entry); one entry
    always goes."""
    max_uncommitted_size: int = UNLIMITED
    """Bytes of payload a leader holds that are not applied before it drops proposals. The commands of one call are
    taken or dropped together, and always taken when nothing is held."""
    max_inflight_msgs: int = 256
    """Appends on their way to one follower, 1 to 2**31 - 1."""
    max_inflight_bytes: int = UNLIMITED
    """Payload bytes on their way to one follower, at least 1; not below max_size_per_msg, unless that is UNLIMITED."""
    async_storage_writes: bool = False
    """The driver's form: storage work as messages with responses, instead of ``ready()`` / ``advance()``."""
    pre_vote: bool = False
    """Ask whether an election could be won before starting one (thesis 9.6)."""
    check_quorum: bool = False
    """A leader that hears no quorum for an election timeout steps down (thesis 6.2); voters that know of a live leader
    ignore requests for votes (paper 6, thesis 4.2.3)."""
    read_only: str = "safe"
    """``safe`` confirms each read with a quorum (thesis 6.4); ``lease`` answers at once while a lease dated from a
    confirmed heartbeat's sending holds (thesis 6.4.1, beyond etcd/raft), which needs ``check_quorum``. etcd/raft's
    lease-based reads are not offered: they answer with old data as long as a leader that was cut off, or that handed
    over, has not noticed it."""
    lease_ms: int = 0
    """With ``read_only="lease"``, and only then above 0: the lease's length in milliseconds of ``now_ms``. It must end
    before any voter's minimum election timeout can, however far their clocks drift: below election_tick ticks, less the
    drift, less one tick. That is not checked here: a core does not know how long a tick is."""
    priorities: Mapping[int, int] | None = None
    """Node id -> election priority, 0 to 2**31 - 1, 0 for those not named; the highest leads when it can (beyond
    etcd/raft). The state at the start: ``RawNode.set_members`` changes it."""
    disable_proposal_forwarding: bool = False
    """Followers drop proposals (``not_leader``) instead of sending them to the leader."""
    disable_conf_change_validation: bool = False
    """Append configuration changes unchecked, several at a time too; as in etcd/raft, for those who check them
    elsewhere."""
    step_down_on_removal: bool = False
    """A leader that is removed or demoted becomes a follower when it applies that (thesis 4.2.2). Otherwise it leads
    on, and drops proposals when it is no member any more."""
    conf_change_after_own_commit: bool = False
    """Refuse configuration changes until this leader has committed an entry of its own term (beyond etcd/raft)."""
    votes_before_write: bool = False
    """Ask for votes before this node's own term and vote are durable, as etcd/raft does with async storage writes. Only
    to reproduce it: elected without them, and restarted, a node may lead the same term a second time."""
    ignore_forget_leader: bool = False
    """``forget_leader()`` does nothing, as in etcd/raft where reads are lease-based. Only to reproduce that."""
    applied: int = 0
    """Highest index that the state machine has applied already, on restart; at most the storage's last index. The
    configuration in ``InitialState`` must be the one after it."""
    max_window_bytes: int = 64 << 20
    """Bytes of stable, applied entries kept in memory: payload, and 16 for each entry. Of stable entries that are not
    applied, as many, or four times ``max_committed_size_per_ready`` where that is more."""
    max_window_entries: int = 1_000_000
    """Number of stable, applied entries kept in memory."""
    seed: int = 0
    """Seed of the election timeouts, 0 to 2**64 - 1. Together with the inputs it determines every output; nodes with
    the same seed and other ids draw other timeouts."""
    witnesses: Collection[int] = ()
    """Ids of the voters that hold terms but no payloads; the same on every member (beyond etcd/raft; docs/design.md).
    The state at the start: ``RawNode.set_members`` changes it."""
    max_reject_runs: int = 0
    """Runs of terms that a rejection lists, below 2**20, 16 bytes each, so that the leader finds the last agreement in
    few round trips; probes then carry no payload. 0: the plain hint of etcd/raft (beyond etcd/raft)."""
    trace: Trace | None = None
    """Called with (event: str, fields: dict) at every decision, from within the call that makes it; ``fields["id"]`` is
    this node's. What it raises comes out of that call. ``None`` costs one comparison."""

    def __post_init__(self) -> None:
        if not 1 <= self.id <= LARGEST_ID:
            raise ConfigError(f"id must be 1 to {LARGEST_ID}, not {self.id}")
        if self.heartbeat_tick < 1:
            raise ConfigError(f"heartbeat_tick must be at least 1, not {self.heartbeat_tick}")
        if not self.heartbeat_tick < self.election_tick < 1 << 30:
            raise ConfigError(
                f"election_tick must be above heartbeat_tick ({self.heartbeat_tick}) and below 2**30, "
                f"not {self.election_tick}"
            )
        if self.quiet_heartbeat_tick and not self.heartbeat_tick <= self.quiet_heartbeat_tick < self.election_tick:
            raise ConfigError(
                f"quiet_heartbeat_tick must be 0, or at least heartbeat_tick ({self.heartbeat_tick}) and below "
                f"election_tick ({self.election_tick}), not {self.quiet_heartbeat_tick}"
            )
        if not 1 <= self.max_inflight_msgs < 1 << 31:
            raise ConfigError(f"max_inflight_msgs must be 1 to 2**31 - 1, not {self.max_inflight_msgs}")
        for name in ("max_size_per_msg", "max_committed_size_per_ready", "max_uncommitted_size", "applied", "seed"):
            value = getattr(self, name)
            if not 0 <= value <= UNLIMITED:
                raise ConfigError(f"{name} must be 0 to 2**64 - 1, not {value}")
        if not 1 <= self.max_inflight_bytes <= UNLIMITED:
            raise ConfigError(f"max_inflight_bytes must be 1 to 2**64 - 1, not {self.max_inflight_bytes}")
        if self.max_size_per_msg != UNLIMITED and self.max_inflight_bytes < self.max_size_per_msg:
            raise ConfigError(
                f"max_inflight_bytes must be at least max_size_per_msg ({self.max_size_per_msg}), "
                f"not {self.max_inflight_bytes}"
            )
        for name in ("max_window_bytes", "max_window_entries"):
            value = getattr(self, name)
            if not 0 <= value <= UNLIMITED:
                raise ConfigError(f"{name} must be 0 to 2**64 - 1, not {value}")
        if self.read_only not in READ_ONLY_MODES:
            raise ConfigError(f"read_only must be one of {', '.join(READ_ONLY_MODES)}, not {self.read_only!r}")
        if self.read_only != "safe" and not self.check_quorum:
            raise ConfigError(f"read_only={self.read_only!r} needs check_quorum=True, not False")
        if (self.lease_ms > 0) != (self.read_only == "lease") or self.lease_ms < 0:
            raise ConfigError(f"lease_ms must be above 0 with read_only='lease' and 0 otherwise, not {self.lease_ms}")
        if not 0 <= self.max_reject_runs < 1 << 20:
            raise ConfigError(f"max_reject_runs must be 0 to 2**20 - 1, not {self.max_reject_runs}")
        for node, priority in (self.priorities or {}).items():
            if not 0 <= priority < 1 << 31:
                raise ConfigError(f"the priority of node {node} must be 0 to 2**31 - 1, not {priority}")
