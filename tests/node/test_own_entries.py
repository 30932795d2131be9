"""Entries of the runtime's own: under a header that says what they are, and whether they must be understood."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from raftcore.base.errors import RaftError
from raftcore.values.changes import ConfChange, ConfChangeType, ConfChangeV2
from raftpy.contracts.errors import NotUnderstood
from raftpy.contracts.typed import TypeHeader
from raftpy.members.own_entries import MEMBERS, enveloped
from raftpy.members.table import MemberRecord, encode_records
from tests.node.harness import Cluster
from tests.node.served import agreed, expected, group, operations, serve


async def say(cluster: Cluster, leader: int, context: bytes) -> int:
    """The leader puts an entry of the runtime's own into the log; its index."""
    change = ConfChangeV2((ConfChange(ConfChangeType.UpdateNode, 1),), context=context)
    proposed = group(cluster.nodes[leader]).raw.propose_conf_change(change)
    assert proposed.refused is None
    group(cluster.nodes[leader]).schedule()
    return proposed.index


@pytest.mark.parametrize(
    ("context", "words"),
    [
        (enveloped(TypeHeader("schedule", 2), b"daily"), "'schedule' of version 2 must be understood, .* not know it"),
        (enveloped(TypeHeader("members", 7), b""), "'members' of version 7 must be understood, .* up to version 1"),
        (b"\0\2", "header of an entry"),
        (b"\0", "header of an entry"),
    ],
)
def test_an_entry_that_must_be_understood_and_is_not_stops_the_node_by_name(
    context: bytes, words: str, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of it is done, and nothing behind it; so also in the next life, which reads it from its log."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        index = await say(cluster, leader, context)
        await cluster.until(lambda: all(cluster.nodes[i].failed for i in cluster.ids), "all have stopped")
        for node_id in cluster.ids:
            failed = cluster.nodes[node_id].failed
            assert isinstance(failed, NotUnderstood)
            assert failed.where == f"node {node_id}: entry {index}"
            with pytest.raises(NotUnderstood, match=words):
                await cluster.nodes[node_id].propose(b"x")
            assert cluster.nodes[node_id].status().applied_index == index - 1
        for node_id in cluster.ids:
            await cluster.crash(node_id)
        for node_id in cluster.ids[:2]:
            with suppress(RaftError):
                await cluster.restart(node_id)
        again = [cluster.nodes[node_id] for node_id in cluster.nodes]
        await cluster.until(lambda: all(isinstance(node.failed, NotUnderstood) for node in again), "and again")
        for node_id in list(cluster.nodes):
            await cluster.crash(node_id)

    with caplog.at_level(logging.ERROR, logger="raftpy"):
        serve("memory", 3, seed, scenario)
    lines = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(lines) == 5
    assert all(re.search(words, r.getMessage()) and r.exc_info is None for r in lines)


def test_an_entry_that_need_not_be_understood_is_passed_over(seed: int) -> None:
    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        await say(cluster, leader, enveloped(TypeHeader("advice", 9, must_understand=False), b"whatever"))
        await cluster.propose(leader, b"y")
        await agreed(cluster, expected(cluster))
        assert not any(node.failed for node in cluster.nodes.values())

    serve("memory", 3, seed, scenario)


def has_priority(cluster: Cluster, priority: int) -> bool:
    """Whether node 1 has it, for all nodes."""
    return all(operations(cluster.nodes[i]).priority(1) == priority for i in cluster.ids)


def test_member_records_are_read_with_and_without_a_header(seed: int) -> None:
    """Without one they are as all releases have written them."""

    async def scenario(cluster: Cluster) -> None:
        leader, _ = await cluster.single_leader()
        await agreed(cluster, expected(cluster))
        for priority, header in enumerate((None, MEMBERS), 1):
            record = replace(expected(cluster).get(1) or MemberRecord(), priority=priority)
            records = encode_records({1: record})
            await say(cluster, leader, records if header is None else enveloped(header, records))
            await cluster.propose(leader, b"%d" % priority)
            await cluster.until(partial(has_priority, cluster, priority), "it is taken everywhere")

    serve("memory", 3, seed, scenario)
