"""Reads of what a node has applied: old is right, wrong and going back are not."""

from __future__ import annotations

import pytest

from raftpy.sim.linearizability.history import ANY
from raftpy.sim.linearizability.local_reads import Applied, LocalRead, check_local_reads

LOG = [
    Applied(2, "x", "a", 10),
    Applied(3, "y", "p", 11),
    Applied(5, "x", "b", 12),
    Applied(6, "y", None, 13),
    Applied(8, "x", "a", 14),
]


def read(
    value: object, key: str = "x", client: int = 1, node: int = 1, at: float = 20, version: int | None = None
) -> LocalRead:
    return LocalRead(client, node, key, at, value, version)


def test_old_states_are_right() -> None:
    reads = [
        read(None),
        read("a"),
        read("b"),
        read("a"),
        read("a", client=2),
        read(None, "y", client=3),
        read(None, "z"),
    ]
    assert check_local_reads(LOG, reads) is None


def test_a_value_that_the_log_never_gave_the_key() -> None:
    found = check_local_reads(LOG, [read("a"), read("p")])
    assert found is not None
    assert (found.read, found.earlier) == (read("p"), None)


def test_a_value_before_anybody_had_applied_it() -> None:
    assert check_local_reads(LOG, [read("b", at=12)]) is None
    found = check_local_reads(LOG, [read("b", at=11.5)])
    assert found is not None
    assert found.earlier is None


def test_a_client_that_goes_back_on_one_node() -> None:
    reads = [read("b"), read("b"), read(None, client=2), read(None, node=2), read(None)]
    found = check_local_reads(LOG, reads)
    assert found is not None
    assert (found.read, found.earlier) == (reads[4], reads[0])
    assert str(found) == (
        "a local read shows a state that the log no longer had:\n"
        "    client 1 on node 1 at 20: 'x' is nothing\n"
        "The same client had seen index 5 on that node:\n"
        "    client 1 on node 1 at 20: 'x' is 'b'\n"
        "What the log made of key 'x':\n"
        "    from index 0 on nothing\n"
        "    from index 2 on 'a', applied at 10\n"
        "    from index 5 on 'b', applied at 12\n"
        "    from index 8 on 'a', applied at 14"
    )


def test_going_back_shows_across_keys() -> None:
    assert check_local_reads(LOG, [read("b"), read("p", "y")]) is None
    # Behind "b" there is nothing under y only from index 6 on.
    assert check_local_reads(LOG, [read("b"), read(None, "y"), read("b")]) is None
    assert check_local_reads(LOG, [read("b"), read(None, "y"), read("p", "y")]) is not None
    found = check_local_reads(LOG, [read("a", version=8), read("p", "y")])
    assert found is not None
    assert found.earlier == read("a", version=8)


def test_versions_tell_equal_values_apart() -> None:
    assert check_local_reads(LOG, [read("a", version=8)]) is None
    assert check_local_reads(LOG, [read("a", version=8), read("a", version=2)]) is not None
    assert check_local_reads(LOG, [read("a", version=5)]) is not None
    assert check_local_reads(LOG, [read(ANY, version=5)]) is None
    assert check_local_reads(LOG, [read(None, "y", version=0)]) is None
    assert check_local_reads(LOG, [read(None, "y", version=6)]) is not None


def test_a_value_from_the_beginning() -> None:
    assert check_local_reads(LOG, [read("0")], "0") is None
    assert check_local_reads(LOG, [read("0"), read("a"), read("0")], "0") is not None


def test_changes_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="not behind index 8"):
        check_local_reads([*LOG, Applied(8, "x", "c", 15)], [])
