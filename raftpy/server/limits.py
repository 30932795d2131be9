"""/v1/limits: what the cluster has agreed on as the largest command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from raftpy.node import DEFAULT_TIMEOUT
from raftpy.server.errors import bad_request, json_response
from raftpy.server.proposer import check_state
from raftpy.server.request import body_of, query_of

if TYPE_CHECKING:
    from raftpy.node import Node

NAME = "max_command"
LARGEST_BODY = 1024
"""Bytes of a document that names one number."""


class LimitsHandlers:
    """Reads and sets the limits in the member table. ``timeout`` in seconds, for a change to be applied here."""

    def __init__(self, node: Node, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._node = node
        self._timeout = timeout

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 with the limits as this node has applied them. Raises ``Quarantined``, ``NoState``."""
        query_of(request, ())
        check_state(self._node)
        return self._limits()

    async def put(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 with the limits once the change is applied here; only the leader makes one."""
        query_of(request, ())
        size = _size_in(await body_of(request, LARGEST_BODY, "a document"))
        try:
            await self._node.set_max_command(size, timeout=self._timeout)
        except ValueError as error:
            raise bad_request(str(error)) from None
        return self._limits()

    def _limits(self) -> web.Response:
        return json_response({NAME: self._node.max_command}, headers={"Cache-Control": "no-store"})


def _size_in(body: bytes) -> int:
    """The number in ``{"max_command": number}``; whether it is one is for the node to say."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or set(document) != {NAME}:
        raise bad_request(f'the body is not understood: {{"{NAME}": BYTES}} is allowed')
    size: int = document[NAME]
    return size
