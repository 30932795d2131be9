"""``raftpy serve`` of a node that is none of the first members: it joins, and ends when it is removed."""

from __future__ import annotations

import json
import time
from pathlib import Path

from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import free_ports
from raftpy.cli.http_client import ask
from tests.cli.support import serving, status_or_none


def test_a_node_that_is_removed_ends_with_status_0_and_so_does_its_next_start(tmp_path: Path) -> None:
    first, second, third, http_1, http_2, http_3 = free_ports(6)
    cluster = f"1=127.0.0.1:{first},3=127.0.0.1:{third}"
    one = ["--id", "1", "--cluster", cluster, "--data", str(tmp_path / "1"), "--http", f"127.0.0.1:{http_1}"]
    two = ["--id", "2", "--cluster", cluster, "--data", str(tmp_path / "2"), "--http", f"127.0.0.1:{http_2}"]
    three = ["--id", "3", "--cluster", cluster, "--data", str(tmp_path / "3"), "--http", f"127.0.0.1:{http_3}"]
    two += ["--udp", f"127.0.0.1:{second}", "--contacts", cluster]
    leader = Address("127.0.0.1", http_1)
    with serving(*one) as founder, serving(*three):
        founder.first_line()
        deadline = time.monotonic() + 15
        while (status := status_or_none(leader)) is None or status["leader"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        leader = Address("127.0.0.1", http_1 if status["leader"] == 1 else http_3)
        with serving(*two) as joining:
            assert f"node 2 is up: udp 127.0.0.1:{second}," in joining.first_line()
            body = json.dumps({"id": 2, "udp": f"127.0.0.1:{second}", "learner": False}).encode()
            added = ask(leader, "POST", "/v1/members?timeout=15", body, timeout=20)
            assert added.status == 200, added.body
            gone = ask(leader, "DELETE", "/v1/members/2", timeout=20)
            assert gone.status == 200, gone.body
            ended = joining.wait()
        assert ended.status == 0, ended.err
        assert ended.err.count("node 2 was removed from its cluster") == 1
        with serving(*two) as again:
            ended = again.wait()
        assert ended.status == 0, ended.err
        assert ended.err.count("node 2 was removed from its cluster") == 1
