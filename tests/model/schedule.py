"""Random schedules: a cluster's settings and a list of steps, both from one seed.

A step is numbers only, and says "the third of the messages in flight, whatever that is now". So a schedule with steps
left out is a schedule again, which is what shrinking needs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from raftcore import UNLIMITED, ConfState


class Step(NamedTuple):
    kind: str
    node: int
    """Which node, as a number to take modulo."""
    a: int
    b: int


WEIGHTS = {
    "deliver": 300,
    "ready": 220,
    "write": 90,
    "apply": 60,
    "tick": 110,
    "tick_all": 45,
    "propose": 70,
    "settle": 12,
    "drop": 25,
    "repeat": 20,
    "stale": 8,
    "change": 25,
    "campaign": 4,
    "transfer": 8,
    "forget": 2,
    "read": 20,
    "unreachable": 5,
    "snapshot_status": 8,
    "compact": 18,
    "crash": 7,
    "isolate": 4,
    "heal": 5,
    "pin_timeout": 2,
    "clone": 4,
    "snapshot_availability": 3,
    "priorities": 2,
}
TEMPERS = {
    "calm": {"drop": 0.2, "crash": 0.3, "isolate": 0.5, "stale": 0.5},
    "storm": {"drop": 3.0, "repeat": 3.0, "crash": 2.0, "isolate": 3.0, "heal": 2.0, "stale": 4.0},
    "busy": {"propose": 4.0, "read": 3.0},
    "moving": {"change": 4.0, "transfer": 3.0, "compact": 2.0},
    "plain": {},
}


@dataclass(frozen=True)
class Cluster:
    """What all nodes of one schedule have in common."""

    seed: int
    ids: tuple[int, ...]
    boot: ConfState
    settings: dict[str, Any]
    keep_application: bool
    through_codec: bool
    temper: str

    def describe(self) -> str:
        changed = {name: value for name, value in self.settings.items() if value not in (False, None, UNLIMITED, ())}
        return f"{len(self.ids)} nodes, {self.temper}, boot {self.boot}, {changed}"


def draw_cluster(seed: int) -> Cluster:
    r = random.Random(f"cluster {seed}")
    count = r.choice((1, 2, 3, 3, 3, 4, 5))
    ids = tuple(range(1, count + 1))
    voting = sorted(r.sample(ids, r.choice((count, count, r.randint(1, count)))))
    rest = [id for id in ids if id not in voting]
    learners = [id for id in rest if r.random() < 0.5]
    return Cluster(
        seed=seed,
        ids=ids,
        boot=ConfState(voters=voting, learners=learners),
        settings=draw_settings(r, ids, voting),
        keep_application=r.random() < 0.5,
        through_codec=r.random() < 0.3,
        temper=r.choice(tuple(TEMPERS)),
    )


def draw_settings(r: random.Random, ids: tuple[int, ...], voting: list[int]) -> dict[str, Any]:
    heartbeat = r.choice((1, 1, 2))
    election = r.randint(heartbeat + 2, 10)
    size = r.choice((UNLIMITED, UNLIMITED, 0, 60, 150, 400))
    settings: dict[str, Any] = {
        "seed": r.randrange(1 << 32),
        "election_tick": election,
        "heartbeat_tick": heartbeat,
        "quiet_heartbeat_tick": r.choice((0, 0, heartbeat, heartbeat + 1, election - 1)),
        "max_size_per_msg": size,
        "max_committed_size_per_ready": r.choice((UNLIMITED, UNLIMITED, 1, 40, 100, 300)),
        "max_uncommitted_size": r.choice((UNLIMITED, UNLIMITED, 0, 10, 60)),
        "max_inflight_msgs": r.choice((256, 256, 1, 2, 4)),
        "max_inflight_bytes": UNLIMITED if size == UNLIMITED else r.choice((UNLIMITED, max(size, 1), size + 50)),
        "max_window_bytes": r.choice((UNLIMITED, UNLIMITED, 0, 30)),
        "max_window_entries": r.choice((UNLIMITED, UNLIMITED, 0, 5)),
        "async_storage_writes": r.random() < 0.6,
        "pre_vote": r.random() < 0.5,
        "check_quorum": r.random() < 0.5,
        "disable_proposal_forwarding": r.random() < 0.1,
        "disable_conf_change_validation": r.random() < 0.08,
        "step_down_on_removal": r.random() < 0.5,
        "max_reject_runs": r.choice((0, 0, 0, 1, 2, 10)),
        "conf_change_after_own_commit": r.random() < 0.2,
    }
    if settings["check_quorum"]:
        modes = (("safe", False), ("safe", True), ("lease", False))
        settings["read_only"], settings["ignore_forget_leader"] = r.choice(modes)
        if settings["read_only"] == "lease":
            settings["lease_ms"] = r.randint(1, 10 * election)
    if len(voting) > 1 and r.random() < 0.2:
        settings["witnesses"] = (r.choice(voting),)
    if r.random() < 0.25:
        settings["priorities"] = {id: r.randrange(3) for id in ids}
    return settings


def draw_steps(cluster: Cluster, count: int) -> list[Step]:
    r = random.Random(f"steps {cluster.seed}")
    factors = TEMPERS[cluster.temper]
    kinds = r.choices(
        tuple(WEIGHTS), [weight * factors.get(kind, 1.0) for kind, weight in WEIGHTS.items()], k=count
    )  # fmt: skip
    numbers = r.getrandbits
    steps = [Step(kind, numbers(16), numbers(32), numbers(32)) for kind in kinds]
    return with_starts(cluster, with_offers(cluster.seed, with_pages(cluster.seed, steps)))


def with_pages(seed: int, steps: list[Step]) -> list[Step]:
    """In half of all schedules some steps give way to storages that have to read what left the memory."""
    r = random.Random(f"pages {seed}")
    if r.random() < 0.5:
        return steps
    kinds = ("entries_at_hand", "report_entries")
    return [
        Step(r.choice(kinds), r.getrandbits(16), r.getrandbits(32), r.getrandbits(32)) if r.random() < 0.06 else step
        for step in steps
    ]


def with_offers(seed: int, steps: list[Step]) -> list[Step]:
    """In a third of all schedules some steps give way to leaders that offer one snapshot in place of another."""
    r = random.Random(f"offers {seed}")
    if r.random() >= 1 / 3:
        return steps
    return [
        Step("offer_snapshot", r.getrandbits(16), r.getrandbits(32), r.getrandbits(32)) if r.random() < 0.06 else step
        for step in steps
    ]


def with_starts(cluster: Cluster, steps: list[Step]) -> list[Step]:
    """In half of the schedules with priorities some steps give way to the news that a member was started again, and to
    orders to stand that are lost while much time passes."""
    r = random.Random(f"starts {cluster.seed}")
    if "priorities" not in cluster.settings or r.random() < 0.5:
        return steps
    kinds = ("started", "in_vain", "in_vain")
    return [
        Step(r.choice(kinds), r.getrandbits(16), r.getrandbits(32), r.getrandbits(32)) if r.random() < 0.02 else step
        for step in steps
    ]
