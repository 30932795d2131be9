"""The rules of rules.py: the table line by line, and every run of a small world."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cache

import pytest

from raftpy.transport.identity.rules import PeerIncarnation, Verdict, judge
from tests.transport.support import boot

OWN_STORE, OWN_BOOT = 0xA, boot(5)
PEER_STORE, PEER_BOOT = 0xB, boot(3)
UNHEARD = PeerIncarnation()
PINNED = PeerIncarnation(pinned=PEER_STORE)
HEARD = PeerIncarnation(PEER_STORE, PEER_STORE, PEER_BOOT)


@dataclass(frozen=True)
class Said:
    """The incarnations that a header names."""

    from_store: int = PEER_STORE
    from_boot: int = PEER_BOOT
    to_store: int = OWN_STORE
    to_boot: int = OWN_BOOT


MATCH = Said()
PROBE = Said(to_store=0, to_boot=0)
EARLIER = Said(to_boot=boot(4))
OTHER_STORE = Said(to_store=0xC)
SAME_COUNTER = Said(to_boot=boot(5, low=8))


@pytest.mark.parametrize(
    ("incarnation", "said", "verdict"),
    [
        (UNHEARD, MATCH, Verdict.ACCEPT),
        (PINNED, MATCH, Verdict.ACCEPT),
        (HEARD, MATCH, Verdict.ACCEPT),
        (HEARD, replace(MATCH, from_boot=boot(4)), Verdict.ACCEPT),
        (HEARD, replace(MATCH, from_boot=boot(2)), Verdict.STALE_BOOT),
        (HEARD, replace(PROBE, from_boot=boot(2)), Verdict.STALE_BOOT),
        (HEARD, replace(EARLIER, from_boot=boot(2, low=2**32 - 1)), Verdict.STALE_BOOT),
        (HEARD, replace(MATCH, from_boot=boot(3, low=8)), Verdict.FORKED_BOOT),
        (HEARD, replace(PROBE, from_boot=boot(3, low=6)), Verdict.FORKED_BOOT),
        (HEARD, replace(MATCH, from_store=0xD), Verdict.WRONG_STORE),
        (PINNED, replace(MATCH, from_store=0xD), Verdict.WRONG_STORE),
        (PINNED, replace(PROBE, from_store=0xD, from_boot=boot(9)), Verdict.WRONG_STORE),
        (HEARD, replace(MATCH, from_store=0xD, from_boot=boot(2)), Verdict.WRONG_STORE),
        *[(incarnation, PROBE, Verdict.PROBE) for incarnation in (UNHEARD, PINNED, HEARD)],
        (HEARD, replace(PROBE, from_boot=boot(4)), Verdict.PROBE),
        *[(incarnation, EARLIER, Verdict.OTHER_INCARNATION) for incarnation in (UNHEARD, PINNED, HEARD)],
        (HEARD, OTHER_STORE, Verdict.OTHER_INCARNATION),
        (HEARD, SAME_COUNTER, Verdict.OTHER_INCARNATION),
        (HEARD, replace(MATCH, to_store=0), Verdict.OTHER_INCARNATION),
        (HEARD, replace(EARLIER, from_boot=boot(4)), Verdict.OTHER_INCARNATION),
    ],
)
def test_table(incarnation: PeerIncarnation, said: Said, verdict: Verdict) -> None:
    before = replace(incarnation)
    assert judge(OWN_STORE, OWN_BOOT, incarnation, said) is verdict
    assert incarnation == before, "judging learns nothing"


def test_who_is_believed_and_answered() -> None:
    assert {v for v in Verdict if v.believed} == {Verdict.ACCEPT, Verdict.PROBE, Verdict.OTHER_INCARNATION}
    assert {v for v in Verdict if v.answered} == {Verdict.PROBE, Verdict.OTHER_INCARNATION}


def test_learning_pins() -> None:
    incarnation = PeerIncarnation()
    assert incarnation.is_news(MATCH)
    incarnation.learn(MATCH)
    assert incarnation == HEARD
    assert incarnation.valid()
    assert not incarnation.is_news(MATCH)
    assert incarnation.is_news(replace(MATCH, from_boot=boot(4)))


def test_valid_tells_the_impossible() -> None:
    assert not PeerIncarnation(0xB, 0xB, 0).valid()
    assert not PeerIncarnation(0xB, 0xC, PEER_BOOT).valid()
    assert not PeerIncarnation(0, 0xC, PEER_BOOT).valid()


# --- Every run of a small world ----------------------------------------------------------------------------------
#
# Two nodes, A and B, each with a boot and what it knows of the other's. Everything ever sent lies in a set: taking a
# datagram from it and leaving it there is delay, repetition, loss and overtaking in one. A node says everything it can:
# after each change, a datagram with its new header joins the set (frames or none, an answer or not: the header is the
# same). A may restart twice, B once.


@dataclass(frozen=True)
class Sent:
    to: int  # 0 or 1
    from_counter: int
    to_counter: int  # 0: not heard


@dataclass(frozen=True)
class State:
    counters: tuple[int, int]  # the nodes' boots
    known: tuple[int, int]  # what each knows of the other's boot
    sent: frozenset[Sent]


RESTARTS = (2, 1)  # of A and of B; both (2, 2) holds too, and takes half a minute


def with_item(pair: tuple[int, int], at: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if at == 0 else (pair[0], value)


def say(state: State, node: int) -> State:
    """Something with frames or without: its header is the same."""
    said = Sent(1 - node, state.counters[node], state.known[node])
    return replace(state, sent=state.sent | {said})


def restart(state: State, node: int) -> State:
    return say(
        replace(
            state,
            counters=with_item(state.counters, node, state.counters[node] + 1),
            known=with_item(state.known, node, 0),
        ),
        node,
    )


@cache
def hear(counters: tuple[int, int], known: tuple[int, int], sent: Sent) -> tuple[tuple[int, int], Verdict, Sent | None]:
    """What the receiver knows after, the verdict, and the answer if any; the same code decides as in the transport."""
    node = sent.to
    stores = (0xA, 0xB)

    def boot_of(counter: int) -> int:
        return boot(counter) if counter else 0

    before = known[node]
    peer = PeerIncarnation(stores[1 - node], stores[1 - node] if before else 0, boot_of(before))
    said = Said(
        stores[1 - node], boot_of(sent.from_counter), stores[node] if sent.to_counter else 0, boot_of(sent.to_counter)
    )
    verdict = judge(stores[node], boot(counters[node]), peer, said)
    if verdict.believed and peer.is_news(said):
        peer.learn(said)
        assert peer.valid()
        assert peer.boot >> 32 >= before, "what is known of a peer never goes back"
        known = with_item(known, node, sent.from_counter)
    if verdict is Verdict.ACCEPT:
        assert sent.to_counter == counters[node], "only what was said to this incarnation is given on"
        assert sent.from_counter >= before, "nothing from before the newest incarnation heard is given on"
    answer = Sent(1 - node, counters[node], known[node]) if verdict.answered else None
    assert answer is None or answer.to_counter == sent.from_counter, "an answer knows the incarnation it answers"
    return known, verdict, answer


@cache
def follow(counters: tuple[int, int], known: tuple[int, int], sent: Sent) -> tuple[int, tuple[int, int], Verdict]:
    """How many answers a delivery sets off when each is delivered in turn and nobody restarts, and what they end in."""
    count = 0
    while True:
        known, verdict, answer = hear(counters, known, sent)
        if answer is None:
            return count, known, verdict
        count += 1
        assert count <= 2, f"answers do not end: {sent}, {counters}, {known}"
        sent = answer


def test_every_run_of_two_nodes_with_restarts() -> None:
    start = say(say(State((1, 1), (0, 0), frozenset()), 0), 1)
    seen, queue = {start}, deque([start])
    verdicts: set[Verdict] = set()
    longest = 0
    while queue:
        state = queue.popleft()
        following = [restart(state, node) for node in (0, 1) if state.counters[node] <= RESTARTS[node]]
        for sent in state.sent:
            known, verdict, answer = hear(state.counters, state.known, sent)
            verdicts.add(verdict)
            longest = max(longest, follow(state.counters, state.known, sent)[0])
            if known != state.known:
                following.append(say(replace(state, known=known), sent.to))
            assert answer is None or answer in say(replace(state, known=known), sent.to).sent
        for node in (0, 1):
            # From everywhere: something said now, and the answers to it, end in a match and in both knowing each
            # other, if nothing is lost.
            said = Sent(1 - node, state.counters[node], state.known[node])
            count, known, verdict = follow(state.counters, state.known, said)
            assert verdict is Verdict.ACCEPT
            assert known[1 - node] == state.counters[node]
            assert count == 0 or known[node] == state.counters[1 - node]
        for each in following:
            if each not in seen:
                seen.add(each)
                queue.append(each)
    assert verdicts == {Verdict.ACCEPT, Verdict.PROBE, Verdict.OTHER_INCARNATION, Verdict.STALE_BOOT}
    assert longest == 2, "an answer to an incarnation that has ended is answered once by the one that is there"
    assert len(seen) > 1000, "the small world has become too small to mean something"
