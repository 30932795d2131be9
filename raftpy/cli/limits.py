"""``raftpy limits``: what a command may be in size, as the cluster has agreed on it."""

from __future__ import annotations

import json

import click

from raftpy.cli.addresses import Address, chosen, http_option
from raftpy.cli.errors import CommandFailed
from raftpy.cli.http_client import ClusterClient

EPILOG = """\b
Examples:
  raftpy limits
  raftpy limits --max-command 33554432
"""


@click.command(epilog=EPILOG)
@http_option
@click.option("--max-command", type=click.IntRange(1), metavar="BYTES", help="Take commands of up to so many bytes.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Seconds.")
def limits(http: tuple[Address, ...], max_command: int | None, timeout: float) -> None:
    """Show the largest command that the cluster takes, or set it for all members.

    Any node may be asked; it shows what it has applied. The limit is for new commands: what is in the log stays.
    """
    client = ClusterClient(chosen(http), timeout)
    if max_command is None:
        answer = client.request("GET", "/v1/limits")
    else:
        answer = client.request("PUT", "/v1/limits", json.dumps({"max_command": max_command}).encode())
    if answer.status != 200:
        raise CommandFailed(answer.message())
    click.echo(f"max_command {answer.json().get('max_command')}")
