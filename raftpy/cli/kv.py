"""``raftpy kv``: the key-value store from a shell."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import click

from raftpy.cli.addresses import Address, chosen, http_option, some_addresses
from raftpy.cli.errors import CommandFailed, help_without_command
from raftpy.cli.http_client import PAGE, Answer, ClusterClient

EPILOG = """\b
Examples:
  raftpy kv put greeting hello
  raftpy kv put photo - < photo.jpg
  raftpy kv get greeting
  raftpy kv cas greeting 12 "hello again"
  raftpy kv list users/
  raftpy kv --http 127.0.0.1:8102,127.0.0.1:8103 delete greeting
"""


@dataclass
class Target:
    """Whom to ask (``http``), and for how long (``timeout``, in seconds); the context object of the group."""

    http: tuple[Address, ...]
    timeout: float

    def client(self) -> ClusterClient:
        """A client for these addresses; without any, for the environment's, else the default."""
        return ClusterClient(chosen(self.http), self.timeout)


@click.group(epilog=EPILOG, invoke_without_command=True)
@http_option
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Seconds.")
@click.pass_context
def kv(ctx: click.Context, http: tuple[Address, ...], timeout: float) -> None:
    """Put, get, delete, compare-and-swap and list keys; any node may be asked."""
    ctx.obj = Target(http, timeout)
    help_without_command(ctx)


def _http_behind(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> None:
    if values:
        ctx.obj.http = some_addresses(ctx, parameter, values)


def _version(_: click.Context, __: click.Parameter, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise click.UsageError(f"VERSION is {text!r}: allowed is a version as put, cas and list print it, or 0")
    return int(text)


# The same option behind the subcommand, where many look for it.
http_behind = click.option("--http", multiple=True, expose_value=False, callback=_http_behind, hidden=True)


@kv.command
@http_behind
@click.argument("key")
@click.argument("value")
@click.pass_obj
def put(target: Target, key: str, value: str) -> None:
    """Set KEY to VALUE, or to standard input when VALUE is "-". Prints the new version."""
    _print_version(_expect(target.client().request("PUT", _path(key), _value(value))))


@kv.command
@http_behind
@click.argument("key")
@click.option("--stale", is_flag=True, help="Answer from the asked node as it is, without asking the leader.")
@click.pass_obj
def get(target: Target, key: str, stale: bool) -> None:
    """Print the value of KEY, byte for byte."""
    query = "?consistency=stale" if stale else ""
    answer = _expect(target.client().request("GET", _path(key) + query))
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()


@kv.command
@http_behind
@click.argument("key")
@click.pass_obj
def delete(target: Target, key: str) -> None:
    """Remove KEY."""
    _expect(target.client().request("DELETE", _path(key)))
    click.echo("deleted")


@kv.command(short_help="Set KEY to VALUE if it still has VERSION.")
@http_behind
@click.argument("key")
@click.argument("version", callback=_version)
@click.argument("value")
@click.pass_obj
def cas(target: Target, key: str, version: int, value: str) -> None:
    """Set KEY to VALUE only if it has VERSION; version 0: only if it is not there. Prints the new version."""
    headers = {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}
    answer = target.client().request("PUT", _path(key), _value(value), headers)
    if answer.status == 412:
        current = answer.json().get("version")
        found = f"has version {current}" if current else "is not there"
        wanted = f"version {version}" if version else "no such key"
        raise CommandFailed(f"version mismatch: {key!r} {found}, expected {wanted}")
    _print_version(_expect(answer))


@kv.command("list", short_help="List the keys that begin with PREFIX.")
@http_behind
@click.argument("prefix", default="")
@click.option("--limit", type=click.IntRange(1), help="At most so many keys; without it, all.")
@click.option("--stale", is_flag=True, help="Answer from the asked node as it is, without asking the leader.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document for each key.")
@click.pass_obj
def list_(target: Target, prefix: str, limit: int | None, stale: bool, as_json: bool) -> None:
    """List the keys that begin with PREFIX, in order: key, version, size of the value, with tabs between."""
    client = target.client()
    left = limit
    after = ""
    more = True
    while more and left != 0:
        query = {"prefix": prefix, "limit": str(PAGE if left is None else min(PAGE, left))}
        query |= {"after": after} if after else {}
        query |= {"consistency": "stale"} if stale else {}
        page = _expect(client.request("GET", f"/v1/kv?{_encode(query)}")).json()
        items, more = page.get("items"), page.get("more") is True
        if not isinstance(items, list):
            raise CommandFailed("the server's answer is no listing")
        _print_items(items, as_json)
        more = more and bool(items)
        after = items[-1]["key"] if items else ""
        left = None if left is None else left - len(items)


def _print_items(items: Sequence[dict[str, Any]], as_json: bool) -> None:
    for item in items:
        if as_json:
            click.echo(json.dumps(item, ensure_ascii=False))
        else:
            key = item["key"]
            # A key that would break the line or the columns is shown as JSON writes it.
            shown = key if key.isprintable() else json.dumps(key)
            click.echo(f"{shown}\t{item['version']}\t{item['size']}")


def _path(key: str) -> str:
    """The path of a key; every byte that is not plain is escaped."""
    raw = _utf8(key)
    if not raw:
        raise click.UsageError("the key is empty")
    return "/v1/kv/" + quote(raw, safe="")


def _encode(query: dict[str, str]) -> str:
    return urlencode({name: _utf8(value) for name, value in query.items()})


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{text!r} is not UTF-8, as keys are") from None


def _value(argument: str) -> bytes:
    """The bytes of a VALUE argument, exactly as the shell gave them, or all of standard input."""
    return sys.stdin.buffer.read() if argument == "-" else os.fsencode(argument)


def _expect(answer: Answer) -> Answer:
    return answer if answer.status == 200 else _failed(answer)


def _failed(answer: Answer) -> NoReturn:
    raise CommandFailed(answer.message())


def _print_version(answer: Answer) -> None:
    click.echo(f"version {answer.json().get('index')}")
