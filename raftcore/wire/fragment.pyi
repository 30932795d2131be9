"""Fragments of a datagram that no path carries whole, and their acknowledgements."""

from collections.abc import Iterable
from typing import Final

FRAME_FRAGMENT: Final = 130
FRAME_FRAGMENT_ACK: Final = 131
FRAGMENT_HEADER_SIZE: Final = 32
FRAGMENT_OVERHEAD: Final = 112
LEAST_STEP: Final = 256
LARGEST_CUT: Final = 1073741824
ACK_RANGES: Final = 32

def encode_fragment(
    packet: int, message: int, checksum: int, size: int, step: int, index: int, data: bytes
) -> bytes: ...
def decode_fragment(body: bytes | bytearray | memoryview) -> tuple[int, int, int, int, int, int, bytes]: ...
def encode_ack(ranges: Iterable[tuple[int, int]]) -> bytes: ...
def decode_ack(body: bytes | bytearray | memoryview) -> list[tuple[int, int]]: ...
