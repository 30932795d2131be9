"""Members as processes: answers, failures, silence; and one comparison from end to end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.backtrack import match
from benchmarks.cluster import Cluster, MemberProcess
from benchmarks.compare import build
from benchmarks.compare.systems import run_command, systems
from benchmarks.compare.works import QUICK
from benchmarks.core import Cores

ROOT = Path(__file__).parents[2]

ECHO = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "end":
        print("it has had enough", file=sys.stderr)
        sys.exit(3)
    if order["do"] == "nothing":
        continue
    print(json.dumps({"error": "no"} if order["do"] == "fail" else order), flush=True)
"""


@pytest.fixture
def member(tmp_path: Path) -> MemberProcess:
    return MemberProcess(7, [sys.executable, "-c", ECHO], tmp_path / "7.err")


def test_orders_and_answers_are_lines_of_json(member: MemberProcess) -> None:
    assert member.tell("sequential", size=16, count=3) == {"do": "sequential", "size": 16, "count": 3}
    member.order("a")
    member.order("b")
    assert [member.read()["do"], member.read()["do"]] == ["a", "b"]
    member.kill()


def test_a_member_that_says_no_ends_or_keeps_silent_is_an_error(member: MemberProcess) -> None:
    with pytest.raises(RuntimeError, match="member 7: no"):
        member.tell("fail")
    member.order("nothing")
    with pytest.raises(RuntimeError, match="has not answered within 0 s"):
        member.read(0.1)
    with pytest.raises(RuntimeError, match="ended with status 3: it has had enough"):
        member.tell("end")
    member.kill()


def test_a_cluster_that_does_not_start_leaves_nothing_behind(tmp_path: Path) -> None:
    started: list[MemberProcess] = []

    class Watched(Cluster):
        def launch(self, number: int) -> MemberProcess:
            started.append(super().launch(number))
            return started[-1]

    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        line = "import time; time.sleep(60)" if node_id < 3 else "raise SystemExit('no port')"
        return [sys.executable, "-c", f"print('{{}}', flush=True); {line}" if node_id < 3 else line]

    with pytest.raises(RuntimeError, match="member 3 ended with status 1: no port"), Watched(launch, tmp_path):
        pass
    assert [member.process.poll() is not None for member in started] == [True] * 3
    assert list(tmp_path.iterdir()) == []


LED = """
import json, sys
own = int(sys.argv[1])
print("{}", flush=True)
for number, line in enumerate(sys.stdin):
    # 1 and 3 still believe in 3, which has stepped down long ago and believes in 2 from its second answer on.
    leader = 2 if own == 2 or (own == 3 and number) else 3 if own == 1 else 1
    print(json.dumps({"leader": leader}), flush=True)
"""


def test_the_leader_is_who_says_so_itself(tmp_path: Path) -> None:
    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        return [sys.executable, "-c", LED, str(node_id)]

    with Cluster(launch, tmp_path) as cluster:
        assert cluster.leader().id == 2


BUSY = """
import json, sys
own = int(sys.argv[1])
print("{}", flush=True)
used = 0.0
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "leader":
        print(json.dumps({"leader": 1}), flush=True)
    elif order["do"] == "usage":
        print(json.dumps({"cpu_s": used}), flush=True)
        used += own  # what a command costs it, which is seen by who asks again
    else:
        print(json.dumps({"p50_us": 3.0, "operations": 2_000_000}), flush=True)
"""


def test_a_work_costs_what_all_have_used_and_the_leader_has(tmp_path: Path) -> None:
    def launch(node_id: int, cluster: str, data: Path) -> list[str]:
        return [sys.executable, "-c", BUSY, str(node_id)]

    with Cluster(launch, tmp_path) as cluster:
        figures = cluster.run("in_flight", size=16)
    # The leader, member 1, is asked twice more on the way: once in the figure of its own.
    assert figures == {"p50_us": 3.0, "cpu_us_per_op": (3 + 2 + 3) / 2, "leader_cpu_us_per_op": 1 / 2}


def test_what_a_program_says_when_it_fails_is_in_the_error() -> None:
    with pytest.raises(RuntimeError, match="ended with status 1: ValueError: really"):
        run_command([sys.executable, "-c", "raise ValueError('really')"])
    assert run_command([sys.executable, "-c", "print('{\"rate\": 5}')"]) == {"rate": 5}


def test_the_three_cores_apply_everything() -> None:
    cores = Cores()
    cores.commit([b"x" * 16] * 10)
    cores.commit([b"x" * 16])
    first = cores.applied[0]
    assert cores.applied == (first, first, first)
    assert first >= 11


def test_backtracking_takes_one_round_trip_a_term_or_far_fewer() -> None:
    trips, _ = match(100, 70)
    plain, _ = match(100, 0)
    assert (trips, plain) == (3, 101)


def test_a_build_is_known_by_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peers, cache = tmp_path / "peers", tmp_path / "cache"
    for name in ("harness", "etcdraft"):
        (peers / name).mkdir(parents=True)
        (peers / name / "main.go").write_text("package main")
    (cache / "bin").mkdir(parents=True)
    monkeypatch.setattr(build, "PEERS", peers)
    monkeypatch.setattr(build, "CACHE", cache)
    assert not build.is_built("etcdraft")
    build.program("etcdraft").write_text("")
    (cache / "bin" / "etcdraft.sources").write_text(build.digest("etcdraft"))
    assert build.is_built("etcdraft")
    (peers / "harness" / "main.go").write_text("package harness")  # what it shares counts too
    assert not build.is_built("etcdraft")


def test_a_toolchain_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = {name: system.missing() for name, system in systems().items()}
    assert missing["hashicorp-wal"] == missing["etcd-raft"] == missing["dragonboat-tan"] == "not installed: it needs go"
    assert missing["raft-rs"] == "not installed: it needs cargo"
    assert missing["raftpy"] is None


def test_versions_are_those_the_sources_ask_for() -> None:
    assert build.versions("etcdraft") == {"etcd/server/v3": "v3.6.16", "raft/v3": "v3.6.0"}
    assert build.versions("hashicorp") == {"hashicorp/raft": "v1.7.3", "hashicorp/raft-wal": "v0.4.0"}
    assert list(build.versions("dragonboat")) == ["lni/dragonboat/v4"]
    assert build.versions("raftrs") == {"raft-rs": "0.7.0"}


def test_a_comparison_from_end_to_end(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "benchmarks.compare", "--quick", "--rounds", "1", "--count", "30",
        "--work", "seq16,read1", "--system", "floor,raftpy", "--folder", str(tmp_path / "data"),
        "--json", str(tmp_path / "rows.json"),
    ]  # fmt: skip
    before = sorted((ROOT / "docs").iterdir())
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {(row["system"], row["work"]): row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert set(rows) == {("floor", "seq16"), ("raftpy", "seq16"), ("floor", "read1"), ("raftpy", "read1")}
    assert all(row["p50_us"] > 0 and len(row["rounds"]) == 1 for row in rows.values())
    for system in ("raftpy", "floor"):
        row = rows[system, "seq16"]
        assert 0 < row["leader_cpu_us_per_op"] < row["cpu_us_per_op"]
    assert all(title in done.stdout for title in ("Medians", "All figures", "leader CPU us: ", "Aims"))
    assert not (tmp_path / "data").exists()
    assert sorted((ROOT / "docs").iterdir()) == before
    assert QUICK.rounds == 3


def test_an_order_to_end_leaves_nothing_running_and_no_data(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "benchmarks.compare", "--quick", "--work", "inflight16", "--system", "raftpy",
        "--seconds", "30", "--folder", str(tmp_path / "data"),
    ]  # fmt: skip
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(tmp_path.glob("data/*/3")):  # the third member has made its directory
        assert time.monotonic() < until
        time.sleep(0.05)
    running.terminate()
    running.send_signal(signal.SIGTERM)  # some send it twice, to the process and to its group
    assert running.wait(30) == 128 + signal.SIGTERM
    assert not (tmp_path / "data").exists()
    data = str(tmp_path).encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists() and data in read(path)]
    assert left == []


def read(path: Path) -> bytes:
    """A file's content; nothing when it is gone meanwhile."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
