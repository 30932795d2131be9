"""What goes wrong on the way to an answer, as HTTP: every error is ``{"error": code, "message": text}``.

    400 bad_request                404 not_found          504 timeout
    405 bad_request (+ Allow)      413 too_large          503 no_leader (+ Retry-After)
    409 change_refused                                    503 overloaded (+ Retry-After)
    412 version_mismatch (+ "version")
                                    503 failed, stopped, refused (of /healthz)
                                    503 starting          503 quarantined, no_state, snapshot_failed

One more, 500 ``internal``, is an error of this program and nothing else.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web

from raftpy import StartProgress

RETRY_AFTER = {"Retry-After": "1"}
"""HTTP counts whole seconds; an election is usually over in less."""

UNKNOWN_OUTCOME = "the command may or may not be committed"


class ApiError(Exception):
    """Raised anywhere below a handler, answered by the dispatcher."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, object] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = dict(details or {})
        self.close = close
        """Close the connection after the answer: what the client still sends will not be read."""


def bad_request(message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> ApiError:
    """The request is not one that this server understands; ``status`` 400, or 405."""
    return ApiError(status, "bad_request", message, headers=headers)


def not_found(message: str, *, headers: Mapping[str, str] | None = None) -> ApiError:
    """There is no such key, or no such path."""
    return ApiError(404, "not_found", message, headers=headers)


def version_mismatch(message: str, version: int, *, headers: Mapping[str, str] | None = None) -> ApiError:
    """``version`` is the key's current one, 0 when it is not there."""
    return ApiError(412, "version_mismatch", message, headers=headers, details={"version": version})


def change_refused(message: str) -> ApiError:
    """Of a change of the members: nothing has happened, and the message says what is against it."""
    return ApiError(409, "change_refused", message)


def too_large(message: str) -> ApiError:
    """The command, or the body that would make it, is larger than what the cluster takes."""
    return ApiError(413, "too_large", message)


def no_leader(message: str) -> ApiError:
    """Only for a command that was never appended: the client may send it again."""
    return ApiError(503, "no_leader", message, headers=RETRY_AFTER)


def overloaded(message: str) -> ApiError:
    """Only for a command that was never appended: the client may send it again."""
    return ApiError(503, "overloaded", message, headers=RETRY_AFTER)


def refused(message: str) -> ApiError:
    """Of a node's health only: its peers do not take it for the member that it says it is."""
    return ApiError(503, "refused", message)


def takes_no_part(role: str, failure: str | None) -> ApiError:
    """Of a node's health only: it has stopped, by itself (``role`` failed, for the ``failure``) or not (stopped)."""
    return ApiError(503, role, f"the node has {role}" + ("" if failure is None else f": {failure}"))


def quarantined(message: str) -> ApiError:
    """Nothing happens at this node any more; another may do it."""
    return ApiError(503, "quarantined", message)


def no_state(message: str) -> ApiError:
    """This node gets its state from another one; that, or another, may do it."""
    return ApiError(503, "no_state", message)


def starting(progress: StartProgress) -> ApiError:
    """The node is being started, and serves nothing yet; another may."""
    return ApiError(
        503,
        "starting",
        f"this node is being started: {progress.describe()}",
        headers=RETRY_AFTER,
        details={"starting": asdict(progress)},
    )


def snapshot_failed(message: str) -> ApiError:
    """What was there before still is; the node goes on."""
    return ApiError(503, "snapshot_failed", message)


def unknown_outcome(reason: str) -> ApiError:
    """The command was appended, or may have been, and nobody can say here what became of it."""
    return ApiError(504, "timeout", f"{reason}: {UNKNOWN_OUTCOME}")


PIECE = 256 * 1024
"""Bytes of an answer that aiohttp writes, and waits to be taken, at a time where the body is a file."""


def json_body(value: object) -> bytes:
    """The value as one line of JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def in_pieces(body: bytes) -> bytes | io.BytesIO:
    """The body of an answer, of which ``PIECE`` bytes at most wait to be taken at a time, however long it is."""
    return body if len(body) <= PIECE else io.BytesIO(body)


def json_response(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON document on one line, with a newline at its end for the sake of terminals.

    A long one is written in pieces, so that each piece that its client takes is seen as progress (connections.py).
    """
    written = in_pieces(json_body(value))
    return web.Response(body=written, status=status, headers=headers, content_type="application/json")


def error_response(error: ApiError) -> web.Response:
    """The answer that an error stands for."""
    body = {"error": error.code, "message": error.message, **error.details}
    response = json_response(body, status=error.status, headers=error.headers)
    if error.close:
        response.force_close()
    return response
