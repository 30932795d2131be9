"""From a request to its handler, and from whatever the handler raises to an answer in JSON.

Routes are matched on the path as it was sent, because a key's ``/`` and ``%2F``, ``//`` and ``..`` must all arrive
untouched; aiohttp's own router decodes first. Its answers to malformed requests are replaced as well: what a client
gets is always one of the documented errors, never HTML, never a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from raftpy import RaftError
from raftpy.server.errors import ApiError, bad_request, error_response, not_found
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


class Dispatcher:
    """Exact paths, and paths below a prefix."""

    def __init__(self, exact: Mapping[str, Methods], below: Mapping[str, Methods]) -> None:
        self._exact = {path: _with_head(methods) for path, methods in exact.items()}
        self._below = {prefix: _with_head(methods) for prefix, methods in below.items()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers every request; raises only when the connection or the task is gone."""
        try:
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
        return sorted([*self._exact, *(f"{prefix}KEY" for prefix in self._below)])


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


class _RequestHandler(web.RequestHandler):
    """aiohttp's connection, with errors in our form for requests that never reach a handler."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way already")
        if status == 400:
            response = error_response(bad_request(f"not an HTTP request: {_one_line(message or str(exc))}"))
        else:
            response = internal_error(exc)
        response.headers["Server"] = "raftpy"
        response.force_close()
        return response


class ApiServer(web.Server):
    """What ``web.ServerRunner`` takes: one connection handler for each connection. Made inside the running loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(dispatcher)

    def __call__(self) -> web.RequestHandler:
        return _RequestHandler(
            self,
            loop=asyncio.get_running_loop(),
            access_log=access_log,
            max_line_size=MAX_REQUEST_LINE,
            auto_decompress=False,  # a value is the bytes that were sent
        )
