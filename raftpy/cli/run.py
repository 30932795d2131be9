"""The command group, and the one gate from exceptions to a line on stderr and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from raftpy import __version__
from raftpy.cli.errors import help_without_command

COMMANDS = {
    "serve": "Run one node of a cluster and serve its key-value store over HTTP.",
    "kv": "Put, get, delete, compare-and-swap and list keys.",
    "status": "Show each member of the cluster and how far it is.",
    "limits": "Show or set the largest command that the cluster takes.",
    "snapshot": "Have a node take a snapshot now.",
    "store": "Look into, check and export what a stopped node holds.",
    "demo": "Watch three nodes survive kill -9 of their leader.",
    "sim": "Run clusters in a simulated world, and check what Raft promises.",
}
"""Name to summary; each lives in the module of its name, loaded when it is called."""

EPILOG = """\b
Examples:
  raftpy demo
  raftpy serve --id 1 --cluster 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103 \\
               --data n1 --http 127.0.0.1:8101
  raftpy kv put greeting hello
  raftpy kv get greeting
  raftpy status

\b
Exit status: 0 done, 1 failed, 2 wrong usage.
"""


class LazyGroup(click.Group):
    """Loads the module of a command when it runs, and none of them for the list of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"raftpy.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, message="raftpy %(version)s")
@click.pass_context
def raftpy(ctx: click.Context) -> None:
    """A replicated key-value store on Raft: run its nodes, and talk to them."""
    help_without_command(ctx)


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status. Every error is one line on stderr."""
    try:
        status = raftpy.main(list(arguments), prog_name="raftpy", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        return _fail(error.ctx, f"{error.format_message().rstrip('.')} (see {_path(error.ctx)} --help)", 2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None) or click.get_current_context(silent=True)
        return _fail(context, error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _fail(None, "interrupted", 1)
    except BrokenPipeError:
        # Whoever read our output has seen enough; keep the interpreter from flushing into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("RAFTPY_TRACEBACK") == "1":
            traceback.print_exc()
        kind = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(None, f"unexpected {kind} (a bug; RAFTPY_TRACEBACK=1 shows where)", 1)
    return status if isinstance(status, int) else 0


def _path(context: click.Context | None) -> str:
    return context.command_path if context is not None else "raftpy"


def _fail(context: click.Context | None, message: str, status: int) -> int:
    print(f"{_path(context)}: {' '.join(message.split())}", file=sys.stderr)
    return status
