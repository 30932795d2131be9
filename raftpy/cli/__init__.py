"""The command line, ``raftpy``: serve, kv, status, limits, snapshot, store, demo, sim.

Only what a command needs is imported when it runs: ``raftpy kv get`` loads no event loop and no HTTP server.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The console script. Exit status 0: done; 1: it failed; 2: wrong usage."""
    from raftpy.cli.run import run

    sys.exit(run(sys.argv[1:]))
