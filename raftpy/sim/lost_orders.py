"""Orders to stand for election that come to nothing: the fault, and the worlds that have it.

A leader to whom another voter is preferred tells that one to stand (thesis 3.10), and is not told what comes of it. In
these worlds nothing does for a while, so that it is told again, after longer and longer pauses; once all is well it
must come to lead all the same, which is checked at the end (``run.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from raftcore import Message, MessageType, StateType
from raftcore.wire.codec import messages
from raftpy.sim.cluster import Cluster, Life
from raftpy.sim.plan import Fault, Plan

SHARE = 1 / 40
"""Of the worlds."""
HIGHEST = 5.0
"""The priority that somebody gets in these worlds, above all that others draw."""
FIRST_ORDER_S = 0.1
"""By then it is known to all, where all is well."""
ELECTIONS = (4, 40)
"""For so many election timeouts no order comes to anything: an order, and perhaps one or two more."""
THE_ORDER, THE_VOTES = 0, 1
"""What is lost, a fault's ``other``: the order on its way, or what the one who is told stands with. Then a later term
begins all the same, without the leader having done anything."""
THE_VOTES_SHARE = 1 / 4
"""How often it is the latter."""
BY_ORDER = b"CampaignTransfer"
"""The context of a request for a vote by who was told to stand."""


def lost_order(cluster: Cluster, fault: Fault) -> None:
    """For ``value`` seconds nobody hears that it is to stand (``other`` 0), or nobody hears who stands by order (1)."""
    until_s = cluster.world.now + fault.value
    before = cluster.network.keep

    def keep(from_id: int, to_id: int, datagram: bytes) -> bool:
        if before is not None and before(from_id, to_id, datagram):
            return True
        if cluster.healed or cluster.world.now >= until_s or not tells_of(datagram, fault.other):
            return False
        cluster.reached("an order to stand came to nothing")
        return True

    cluster.network.keep = keep


def tells_of(datagram: bytes, what: int) -> bool:
    """Whether there is such a message in it."""
    found = [message for _, message in messages(datagram) if isinstance(message, Message)]
    if what == THE_ORDER:
        return any(message.type == MessageType.MsgTimeoutNow for message in found)
    return any(message.type == MessageType.MsgVote and message.context == BY_ORDER for message in found)


def with_lost_orders(plan: Plan, source: Random) -> Plan:
    """The plan, and in a few worlds somebody is preferred once all else that befalls them has begun, and nothing comes
    of what it is told for a while, for which they last longer. The dice are its own, so that they move nothing else."""
    if source.random() >= SHARE or plan.nodes == 1:
        return plan
    at_s = plan.duration_s
    lasts_s = round(source.uniform(*ELECTIONS) * plan.options.election_ms / 1000, 3)
    node = source.randint(1, plan.nodes)
    what = THE_VOTES if source.random() < THE_VOTES_SHARE else THE_ORDER
    asked_again_s = round(at_s + FIRST_ORDER_S, 5)  # who leads may have changed just then
    found = (
        Fault(at_s=at_s, kind="priority", other=node, value=HIGHEST),
        Fault(at_s=at_s, kind="lost_order", other=what, value=round(FIRST_ORDER_S + lasts_s, 3)),
        Fault(at_s=asked_again_s, kind="priority", other=node, value=HIGHEST),
    )
    duration_s = round(at_s + FIRST_ORDER_S + lasts_s, 3)
    return replace(plan, duration_s=duration_s, faults=(*plan.faults, *found), watched=True)


def passed_over(lives: Sequence[Life], group: int) -> str | None:
    """Who should lead the group instead of whoever does, as its leader has heard it; None: nobody.

    Only who can lead counts: a voter that has its state.
    """
    for life in lives:
        raw = life.groups[group].raw
        if raw.state != StateType.StateLeader:
            continue
        assert life.host.driver is not None
        priority = life.host.driver.priority
        own = priority(life.process.node)
        for other in lives:
            node = other.process.node
            lacking = other.groups[group].raw.awaits_state or node not in raw.conf_state.voters
            if priority(node) > own and not lacking:
                return f"node {node} with priority {priority(node)}, not node {life.process.node} with {own}"
        return None
    return "somebody"
