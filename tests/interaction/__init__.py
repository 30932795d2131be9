"""Replays transcripts of conversations between nodes, and tables of quorum and configuration cases.

``python -m tests.interaction FILE_OR_FOLDER...`` is the command; the pytest wrappers are beside it.

    parser        text -> commands with their expected output
    output        what a command prints, and what of it is compared
    describe      the printed forms of messages, entries and Readys
    nodes         one node: a RawNode, its storage, its state machine
    environment   all nodes and the messages in flight between them
    commands      the command language of transcripts, as a table
    tables        quorum and configuration-change tables
    replay        a file, from its first command to its last or to the first difference
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def default_folder() -> Path:
    """Where etcd/raft's own files are: RAFTPY_TRANSCRIPTS, or the shared folder beside the repository."""
    return Path(os.environ.get("RAFTPY_TRANSCRIPTS") or ROOT.parent / "shared" / "interaction")
