"""Every example of docs/http-api.md is run, in order, against a real cluster; numbers may differ, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftpy.transport.datagram.udp import UdpTransport
from tests.server import curl
from tests.server.support import Cluster, ask

DOCUMENT = Path(__file__).parents[2] / "docs" / "http-api.md"


def examples() -> list[tuple[str, str]]:
    """(command line, expected output) in the order of the document."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(3) as cluster:
        yield cluster


def normal(text: str) -> str:
    """Without what may differ: numbers, but not 0 and not those of status lines, sizes and limits."""
    text = re.sub(r'("(?:index|term|id|leader|version|match|next|\w+_index)":)[1-9]\d*', r"\1N", text)
    text = re.sub(r'"transport":\{.*\}\}', '"transport":{...}}', text)  # all of it are counters
    text = re.sub(r"(ETag: \"|X-Raft-Index: |has version |127\.0\.0\.1:)\d+", r"\1N", text)
    return text.rstrip("\n")


def in_this_cluster(command: str, cluster: Cluster, leader: int) -> str:
    """With the ports of this cluster, the leader's for 8101."""
    others = [node_id for node_id in cluster.ids if node_id != leader]
    for port, node_id in zip((8101, 8102, 8103), (leader, *others), strict=True):
        command = command.replace(f"127.0.0.1:{port}", f"127.0.0.1:{cluster.port[node_id]}")
    return command


@pytest.mark.parametrize("how", curl.runners())
def test_every_example_gives_what_the_document_says(cluster: Cluster, how: str) -> None:
    leader = cluster.leader()
    found = examples()
    assert len(found) >= 20
    for command, expected in found:
        output = curl.run(in_this_cluster(command, cluster, leader), how)
        if command.startswith("curl -L -I"):
            shown = [line for line in output.splitlines() if line and not line.startswith(("Cache", "Server", "Date"))]
            assert sorted(map(normal, shown)) == sorted(map(normal, expected.splitlines())), command
        else:
            assert normal(output) == normal(expected), command


def test_the_document_names_every_code_and_page() -> None:
    text = DOCUMENT.read_text()
    for word in (
        "not_found", "version_mismatch", "no_leader", "timeout", "too_large", "bad_request", "overloaded", "internal",
        "failed", "stopped", "refused",
        "/v1/kv/KEY", "/v1/kv?", "/v1/status", "/healthz", "If-Match", "If-None-Match", "ETag", "X-Raft-Index",
        "Location", "Retry-After", "Allow", "consistency=stale", "4,096", "10,000", "1,000",
    ):  # fmt: skip
        assert word in text


def test_the_document_says_what_health_is_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    leader = cluster.leader()
    refuses = next(node_id for node_id in cluster.ids if node_id != leader)
    monkeypatch.setattr(UdpTransport, "refused_by", lambda _, peer: "a copy" if peer == refuses else None)
    health = ask(cluster.port[leader], "GET", "/healthz")
    assert (health.status, health.json["error"], health.json["message"]) == (503, "refused", "a copy")
    assert ask(cluster.port[leader], "PUT", "/v1/kv/k", b"v").status == 200
    section = DOCUMENT.read_text().partition("## Status and health")[2].partition("\n## ")[0]
    for said in ("One reachable peer", "503", "a leader that has a quorum", "readiness and alarms", "liveness probe"):
        assert said in section
