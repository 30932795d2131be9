"""The lines of ``raftpy store export``: entries of the log, and the key-value state of a snapshot, as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from raftpy.cli.errors import CommandFailed
from raftpy.replicated import kv_commands
from raftpy.replicated.kv_state import VERSION, read_keys
from raftpy.runtime.sections import STATE
from raftpy.storage.offline.examining import Examined
from raftpy.storage.offline.exporting import StoredEntry, entries, section

OPERATIONS = {
    kv_commands.READ: "read",
    kv_commands.PUT: "put",
    kv_commands.DELETE: "delete",
    kv_commands.PUT_IF_VERSION: "put-if-version",
    kv_commands.PUT_IF_ABSENT: "put-if-absent",
    kv_commands.DELETE_IF_VERSION: "delete-if-version",
}
"""Of a command of the key-value store, by its form."""

Write = Callable[[str], object]


def write_entries(found: Examined, group: int, first: int, last: int, raw: bool, write: Write) -> None:
    """A line for each entry from ``first`` to ``last``. ``raw``: commands as bytes, whatever they are."""
    head = found.groups[group].head
    commit = 0 if head is None else head.commit
    for stored in entries(found, group, first, last):
        write(_line(_entry(stored, commit, raw)))


def _entry(stored: StoredEntry, commit: int, raw: bool) -> dict[str, Any]:
    entry = stored.entry
    said: dict[str, Any] = {
        "record": "entry",
        "index": entry.index,
        "term": entry.term,
        "type": stored.type,
        "time_ms": stored.time_ms,
        "committed": entry.index <= commit,
    }
    if stored.type == "noop":
        return said
    return said | ({"base64": _base64(entry.data)} if raw or stored.type != "command" else _command(stored))


def _command(stored: StoredEntry) -> dict[str, Any]:
    """A command of the key-value store by its parts, any other as text where it is that, else as base64."""
    command = stored.entry.data
    try:
        form, key, value, version = kv_commands.decode(stored.entry.index, command)
    except kv_commands.UnknownCommand:
        return _bytes("text", command)
    said: dict[str, Any] = {"operation": OPERATIONS[form]}
    if form != kv_commands.READ:
        said |= _bytes("key", key)
    if form in (kv_commands.PUT, kv_commands.PUT_IF_VERSION, kv_commands.PUT_IF_ABSENT):
        said |= _bytes("value", value)
    if form in (kv_commands.PUT_IF_VERSION, kv_commands.DELETE_IF_VERSION):
        said["version"] = version
    return {"command": said}


def write_state(found: Examined, group: int, write: Write) -> None:
    """A line about the newest whole snapshot, and one for each key in it; none where there is no such snapshot.

    Raises ``CommandFailed`` where its state is none of the key-value store's, ``SnapshotFailed``.
    """
    newest = found.newest(group)
    if newest is None:
        return
    about = {"record": "snapshot", "index": newest.ref.index, "term": newest.ref.term}
    for header, chunks in section(found, newest, STATE):
        if header.version != VERSION:
            raise CommandFailed(
                f"{newest.path} has a state of version {header.version}, and the key-value store's of version "
                f"{VERSION} is read here"
            )
        try:
            applied, count, keys = read_keys(chunks)
            write(_line(about | {"applied": applied, "keys": count}))
            for key, version, value in keys:
                write(_line({"record": "key", **_bytes("key", key), "version": version, **_bytes("value", value)}))
        except ValueError as error:
            raise CommandFailed(f"{newest.path} has a state that is none of the key-value store's: {error}") from None


def _bytes(name: str, data: bytes) -> dict[str, str]:
    """Under ``name`` the text that these bytes are; where they are none, under another name, base64."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {"base64" if name == "text" else f"{name}_base64": _base64(data)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False) + "\n"
