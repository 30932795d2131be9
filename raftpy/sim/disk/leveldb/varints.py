"""Numbers and strings as LevelDB packs them: seven bits a byte, the lowest first, and a top bit where more follows."""

from __future__ import annotations


class Malformed(Exception):
    """Bytes that are not what they should be; the text says which."""


def varint(number: int) -> bytes:
    """``number``, not negative, packed."""
    if number < 128:
        return bytes((number,))
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def prefixed(data: bytes) -> bytes:
    """``data`` with its length before it."""
    return varint(len(data)) + data


class Unpacking:
    """Reads one packed thing after the other from ``data``; ``Malformed`` where it ends too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        """Where the next one begins."""

    def varint(self) -> int:
        """A number."""
        if self.at < len(self.data) and self.data[self.at] < 128:
            self.at += 1
            return self.data[self.at - 1]
        number = shift = 0
        for at in range(self.at, min(self.at + 10, len(self.data))):
            byte = self.data[at]
            number |= (byte & 127) << shift
            if byte < 128:
                self.at = at + 1
                return number
            shift += 7
        raise Malformed("bad number")

    def take(self, size: int) -> bytes:
        """So many bytes."""
        found = self.data[self.at : self.at + size]
        if len(found) < size:
            raise Malformed("it ends too early")
        self.at += size
        return found

    def prefixed(self) -> bytes:
        """Bytes with their length before them."""
        return self.take(self.varint())
