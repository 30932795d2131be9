"""``raftpy store``: what is in the data directory of a node that is not running. Not a byte of it is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from raftpy.cli.errors import CommandFailed, Refused, help_without_command, reason
from raftpy.contracts.errors import SnapshotFailed, StorageFailed, StorageLocked

if TYPE_CHECKING:  # the help needs no store
    from raftpy.storage.offline.examining import Examined

LARGEST = 2**64 - 1

EPILOG = """\b
Examples:
  raftpy store inspect n1
  raftpy store verify n1 && echo whole
  raftpy store export n1 --state > keys.jsonl
  raftpy store export n1 --entries --from 1000 --to 1999 --output entries.jsonl

\b
Nothing is written to DIR, which may lie on a read-only file system. No node may be running on it: it is
locked meanwhile, so that a node started on it is refused until the command has ended.

\b
Exit status: 0 whole, 1 something is damaged, 2 wrong usage, or a directory that cannot be read: none of a
node's, one on which a node runs, or one of another format.
"""

INSPECT_EPILOG = """\b
Examples:
  raftpy store inspect n1
  raftpy store inspect n1 --json | jq '.groups[0].last'

\b
Columns of a group: its term, the vote in it (0: none), the commit index as it was written last, first and last
entry of the log, the term of the last one, records (runs of entries that were written together) and their bytes.
Of a segment: what was written to it, and how much of that is still needed.
"""

VERIFY_EPILOG = """\b
Examples:
  raftpy store verify n1
  raftpy store verify n1 --json | jq -r '.damage[].where'

\b
Read and compared are: the checksum of every record of LevelDB's in every segment that is needed, of every record of
ours in them, and of every block of every snapshot; the floor; the heads; the log's indexes, terms and times; what
snapshots and log say of one another. Each damaged thing has a line of its own, with the file and the byte, or the
entries that are missing. The beginning of a write at the end of the newest segment is what a crash leaves, and no
damage. That the last writes are missing as a whole, cut off since the last start, cannot be seen from one directory.
"""

EXPORT_EPILOG = """\b
Examples:
  raftpy store export n1 --state
  raftpy store export n1 --entries --from 1000 --to 1999
  raftpy store export n1 --output all.jsonl

\b
Each line is a JSON object, and "record" says of what: "snapshot" (index, term, applied, keys), "key" (key, version,
value), or "entry" (index, term, type, time_ms, committed, and of a command of the key-value store "command" with its
operation, key and value; of any other command "text"). Bytes that are no UTF-8 stand in base64, in "base64",
"key_base64" or "value_base64". "committed" is true for what this directory knows to be that; what follows may be,
too. Without --state and --entries both are written, the state first: with the entries behind it it is all that the
node holds.
"""

directory_argument = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog=EPILOG, invoke_without_command=True)
@click.pass_context
def store(ctx: click.Context) -> None:
    """Look into, check and export what a stopped node holds."""
    help_without_command(ctx)


@store.command(epilog=INSPECT_EPILOG)
@directory_argument
@json_option
@click.pass_context
def inspect(ctx: click.Context, directory: Path, as_json: bool) -> None:
    """Show what is in DIR: the node, and of each group its term, its log, its snapshots and its segments."""
    from raftpy.cli.store_view import as_dict, print_tables

    with _examined(directory) as found:
        said = as_dict(found)
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        print_tables(said)
    _end(ctx, found, directory)


@store.command(epilog=VERIFY_EPILOG)
@directory_argument
@json_option
@click.pass_context
def verify(ctx: click.Context, directory: Path, as_json: bool) -> None:
    """Read all of DIR and compare every checksum; name each thing that is damaged."""
    from raftpy.cli.store_view import as_dict

    with _examined(directory) as found:
        said = as_dict(found)
    if as_json:
        click.echo(json.dumps({name: said[name] for name in ("path", "damage", "notes")}, indent=2, ensure_ascii=False))
    else:
        for fault in found.faults.found:
            click.echo(f"damaged: {fault}")
        for note in found.faults.notes:
            click.echo(f"note: {note}")
        if not found.faults.found:
            click.echo(f"{directory} is whole: {_size(found)}")
    if found.faults.found:
        ctx.exit(1)


@store.command(epilog=EXPORT_EPILOG)
@directory_argument
@click.option("--entries", "with_entries", is_flag=True, help="The entries of the log.")
@click.option("--state", "with_state", is_flag=True, help="The key-value state of the newest snapshot.")
@click.option("--group", type=click.IntRange(0, LARGEST), default=0, show_default=True, help="Of which group.")
@click.option("--from", "first", type=click.IntRange(0, LARGEST), default=0, help="First entry; from the beginning.")
@click.option("--to", "last", type=click.IntRange(0, LARGEST), default=LARGEST, help="Last entry; up to the end.")
@click.option("--raw", is_flag=True, help="Commands in base64, whatever they are.")
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A new file; standard output.")
@click.pass_context
def export(
    ctx: click.Context,
    directory: Path,
    with_entries: bool,
    with_state: bool,
    group: int,
    first: int,
    last: int,
    raw: bool,
    output: Path | None,
) -> None:
    """Write the entries of the log, and the state of the newest snapshot, as JSON lines."""
    from raftpy.cli.store_export import write_entries, write_state

    if first > last:
        raise click.UsageError(f"--to is {last}: allowed is an entry from --from on, which is {first}")
    both = not with_entries and not with_state
    with _examined(directory) as found:
        if group not in found.groups:
            known = ", ".join(str(each) for each in sorted(found.groups))
            raise Refused(f"{directory} has no group {group}: it has {known or 'none'}")
        if with_state and found.newest(group) is None:
            raise CommandFailed(f"{directory} has no whole snapshot of group {group}: what is left of it is its log")
        with _output(output, directory) as out:
            if with_state or both:
                write_state(found, group, out.write)
            if with_entries or both:
                write_entries(found, group, first, last, raw, out.write)
    _end(ctx, found, directory)


@contextmanager
def _examined(directory: Path) -> Iterator[Examined]:
    """The directory, read; what keeps it from being read ends the command."""
    from raftpy.cli.store_view import progress_shown
    from raftpy.storage.offline.examining import examined
    from raftpy.system.files import SystemFiles

    with ExitStack() as stack:
        try:
            with progress_shown() as progress:
                found = stack.enter_context(examined(SystemFiles(), directory, progress))
        except StorageLocked as error:
            raise Refused(f"{directory} is in use {_holder(error)}: stop that node first") from None
        except (StorageFailed, SnapshotFailed) as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Refused(f"{directory} cannot be read: {reason(error)}") from None
        yield found


def _holder(error: StorageLocked) -> str:
    if error.pid is None:
        return "by a process that left no name"
    return f"by process {error.pid} on host {error.host} as node {error.node_id}"


@contextmanager
def _output(path: Path | None, directory: Path) -> Iterator[IO[str]]:
    """Where an export goes. A file is new, and not in the directory that is read."""
    if path is None:
        with click.open_file("-", "w", encoding="utf-8") as out:  # as JSON is, whatever the terminal's is
            yield out
        return
    if directory.resolve() in path.resolve().parents:
        raise Refused(f"--output {path} is in {directory}, in which nothing is written")
    try:
        with path.open("x", encoding="utf-8") as file:
            yield file
    except FileExistsError:
        raise Refused(f"--output {path} is there already: name a new file") from None
    except OSError as error:
        raise CommandFailed(f"writing {path} failed: {reason(error)}") from None


def _size(found: Examined) -> str:
    """What was read, in a few words."""
    groups = sorted(found.groups.values(), key=lambda report: report.group)
    snapshots = sum(len(each) for each in found.snapshots.values())
    entries = sum(report.last - report.first + 1 for report in groups)
    return (
        f"{_count(len(found.row.files), 'segment')}, {_count(len(groups), 'group')}, "
        f"{_count(sum(report.records for report in groups), 'record')} with {_count(entries, 'entry', 'entries')}, "
        f"{_count(snapshots, 'snapshot')}"
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _end(ctx: click.Context, found: Examined, directory: Path) -> None:
    """A line on stderr, and exit status 1, where something is damaged."""
    count = len(found.faults.found)
    if count:
        things = "1 thing is" if count == 1 else f"{count} things are"
        click.echo(f"{ctx.command_path}: {things} damaged: raftpy store verify {directory} names them", err=True)
        ctx.exit(1)
