"""What a datagram transport does for every datagram; the docstrings are in exchange.pyx."""

from typing import Self, final

from typing_extensions import disjoint_base

from raftcore.api.outbox import Outbox
from raftcore.wire.datagram import DatagramBuilder
from raftpy.transport.exchange.address import SocketAddress
from raftpy.transport.exchange.unreliable import Unreliable

FIRST_KIND: int

def pack_address(address: SocketAddress) -> bytes: ...

@final
class DatagramIO:
    @property
    def may_have_error(self) -> bool: ...
    def __new__(cls, fd: int, may_join: bool = False) -> Self: ...
    def read(self, limit: int) -> list[bytes]: ...
    def write(self, datagram: bytes, address: bytes) -> int: ...
    def write_run(self, datagrams: list[bytes], address: bytes) -> int: ...

@disjoint_base
class Traffic:
    received: int
    received_bytes: int
    sent: int
    sent_bytes: int

@disjoint_base
class Link:
    expected: bytes | None
    packed: bytes
    repeated: bytes | None
    builder: DatagramBuilder
    ready: list[bytes]
    counters: Traffic
    large: int
    def __init__(self, id: int) -> None: ...
    @property
    def id(self) -> int: ...

@disjoint_base
class Exchange:
    _io: DatagramIO | None
    _unreliable: Unreliable | None
    _running: bool
    _heard: list[Link]
    _waiting: list[Link]
    def receive(self, limit: int = 64) -> list[bytes]: ...
    def lend_builders(self, outbox: Outbox) -> None: ...
    def flush(self) -> None: ...
    def _lend(self) -> None: ...
    def _take_back(self, id: int) -> list[bytes]: ...
