"""``raftpy snapshot``: has a node take one now."""

from __future__ import annotations

import click

from raftpy.cli.addresses import Address, chosen, http_option
from raftpy.cli.errors import CommandFailed
from raftpy.cli.http_client import Broken, NotSent, ask

EPILOG = """\b
Examples:
  raftpy snapshot
  raftpy snapshot --http 127.0.0.1:8102
"""


@click.command(epilog=EPILOG)
@http_option
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Seconds.")
def snapshot(http: tuple[Address, ...], timeout: float) -> None:
    """Have each of the nodes named take a snapshot, and cut its log as far as may be.

    The others take theirs. Prints the index that it is of, and where the log begins.
    """
    for address in chosen(http):
        try:
            answer = ask(address, "POST", "/v1/snapshot", timeout=timeout)
        except NotSent as error:
            raise CommandFailed(f"no snapshot was asked for: {error}") from None
        except Broken as error:
            raise CommandFailed(f"{error}: the snapshot may be under way") from None
        if answer.status != 200:
            raise CommandFailed(f"{address}: {answer.message()}")
        taken = answer.json()
        click.echo(f"{address}: snapshot at {taken['index']}, log from {taken['first_index']}")
