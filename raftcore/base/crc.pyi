"""CRC32C (Castagnoli polynomial, RFC 3720 B.4): the checksum of datagrams and of store records."""

from typing import Literal

IMPLEMENTATION: Literal["sse4.2", "armv8", "table"]

def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int: ...
def crc32c_portable(data: bytes | bytearray | memoryview, crc: int = 0) -> int: ...
