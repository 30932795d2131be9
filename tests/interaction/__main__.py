"""``python -m tests.interaction [--codec] FILE_OR_FOLDER...``: a line for each file; exit status 1 on a difference."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.interaction import default_folder
from tests.interaction.replay import replay


def files(given: Sequence[Path]) -> list[Path]:
    """The files named, and every .txt file below the folders named; FileNotFoundError for what is not there."""
    found: list[Path] = []
    for path in given:
        below = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
        if not below or not path.exists():
            raise FileNotFoundError(f"{path}: {'no .txt file in this folder' if path.exists() else 'no such file'}")
        found += below
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 all as expected, 1 a difference, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.interaction", description=__doc__)
    parser.add_argument("paths", metavar="FILE_OR_FOLDER", nargs="*", type=Path)
    parser.add_argument("--codec", action="store_true", help="pass every network message through encode and decode")
    options = parser.parse_args(arguments)
    try:
        paths = files(options.paths or [default_folder()])
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    failed = 0
    for path in paths:
        result = replay(path, through_codec=options.codec)
        failed += result.difference is not None
        print(result, flush=True)
    if failed:
        print(f"{failed} of {len(paths)} files differ", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
