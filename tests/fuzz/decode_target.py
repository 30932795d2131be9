"""Target *decode*: any bytes into every reader of the wire format.

The bytes are tried as they are, with the checksum put right, behind a valid header, and as the body of a frame. What a
reader may raise is DecodeError. What it reads must be well-formed, and be written as the same bytes again; the model
(tests/model_codec.py) reads the same. The first byte chooses among ready-made datagrams to be changed by the others.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from typing import Any

from raftcore import Entries, MessageType
from raftcore.base.crc import crc32c_portable
from raftcore.base.errors import ConfChangeError, DecodeError
from raftcore.values.changes import ConfChange, ConfChangeV2
from raftcore.wire.codec import FRAME_MESSAGE, crc32c, decode_message
from tests import model_codec
from tests.fuzz.against_model import check_body, check_datagram, model_outcome
from tests.fuzz.mutate import reseal, spoil_once, valid_datagram

HEADER_SIZE = 64
# The kinds whose bodies have parts: a proposal, an append, a snapshot.
FULL_KINDS = {FRAME_MESSAGE + kind for kind in (MessageType.MsgProp, MessageType.MsgApp, MessageType.MsgSnap)}


def words(error: Exception) -> str:
    """Its text without numbers."""
    return re.sub(r"0x[0-9a-f]+|\d+", "", str(error))


class Decoding:
    """One input; ``seen`` collects outcomes."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def outcome(self, call: Callable[[], Any], *errors: type[Exception]) -> Any:
        """What it returns, or None for a refusal."""
        try:
            return call()
        except errors as error:
            self.seen.add(words(error))
            return None

    def datagram(self, data: bytes) -> None:
        for way, count in check_datagram(data).items():
            self.seen.add(f"{way} {min(count, 4)}")

    def bodies(self, body: bytes, kinds: Iterable[int]) -> None:
        for kind in kinds:
            message = self.outcome(lambda kind=kind: decode_message(kind, body), DecodeError)
            shape = "" if message is None else f"{message.entries is not None} {message.context is not None}"
            self.seen.add(f"{kind} {check_body(kind, body)} {shape}")

    def blocks(self, data: bytes) -> None:
        entries = self.outcome(lambda: Entries.decode(data), DecodeError)
        expected = model_outcome(model_codec.decode_blocks, data)
        assert (entries is None) == (expected is None), f"{data.hex()}: {entries}, the model says {expected}"
        if entries is not None:
            assert bytes(entries.data) == data
            self.seen.add(f"blocks {min(entries.blocks, 4)} {min(entries.count, 4)}")

    def changes(self, data: bytes) -> None:
        for kind in (ConfChange, ConfChangeV2):
            change = self.outcome(lambda kind=kind: kind.decode(data), DecodeError, ConfChangeError)
            assert change is None or change.encode() == data, f"{data.hex()} is read as {change}"


def spoiled(data: bytes) -> bytes:
    """A ready-made datagram, chosen by the first two bytes, with changes chosen by the rest."""
    dice = random.Random(data[:2])
    datagram, other = bytearray(valid_datagram(dice)), valid_datagram(dice)
    for at in range(2, min(len(data), 34), 4):
        if len(datagram) > 4:
            spoil_once(random.Random(data[at : at + 4]), datagram, other)
    datagram.extend(bytes(max(0, 4 - len(datagram))))
    return reseal(datagram)


def run(data: bytes) -> set[str]:
    """Every reader on ``data``. Returns what happened; anything raised is a finding."""
    decoding = Decoding()
    decoding.datagram(data)
    decoding.datagram(reseal(bytearray(data.ljust(4, b"\0"))))
    header = valid_datagram(random.Random(0))[:HEADER_SIZE]
    decoding.datagram(reseal(bytearray(header + data)))
    decoding.datagram(spoiled(data))
    decoding.bodies(data[1:], {*FULL_KINDS, data[0] % 26 if data else 0})
    decoding.blocks(data)
    decoding.changes(data)
    assert crc32c(data) == crc32c_portable(data)
    return decoding.seen
