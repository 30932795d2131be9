"""``raftpy kv`` against three processes: values byte for byte, versions, listings, redirects, errors, exit statuses."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from raftpy.cli.demo_cluster import DemoCluster, free_ports
from tests.cli.support import (
    RAFTPY,
    Ended,
    check_one_line,
    cluster_of,
    environment,
    in_process,
    raftpy,
    wait_for_leader,
)

Kv = Callable[..., Ended]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    with cluster_of(3, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def kv(cluster: DemoCluster) -> Kv:
    """Runs ``raftpy kv`` with the addresses of all nodes in the environment."""
    http = ",".join(map(str, cluster.http.values()))
    return lambda *arguments, stdin=b"": raftpy("kv", *arguments, stdin=stdin, env={"RAFTPY_HTTP": http})


def version_of(ended: Ended) -> int:
    assert ended.status == 0, ended.err
    assert ended.err == ""
    word, number = ended.text.split()
    assert word == "version"
    return int(number)


def test_put_get_delete(kv: Kv) -> None:
    first = version_of(kv("put", "greeting", "hello"))
    assert kv("get", "greeting") == Ended(0, b"hello", "")
    assert version_of(kv("put", "greeting", "again")) > first
    assert kv("delete", "greeting") == Ended(0, b"deleted\n", "")
    check_one_line(kv("get", "greeting"), 1, "raftpy kv get: no such key: 'greeting'")
    check_one_line(kv("delete", "greeting"), 1, "raftpy kv delete: no such key: 'greeting'")


def test_values_are_bytes(kv: Kv) -> None:
    value = bytes(range(256)) * 100
    version_of(kv("put", "bytes", "-", stdin=value))
    assert kv("get", "bytes").out == value
    version_of(kv("put", "latin-1", b"\xff\xfe"))
    assert kv("get", "latin-1").out == b"\xff\xfe"
    version_of(kv("put", "empty", ""))
    assert kv("get", "empty") == Ended(0, b"", "")
    version_of(kv("put", "dash", "--", "-x"))
    assert kv("get", "dash").out == b"-x"


@pytest.mark.parametrize("key", ["a/b", "/", "//", "../x", "ü ß", "100%", "q?a=b&c#d", "a+b", "%2F", "new\nline"])
def test_any_key(kv: Kv, key: str) -> None:
    version = version_of(kv("put", key, key))
    assert kv("get", key).text == key
    listed = [json.loads(line) for line in kv("list", "--json", key).text.splitlines()]
    assert {"key": key, "version": version, "size": len(key.encode())} in listed


def test_cas(kv: Kv) -> None:
    first = version_of(kv("cas", "cas", "0", "created"))
    check_one_line(kv("cas", "cas", "0", "x"), 1, f"'cas' has version {first}, expected no such key")
    second = version_of(kv("cas", "cas", str(first), "swapped"))
    mismatch = kv("cas", "cas", str(first), "late")
    check_one_line(mismatch, 1, f"version mismatch: 'cas' has version {second}, expected version {first}")
    assert kv("get", "cas").out == b"swapped"
    check_one_line(kv("cas", "cas/none", "5", "x"), 1, "'cas/none' is not there, expected version 5")


def test_list(kv: Kv) -> None:
    versions = [version_of(kv("put", f"list/{name}", name * 3)) for name in ("b", "a", "ä")]
    lines = [f"list/{name}\t{version}\t{size}" for name, version, size in zip("baä", versions, (3, 3, 6), strict=True)]
    assert kv("list", "list/").text.splitlines() == sorted(lines)
    assert kv("list", "list/", "--limit", "2").text.splitlines() == sorted(lines)[:2]
    assert kv("list", "list/", "--stale").status == 0
    assert kv("list", "no such prefix") == Ended(0, b"", "")
    version_of(kv("put", "list/tab\there", ""))
    assert '"list/tab\\there"\t' in kv("list", "list/tab").text


def test_list_goes_on_over_pages(kv: Kv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abcde":
        version_of(kv("put", f"pages/{name}", ""))
    http = kv.__closure__[0].cell_contents  # type: ignore[attr-defined]
    monkeypatch.setenv("RAFTPY_HTTP", http)
    monkeypatch.setattr("raftpy.cli.kv.PAGE", 2)
    from raftpy.cli.run import run

    for arguments, names in (([], "abcde"), (["--limit", "3"], "abc"), (["--limit", "4"], "abcd")):
        assert run(["kv", "list", "pages/", *arguments]) == 0
        keys = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
        assert keys == [f"pages/{name}" for name in names]


def test_any_node_may_be_asked(cluster: DemoCluster) -> None:
    for node_id, address in cluster.http.items():
        assert raftpy("kv", "--http", str(address), "put", "any", str(node_id)).status == 0
        assert raftpy("kv", "get", "any", "--http", f"http://{address}/").text == str(node_id)


def test_addresses_are_tried_in_turn(cluster: DemoCluster) -> None:
    dead = f"127.0.0.1:{free_ports(1)[0]}"
    alive = str(cluster.http[1])
    assert raftpy("kv", "--http", f"{dead},{alive}", "put", "turn", "1").status == 0
    assert raftpy("kv", "--http", dead, "--http", alive, "get", "turn").text == "1"


def test_it_waits_out_an_election(cluster: DemoCluster, kv: Kv) -> None:
    """The leader is gone: refused connections and 503 are no reason to give up at once."""
    leader = wait_for_leader(cluster)
    cluster.kill(leader)
    try:
        assert kv("put", "elected", "x").status == 0
        assert kv("get", "elected").text == "x"
    finally:
        cluster.start(leader)
        wait_for_leader(cluster)


# --- Failures ---------------------------------------------------------------------------------------------------------


def test_nobody_answers() -> None:
    ports = free_ports(2)
    http = f"127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
    began = time.monotonic()
    ended = raftpy("kv", "--http", http, "get", "k")
    check_one_line(ended, 1, "no node answers", *(f"127.0.0.1:{port}: connection refused" for port in ports))
    assert time.monotonic() - began < 5


def test_too_large_names_the_limit(kv: Kv) -> None:
    check_one_line(kv("put", "big", "-", stdin=bytes(20_000_000)), 1, "20000000 bytes is too large: at most 16777")


def test_the_largest_command_is_shown_and_set(cluster: DemoCluster, kv: Kv) -> None:
    http = ",".join(map(str, cluster.http.values()))

    def limits(*arguments: str) -> str:
        ended = raftpy("limits", "--http", http, *arguments)
        assert (ended.status, ended.err) == (0, "")
        return ended.text

    assert limits() == "max_command 16777216\n"
    assert limits("--max-command", "1000") == "max_command 1000\n"
    check_one_line(kv("put", "big", "-", stdin=bytes(1000)), 1, "1000 bytes is too large: at most 994 bytes")
    assert version_of(kv("put", "big", "-", stdin=bytes(994)))
    assert limits("--max-command", "16777216") == "max_command 16777216\n"
    too_much = raftpy("limits", "--http", http, "--max-command", "33554433")
    check_one_line(too_much, 1, "the largest command is 33554433: allowed is a whole number from 1 to 33,554,432 bytes")
    check_one_line(in_process("limits", "--max-command", "0"), 2, "0 is not in the range", "--help")


class Script(BaseHTTPRequestHandler):
    """Answers from a list of (status, headers, body), the last one for good; None breaks the connection."""

    answers: list[tuple[int, dict[str, str], bytes] | None] = []
    seen: list[str] = []

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.seen.append(f"{self.command} {self.path}")
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if given is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, headers, body = given
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def script() -> Iterator[tuple[type[Script], str]]:
    handler = type("Handler", (Script,), {"seen": [], "answers": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


NO_LEADER = (503, {"Retry-After": "1"}, b'{"error":"no_leader","message":"no leader is known here"}')
OK = (200, {}, b'{"index":5,"term":1}')


def test_503_is_tried_again_for_a_while(script: tuple[type[Script], str]) -> None:
    handler, http = script
    handler.answers[:] = [NO_LEADER, NO_LEADER, OK]
    assert version_of(raftpy("kv", "--http", http, "put", "k", "v")) == 5
    assert handler.seen == ["PUT /v1/kv/k"] * 3
    handler.answers[:] = [NO_LEADER]
    ended = raftpy("kv", "--timeout", "0.5", "--http", http, "put", "k", "v")
    check_one_line(ended, 1, "gave up after 0.5 s, nothing was changed", "no leader is known here")


def test_a_write_is_never_sent_twice_unknowingly(script: tuple[type[Script], str]) -> None:
    handler, http = script
    for arguments in (["put", "k", "v"], ["delete", "k"], ["cas", "k", "1", "v"]):
        handler.answers[:] = [None, OK]
        handler.seen.clear()
        check_one_line(raftpy("kv", "--http", http, *arguments), 1, "may or may not be committed")
        assert len(handler.seen) == 1


def test_a_read_is_sent_again(script: tuple[type[Script], str]) -> None:
    handler, http = script
    handler.answers[:] = [None, (200, {}, b"value")]
    assert raftpy("kv", "--http", http, "get", "k") == Ended(0, b"value", "")
    assert handler.seen == ["GET /v1/kv/k"] * 2


def test_504_says_that_nobody_knows(script: tuple[type[Script], str]) -> None:
    handler, http = script
    text = b'{"error":"timeout","message":"no answer in time: the command may or may not be committed"}'
    handler.answers[:] = [(504, {}, text)]
    check_one_line(raftpy("kv", "--http", http, "put", "k", "v"), 1, "may or may not be committed")
    assert len(handler.seen) == 1


def test_a_server_that_is_no_raftpy(script: tuple[type[Script], str]) -> None:
    handler, http = script
    handler.answers[:] = [(418, {}, b"<html>teapot</html>")]
    check_one_line(raftpy("kv", "--http", http, "get", "k"), 1, "HTTP status 418")
    handler.answers[:] = [(307, {"Location": "/elsewhere"}, b"")]
    check_one_line(raftpy("kv", "--http", http, "get", "k"), 1, "redirected to '/elsewhere'")
    handler.answers[:] = [(200, {}, b"[]")]
    check_one_line(raftpy("kv", "--http", http, "list"), 1, "no listing")


def test_redirects_in_a_circle_end(script: tuple[type[Script], str]) -> None:
    handler, http = script
    handler.answers[:] = [(307, {"Location": f"http://{http}/v1/kv/k"}, b"")]
    ended = raftpy("kv", "--timeout", "0.5", "--http", http, "get", "k")
    check_one_line(ended, 1, "gave up after 0.5 s")
    assert len(handler.seen) < 30


def test_a_node_that_does_not_speak_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"220 mail.example.org ESMTP\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        ended = raftpy("kv", "--timeout", "1", "--http", f"127.0.0.1:{port}", "put", "k", "v")
        thread.join()
    check_one_line(ended, 1, "did not answer in HTTP")


# --- Usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get"], ["raftpy kv get: Missing argument 'KEY'"]),
        (["put", "k"], ["Missing argument 'VALUE'"]),
        (["put", "k", "v", "w"], ["unexpected extra argument"]),
        (["get", ""], ["the key is empty"]),
        (["put", "\udcff", "v"], ["is not UTF-8, as keys are"]),
        (["cas", "k", "x", "v"], ["VERSION is 'x'"]),
        (["cas", "k", "18446744073709551616", "v"], ["VERSION is '18446744073709551616'"]),
        (["list", "--limit", "0"], ["0 is not in the range"]),
        (["frob"], ["No such command 'frob'"]),
        (["--http", "nowhere", "get", "k"], ["'nowhere' is no HTTP address", "127.0.0.1:8101"]),
        (["get", "k", "--http", "127.0.0.1:0"], ["'127.0.0.1:0' is no HTTP address"]),
        (["--timeout", "0", "get", "k"], ["--timeout"]),
    ],
)
def test_wrong_usage(arguments: list[str], words: list[str]) -> None:
    check_one_line(in_process("kv", *arguments), 2, *words, "--help")


def test_wrong_usage_in_the_environment() -> None:
    check_one_line(raftpy("kv", "get", "k", env={"RAFTPY_HTTP": "x"}), 2, "RAFTPY_HTTP: 'x' is no HTTP address")


def test_the_help_shows_examples() -> None:
    for command in (["kv"], ["serve"], ["status"], ["demo"], []):
        ended = raftpy(*command, "--help")
        assert ended.status == 0
        assert "Examples:" in ended.text
        assert ended.err == ""


def test_a_closed_pipe_is_no_traceback(cluster: DemoCluster, tmp_path: Path) -> None:
    http = str(cluster.http[1])
    assert raftpy("kv", "--http", http, "put", "pipe", "-", stdin=bytes(50_000)).status == 0
    read_end, write_end = socket.socketpair()
    read_end.close()
    done = subprocess.run(
        [*RAFTPY, "kv", "--http", http, "get", "pipe"],
        stdout=write_end, stderr=subprocess.PIPE, env=environment(), check=False, timeout=30,
    )  # fmt: skip
    write_end.close()
    assert (done.returncode, done.stderr) == (1, b"")
