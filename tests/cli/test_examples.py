"""examples/kv_client.sh, as its first lines say: against a running cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.support import RAFTPY, cluster_of, environment, raftpy
from tests.stalls import without_stalls

SCRIPT = Path(__file__).parents[2] / "examples" / "kv_client.sh"


def test_the_shell_client_runs(tmp_path: Path) -> None:
    with cluster_of(3, tmp_path) as cluster:
        http = ",".join(map(str, cluster.http.values()))
        done = subprocess.run(
            ["bash", str(SCRIPT)],
            env=environment({"RAFTPY": " ".join(RAFTPY), "RAFTPY_HTTP": http}),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, without_stalls(done.stderr)) == (0, "")
        assert "\nhello\n" in done.stdout
        assert "\ncounted to 2\n" in done.stdout
        assert "\nexample/greeting\t" in done.stdout
        assert done.stdout.count(" follower ") == 2
        assert done.stdout.endswith("\ndeleted\ndeleted\n")
        assert raftpy("kv", "list", env={"RAFTPY_HTTP": http}).out == b""
