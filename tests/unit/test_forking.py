"""Who is told in a forked child: everybody who has asked for it, in however many threads at once, and lives still."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest

from raftpy.system import forking

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Part:
    """Something that wants to be told."""

    def __init__(self, told: list[int], number: int) -> None:
        self._told = told
        self._number = number

    def tell(self) -> None:
        self._told.append(self._number)


@pytest.fixture
def hasty_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads take turns as often as they can; nobody else is told anything meanwhile."""
    monkeypatch.setattr(forking, "_watching", [])
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_nobody_is_missed_who_asks_beside_others_while_those_before_go() -> None:
    for _ in range(500):
        told: list[int] = []
        gone = [Part(told, -1) for _ in range(15)]
        parts = [Part(told, number) for number in range(23)]
        for part in (*gone, *parts[8:]):
            forking.call_in_child(part.tell)
        del gone, part
        together = threading.Barrier(4)

        def ask(mine: list[Part], together: threading.Barrier = together) -> None:
            together.wait()
            for part in mine:
                forking.call_in_child(part.tell)

        threads = [threading.Thread(target=ask, args=(parts[i : i + 2],)) for i in range(0, 8, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        forking._in_child()  # as in a child
        assert sorted(told) == list(range(23))


def test_a_child_can_ask_also_when_a_thread_of_the_parent_was_about_to() -> None:
    with forking._changing:
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)
            told: list[int] = []
            try:
                part = Part(told, 1)
                forking.call_in_child(part.tell)
                forking._in_child()
            finally:
                os._exit(0 if told == [1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
