"""Every error is JSON in one form, whatever goes wrong: pages, methods, malformed HTTP, errors of the node, bugs."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from raftpy import (
    NotLeader,
    Overloaded,
    RaftError,
    Stopped,
    StorageDamaged,
    StorageFailed,
    Timeout,
    TooLarge,
)
from raftpy.server.dispatch import Dispatcher
from raftpy.server.redirect import answer_to
from tests.server.support import Cluster, ask, speak


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as cluster:
        cluster.leader()
        yield cluster


@pytest.fixture
def port(cluster: Cluster) -> int:
    return cluster.port[1]


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/kvx", "/v2/kv/a", "/v1/status/", "/healthz/x", "//v1/kv/a", "/V1/kv/a", "/%76"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_an_unknown_page_is_404(port: int, path: str, method: str) -> None:
    answer = ask(port, method, path)
    assert (answer.status, answer.json["error"]) == (404, "not_found")
    assert repr(path) in answer.json["message"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/kv/key", "GET, PUT, DELETE, HEAD"),
        ("/v1/kv", "GET, HEAD"),
        ("/v1/status", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_an_unknown_method_is_405_with_allow(port: int, path: str, allowed: str, method: str) -> None:
    answer = ask(port, method, path)
    assert (answer.status, answer.json["error"]) == (405, "bad_request")
    assert answer.headers["allow"] == allowed
    assert answer.json["message"] == f"method {method} is not allowed for {path!r}: allowed are {allowed}"


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"GET / a b HTTP/1.1\r\n\r\n",
        b"FOO /v1/kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/kv/a\x01b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v1/kv/" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # somebody speaks TLS
    ],
)
def test_what_is_no_http_request_gets_a_json_error(
    port: int, garbage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = speak(port, garbage)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert b"\r\nContent-Type: application/json" in head
    error = json.loads(body)
    assert error["error"] == "bad_request"
    assert error["message"].startswith("not an HTTP request: ")
    assert "\n" not in error["message"]
    assert "Traceback" not in capfd.readouterr().err


def test_html_is_never_sent_even_if_asked_for(port: int) -> None:
    for path in ("/", "/v1/kv/%FF"):
        assert ask(port, "GET", path, headers={"Accept": "text/html"}).headers["content-type"] == "application/json"
    text = b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nContent-Length: many\r\n\r\n"
    assert b"application/json" in speak(port, text)


def test_a_broken_chunk_is_400(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # aiohttp's C parser does not tell the handler of a bad chunk that comes later: then it is the time that ends it.
    monkeypatch.setattr("raftpy.server.request.BODY_TIMEOUT", 0.3)
    text = b"PUT /v1/kv/chunk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"
    head, _, chunk = text.partition(b"zz")
    for pieces in ([text], [head, b"zz" + chunk]):
        answer = speak(port, *pieces)
        assert b" 400 " in answer.split(b"\r\n")[0]
        assert b"bad_request" in answer
        assert ask(port, "GET", "/v1/kv/chunk").status == 404


def test_a_body_that_cannot_be_decoded_is_400_and_closes() -> None:
    """As aiohttp's Python parser reports it, on machines without its C one."""

    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        raise web.RequestPayloadError("400, message:\n  Not enough data")

    dispatcher = Dispatcher({"/v1/kv": {"PUT": handler}}, {})
    response = asyncio.run(dispatcher(make_mocked_request("PUT", "/v1/kv")))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    error = {"error": "bad_request", "message": "bad body: 400, message: Not enough data"}
    assert (response.status, json.loads(response.body), response.keep_alive) == (400, error, False)


def test_a_body_that_ends_early_writes_nothing(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("PUT", "/v1/kv/half")
    connection.putheader("Content-Length", "100")
    connection.endheaders()
    connection.send(b"only this")
    connection.close()
    assert ask(port, "GET", "/v1/kv/half").status == 404


def test_a_body_that_does_not_come_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftpy.server.request.BODY_TIMEOUT", 0.2)
    answer = speak(port, b"PUT /v1/kv/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"the body did not arrive within 0.2 seconds for each 1048576 bytes of it" in answer
    assert b"connection: close" in answer.lower()


def test_a_long_body_has_its_time_for_each_part(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on coming is not given up, however long all of it takes."""
    monkeypatch.setattr("raftpy.server.request.BODY_TIMEOUT", 1.0)
    monkeypatch.setattr("raftpy.server.request.BODY_STEP", 1000)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"PUT /v1/kv/long HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\nConnection: close\r\n\r\n")
        for _ in range(6):
            time.sleep(0.3)
            client.sendall(bytes(1000))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    assert ask(port, "GET", "/v1/kv/long").body == bytes(6000)


def test_a_connection_survives_errors(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    sock = None
    for method, path, status in (
        ("GET", "/v1/kv/missing", 404),
        ("POST", "/v1/kv/x", 405),
        ("GET", "/v1/kv/%FF", 400),
        ("PUT", "/v1/kv/survivor", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/kv/survivor", 200),
    ):
        connection.request(method, path, b"x" if method == "PUT" else None)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert sock in (None, connection.sock)
        sock = connection.sock
    connection.close()


def test_a_bug_is_an_error_too(
    cluster: Cluster, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(cluster.stores[1], "get", broken)
    with caplog.at_level(logging.ERROR, "raftpy.server"):
        answer = ask(port, "GET", "/v1/kv/a?consistency=stale")
    assert answer.status == 500
    assert answer.json == {"error": "internal", "message": "unexpected KeyError in the server; its log says more"}
    assert "secret detail" in caplog.text


UNKNOWN = "may or may not be committed"


@pytest.mark.parametrize(
    ("error", "status", "code", "words"),
    [
        (NotLeader(None), 503, "no_leader", "no leader is known here at the moment"),
        (NotLeader(2, "127.0.0.1:7102", None), 503, "no_leader", "node 2 leads, but its HTTP address is not known"),
        (Overloaded(), 503, "overloaded", "nothing was appended"),
        (TooLarge(2000, 1000), 413, "too_large", "at most 1000 bytes"),
        (Timeout(), 504, "timeout", UNKNOWN),
        (Timeout("leadership was lost"), 504, "timeout", f"leadership was lost: the command {UNKNOWN}"),
        (Stopped(), 504, "timeout", UNKNOWN),
        (StorageFailed("disk full"), 504, "timeout", UNKNOWN),
        (StorageDamaged("a bad checksum", "/srv/data/000005.ldb"), 504, "timeout", UNKNOWN),
        (RaftError("anything new"), 504, "timeout", UNKNOWN),
    ],
)
def test_each_error_of_the_node_has_its_answer(error: RaftError, status: int, code: str, words: str) -> None:
    """307, 413 and 503 only where the command was never appended; whatever is not known to be that is 504."""
    response = answer_to(make_mocked_request("PUT", "/v1/kv/a"), error)
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    assert (response.status, body["error"]) == (status, code)
    assert words in body["message"]
    assert body["message"].count(UNKNOWN) == (1 if status == 504 else 0)
    assert "/srv" not in body["message"]  # a client learns nothing of this machine's disks
    assert response.headers.get("Retry-After") == ("1" if status == 503 else None)


@pytest.mark.parametrize("target", ["/v1/kv/a%2Fb//c?x=%20y&z", "/v1/kv?prefix=%C3%A9&limit=5", "/v1/kv/k"])
def test_a_redirect_keeps_path_and_query_as_they_are(target: str) -> None:
    response = answer_to(make_mocked_request("GET", target), NotLeader(3, "[::1]:7103", "[::1]:8103"))
    assert response.status == 307
    assert response.headers["Location"] == f"http://[::1]:8103{target}"
