"""The wire format in plain Python, written from docs/wire-format.md alone; slow, obvious, without any raftcore code.

Messages, snapshots and blocks are dicts and tuples here. A decoder raises ValueError for what the page forbids.
"""

from __future__ import annotations

import struct
from typing import Any

FIELDS = ("term", "log_term", "index", "commit", "vote", "reject_hint", "conf_index", "from_", "to")
ID_FIELDS = ("vote", "from_", "to")
GROUPS = ("voters", "voters_outgoing", "learners", "learners_next")
TRAVELLING = {2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 18}
PROP, APP, SNAP, TRANSFER, READ_INDEX = 2, 3, 7, 13, 15
LOCAL_IDS = 2**64 - 2
U64 = 2**64

Block = dict[str, Any]  # first, term, time_ms, kind, payloads
Body = dict[str, Any]


def divided(crc: int) -> int:
    """Eight steps of the division by the polynomial, bits reversed."""
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc


DIVIDED = [divided(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    """Byte by byte."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = DIVIDED[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def need(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def encode_block(block: Block) -> bytes:
    payloads = block["payloads"]
    body = b"".join(payloads)
    head = struct.pack(
        "<QQQIIII", block["first"], block["term"], block["time_ms"], len(payloads), len(body), block["kind"], 0
    )
    return head + b"".join(struct.pack("<I", len(p)) for p in payloads) + body


def decode_blocks(data: bytes) -> list[Block]:
    blocks: list[Block] = []
    need(bool(data), "no block")
    while data:
        need(len(data) >= 40, "header")
        first, term, time_ms, count, size, kind, reserved = struct.unpack_from("<QQQIIII", data)
        need(1 <= count <= (len(data) - 40) // 4, "count")
        lengths = struct.unpack_from(f"<{count}I", data, 40)
        end = 40 + 4 * count + size
        need(end <= len(data) and sum(lengths) == size and max(lengths) < 2**30, "lengths")
        need(kind <= 3 and reserved == 0 and (kind != 3 or size == 0), "kind")
        need(first >= 1 and first + count < U64 and term >= 1, "numbers")
        if blocks:
            before = blocks[-1]
            need(first == before["first"] + len(before["payloads"]), "consecutive")
            need(term >= before["term"] and time_ms >= before["time_ms"], "decrease")
        payloads, at = [], 40 + 4 * count
        for length in lengths:
            payloads.append(data[at : at + length])
            at += length
        blocks.append({"first": first, "term": term, "time_ms": time_ms, "kind": kind, "payloads": payloads})
        data = data[end:]
    return blocks


def encode_snapshot(snapshot: Body) -> bytes:
    groups = [snapshot[name] for name in GROUPS]
    return (
        struct.pack("<4Q", snapshot["index"], snapshot["term"], snapshot["conf_index"], snapshot["time_ms"])
        + struct.pack("<5I", *map(len, groups), snapshot["auto_leave"])
        + b"".join(struct.pack("<Q", node_id) for group in groups for node_id in group)
    )


def decode_snapshot(data: bytes) -> tuple[Body, bytes]:
    need(len(data) >= 52, "snapshot head")
    index, term, conf_index, time_ms, *counts, flags = struct.unpack_from("<4Q4II", data)
    ids = 8 * sum(counts)
    need(flags <= 1 and 52 + ids <= len(data), "snapshot size")
    need(1 <= index < 2**63 and 1 <= term < 2**63 and conf_index <= index and counts[0] >= 1, "snapshot numbers")
    snapshot: Body = {"index": index, "term": term, "conf_index": conf_index, "time_ms": time_ms}
    snapshot["auto_leave"] = bool(flags)
    at = 52
    for name, count in zip(GROUPS, counts, strict=True):
        group = struct.unpack_from(f"<{count}Q", data, at)
        need(all(a < b for a, b in zip((0, *group), (*group, LOCAL_IDS), strict=True)), "ids")
        snapshot[name] = group
        at += 8 * count
    return snapshot, data[at:]


def encode_body(body: Body) -> bytes:
    present = [i for i, name in enumerate(FIELDS) if body.get(name, 0)]
    context, snapshot, blocks = body.get("context"), body.get("snapshot"), body.get("blocks")
    flags = bool(body.get("reject")) | (context is not None) << 1 | (snapshot is not None) << 2
    out = struct.pack("<HBB", sum(1 << i for i in present), flags | (blocks is not None) << 3, 0)
    out += b"".join(struct.pack("<Q", body[FIELDS[i]]) for i in present)
    if context is not None:
        out += struct.pack("<I", len(context)) + context
    if snapshot is not None:
        out += encode_snapshot(snapshot)
    return out + b"".join(map(encode_block, blocks or ()))


def decode_body(kind: int, data: bytes) -> Body:
    """The message in a frame of this kind; absent fields are 0, absent parts None."""
    need(kind - 1 in TRAVELLING and len(data) >= 4, "kind or head")
    present, flags, reserved = struct.unpack_from("<HBB", data)
    need(present < 1 << len(FIELDS) and flags < 16 and reserved == 0, "head")
    body: Body = {"type": kind - 1, "reject": bool(flags & 1), "context": None, "snapshot": None, "blocks": None}
    data = data[4:]
    for i, name in enumerate(FIELDS):
        body[name] = 0
        if present >> i & 1:
            need(len(data) >= 8, "field")
            (body[name],) = struct.unpack_from("<Q", data)
            need(1 <= body[name] < (LOCAL_IDS if name in ID_FIELDS else 2**63), "field value")
            data = data[8:]
    if flags & 2:
        need(len(data) >= 4, "context length")
        (length,) = struct.unpack_from("<I", data)
        need(length <= len(data) - 4, "context")
        body["context"], data = data[4 : 4 + length], data[4 + length :]
    if flags & 4:
        body["snapshot"], data = decode_snapshot(data)
    if flags & 8:
        body["blocks"], data = decode_blocks(data), b""
    need(not data, "left over")
    check_shape(body)
    return body


def check_shape(body: Body) -> None:
    """What the page says of the types."""
    kind, blocks = body["type"], body["blocks"]
    if kind in (PROP, READ_INDEX):
        need(body["term"] == 0, "term")
    elif kind != TRANSFER:
        need(body["term"] > 0, "no term")
    need((kind == SNAP) == (body["snapshot"] is not None), "snapshot")
    if kind == PROP:
        need(blocks is not None and blocks[0]["first"] == 1 and all(b["term"] == 1 for b in blocks), "proposal")
    elif kind == APP:
        need(blocks is None or blocks[0]["first"] == body["index"] + 1, "entries do not follow index")
    else:
        need(blocks is None, "entries")


def encode_frame(group: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<QBBHI", group, kind, 0, 0, len(body)) + body


def decode_frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """All frames of a datagram whose header has been taken off."""
    out = []
    while data:
        need(len(data) >= 16, "frame header")
        group, kind, flags, reserved, length = struct.unpack_from("<QBBHI", data)
        need(length <= len(data) - 16 and not flags and not reserved, "frame")
        need(1 <= kind <= 24 or kind >= 128, "frame kind")
        out.append((group, kind, data[16 : 16 + length]))
        data = data[16 + length :]
    return out


def encode_datagram(header: tuple[int, ...], frames: bytes) -> bytes:
    """header: cluster_id, from, to, from_store, from_boot, to_store, to_boot."""
    rest = struct.pack("<BBH7Q", 1, 0, 0, *header) + frames
    return struct.pack("<I", crc32c(rest)) + rest


def decode_header(data: bytes) -> tuple[int, ...]:
    need(len(data) >= 64, "short")
    crc, version, flags, reserved, *header = struct.unpack_from("<IBBH7Q", data)
    need(version == 1 and flags == 0 and reserved == 0, "version")
    need(crc == crc32c(data[4:]), "checksum")
    need(header[1] < LOCAL_IDS and header[2] < LOCAL_IDS, "ids")
    return tuple(header)
