"""What a change of the members comes to, and what is against it: the rules by themselves (thesis 4.1 to 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from raftcore.base.types import LARGEST_ID
from raftcore.values.changes import ConfChange, ConfChangeType
from raftcore.values.message import ConfState
from raftpy import AddMember, ChangeRefused, DemoteMember, PromoteMember, RemoveMember, SetAddress
from raftpy.members.changes import KEEPS_UP, Plan, Situation, next_free_id, plan
from raftpy.members.table import MemberRecord, MemberTable

ADD, LEARNER, REMOVE = ConfChangeType.AddNode, ConfChangeType.AddLearner, ConfChangeType.RemoveNode


def udp(node_id: int) -> str:
    return f"10.0.0.{node_id}:7100"


def situation(
    voters: Sequence[int] = (1, 2, 3),
    learners: Sequence[int] = (),
    removed: Sequence[int] = (),
    down: Sequence[int] = (),
    unheard: Sequence[int] = (),
    lacks: Callable[[int], int | None] = lambda node_id: 0,
) -> Situation:
    """Node 1 leads."""
    members = [*voters, *learners]
    table = MemberTable(
        {i: MemberRecord(udp(i), f"10.0.0.{i}:80", 0 if i in unheard else 0xA0 + i) for i in [*members, *removed]}
    )
    for node_id in removed:
        table.remove(node_id, 5)
    return Situation(
        1, ConfState(voters, learners=learners), table, {i: udp(i) for i in members}, lambda i: i not in down, lacks
    )


def planned(now: Situation, *changes: Any, safe: bool = True) -> tuple[list[tuple[ConfChangeType, int]], set[int]]:
    """What is done to whom, and whose records are set."""
    found = plan(changes, now, safe=safe)
    return [(change.type, change.node_id) for change in found.changes], set(found.records)


def test_a_member_begins_as_a_learner_with_its_addresses() -> None:
    found = plan([AddMember(4, udp(4), "10.0.0.4:80")], situation(), safe=True)
    assert found == Plan([ConfChange(LEARNER, 4)], {4: MemberRecord(udp(4), "10.0.0.4:80")})


def test_each_change_in_words_of_the_core() -> None:
    now = situation(learners=[4])
    assert planned(now, PromoteMember(4)) == ([(ADD, 4)], set())
    assert planned(now, DemoteMember(2)) == ([(LEARNER, 2)], set())
    assert planned(now, RemoveMember(2)) == ([(REMOVE, 2)], set())
    assert planned(now, RemoveMember(4)) == ([(REMOVE, 4)], set())
    assert planned(now, SetAddress(2, udp(9))) == ([], {2})
    assert planned(now, PromoteMember(4), RemoveMember(3)) == ([(ADD, 4), (REMOVE, 3)], set())


def test_what_is_so_already_comes_to_nothing() -> None:
    now = situation(learners=[4], removed=[5])
    for change in (
        AddMember(4, udp(4)),
        AddMember(2, udp(2)),
        PromoteMember(2),
        DemoteMember(4),
        RemoveMember(5),
        SetAddress(2, udp(2)),
        SetAddress(2),
    ):
        assert not plan([change], now, safe=True), change


def test_an_address_is_changed_and_the_rest_of_the_record_stays() -> None:
    found = plan([SetAddress(2, http="10.0.0.9:80")], situation(), safe=True)
    assert found.records == {2: MemberRecord(udp(2), "10.0.0.9:80", 0xA2)}


@pytest.mark.parametrize(
    ("now", "changes", "text"),
    [
        (situation(removed=[4]), [AddMember(4, udp(4))], "node 4 was removed, .* the next free one is 5"),
        (situation(), [AddMember(2, udp(9))], f"node 2 is a member already, at {udp(2)}: to reach it at {udp(9)}"),
        (situation(), [AddMember(4, udp(2))], f"{udp(2)} is the address of node 2"),
        (situation(), [AddMember(4, udp(9)), AddMember(5, udp(9))], f"{udp(9)} is the address of node 4"),
        (situation(), [SetAddress(3, udp(2))], f"{udp(2)} is the address of node 2"),
        (situation(learners=[4], unheard=[4]), [PromoteMember(4)], f"has not been heard yet.* start it, at {udp(4)}"),
        (situation(learners=[4], down=[4]), [PromoteMember(4)], "node 4 is not heard"),
        (situation(learners=[4], lacks=lambda _: KEEPS_UP + 1), [PromoteMember(4)], "it lacks 1,001 entries"),
        (situation(learners=[4], lacks=lambda _: None), [PromoteMember(4)], "does not have the log yet$"),
        (situation(removed=[4]), [PromoteMember(4)], "node 4 was removed"),
        (situation([1]), [RemoveMember(1)], "no voter would be left"),
        (situation([1], [2]), [DemoteMember(1)], "no voter would be left"),
        (situation(), [RemoveMember(1)], "node 1 leads, and would be no voter"),
        (situation(), [DemoteMember(1)], "node 1 leads, and would be no voter"),
        (situation(unheard=[3]), [RemoveMember(2)], "node 3 has not been heard yet, and would wait for node 2"),
        (situation(down=[3]), [RemoveMember(2)], "of the voters 1, 3 3 is not heard: no majority would be up"),
        (situation([1, 2, 3, 4], down=[3, 4]), [DemoteMember(2)], "of the voters 1, 3, 4 3, 4 are not heard"),
    ],
)
def test_what_is_refused(now: Situation, changes: list[Any], text: str) -> None:
    with pytest.raises(ChangeRefused, match=text):
        plan(changes, now, safe=True)


def test_who_is_down_can_be_removed() -> None:
    assert planned(situation(down=[3]), RemoveMember(3)) == ([(REMOVE, 3)], set())
    # Two voters of which one is down make no majority; the other one alone does.
    assert planned(situation([1, 2], down=[2]), RemoveMember(2)) == ([(REMOVE, 2)], set())


def test_a_dead_voter_is_replaced_where_it_alone_is_down() -> None:
    now = situation([1, 2, 3], [4], down=[3])
    assert planned(now, PromoteMember(4), RemoveMember(3)) == ([(ADD, 4), (REMOVE, 3)], set())


def test_unsafe_lets_through_what_costs_a_majority_and_nothing_that_costs_a_promise() -> None:
    assert planned(situation(down=[3]), RemoveMember(2), safe=False) == ([(REMOVE, 2)], set())
    assert planned(situation(learners=[4], down=[4]), PromoteMember(4), safe=False) == ([(ADD, 4)], set())
    with pytest.raises(ChangeRefused, match="has not been heard"):
        plan([PromoteMember(4)], situation(learners=[4], unheard=[4]), safe=False)
    with pytest.raises(ChangeRefused, match="has not been heard"):
        plan([RemoveMember(2)], situation(unheard=[3]), safe=False)
    with pytest.raises(ChangeRefused, match="was removed"):
        plan([AddMember(4, udp(4))], situation(removed=[4]), safe=False)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ([PromoteMember(9)], "node 9 is no member: 1, 2, 3 are"),
        ([DemoteMember(9)], "node 9 is no member"),
        ([RemoveMember(9)], "node 9 is no member"),
        ([SetAddress(9, udp(9))], "node 9 is no member"),
        ([AddMember(0, udp(9))], f"node id 0: allowed is a whole number from 1 to {LARGEST_ID}"),
        ([AddMember(LARGEST_ID + 1, udp(9))], "node id"),
        ([AddMember(4, "no address\n")], "the UDP address of node 4: .* has no port"),
        ([AddMember(4, "")], "the UDP address of node 4: .* has no port"),
        ([AddMember(4, "0.0.0.0:1")], "wildcard"),
        ([SetAddress(2, "nonsense")], "nonsense"),
        ([AddMember(4, udp(4), "ftp://x")], "http: address .* has the scheme"),
        ([RemoveMember(2), SetAddress(2, udp(9))], "node 2 is named twice"),
    ],
)
def test_what_cannot_be_meant(changes: list[Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plan(changes, situation(), safe=True)


def test_something_else_than_a_change() -> None:
    with pytest.raises(TypeError, match="a change of the members was expected, got 'promote 4'"):
        plan(["promote 4"], situation(), safe=True)  # type: ignore[list-item]


def test_an_id_is_above_all_that_ever_were() -> None:
    assert next_free_id(ConfState([1, 2, 3]), MemberTable()) == 4
    assert next_free_id(situation(removed=[9]).conf, situation(removed=[9]).table) == 10


def test_a_host_of_several_groups_removes_nobody() -> None:
    now = replace(situation(), other_groups=True)
    with pytest.raises(ChangeRefused, match="node 2 may be a member of the other groups"):
        plan([RemoveMember(2)], now, safe=False)
    assert planned(now, DemoteMember(2)) == ([(LEARNER, 2)], set())


def test_who_has_begun_alone_stays_alone() -> None:
    now = replace(situation([1]), begun_alone=True)
    with pytest.raises(ChangeRefused, match="was begun by one node"):
        plan([AddMember(2, udp(2))], now, safe=False)
