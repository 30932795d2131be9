"""What the count of the files on a way makes of the calls that it has seen."""

from __future__ import annotations

import asyncio

from benchmarks.ways import HANDLER, REST, ROOT, TURN, common, modules, named, to_handlers


def test_our_files_are_named_from_the_root_and_no_others() -> None:
    assert named("raftcore/log/log.pxd") == "raftcore/log/log.pxd"  # as C says it
    assert named(str(ROOT / "raftpy" / "node.py")) == "raftpy/node.py"
    assert named(str(ROOT / "benchmarks" / "ways.py")) is None
    assert named("<frozen importlib._bootstrap>") is None
    assert named(asyncio.events.__file__) == TURN


def test_a_module_counts_once_where_it_was_entered_first() -> None:
    calls = [(TURN, "_run"), ("raftcore/log/log.pxd", "a"), ("raftpy/node.py", "b"), ("raftcore/log/log.pyx", "c")]
    assert modules(calls) == ["raftcore/log/log", "raftpy/node"]


def test_what_only_some_rounds_went_through_does_not_count() -> None:
    a, b, c, d = ((f"raftpy/{name}.py", "call", 1) for name in "abcd")
    assert common([[a, b, c], [c, a], [a, c, d]]) == [a, c]


def test_a_datagrams_way_ends_at_the_first_handler_of_its_turn() -> None:
    early, late = ("raftpy/early.py", "a"), ("raftpy/late.py", "b")
    turn = (TURN, "_run")
    calls = [early, HANDLER, turn, early, HANDLER, late, HANDLER, turn, late, turn, late, HANDLER]
    assert to_handlers(calls) == [[early, HANDLER], [late, HANDLER]]


def test_a_pass_in_the_place_of_a_turn_begins_a_way() -> None:
    early, late = ("raftpy/early.py", "a"), ("raftpy/late.py", "b")
    calls = [(TURN, "_run"), early, REST, late, HANDLER, late, REST, HANDLER]
    assert to_handlers(calls) == [[REST, late, HANDLER], [REST, HANDLER]]
