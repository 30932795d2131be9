"""Configuration changes on plain sets: who votes now, who voted before, who wants to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Change = tuple[str, int]  # "v", "l", "r" or "u", and a node id


class Refused(Exception):
    pass


@dataclass
class Configuration:
    """A learner that still votes in the outgoing half waits; whether it waits follows from the sets."""

    voters: frozenset[int] = frozenset()
    outgoing: frozenset[int] = frozenset()
    wanted: frozenset[int] = frozenset()  # learners, now or once the joint configuration is left
    auto_leave: bool = False
    next: dict[int, int] = field(default_factory=dict)  # node id -> next of its progress: when it was added
    joined: frozenset[int] = frozenset()  # whose progress this change made, also of those who left and came back in it

    def apply(self, changes: Sequence[Change], last_index: int) -> None:
        for letter, node_id in changes:
            if node_id == 0:
                continue
            alone = frozenset({node_id})
            if letter == "v":
                self.voters, self.wanted = self.voters | alone, self.wanted - alone
            elif letter == "l":
                self.voters, self.wanted = self.voters - alone, self.wanted | alone
            elif letter == "r":
                self.voters, self.wanted = self.voters - alone, self.wanted - alone
            self.forget_who_left(last_index)
        if not self.voters:
            raise Refused("removed all voters")

    def forget_who_left(self, last_index: int) -> None:
        members = self.voters | self.outgoing | self.wanted
        self.joined = (self.joined | (members - self.next.keys())) & members
        self.next = {node_id: self.next.get(node_id, max(last_index, 1)) for node_id in members}

    def copy(self) -> Configuration:
        return Configuration(self.voters, self.outgoing, self.wanted, self.auto_leave, dict(self.next))

    def simple(self, changes: Sequence[Change], last_index: int) -> Configuration:
        made = self.copy()
        if made.outgoing:
            raise Refused("can't apply simple config change in joint config")
        made.apply(changes, last_index)
        if len(made.voters ^ self.voters) > 1:
            raise Refused("more than one voter changed without entering joint config")
        return made

    def enter_joint(self, auto_leave: bool, changes: Sequence[Change], last_index: int) -> Configuration:
        made = self.copy()
        if made.outgoing:
            raise Refused("config is already joint")
        if not made.voters:
            raise Refused("can't make a zero-voter config joint")
        made.outgoing = made.voters
        made.apply(changes, last_index)
        made.auto_leave = auto_leave
        return made

    def leave_joint(self, last_index: int) -> Configuration:
        made = self.copy()
        if not made.outgoing:
            raise Refused("can't leave a non-joint config")
        made.outgoing, made.auto_leave = frozenset(), False
        made.forget_who_left(last_index)
        return made

    @property
    def learners(self) -> frozenset[int]:
        return self.wanted - self.outgoing

    @property
    def learners_next(self) -> frozenset[int]:
        return self.wanted & self.outgoing
