"""Prints the shell command that the README shows under `<!-- command: NAME -->`, so that CI runs what readers run."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command(name: str) -> str:
    """The lines of the fenced block that follows the comment; SystemExit when the README has no such block."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    found = re.search(rf"<!-- command: {re.escape(name)} -->\n```sh\n(.*?)```", text, re.DOTALL)
    if found is None:
        known = ", ".join(re.findall(r"<!-- command: (\S+) -->", text))
        raise SystemExit(f"README.md shows no command {name!r}; it shows {known or 'none'}")
    return found.group(1).strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
