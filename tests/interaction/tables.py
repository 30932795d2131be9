"""Tables: single questions to the quorum arithmetic, and configuration changes one after another.

    committed cfg=(1,2,3) cfgj=zero idx=(100,101,99)     vote cfg=(1,2) cfgj=(2,3) votes=(y,n,_)

`cfg` are the voters, `cfgj` those of the other half of a joint configuration (`zero`: a half without members). The
values are in the order of cfg, then of those ids of cfgj that are new; `_` is no information. Only the last line of
the output is compared: the result. The drawing above it belongs to the eye.

    simple, enter-joint [autoleave=B], leave-joint       with input such as `v1 l2 r3 u4`

change one configuration that carries through the file; the last index is 0 at first and grows by one with each command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from raftcore.base.errors import ConfChangeError
from raftcore.base.types import UNLIMITED
from raftcore.membership.confchange import enter_joint, leave_joint, parse, simple
from raftcore.membership.progress import Progress
from raftcore.membership.quorum import committed_index, vote_result
from raftcore.membership.tracker import Tracker, TrackerConfig
from tests.interaction.arguments import Arguments, number, one_of
from tests.interaction.parser import Case, TranscriptError

MAX_INFLIGHT = 10
NO_VOTERS = "<empty majority quorum>"

Value = TypeVar("Value")
Answer = Callable[[tuple[int, ...], tuple[int, ...]], str]


def run_quorum(case: Case) -> list[str]:
    """The result of one table case, after the checks that hold for every case."""
    if case.name not in ("committed", "vote"):
        raise TranscriptError(f"unknown command {case.name!r}")
    if case.input:
        raise TranscriptError(f"{case.name} takes no input lines")
    arguments = Arguments(case.arguments)
    voters, other = arguments.id_list("cfg"), _other_half(arguments)
    ids = tuple(dict.fromkeys((*voters, *other)))
    if len(set(voters)) != len(voters) or len(set(other)) != len(other):
        raise TranscriptError("a voter is named twice in one half")
    answer = _committed(arguments, ids) if case.name == "committed" else _vote(arguments, ids)
    arguments.finish()
    result = answer(voters, other)
    if (swapped := answer(other, voters)) != result:
        return [f"{result}, but with the halves swapped {swapped}"]
    for half in (voters, other):
        alone = answer(half, ())
        for joined in (answer((), half), answer(half, half)):
            if joined != alone:
                return [f"{result}; but {half} gives {alone} alone and {joined} joined with nobody or itself"]
    return [result]


def result_of(lines: Sequence[str]) -> list[str]:
    """What of a quorum case's expected output is compared: its last line, without what is drawn before the result."""
    return [lines[-1].removeprefix(NO_VOTERS)] if lines else []


def _other_half(arguments: Arguments) -> tuple[int, ...]:
    if arguments.single("cfgj") == "zero":
        arguments.option("cfgj")
        return ()
    return arguments.id_list("cfgj")


def _values(arguments: Arguments, name: str, ids: tuple[int, ...], convert: Callable[[str], Value]) -> dict[int, Value]:
    values = arguments.values(name)
    if len(values) != len(ids):
        raise TranscriptError(f"{name}: {len(values)} values for the voters {ids}")
    return {node_id: convert(value) for node_id, value in zip(ids, values, strict=True)}


def _committed(arguments: Arguments, ids: tuple[int, ...]) -> Answer:
    match = _values(arguments, "idx", ids, lambda text: 0 if text == "_" else number("idx", text))

    def answer(incoming: tuple[int, ...], outgoing: tuple[int, ...]) -> str:
        index = committed_index([match[id] for id in incoming], [match[id] for id in outgoing])
        tracked = _tracker(incoming, outgoing, match).committed()
        if tracked != index:
            return f"{index}, but a tracker says {tracked}"
        return "∞" if index == UNLIMITED else str(index)

    return answer


def _vote(arguments: Arguments, ids: tuple[int, ...]) -> Answer:
    choices = {"y": True, "n": False, "_": None}
    votes = _values(arguments, "votes", ids, lambda text: one_of("votes", text, choices))

    def answer(incoming: tuple[int, ...], outgoing: tuple[int, ...]) -> str:
        result = vote_result([votes[id] for id in incoming], [votes[id] for id in outgoing])
        tracker = _tracker(incoming, outgoing, {})
        for node_id, vote in votes.items():
            if vote is not None:
                tracker.record_vote(node_id, vote)
        _, _, tracked = tracker.tally_votes()
        return result.name if tracked == result else f"{result.name}, but a tracker says {tracked.name}"

    return answer


def _tracker(incoming: tuple[int, ...], outgoing: tuple[int, ...], match: dict[int, int]) -> Tracker:
    tracker = Tracker()
    members = {id: Progress(id, match.get(id, 0), match.get(id, 0) + 1) for id in {*incoming, *outgoing}}
    tracker.install(TrackerConfig(incoming, outgoing), members)
    return tracker


class ConfChangeTable:
    """The configuration of one table, from its first command to its last."""

    def __init__(self) -> None:
        self.tracker = Tracker(MAX_INFLIGHT)
        self.last_index = 0

    def run(self, case: Case) -> list[str]:
        """The configuration and the progress after one command, or its error; an error changes nothing."""
        arguments = Arguments(case.arguments)
        try:
            changes = parse(" ".join(case.input))
            if case.name == "simple":
                arguments.finish()
                made = simple(self.tracker, self.last_index, changes)
            elif case.name == "enter-joint":
                auto_leave = arguments.bool_option("autoleave") or False
                arguments.finish()
                made = enter_joint(self.tracker, self.last_index, auto_leave, changes)
            elif case.name == "leave-joint":
                arguments.finish()
                if changes:
                    raise ConfChangeError("this command takes no input")
                made = leave_joint(self.tracker, self.last_index)
            else:
                raise TranscriptError(f"unknown command {case.name!r}")
        except ConfChangeError as error:
            return str(error).split("\n")
        finally:
            self.last_index += 1
        self.tracker.install(*made)
        return [self.tracker.config.describe(), *self.tracker.describe_progress()]
