"""``raftpy serve``: what it says, how it ends, and one line for each thing that can be wrong."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftpy.cli import serving as serving_module
from raftpy.cli.addresses import parse_http
from raftpy.cli.demo_cluster import free_ports
from raftpy.cli.errors import CommandFailed
from raftpy.cli.http_client import ask
from raftpy.config import Config
from tests.cli import support
from tests.cli.support import check_one_line, cluster_of, in_process, raftpy, serving, status_or_none, wait_for_leader


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    """Options of a one-node cluster on free ports."""
    udp, http = free_ports(2)
    return {
        "--id": "1",
        "--cluster": f"1=127.0.0.1:{udp}",
        "--data": str(tmp_path / "data"),
        "--http": f"127.0.0.1:{http}",
    }


def flat(options: dict[str, str]) -> list[str]:
    return [word for pair in options.items() for word in pair]


def put(options: dict[str, str], key: str, value: bytes) -> int:
    """Puts, as soon as the node leads."""
    deadline = time.monotonic() + 10
    while True:
        answer = ask(parse_http(options["--http"]), "PUT", f"/v1/kv/{key}", value)
        if answer.status != 503 or time.monotonic() > deadline:
            return answer.status
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_says_where_it_is_and_stops_cleanly(options: dict[str, str], number: int) -> None:
    with serving(*flat(options)) as node:
        line = node.first_line()
        udp = options["--cluster"].removeprefix("1=")
        assert re.fullmatch(
            rf"raftpy \S+: node 1 is up: udp {udp}, http {options['--http']}, data {options['--data']}, "
            rf"process {node.process.pid}\n",
            line,
        )
        assert put(options, "k", b"v") == 200
        ended = node.stop(number)
        leads = "raftpy serve: info: node 1: became leader in term 1\n"
        assert (ended.status, ended.out, ended.err) == (0, b"", leads)


@pytest.mark.parametrize(("level", "said"), [("debug", True), ("INFO", True), ("warning", False), ("critical", False)])
def test_the_log_level_says_what_is_printed(options: dict[str, str], level: str, said: bool) -> None:
    with serving(*flat(options | {"--log-level": level})) as node:
        node.first_line()
        for number in range(20):
            assert put(options, f"k{number}", b"v") == 200
        ended = node.stop()
    assert ("info: node 1: became leader in term 1" in ended.err) == said
    assert (ended.err == "") == (not said)
    assert ended.err.count("\n") < 20, "no line for each commit or request, at any level"


def test_started_by_nohup_it_outlives_its_terminal(options: dict[str, str]) -> None:
    with serving(*flat(options), before=["nohup"]) as node:
        node.first_line()
        for _ in range(3):
            node.process.send_signal(signal.SIGHUP)
            assert put(options, "k", b"v") == 200
        ended = node.stop(signal.SIGTERM)
        assert (ended.status, ended.out) == (0, b"")
        assert "warning" not in ended.err


def test_a_leader_that_is_told_to_stop_hands_over_first(tmp_path: Path) -> None:
    """When its process has ended another one leads, in the next term: nobody had to notice its absence first."""
    with cluster_of(3, tmp_path) as cluster:
        leader = wait_for_leader(cluster)
        before = status_or_none(cluster.http[leader])
        pid = cluster.pid(leader)
        assert before is not None
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        others = [node_id for node_id in cluster.ids if node_id != leader]
        deadline = time.monotonic() + 15
        while cluster.pid(leader) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        views = [status_or_none(cluster.http[node_id]) for node_id in others]
        assert {view["leader"] for view in views if view is not None} <= set(others)
        assert len([view for view in views if view is not None and view["role"] == "leader"]) == 1


def test_it_answers_as_soon_as_it_says_so(options: dict[str, str]) -> None:
    with serving(*flat(options)) as node:
        node.first_line()
        assert status_or_none(parse_http(options["--http"])) is not None


def test_what_was_acknowledged_is_there_after_a_restart(options: dict[str, str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        with serving(*flat(options)) as node:
            node.first_line()
            assert put(options, f"signal-{number}-{node.process.pid}", b"v") == 200
            node.stop(number)
    with serving(*flat(options)) as node:
        node.first_line()
        put(options, "last", b"v")
        listed = ask(parse_http(options["--http"]), "GET", "/v1/kv").json()["items"]
        assert isinstance(listed, list)
        assert len(listed) == 4


def test_who_waits_for_a_commit_is_answered_when_the_node_stops(tmp_path: Path) -> None:
    """No majority, so the leader cannot know; told to stop, it says so instead of dropping the connection."""
    with cluster_of(3, tmp_path) as cluster:
        leader = wait_for_leader(cluster)
        for node_id in set(cluster.ids) - {leader}:
            cluster.kill(node_id)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(ask, cluster.http[leader], "PUT", "/v1/kv/k", b"v")
            time.sleep(0.5)
            cluster.stop()
            answer = waiting.result()
        assert answer.status == 504
        assert "may or may not be committed" in answer.message()
        lines = cluster.log_path(leader).read_text().splitlines()
        assert [line for line in lines if not line.startswith("raftpy serve: info: ")] == lines[:1]


def test_data_directories_are_made(options: dict[str, str], tmp_path: Path) -> None:
    options["--data"] = str(tmp_path / "some" / "where" / "deep")
    with serving(*flat(options)) as node:
        node.first_line()
        assert node.stop().status == 0
    assert (tmp_path / "some" / "where" / "deep").is_dir()


def test_it_listens_elsewhere_than_where_the_others_reach_it(options: dict[str, str]) -> None:
    """192.0.2.0/24 is for documentation: no machine has it, so that it cannot be bound, as behind a translation."""
    port = options["--cluster"].rpartition(":")[2]
    options |= {"--cluster": f"1=192.0.2.1:{port}", "--listen": f"127.0.0.1:{port}"}
    with serving(*flat(options)) as node:
        assert f"udp 192.0.2.1:{port} (listening at 127.0.0.1:{port}), http" in node.first_line()
        assert put(options, "k", b"v") == 200
        assert node.stop().status == 0


def test_a_cluster_whose_nodes_listen_at_the_wildcard(options: dict[str, str], tmp_path: Path) -> None:
    ports = free_ports(3)
    cluster = ",".join(f"{i}=127.0.0.1:{port}" for i, port in enumerate(ports, 1))
    with ExitStack() as nodes:
        for i, (port, http) in enumerate(zip(ports, free_ports(3), strict=True), 1):
            options = {
                "--id": f"{i}",
                "--cluster": cluster,
                "--data": f"{tmp_path}/n{i}",
                "--http": f"127.0.0.1:{http}",
            }
            node = nodes.enter_context(serving(*flat(options | {"--listen": f"0.0.0.0:{port}"})))
            assert f"udp 127.0.0.1:{port} (listening at 0.0.0.0:{port}), http" in node.first_line()
        assert put(options, "k", b"v") in (200, 307)


def test_one_name_that_does_not_resolve_does_not_stop_a_majority(options: dict[str, str], tmp_path: Path) -> None:
    one, two, http_one, http_two = free_ports(4)
    cluster = f"1=127.0.0.1:{one},2=127.0.0.1:{two},3=no-such-host.invalid:7103"
    first = {"--id": "1", "--cluster": cluster, "--data": f"{tmp_path}/n1", "--http": f"127.0.0.1:{http_one}"}
    second = {"--id": "2", "--cluster": cluster, "--data": f"{tmp_path}/n2", "--http": f"127.0.0.1:{http_two}"}
    with serving(*flat(first), "--bootstrap") as node, serving(*flat(second), "--bootstrap") as other:
        assert "node 1 is up" in node.first_line()
        assert "node 2 is up" in other.first_line()
        assert put(first, "k", b"v") in (200, 307)
        status = status_or_none(parse_http(first["--http"]))
        assert status is not None
        members = {member["id"]: member["reachable"] for member in status["members"]}  # type: ignore[attr-defined]
        assert members == {1: True, 2: True, 3: False}
        ended = node.stop()
    lines = [line for line in ended.err.splitlines() if "3's address" in line]
    assert len(lines) == 1, ended.err
    assert "node 3's address no-such-host.invalid:7103 does not resolve" in lines[0]


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: "], ids=["nothing", "a part of a head"])
def test_two_hundred_idle_connections_under_a_low_limit_of_open_files(options: dict[str, str], said: bytes) -> None:
    address = parse_http(options["--http"])
    limited = ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"]
    with ExitStack() as stack, serving(*flat(options), before=limited) as node:
        node.first_line()
        for _ in range(200):
            stack.enter_context(socket.create_connection((address.host, address.port))).sendall(said)
        began = time.monotonic()
        assert ask(address, "GET", "/healthz", timeout=2).status == 200
        assert put(options, "k", b"v") == 200
        assert time.monotonic() - began < 2
        assert len(list(Path(f"/proc/{node.process.pid}/fd").iterdir())) < 100
        used = processor_seconds(node.process.pid)
        time.sleep(1)
        assert processor_seconds(node.process.pid) - used < 0.2
        ended = node.stop()
    assert ended.status == 0
    assert 1 <= ended.err.count("idle HTTP connections were closed") <= 3, ended.err
    assert ended.err.count("\n") < 8


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_node_starts_from_its_snapshot(options: dict[str, str]) -> None:
    http = parse_http(options["--http"])
    with serving(*flat(options)) as node:
        node.first_line()
        for number in range(30):
            assert put(options, f"k{number:02}", b"v" * number) == 200
            if number in (10, 20):
                ended = raftpy("snapshot", "--http", options["--http"])
                assert (ended.status, ended.err) == (0, "")
        taken = re.fullmatch(rf"{http}: snapshot at (\d+), log from (\d+)\n", ended.text)
        assert taken is not None
        assert 1 < int(taken[2]) < int(taken[1])
        node.stop(signal.SIGKILL)
    assert len(list((Path(options["--data"]) / "snapshots").iterdir())) == 2
    with serving(*flat(options)) as node:
        node.first_line()
        assert put(options, "k30", b"v" * 30) == 200
        status = ask(http, "GET", "/v1/status").json()
        assert status["snapshot_index"] == int(taken[1])
        assert status["first_index"] == int(taken[2])
        for number in range(31):
            assert ask(http, "GET", f"/v1/kv/k{number:02}").body == b"v" * number
        items = ask(http, "GET", "/v1/kv").json()["items"]
        assert [item["size"] for item in items] == list(range(31))
        node.stop()


def test_a_snapshot_that_fails_is_one_line(options: dict[str, str]) -> None:
    check_one_line(
        raftpy("snapshot", "--http", options["--http"]), 1, "no snapshot was asked for", "connection refused"
    )
    with serving(*flat(options)) as node:
        node.first_line()
        assert put(options, "k", b"v") == 200
        (Path(options["--data"]) / "snapshots").write_text("in the way")
        check_one_line(raftpy("snapshot", "--http", options["--http"]), 1, options["--http"], "snapshots", "failed")
        assert put(options, "k", b"w") == 200
        node.stop()


COUNTING = """
import atexit, gc, sys
from raftpy.cli.run import run
atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects()), file=sys.stderr))
sys.exit(run(sys.argv[1:]))
"""


def test_collections_leave_alone_what_is_imported(options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A full one goes through all that is not left alone, and holds the loop meanwhile."""
    monkeypatch.setattr(support, "RAFTPY", [sys.executable, "-c", COUNTING])
    with serving(*flat(options)) as node:
        node.first_line()
        assert put(options, "k", b"v") == 200
        ended = node.stop()
    frozen, others = map(int, ended.err.split()[-2:])
    assert frozen > 10_000
    assert others < frozen / 4


@pytest.mark.parametrize(
    ("given", "rate"), [({}, 1 << 20), ({"--scrub-rate": "0"}, 0), ({"--scrub-rate": "65536"}, 65536)]
)
def test_the_scrub_is_on_unless_it_is_switched_off(
    options: dict[str, str], given: dict[str, str], rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[Config] = []

    class Seen:
        def __init__(self, config: Config, machine: object) -> None:
            configs.append(config)
            raise CommandFailed("seen")

    monkeypatch.setattr(serving_module, "Node", Seen)
    for name in ("addLevelName", "basicConfig"):  # what stays of a command in this process would be seen by other tests
        monkeypatch.setattr(logging, name, lambda *_, **__: None)
    check_one_line(in_process("serve", *flat(options | given)), 1, "seen")
    assert [config.scrub_rate for config in configs] == [rate]


# --- Settings from a file --------------------------------------------------------------------------------------------


def test_all_options_can_come_from_a_file(options: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    udp = options["--cluster"].removeprefix("1=")
    config.write_text(
        f'id = 1\ndata = "{options["--data"]}"\nhttp = "{options["--http"]}"\nlisten = "{udp}"\n'
        f"tick-ms = 5\nheartbeat-ms = 20\nsnapshot-bytes = 1000\nsnapshot-entries = 5\nsnapshots-kept = 3\n"
        f"snapshot-rate = 10000000\nscrub-rate = 65536\ntrailing-bytes = 0\nlog-cache-bytes = 0\n"
        f"catch-up-rate = 65536\n"
        f'election-ms = "100-200"\nmax-datagram = 2000\nunreliable = true\nadvertise-http = "example.org:80"\n'
        f'[cluster]\n1 = "{udp}"\n'
    )
    with serving("--config", str(config)) as node:
        assert f"udp {udp} (listening at {udp}), http example.org:80, data {options['--data']}" in node.first_line()
        assert put(options, "k", b"v") == 200
        assert put(options, "k", bytes(2000)) == 200, "what no datagram holds goes in fragments"
        assert node.stop().status == 0
    config.write_text(config.read_text().replace("max-datagram = 2000", "max-datagram = 200"))
    check_one_line(raftpy("serve", "--config", str(config)), 2, "max_datagram", "200", "512")


def test_the_command_line_wins_over_the_file(options: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('id = 7\nhttp = "127.0.0.1:1"\ndata = "/nowhere"\n')
    with serving("--config", str(config), *flat(options)) as node:
        assert "node 1 is up" in node.first_line()
        node.stop()


# --- Failures: exit status 1 ------------------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use, for UDP and TCP."""
    port = free_ports(1)[0]
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", port))
        stream.listen()
        datagram.bind(("127.0.0.1", port))
        yield port


def test_the_http_port_is_in_use(options: dict[str, str], taken: int) -> None:
    options["--http"] = f"127.0.0.1:{taken}"
    check_one_line(raftpy("serve", *flat(options)), 1, f"cannot serve HTTP on 127.0.0.1:{taken}: the port is in use")


def test_the_udp_port_is_in_use(options: dict[str, str], taken: int) -> None:
    options["--cluster"] = f"1=127.0.0.1:{taken}"
    check_one_line(raftpy("serve", *flat(options)), 1, f"127.0.0.1:{taken}", "in use")


def test_an_address_of_another_machine(options: dict[str, str]) -> None:
    """192.0.2.0/24 is for documentation: no machine has it."""
    options["--http"] = "192.0.2.1:8101"
    check_one_line(raftpy("serve", *flat(options)), 1, "cannot serve HTTP on 192.0.2.1:8101", "no address of this")
    options["--http"] = "no-such-host.invalid:8101"
    check_one_line(raftpy("serve", *flat(options)), 1, "cannot serve HTTP on no-such-host.invalid:8101")


def test_a_first_start_at_a_wrong_address_leaves_no_trace(options: dict[str, str]) -> None:
    """A directory remembers the cluster of its first start for ever, so it must not be one that can never run."""
    right = options["--cluster"]
    for wrong, words in (
        ("192.0.2.1:7101", "no address of this machine"),
        ("no-such-host.invalid:7101", "no-such-host"),
    ):
        options["--cluster"] = f"1={wrong}"
        check_one_line(raftpy("serve", *flat(options)), 1, words)
        assert list(Path(options["--data"]).iterdir()) == []
    options["--cluster"] = right
    with serving(*flat(options)) as node:
        assert "node 1 is up" in node.first_line()
        node.stop()


def test_another_cluster_than_at_the_first_start_is_said_with_the_way_out(options: dict[str, str]) -> None:
    """The way out is for a directory with which nothing was agreed on yet; any other keeps what it has."""
    udp = free_ports(3)
    first, second = (f"1=127.0.0.1:{udp[0]},2=127.0.0.1:{port}" for port in udp[1:])
    for cluster, said in ((first, False), (second, True)):
        options["--cluster"] = cluster
        with serving(*flat(options)) as node:
            assert "node 1 is up" in node.first_line()
            ended = node.stop()
        assert ("the latter counts. Nothing was agreed on with this directory yet: " in ended.err) == said, ended.err


def test_the_store_is_in_use(options: dict[str, str]) -> None:
    udp, http = free_ports(2)
    with serving(*flat(options)) as node:
        node.first_line()
        second = {**options, "--cluster": f"1=127.0.0.1:{udp}", "--http": f"127.0.0.1:{http}"}
        ended = raftpy("serve", *flat(second))
        check_one_line(ended, 1, options["--data"], "in use", f"process {node.process.pid}")


def test_the_store_is_damaged(options: dict[str, str]) -> None:
    with serving(*flat(options)) as node:
        node.first_line()
        for number in range(10):
            assert put(options, f"k{number}", bytes(1000)) == 200
        node.stop()
    logs = [path for path in Path(options["--data"]).rglob("*.log") if path.stat().st_size > 5000]
    assert logs
    for path in logs:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    check_one_line(raftpy("serve", *flat(options)), 1, options["--data"], "damaged", "under a new node id")


def test_a_directory_of_another_node(options: dict[str, str]) -> None:
    with serving(*flat(options)) as node:
        node.first_line()
        node.stop()
    options |= {"--id": "2", "--cluster": options["--cluster"].replace("1=", "2=", 1)}
    check_one_line(raftpy("serve", *flat(options)), 1, options["--data"], "1", "2")


def test_a_directory_of_somebody_else(options: dict[str, str], tmp_path: Path) -> None:
    options["--data"] = str(tmp_path / "etc")
    (tmp_path / "etc" / "ssl").mkdir(parents=True)
    (tmp_path / "etc" / "hosts").write_text("127.0.0.1 localhost")
    check_one_line(raftpy("serve", *flat(options)), 1, f"directory {tmp_path}/etc ", "it holds hosts, ssl;", "empty")
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["hosts", "ssl"]


def test_a_directory_that_cannot_be_made(options: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    options["--data"] = str(tmp_path / "file")
    check_one_line(raftpy("serve", *flat(options)), 1, f"--data {tmp_path}/file is a file")
    options["--data"] = str(tmp_path / "file" / "below")
    check_one_line(raftpy("serve", *flat(options)), 1, f"{tmp_path}/file/below: not a directory")


def test_a_configuration_file_that_is_not_there(tmp_path: Path) -> None:
    check_one_line(
        raftpy("serve", "--config", str(tmp_path / "no.toml")), 1, f"{tmp_path}/no.toml: no such file or directory"
    )


# --- Wrong usage: exit status 2 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--cluster": "127.0.0.1:7101"}, ["'127.0.0.1:7101'", "ID=HOST:PORT"]),
        ({"--cluster": "1=127.0.0.1"}, ["127.0.0.1", "port"]),
        ({"--cluster": "1=127.0.0.1:1,1=127.0.0.1:2"}, ["node 1", "twice"]),
        ({"--cluster": "1=127.0.0.1:1,2=127.0.0.1:1"}, ["127.0.0.1:1", "1 and 2"]),
        ({"--cluster": "0=127.0.0.1:1"}, ["0"]),
        ({"--cluster": ""}, ["--cluster"]),
        ({"--id": "5"}, ["5", "not in the cluster", "1"]),
        ({"--id": "one"}, ["'one'"]),
        ({"--cluster": "1=0.0.0.0:7101"}, ["node 1", "0.0.0.0:7101 is a wildcard", "--listen 0.0.0.0:7101"]),
        ({"--advertise-http": "0.0.0.0:8101"}, ["http", "0.0.0.0:8101 is a wildcard"]),
        ({"--advertise-http": "https://a.example/kv"}, ["'https://a.example/kv'", "a path", "https://HOST[:PORT]"]),
        ({"--advertise-http": "https://me@a.example"}, ["'https://me@a.example'", "user information"]),
        ({"--advertise-http": "https://a.example?x"}, ["'https://a.example?x'", "a query"]),
        ({"--advertise-http": "ftp://a.example:21"}, ["'ftp://a.example:21' is no HTTP address"]),
        ({"--http": "https://127.0.0.1:8101"}, ["'https://127.0.0.1:8101'", "plain HTTP", "--advertise-http"]),
        ({"--listen": "7101"}, ["listen", "'7101' has no port"]),
        ({"--http": "8101"}, ["'8101' is no HTTP address", "HOST:PORT"]),
        ({"--http": "127.0.0.1:99999"}, ["'127.0.0.1:99999'"]),
        ({"--election-ms": "150"}, ["--election-ms", "'150'", '"150-300"']),
        ({"--election-ms": "150-200"}, ["(150, 200)", "300"]),
        ({"--heartbeat-ms": "500"}, ["heartbeat_ms", "500"]),
        ({"--tick-ms": "0"}, ["tick_ms", "0"]),
        ({"--catch-up-rate": "1000"}, ["catch_up_rate", "1000", "65,536"]),
        ({"--log-cache-bytes": "-1"}, ["log_cache_bytes", "-1", "0"]),
        ({"--snapshot-bytes": "0"}, ["snapshot_bytes", "0", "1"]),
        ({"--snapshot-entries": "0"}, ["snapshot_entries", "0", "1"]),
        ({"--snapshots-kept": "1"}, ["snapshots_kept", "1", "2", "64"]),
        ({"--scrub-rate": "1000"}, ["scrub_rate", "1000", "65,536"]),
        ({"--snapshot-rate": "1000"}, ["snapshot_rate", "1000", "1,048,576"]),
        ({"--trailing-bytes": "-1"}, ["trailing_bytes", "-1", "0"]),
        ({"--max-datagram": "100"}, ["max_datagram", "100", "512"]),
        ({"--max-datagram": "x"}, ["'x'"]),
        ({"--log-level": "loud"}, ["--log-level is 'loud'", "debug, info, warning, error, critical"]),
        ({"--frob": "1"}, ["No such option", "--frob"]),
    ],
)
def test_wrong_usage(options: dict[str, str], changes: dict[str, str], words: list[str]) -> None:
    check_one_line(in_process("serve", *flat(options | changes)), 2, *words, "--help")
    assert not Path(options["--data"]).exists()


@pytest.mark.parametrize("left_out", ["--id", "--cluster", "--data", "--http"])
def test_what_is_missing_is_named(options: dict[str, str], left_out: str) -> None:
    del options[left_out]
    check_one_line(in_process("serve", *flat(options)), 2, f"missing {left_out}:", "--config")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 1\nid = 1", ["unknown key 'port'", "allowed are id, cluster, data, http,"]),
        ("tick_ms = 10", ["unknown key 'tick_ms'", "tick-ms"]),
        ('id = "1"', ["id is '1'", "a whole number is expected"]),
        ("id = true", ["id is True", "a whole number is expected"]),
        ("http = 8101", ["http is 8101", "a text is expected"]),
        ('unreliable = "yes"', ["unreliable is 'yes'", "true or false"]),
        ("election-ms = 150", ["election-ms is 150"]),
        ("log-level = 10", ["log-level is 10", "a text is expected"]),
        ('log-level = "notset"', ["log-level is 'notset'", "debug, info, warning, error, critical"]),
        ("[cluster]\n1 = 7101", ["cluster is {'1': 7101}"]),
        ("id = ", ["is not TOML"]),
        ("id = 1\nid = 2", ["is not TOML"]),
        ("http = '\udcff'", ["is not UTF-8"]),
    ],
)
def test_a_wrong_configuration_file(options: dict[str, str], tmp_path: Path, text: str, words: list[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    check_one_line(in_process("serve", "--config", str(config)), 2, str(config), *words)


# --- Warnings ---------------------------------------------------------------------------------------------------------


def test_another_cluster_than_at_the_first_start_is_a_warning(options: dict[str, str]) -> None:
    first = options["--cluster"]
    with serving(*flat(options)) as node:
        node.first_line()
        assert put(options, "k", b"v") == 200
        node.stop()
    changed = options | {"--cluster": f"{first},2=127.0.0.1:{free_ports(1)[0]}"}
    with serving(*flat(changed | {"--log-level": "warning"})) as node:
        assert "node 1 is up" in node.first_line()
        assert put(options, "k", b"w") == 200  # still a cluster of one
        ended = node.stop()
    check_one_line(ended, 0, "raftpy serve: warning: node 1: ", changed["--cluster"], first, "differs")


def test_a_wildcard_is_not_told_to_others(options: dict[str, str]) -> None:
    port = options["--http"].rpartition(":")[2]
    with serving(*flat(options | {"--http": f"0.0.0.0:{port}"})) as node:
        assert f"http 127.0.0.1:{port}," in node.first_line()
        status = status_or_none(parse_http(options["--http"]))
        assert status is not None
        [member] = status["members"]
        assert member["udp"] == options["--cluster"].removeprefix("1=")
        assert member["http"] == f"127.0.0.1:{port}"
        node.stop()
