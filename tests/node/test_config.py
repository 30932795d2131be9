"""Settings: what is allowed, and errors that name the value and say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raftpy import Config, ConfigError, RaftError, format_cluster, parse_cluster

CLUSTER = {1: "127.0.0.1:7101", 2: "127.0.0.1:7102"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": 0}, r"id is 0: allowed is a whole number from 1 to"),
    ({"id": 2**64 - 2}, r"id is 18446744073709551614"),
    ({"id": "1"}, r"id is '1'"),
    ({"id": True}, r"id is True"),
    ({"id": 3}, r"id is 3, which is not in the cluster: its nodes are 1, 2"),
    ({"cluster": {}}, r"the cluster is empty"),
    ({"cluster": {1: "127.0.0.1"}}, r"address of node 1: address '127.0.0.1' has no port"),
    ({"cluster": {1: 7101}}, r"address of node 1 is 7101: expected a string"),
    ({"cluster": {1: "0.0.0.0:7101"}}, r"node 1: 0.0.0.0:7101 is a wildcard.*--listen 0.0.0.0:7101 \(Config.listen\)"),
    ({"cluster": {1: "a:1", 2: "[::]:7102"}}, r"node 2: \[::\]:7102 is a wildcard.*--listen \[::\]:7102 "),
    ({"cluster": {1: "a:1", 2: "[0:0::0]:7102"}}, r"node 2: \[0:0::0\]:7102 is a wildcard"),
    ({"cluster": {1: "[::ffff:0.0.0.0]:7101"}}, r"node 1: \[::ffff:0.0.0.0\]:7101 is a wildcard"),
    ({"cluster": {1: "[::ffff:0:0]:7101"}}, r"node 1: \[::ffff:0:0\]:7101 is a wildcard"),
    ({"cluster": {1: "127.0.0.1:0"}}, r"node 1: 127.0.0.1:0 has port 0.*from 1 to 65535"),
    ({"http": "0.0.0.0:8101"}, r"http: 0.0.0.0:8101 is a wildcard"),
    ({"http": "127.0.0.1:0"}, r"http: 127.0.0.1:0 has port 0"),
    ({"http": "https://[::]"}, r"http: \[::\]:443 is a wildcard"),
    (
        {"http": "https://a.example/kv"},
        r"http: address 'https://a.example/kv' has a path: allowed is host:port, http://",
    ),
    ({"http": "https://a.example/"}, r"http: address 'https://a.example/' has a path"),
    ({"http": "a.example:80/"}, r"http: address 'a.example:80/' has a path"),
    ({"http": "https://me:secret@a.example"}, r"http: .* has user information"),
    ({"http": "https://a.example?x=1"}, r"http: .* has a query"),
    ({"http": "https://a.example#x"}, r"http: .* has a fragment"),
    ({"http": "ftp://a.example:21"}, r"http: address 'ftp://a.example:21' has the scheme 'ftp'"),
    ({"http": "https://a b"}, r"http: address 'a b:443' has 'a b' for a host"),
    ({"http": "https://a.example:x"}, r"http: .* has the port 'x'"),
    ({"http": "https://"}, r"http: .* for a host"),
    ({"http": 80}, r"http is 80: expected a string"),
    ({"listen": "0.0.0.0"}, r"listen: address '0.0.0.0' has no port"),
    ({"listen": "0.0.0.0:0"}, r"listen: address '0.0.0.0:0' has the port '0': allowed is host:port with port 1 to"),
    ({"listen": 7101}, r"listen is 7101: expected a string"),
    ({"cluster": {1: "a:1", 0: "b:1"}}, r"a node id in the cluster is 0"),
    ({"cluster": {1: "a:1", 2: "a:1"}}, r"nodes 1 and 2 have the same address a:1"),
    ({"http": "nowhere"}, r"http: address 'nowhere' has no port"),
    ({"cluster_id": 0}, r"cluster_id is 0: allowed is a whole number from 1 to"),
    ({"tick_ms": 0}, r"tick_ms is 0: allowed is a whole number from 1 to 1,000"),
    ({"tick_ms": 10.0}, r"tick_ms is 10.0"),
    ({"heartbeat_ms": 55}, r"heartbeat_ms is 55: it must be a multiple of tick_ms, which is 10"),
    ({"quiet_heartbeat_ms": 75}, r"quiet_heartbeat_ms is 75: it must be a multiple of tick_ms, which is 10"),
    ({"quiet_heartbeat_ms": 40}, r"quiet_heartbeat_ms is 40: it must be heartbeat_ms \(50\) or more, and below .* 150"),
    ({"quiet_heartbeat_ms": 150}, r"quiet_heartbeat_ms is 150: .* below the shortest election timeout, 150"),
    ({"heartbeat_ms": 5}, r"heartbeat_ms is 5: allowed is a whole number from 10"),
    ({"heartbeat_ms": 150}, r"heartbeat_ms is 150: it must be below the shortest election timeout, 150"),
    ({"election_ms": 150}, r"election_ms is 150: a pair"),
    ({"election_ms": (155, 310)}, r"election_ms\[0\] is 155: it must be a multiple of tick_ms"),
    ({"election_ms": (150, 400)}, r"election_ms is \(150, 400\): the second must be twice the first, here 300"),
    ({"max_datagram": 511}, r"max_datagram is 511: allowed is a whole number from 512 to 65,507 bytes"),
    ({"max_inflight_messages": 0}, r"max_inflight_messages is 0: allowed is a whole number from 1 to"),
    ({"max_inflight_bytes": 0}, r"max_inflight_bytes is 0"),
    ({"max_inflight_bytes": 59_999}, r"max_inflight_bytes is 59999.*at least one datagram, 60,000"),
    ({"max_inflight_bytes": 59_999, "max_datagram": 65_507}, r"at least one datagram, 65,507"),
    ({"max_uncommitted_bytes": 0}, r"max_uncommitted_bytes is 0"),
    ({"catch_up_rate": 1}, r"catch_up_rate is 1: allowed is a whole number from 65,536 to .* bytes a second"),
    ({"log_cache_bytes": -1}, r"log_cache_bytes is -1: allowed is a whole number from 0 to .* bytes"),
    ({"snapshot_bytes": 0}, r"snapshot_bytes is 0: allowed is a whole number from 1 to .* bytes"),
    ({"snapshot_bytes": 1.5}, r"snapshot_bytes is 1.5"),
    ({"snapshots_kept": 1}, r"snapshots_kept is 1: allowed is a whole number from 2 to 64 snapshots"),
    ({"snapshots_kept": 65}, r"snapshots_kept is 65"),
    ({"scrub_rate": 1}, r"scrub_rate is 1: allowed is a whole number from 65,536 to .* bytes a second"),
    ({"scrub_rate": -1}, r"scrub_rate is -1"),
    ({"snapshot_rate": 1}, r"snapshot_rate is 1: allowed is a whole number from 1,048,576 to .* bytes a second"),
    ({"trailing_bytes": -1}, r"trailing_bytes is -1: allowed is a whole number from 0 to .* bytes"),
    ({"snapshot_entries": 0}, r"snapshot_entries is 0: allowed is a whole number from 1 to .* entries"),
    ({"seed": -1}, r"seed is -1: allowed is a whole number from 0 to"),
]


@pytest.mark.parametrize(("settings", "text"), WRONG)
def test_wrong_values_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        Config(**{"id": 1, "cluster": CLUSTER, **settings})
    assert isinstance(error.value, RaftError)
    assert isinstance(error.value, ValueError)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.example:8101", "a.example:8101"),
        ("http://a.example:8101", "a.example:8101"),
        ("http://a.example", "a.example:80"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("https://a.example", "https://a.example:443"),
        ("HTTPS://[::1]", "https://[::1]:443"),
        ("https://[fe80::1%eth0]:1", "https://[fe80::1%eth0]:1"),
    ],
)
def test_the_http_address_is_kept_in_one_form(given: str, kept: str) -> None:
    assert Config(id=1, cluster=CLUSTER, http=given).http == kept


def test_what_is_left_out_has_the_defaults_of_the_text() -> None:
    config = Config(id=1, cluster=CLUSTER)
    assert (config.tick_ms, config.heartbeat_ms, config.election_ms) == (10, 50, (150, 300))
    assert (config.heartbeat_ticks, config.quiet_heartbeat_ticks, config.election_ticks) == (5, 7, 15)
    assert dict(config.addresses) == CLUSTER
    with pytest.raises(AttributeError):
        config.id = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.addresses[3] = "x:1"  # type: ignore[index]


def test_the_cluster_given_may_change_afterwards() -> None:
    cluster = dict(CLUSTER)
    config = Config(id=1, cluster=cluster)
    cluster.clear()
    assert dict(config.addresses) == CLUSTER


def test_ticks() -> None:
    config = Config(id=1, cluster=CLUSTER, tick_ms=20, heartbeat_ms=100, election_ms=(1000, 2000))
    assert (config.heartbeat_ticks, config.election_ticks) == (5, 50)


@pytest.mark.parametrize(
    ("heartbeat_ms", "election_ms", "quiet_ms"),
    [
        (50, 150, 70),  # a second one comes at 140, with a tick to spare
        (50, 151 * 10, 70),  # 75 is no multiple of a tick
        (10, 150, 10),
        (20, 150, 30),
        (100, 150, 100),  # two do not come in any case
        (1000, 10_000, 1500),
    ],
)
def test_a_quiet_leader_pauses_half_as_long_again_where_two_heartbeats_come_in_time(
    heartbeat_ms: int, election_ms: int, quiet_ms: int
) -> None:
    election = election_ms, 2 * election_ms
    config = Config(id=1, cluster=CLUSTER, heartbeat_ms=heartbeat_ms, election_ms=election)
    assert config.quiet_heartbeat_ticks * config.tick_ms == quiet_ms
    assert replace(config, quiet_heartbeat_ms=heartbeat_ms).quiet_heartbeat_ticks == config.heartbeat_ticks


def test_cluster_strings() -> None:
    text = "1=127.0.0.1:7101,2=[::1]:7102,30=node.example.org:7103"
    cluster = parse_cluster(text)
    assert cluster == {1: "127.0.0.1:7101", 2: "[::1]:7102", 30: "node.example.org:7103"}
    assert format_cluster(cluster) == text
    assert parse_cluster(" 2=b:2 , 1=a:1 ") == {1: "a:1", 2: "b:2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"'' in the cluster '': expected ID=HOST:PORT"),
        ("1", r"'1' in the cluster '1': expected"),
        ("x=a:1", r"'x=a:1' in the cluster"),
        ("1=a:1,", r"'' in the cluster '1=a:1,'"),
        ("1=a:1,1=b:1", r"node 1 is in the cluster '1=a:1,1=b:1' twice"),
        ("1=a", r"address of node 1: address 'a' has no port"),
        ("0=a:1", r"a node id in the cluster is 0"),
    ],
)
def test_wrong_cluster_strings(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_cluster(text)
