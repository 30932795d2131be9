"""``raftpy store``: what is in a data directory, from a shell, and that it is all that a node has applied."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raftpy import Config, Node
from raftpy.contracts.clock import SystemClock
from raftpy.replicated import kv_commands
from raftpy.replicated.kv import KeyValueStore
from raftpy.storage import LevelDBStorage
from raftpy.transport.datagram.memory import MemoryNetwork, MemoryTransport
from tests.cli.support import RAFTPY, check_one_line, cluster_of, environment, in_process, raftpy
from tests.storage.damage import flip
from tests.storage.layout import file_of, in_use
from tests.storage.offline import fingerprint

LARGE = (bytes(range(256)) * (64 << 10))[: (16 << 20) - 100]


def lines(*arguments: str) -> list[dict[str, Any]]:
    ended = raftpy("store", "export", *arguments)
    assert (ended.status, ended.err) == (0, "")
    return [json.loads(line) for line in ended.out.splitlines()]


def data_of(line: dict[str, Any], name: str) -> bytes:
    """A key or value as it was put."""
    encoded = line.get(f"{name}_base64")
    return line[name].encode() if encoded is None else base64.b64decode(encoded)


def played(exported: list[dict[str, Any]]) -> dict[bytes, tuple[bytes, int]]:
    """The keys that come of what was exported: the state, and the commands behind it, carried out here once more."""
    keys: dict[bytes, tuple[bytes, int]] = {}
    applied = 0
    for line in exported:
        if line["record"] == "snapshot":
            applied = line["applied"]
        elif line["record"] == "key":
            keys[data_of(line, "key")] = data_of(line, "value"), line["version"]
        elif line["type"] == "command" and line["index"] > applied:
            carry_out(keys, line["command"], line["index"])
    return keys


def carry_out(keys: dict[bytes, tuple[bytes, int]], command: dict[str, Any], index: int) -> None:
    operation = command["operation"]
    if operation == "read":
        return
    key = data_of(command, "key")
    version = keys[key][1] if key in keys else 0
    if operation.endswith("-if-version") and version != command["version"]:
        return
    if operation == "put-if-absent" and version:
        return
    if operation.startswith("put"):
        keys[key] = data_of(command, "value"), index
    else:
        keys.pop(key, None)


async def filled(path: Path, snapshots: int = 1, large: bool = False) -> dict[bytes, tuple[bytes, int]]:
    """A node by itself has applied all kinds of commands, and has taken snapshots on the way, of which the second cuts
    the log; its keys at the end, with their versions."""
    store = KeyValueStore()
    clock = SystemClock()
    config = Config(id=1, cluster={1: "127.0.0.1:7101"})
    storage, transport = LevelDBStorage(path, segment_size=64 << 10), MemoryTransport(MemoryNetwork(clock, 1))
    node = Node(config, store, storage=storage, transport=transport, clock=clock)
    await node.start()
    try:
        await node.wait_for_leader()
        for number in range(50):
            await node.propose(kv_commands.put(b"key %d" % number, b"value %d" % number))
        await node.propose(kv_commands.put("schlüssel".encode(), b"\xff\x00\xfe"))
        await node.propose(kv_commands.delete(b"key 3"))
        for number in range(snapshots):
            await node.snapshot()
            await node.propose(kv_commands.put(b"key 4", b"%d" % number))
        for number in range(40, 60):
            await node.propose(kv_commands.put(b"key %d" % number, b"again %d" % number))
        await node.propose(kv_commands.put_if_absent(b"key 5", b"no"))
        written = await node.propose(kv_commands.put(b"key 6", b"six"))
        await node.propose(kv_commands.put_if_version(b"key 6", b"seven", written.version))
        await node.propose(kv_commands.delete_if_version(b"key 7", 1))
        if large:
            await node.propose(kv_commands.put(b"large", LARGE))
            await node.snapshot()
            await node.propose(kv_commands.put(b"large too", LARGE))
        keys = {}
        for item in store.scan()[0]:
            stored = store.get(item.key)
            assert stored is not None
            keys[item.key] = stored.value, stored.version
        return keys
    finally:
        await node.stop()


def test_what_is_exported_is_what_the_node_has_applied(tmp_path: Path) -> None:
    for snapshots in (1, 2):
        path = tmp_path / str(snapshots)
        keys = asyncio.run(filled(path, snapshots))
        before = fingerprint(path)
        both = lines(str(path))
        assert played(both) == keys
        state, log = lines(str(path), "--state"), lines(str(path), "--entries")
        assert state + log == both
        assert {line["record"] for line in state} == {"snapshot", "key"}
        if snapshots == 1:
            assert played(log) == keys, "the log is whole, and gives the same by itself"
        else:
            assert log[0]["index"] > 1
        indexes = [line["index"] for line in log]
        assert indexes == list(range(indexes[0], indexes[-1] + 1))
        assert {"command"} <= {line["type"] for line in log} <= {"command", "configuration", "noop"}
        assert all(line["time_ms"] > 0 for line in log if line["type"] == "command")
        assert fingerprint(path) == before


def test_a_part_of_the_log(tmp_path: Path) -> None:
    asyncio.run(filled(tmp_path / "n1"))
    some = lines(str(tmp_path / "n1"), "--entries", "--from", "5", "--to", "7")
    assert [line["index"] for line in some] == [5, 6, 7]
    assert some[0]["command"]["operation"] == "put"
    assert lines(str(tmp_path / "n1"), "--entries", "--from", "100000") == []
    (raw,) = lines(str(tmp_path / "n1"), "--entries", "--from", "5", "--to", "5", "--raw")
    command = kv_commands.decode(5, base64.b64decode(raw["base64"]))
    assert command[1].decode() == some[0]["command"]["key"]
    file = tmp_path / "out.jsonl"
    ended = raftpy("store", "export", str(tmp_path / "n1"), "--output", str(file))
    assert (ended.status, ended.out, ended.err) == (0, b"", "")
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines(str(tmp_path / "n1"))
    check_one_line(in_process("store", "export", str(tmp_path / "n1"), "-o", str(file)), 2, "is there already")
    inside = tmp_path / "n1" / "out"
    check_one_line(in_process("store", "export", str(tmp_path / "n1"), "-o", str(inside)), 2, "nothing is written")
    check_one_line(in_process("store", "export", str(tmp_path / "n1"), "--group", "7"), 2, "has no group 7: it has 0")
    check_one_line(in_process("store", "export", str(tmp_path / "n1"), "--from", "7", "--to", "5"), 2, "--to is 5")


def test_commands_of_16_mib(tmp_path: Path) -> None:
    keys = asyncio.run(filled(tmp_path / "n1", large=True))
    exported = lines(str(tmp_path / "n1"))
    assert [line["key"] for line in exported if line["record"] == "key" and len(str(line)) > len(LARGE)] == ["large"]
    assert played(exported) == keys


def test_a_store_that_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "n1"
    asyncio.run(filled(path, 2))
    before = fingerprint(path)
    ended = raftpy("store", "verify", str(path))
    assert (ended.status, ended.err) == (0, "")
    assert ended.text.startswith(f"{path} is whole: ")
    assert ended.text.endswith(", 2 snapshots\n")
    said = json.loads(raftpy("store", "inspect", str(path), "--json").out)
    (group,) = said["groups"]
    assert (said["node_id"], said["format"], said["starts"], said["closed"]) == (1, 3, 1, True)
    assert said["member_table"]["members"]["1"]["udp"] == "127.0.0.1:7101"
    assert [each["whole"] for each in group["snapshots"]] == [True, True]
    assert group["first"] == group["snapshots"][-1]["index"] + 1
    assert (said["damage"], said["notes"]) == ([], [])
    table = raftpy("store", "inspect", str(path))
    assert (table.status, table.err) == (0, "")
    for word in ("node 1, format 3, closed cleanly", f"{group['last']}", str(path / "snapshots"), "segment", "yes"):
        assert word in table.text
    assert fingerprint(path) == before


def test_damage(tmp_path: Path) -> None:
    path = tmp_path / "n1"
    asyncio.run(filled(path))
    file = file_of(path, in_use(path)[-1])
    snapshot = next((path / "snapshots").iterdir())
    flip(file, 1000, 3)
    flip(snapshot, 500, 3)
    ended = raftpy("store", "verify", str(path))
    assert ended.status == 1
    assert ended.err == ""
    damaged = [line for line in ended.text.splitlines() if line.startswith("damaged: ")]
    assert any(line.startswith(f"damaged: {file}: bytes ") for line in damaged)
    assert any(line.startswith(f"damaged: {snapshot}: it is damaged: block ") for line in damaged)
    assert len(json.loads(raftpy("store", "verify", str(path), "--json").out)["damage"]) == len(damaged)
    for command in (["inspect"], ["inspect", "--json"], ["export"]):
        ended = raftpy("store", *command, str(path))
        assert ended.status == 1
        assert ended.out
        check_one_line(ended, 1, f"{len(damaged)} things are damaged: raftpy store verify {path} names them")


def test_a_node_that_runs_is_left_alone(tmp_path: Path) -> None:
    with cluster_of(1, tmp_path) as cluster:
        path = tmp_path / "n1"
        pid = cluster.pid(1)
        for command in ("inspect", "verify", "export"):
            check_one_line(raftpy("store", command, str(path)), 2, f"in use by process {pid} on host", "as node 1")
        cluster.kill(1)
    assert raftpy("store", "verify", str(path)).status == 0, "and kill -9 is no damage"


def test_no_data_directory(tmp_path: Path) -> None:
    check_one_line(in_process("store", "verify", str(tmp_path / "none")), 2, "is not there")
    check_one_line(in_process("store", "inspect", str(tmp_path)), 2, "is empty")
    (tmp_path / "file").write_bytes(b"")
    check_one_line(in_process("store", "export", str(tmp_path)), 2, "is no node's data directory: it holds file")
    check_one_line(in_process("store", "verify"), 2, "Missing argument")
    assert in_process("store").status == 2


@pytest.mark.parametrize("command", ["inspect", "verify", "export"])
def test_the_help_has_examples_and_the_exit_status(command: str) -> None:
    said = in_process("store", command, "--help").text
    assert f"raftpy store {command} n1" in said
    assert "Exit status: 0 whole, 1" in in_process("store", "--help").text


def test_a_progress_bar_where_stderr_is_a_terminal(tmp_path: Path) -> None:
    asyncio.run(filled(tmp_path / "n1"))
    ours, theirs = pty.openpty()
    command = [*RAFTPY, "store", "verify", str(tmp_path / "n1")]
    environ = environment({"TERM": "xterm"})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environ) as process:
        os.close(theirs)
        assert process.stdout is not None
        assert b"is whole" in process.stdout.read()
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert b"reading" in shown
