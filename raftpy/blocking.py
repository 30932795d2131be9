"""BlockingNode: the same Node for programs without asyncio; it runs on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from raftcore.base.conflict import Conflict
from raftpy.blocking_members import BlockingMembers
from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import Stopped
from raftpy.contracts.executor import Executor, Thread
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.node import DEFAULT_TIMEOUT, Node
from raftpy.runtime.commits import Commit
from raftpy.runtime.owner import not_of_this_process
from raftpy.runtime.pending_proposals import Proposal
from raftpy.runtime.reads import Read
from raftpy.runtime.starting import StartProgress
from raftpy.runtime.status import NodeStatus
from raftpy.system.forking import process_id, thread_id
from raftpy.system.threads import Threads

_T = TypeVar("_T")


class BlockingNode:
    """A :class:`raftpy.node.Node` with plain calls, which may come from any thread but the node's own (RuntimeError
    there).

    ``apply`` is called in the node's thread. What ``Node``'s methods return, raise and mean, these do too (``timeout``
    in seconds, None for never); but after ``stop`` there is no thread left to ask, so all but ``failed``,
    ``quarantine``, ``max_command`` and ``stop`` raise ``Stopped`` then, ``status`` and ``term_at`` too.
    """

    def __init__(
        self,
        config: Config,
        state_machine: StateMachine,
        *,
        storage: Storage | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        executor: Executor | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.config = config
        self._executor: Executor = executor or Threads()

        def make() -> Node:
            return Node(
                config,
                state_machine,
                storage=storage,
                transport=transport,
                clock=clock,
                executor=self._executor,
                entropy=entropy,
            )

        self._make = make
        self._node: Node | None = None
        self._made: Node | None = None  # also before it has started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._thread_id = 0  # of that thread, known as soon as it runs
        self._waited: set[concurrent.futures.Future[Any]] = set()  # whose callers wait now
        self._pid = 0  # of the process that started it

    # --- Life cycle ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """As ``Node.start``, ``RuntimeError`` included; returns when the node runs, in a thread named ``raftpy-<id>``.
        Raises ``Stopped`` where the system has no room for a thread; it may be tried again.
        From here on the node is for this process: calls in a forked child raise ``NotOwner``."""
        self._check_process()
        if self._thread is not None:
            raise RuntimeError("this node was started before: make a new one to start it again")
        self._pid = process_id()
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        try:
            self._thread = self._executor.start(f"raftpy-{self.config.id}", lambda: self._run(started))
        except RuntimeError as error:
            raise Stopped(f"the node was not started, as the system has no room for a thread: {error}") from error
        try:
            started.result()
        except BaseException:
            self._thread.join()
            raise

    def _run(self, started: concurrent.futures.Future[None]) -> None:
        """In the node's thread. A call that was posted behind the loop's last turn is never made, and its caller hears.

        None is missed: who is not among those that wait yet finds no loop any more.
        """
        try:
            asyncio.run(self._main(started))
        finally:
            for waited in tuple(self._waited):
                if not waited.done():
                    waited.set_exception(Stopped())

    async def _main(self, started: concurrent.futures.Future[None]) -> None:
        self._thread_id = thread_id()
        self._finished = asyncio.Event()
        try:
            self._made = node = self._make()
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
        """As ``Node.stop``; returns when the node's thread has ended. May be called again, and before ``start``. Raises
        ``RuntimeError`` in the node's own thread, ``NotOwner`` in a forked child."""
        self._check_process()
        loop, thread = self._loop, self._thread
        if thread_id() == self._thread_id:
            raise RuntimeError("stop was called in the node's own thread, which it would wait for")
        if thread is None:
            return
        if loop is not None:
            self._executor.post(loop, self._finished.set)  # or another thread was first
        thread.join()

    def __enter__(self) -> BlockingNode:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is None or process_id() == self._pid:  # else it is not this process's to stop
            self.stop()

    def _check_process(self) -> None:
        if self._thread is not None and process_id() != self._pid:
            raise not_of_this_process(self.config.id, self._pid)

    @property
    def failed(self) -> BaseException | None:
        """As ``Node.failed``."""
        self._check_process()
        return None if self._node is None else self._node.failed

    @property
    def quarantine(self) -> Conflict | None:
        """As ``Node.quarantine``."""
        self._check_process()
        return None if self._node is None else self._node.quarantine

    @property
    def lacks_state(self) -> bool:
        """As ``Node.lacks_state``."""
        self._check_process()
        return False if self._node is None else self._node.lacks_state

    @property
    def starting(self) -> StartProgress | None:
        """As ``Node.starting``, for other threads than that which waits in ``start``."""
        self._check_process()
        return StartProgress() if self._made is None else self._made.starting

    # --- Proposing and reading ----------------------------------------------------------------------------------

    def propose(self, command: bytes, *, timeout: float | None = DEFAULT_TIMEOUT) -> Any:
        """Waits for what ``apply`` returned for the command; raises what ``Node.propose``'s awaitable does."""
        return self._wait(lambda node: node.propose(command, timeout=timeout))

    def propose_many(self, commands: Iterable[bytes], *, timeout: float | None = DEFAULT_TIMEOUT) -> list[Any]:
        """Waits for the results of all commands: a list, as ``Node.propose_many``'s awaitable gives it, and raises."""
        given = list(commands)
        result: list[Any] = self._wait(lambda node: node.propose_many(given, timeout=timeout))
        return result

    def read_index(self, *, timeout: float | None = DEFAULT_TIMEOUT) -> int:
        """Waits until the node has applied everything that was committed when this was called; the index of that.

        Raises what ``Node.read_index``'s awaitable does. What is read from the state machine afterwards is at least so
        new; the node's thread goes on applying meanwhile, so that the state machine has to bear being read beside it.
        """
        index: int = self._wait(lambda node: node.read_index(timeout=timeout))
        return index

    def _wait(self, submit: Callable[[Node], Proposal | Read]) -> Any:
        waited: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def in_loop(node: Node) -> None:
            try:
                submit(node).add_done_callback(lambda awaited: _hand_over(awaited, waited))
            except BaseException as error:
                waited.set_exception(error)

        return self._outcome(in_loop, waited)

    def _outcome(self, function: Callable[[Node], None], waited: concurrent.futures.Future[_T]) -> _T:
        """Has the node's thread call ``function``, which has to see to ``waited``; waits for what becomes of that."""
        self._waited.add(waited)  # before the look at whether there is a loop: see _run
        try:
            self._call(function)
            return waited.result()
        finally:
            self._waited.discard(waited)

    def _call(self, function: Callable[[Node], None]) -> None:
        self._check_process()
        loop, node = self._loop, self._node
        if node is None:
            raise Stopped("the node has not been started")
        if loop is None:
            raise Stopped()
        if thread_id() == self._thread_id:
            raise RuntimeError("called in the node's own thread, which it would wait for")
        if not self._executor.post(loop, function, node):
            raise Stopped

    def _await(self, start: Callable[[Node], Coroutine[Any, Any, _T]]) -> _T:
        waited: concurrent.futures.Future[_T] = concurrent.futures.Future()

        async def run(node: Node) -> _T:
            return await start(node)

        tasks: list[asyncio.Task[_T]] = []  # the loop itself keeps only a weak reference

        def in_loop(node: Node) -> None:
            task = asyncio.ensure_future(run(node))
            tasks.append(task)
            task.add_done_callback(lambda done: _hand_over(done, waited))  # also when it ends before it has begun

        return self._outcome(in_loop, waited)

    def _ask(self, question: Callable[[Node], _T]) -> _T:
        """Puts a question in the node's thread that it answers at once."""

        async def answer(node: Node) -> _T:
            return question(node)

        return self._await(answer)

    # --- Leading ------------------------------------------------------------------------------------------------

    def require_leader(self) -> None:
        """As ``Node.require_leader``."""
        self._ask(Node.require_leader)

    def transfer_leadership(self, to: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """As ``Node.transfer_leadership``."""
        self._await(lambda node: node.transfer_leadership(to, timeout=timeout))

    def hand_over(self) -> bool:
        """As ``Node.hand_over``."""
        return self._await(lambda node: node.hand_over())

    def set_priority(self, member: int, priority: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """As ``Node.set_priority``."""
        self._await(lambda node: node.set_priority(member, priority, timeout=timeout))

    def set_max_command(self, size: int, *, timeout: float | None = DEFAULT_TIMEOUT) -> None:
        """As ``Node.set_max_command``."""
        self._await(lambda node: node.set_max_command(size, timeout=timeout))

    @property
    def members(self) -> BlockingMembers:
        """As ``Node.members``, with calls that wait."""
        return BlockingMembers(self._await)

    # --- Snapshots ----------------------------------------------------------------------------------------------

    def snapshot(self) -> int:
        """As ``Node.snapshot``."""
        return self._await(lambda node: node.snapshot())

    # --- Looking on ---------------------------------------------------------------------------------------------

    @property
    def max_command(self) -> int:
        """As ``Node.max_command``."""
        self._check_process()
        if self._node is None:
            raise Stopped("the node has not been started")
        return self._node.max_command

    def status(self) -> NodeStatus:
        """As ``Node.status``; after ``stop`` it raises ``Stopped``."""
        return self._ask(Node.status)

    def term_at(self, index: int) -> int:
        """As ``Node.term_at``; after ``stop`` it raises ``Stopped``."""
        return self._ask(lambda node: node.term_at(index))

    def wait_for_leader(self, timeout: float | None = None) -> int:
        """As ``Node.wait_for_leader``."""
        return self._await(lambda node: node.wait_for_leader(timeout))

    def commits(self, start_index: int | None = None) -> Iterator[Commit]:
        """As ``Node.commits``: subscribed at once, read by one thread. Taking the next one waits for it."""
        return self._read(self._ask(lambda node: node.commits(start_index)))

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


def _hand_over(awaited: Proposal | Read | asyncio.Task[Any], waited: concurrent.futures.Future[Any]) -> None:
    if awaited.cancelled():
        waited.set_exception(Stopped())
    elif (error := awaited.exception()) is not None:
        waited.set_exception(error)
    else:
        waited.set_result(awaited.result())
