"""The parts a node runs on when it is given none."""

from __future__ import annotations

from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.executor import Executor
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.transport.datagram.udp import UdpTransport
from raftpy.transport.exchange.unreliable import Unreliable


def default_storage(config: Config, executor: Executor, entropy: Entropy) -> Storage:
    """LevelDB under ``config.data_dir``; without one, memory, which is gone with the node."""
    if config.data_dir is None:
        return MemoryStore(MemoryDisk(entropy=entropy))
    from raftpy.storage.leveldb.store import LevelDBStorage  # only here: it loads the LevelDB library

    return LevelDBStorage(config.data_dir, executor=executor, entropy=entropy)


def default_transport(config: Config, clock: Clock, executor: Executor, entropy: Entropy) -> Transport:
    """UDP at ``config.listen``, else at the node's own address.

    As bad as ``config.unreliable`` says, or else RAFTPY_UNRELIABLE.
    """
    unreliable = config.unreliable or Unreliable.from_environment()
    return UdpTransport(
        clock=clock,
        max_datagram=config.max_datagram,
        unreliable=unreliable,
        listen=config.listen,
        executor=executor,
        entropy=entropy,
    )
