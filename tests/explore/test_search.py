"""The explorer sees every state it should, joins what is the same, and finds what is broken."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

import pytest

from raftcore import HardState, InitialState, Message, MessageType, StateType
from raftcore.testing.memory_storage import MemoryStorage
from tests.explore import __main__ as program
from tests.explore import report
from tests.explore.member import Member, Stage
from tests.explore.naming import BYTES, Numbers, member_key, message_key
from tests.explore.network import Network, Standing
from tests.explore.scope import ANY, PRESETS, Scope
from tests.explore.search import Outgrown, Result, Search, State


class Seen(Search):
    """Remembers which nodes' states it has seen together, with the past and without; messages do not count."""

    def __init__(self, scope: Scope, *, drop: bool = True) -> None:
        super().__init__(scope, drop=drop)
        self.together: set[bytes] = set()
        self.nodes: set[bytes] = set()
        self.renamed = 0

    def begin_anew(self) -> None:
        self.together, self.nodes, self.renamed = set(), set(), 0
        super().begin_anew()

    def note(self, parent: int, event: tuple[int, str, object] | None, state: State) -> None:
        """Also counts the states that this one stands for: it, and whatever other names make of it."""
        super().note(parent, event, state)
        joined = 0
        for local in state[0]:
            joined ^= local.joined
        self.nodes.add(self.numbers.canonical(joined))
        self.together.add(self.numbers.canonical(joined ^ state[2].joined))
        raw = state[3].to_bytes(self.numbers.width, "big")
        self.renamed += len({raw[at : at + BYTES] for at in range(0, self.numbers.width, BYTES)})


class Named(Scope):
    """A scope in which every node keeps its name."""

    def symmetries(self) -> list[dict[int, int]]:
        return super().symmetries()[:1]


class Amnesiac(MemoryStorage):
    """Does not know after a restart whom it voted for."""

    def initial_state(self) -> InitialState:
        kept = super().initial_state()
        return replace(kept, hard_state=HardState(kept.hard_state.term, 0, 0))


class Deaf(MemoryStorage):
    """Keeps no hard state."""

    def set_hard_state(self, hard_state: HardState) -> None:
        pass


def finished(search: Search) -> Result:
    """All of a scope, in which no rule is broken."""
    result = search.run()
    assert result.broken is None, "\n".join([result.broken, *report.story(search, result)])
    assert result.complete
    return result


@pytest.mark.parametrize(
    "scope",
    [
        Scope(terms=1, log=1),
        Scope(terms=1, log=1, heartbeats=1),
        Scope(nodes=2, terms=2, log=2, heartbeats=ANY),
        Scope(nodes=2, terms=2, log=2, heartbeats=ANY, crashes=1),
        Scope(terms=1, log=1, crashes=1),
        Scope(nodes=2, terms=1, log=1, pre_vote=True, check_quorum=True),
        Scope(nodes=2, terms=3, log=2, transfers=1),
        Scope(nodes=2, terms=1, log=1, reads=1),
        Scope(nodes=2, terms=2, log=2, unreachable=True, inflight=1),
    ],
    ids=Scope.describe,
)
def test_leaving_messages_out_loses_no_state_of_the_nodes(scope: Scope) -> None:
    """Two nodes at most times, for with every message kept three need hundreds of times the states."""
    fewer, all_kept = Seen(scope), Seen(scope, drop=False)
    assert finished(fewer).states < finished(all_kept).states
    assert fewer.together == all_kept.together


@pytest.mark.parametrize("drop", [True, False], ids=["fewer messages", "every message"])
@pytest.mark.parametrize("bounds", [{"terms": 1, "log": 2}, {"nodes": 2, "log": 2, "crashes": 1}], ids=str)
def test_joining_by_names_counts_each_state_once(bounds: dict[str, int], *, drop: bool) -> None:
    joined, named = Seen(Scope(**bounds), drop=drop), Seen(Named(**bounds), drop=drop)
    assert finished(joined).states < finished(named).states
    assert joined.renamed == len(named.parents)


WALKED = Scope(terms=2, log=1)


def walk(scope: Scope, draw: random.Random, steps: int) -> list[list[Member]]:
    """The nodes after each step of one random schedule, straight on the cores; the network keeps every message."""
    members = [Member.restarted(scope, node, MemoryStorage()) for node in scope.ids]
    messages: list[Message] = []
    seen = []
    for _ in range(steps):
        at = draw.randrange(scope.nodes)
        raw = members[at].raw
        mine = [message for message in messages if message.to == raw.id]
        if mine and draw.random() < 0.9:
            outcome = Stage(scope, members[at]).run("deliver", draw.choice(mine))
        elif raw.state == StateType.StateLeader:
            if raw.last_index >= scope.log:
                continue
            outcome = Stage(scope, members[at]).run("propose")
        elif raw.term < scope.terms:
            outcome = Stage(scope, members[at]).run("campaign")
        else:
            continue
        assert outcome.broken is None
        members[at] = outcome.member
        messages += outcome.sent
        seen.append(list(members))
    return seen


def test_whatever_a_random_schedule_reaches_has_been_seen(seed: int) -> None:
    search = Seen(WALKED)
    finished(search)
    reached = set()
    for run in range(100):
        for members in walk(WALKED, random.Random(seed + run), 60):
            joined = 0
            for member in members:
                joined ^= search.numbers.of(partial(member_key, member, WALKED))
            reached.add(search.numbers.canonical(joined))
    assert reached <= search.nodes
    assert len(reached) > 100


@pytest.mark.parametrize(
    "bounds",
    [{"terms": 1, "log": 0}, {"nodes": 2, "terms": 2, "log": 1}, {"nodes": 2, "log": 1, "crashes": 1}],
    ids=str,
)
def test_free_pre_votes_lose_no_state_of_the_nodes(bounds: dict[str, int]) -> None:
    exact, free = Seen(Scope(**bounds, pre_vote=True)), Seen(Scope(**bounds, pre_vote=True, free_pre_votes=True))
    assert finished(free).states < finished(exact).states
    assert exact.together <= free.together


def test_free_pre_votes_are_known_from_the_start() -> None:
    known = []

    class Noting(Search):
        def start(self) -> None:
            known.append(self.network.everywhere)
            super().start()

    search = Noting(Scope(terms=1, log=0, pre_vote=True, free_pre_votes=True))
    finished(search)
    assert known[0] == 0
    assert known[-1] == search.network.everywhere


def test_a_free_pre_vote_arrives_under_every_name() -> None:
    scope = Scope(pre_vote=True, free_pre_votes=True)
    network = Network(scope, Numbers(scope))
    network.bit(Message(MessageType.MsgPreVote, to=2, from_=1, term=1))
    network.bit(Message(MessageType.MsgVote, to=2, from_=1, term=1))
    between = {(message.type, message.from_, message.to) for message in network.of_set(network.everywhere)}
    assert between == {(MessageType.MsgPreVote, one, other) for one in (1, 2, 3) for other in (1, 2, 3) if one != other}


@pytest.mark.slow
def test_leaving_messages_out_loses_no_state_of_three_nodes_over_two_terms() -> None:
    fewer, all_kept = Seen(Scope(log=0)), Seen(Scope(log=0), drop=False)
    assert 100 * finished(fewer).states < finished(all_kept).states
    assert fewer.together == all_kept.together


def test_two_searches_see_the_same() -> None:
    one, other = (finished(Search(Scope(terms=1, log=1))) for _ in range(2))
    assert (one.states, one.transitions, one.depth) == (other.states, other.transitions, other.depth)


# -- what is broken is found -------------------------------------------------------------------------------------------


def test_a_vote_forgotten_over_a_crash_is_found_by_a_shortest_way() -> None:
    search = Search(Scope(terms=1, log=1, crashes=1), storage=Amnesiac)
    result = search.run()
    assert result.broken is not None
    assert result.broken.startswith(("S6", "D3", "S1"))
    assert not result.complete
    story = report.story(search, result)
    assert any("crashes, and starts again" in line for line in story)
    assert [name for _, name, _ in result.path] == ["campaign", "crash", "campaign", "deliver"], story


def test_a_promise_that_is_not_on_the_disk_is_found() -> None:
    result = Search(Scope(terms=1, log=0), storage=Deaf).run()
    assert result.broken is not None
    assert result.broken.startswith("D1")
    assert [name for _, name, _ in result.path] == ["campaign"]  # the first promise is a candidate's own vote


@pytest.mark.parametrize("pre_vote", [False, True])
def test_the_way_there_can_be_gone_again(*, pre_vote: bool) -> None:
    """The path is one for the cores themselves, and delivers nothing that was not sent before."""
    scope = Scope(terms=1, log=0, pre_vote=pre_vote)
    search = Search(scope, storage=Deaf)
    result = search.run()
    same = search.numbers.same
    members = {node: Member.restarted(scope, node, Deaf()) for node in scope.ids}
    sent = set()
    for node, name, argument in result.path:
        given = search.network.messages[argument] if name == "deliver" else argument
        if name == "deliver":
            assert message_key(given, same) in sent
        outcome = Stage(scope, members[node]).run(name, given)
        members[node] = outcome.member
        sent |= {message_key(message, same) for message in outcome.sent}
    assert outcome.broken == result.broken
    assert [name for _, name, _ in result.path] == ["campaign", *["deliver"] * (2 * pre_vote)]


def test_reasoning_about_messages_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Standing, "ignores", lambda self, message, scope: message.to == self.node and self.term > 0)
    with pytest.raises(Outgrown):
        Search(Scope(terms=1, log=1)).run()


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_says_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--nodes", "2", "--terms", "1", "--log", "1", "--quiet"]) == 0
    line = capsys.readouterr().out
    assert "2 nodes, terms <= 1, log <= 1" in line
    assert "states" in line
    assert "transitions" in line
    assert line.endswith("complete\n")


def test_the_command_shows_the_way_to_a_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "Search", partial(Search, storage=Deaf))
    assert program.main(["--terms", "1", "--log", "0", "--quiet"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("D1: ")
    assert lines[2].endswith("has waited long enough, and stands for election")
    assert "at the end:" in lines


def test_a_search_that_was_stopped_is_not_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--max-seconds", "0", "--quiet"]) == 2
    assert capsys.readouterr().out.endswith("incomplete\n")


def test_a_scope_without_sense_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--nodes", "6"]) == 2
    assert "nodes must be 1 to 5, not 6" in capsys.readouterr().err


def test_every_preset_is_a_scope() -> None:
    for given in PRESETS.values():
        assert Scope(**given).describe()
