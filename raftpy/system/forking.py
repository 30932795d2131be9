"""Forks: what must not be touched in a child is told that it is in one.

A fork copies the memory of a node but not its threads, and shares its socket and its open files with it. What the copy
wrote would be in the parent's log, and what it sent would carry the parent's name. So each part that holds something of
the kind asks to be told, and lets go of it in the child without touching what it shares.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

process_id = os.getpid
"""() -> the number of this process; a child has another than its parent."""
thread_id = threading.get_ident
"""() -> the number of the thread that asks."""

_watching: list[weakref.WeakMethod[Callable[[], object]]] = []
_changing = threading.Lock()
"""Nodes may be started in several threads at once, and none of them must be missed in a child."""


def call_in_child(method: Callable[[], object]) -> None:
    """Calls ``method()``, of an object that it does not keep alive, in each child of ``os.fork``, before it goes on.

    It is called in the thread that forked, the only one there is in the child, perhaps in the middle of a pass of the
    node. Whoever was asked for first is called last: a node stands above its store and its socket.
    """
    with _changing:
        _watching[:] = [other for other in _watching if other() is not None]
        _watching.append(weakref.WeakMethod(method))


_undivided = threading.RLock()
"""Held while a fork is under way, and while something must be done wholly before a fork or after it."""


@contextmanager
def undivided() -> Iterator[None]:
    """Forks in other threads wait for the end of the block, which must be short.

    For what a child has to know of as soon as it has it: a descriptor is copied by a fork from the moment it is open,
    and whoever is to close the copy has it only a little later.
    """
    with _undivided:
        yield


def is_undivided() -> bool:
    """Whether this thread is in such a block: forks, and whoever else comes to one, wait for it."""
    return bool(_undivided._is_owned())  # type: ignore[attr-defined]


def _after_fork() -> None:
    _undivided.release()
    _in_child()


def _in_child() -> None:
    global _changing
    _changing = threading.Lock()  # another thread of the parent may have held it, and does not come to let go
    methods = [method for reference in reversed(_watching) if (method := reference()) is not None]
    _watching.clear()
    for method in methods:
        method()


os.register_at_fork(before=_undivided.acquire, after_in_parent=_undivided.release, after_in_child=_after_fork)
