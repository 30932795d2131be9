"""Progress: each transition, what is sent and told, and what must hold whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raftcore.base.errors import InvariantViolation
from raftcore.membership.progress import Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = ProgressState.StateProbe, ProgressState.StateReplicate, ProgressState.StateSnapshot


def progress(match: int = 3, next: int = 4, **settings: int) -> Progress:
    made = Progress(7, match, next, **settings)
    made.recent_active = True
    return made


def replicating(match: int = 3, **settings: int) -> Progress:
    made = progress(match, match + 1, **settings)
    made.become_replicate()
    return made


def test_a_new_progress_probes() -> None:
    made = Progress(7)
    assert (made.id, made.match, made.next, made.state) == (7, 0, 1, PROBE)
    assert not made.recent_active
    assert not made.is_paused()


def test_next_is_above_match() -> None:
    with pytest.raises(ValueError, match="next 3 of node 7: it must be above match 3"):
        Progress(7, 3, 3)


def test_become_probe_from_replicate_forgets_what_is_in_flight() -> None:
    made = replicating()
    made.sent_entries(5, 100)
    made.sent_commit_to(8)
    made.become_probe()
    assert (made.state, made.match, made.next, made.inflights.count) == (PROBE, 3, 4, 0)
    assert made.sent_commit == 3, "what was told about entries that may be lost has to be told again"


def test_become_probe_from_snapshot_goes_on_behind_it() -> None:
    made = progress()
    made.become_snapshot(20)
    made.become_probe()
    assert (made.state, made.next, made.pending_snapshot) == (PROBE, 21, 0)


def test_become_probe_from_an_older_snapshot_goes_on_behind_match() -> None:
    made = progress()
    made.become_snapshot(20)
    made.maybe_update(30)
    made.become_probe()
    assert made.next == 31


def test_become_probe_after_a_failed_snapshot_goes_back_to_match() -> None:
    made = progress()
    made.become_snapshot(20)
    made.pending_snapshot = 0
    made.become_probe()
    assert made.next == 4


def test_become_replicate() -> None:
    made = progress(3, 9)
    made.msg_app_flow_paused = True
    made.become_replicate()
    assert (made.state, made.next, made.is_paused()) == (REPLICATE, 4, False)


def test_become_snapshot() -> None:
    made = replicating()
    made.sent_entries(2, 10)
    made.become_snapshot(20)
    assert (made.state, made.pending_snapshot, made.next) == (SNAPSHOT, 20, 21)
    assert made.sent_commit == 20, "the snapshot itself carries the commit index"
    assert made.inflights.count == 0
    assert made.is_paused()


def test_a_probe_pauses_once_it_carries_entries() -> None:
    made = progress()
    made.sent_entries(0, 0)
    assert not made.is_paused()
    made.sent_entries(2, 10)
    assert made.is_paused()
    assert made.next == 4, "next does not run ahead of a probe"
    assert made.inflights.count == 0


def test_replication_runs_ahead_until_the_window_is_full() -> None:
    made = replicating(max_inflight=2)
    made.sent_entries(3, 10)
    assert (made.next, made.is_paused()) == (7, False)
    made.sent_entries(1, 10)
    assert (made.next, made.is_paused()) == (8, True)
    assert made.inflights.messages() == [(6, 10), (7, 10)]
    made.msg_app_flow_paused = False
    made.sent_entries(0, 0)
    assert made.is_paused(), "an empty append into a full window is a probe itself"


def test_the_byte_limit_fills_the_window_too() -> None:
    made = replicating(max_inflight_bytes=15)
    made.sent_entries(1, 10)
    assert not made.is_paused()
    made.sent_entries(1, 10)
    assert made.is_paused()


def test_nothing_is_sent_beside_a_snapshot() -> None:
    made = progress()
    made.become_snapshot(20)
    with pytest.raises(InvariantViolation, match="node 7 while a snapshot is on its way"):
        made.sent_entries(1, 1)


def test_a_commit_index_is_worth_a_message_only_once_and_only_up_to_what_was_sent() -> None:
    made = replicating(3)
    made.sent_entries(2, 10)  # up to 5
    assert made.can_bump_commit(4)
    made.sent_commit_to(4)
    assert not made.can_bump_commit(4)
    assert made.can_bump_commit(9), "as far as 5 this is news"
    made.sent_commit_to(9)
    assert not made.can_bump_commit(10), "without more entries more is no use"
    made.sent_entries(6, 10)  # up to 11
    assert made.can_bump_commit(10)


def test_an_acknowledgement_moves_match_and_next() -> None:
    made = progress(3, 5)
    made.msg_app_flow_paused = True
    assert not made.maybe_update(3)
    assert made.is_paused(), "nothing new: nothing changes"
    assert made.maybe_update(4)
    assert (made.match, made.next, made.is_paused()) == (4, 5, False)
    assert made.maybe_update(9)
    assert (made.match, made.next) == (9, 10)
    made.become_replicate()
    made.sent_entries(5, 50)
    assert made.maybe_update(11)
    assert (made.match, made.next) == (11, 15), "what is on its way is not sent again"


@pytest.mark.parametrize(
    ("match", "next", "rejected", "hint", "moved", "next_after"),
    [
        (0, 10, 9, 5, True, 6),  # to the hint
        (0, 10, 9, 9, True, 9),  # but below what was rejected, or it would be asked again
        (0, 10, 9, 30, True, 9),
        (7, 10, 9, 2, True, 8),  # and not below what is known to match
        (0, 10, 8, 5, False, 10),  # not the probe that is out
        (0, 10, 12, 5, False, 10),
        (0, 1, 0, 0, True, 1),  # nothing at all fits: the log's beginning always does
    ],
)
def test_a_rejected_probe(match: int, next: int, rejected: int, hint: int, moved: bool, next_after: int) -> None:
    made = progress(match, next)
    made.sent_commit_to(next - 1)
    made.msg_app_flow_paused = True
    assert made.maybe_decr_to(rejected, hint) == moved
    assert made.next == next_after
    assert made.is_paused() != moved, "a rejection that counts lets the next probe out"
    assert made.sent_commit == (next_after - 1 if moved else next - 1)


def test_a_rejection_while_replicating_goes_back_to_match() -> None:
    made = replicating(5)
    made.sent_entries(5, 10)
    made.sent_commit_to(9)
    assert not made.maybe_decr_to(5, 2), "5 is known to match: this is an old message"
    assert made.next == 11
    assert made.maybe_decr_to(6, 2)
    assert (made.match, made.next, made.sent_commit) == (5, 6, 5)


def test_reset_keeps_what_the_configuration_says() -> None:
    made = progress(3, 9, is_learner=True, max_inflight=5)
    made.conf_index = 12
    made.become_snapshot(20)
    made.reset(0, 31)
    assert (made.match, made.next, made.state, made.sent_commit, made.pending_snapshot) == (0, 31, PROBE, 0, 0)
    assert not made.recent_active
    assert (made.id, made.is_learner, made.conf_index, made.inflights.size) == (7, True, 12, 5)


def test_a_clone_shares_nothing() -> None:
    made = replicating(3, is_learner=True, max_inflight=4)
    made.sent_entries(2, 10)
    made.conf_index, made.sent_commit = 8, 4
    clone = made.clone()
    before = (clone.describe(), clone.conf_index, clone.sent_commit, clone.inflights.messages(), clone.id)
    made.sent_entries(2, 10)
    made.become_snapshot(50)
    made.conf_index, made.is_learner, made.recent_active = 9, False, False
    assert before == ("StateReplicate match=3 next=6 learner inflight=1", 8, 4, [(5, 10)], 7)
    assert (clone.describe(), clone.conf_index, clone.sent_commit, clone.inflights.messages(), clone.id) == before


def test_printed_form() -> None:
    made = progress(11, 12, is_learner=True, max_inflight=2)
    assert made.describe() == "StateProbe match=11 next=12 learner"
    made.become_replicate()
    made.sent_entries(1, 1)
    made.sent_entries(1, 1)
    made.recent_active = False
    assert made.describe() == "StateReplicate match=11 next=14 learner paused inactive inflight=2[full]"
    made.inflights.free_le(12)
    made.is_learner, made.recent_active, made.msg_app_flow_paused = False, True, False
    assert made.describe() == "StateReplicate match=11 next=14 inflight=1"
    made.become_snapshot(40)
    assert made.describe() == "StateSnapshot match=11 next=41 paused pendingSnap=40"


class WhateverHappens(RuleBasedStateMachine):
    """Any sequence of what a leader does with a progress keeps match < next, and a pause that ends."""

    @initialize(match=st.integers(0, 5), ahead=st.integers(1, 5), size=st.integers(1, 4))
    def begin(self, match: int, ahead: int, size: int) -> None:
        self.made = Progress(7, match, match + ahead, max_inflight=size)

    @precondition(lambda self: self.made.state != SNAPSHOT and not self.made.is_paused())
    @rule(entries=st.integers(0, 4), size=st.integers(0, 9), commit=st.integers(0, 40))
    def send(self, entries: int, size: int, commit: int) -> None:
        next_before = self.made.next
        if self.made.state == REPLICATE and self.made.inflights.is_full():
            entries = 0  # as every sender does: a full window lets only empty appends through
        self.made.sent_entries(entries, size)
        self.made.sent_commit_to(commit)
        assert self.made.next == next_before + (entries if self.made.state == REPLICATE else 0)

    @rule(index=st.integers(0, 60))
    def acknowledge(self, index: int) -> None:
        match_before, next_before = self.made.match, self.made.next
        assert self.made.maybe_update(index) == (index > match_before)
        assert self.made.next == max(next_before, index + 1 if index > match_before else 0)
        assert self.made.match == max(index, match_before)
        self.made.inflights.free_le(index)

    @rule(rejected=st.integers(0, 60), hint=st.integers(0, 60))
    def reject(self, rejected: int, hint: int) -> None:
        before = self.made.match, self.made.next
        if self.made.state != SNAPSHOT and self.made.maybe_decr_to(rejected, hint):
            assert self.made.match == before[0]
            assert self.made.next <= max(before[1], self.made.match + 1)
            if self.made.state == REPLICATE:
                self.made.become_probe()

    @rule()
    def heartbeat_answered(self) -> None:
        self.made.msg_app_flow_paused = False

    @rule()
    def probe(self) -> None:
        self.made.become_probe()
        assert not self.made.is_paused()

    @precondition(lambda self: self.made.state == PROBE)
    @rule()
    def replicate(self) -> None:
        self.made.become_replicate()

    @rule(index=st.integers(0, 60))
    def snapshot(self, index: int) -> None:
        self.made.become_snapshot(max(index, self.made.match))

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "made"):
            return
        made = self.made
        assert made.match < made.next
        assert (made.pending_snapshot != 0) <= (made.state == SNAPSHOT)
        assert made.state == REPLICATE or made.inflights.count == 0
        assert all(index < made.next for index, _ in made.inflights.messages())
        assert made.clone().describe() == made.describe()


TestWhateverHappens = WhateverHappens.TestCase
TestWhateverHappens.settings = settings(max_examples=60, stateful_step_count=30)
