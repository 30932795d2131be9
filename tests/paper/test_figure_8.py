"""Figure 8: why entries of former terms are not committed by counting. S1 to S5 are nodes 1 to 5.

      index  1  2  3
  (a)  S1    1  2      leader of term 2, entry 2 on S1 and S2
  (b)  S5    1  3      leader of term 3 by the votes of S3 and S4
  (c)  S1    1  2  4   leader again, of term 4; entry 2 (term 2) now on S1, S2, S3, a majority, not committed
  (d)  S5    1  3      may win again and overwrite entry 2 everywhere
  (e)  S1    1  2  4   but had S1 brought an entry of term 4 to a majority, S5 could not win any more

Every leader here begins with an empty entry of its term, which plays the part of the figure's entries.
"""

from __future__ import annotations

from raftcore import Message, MessageType, StateType
from tests.core.network import Network
from tests.core.server import with_logs


def allow(net: Network, *groups: set[int]) -> None:
    """Only members of one group hear one another."""
    net.cut = {
        (one, other)
        for one in net.members
        for other in net.members
        if not any(one in group and other in group for group in groups)
    }


def to_a() -> Network:
    """S1 leads in term 2; its entry at index 2 is on S1 and S2 only."""
    net = with_logs({node_id: [1] for node_id in range(1, 6)}, term=1, commit=1)
    net.settle()
    net.lose = lambda m: m.type == MessageType.MsgApp and m.to in (3, 4, 5)
    net.campaign(1)
    net.lose = lambda m: False
    return net


def to_b() -> Network:
    """S1 crashed; S5 won term 3 with the votes of S3 and S4 and has another entry at index 2."""
    net = to_a()
    net.crash(1)
    allow(net, {3, 4, 5})
    net.lose = lambda m: m.type == MessageType.MsgApp
    net.campaign(5)
    net.lose = lambda m: False
    return net


def to_c() -> Network:
    """S5 crashed; S1 won term 4, and S3 has entry 2 (term 2) from it, but not yet the entry of term 4."""
    net = to_b()
    net.crash(5)
    allow(net, {1, 2, 3, 4})

    def lose(m: Message) -> bool:
        if m.type != MessageType.MsgApp:
            return False
        return m.to != 3 or net[3].raw.last_index == 2

    net[1].options["max_size_per_msg"] = 0  # one entry a message, so that entry 2 can travel without entry 3
    net.crash(1)
    net.lose = lose
    net.campaign(1)  # has to learn of term 3 first
    if net[1].role != StateType.StateLeader:
        net.campaign(1)
    net.tick(1)
    net.settle()
    return net


def terms(net: Network, node_id: int) -> list[int]:
    return [term for _, term in net[node_id].log()]


def test_figure_8_a_s1_is_leader_and_replicates_partially() -> None:
    net = to_a()
    assert (net.leader, net[1].raw.term) == (1, 2)
    assert [terms(net, i) for i in range(1, 6)] == [[1, 2], [1, 2], [1], [1], [1]]


def test_figure_8_b_s5_is_elected_by_s3_s4_and_itself_and_accepts_another_entry() -> None:
    net = to_b()
    assert (net.leader, net[5].raw.term) == (5, 3)
    assert [terms(net, i) for i in range(1, 6)] == [[1, 2], [1, 2], [1], [1], [1, 3]]


def test_figure_8_c_an_entry_of_term_2_on_a_majority_is_not_committed() -> None:
    net = to_c()
    assert (net.leader, net[1].raw.term) == (1, 4)
    assert terms(net, 1) == [1, 2, 4]
    assert terms(net, 2)[:2] == terms(net, 3)[:2] == [1, 2]
    assert net[1].raw.status().progress[3].match == 2
    assert [member.raw.commit_index for member in net.members.values()] == [1] * 5


def test_figure_8_d_s5_may_be_elected_and_overwrite_the_entry_of_term_2() -> None:
    net = to_c()
    net.crash(1)
    allow(net, {2, 3, 4, 5})
    net.lose = lambda m: False
    net.campaign(5)
    if net[5].role != StateType.StateLeader:
        net.campaign(5)
    assert net[5].role == StateType.StateLeader
    assert terms(net, 2)[:2] == terms(net, 3)[:2] == terms(net, 4)[:2] == [1, 3]
    assert all(term != 2 for member in net.members.values() for _, term, _ in member.applied)


def test_figure_8_e_once_s1_has_an_entry_of_term_4_on_a_majority_s5_cannot_win() -> None:
    net = to_c()
    net.lose = lambda m: m.to == 4 and m.type == MessageType.MsgApp
    net.tick(1)
    net.settle()
    net.tick(1)
    net.settle()
    assert net[1].raw.commit_index == 3
    net.crash(1)
    allow(net, {2, 3, 4, 5})
    net.lose = lambda m: False
    for _ in range(3):
        net.campaign(5)
        assert net[5].role != StateType.StateLeader
    net.campaign(2)
    assert terms(net, 5)[:3] == [1, 2, 4]
