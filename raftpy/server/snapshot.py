"""POST /v1/snapshot: takes one at the node that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from raftpy import NoState, Quarantined, RaftError, SnapshotFailed
from raftpy.server.errors import json_response, no_state, quarantined, snapshot_failed

if TYPE_CHECKING:
    from raftpy.node import Node


class SnapshotHandlers:
    """What an operator may ask of this node's snapshots."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers when the snapshot is durable: the index that it is of, and where the log begins by then."""
        try:
            index = await self._node.snapshot()
        except SnapshotFailed as error:
            raise snapshot_failed(str(error)) from None
        except Quarantined as error:
            raise quarantined(str(error)) from None
        except NoState as error:
            raise no_state(str(error)) from None
        except RaftError as error:
            raise snapshot_failed(f"no snapshot was taken: {error}") from None
        return json_response({"index": index, "first_index": self._node.status().first_index})
