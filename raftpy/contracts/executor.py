"""What runs beside the event loop: threads, and in a simulator what stands for them.

Everything is handed over in one of three ways, none of which lets what runs beside the loop wait for the loop: a call
that runs once (``Executor.start``), items that are worked off in order (``Executor.worker``), and a call that goes back
into the loop (``Executor.post``). So a simulator may run each call, and each round of a worker, in one step or in
pieces, whenever its seed says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

_Item = TypeVar("_Item")
_Item_contra = TypeVar("_Item_contra", contravariant=True)


class Thread(Protocol):
    """A call that runs beside its caller."""

    def join(self) -> None:
        """Returns when the call has ended; never called by the call itself."""
        ...


class Worker(Protocol[_Item_contra]):
    """Works off what it is given, in order, beside its callers. To be closed."""

    def put(self, item: _Item_contra) -> None:
        """Hands an item over and returns at once.

        Raises ``RuntimeError`` where the system has no room for another thread. Then nothing is under way: the item was
        not taken, and whatever was put before has been worked off.
        """
        ...

    def close(self) -> None:
        """Returns when everything that was put has been worked off, or the work was given up. Nothing is put after."""
        ...


class Executor(Protocol):
    """Runs calls beside the event loop. The interpreter does not wait at its end for those that still run."""

    def start(self, name: str, run: Callable[[], object]) -> Thread:
        """Calls ``run()`` once. Raises ``RuntimeError`` where the system has no room for another thread."""
        ...

    def worker(self, name: str, work: Callable[[list[_Item]], bool]) -> Worker[_Item]:
        """Calls ``work(items)``, one call at a time, with all that was put since the last one; there is always some.

        When it returns False, or raises, the work is given up: there is no further call.
        """
        ...

    def background(self) -> Executor:
        """The same for work that nobody waits for: what is started through it gives way to everything else where both
        want a processor, but has a share of it always, so that it ends."""
        ...

    def post(self, loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> bool:
        """From anywhere: has the loop call ``call(*arguments)`` soon, in the order of posting.

        False where the loop is closed and nothing will be called.
        """
        ...

    def lock(self) -> AbstractContextManager[object]:
        """A lock that is free, for ``with``: between what is started here and its callers, and never held for long."""
        ...


class AheadExecutor(Executor, Protocol):
    """What an ``Executor`` may offer beside everything else."""

    def ahead(self, name: str, calls: Iterable[Callable[[], _Item]], count: int) -> Generator[_Item, None, None]:
        """What the calls give, in their order, and up to ``count`` of them are under way beside the caller ahead of
        their turn. What one raises comes when it is its turn, and is the end; none is under way any more then, nor when
        the iterator is closed. Where the system has no room for a thread, a call is made in its turn."""
        ...


class RestingExecutor(Executor, Protocol):
    """What another ``Executor`` may offer beside everything else, where threads share a processor and a disk."""

    def rest(self, seconds: float) -> None:
        """In what was started here: waits so long, and leaves both to others meanwhile."""
        ...


def rest(executor: Executor, seconds: float) -> None:
    """See ``RestingExecutor``; with one that does not offer it there is nobody to leave anything to."""
    offered: RestingExecutor | None = executor if hasattr(executor, "rest") else None  # type: ignore[assignment]
    if offered is not None:
        offered.rest(seconds)


def ahead(
    executor: Executor, name: str, calls: Iterable[Callable[[], _Item]], count: int
) -> Generator[_Item, None, None]:
    """See ``AheadExecutor``; with one that does not offer it each call is made in its turn."""
    offered: AheadExecutor | None = executor if hasattr(executor, "ahead") else None  # type: ignore[assignment]
    return (call() for call in calls) if offered is None else offered.ahead(name, calls, count)
