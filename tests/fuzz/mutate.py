"""Valid datagrams and ways to spoil them. Every choice comes from the Random that is handed in."""

from __future__ import annotations

import random
import struct

from raftcore import ConfState, Entries, Entry, EntryKind, Message, MessageType, Snapshot
from raftcore.wire.codec import DatagramBuilder, Header, crc32c

HEADER = Header(0x1122334455667788, 1, 2, 0xA1, 0x100000001, 0xB2, 0x300000002)
# Values that sit on the edges of the checks: lengths, counts, kinds, limits of indexes and ids, wrap-arounds.
EDGES = [0, 1, 2, 3, 4, 5, 24, 25, 127, 128, 255, 256, 2**16 - 1, 2**29, 2**30 - 1, 2**30, 2**31, 2**32 - 1, 2**32]
EDGES += [2**62, 2**63 - 1, 2**63, 2**64 - 3, 2**64 - 2, 2**64 - 1]


def some_entries(rng: random.Random, first: int, term: int) -> Entries:
    """One to four blocks; terms rise when term is above 1."""
    entries: list[Entry] = []
    for _ in range(rng.randint(1, 4)):
        kind = EntryKind(rng.randrange(4))
        for _ in range(rng.randint(1, 4)):
            payload = b"" if kind == EntryKind.EntryNoop else rng.randbytes(rng.randrange(12))
            entries.append(Entry(term, first + len(entries), kind, payload))
        term += rng.randrange(2) if term > 1 else 0
    return Entries.build(entries, rng.choice([0, 1700000000000]))


def some_message(rng: random.Random) -> Message:
    """A message that may travel."""
    kind = rng.choice([MessageType.MsgApp] * 4 + [MessageType.MsgSnap] * 3 + [MessageType.MsgProp] * 2 + [
        MessageType.MsgAppResp, MessageType.MsgVote, MessageType.MsgVoteResp, MessageType.MsgHeartbeat,
        MessageType.MsgHeartbeatResp, MessageType.MsgTransferLeader, MessageType.MsgTimeoutNow,
        MessageType.MsgReadIndex, MessageType.MsgReadIndexResp, MessageType.MsgPreVote, MessageType.MsgPreVoteResp,
    ])  # fmt: skip
    message = Message(kind, to=2, from_=rng.choice([1, 1, 3]), term=rng.randint(2, 9), commit=rng.randrange(3))
    if rng.random() < 0.3:
        message.context = rng.randbytes(rng.randrange(9))
    if kind in (MessageType.MsgProp, MessageType.MsgReadIndex):
        message.term = 0
    if kind == MessageType.MsgProp:
        message.entries = some_entries(rng, 1, 1)
    elif kind == MessageType.MsgApp:
        message.index, message.log_term, message.conf_index = rng.randrange(4), 1, rng.randrange(2)
        if rng.random() < 0.9:
            message.entries = some_entries(rng, message.index + 1, 2)
    elif kind == MessageType.MsgSnap:
        groups = [sorted(rng.sample(range(1, 9), rng.randrange(4))) for _ in range(3)]
        state = ConfState([1, 2, 3], *groups, rng.random() < 0.5)
        message.snapshot = Snapshot(rng.randint(9, 99), 4, state, rng.randrange(9), rng.randrange(99))
    elif kind == MessageType.MsgAppResp:
        message.reject, message.reject_hint = True, 5
    return message


def valid_datagram(rng: random.Random) -> bytes:
    """One to four frames, some of them the transport's."""
    builder = DatagramBuilder(HEADER, 60_000)
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.1:
            builder.add_frame(rng.randint(128, 255), rng.randbytes(rng.randrange(10)))
        else:
            builder.add(some_message(rng), rng.choice([0, 0, 7]))
    return builder.finish()


def reseal(datagram: bytearray) -> bytes:
    """Makes the checksum right, so that what was spoiled is looked at."""
    datagram[:4] = struct.pack("<I", crc32c(memoryview(datagram)[4:]))
    return bytes(datagram)


def spoil_once(rng: random.Random, data: bytearray, other: bytes) -> None:
    """One change at one place from byte 4 on."""
    at = rng.randrange(4, len(data))
    match rng.randrange(8):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            data[at] = rng.randrange(256)
        case 2 | 3:  # a number replaced by one on an edge, or moved by one
            size, form = rng.choice([(4, "<I"), (8, "<Q")])
            at -= at % 4
            if at + size <= len(data):
                (value,) = struct.unpack_from(form, data, at)
                value = rng.choice([*EDGES, value + 1, value - 1])
                struct.pack_into(form, data, at, value % (1 << 8 * size))
        case 4:
            del data[at : at + rng.choice([1, 4, 8, 40])]
        case 5:
            data[at:at] = data[rng.randrange(4, len(data)) :][: rng.choice([1, 4, 8, 40])]
        case 6:
            del data[at:]
        case 7:
            data[at:] = other[rng.randrange(4, len(other)) :]


def mutation(rng: random.Random) -> bytes:
    """A valid datagram, spoiled in one to four places; the checksum is right."""
    data = bytearray(valid_datagram(rng))
    other = valid_datagram(rng)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 4])):
        spoil_once(rng, data, other)
        if len(data) <= 4:
            break
    data.extend(bytes(max(0, 4 - len(data))))
    return reseal(data)
