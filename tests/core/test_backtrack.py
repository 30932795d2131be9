"""Rejections that list runs of terms: round trips to the last agreement, and what they carry."""

from __future__ import annotations

import struct

import pytest

from raftcore import Entries, Entry, EntryKind, HardState, Message, MessageType
from tests.core.network import Member, Network


def with_log(member: Member, terms: list[int], term: int) -> None:
    """Gives a member this log (terms by index, from 1) and lets it start from it."""
    entries = [Entry(t, i, EntryKind.EntryNormal, b"%d" % t) for i, t in enumerate(terms, 1)]
    member.storage.append(Entries.build(entries))
    member.storage.set_hard_state(HardState(term, 0, 0))
    member.start()


def interleaved(runs: int, length: int = 1) -> tuple[list[int], list[int]]:
    """Two logs that agree in one entry of term 1 and then have no term in common: odd against even ones."""
    leader, follower = [1], [1]
    for run in range(runs):
        leader += [2 * run + 3] * length
        follower += [2 * run + 2] * length
    return leader, follower


def rejections(net: Network) -> list[Message]:
    return [m for m in net.of_type(MessageType.MsgAppResp) if m.reject]


def elect(net: Network, ours: list[int], theirs: list[int]) -> None:
    top = max(ours[-1], theirs[-1])
    with_log(net[1], ours, top)
    with_log(net[2], theirs, top)
    with_log(net[3], ours, top)
    net.cut = {(1, 2), (2, 1)}
    net.campaign(1)
    assert net.leader == 1
    net.heal()
    net.sent.clear()
    net.tick_all(1)
    net.tick_all(1)


@pytest.mark.parametrize("runs", [1, 5, 59, 60, 61, 600])
def test_round_trips_grow_with_the_runs_over_those_a_rejection_lists(runs: int) -> None:
    net = Network(3, max_reject_runs=60)
    ours, theirs = interleaved(runs)
    elect(net, ours, theirs)
    assert net[2].log() == net[1].log()
    assert len(rejections(net)) <= 2 + runs // 60


def test_without_the_option_every_rejection_is_the_plain_hint() -> None:
    net = Network(3)
    ours, theirs = interleaved(20)
    elect(net, ours, theirs)
    assert net[2].log() == net[1].log()
    assert len(rejections(net)) >= 10
    assert all(m.context is None for m in rejections(net))


def test_probes_carry_no_payload_until_the_logs_are_known_to_agree() -> None:
    net = Network(3, max_reject_runs=4)
    ours, theirs = interleaved(40, length=3)
    elect(net, ours, theirs)
    assert net[2].log() == net[1].log()
    to_follower = [m for m in net.of_type(MessageType.MsgApp) if m.to == 2]
    first_rejected = net.sent.index(rejections(net)[0])
    probes = [m for m in to_follower if net.sent.index(m) > first_rejected and m.index > 1]
    assert len(probes) > 5
    sent = [len(m.entries) for m in to_follower if m.entries is not None and net.sent.index(m) > first_rejected]
    assert sum(sent) <= len(net[1].log()) + 2  # once, not with every probe


@pytest.mark.parametrize(
    ("ours", "theirs", "agree"),
    [
        ([1, 1, 3, 3, 5, 5, 7, 7, 7], [1, 1, 2, 2, 4, 4, 6, 6], 2),  # the picture in backtrack.pyx
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 3),  # Figure 7, f
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 4, 4], 5),  # Figure 7, e
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4], 4),  # Figure 7, b
        ([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], 10),  # Figure 7, c
        ([2, 2, 2], [1, 1, 1, 1, 1], 0),
        ([2, 4, 6], [1], 0),
    ],
)
def test_the_logs_meet_where_they_last_agree(ours: list[int], theirs: list[int], agree: int) -> None:
    net = Network(3, max_reject_runs=60)
    elect(net, ours, theirs)
    assert net[2].log() == net[1].log()
    assert len(rejections(net)) <= 2
    probes = [m.index for m in net.of_type(MessageType.MsgApp) if m.to == 2 and m.entries is not None and m.index > 0]
    assert min(probes, default=0) >= min(agree, 1)


@pytest.mark.parametrize("context", [b"", b"x", b"\xff" * 24, b"\x00" * 40, b"\x01" * 16, bytes(range(200))])
def test_a_list_that_is_none_does_no_harm(context: bytes) -> None:
    hinted(context)


@pytest.mark.parametrize("hint", [0, 1, 5, 1000])
@pytest.mark.parametrize(
    "numbers",
    [
        (5, 0, 0),  # no entry has term 0
        (5, 1, 5),  # a run of nothing
        (1000, 1, 0),  # a run behind the hint, or behind both logs
        (1000, 2, 900, 2, 0),
        (5, 9, 4, 8, 3, 7, 2),  # terms that nobody has
    ],
)
def test_a_list_of_runs_that_are_none_does_no_harm(numbers: tuple[int, ...], hint: int) -> None:
    hinted(struct.pack(f"<{len(numbers)}Q", *numbers), hint)


def hinted(context: bytes, hint: int | None = None) -> None:
    """A follower rejects with this list; whatever it says, the logs are the same in the end."""
    net = Network(3, max_reject_runs=60)
    ours, theirs = interleaved(5)
    with_log(net[1], ours, ours[-1])
    with_log(net[2], theirs, ours[-1])
    with_log(net[3], ours, ours[-1])
    net.cut = {(1, 2), (2, 1)}
    net.campaign(1)
    leader = net[1].raw
    net.deliver(
        Message(
            type=MessageType.MsgAppResp,
            from_=2,
            to=1,
            term=leader.term,
            index=len(ours),
            reject=True,
            reject_hint=len(theirs) if hint is None else hint,
            log_term=theirs[-1],
            context=context,
        )
    )
    net.heal()
    net.tick_all(2)
    assert net[2].log() == net[1].log()
