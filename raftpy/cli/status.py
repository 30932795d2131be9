"""``raftpy status``: every member of the cluster, asked one by one, as a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from raftpy.cli.addresses import Address, chosen, http_option, parse_http
from raftpy.cli.errors import CommandFailed
from raftpy.cli.http_client import Broken, NotSent, ask

TIMEOUT = 2.0
"""Seconds a member gets to answer."""

EPILOG = """\b
Examples:
  raftpy status
  raftpy status --http 127.0.0.1:8102 --json
"""

COLUMNS = {
    "id": "id",
    "role": "role",
    "term": "term",
    "first": "first_index",
    "last": "last_index",
    "commit": "commit_index",
    "applied": "applied_index",
    "snapshot": "snapshot_index",
    "leader": "leader",
    "http": "http",
}


IN_TROUBLE = ("unreachable", "unknown", "quarantined")


class BeingStarted(Broken):
    """The node answers, and serves nothing yet. ``progress`` has the fields of ``raftpy.StartProgress``."""

    def __init__(self, address: Address, message: str, progress: object) -> None:
        super().__init__(f"{address} says: {message}")
        self.message = message
        self.progress = progress


class NobodyServes(CommandFailed):
    """No node that was asked serves yet, and at least one is being started. ``rows``: what is known of each."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        told = (f"{row['http']} is being started" if row["role"] == "starting" else row["error"] for row in rows)
        super().__init__(f"no node serves yet: {', '.join(told)}")
        self.rows = rows


@click.command(epilog=EPILOG)
@http_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def status(http: tuple[Address, ...], as_json: bool) -> None:
    """Show each member of the cluster: role, term, where its log begins and ends, its commit and applied index, its
    newest snapshot, and whom it follows.

    Any node can be asked; it names the others. A member that does not answer is shown as unreachable, one that is being
    started as starting, and for one that its leader cannot bring up to date, or that its peers refuse, a line below the
    table says why.

    Exit status 1 where none of the nodes that were asked serves; those that are being started are shown all the same.
    """
    from concurrent.futures import ThreadPoolExecutor

    try:
        members = members_of(_first_answer(chosen(http)))
    except NobodyServes as error:
        show(error.rows, as_json)
        raise
    with ThreadPoolExecutor(max_workers=min(32, len(members) or 1)) as pool:
        asked = list(pool.map(_ask_member, members))
    rows = [row for row, _ in asked]
    add_unserved(rows, [status for _, status in asked])
    add_quarantined(rows, [status for _, status in asked])
    show(rows, as_json)


def show(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Prints them, as JSON or as a table."""
    if as_json:
        click.echo(json.dumps({"members": rows}, indent=2, ensure_ascii=False))
    else:
        print_table(rows)


def read_status(address: Address, timeout: float = TIMEOUT) -> dict[str, Any]:
    """What one node says about itself, in ``timeout`` seconds. Raises ``NotSent``, or ``Broken``, which may be
    ``BeingStarted``."""
    answer = ask(address, "GET", "/v1/status", timeout=timeout)
    status = answer.json()
    if answer.status == 503 and status.get("error") == "starting":
        raise BeingStarted(address, answer.message(), status.get("starting"))
    if answer.status != 200 or not isinstance(status.get("members"), list):
        raise Broken(f"{address} is no raftpy node: {answer.message()}")
    return status


def members_of(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The members that a status names; the node that said it is among them, with its own words under ``status``."""
    members = [dict(member) for member in status["members"]]
    for member in members:
        if member.get("id") == status.get("id"):
            member["status"] = status
    return members


def _first_answer(addresses: Sequence[Address]) -> dict[str, Any]:
    """Of the first that serves. Raises ``CommandFailed``, which may be ``NobodyServes``."""
    rows: list[dict[str, Any]] = []
    for address in addresses:
        asked = {"id": None, "udp": None, "http": str(address)}  # who it is only its status says
        try:
            return read_status(address)
        except BeingStarted as error:
            rows.append(asked | _starting(error))
        except (NotSent, Broken) as error:
            rows.append(asked | {"role": "unreachable", "error": str(error)})
    if any(row["role"] == "starting" for row in rows):
        raise NobodyServes(rows)
    raise CommandFailed(f"no node answers: {', '.join(row['error'] for row in rows)}")


def _starting(error: BeingStarted) -> dict[str, Any]:
    return {"role": "starting", "starting": error.progress, "error": error.message}


def _ask_member(member: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One row: what the member says, or why it says nothing; and all that it says."""
    known = {"id": member["id"], "udp": member.get("udp"), "http": member.get("http")}
    if known["http"] is None:
        return known | {"role": "unknown", "error": "its HTTP address is not known yet"}, {}
    try:
        status = member.get("status") or read_status(parse_http(known["http"]))
    except BeingStarted as error:
        return known | _starting(error), {}
    except (NotSent, Broken, ValueError) as error:
        return known | {"role": "unreachable", "error": str(error)}, {}
    row = known | {name: status.get(name) for name in COLUMNS.values() if name not in known}
    if member.get("voter") is False and row["role"] == "follower":
        row["role"] = "learner"
    said = {
        name: status[name]
        for name in ("refused", "waits_for", "without_state", "incoming_snapshot", "snapshot_failure")
        if status.get(name)
    }
    return row | said, status


def add_unserved(rows: Sequence[dict[str, Any]], statuses: Sequence[dict[str, Any]]) -> None:
    """Into the rows of the members that a leader cannot bring up to date goes the reason, as it says."""
    for status in statuses:
        for member in status.get("members", ()):
            if member.get("unserved"):
                for row in rows:
                    if row["id"] == member["id"]:
                        row["unserved"] = member["unserved"]


def add_quarantined(rows: Sequence[dict[str, Any]], statuses: Sequence[dict[str, Any]]) -> None:
    """Into the rows of quarantined members goes the reason, in their own words or as a peer has heard them."""
    found: dict[int, str] = {}
    for status in statuses:
        for said in (*status.get("members", ()), status):
            if said.get("quarantine"):
                found[said["id"]] = said["quarantine"]["message"]
    for row in rows:
        if row["id"] in found:
            row["quarantine"] = found[row["id"]]


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """One line a member; a column that a member does not tell holds a dash. Below, what keeps a member back."""
    from rich.console import Console

    # Piped into a file there is no width to keep to.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table_of(rows))
    for row in rows:
        if row.get("role") == "starting":
            who = row["http"] if row["id"] is None else f"node {row['id']}"
            console.print(f"{who} says: {row['error']}", markup=False, highlight=False)
        if row.get("refused"):
            console.print(f"node {row['id']} has no part: {row['refused']}", markup=False, highlight=False)
        if row.get("waits_for"):
            console.print(waiting(row["id"], row["waits_for"]), markup=False, highlight=False)
        if row.get("without_state"):
            text = f"node {row['id']} has no whole snapshot, and gets one: {row['without_state']}"
            console.print(text, markup=False, highlight=False)
        if row.get("incoming_snapshot"):
            console.print(incoming(row["id"], row["incoming_snapshot"]), markup=False, highlight=False)
        if row.get("snapshot_failure"):
            text = f"node {row['id']} has no newer snapshot: {row['snapshot_failure']}"
            console.print(text, markup=False, highlight=False)
        if row.get("unserved"):
            console.print(f"node {row['id']} cannot be served: {row['unserved']}", markup=False, highlight=False)
        if row.get("quarantine"):
            console.print(f"node {row['id']} is quarantined: {row['quarantine']}", markup=False, highlight=False)


def waiting(node_id: int, others: Sequence[int]) -> str:
    """A line about the members whose word a new node waits for."""
    named = f"node {others[0]}" if len(others) == 1 else f"nodes {', '.join(map(str, others))}"
    return f"node {node_id} is new and takes no part before it has heard from {named}: its log says more"


def incoming(node_id: int, snapshot: Mapping[str, Any]) -> str:
    """A line about the snapshot by which a node is being brought up."""
    index, size = snapshot["index"], snapshot["size"]
    if snapshot["restoring"]:
        return f"node {node_id} restores its state from the snapshot at entry {index}, {size:,} bytes"
    of = "" if size is None else f" of {size:,}"
    what = f"the snapshot at entry {index} from node {snapshot['source']}"
    return f"node {node_id} gets {what}: {snapshot['position']:,}{of} bytes are here"


def table_of(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as a rich table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in COLUMNS:
        table.add_column(title, justify="left" if title in ("role", "http") else "right", no_wrap=True)
    styles = {"leader": "bold green", "candidate": "yellow", **dict.fromkeys(IN_TROUBLE, "red")}
    for row in rows:
        cells = ["-" if row.get(name) is None else str(row[name]) for name in COLUMNS.values()]
        table.add_row(*cells, style=styles.get(str(row.get("role"))))
    return table
