"""A snapshot of a leader that has told a committed entry otherwise says nothing of that entry (see test_quarantine)."""

from __future__ import annotations

import pytest

from raftcore import Message, MessageType, Snapshot
from raftcore.base.errors import PeerFault
from tests.core.server import Server, of
from tests.core.test_quarantine import (
    HEARTBEAT_TICK,
    LEADER,
    TERM,
    VOTERS,
    heartbeat,
    quarantined,
    suspecting,
)


def snapshot(server: Server, index: int, term: int, in_term: int = TERM) -> list[Message]:
    return server.step(MessageType.MsgSnap, in_term, LEADER, snapshot=Snapshot(index, term, VOTERS))


@pytest.mark.parametrize(("index", "term"), [(6, 2), (7, 2), (8, 2), (8, 6), (9, 2), (20, 6)])
def test_a_snapshot_that_covers_other_contents_is_refused(index: int, term: int) -> None:
    """Its last entry agrees by index and term, or is none of ours; what it covers has been told otherwise."""
    server = suspecting()
    for _ in range(3):
        before = server.raw.status(), server.terms
        with pytest.raises(PeerFault, match=f"snapshot from 2 at index {index} covers committed index 6"):
            snapshot(server, index, term)
        assert not server.raw.has_ready()
        assert (server.raw.status(), server.terms) == before
        server.tick(HEARTBEAT_TICK)
        heartbeat(server)
    assert not quarantined(server.raw)


def test_a_snapshot_below_the_suspected_entry_acknowledges_itself() -> None:
    (answer,) = snapshot(suspecting(), 5, 2)
    assert (answer.type, answer.index, answer.reject) == (MessageType.MsgAppResp, 5, False)


@pytest.mark.parametrize("ended_by", ["the heartbeat", "the entry", "the term"])
def test_a_snapshot_is_taken_once_nothing_is_suspected(ended_by: str) -> None:
    server = suspecting()
    term = TERM
    if ended_by == "the heartbeat":
        heartbeat(server, commit=6)
    elif ended_by == "the entry":
        server.append(TERM, 4, 1, [2, 2])
    else:
        term += 1
    (answer,) = of(MessageType.MsgAppResp, snapshot(server, 8, 2, term))
    assert (answer.index, answer.reject, server.raw.commit_index) == (8, False, 8)
