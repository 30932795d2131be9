"""/v1/kv on one real node: statuses, headers, bodies, conditions, keys, limits, listings."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from raftpy.replicated import kv_commands
from raftpy.server.errors import PIECE
from tests.server.support import Cluster, Reply, ask, speak

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1) as cluster:
        cluster.leader()
        yield cluster


@pytest.fixture
def port(cluster: Cluster) -> int:
    return cluster.port[1]


@pytest.fixture
def key() -> str:
    """A key no other test uses."""
    return f"key-{next(NUMBERS)}"


def put(port: int, key: str, value: bytes, **headers: str) -> Reply:
    return ask(port, "PUT", f"/v1/kv/{key}", value, {name.replace("_", "-"): text for name, text in headers.items()})


def test_what_is_put_is_got_with_its_version(port: int, key: str) -> None:
    written = put(port, key, b"\x00bytes\xff\r\n")
    assert written.status == 200
    assert sorted(written.json) == ["index", "term"]
    index = written.json["index"]
    assert written.json["term"] >= 1
    assert written.headers["etag"] == f'"{index}"'
    assert written.headers["x-raft-index"] == str(index)
    got = ask(port, "GET", f"/v1/kv/{key}")
    assert (got.status, got.body) == (200, b"\x00bytes\xff\r\n")
    assert got.headers["etag"] == f'"{index}"'
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["cache-control"] == "no-store"  # a cache would answer what the log has moved on from
    assert got.headers["server"] == "raftpy"
    assert int(got.headers["x-raft-index"]) >= index
    again = put(port, key, b"2")
    assert again.json["index"] > index


def test_the_term_is_that_of_the_entry(cluster: Cluster, port: int, key: str) -> None:
    answer = put(port, key, b"").json
    assert answer["term"] == cluster.term_at(1, answer["index"])


def test_an_empty_value_is_a_value(port: int, key: str) -> None:
    assert put(port, key, b"").status == 200
    got = ask(port, "GET", f"/v1/kv/{key}")
    assert (got.status, got.body, got.headers["content-length"]) == (200, b"", "0")


def test_a_missing_key_is_404(port: int) -> None:
    got = ask(port, "GET", "/v1/kv/never/put")
    assert got.status == 404
    assert got.json == {"error": "not_found", "message": "no such key: 'never/put'"}
    assert "x-raft-index" in got.headers


def test_delete(port: int, key: str) -> None:
    put(port, key, b"x")
    deleted = ask(port, "DELETE", f"/v1/kv/{key}")
    assert deleted.status == 200
    assert sorted(deleted.json) == ["index", "term"]
    assert deleted.headers["x-raft-index"] == str(deleted.json["index"])
    assert "etag" not in deleted.headers
    assert ask(port, "GET", f"/v1/kv/{key}").status == 404
    missing = ask(port, "DELETE", f"/v1/kv/{key}")
    assert (missing.status, missing.json["error"]) == (404, "not_found")


def test_a_body_of_a_delete_means_nothing(port: int, key: str) -> None:
    put(port, key, b"x")
    assert ask(port, "DELETE", f"/v1/kv/{key}", b"whatever").status == 200


def test_head_is_get_without_the_bytes(port: int, key: str) -> None:
    put(port, key, b"12345")
    got, head = ask(port, "GET", f"/v1/kv/{key}"), ask(port, "HEAD", f"/v1/kv/{key}")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")
    assert head.headers["etag"] == got.headers["etag"]
    missing = ask(port, "HEAD", f"/v1/kv/{key}/missing")
    assert (missing.status, missing.body) == (404, b"")


# --- Compare-and-swap -------------------------------------------------------------------------------------------------


def test_if_match_writes_only_that_version(port: int, key: str) -> None:
    first = put(port, key, b"1").json["index"]
    second = put(port, key, b"2", If_Match=f'"{first}"')
    assert second.status == 200
    late = put(port, key, b"3", If_Match=f'"{first}"')
    assert late.status == 412
    assert late.json["error"] == "version_mismatch"
    assert late.json["version"] == second.json["index"]
    assert f"version {second.json['index']}" in late.json["message"]
    assert ask(port, "GET", f"/v1/kv/{key}").body == b"2"


def test_if_match_on_a_missing_key_mismatches_with_version_0(port: int, key: str) -> None:
    for version in ("5", "0"):
        answer = put(port, key, b"1", If_Match=f'"{version}"')
        assert (answer.status, answer.json["version"]) == (412, 0)
    assert ask(port, "GET", f"/v1/kv/{key}").status == 404


def test_if_none_match_writes_only_what_is_not_there(port: int, key: str) -> None:
    first = put(port, key, b"1", If_None_Match="*")
    assert first.status == 200
    second = put(port, key, b"2", If_None_Match="*")
    assert (second.status, second.json["error"], second.json["version"]) == (
        412,
        "version_mismatch",
        first.json["index"],
    )
    ask(port, "DELETE", f"/v1/kv/{key}")
    assert put(port, key, b"3", If_None_Match="*").status == 200


def test_delete_takes_if_match(port: int, key: str) -> None:
    version = put(port, key, b"1").json["index"]
    wrong = ask(port, "DELETE", f"/v1/kv/{key}", headers={"If-Match": f'"{version + 1}"'})
    assert (wrong.status, wrong.json["version"]) == (412, version)
    assert ask(port, "DELETE", f"/v1/kv/{key}", headers={"If-Match": f'"{version}"'}).status == 200
    assert ask(port, "DELETE", f"/v1/kv/{key}", headers={"If-Match": f'"{version}"'}).status == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("If-Match", "12"),
        ("If-Match", '"twelve"'),
        ("If-Match", 'W/"12"'),
        ("If-Match", '"12", "13"'),
        ("If-Match", '"012"'),
        ("If-Match", '"-1"'),
        ("If-Match", '"18446744073709551616"'),
        ("If-Match", '"\u0661"'),
        ("If-Match", "*"),
        ("If-Match", ""),
        ("If-None-Match", '"12"'),
        ("If-None-Match", "**"),
        ("If-None-Match", ""),
    ],
)
def test_a_condition_that_is_not_understood_is_400_and_named(port: int, key: str, name: str, value: str) -> None:
    answer = ask(port, "PUT", f"/v1/kv/{key}", b"x", {name: value.encode()})  # type: ignore[dict-item]
    assert (answer.status, answer.json["error"]) == (400, "bad_request")
    assert answer.json["message"].startswith(f"bad {name} ")
    if value.isascii():
        assert repr(value) in answer.json["message"]
    assert ask(port, "GET", f"/v1/kv/{key}").status == 404


def test_two_conditions_are_400(port: int, key: str) -> None:
    both = put(port, key, b"x", If_Match='"1"', If_None_Match="*")
    assert (both.status, both.json["error"]) == (400, "bad_request")
    text = f'PUT /v1/kv/{key} HTTP/1.1\r\nHost: x\r\nIf-Match: "1"\r\nIf-Match: "2"\r\nContent-Length: 0\r\n\r\n'
    assert b" 400 " in speak(port, text.encode()).split(b"\r\n")[0]
    deleted = ask(port, "DELETE", f"/v1/kv/{key}", headers={"If-None-Match": "*"})
    assert (deleted.status, deleted.json["error"]) == (400, "bad_request")


# --- Keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a/b", "a/b"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%61", "a"),
        ("a//b", "a//b"),
        ("a/../b", "a/../b"),
        ("a/./b/", "a/./b/"),
        ("/a", "/a"),
        ("..", ".."),
        ("%C3%A9", "é"),
        ("%F0%9F%98%80", "\U0001f600"),
        ("a%20b+c", "a b+c"),
        ("a%3Fb%23c%25", "a?b#c%"),
        ("a;b=c&d,e:f@g", "a;b=c&d,e:f@g"),
        ("%00%0A%7F", "\0\n\x7f"),
        ("a%252Fb", "a%2Fb"),
    ],
)
def test_keys_are_percent_encoded_utf_8(port: int, path: str, key: str) -> None:
    value = f"value of {key}".encode()
    assert ask(port, "PUT", f"/v1/kv/{path}", value).status == 200
    assert ask(port, "GET", f"/v1/kv/{quote(key, safe='')}").body == value
    assert key in [item["key"] for item in ask(port, "GET", "/v1/kv").json["items"]]


def test_raw_utf_8_in_the_path_is_taken_too(port: int) -> None:
    request = "PUT /v1/kv/roh-ü HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1".encode()
    status = speak(port, request).split(b"\r\n")[0]
    # The C parser of aiohttp refuses it, its Python parser passes it on: 400, or the same key.
    if b" 200 " in status:
        assert ask(port, "GET", "/v1/kv/roh-%C3%BC").body == b"1"
    else:
        assert b" 400 " in status


@pytest.mark.parametrize("path", ["%FF", "%C3", "a%ED%A0%80", "%C0%AF", "%F5%80%80%80"])
def test_a_key_that_is_not_utf_8_is_400(port: int, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = ask(port, method, f"/v1/kv/{path}")
        assert (answer.status, answer.json["error"]) == (400, "bad_request")
        assert "is not UTF-8" in answer.json["message"]


@pytest.mark.parametrize("path", ["%", "a%4", "%zz", "%%41"])
def test_a_broken_escape_is_400(port: int, path: str) -> None:
    answer = ask(port, "GET", f"/v1/kv/{path}")
    assert (answer.status, answer.json["error"]) == (400, "bad_request")
    assert "is not a percent-encoded byte" in answer.json["message"]


def test_an_empty_key_is_400(port: int) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = ask(port, method, "/v1/kv/")
        assert (answer.status, answer.json["error"]) == (400, "bad_request")
        assert "key is empty" in answer.json["message"]


# --- Sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("headers", "overhead"), [({}, 3), ({"If-None-Match": "*"}, 3), ({"If-Match": '"1"'}, 11)])
def test_the_limit_is_exact_and_named(cluster: Cluster, key: str, headers: dict[str, str], overhead: int) -> None:
    port = cluster.port[1]
    limit = cluster.nodes[1].max_command - overhead - len(key)
    answer = ask(port, "PUT", f"/v1/kv/{key}", bytes(limit + 1), headers)
    assert (answer.status, answer.json["error"]) == (413, "too_large")
    assert f"{limit + 1} bytes" in answer.json["message"]
    assert f"at most {limit} bytes" in answer.json["message"]
    assert ask(port, "PUT", f"/v1/kv/{key}", bytes(limit), headers).status in (200, 412)
    assert len(ask(port, "GET", f"/v1/kv/{key}").body) == limit or "If-Match" in headers


def test_a_body_without_length_is_bounded_too(cluster: Cluster, port: int, key: str) -> None:
    limit = cluster.nodes[1].max_command - 3 - len(key)
    chunks = (bytes(size) for size in (limit // 2, limit - limit // 2, 1))  # one byte too many
    answer = ask(port, "PUT", f"/v1/kv/{key}", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert (answer.status, answer.json["error"]) == (413, "too_large")
    assert f"at most {limit} bytes" in answer.json["message"]
    chunks = (bytes(limit // 4) for _ in range(4))
    answer = ask(port, "PUT", f"/v1/kv/{key}", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert answer.status == 200
    assert len(ask(port, "GET", f"/v1/kv/{key}").body) == limit // 4 * 4


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(port: int, key: str) -> None:
    """With Expect: 100-continue the client waits for a word; the first one here must be the refusal."""
    head = f"PUT /v1/kv/{key} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    refused = speak(port, (head % 10**12).encode())
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert b"1000000000000 bytes" in refused
    assert b"connection: close" in refused.lower()


def test_expect_100_continue_is_answered(port: int, key: str) -> None:
    request = f"PUT /v1/kv/{key} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    answer = speak(port, request.encode())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert ask(port, "GET", f"/v1/kv/{key}").body == b"hi"


def test_a_key_has_a_limit_of_its_own(port: int) -> None:
    assert put(port, "k" * 4096, b"x").status == 200
    assert put(port, "%C3%A9" * 2048, b"x").status == 200
    for method in ("GET", "PUT", "DELETE"):
        answer = ask(port, method, "/v1/kv/" + "k" * 4097)
        assert (answer.status, answer.json["error"]) == (413, "too_large")
        assert answer.json["message"] == "a key of 4097 bytes is too large: at most 4096 bytes"


def test_a_small_limit_of_commands_bounds_the_key_as_well() -> None:
    with Cluster(1) as cluster:
        cluster.leader()
        assert ask(cluster.port[1], "PUT", "/v1/limits", b'{"max_command": 1000}').status == 200
        most = cluster.nodes[1].max_command
        assert most == 1000
        assert put(cluster.port[1], "k" * (most - 3), b"").status == 200
        answer = put(cluster.port[1], "k" * (most - 2), b"")
        assert (answer.status, answer.json["error"]) == (413, "too_large")
        assert answer.json["message"] == f"a key of {most - 2} bytes is too large: at most {most - 3} bytes"


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 5 << 20])
def test_a_large_value_comes_back_whole(port: int, key: str, size: int) -> None:
    value = random.Random(size).randbytes(size)
    assert put(port, key, value).status == 200
    got = ask(port, "GET", f"/v1/kv/{key}")
    assert got.body == value
    assert got.headers["content-length"] == str(size)
    assert got.headers["content-type"] == "application/octet-stream"
    head = ask(port, "HEAD", f"/v1/kv/{key}")
    assert (head.body, head.headers["content-length"]) == (b"", str(size))


def test_a_value_is_stored_as_sent_whatever_its_encoding_says(port: int, key: str) -> None:
    put(port, key, b"not gzip at all", Content_Encoding="gzip")
    got = ask(port, "GET", f"/v1/kv/{key}")
    assert got.body == b"not gzip at all"
    assert "content-encoding" not in got.headers


# --- Listing ----------------------------------------------------------------------------------------------------------


def keys(reply: Reply) -> list[str]:
    assert reply.status == 200
    return [item["key"] for item in reply.json["items"]]


def test_keys_that_no_request_can_name_are_left_out(cluster: Cluster, port: int, key: str) -> None:
    """A program that has the store in itself may put them; a listing goes on behind them, whatever its limit."""

    async def put_long() -> None:
        for number in range(7):
            for size in (4096, 4097, 70_000):
                name = f"{key}/{number}".encode().ljust(size, b"x")
                await cluster.nodes[1].propose(kv_commands.put(name, b"v"))

    cluster.call(put_long())
    named = [f"{key}/{number}".ljust(4096, "x") for number in range(7)]
    for limit in (1, 2, 3, 7, 100):
        found: list[str] = []
        more, after = True, ""
        while more:
            page = ask(port, "GET", f"/v1/kv?prefix={key}/&limit={limit}&after={after}")
            assert len(keys(page)) <= limit
            found += keys(page)
            more, after = page.json["more"], found[-1]
        assert found == named
    for name in named:
        assert ask(port, "GET", f"/v1/kv/{name}").body == b"v"


def test_listing_by_prefix_in_order(port: int) -> None:
    versions = {}
    for name in ["list/b", "list/a", "list/é", "list/c/d", "list/c", "lisa"]:
        versions[name] = put(port, quote(name), name.encode()).json["index"]
    listed = ask(port, "GET", "/v1/kv?prefix=list/")
    assert listed.json == {
        "items": [
            {"key": name, "version": versions[name], "size": len(name.encode())}
            for name in ["list/a", "list/b", "list/c", "list/c/d", "list/é"]
        ],
        "more": False,
    }
    assert "x-raft-index" in listed.headers
    assert keys(ask(port, "GET", "/v1/kv?prefix=list%2Fc")) == ["list/c", "list/c/d"]
    assert keys(ask(port, "GET", "/v1/kv?prefix=list/%C3%A9")) == ["list/é"]
    assert keys(ask(port, "GET", "/v1/kv?prefix=nothing")) == []


def test_limit_and_more(port: int) -> None:
    for name in "abcde":
        put(port, f"limit/{name}", b"")
    for limit, more in ((1, True), (4, True), (5, False), (10_000, False)):
        reply = ask(port, "GET", f"/v1/kv?prefix=limit/&limit={limit}")
        assert len(keys(reply)) == min(limit, 5)
        assert reply.json["more"] is more
    page = ask(port, "GET", "/v1/kv?prefix=limit/&limit=2&after=limit/b")
    assert (keys(page), page.json["more"]) == (["limit/c", "limit/d"], True)
    page = ask(port, "GET", "/v1/kv?prefix=limit/&limit=2&after=limit/d")
    assert (keys(page), page.json["more"]) == (["limit/e"], False)


def test_a_listing_has_a_limit_by_default() -> None:
    with Cluster(1) as cluster:
        cluster.leader()
        from raftpy.replicated import kv_commands

        async def fill() -> None:
            await cluster.nodes[1].propose_many([kv_commands.put(b"%04d" % i, b"") for i in range(1001)])

        cluster.call(fill())
        reply = ask(cluster.port[1], "GET", "/v1/kv")
        assert keys(reply) == [f"{i:04}" for i in range(1000)]
        assert reply.json["more"] is True
        assert len(keys(ask(cluster.port[1], "GET", "/v1/kv?limit=1001"))) == 1001


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "x", "1.5", "", "1e3", "+5", "%D9%A1", "9" * 50])
def test_a_bad_limit_is_400_and_named(port: int, limit: str) -> None:
    answer = ask(port, "GET", f"/v1/kv?limit={limit}")
    assert (answer.status, answer.json["error"]) == (400, "bad_request")
    assert answer.json["message"].startswith("bad limit ")
    assert answer.json["message"].endswith("a number from 1 to 10000 is allowed")


# --- Queries ----------------------------------------------------------------------------------------------------------


def test_stale_reads_answer_without_the_log(cluster: Cluster, port: int, key: str) -> None:
    put(port, key, b"x")
    before = cluster.status(1).last_index
    assert ask(port, "GET", f"/v1/kv/{key}?consistency=stale").body == b"x"
    assert ask(port, "GET", "/v1/kv?consistency=stale").status == 200
    assert cluster.status(1).last_index == before
    assert ask(port, "GET", f"/v1/kv/{key}?consistency=linearizable").body == b"x"
    assert cluster.status(1).last_index == before  # read index: no entry for a read (thesis 6.4)


@pytest.mark.parametrize("path", ["/v1/kv/k", "/v1/kv"])
@pytest.mark.parametrize("value", ["eventual", "", "STALE", "stale,stale"])
def test_another_consistency_is_400_and_named(port: int, path: str, value: str) -> None:
    answer = ask(port, "GET", f"{path}?consistency={value}")
    assert (answer.status, answer.json["error"]) == (400, "bad_request")
    assert answer.json["message"] == f"bad consistency {value!r}: allowed are linearizable (the default) and stale"


@pytest.mark.parametrize(
    ("method", "path", "wrong"),
    [
        ("GET", "/v1/kv?limt=5", "unknown query parameter 'limt': allowed: after, consistency, limit, prefix"),
        ("GET", "/v1/kv/k?version=5", "unknown query parameter 'version': allowed: consistency"),
        ("PUT", "/v1/kv/k?consistency=stale", "unknown query parameter 'consistency': none is allowed here"),
        ("DELETE", "/v1/kv/k?x", "unknown query parameter 'x': none is allowed here"),
        ("GET", "/v1/kv?limit=1&limit=2", "query parameter 'limit' is given twice"),
        ("GET", "/v1/kv?prefix=%FF", "bad query: byte 0xff at 7 is not UTF-8"),
        ("GET", "/v1/kv?prefix=%4", "bad query: '%4' is not a percent-encoded byte"),
    ],
)
def test_a_query_that_is_not_understood_is_400(port: int, method: str, path: str, wrong: str) -> None:
    answer = ask(port, method, path)
    assert (answer.status, answer.json) == (400, {"error": "bad_request", "message": wrong})
