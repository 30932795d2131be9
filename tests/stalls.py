"""What a busy machine makes a node say: its loop was blocked, truly, but not by what a test is about."""

from __future__ import annotations


def without_stalls(text: str) -> str:
    """The lines of ``text`` but for the warnings of a blocked event loop (raftpy/runtime/stalls.py)."""
    return "".join(line for line in text.splitlines(keepends=True) if "the loop was blocked for" not in line)
