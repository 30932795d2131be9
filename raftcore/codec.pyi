"""Datagrams and frames to messages and back, byte by byte as docs/wire-format.md says."""

from collections.abc import Iterator
from typing import Final

from raftcore.crc import crc32c as crc32c
from raftcore.datagram import DatagramBuilder as DatagramBuilder
from raftcore.datagram import Header as Header
from raftcore.datagram import max_command as max_command
from raftcore.datagram import parse_header as parse_header
from raftcore.errors import DecodeError
from raftcore.message import Message

DATAGRAM_HEADER_SIZE: Final = 64
CHECKSUM_SIZE: Final = 4
FRAME_HEADER_SIZE: Final = 16
FRAME_MESSAGE: Final = 1
FRAME_TRANSPORT: Final = 128
RUN_SIZE: Final = 16
BLOCK_HEADER_SIZE: Final = 40
LENGTH_SIZE: Final = 4

def frames(buffer: bytes | bytearray | memoryview, offset: int = 64) -> Iterator[tuple[int, int, memoryview]]: ...
def messages(datagram: bytes | bytearray | memoryview) -> Iterator[tuple[int, Message | DecodeError]]: ...
def encode_message(message: Message) -> tuple[int, bytes]: ...
def decode_message(kind: int, body: bytes | bytearray | memoryview) -> Message: ...
