"""Nodes in processes of their own, as a test of faults needs them: values put and read back, statuses, last words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from random import Random
from typing import Any

from raftpy.cli import http_client
from raftpy.cli.demo_cluster import DemoCluster
from raftpy.cli.http_client import Answer, Broken, NotSent

PATIENCE_S = 20.0
"""Seconds after which what was waited for is taken for something that does not come."""


def ask(
    cluster: DemoCluster, node_id: int, method: str, path: str, body: bytes | None = None, timeout: float = 10
) -> Answer:
    """One request, from where the node can be reached. Raises ``NotSent`` or ``Broken``."""
    reach = getattr(cluster, "inside", nullcontext)
    with reach(node_id):
        return http_client.ask(cluster.http[node_id], method, path, body, timeout=timeout)


def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE_S) -> None:
    """Returns as soon as it holds; fails by name when it does not come to that."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {patience:g} s"
        time.sleep(0.02)


def status(cluster: DemoCluster, node_id: int) -> dict[str, Any]:
    """What the node says about itself; empty while it does not answer."""
    try:
        answer = ask(cluster, node_id, "GET", "/v1/status", timeout=5)
    except (NotSent, Broken):
        return {}
    return answer.json()


def put(cluster: DemoCluster, key: str, value: bytes, *, patience: float = PATIENCE_S, without: int = 0) -> None:
    """Puts a value on whichever node leads. A put that may have been written already is the same once more. The node
    ``without`` is not asked: it is not up yet."""
    deadline = time.monotonic() + patience
    while True:
        for node_id in cluster.ids:
            if cluster.pid(node_id) is None or node_id == without:
                continue
            try:
                if ask(cluster, node_id, "PUT", f"/v1/kv/{key}", value, timeout=10).status == 200:
                    return
            except (NotSent, Broken):
                continue
        assert time.monotonic() < deadline, f"nobody takes {key}"
        time.sleep(0.02)


def fill(cluster: DemoCluster, seed: int, count: int, size: int, prefix: str = "key") -> dict[str, bytes]:
    """Puts so many values that nothing makes smaller; what was put."""
    source = Random(seed)
    values = {f"{prefix}{number}": source.randbytes(size) for number in range(count)}
    for key, value in values.items():
        put(cluster, key, value)
    return values


def snapshot(cluster: DemoCluster, node_id: int) -> Answer:
    """Has the node take a snapshot now."""
    return ask(cluster, node_id, "POST", "/v1/snapshot", timeout=30)


def holds(cluster: DemoCluster, node_id: int, values: Mapping[str, bytes]) -> bool:
    """Whether the node, asked for itself alone, has each of these values."""
    for key, value in values.items():
        try:
            answer = ask(cluster, node_id, "GET", f"/v1/kv/{key}?consistency=stale", timeout=10)
        except (NotSent, Broken):
            return False
        if answer.status != 200 or answer.body != value:
            return False
    return True


def level(cluster: DemoCluster, ids: Iterable[int] | None = None, patience: float = PATIENCE_S) -> int:
    """Waits until the nodes have applied the same, all that any of them knows to be committed; its index."""
    wanted = list(cluster.ids if ids is None else ids)
    found: list[int] = []

    def same() -> bool:
        said = [status(cluster, node_id) for node_id in wanted]
        found[:] = {each.get("applied_index", -1) for each in said} | {each.get("commit_index", -2) for each in said}
        return len(found) == 1

    until(same, f"nodes {wanted} are level", patience)
    return found[0]


def contents(cluster: DemoCluster, node_id: int) -> list[dict[str, Any]]:
    """All keys of the node with version and size, as it has them itself."""
    answer = ask(cluster, node_id, "GET", "/v1/kv?limit=10000&consistency=stale", timeout=10)
    items = answer.json()["items"]
    assert isinstance(items, list)
    return items


def all_alike(cluster: DemoCluster, values: Mapping[str, bytes], patience: float = PATIENCE_S) -> None:
    """All nodes come to the same state, with these values in it."""
    level(cluster, patience=patience)
    for node_id in cluster.ids:
        assert holds(cluster, node_id, values), f"node {node_id} lacks something"
    assert contents(cluster, 1) == contents(cluster, 2) == contents(cluster, 3)


def words(cluster: DemoCluster, node_id: int) -> list[str]:
    """What the node has printed, by lines, over all its lives."""
    return cluster.log_path(node_id).read_text().splitlines()


def exit_status(cluster: DemoCluster, node_id: int, patience: float = PATIENCE_S) -> int:
    """Waits for the end of the node's process; how it has ended."""
    until(lambda: cluster.pid(node_id) is None, f"node {node_id} ends", patience)
    found = cluster._processes[node_id].returncode
    assert found is not None
    return found
