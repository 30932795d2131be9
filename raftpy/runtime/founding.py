"""Founding: when a node whose store holds nothing may take part (docs/design.md, decision 5).

A store that holds nothing is one that has promised nothing, or one that has lost what it had promised: an emptied disk
looks like a new one. Only the other members can tell. So a new node asks each of them, and until it knows, it takes no
part in Raft: its core is given no messages and no ticks, so the node neither stands for election nor votes nor
acknowledges. `judge` decides, in this order:

    what the other members say                                                          outcome
    ----------------------------------------------------------------------------------  ---------------------------
    one refuses this incarnation: it knows another store of this id, or a later start   stop
    one holds entries or has known a leader, and those that are not new, silent ones
    included, are too few to have elected one:
        the new ones have said again, after that was heard, that they are new           stop, a second later
        not yet                                                                         ask them
    one is silent                                                                       wait (--bootstrap: 3 seconds)
    all are new                                                                         begin
    some are new, others take part:
        each new one says that nobody who takes part refuses it (CLEARED)               begin
        not yet                                                                         say so oneself, wait for them
    all take part                                                                       begin

A node that is none of the first members, and joins them, waits until one who takes part has answered: nobody answers
before it was added. It may promise what it likes. Nobody counts it as a voter before it was heard and its store stands
in the table of all who do, and its id was never another's.

A member pins this store, durably, before it answers, so it will never listen to another store of this id. When a node
begins, therefore, either it has promised nothing, or no member that still remembers has heard what it promised.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import cast

from raftcore.membership.quorum import VoteResult, vote_result
from raftpy.config import Config
from raftpy.contracts.clock import Clock, TimerHandle
from raftpy.contracts.errors import WrongIdentity
from raftpy.contracts.transport import AskingTransport, Transport
from raftpy.contracts.types import Heard, Standing

FIRST_QUESTION_S = 0.02
LONGEST_PAUSE_S = 1.0
"""A question is put again after the first, then after twice as long each time, up to the second."""
BOOTSTRAP_WAIT_S = 3.0
"""How long even a node that was told to bootstrap waits for those that do not answer. A survivor answers at once, but
refuses only once a second, and words may be lost."""
FORGOTTEN_WAIT_S = 1.0
"""How long a node that must stop, because too few remember, still answers: the others need its word to stop as well."""
FIRST_LINE_S = 2.0
LINE_PERIOD_S = 10.0

WAYS_OUT = (
    "put its old data directory back; or leave it out while the others have a majority; or, if they have none, start a "
    'new cluster with what they hold (README, "When a data directory is lost")'
)

log = logging.getLogger("raftpy")


class Outcome(enum.Enum):
    """What the answers so far mean."""

    BEGIN = "begin"
    WAIT = "wait"
    CLEARED = "wait, and say that nobody who takes part refuses this node"
    CONFIRM = "wait, and ask whether those that were new still are"
    REFUSED = "stop: this incarnation is refused"
    FORGOTTEN = "stop: too few remember"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome, and the members it is for: those waited for, or those that are a reason to stop."""

    outcome: Outcome
    members: tuple[int, ...] = ()


def judge_joining(answers: Mapping[int, Heard]) -> Judgement:
    """The same for a node that is none of the first members."""
    refusing = tuple(i for i, heard in answers.items() if heard.refuses)
    if refusing:
        return Judgement(Outcome.REFUSED, refusing)
    if any(_takes_part(heard) for heard in answers.values()):
        return Judgement(Outcome.BEGIN)
    return Judgement(Outcome.WAIT, tuple(answers))


def judge(answers: Mapping[int, Heard], confirmed_from: int, patient: bool) -> Judgement:
    """The table above.

    Args:
        answers: what is known of every other member, by id.
        confirmed_from: the first question asked after a member was heard to hold entries; 0: none yet.
        patient: wait for those that do not answer. False: for those only that answer.
    """
    refusing = tuple(i for i, heard in answers.items() if heard.refuses)
    if refusing:
        return Judgement(Outcome.REFUSED, refusing)
    silent = tuple(i for i, heard in answers.items() if heard.standing is None)
    new = _new(answers)
    established = tuple(i for i, heard in answers.items() if heard.standing is Standing.ESTABLISHED)
    if established and _too_few_remember(answers, new):
        unconfirmed = tuple(i for i in new if not 0 < confirmed_from <= answers[i].answered)
        if _too_few_remember(answers, [i for i in new if i not in unconfirmed]):
            return Judgement(Outcome.FORGOTTEN, established)
        return Judgement(Outcome.CONFIRM, unconfirmed)
    if silent and patient:
        return Judgement(Outcome.WAIT, silent)
    if len(new) + len(silent) == len(answers):
        return Judgement(Outcome.BEGIN)
    uncleared = tuple(i for i in new if answers[i].standing is not Standing.CLEARED)
    if uncleared and patient:
        return Judgement(Outcome.CLEARED, uncleared)
    return Judgement(Outcome.BEGIN)


def _new(answers: Mapping[int, Heard]) -> tuple[int, ...]:
    return tuple(i for i, heard in answers.items() if heard.standing is not None and heard.standing.is_new)


def _takes_part(heard: Heard) -> bool:
    return heard.standing is not None and not heard.standing.is_new


def _too_few_remember(others: Collection[int], new: Collection[int]) -> bool:
    """Whether no leader was elected by those that do not say that they are new: as the core counts votes, without one
    of the new ones or of this node."""
    return vote_result([False, *(False if i in new else None for i in others)]) == VoteResult.VoteLost


def asking(transport: Transport) -> AskingTransport | None:
    """The transport, if it is one over which peers can be asked."""
    return cast(AskingTransport, transport) if hasattr(transport, "ask") else None


class Founding:
    """A new node's questions, until it begins or stops. All calls are made in the event loop's thread.

    ``members`` are the first ones, ``contacts`` others whom a node that joins knows of.
    ``begin(first)`` is called once, when the node may take part, with whether nobody takes part before it;
    ``fail(error)`` when it must not.
    ``waits_for``: the members whose word is missing; empty once that is over.
    """

    def __init__(
        self,
        config: Config,
        members: Collection[int],
        contacts: Collection[int],
        store_id: int,
        transport: AskingTransport,
        clock: Clock,
        begin: Callable[[bool], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._id = config.id
        self._joins = config.id not in members
        asked = {*members, *contacts} if self._joins else members
        self.waits_for = tuple(sorted(set(asked) - {config.id}))
        self._bootstrap = config.bootstrap
        self._others = self.waits_for
        self._store_id = store_id
        self._transport = transport
        self._clock = clock
        self._begin = begin
        self._fail = fail
        self._number = 0  # of the last question
        self._confirmed_from = 0
        self._pause_s = FIRST_QUESTION_S
        self._began_s = clock.monotonic()
        self._outcome = Outcome.WAIT  # of the last look
        self._forgotten_s: float | None = None  # since when too few remember; None: as far as is known enough do
        self._line_due_s = self._began_s + (LINE_PERIOD_S if config.bootstrap else FIRST_LINE_S)
        self._timer: TimerHandle | None = None  # the next question's
        self._due: TimerHandle | None = None  # the next look's, when something has been told
        self._done = False

    def start(self) -> None:
        """The transport has probed every member; from now on asks again whoever has not answered."""
        self._plan()

    def stop(self) -> None:
        """Asks nobody any more."""
        self._done = True
        for timer in (self._timer, self._due):
            if timer is not None:
                timer.cancel()
        self._timer = self._due = None

    def heard(self, node_id: int) -> None:
        """A member has told something new. Raises ``WrongIdentity`` when it refuses us; the rest is looked at later.

        That is when the transport has answered what came in together. So every member hears first that this node is
        new, and only then that it takes part: one that heard the latter of it, and of another that it is new, could
        not begin before it has asked again.
        """
        if self._done:
            return
        if self._transport.heard(node_id).refuses:
            self.look()
        elif self._due is None:
            self._due = self._clock.call_later(0, self._look_soon)

    def _look_soon(self) -> None:
        self._due = None
        self._look_or_fail()

    def _look_or_fail(self) -> None:
        try:
            self.look()
        except WrongIdentity as error:
            self._fail(error)

    def look(self) -> None:
        """Begins when enough has been told; ``WrongIdentity`` when the node must not."""
        if self._done:
            return
        answers = {node_id: self._transport.heard(node_id) for node_id in self._others}
        now_s = self._clock.monotonic()
        patient = not self._bootstrap or now_s - self._began_s < BOOTSTRAP_WAIT_S
        judgement = judge_joining(answers) if self._joins else judge(answers, self._confirmed_from, patient)
        self.waits_for = judgement.members
        before, self._outcome = self._outcome, judgement.outcome
        if judgement.outcome is not Outcome.FORGOTTEN:
            self._forgotten_s = None
        match judgement.outcome:
            case Outcome.BEGIN:
                self.stop()
                if not self._joins:
                    self._say_without(tuple(i for i, heard in answers.items() if heard.standing is None))
                self._begin(not any(_takes_part(heard) for heard in answers.values()))
            case Outcome.CLEARED:
                self._transport.stand(Standing.CLEARED)
                if before is not Outcome.CLEARED:
                    self._ask_anew()
            case Outcome.CONFIRM if not self._confirmed_from:
                self._ask_anew()
                self._confirmed_from = self._number
            case Outcome.FORGOTTEN if self._answers_still(now_s):
                pass
            case Outcome.REFUSED | Outcome.FORGOTTEN:
                self.stop()
                self.waits_for = ()
                raise self._error(judgement, answers)

    def _answers_still(self, now_s: float) -> bool:
        if self._forgotten_s is None:
            self._forgotten_s = now_s
        return now_s - self._forgotten_s < FORGOTTEN_WAIT_S

    # --- Asking -------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        self._timer = self._clock.call_later(self._pause_s, self._again)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _again(self) -> None:
        asked = self._number
        self._look_or_fail()
        if self._done:
            return
        if self._number == asked:  # else the look has found something else to ask, and has asked it
            self._ask()
            self._plan()
        self._say()

    def _ask_anew(self) -> None:
        """Something else is asked now: at once, and again after pauses that begin anew."""
        if self._timer is not None:
            self._timer.cancel()
        self._ask()
        self._pause_s = FIRST_QUESTION_S
        self._plan()

    def _ask(self) -> None:
        self._number += 1
        self._transport.ask(self._number, self.waits_for)

    # --- Telling ------------------------------------------------------------------------------------------------

    def because(self) -> str | None:
        """Why this node knows no leader, in words for whoever wants one; None once it takes part."""
        if not self.waits_for:
            return None
        if self._joins:
            return "this node is new and takes no part before it was added to the cluster, and has heard from a member"
        match self._outcome:
            case Outcome.CLEARED:
                return (
                    f"this node is new and takes no part before {_named(self.waits_for)}, new as well, "
                    f"{_form('says', 'say', self.waits_for)} that nobody who takes part refuses "
                    f"{_form('it', 'them', self.waits_for)}"
                )
            case Outcome.CONFIRM | Outcome.FORGOTTEN:
                return (
                    "this node is new, and too few members seem to remember what was acknowledged: unless it hears "
                    "otherwise it stops"
                )
        return f"this node is new and takes no part before it has heard from {_named(self.waits_for)}"

    def _say(self) -> None:
        now = self._clock.monotonic()
        if now < self._line_due_s or self._outcome is Outcome.FORGOTTEN:  # of which the node says more as it stops
            return
        self._line_due_s = now + LINE_PERIOD_S
        log.warning("node %d is new and takes no part yet: it waits for %s%s", self._id, *self._what_for())

    def _what_for(self) -> tuple[str, str]:
        """Whom it waits for and to say what, and what can be done about it."""
        if self._joins:
            return f"{_named(self.waits_for)} to answer, which they do once it was added to the cluster", ""
        whom = _named(self.waits_for)
        match self._outcome:
            case Outcome.CLEARED:
                known = f"knows {_form('it', 'them', self.waits_for)} by another data directory"
                return (
                    f"{whom}, new as well, to say that no member that takes part {known}",
                    "" if self._bootstrap else "; to take part without that word, start with --bootstrap",
                )
            case Outcome.CONFIRM:
                still = f"whether {_form('it is', 'they are', self.waits_for)} still new"
                return f"{whom} to say once more {still}: if so, too few remember what was acknowledged", ""
        return (
            f"{whom} to say whether this cluster knows it by another data directory",
            "" if self._bootstrap else "; where the cluster is to be founded without them, start with --bootstrap",
        )

    def _say_without(self, silent: Collection[int]) -> None:
        if silent:
            log.warning("node %d takes part without a word of %s, as bootstrap says", self._id, _named(silent))

    def _error(self, judgement: Judgement, answers: Mapping[int, Heard]) -> WrongIdentity:
        first = judgement.members[0]
        if judgement.outcome is Outcome.REFUSED:
            if answers[first].refuses_start:
                return WrongIdentity(
                    f"node {first} knows node {self._id} by a later start of this data directory, {self._store_id:#x}, "
                    "or by another one from the same state, and here it holds nothing: an old copy was put back, or "
                    f"copies of it run. Without what node {self._id} has promised it must not vote: run the newest of "
                    f"its directories only; or {WAYS_OUT}"
                )
            return WrongIdentity(
                f"node {first} knows node {self._id} by another data directory than this one, {self._store_id:#x}, "
                f"which holds nothing: without what node {self._id} has promised it must not vote; {WAYS_OUT}"
            )
        new = sorted([*_new(answers), self._id])
        return WrongIdentity(
            f"node {first} holds the log of this cluster, and {_named(new)} hold nothing: too few "
            f"remember what was acknowledged, so node {self._id} must not vote; {WAYS_OUT}"
        )


def _form(one: str, several: str, node_ids: Collection[int]) -> str:
    return one if len(node_ids) == 1 else several


def _named(node_ids: Collection[int]) -> str:
    return ("node " if len(node_ids) == 1 else "nodes ") + ", ".join(map(str, node_ids))
