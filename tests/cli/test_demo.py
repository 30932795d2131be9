"""``raftpy demo``: its last line, what it leaves behind (nothing), and what it says when writes are missing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from raftpy.cli.addresses import parse_http
from raftpy.cli.demo_check import Replica, check_replica
from raftpy.cli.demo_cluster import DemoCluster, own_path
from raftpy.cli.demo_run import Result
from raftpy.replicated.held import Held
from tests.cli.support import RAFTPY, check_one_line, environment, raftpy
from tests.server.support import Cluster, ask


def processes_in(directory: str) -> list[int]:
    """Processes whose command line names a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and directory.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has just ended
    return found


def directory_in(text: str) -> str:
    match = re.search(r"their data is in (\S+)", text)
    assert match, text
    return match[1]


def test_it_finds_every_acknowledged_write_on_every_replica() -> None:
    ended = raftpy("demo", "--seconds", "6", timeout=120)
    assert (ended.status, ended.err) == (0, "")
    last = ended.text.splitlines()[-1]
    match = re.fullmatch(r"acknowledged (\d+), found (\d+) on each of 3 replicas, outage (\d+) ms", last)
    assert match, ended.text
    assert int(match[1]) == int(match[2]) > 100
    assert 0 < int(match[3]) < 15_000
    for words in ("leads in term", "kill -9 of process", "started again", "replica 3:"):
        assert words in ended.text
    begin = re.search(r"the others' logs begin at (\d+) by now", ended.text)
    end = re.search(r"started again, its log ends about (\d+)", ended.text)
    snapshot = re.search(r"has caught up by the snapshot at (\d+): applied (\d+)", ended.text)
    assert begin, ended.text
    assert end, ended.text
    assert snapshot, ended.text
    assert int(end[1]) < int(begin[1]) - 1 <= int(snapshot[1]) <= int(snapshot[2])
    assert "\x1b" not in ended.text  # no terminal, no colours
    directory = directory_in(ended.text)
    assert not Path(directory).exists()
    assert processes_in(directory) == []


def test_keep_leaves_it_running_and_says_how_to_use_and_stop_it() -> None:
    ended = raftpy("demo", "--seconds", "4", "--keep", timeout=120)
    directory = directory_in(ended.text)
    try:
        assert ended.status == 0, ended.err
        assert ended.text.splitlines()[-1].startswith("acknowledged ")
        assert len(processes_in(directory)) == 3
        curls = re.findall(r"^  (curl .*)$", ended.text, re.MULTILINE)
        assert len(curls) >= 4
        from tests.server import curl

        outputs = [curl.run(command.replace(" -i ", " "), "ours") for command in curls]
        assert '"index":' in outputs[0]
        assert outputs[1] == "hello"
        assert '"more":true' in outputs[2]
        match = re.search(r"^  (kill .*)$", ended.text, re.MULTILINE)
        assert match
        subprocess.run(match[1], shell=True, check=True, timeout=20)
        assert not Path(directory).exists()
    finally:
        for pid in processes_in(directory):
            os.kill(pid, signal.SIGKILL)
    assert processes_in(directory) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_halfway_it_cleans_up(number: int) -> None:
    demo = subprocess.Popen(
        [*RAFTPY, "demo", "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    text = ""
    try:
        assert demo.stdout is not None
        while "leads in term" not in text:
            line = demo.stdout.readline().decode()
            assert line, text
            text += line
        directory = directory_in(text)
        time.sleep(1)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=30)
    finally:
        demo.kill()
        demo.communicate()
        leftovers = processes_in(directory_in(text))
        for pid in leftovers:  # a demo that had to be killed could not stop them
            os.kill(pid, signal.SIGKILL)
    assert leftovers == []
    assert demo.returncode == 1
    assert err.decode() == (
        f"raftpy demo: stopped by {signal.Signals(number).name}; the nodes are stopped and their data removed\n"
    )
    assert not Path(directory).exists()
    assert processes_in(directory) == []


def test_started_by_nohup_it_outlives_its_terminal() -> None:
    demo = subprocess.Popen(
        ["nohup", *RAFTPY, "demo", "--seconds", "4"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    text = ""
    try:
        assert demo.stdout is not None
        while "leads in term" not in text:
            line = demo.stdout.readline().decode()
            assert line, text
            text += line
        demo.send_signal(signal.SIGHUP)
        out, _ = demo.communicate(timeout=90)
    finally:
        demo.kill()
        demo.communicate()
        for pid in processes_in(directory_in(text)):
            os.kill(pid, signal.SIGKILL)
    assert demo.returncode == 0
    assert out.decode().splitlines()[-1].startswith("acknowledged ")


def test_its_nodes_are_of_this_raftpy_whatever_lies_in_the_folder(tmp_path: Path) -> None:
    """`pip install .` and `raftpy demo` in a source tree: what lies there is not compiled."""
    (tmp_path / "raftpy").mkdir()
    (tmp_path / "raftpy" / "__init__.py").write_text("raise SystemExit('the wrong raftpy')\n")
    cluster = DemoCluster(directory=tmp_path / "data")
    ended = subprocess.run(
        [*cluster.command(1), "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": own_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: raftpy serve")


def test_wrong_usage() -> None:
    check_one_line(raftpy("demo", "--seconds", "3"), 2, "3 is not in the range 4<=x<=3600")


# --- The check itself: a demo that cannot fail shows nothing ----------------------------------------------------------


def test_the_check_sees_what_is_missing_or_different() -> None:
    with Cluster(1) as cluster:
        cluster.leader()
        port = cluster.port[1]
        acknowledged = {}
        for name in ("demo/a", "demo/b", "demo/c", "demo/d", "demo/e"):
            value = f"value of {name}".encode()
            acknowledged[name] = (ask(port, "PUT", f"/v1/kv/{name}", value).json["index"], value)

        def check() -> Replica:
            return cluster.call(check_replica(parse_http(f"127.0.0.1:{port}"), acknowledged, "demo/"))

        assert check() == Replica(5, [])
        ask(port, "DELETE", "/v1/kv/demo/b")  # lost
        version, value = acknowledged["demo/c"]
        ask(port, "PUT", "/v1/kv/demo/c", value)  # written again: not the write that was acknowledged
        data = cluster.stores[1]._data
        data.put(b"demo/d", Held(data.get(b"demo/d").version, b"VALUE of demo/d"))
        assert check() == Replica(2, ["demo/b", "demo/c", "demo/d"])


def test_the_last_line_says_which_replica_misses_how_many() -> None:
    complete = Result(10, {1: Replica(10, []), 2: Replica(10, []), 3: Replica(10, [])}, 0.2346)
    assert complete.complete
    assert complete.line == "acknowledged 10, found 10 on each of 3 replicas, outage 235 ms"
    broken = Result(10, {1: Replica(10, []), 2: Replica(8, ["a", "b"]), 3: Replica(10, [])}, 0.2)
    assert not broken.complete
    assert broken.line == "acknowledged 10, found 10 on replica 1, 8 on replica 2, 10 on replica 3, outage 200 ms"
