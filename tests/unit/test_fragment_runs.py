"""Fragments that leave at the same time, as many as the system takes at once (UDP_SEGMENT)."""

from __future__ import annotations

import random

import pytest

from raftcore.wire.fragment import FRAGMENT_OVERHEAD, decode_fragment, encode_ack
from raftcore.wire.outgoing import Outgoing
from tests.unit.fragment_path import fragment_body, whole

MOST, BYTES = 64, 65_507
STEP = 1200 - FRAGMENT_OVERHEAD


def two_alike(datagram: int, sizes: list[int]) -> tuple[Outgoing, Outgoing]:
    both = Outgoing(datagram, 1 << 26, 1 << 26), Outgoing(datagram, 1 << 26, 1 << 26)
    for outgoing in both:
        for number, size in enumerate(sizes, 1):
            outgoing.add(whole(random.Random(number).randbytes(size)), number, number, 0)
    return both


@pytest.mark.parametrize("datagram", [512, 1200, 1424, 9000, 33_000, 60_000])
def test_runs_are_what_leaves_one_by_one_and_the_system_takes_them(datagram: int, seed: int) -> None:
    """The same datagrams at the same times, in their order: so pauses and window hold for runs as for each."""
    source = random.Random(seed)
    print("seed", seed)
    sizes = [source.choice((source.randrange(1, 5000), source.randrange(1, 400_000))) for _ in range(40)]
    one, other = two_alike(datagram, sizes)
    now, sent, longest = 0, 0, 0
    while one.waiting:
        now += 1000
        runs: list[list[bytes]] = []
        while run := one.next_run(now):
            runs.append(run)
        for run in runs:
            assert len(run) <= MOST
            assert len(run) == 1 or sum(map(len, run)) <= BYTES
            assert {len(each) for each in run[:-1]} <= {len(run[0])}
            assert len(run[-1]) <= len(run[0])
            longest = max(longest, len(run))
        alone: list[bytes] = []
        while (datagram_alone := other.next_datagram(now)) is not None:
            alone.append(datagram_alone)
        assert [each for run in runs for each in run] == alone
        sent += sum(map(len, runs))
        if sent:
            one.ack(encode_ack([(1, sent)]), now + 500)
            other.ack(encode_ack([(1, sent)]), now + 500)
    assert other.waiting == 0
    assert longest >= min(MOST, BYTES // datagram) // 2, "the window lets that many leave"


def test_a_smaller_one_ends_a_run_and_a_larger_one_begins_another() -> None:
    outgoing, _ = two_alike(1200, [2 * STEP + 10, 3 * STEP, 5])
    assert [[len(each) - FRAGMENT_OVERHEAD for each in outgoing.next_run(0)] for _ in range(3)] == [
        [STEP, STEP, 10],
        [STEP, STEP, STEP, 5],
        [],
    ]


def test_probes_leave_as_a_run_and_no_more_of_them_than_there_are() -> None:
    """Two, as RFC 9002, 6.2.4, has it, beside window and pauses."""
    outgoing, _ = two_alike(1200, [100 * STEP])
    while outgoing.next_run(0):
        pass
    now = outgoing.deadline(0)
    assert now is not None
    outgoing.tick(now)
    probes = outgoing.next_run(now)
    assert [decode_fragment(fragment_body(each))[5] for each in probes] == [10, 11]
    assert outgoing.next_run(now) == []
