"""``raftpy demo``: its last line, what it leaves behind (nothing), and what it says when writes are missing."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raftpy.cli import demo_view
from raftpy.cli.addresses import parse_http
from raftpy.cli.demo_check import Replica, check_replica
from raftpy.cli.demo_cluster import DemoCluster, own_path
from raftpy.cli.demo_run import Result
from raftpy.cli.demo_view import View
from raftpy.cli.demo_writer import Writer
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
    logs = [(int(place), int(first)) for place, first in re.findall(r" at (\d+), log from (\d+)[,;]", ended.text)]
    assert logs, ended.text
    assert all(1 <= first <= place + 1 for place, first in logs)
    directory = directory_in(ended.text)
    assert not Path(directory).exists()
    assert processes_in(directory) == []


def test_a_line_of_progress_says_where_each_log_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_view, "PLAIN_INTERVAL", 0.0)
    http = {node_id: parse_http(f"127.0.0.1:{8100 + node_id}") for node_id in (1, 2, 3)}
    with View(http, Writer(list(http.values()))) as view:
        leader = {"id": 1, "role": "leader", "applied_index": 950, "first_index": 601}
        follower = {"id": 3, "role": "follower", "applied_index": 949, "first_index": 1}
        view.refresh({1: leader, 2: None, 3: follower})
    said = capsys.readouterr().out
    assert "1 leader at 950, log from 601, 2 unreachable, 3 follower at 949, log from 1; 0 acknowledged" in said


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Exit status and all that came on a terminal of 160 columns, without its colours and movements."""
    ours, theirs = pty.openpty()
    environ = environment({"TERM": "xterm", "COLUMNS": "160", "LINES": "40"})
    shown = b""
    with subprocess.Popen([*RAFTPY, *arguments], stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:
            pass  # the other end is closed
    os.close(ours)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def rows_of(shown: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of the tables, in the order in which they came: in which place of the text, and title -> cell."""
    titles: list[str] = []
    for line in re.finditer(r"[^\r\n]+", shown):
        cells = line[0].split()
        if cells[:2] == ["id", "role"]:
            titles = cells
        elif titles and len(cells) == len(titles) and cells[0].isdigit():
            yield line.start(), dict(zip(titles, cells, strict=True))


def test_on_a_terminal_a_table_shows_that_logs_are_cut_and_who_comes_back_by_a_snapshot() -> None:
    status, shown = on_a_terminal("demo", "--seconds", "6")
    assert status == 0, shown[-2000:]
    rows = list(rows_of(shown))
    killed = re.search(r"kill -9 of process \d+: node (\d), the leader", shown)
    cut = re.search(r"the others' logs begin at (\d+) by now", shown)
    back = re.search(r"node (\d) started again, its log ends about (\d+)", shown)
    caught_up = re.search(r"node (\d) has caught up by the snapshot at (\d+): applied (\d+)", shown)
    assert killed, shown[-2000:]
    assert cut, shown[-2000:]
    assert back, shown[-2000:]
    assert caught_up, shown[-2000:]
    node_id = killed[1]
    assert (back[1], caught_up[1]) == (node_id, node_id)

    for other in {"1", "2", "3"} - {node_id}:
        known = [row for _, row in rows if row["id"] == other and row["first"] != "-"]
        logs = [int(row["first"]) for row in known]
        assert logs == sorted(logs)
        assert logs[-1] > 200, f"node {other} has cut its log: it takes a snapshot each 200 entries"
        assert all(int(row["first"]) - 1 <= int(row["snapshot"]) <= int(row["applied"]) for row in known)
        assert all(int(row["applied"]) <= int(row["last"]) for row in known)

    # The table is a moment older or newer than the lines between its pictures.
    assert "unreachable" in [row["role"] for at, row in rows if killed.end() < at and row["id"] == node_id]
    assert int(cut[1]) > int(back[2]) + 1, "the others' logs do not reach its own any more"
    assert any(int(row["first"]) >= int(cut[1]) for _, row in rows if row["id"] != node_id and row["first"] != "-")
    here = [int(row["first"]) for at, row in rows if at > back.end() and row["id"] == node_id and row["first"] != "-"]
    assert here[-1] > int(caught_up[2]) >= int(cut[1]) - 1, "its log is the snapshot, and what follows it"
    assert shown.rstrip().splitlines()[-1].startswith("acknowledged ")


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
