"""What a busy machine makes a node say: its loop or its disk was slow, truly, but not by what a test is about."""

from __future__ import annotations

SLOW = ("the loop was blocked for", "a write to the store")


def without_stalls(text: str) -> str:
    """The lines of ``text`` but for warnings of a blocked event loop and of slow writes (raftpy/runtime/stalls.py and
    slow_writes.py)."""
    return "".join(line for line in text.splitlines(keepends=True) if not any(words in line for words in SLOW))
