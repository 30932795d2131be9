"""What an error of the node means to an HTTP client.

The line that matters runs between a command that was never appended, which the client may send again (307, 413, 503),
and one whose fate nobody here knows (504).
"""

from __future__ import annotations

from aiohttp import web

from raftpy import NoState, NotLeader, Overloaded, Quarantined, RaftError, StorageFailed, Timeout, TooLarge
from raftpy.server.errors import (
    UNKNOWN_OUTCOME,
    ApiError,
    error_response,
    json_response,
    no_leader,
    no_state,
    overloaded,
    quarantined,
    too_large,
    unknown_outcome,
)


def answer_to(request: web.BaseRequest, error: RaftError) -> web.Response:
    """The answer to a request whose command failed with ``error``."""
    if isinstance(error, NotLeader):
        if error.leader_id is not None and error.leader_http is not None:
            return redirect(request, error.leader_id, error.leader_http)
        return error_response(_without_leader(error))
    return error_response(_as_api_error(error))


def redirect(request: web.BaseRequest, leader_id: int, leader_http: str) -> web.Response:
    """307: the same method and body, at the leader, under the same path and query."""
    url = request.rel_url
    query = f"?{url.raw_query_string}" if url.raw_query_string else ""
    base = leader_http if "://" in leader_http else f"http://{leader_http}"
    location = f"{base}{url.raw_path}{query}"
    return json_response({"leader": leader_id, "location": location}, status=307, headers={"Location": location})


def _without_leader(error: NotLeader) -> ApiError:
    if error.leader_id is None:
        why = f" ({error.because})" if error.because else ""
        return no_leader(f"no leader is known here at the moment{why}; try again")
    return no_leader(f"node {error.leader_id} leads, but its HTTP address is not known here yet; try again")


def _as_api_error(error: RaftError) -> ApiError:
    if isinstance(error, Timeout):
        return ApiError(504, "timeout", str(error)) if UNKNOWN_OUTCOME in str(error) else unknown_outcome(str(error))
    if isinstance(error, TooLarge):
        return too_large(str(error))
    if isinstance(error, Overloaded):
        return overloaded(str(error))
    if isinstance(error, Quarantined):
        return quarantined(str(error))
    if isinstance(error, NoState):
        return no_state(str(error))
    if isinstance(error, StorageFailed):
        return unknown_outcome("this node's store has failed")
    return unknown_outcome(str(error))
