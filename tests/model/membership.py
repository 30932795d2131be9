"""Configuration changes (thesis 4): let in one at a time, in force once applied, single or joint."""

from __future__ import annotations

from raftcore import ConfChange, ConfChangeV2, ConfState, EntryKind
from raftcore.values.changes import describe
from tests.model.confchange import Change, Configuration, Refused
from tests.model.progress import Progress
from tests.model.reads import Reads
from tests.model.values import Rejected


def decode(kind: int, payload: bytes) -> ConfChangeV2:
    return (ConfChange if kind == EntryKind.EntryConfChange else ConfChangeV2).decode(payload).as_v2()


def steps(change: ConfChangeV2) -> list[Change]:
    return [(word[0], int(word[1:])) for word in describe(change.changes).split()]


class Membership(Reads):
    def refusal(self, change: ConfChangeV2) -> str | None:
        """Why a leader does not let this into its log."""
        if self.config.disable_conf_change_validation:
            return None
        if self.pending_conf_index > self.log.applied:
            return (
                f"possible unapplied conf change at index {self.pending_conf_index} (applied to {self.log.applied})"
            )  # fmt: skip
        if self.joint and not change.leave_joint():
            return "must transition out of joint config first"
        if not self.joint and change.leave_joint():
            return "not in joint state; refusing empty conf change"
        if self.config.conf_change_after_own_commit and not self.committed_in_term():
            return f"no entry of term {self.term} is committed yet"
        return None

    def apply_change(self, change: ConfChangeV2, index: int) -> ConfState:
        auto_leave, joint = change.enter_joint()
        now = self.configuration
        try:
            if change.leave_joint():
                made = now.leave_joint(self.log.last)
            elif joint:
                made = now.enter_joint(auto_leave, steps(change), self.log.last)
            else:
                made = now.simple(steps(change), self.log.last)
        except Refused as error:
            raise Rejected("ConfChangeError") from error
        self.switch_to(made, index)
        return self.conf_state

    def restore_configuration(self, conf_state: ConfState, index: int) -> None:
        """Replaces everything that was known of anybody."""
        c = conf_state
        wanted = frozenset(c.learners) | frozenset(c.learners_next)
        made = Configuration(frozenset(c.voters), frozenset(c.voters_outgoing), wanted, c.auto_leave)
        made.forget_who_left(self.log.last)
        self.progress, self.votes = {}, {}
        self.switch_to(made, index)

    def switch_to(self, made: Configuration, index: int) -> None:
        for id in made.joined:
            # What the member answers must echo this index, so that answers to an earlier membership do nothing.
            self.progress[id] = Progress(
                id, made.next[id], self.config.max_inflight_msgs, self.config.max_inflight_bytes, conf_index=index
            )
        self.progress = {id: member for id, member in self.progress.items() if id in made.next}
        before = self.conf_state
        self.configuration = made
        for member in self.progress.values():
            member.is_learner = member.id in made.learners
        self.conf_index = index
        if self.conf_state != before:
            self.end_lease()  # a quorum of the new one need not overlap with those that confirmed it
        if self.is_leader():
            self.lead_on()

    def lead_on(self) -> None:
        """A leader in a new configuration."""
        if self.transferee not in self.voters:
            self.transferee = 0
        if self.id not in self.progress or self.progress[self.id].is_learner:
            # It may go on without counting itself, until its removal is known (paper 6).
            if self.config.step_down_on_removal:
                self.become_follower(self.term, 0)
            return
        if self.advance_commit():
            self.broadcast_append()
        else:
            for member in self.others():
                self.send_append(member, even_if_empty=False)

    def leave_joint_when_due(self) -> None:
        """Proposed by the leader as soon as the joint configuration is applied (thesis 4.3)."""
        due = self.configuration.auto_leave and self.log.applied >= self.pending_conf_index
        if not due or not self.is_leader() or self.transferee or self.id not in self.progress:
            return
        if self.refusal(ConfChangeV2()) is None:
            self.append([(EntryKind.EntryConfChangeV2, b"")])
            self.pending_conf_index = self.log.last
            self.broadcast_append()

    def is_leader(self) -> bool:
        raise NotImplementedError
