"""From a request to its handler, and from whatever the handler raises to an answer in JSON.

Routes are matched on the path as it was sent, because a key's ``/`` and ``%2F``, ``//`` and ``..`` must all arrive
untouched; aiohttp's own router decodes first. Its answers to malformed requests are replaced as well: what a client
gets is always one of the documented errors, never HTML, never a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from raftpy import RaftError, StartProgress
from raftpy.server.connections import Connections
from raftpy.server.errors import ApiError, bad_request, error_response, not_found, overloaded, starting
from raftpy.server.redirect import answer_to

log = logging.getLogger("raftpy.server")
access_log = logging.getLogger("raftpy.server.access")
"""A line a request, at level INFO: silent, and free, unless somebody sets this logger's own level."""
if access_log.level == logging.NOTSET:
    access_log.setLevel(logging.WARNING)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Methods = Mapping[str, Handler]

MAX_REQUEST_LINE = 32 * 1024
"""Two keys of 4,096 bytes, percent-encoded (prefix and after of a listing), and room to spare."""


ALWAYS_ANSWERED = frozenset({"/healthz", "/v1/status"})
"""What is answered also when there are as many connections as there may be, and all are busy."""


class Dispatcher:
    """Exact paths, and paths below a prefix. As long as ``progress`` says that the node is being started, whatever is
    asked is answered 503 ``starting``."""

    def __init__(
        self,
        exact: Mapping[str, Methods],
        below: Mapping[str, Methods],
        progress: Callable[[], StartProgress | None] = lambda: None,
    ) -> None:
        self._progress: Callable[[], StartProgress | None] | None = progress
        self._exact = {path: _with_head(methods) for path, methods in exact.items()}
        self._below = {prefix: _with_head(methods) for prefix, methods in below.items()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers every request; raises only when the connection or the task is gone."""
        try:
            if self._progress is not None:
                self._check_started(self._progress())
            response = await self._handler(request)(request)
        except ApiError as error:
            response = error_response(error)
        except RaftError as error:
            response = answer_to(request, error)
        except web.RequestPayloadError as error:
            response = error_response(bad_request(f"bad body: {_one_line(str(error))}"))
            response.force_close()
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            response = internal_error(error)
        response.headers["Server"] = "raftpy"
        return response

    def _check_started(self, progress: StartProgress | None) -> None:
        if progress is not None:
            raise starting(progress)
        self._progress = None  # it is asked no more

    def _handler(self, request: web.BaseRequest) -> Handler:
        path = request.rel_url.raw_path
        methods = self._exact.get(path)
        if methods is None:
            methods = next((found for prefix, found in self._below.items() if path.startswith(prefix)), None)
        if methods is None:
            raise not_found(f"no such page: {path!r}; there are {', '.join(self._pages())}")
        handler = methods.get(request.method)
        if handler is None:
            allowed = ", ".join(methods)
            message = f"method {request.method} is not allowed for {path!r}: allowed are {allowed}"
            raise bad_request(message, status=405, headers={"Allow": allowed})
        return handler

    def _pages(self) -> list[str]:
        return sorted([*self._exact, *(f"{prefix}..." for prefix in self._below)])


def _with_head(methods: Methods) -> dict[str, Handler]:
    """HEAD is GET without the body, which aiohttp leaves out by itself."""
    return {**methods, **({"HEAD": methods["GET"]} if "GET" in methods else {})}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def internal_error(error: BaseException | None) -> web.Response:
    """A bug: the client learns its kind, the log all of it."""
    log.error("unexpected error while answering a request", exc_info=error)
    kind = type(error).__name__ if error is not None else "unknown"
    return error_response(ApiError(500, "internal", f"unexpected {kind} in the server; its log says more"))


class ApiConnection(web.RequestHandler):
    """aiohttp's connection, known to ``Connections``, with errors in our form for requests that reach no handler.

    ``crowded``: one beyond the most, see connections.py.
    """

    __slots__ = ("_answering", "_connections", "_open", "crowded")

    def __init__(self, server: ApiServer, *, crowded: bool, **options: Any) -> None:
        super().__init__(server, **options)
        self.crowded = crowded
        self._connections = server.open_connections
        self._answering = False
        # aiohttp forgets its transport when it closes it, although that stays open until all is written.
        self._open: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open, and idle until a request has come."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.WriteTransport)
        self._open = transport
        self._connections.idle(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is closed."""
        super().connection_lost(exc)
        self._open = None
        self._connections.closed(self)

    def abort(self) -> None:
        """Closes it at once; what is not written yet is lost."""
        if self._open is not None:
            self._open.abort()

    def answering(self) -> None:
        """A request has come: the connection is busy until its answer is written, or is not taken."""
        self._answering = True
        self._connections.busy(self)

    def pause_writing(self) -> None:
        """The client does not take what is written: idle, until it does."""
        super().pause_writing()
        self._connections.idle(self)

    def resume_writing(self) -> None:
        """The client has taken nearly all of it."""
        super().resume_writing()
        if self._answering:
            self._connections.busy(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Writes the answer; from then on the connection is idle."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answering = False
            if self._open is not None:
                self._connections.idle(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        if isinstance(exc, ConnectionError):
            raise exc  # the client has gone, and nothing is wrong here
        if status == 400:
            response = error_response(bad_request(f"not an HTTP request: {_one_line(message or str(exc))}"))
        else:
            response = internal_error(exc)
        response.headers["Server"] = "raftpy"
        response.force_close()
        return response


class ApiServer(web.Server):
    """What ``web.ServerRunner`` takes: one connection handler for each connection. Made inside the running loop."""

    def __init__(self, dispatcher: Dispatcher, connections: Connections) -> None:
        super().__init__(self._answer)
        self.open_connections = connections
        self._dispatcher = dispatcher

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, ApiConnection)
        connection.answering()
        if not (connection.crowded and self.open_connections.crowded):
            return await self._dispatcher(request)
        if request.rel_url.raw_path in ALWAYS_ANSWERED:
            response = await self._dispatcher(request)
        else:
            response = error_response(overloaded(f"{self.open_connections.count} connections are busy; try again"))
            response.headers["Server"] = "raftpy"
        response.force_close()
        return response

    def __call__(self) -> web.RequestHandler:
        return self.handler(crowded=False)

    def handler(self, *, crowded: bool) -> web.RequestHandler:
        """What a new connection speaks to; it must be counted already."""
        return ApiConnection(
            self,
            crowded=crowded,
            loop=asyncio.get_running_loop(),
            access_log=access_log,
            max_line_size=MAX_REQUEST_LINE,
            auto_decompress=False,  # a value is the bytes that were sent
        )
