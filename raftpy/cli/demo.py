"""``raftpy demo``: a cluster that loses its leader under load and keeps what it acknowledged, in one command."""

from __future__ import annotations

import click

SHORTEST = 4

EPILOG = """\b
Examples:
  raftpy demo
  raftpy demo --seconds 60
  raftpy demo --seconds 5 --keep
"""


@click.command(epilog=EPILOG)
@click.option(
    "--seconds",
    type=click.IntRange(SHORTEST, 3600),
    default=20,
    show_default=True,
    help="How long to write. The leader is killed halfway.",
)
@click.option("--keep", is_flag=True, help="Leave the cluster running at the end, and say how to use and stop it.")
def demo(seconds: int, keep: bool) -> int:
    """Watch three nodes survive kill -9 of their leader.

    Starts a cluster of three processes on loopback, each with its own LevelDB in a temporary directory, and writes to
    it all the time. The nodes take snapshots, and cut their logs behind them, every few hundred writes. Halfway the
    leader is killed; the others elect a new one; the old one comes back when their logs begin behind the end of its
    own, so that only a snapshot can bring it up to date. At the end every acknowledged write is looked up on each of
    the three replicas. Exit status 1 if any is missing.
    SIGTERM, SIGINT (Ctrl-C) and SIGHUP end it early and leave nothing behind; under nohup it ignores SIGHUP.
    """
    # Only now: the event loop is not needed to print the help.
    from raftpy.cli.demo_run import run_demo

    return run_demo(seconds, keep)
