"""The explorer sees every state it should, joins what is the same, and finds what is broken."""

from __future__ import annotations

import random

import pytest

from raftcore import Entries, Entry, EntryKind, HardState, InitialState, Message, MessageType
from raftcore.memory_storage import MemoryStorage
from tests.explore import report
from tests.explore.__main__ import main
from tests.explore.member import Member
from tests.explore.naming import Numbers, member_key
from tests.explore.network import Network
from tests.explore.scope import ANY, PRESETS, Scope
from tests.explore.search import Search, State


class Seen(Search):
    """Remembers which nodes' states, with which past, it has seen together; messages do not count."""

    def __init__(self, scope: Scope, *, drop: bool) -> None:
        super().__init__(scope, drop=drop)
        self.together: set[bytes] = set()

    def note(self, parent: int, event: tuple[int, str, object] | None, state: State) -> None:
        super().note(parent, event, state)
        joined = state[2].joined
        for local in state[0]:
            joined ^= local.joined
        self.together.add(self.numbers.canonical(joined))


@pytest.mark.parametrize(
    "scope",
    [
        Scope(log=1),
        Scope(terms=1, log=2, heartbeats=1),
        Scope(log=0, heartbeats=ANY),
        Scope(terms=1, log=1, crashes=1),
        Scope(terms=1, log=1, pre_vote=True),
        Scope(nodes=2, terms=2, log=1, pre_vote=True, check_quorum=True),
        Scope(nodes=2, terms=2, log=2, heartbeats=ANY, crashes=1),
        Scope(nodes=2, terms=3, log=2, transfers=1),
        Scope(nodes=2, terms=2, log=1, reads=1),
        Scope(nodes=2, terms=2, log=2, unreachable=True, inflight=1),
    ],
    ids=Scope.describe,
)
def test_leaving_messages_out_loses_no_state_of_the_nodes(scope: Scope) -> None:
    fewer, all_kept = Seen(scope, drop=True), Seen(scope, drop=False)
    short, long = fewer.run(), all_kept.run()
    assert short.complete
    assert long.complete
    assert short.broken is None
    assert long.broken is None
    assert short.states < long.states
    assert fewer.together == all_kept.together
