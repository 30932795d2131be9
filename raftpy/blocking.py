"""BlockingNode: the same Node for programs without asyncio; it runs on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from raftpy.config import Config
from raftpy.errors import Stopped
from raftpy.interfaces import Clock, StateMachine, Storage, Transport
from raftpy.node import DEFAULT_TIMEOUT, Node
from raftpy.runtime.commits import Commit
from raftpy.runtime.proposal import Proposal
from raftpy.runtime.status import NodeStatus

_T = TypeVar("_T")


class BlockingNode:
    """A :class:`raftpy.node.Node` with plain calls, which may come from any thread but the node's own.

    ``apply`` is called in the node's thread. What ``Node``'s methods return, raise and mean, these do too.
    """

    def __init__(
        self,
        config: Config,
        state_machine: StateMachine,
        *,
        storage: Storage | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.config = config

        def make() -> Node:
            return Node(config, state_machine, storage=storage, transport=transport, clock=clock)

        self._make = make
        self._node: Node | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As ``Node.start``."""
        if self._thread is not None:
            raise RuntimeError("this node was started before: make a new one to start it again")
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name=f"raftpy-{self.config.id}", daemon=True)
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            raise

    def _run(self, started: concurrent.futures.Future[None]) -> None:
        asyncio.run(self._main(started))

    async def _main(self, started: concurrent.futures.Future[None]) -> None:
        self._finished = asyncio.Event()
        try:
            node = self._make()
            await node.start()
        except BaseException as error:
            started.set_exception(error)
            return
        self._node, self._loop = node, asyncio.get_running_loop()
        started.set_result(None)
        try:
            await self._finished.wait()
        finally:
            self._loop = None
            await node.stop()

    def stop(self) -> None:
        """As ``Node.stop``; returns when the node's thread has ended. May be called again."""
        loop, thread = self._loop, self._thread
        if thread is None:
            return
        if thread is threading.current_thread():
            raise RuntimeError("stop was called in the node's own thread, which it would wait for")
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self._finished.set)
            except RuntimeError:  # another thread was first
                pass
        thread.join()

    def __enter__(self) -> BlockingNode:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def failed(self) -> BaseException | None:
        """As ``Node.failed``."""
        return None if self._node is None else self._node.failed

    # --- Proposing ----------------------------------------------------------------------------------------------

    def propose(self, command: bytes, *, timeout: float | None = DEFAULT_TIMEOUT) -> Any:
        """Waits for what ``apply`` returned for the command; raises what ``Node.propose``'s awaitable does."""
        return self._wait(lambda node: node.propose(command, timeout=timeout))

    def propose_many(self, commands: Iterable[bytes], *, timeout: float | None = DEFAULT_TIMEOUT) -> list[Any]:
        """Waits for the results of all commands."""
        given = list(commands)
        result: list[Any] = self._wait(lambda node: node.propose_many(given, timeout=timeout))
        return result

    def _wait(self, submit: Callable[[Node], Proposal]) -> Any:
        waited: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def in_loop(node: Node) -> None:
            try:
                submit(node).add_done_callback(lambda proposal: _hand_over(proposal, waited))
            except BaseException as error:
                waited.set_exception(error)

        self._call(in_loop)
        return waited.result()

    def _call(self, function: Callable[[Node], None]) -> None:
        loop, node = self._loop, self._node
        if node is None:
            raise Stopped("the node has not been started")
        if loop is None:
            raise Stopped()
        if self._thread is threading.current_thread():
            raise RuntimeError("called in the node's own thread, which it would wait for")
        try:
            loop.call_soon_threadsafe(function, node)
        except RuntimeError:
            raise Stopped from None

    def _await(self, start: Callable[[Node], Coroutine[Any, Any, _T]]) -> _T:
        waited: concurrent.futures.Future[_T] = concurrent.futures.Future()

        async def run(node: Node) -> None:
            try:
                waited.set_result(await start(node))
            except asyncio.CancelledError:
                waited.set_exception(Stopped())
                raise
            except BaseException as error:
                waited.set_exception(error)

        tasks: list[asyncio.Task[None]] = []  # the loop itself keeps only a weak reference
        self._call(lambda node: tasks.append(asyncio.ensure_future(run(node))))
        return waited.result()

    # --- Looking on ---------------------------------------------------------------------------------------------

    @property
    def max_command(self) -> int:
        """As ``Node.max_command``."""
        if self._node is None:
            raise Stopped("the node has not been started")
        return self._node.max_command

    def status(self) -> NodeStatus:
        """As ``Node.status``."""

        async def status(node: Node) -> NodeStatus:
            return node.status()

        return self._await(status)

    def wait_for_leader(self, timeout: float | None = None) -> int:
        """As ``Node.wait_for_leader``."""
        return self._await(lambda node: node.wait_for_leader(timeout))

    def set_priority(self, member: int, priority: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """As ``Node.set_priority``."""
        self._await(lambda node: node.set_priority(member, priority, timeout=timeout))

    def commits(self, start_index: int | None = None) -> Iterator[Commit]:
        """As ``Node.commits``: subscribed at once, read by one thread."""

        async def subscribe(node: Node) -> Any:
            return node.commits(start_index)

        reader = self._await(subscribe)
        return self._read(reader)

    def _read(self, reader: Any) -> Iterator[Commit]:
        end = object()

        async def page(node: Node) -> Any:
            return await anext(reader, end)

        while True:
            try:
                commit = self._await(page)
            except Stopped:
                if self.failed is not None:
                    raise
                return
            if commit is end:
                return
            yield commit


def _hand_over(proposal: Proposal, waited: concurrent.futures.Future[Any]) -> None:
    if proposal.cancelled():
        waited.set_exception(Stopped())
    elif (error := proposal.exception()) is not None:
        waited.set_exception(error)
    else:
        waited.set_result(proposal.result())
