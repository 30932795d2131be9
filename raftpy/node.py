"""Node: one member of a cluster, for asyncio programs."""

from __future__ import annotations

from types import TracebackType

from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.executor import Executor
from raftpy.contracts.state_machine import StateMachine
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.runtime.awaited import DEFAULT_TIMEOUT as DEFAULT_TIMEOUT  # noqa: PLC0414 (for what builds on it, too)
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.host import Host
from raftpy.runtime.starting import StartProgress


class Node(GroupCalls):
    """A replica of ``state_machine``, kept equal to the others of the cluster by Raft.

    ``async with Node(config, state_machine) as node:`` starts it in the running event loop and stops it at the end.
    ``storage``, ``transport`` and ``clock`` default to LevelDB under ``config.data_dir`` (memory without one), UDP at
    the node's own address, and the system's clock; ``executor``, what runs beside the event loop, and ``entropy``, what
    is drawn at random, to the process's threads and the system's random source, also for the default of the store and
    the transport. A node is started once; a new one is made for the next time.

    Calls before ``start`` raise ``Stopped``, those in a forked child, another thread or on another event loop
    ``NotOwner``. Those that propose, read or wait raise ``Stopped`` after ``stop``, why the node has stopped where it
    did so by itself (``StorageFailed``, ``ApplyFailed``, ``Stopped``), and ``Quarantined`` in quarantine. What else
    they raise stands at each of them.

    Inside, it is a :class:`raftpy.runtime.host.Host` with one group; the calls are those of ``GroupCalls``.
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
        self._host = Host(
            config,
            {0: state_machine},
            storage=storage,
            transport=transport,
            clock=clock,
            executor=executor,
            entropy=entropy,
        )
        self._host.serve_by(self)

    # --- Life cycle (all else is in GroupCalls) ------------------------------------------------------------------

    async def start(self) -> None:
        """Opens store and transport and begins to take part; returns then, before there is a leader
        (``wait_for_leader``).

        LevelDB is opened in a thread, since reading a long log takes seconds: the event loop goes on meanwhile. Where
        the call is cancelled then, or ``stop`` is called (it raises ``Stopped``), the opening is given up first.

        From here on the node is for this process and the running event loop: calls in a forked child, in another thread
        or on another loop raise ``NotOwner``.

        Raises ``StorageLocked``, ``StorageDamaged``, ``WrongIdentity``, ``ForeignDirectory``, ``StorageFailed``,
        ``TransportFailed``, ``ConfigError``; nothing is left open then. ``RuntimeError`` when it was started before.
        """
        await self._host.start()

    @property
    def starting(self) -> StartProgress | None:
        """How far the start has come, also where it has not begun or has failed; None once the node has started."""
        return self._host.starting

    async def stop(self) -> None:
        """Leaves: whoever waits gets ``Stopped``, store and socket are closed on return. May be called again.

        A leader hands over first, as ``hand_over`` does, for as long as the shortest election timeout at most
        (``Config.election_ms``). Where the call is cancelled, the node stops all the same, a little later. A node that
        has failed has stopped already, and hands nothing over.
        """
        await self._host.stop()

    async def __aenter__(self) -> Node:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._host.__aexit__(kind, error, traceback)
