"""Reads what a request says: key, query, conditions, body. Whatever is wrong becomes a 400 or 413 that names it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, unquote_to_bytes

from aiohttp import HttpVersion11, web

from raftpy.replicated.kv_commands import MAX_VERSION
from raftpy.server.errors import ApiError, bad_request, too_large

KV_PREFIX = "/v1/kv/"

LONGEST_KEY = 4096
"""Bytes of a key that can be named over HTTP: percent-encoded it has to fit a request line. Longer ones, up to
``kv_commands.MAX_KEY``, are for programs that have the store in themselves."""

BODY_TIMEOUT = 30.0
"""Seconds a client may take over a body, or over each ``BODY_STEP`` of a long one."""
BODY_STEP = 1 << 20
"""Bytes."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_VERSION = re.compile(r'"(0|[1-9][0-9]{0,19})"')


def key_of(request: web.BaseRequest) -> bytes:
    """The key in the path as UTF-8 bytes. ``/`` and ``%2F`` mean the same; ``//`` and ``..`` stay as they are.

    Taken from the path as it was sent: a decoded one no longer tells whether the bytes were UTF-8.
    """
    key = _utf8(request.rel_url.raw_path[len(KV_PREFIX) :], "key")
    if not key:
        raise bad_request("the key is empty: use /v1/kv/KEY, or /v1/kv to list")
    if len(key) > LONGEST_KEY:
        raise too_large(f"a key of {len(key)} bytes is too large: at most {LONGEST_KEY} bytes")
    return key


def _utf8(escaped: str, what: str) -> bytes:
    """Percent-decoded bytes, checked to be UTF-8."""
    if bad := _BAD_ESCAPE.search(escaped):
        raise bad_request(f"bad {what}: {escaped[bad.start() : bad.start() + 3]!r} is not a percent-encoded byte")
    raw = unquote_to_bytes(escaped)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"bad {what}: byte {raw[error.start]:#04x} at {error.start} is not UTF-8") from None
    return raw


def query_of(request: web.BaseRequest, allowed: Iterable[str]) -> dict[str, str]:
    """The query's parameters, each at most once and only those ``allowed``."""
    raw = request.rel_url.raw_query_string
    if not raw:
        return {}
    _utf8(raw, "query")
    names = sorted(allowed)
    query: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True, errors="strict"):
        if name not in names:
            choice = f"allowed: {', '.join(names)}" if names else "none is allowed here"
            raise bad_request(f"unknown query parameter {name!r}: {choice}")
        if name in query:
            raise bad_request(f"query parameter {name!r} is given twice")
        query[name] = value
    return query


def wants_stale(query: dict[str, str]) -> bool:
    """Whether ``consistency`` asks for an answer from this node as it is."""
    value = query.get("consistency", "linearizable")
    if value not in ("linearizable", "stale"):
        raise bad_request(f"bad consistency {value!r}: allowed are linearizable (the default) and stale")
    return value == "stale"


def limit_of(query: dict[str, str], default: int, most: int) -> int:
    """``limit`` as a number from 1 to ``most``."""
    text = query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise bad_request(f"bad limit {text!r}: a number from 1 to {most} is allowed")
    return int(text)


def _single_header(request: web.BaseRequest, name: str) -> str | None:
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise bad_request(f"{name} is given {len(values)} times: once is allowed")
    return values[0].strip() if values else None


def if_match(request: web.BaseRequest) -> int | None:
    """The version in ``If-Match: "VERSION"``, or None without that header."""
    text = _single_header(request, "If-Match")
    if text is None:
        return None
    match = _VERSION.fullmatch(text)
    if match is None or int(match[1]) > MAX_VERSION:
        raise bad_request(f'bad If-Match {text!r}: one version in double quotes is allowed, such as If-Match: "42"')
    return int(match[1])


def if_none_match(request: web.BaseRequest) -> bool:
    """Whether ``If-None-Match: *`` is given, the only form there is."""
    text = _single_header(request, "If-None-Match")
    if text is None:
        return False
    if text != "*":
        raise bad_request(f"bad If-None-Match {text!r}: only * is allowed (put the key if it is not there)")
    return True


def check_length(request: web.BaseRequest, limit: int, what: str = "a value", why: str = "") -> None:
    """Refuses a body that says it has more than ``limit`` bytes, as ``body_of`` does."""
    length = request.content_length
    if length is not None and length > limit:
        raise _body_too_large(f"{what} of {length} bytes", limit, why)


async def body_of(request: web.BaseRequest, limit: int, what: str = "a value", why: str = "") -> bytes:
    """The body, at most ``limit`` bytes. More is never read into memory; the connection is closed then. The error says
    ``what`` it is, and ``why`` it has this limit."""
    check_length(request, limit, what, why)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    parts: list[bytes] = []
    size, step = 0, BODY_STEP
    now = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(BODY_TIMEOUT) as time:
            while part := await request.content.readany():
                size += len(part)
                if size > limit:
                    raise _body_too_large(what, limit, why)
                parts.append(part)
                if size >= step:
                    step = size + BODY_STEP
                    time.reschedule(now() + BODY_TIMEOUT)
    except TimeoutError:
        late = bad_request(f"the body did not arrive within {BODY_TIMEOUT:g} seconds for each {BODY_STEP} bytes of it")
        late.close = True
        raise late from None
    return b"".join(parts)


def _body_too_large(what: str, limit: int, why: str) -> ApiError:
    error = too_large(f"{what} is too large: at most {limit} bytes{why}")
    error.close = True
    return error
