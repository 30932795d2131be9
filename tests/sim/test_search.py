"""Many seeds over processes: what is added up, and that nothing that goes wrong goes unseen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from raftpy.sim.outcome import Failure
from raftpy.sim.search import search
from raftpy.sim.totals import Found, Totals
from tests.sim import fake_worlds as worlds

FAKE: Any = {"run": "tests.sim.fake_worlds:run", "draw": "tests.sim.fake_worlds:draw"}


@pytest.fixture(autouse=True)
def _tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def found(seeds: Iterable[int], **options: Any) -> dict[int, Failure]:
    totals = search(seeds, 2, **(FAKE | options))
    assert len({each.seed for each in totals.found}) == len(totals.found)
    return {each.seed: each.failure for each in totals.found}


def test_totals_are_of_all_runs_and_counters_of_each_seeds_first() -> None:
    told: list[int] = []
    totals = search(range(7), 3, **FAKE, tell=lambda totals: told.append(totals.seeds))
    assert (totals.seeds, totals.runs, totals.events, totals.virtual_s) == (7, 14, 140, 7.0)
    assert totals.found == []
    assert totals.reached["a"] == 7
    assert totals.never_reached() == ["never"]
    assert told == sorted(told)
    assert told[-1] == 7
    assert totals.elapsed_s > 0
    assert not totals.interrupted


def test_once_is_once() -> None:
    totals = search([1, 2, worlds.DIFFERS], 1, **FAKE, once=True)
    assert (totals.seeds, totals.runs, totals.found) == (3, 3, [])


def test_a_failure_is_found_and_the_search_goes_on() -> None:
    totals = search([1, worlds.FAILS, 2], 1, **FAKE)
    assert totals.found == [Found(worlds.FAILS, Failure("durable", "entry 7 is gone", 0.25))]
    assert totals.seeds == 3


def test_two_runs_that_differ_are_a_failure() -> None:
    failures = found([1, worlds.DIFFERS, worlds.FAILS_SOMETIMES, 2])
    assert {seed: failure.check for seed, failure in failures.items()} == {
        worlds.DIFFERS: "not replayed",
        worlds.FAILS_SOMETIMES: "not replayed",
    }
    assert failures[worlds.DIFFERS].text.startswith("PYTHONHASHSEED=1: 10 events, hash hash of 102")
    assert "fails: durable: entry 7 is gone" in failures[worlds.FAILS_SOMETIMES].text


def test_a_process_that_dies_names_its_seed() -> None:
    totals = search([1, worlds.DIES, worlds.CRASHES, 2, 3], 1, **FAKE)
    failures = {each.seed: each.failure for each in totals.found}
    assert {failure.check for failure in failures.values()} == {"process died"}
    assert "exit status 3\nthese are my last words" in failures[worlds.DIES].text
    assert "SIGSEGV" in failures[worlds.CRASHES].text
    assert totals.seeds == 5


def test_exceptions_are_failures() -> None:
    failures = found([worlds.RAISES, worlds.DRAWS_NOTHING, 1])
    assert failures[worlds.RAISES].check == "exception: KeyError"
    assert "fake_worlds.py" in failures[worlds.RAISES].text
    assert failures[worlds.DRAWS_NOTHING].check == "exception: LookupError"


def test_a_run_without_an_end_is_ended() -> None:
    failures = found([worlds.HANGS, 1, 2], limit_s=3.0)
    assert failures == {worlds.HANGS: Failure("no end", "the run has not ended in 3 s of real time", 0.0)}


def test_what_a_world_prints_is_not_taken_for_an_answer() -> None:
    assert found([worlds.PRINTS, 1]) == {}


def test_an_interrupt_ends_it_with_the_totals_so_far() -> None:
    def tell(totals: Totals) -> None:
        if totals.seeds >= 3:
            raise KeyboardInterrupt

    totals = search(range(1000), 2, **(FAKE | {"run": "tests.sim.fake_worlds:slow"}), tell=tell)
    assert totals.interrupted
    assert 3 <= totals.seeds < 10


def test_a_search_leaves_no_process_behind() -> None:
    code = (
        "import os, sys; from raftpy.sim.search import search\n"
        "def tell(totals): raise KeyboardInterrupt\n"
        "search(range(9), 2, run=sys.argv[1], draw=sys.argv[2], tell=tell)\n"
        "try: os.wait()\n"
        "except ChildProcessError: print('none')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *FAKE.values()], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("none\n", "", 0)


def test_failures_are_counted_by_check() -> None:
    totals = Totals(found=[Found(seed, Failure(check, "", 0)) for seed, check in ((9, "a"), (1, "b"), (3, "b"))])
    assert list(totals.by_check().items()) == [("b", [1, 3]), ("a", [9])]


def test_real_seeds_are_replayed() -> None:
    totals = search(range(1, 5), 2)
    assert (totals.found, totals.runs) == ([], 8)
    assert totals.events > 1000
