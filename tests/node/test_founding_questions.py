"""What a new node asks and says while it waits: a transport and a clock that do what the test tells them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import cast

import pytest

from raftpy import Config, WrongIdentity
from raftpy.contracts.transport import AskingTransport
from raftpy.contracts.types import Heard, Standing
from raftpy.runtime.founding import FIRST_QUESTION_S, FORGOTTEN_WAIT_S, LONGEST_PAUSE_S, Founding

SILENT = Heard()
NEW, CLEARED = Heard(5, "", standing=Standing.NEW), Heard(5, "", standing=Standing.CLEARED)
JOINED, ESTABLISHED = Heard(5, "", standing=Standing.JOINED), Heard(5, "", standing=Standing.ESTABLISHED)
STORE_ID = 0xABC


class Timer:
    """A call that is due."""

    def __init__(self, at_s: float, call: Callable[[], object]) -> None:
        self.at_s, self.call = at_s, call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Bench:
    """The founding of node 1 among ``size`` members. It is both transport and clock of it."""

    def __init__(self, size: int = 3, contacts: Collection[int] = ()) -> None:
        members = {i: f"127.0.0.1:{7100 + i}" for i in range(1, size + 1)}
        self.said = dict.fromkeys(range(2, size + 1), SILENT)
        self.now_s = 0.0
        self.timers: list[Timer] = []
        self.asked: list[tuple[float, tuple[int, ...]]] = []
        """When it has asked whom."""
        self.standing = Standing.NEW
        self.number = 0
        self.begun: list[bool] = []
        self.failures: list[BaseException] = []
        self.founding = Founding(
            Config(id=1, cluster=members),
            members,
            contacts,
            STORE_ID,
            cast(AskingTransport, self),
            self,
            self.begun.append,
            self.failures.append,
        )
        self.founding.start()

    def heard(self, node_id: int) -> Heard:
        return self.said[node_id]

    def stand(self, standing: Standing) -> None:
        self.standing = standing

    def ask(self, number: int, node_ids: Collection[int]) -> None:
        assert number == self.number + 1
        self.number = number
        self.asked.append((round(self.now_s, 6), tuple(node_ids)))

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return 0

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self.now_s + delay_s, callback))
        return self.timers[-1]

    def say(self, *heard: Heard) -> None:
        """This is what nodes 2, 3 and so on have told from now on."""
        self.said = dict(enumerate(heard, 2))
        self.founding.heard(2)
        self.run(0)

    def run(self, seconds: float) -> None:
        """Lets so much time pass."""
        until_s = self.now_s + seconds
        while due := [timer for timer in self.timers if not timer.cancelled and timer.at_s <= until_s]:
            first = min(due, key=lambda timer: timer.at_s)
            self.timers.remove(first)
            self.now_s = first.at_s
            first.call()
        self.now_s = until_s

    def failure(self) -> str:
        (error,) = self.failures
        assert isinstance(error, WrongIdentity)
        return str(error)


@pytest.mark.parametrize(
    "heard",
    [(ESTABLISHED, ESTABLISHED, ESTABLISHED, NEW), (ESTABLISHED, ESTABLISHED, NEW, NEW)],
    ids=["to be cleared", "to be confirmed"],
)
def test_what_is_waited_for_now_is_asked_for_at_once_and_then_often(heard: tuple[Heard, ...]) -> None:
    """A word that is lost costs 20 ms, not the second to which the pauses had grown while somebody was silent."""
    bench = Bench(5)
    bench.say(*heard[:3], SILENT)
    bench.run(10)
    assert bench.asked[-1][0] - bench.asked[-2][0] == pytest.approx(LONGEST_PAUSE_S)
    bench.asked.clear()
    bench.say(*heard)
    new = tuple(i for i, word in enumerate(heard, 2) if word is NEW)
    bench.run(0.2)
    assert [round((when - 10) / FIRST_QUESTION_S) for when, _ in bench.asked] == [0, 1, 3, 7]
    assert {whom for _, whom in bench.asked} == {new}


def test_each_question_is_put_once_when_it_comes_to_be_at_the_time_of_another() -> None:
    bench = Bench(5)
    bench.say(ESTABLISHED, ESTABLISHED, ESTABLISHED, SILENT)
    bench.said[5] = NEW  # told, and not yet looked at
    bench.run(1.5 * FIRST_QUESTION_S)
    assert bench.asked == [(FIRST_QUESTION_S, (5,))]
    assert bench.standing is Standing.CLEARED


def test_a_second_of_answering_is_given_again_where_enough_have_remembered_meanwhile() -> None:
    bench = Bench(3)
    still_new = Heard(5, "", standing=Standing.NEW, answered=1)
    bench.say(ESTABLISHED, NEW)
    bench.say(ESTABLISHED, still_new)
    bench.run(0.9 * FORGOTTEN_WAIT_S)
    bench.say(ESTABLISHED, SILENT)  # it has started again
    bench.run(5 * FORGOTTEN_WAIT_S)
    bench.say(ESTABLISHED, still_new)
    bench.run(0.9 * FORGOTTEN_WAIT_S)
    assert bench.failures == []
    bench.run(2 * FORGOTTEN_WAIT_S)
    assert bench.failure().startswith("node 2 holds the log of this cluster, and nodes 1, 3 hold nothing")


@pytest.mark.parametrize(
    ("heard", "because", "line"),
    [
        ((ESTABLISHED, SILENT), "before it has heard from node 3", "for node 3 to say whether this cluster knows it"),
        (
            (JOINED, NEW),
            "before node 3, new as well, says that nobody who takes part refuses it",
            "for node 3, new as well, to say that no member that takes part knows it by another data directory; to ",
        ),
        (
            (JOINED, NEW, NEW),
            "before nodes 3, 4, new as well, say that nobody who takes part refuses them",
            "for nodes 3, 4, new as well, to say that no member that takes part knows them by another data directory; ",
        ),
        (
            (ESTABLISHED, NEW),
            "too few members seem to remember what was acknowledged: unless it hears otherwise it stops",
            "for node 3 to say once more whether it is still new: if so, too few remember what was acknowledged",
        ),
    ],
)
def test_it_says_what_it_waits_for(
    heard: tuple[Heard, ...], because: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(len(heard) + 1)
    bench.say(*heard)
    assert because in str(bench.founding.because())
    bench.run(5)
    (said,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert said.startswith(f"node 1 is new and takes no part yet: it waits {line}")
    assert bench.failures == []


def test_one_that_is_about_to_stop_says_no_more_that_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(3)
    bench.say(ESTABLISHED, SILENT)
    bench.run(1.5)
    bench.say(ESTABLISHED, NEW)
    bench.say(ESTABLISHED, Heard(5, "", standing=Standing.NEW, answered=bench.number))
    bench.run(0.9 * FORGOTTEN_WAIT_S)  # its line was due meanwhile
    assert bench.failures == []
    bench.run(2 * FORGOTTEN_WAIT_S)
    assert "too few remember" in bench.failure()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_copy_is_told_from_a_directory_that_was_lost() -> None:
    """What helps is another thing: there is nothing to put back, and one of the copies must not run."""
    texts = []
    for copied in (True, False):
        bench = Bench()
        bench.said[2] = Heard(5, "", refuses=True, refuses_start=copied)
        with pytest.raises(WrongIdentity) as caught:
            bench.founding.heard(2)
        texts.append(str(caught.value))
    copy, lost = texts
    assert copy.startswith("node 2 knows node 1 by a later start of this data directory, 0xabc, or by another one from")
    assert "run the newest of its directories only" in copy
    assert lost.startswith("node 2 knows node 1 by another data directory than this one, 0xabc, which holds nothing")
    assert "put its old data directory back" in lost


def test_a_first_member_asks_the_first_members_and_nobody_else() -> None:
    assert Bench(3, contacts=[7, 8]).founding.waits_for == (2, 3)


def joining() -> Bench:
    """Node 1 joins a cluster that 2 and 3 have begun, and knows of 7 beside them."""
    bench = Bench(3)
    bench.founding.stop()
    bench.said[7] = SILENT
    bench.founding = Founding(
        Config(id=1, cluster={2: "127.0.0.1:7102", 3: "127.0.0.1:7103"}, udp="127.0.0.1:7101"),
        (2, 3),
        (7,),
        STORE_ID,
        cast(AskingTransport, bench),
        bench,
        bench.begun.append,
        bench.failures.append,
    )
    bench.founding.start()
    return bench


@pytest.mark.parametrize("node_id", [2, 7])
def test_one_that_joins_begins_with_the_first_answer_of_who_takes_part(node_id: int) -> None:
    bench = joining()
    assert bench.founding.waits_for == (2, 3, 7)
    bench.founding.look()
    assert bench.begun == []
    assert "before it was added to the cluster" in (bench.founding.because() or "")
    bench.said[3] = NEW
    bench.founding.look()
    assert bench.begun == []
    bench.said[node_id] = ESTABLISHED
    bench.founding.look()
    assert bench.begun == [False]
    assert bench.founding.because() is None


def test_one_that_joins_and_is_refused_stops() -> None:
    bench = joining()
    bench.said[2] = ESTABLISHED
    bench.said[3] = Heard(5, "", standing=Standing.ESTABLISHED, refuses=True)
    with pytest.raises(WrongIdentity, match="node 3 knows node 1 by another data directory"):
        bench.founding.look()
    assert bench.begun == []
