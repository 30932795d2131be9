"""/v1/members and /v1/leader: who belongs to the cluster, and what an operator changes of that."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import web

from raftpy import (
    AddMember,
    ChangeRefused,
    DemoteMember,
    PromoteMember,
    RemoveMember,
    SetAddress,
    Timeout,
)
from raftpy.node import DEFAULT_TIMEOUT
from raftpy.server.errors import ApiError, bad_request, change_refused, json_response, not_found
from raftpy.server.proposer import check_state
from raftpy.server.request import body_of, query_of

if TYPE_CHECKING:
    from raftpy.node import Node

MemberChange = AddMember | PromoteMember | DemoteMember | RemoveMember | SetAddress

MEMBERS_PREFIX = "/v1/members/"
LARGEST_BODY = 64 << 10
"""Bytes of a document that says what to change: some hundreds of members."""
CHANGE_TIMEOUT = 60.0
"""Seconds for a change, unless the request says something else: a new member may have to be sent the whole state."""
LONGEST_TIMEOUT = 86_400
"""Seconds."""

KINDS: Mapping[str, tuple[type[MemberChange], frozenset[str]]] = {
    "add": (AddMember, frozenset({"id", "udp"})),
    "promote": (PromoteMember, frozenset({"id"})),
    "demote": (DemoteMember, frozenset({"id"})),
    "remove": (RemoveMember, frozenset({"id"})),
    "address": (SetAddress, frozenset({"id"})),
}
"""By ``change``: what is made of it, and what must be given."""
ADDRESSES = frozenset({"udp", "http"})

_ID = re.compile(r"[1-9][0-9]{0,19}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,19}")


class MembersHandlers:
    """One method a route; all but ``list`` are the leader's to do. The bodies are those of docs/http-api.md."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._of_member: Mapping[str, Callable[[web.BaseRequest, int], Awaitable[int]]] = {
            "promote": self._promote,
            "demote": self._demote,
            "address": self._set_address,
            "replace": self._replace,
        }

    async def list(self, request: web.BaseRequest) -> web.StreamResponse:
        """200 with the members as this node has applied them. Raises ``Quarantined``, ``NoState``."""
        query_of(request, ())
        check_state(self._node)
        return json_response(asdict(self._node.members.list()), headers={"Cache-Control": "no-store"})

    async def change(self, request: web.BaseRequest) -> web.StreamResponse:
        """Adds a member, or makes several changes at once: 200 when they are made."""
        options = _options(request)
        document = await _document(request)
        if "changes" in document:
            _check(document, {"changes"})
            changes = _changes(document["changes"])
            return await _made(self._node.members.change(changes, **options))
        _check(document, {"id", "udp"}, {"http", "learner"})
        learner = document.pop("learner", True)
        if not isinstance(learner, bool):
            raise bad_request(f"learner is {learner!r}: true or false is allowed")
        return await _made(self._node.members.add(**_typed(document), learner=learner, **options))

    async def change_one(self, request: web.BaseRequest) -> web.StreamResponse:
        """What stands behind ``/v1/members/ID/``: 200 when it is done."""
        node_id, slash, what = request.rel_url.raw_path[len(MEMBERS_PREFIX) :].partition("/")
        handler = self._of_member.get(what)
        if not slash or handler is None:
            known = ", ".join(f"{MEMBERS_PREFIX}ID/{name}" for name in self._of_member)
            raise not_found(f"no such page: {request.rel_url.raw_path!r}; POST knows {known}")
        return await _made(handler(request, _id_of(node_id)))

    async def remove(self, request: web.BaseRequest) -> web.StreamResponse:
        """``/v1/members/ID``: 200 when it is no member any more."""
        node_id = _id_of(request.rel_url.raw_path[len(MEMBERS_PREFIX) :])
        return await _made(self._node.members.remove(node_id, **_options(request)))

    async def transfer(self, request: web.BaseRequest) -> web.StreamResponse:
        """``/v1/leader``: 200 when the voter that is named leads, as far as this node knows."""
        timeout = _timeout(query_of(request, ("timeout",)), DEFAULT_TIMEOUT)
        document = _typed(_check(await _document(request), {"id"}))
        try:
            await self._node.transfer_leadership(document["id"], timeout=timeout)
        except ValueError as error:
            raise bad_request(str(error)) from None
        except Timeout as error:
            raise ApiError(504, "timeout", str(error)) from None
        return json_response({"leader": document["id"]})

    async def _promote(self, request: web.BaseRequest, node_id: int) -> int:
        return await self._node.members.promote(node_id, **_options(request))

    async def _demote(self, request: web.BaseRequest, node_id: int) -> int:
        return await self._node.members.demote(node_id, **_options(request))

    async def _set_address(self, request: web.BaseRequest, node_id: int) -> int:
        options = _options(request, ("expected", "timeout"))
        document = _typed(_check(await _document(request), (), ADDRESSES))
        if not document:
            raise bad_request("no address is given: udp, http or both are allowed")
        return await self._node.members.set_address(node_id, **document, **options)

    async def _replace(self, request: web.BaseRequest, node_id: int) -> int:
        options = _options(request, ("safe", "timeout"))
        document = _typed(_check(await _document(request), {"id", "udp"}, {"http"}))
        return await self._node.members.replace(node_id, document.pop("id"), **document, **options)


async def _made(change: Awaitable[int]) -> web.Response:
    """What a change of the members comes to in HTTP; what else the node raises goes through."""
    try:
        index = await change
    except ChangeRefused as error:
        raise change_refused(str(error)) from None
    except Timeout as error:  # which says how far it has come
        raise ApiError(504, "timeout", str(error)) from None
    except ValueError as error:
        raise bad_request(str(error)) from None
    return json_response({"index": index})


def _id_of(text: str) -> int:
    if not _ID.fullmatch(text):
        raise bad_request(f"bad node id {text!r}: a whole number from 1 is allowed")
    return int(text)


def _options(request: web.BaseRequest, allowed: Iterable[str] = ("expected", "safe", "timeout")) -> dict[str, Any]:
    """The arguments that the calls of ``Node.members`` have in common, from the query."""
    query = query_of(request, allowed)
    options: dict[str, Any] = {"timeout": _timeout(query, CHANGE_TIMEOUT)}
    if "expected" in query:
        if not _INDEX.fullmatch(query["expected"]):
            raise bad_request(f"bad expected {query['expected']!r}: the index of a configuration is allowed")
        options["expected"] = int(query["expected"])
    if "safe" in query:
        if query["safe"] not in ("true", "false"):
            raise bad_request(f"bad safe {query['safe']!r}: allowed are true (the default) and false")
        options["safe"] = query["safe"] == "true"
    return options


def _timeout(query: Mapping[str, str], default: float) -> float:
    text = query.get("timeout")
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise bad_request(f"bad timeout {text!r}: seconds are allowed, above 0 and at most {LONGEST_TIMEOUT}")
    return seconds


async def _document(request: web.BaseRequest) -> dict[str, Any]:
    try:
        document = json.loads(await body_of(request, LARGEST_BODY, "a document"))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise bad_request("the body is not understood: a JSON object is allowed")
    return document


def _check(document: dict[str, Any], needed: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """The document, which has all names that are needed, and none beside the optional ones."""
    needed, optional = set(needed), set(optional)
    if not needed <= set(document) <= needed | optional:
        _not_understood(document, needed, optional)
    return document


def _not_understood(document: Mapping[str, Any], needed: set[str], optional: set[str]) -> NoReturn:
    given = ", ".join(sorted(document)) or "nothing"
    wanted = ", ".join([*sorted(needed), *(f"{name} (optional)" for name in sorted(optional))])
    raise bad_request(f"the body is not understood, which has {given}: allowed are {wanted}")


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    """The document, whose addresses are texts and whose id is a whole number; null is as not given."""
    document = {name: value for name, value in document.items() if value is not None or name not in ADDRESSES}
    for name in ADDRESSES & set(document):
        if not isinstance(document[name], str):
            raise bad_request(f"{name} is {document[name]!r}: a text is allowed, HOST:PORT")
    if "id" in document and (not isinstance(document["id"], int) or isinstance(document["id"], bool)):
        raise bad_request(f"id is {document['id']!r}: a whole number is allowed")
    return document


def _changes(given: object) -> list[MemberChange]:
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise bad_request("changes is not understood: a list of objects is allowed")
    return [_one_change(dict(each)) for each in given]


def _one_change(given: dict[str, Any]) -> MemberChange:
    name = given.pop("change", None)
    if not isinstance(name, str) or name not in KINDS:
        raise bad_request(f"change is {name!r}: allowed are {', '.join(KINDS)}")
    kind, needed = KINDS[name]
    optional = ADDRESSES - needed if name in ("add", "address") else ()
    return kind(**_typed(_check(given, needed, optional)))
