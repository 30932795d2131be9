"""``Config.trace`` is told of every decision, with the node and its term; without it the decisions are the same."""

from __future__ import annotations

from typing import Any

from raftcore import ConfChange, ConfChangeType, MessageType, StateType
from tests.core.network import ELECTION_TICK, Network

Event = tuple[str, dict[str, Any]]


def traced(ids: int, **options: Any) -> tuple[Network, list[Event]]:
    events: list[Event] = []
    return Network(ids, trace=lambda event, fields: events.append((event, dict(fields))), **options), events


def named(events: list[Event], name: str, node: int) -> list[dict[str, Any]]:
    """The fields of the events of that name at that node, without what all events hold."""
    found = [fields for event, fields in events if event == name and fields["id"] == node]
    return [{key: value for key, value in fields.items() if key not in ("id", "term")} for fields in found]


def test_an_election_and_a_commit() -> None:
    group, events = traced(3)
    events.clear()
    group.campaign(1)
    group.propose(1, b"a")
    roles = named(events, "role", 1)
    assert [role["leader"] for role in roles] == [0, 1]
    assert [role["vote"] for role in roles] == [1, 1]
    assert roles[0]["role"] != roles[1]["role"]
    assert {"candidate": 1, "granted": True, "pre": False, "for_term": 1} in named(events, "vote", 2)
    assert named(events, "commit", 1) == [{"index": 1}, {"index": 2}]
    assert all(fields["term"] in (0, 1) for _, fields in events)


def test_a_vote_that_is_denied() -> None:
    group, events = traced(3)
    group.campaign(1)
    group.propose(1, b"a")
    group.isolate(3)
    group.propose(1, b"b")
    group.heal()
    group.campaign(3)
    assert {"candidate": 3, "granted": False, "pre": False, "for_term": 2} in named(events, "vote", 2)


def test_a_rejected_append() -> None:
    group, events = traced(3)
    group.campaign(1)
    group.isolate(3)
    group.propose(1, b"a", b"b")
    group.heal()
    group.campaign(2)
    assert {"from": 2, "index": 3, "hint": 1, "hint_term": 1} in named(events, "append_rejected", 3)
    assert named(events, "progress", 2)[0] == {"of": 3, "match": 0, "next": 2}, "where the logs can agree at last"


def test_a_snapshot_a_configuration_and_a_transfer() -> None:
    group, events = traced(3)
    group.campaign(1)
    group.isolate(3)
    last = group.propose(1, *(b"%d" % number for number in range(10))) + 9
    for node_id in (1, 2):
        member = group[node_id]
        member.storage.create_snapshot(last, member.conf_state)
        member.storage.compact(last)
        member.raw.compact(last)
    group.heal()
    group.tick_all(3)
    term = group[1].raw.term
    assert {"to": 3, "index": last, "snapshot_term": term} in named(events, "snapshot_sent", 1)
    assert named(events, "snapshot_restored", 3) == [{"index": last, "snapshot_term": term}]
    group[1].raw.propose_conf_change(ConfChange(ConfChangeType.RemoveNode, 3))
    group.settle()
    assert named(events, "configuration", 1)[-1]["configuration"] == "voters=(1 2)"
    group[1].raw.transfer_leader(2)
    group.settle()
    assert group.leader == 2
    assert named(events, "transfer", 1)[0]["to"] == 2


def test_a_preferred_voter_that_does_not_stand() -> None:
    group, events = traced(3, priorities={2: 1})
    group.campaign(1)
    group.lose = lambda message: message.type == MessageType.MsgTimeoutNow
    group.tick_all(16 * ELECTION_TICK)
    assert named(events, "takeover", 1) == [{"to": 2, "in_vain": 0}, {"to": 2, "in_vain": 1}]


def test_a_leader_that_is_forgotten() -> None:
    group, events = traced(3)
    group.campaign(1)
    group[2].raw.forget_leader()
    assert named(events, "leader_forgotten", 2) == [{"leader": 1}]
    group[2].raw.forget_leader()
    assert len(named(events, "leader_forgotten", 2)) == 1, "there was none any more"
    assert group[2].raw.leader == 0
    group.tick_all()
    assert group[2].raw.leader == 1, "the leader's next message undoes it"


def test_who_is_not_asked_decides_the_same() -> None:
    def played(group: Network) -> list[Any]:
        group.campaign(1)
        group.propose(1, b"a")
        group.isolate(1)
        group.campaign(2)
        group.heal()
        group.tick_all(5)
        return [
            [member.raw.fingerprint() for member in group.members.values()],
            [(message.type, message.from_, message.to, message.index) for message in group.sent],
        ]

    assert played(traced(3)[0]) == played(Network(3))
    assert group_of_roles(traced(3)[0]) == [StateType.StateLeader, StateType.StateFollower, StateType.StateFollower]


def group_of_roles(group: Network) -> list[StateType]:
    group.campaign(1)
    assert group.of_type(MessageType.MsgVote)
    return [member.role for member in group.members.values()]
