"""The parts a node runs on when it is given none."""

from __future__ import annotations

from pathlib import PurePath

from raftpy.config import Config
from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.executor import Executor
from raftpy.contracts.storage import Storage
from raftpy.contracts.transport import Transport
from raftpy.storage import MemoryDisk, MemoryStore
from raftpy.system.files import SystemFiles
from raftpy.transport.datagram.udp import UdpTransport, check_listening
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


def check_first_start(config: Config, transport: Transport) -> None:
    """Before a first start leaves its mark in ``config.data_dir``: a directory remembers for ever the cluster that it
    was first started with, and a wrong address of this node must not get there.

    Raises ``TransportFailed`` where the node cannot listen, as ``Transport.start`` would.
    """
    if config.data_dir is None or not isinstance(transport, UdpTransport):
        return
    files, path = SystemFiles(), PurePath(config.data_dir)
    try:
        begun = files.exists(path) and bool(files.names(path))
    except OSError:
        return  # the store says what is wrong with it
    if not begun:
        own = config.udp or config.addresses[config.id]
        check_listening(config.id, {**config.addresses, config.id: own}, config.listen)
