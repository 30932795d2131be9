"""Datagrams and frames to messages and back, byte by byte as docs/wire-format.md says."""

from collections.abc import Iterator
from typing import Final

from raftcore.base.crc import crc32c as crc32c
from raftcore.base.errors import DecodeError
from raftcore.values.message import Message
from raftcore.wire.datagram import DatagramBuilder as DatagramBuilder
from raftcore.wire.datagram import max_command as max_command
from raftcore.wire.header import Header as Header
from raftcore.wire.header import parse_header as parse_header

DATAGRAM_HEADER_SIZE: Final = 64
CHECKSUM_SIZE: Final = 4
FRAME_HEADER_SIZE: Final = 16
FRAME_MESSAGE: Final = 1
FRAME_TRANSPORT: Final = 128
RUN_SIZE: Final = 16
BLOCK_HEADER_SIZE: Final = 40
LENGTH_SIZE: Final = 4

def frames(buffer: bytes | bytearray | memoryview, offset: int = 64) -> Iterator[tuple[int, int, memoryview]]: ...
def frame_at(buffer: bytes | bytearray | memoryview, offset: int) -> tuple[int, int]: ...
def messages(datagram: bytes | bytearray | memoryview) -> Iterator[tuple[int, Message | DecodeError]]: ...
def encode_message(message: Message) -> tuple[int, bytes]: ...
def decode_message(kind: int, body: bytes | bytearray | memoryview) -> Message: ...
