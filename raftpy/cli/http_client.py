"""Asks a cluster over HTTP: finds the leader, waits out an election, and never sends a write twice unknowingly.

A write may be sent again only when it is certain that it was not appended: the connection was refused, or the answer
was 307 or 503. When a connection breaks after the request left, nobody knows, and that is what the error says.
A read may always be sent again.

The standard library's http.client, because loading an asynchronous one takes longer than the request.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from raftpy.cli.addresses import Address, parse_http
from raftpy.cli.errors import CommandFailed, reason

PAGE = 1000
"""Keys that one request for a listing asks for."""
PAUSE = 0.05
"""Seconds before asking again; an election takes 150 to 300 ms by default, so Retry-After's second would be long."""

ENOUGH = 1.0
"""Seconds a request gets at least."""

CONNECT_TIMEOUT = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. ``status`` is the HTTP status, ``headers`` have lower-case names, ``body`` is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as a JSON object; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    def message(self) -> str:
        """What went wrong, in the server's words."""
        return str(self.json().get("message", f"HTTP status {self.status}"))


class NotSent(Exception):
    """The request did not reach a server: it may be sent again."""


class Broken(Exception):
    """The connection broke, or time was up, after the request had left."""


def ask(
    address: Address,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 10.0,
) -> Answer:
    """One request to one node, ``timeout`` seconds at most for each of its steps. Raises ``NotSent`` or ``Broken``."""
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = kind(address.host, address.port, timeout=min(timeout, CONNECT_TIMEOUT))
    try:
        try:
            connection.connect()
        except OSError as error:
            raise NotSent(f"{address}: {reason(error)}") from None
        connection.sock.settimeout(timeout)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have refused the body, and said so
                connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        except TimeoutError:
            raise Broken(f"{address} did not answer within {timeout:.1f} s") from None
        except OSError as error:
            raise Broken(f"the connection to {address} broke ({reason(error)})") from None
        except HTTPException as error:
            raise Broken(f"{address} did not answer in HTTP ({type(error).__name__})") from None
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
    finally:
        connection.close()


class ClusterClient:
    """Sends requests to whichever node leads. ``timeout``: seconds for one request with all its detours."""

    def __init__(self, addresses: Sequence[Address], timeout: float = 10.0) -> None:
        self._addresses = list(addresses)
        self._timeout = timeout
        self._next = 0
        self._heard = False  # whether any node has answered yet

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The final answer: anything but 307 and 503. Raises ``CommandFailed`` when there is none in time."""
        deadline = time.monotonic() + self._timeout
        # Never sent with so little time left that a slow answer would leave a write's outcome open for nothing.
        enough = min(ENOUGH, self._timeout / 2)
        target: Address | None = None  # where the last answer pointed to
        refused: dict[str, None] = {}  # no node has answered yet; why not
        trouble = ""
        while (left := deadline - time.monotonic()) >= enough:
            redirected = target is not None
            address = target or self._turn()
            target = None
            try:
                answer = ask(address, method, path, body, headers, timeout=left)
            except NotSent as error:
                trouble = str(error)
                if not redirected and not self._heard:
                    refused[trouble] = None
                    if len(refused) >= len(self._addresses):
                        raise CommandFailed(f"no node answers: {', '.join(refused)}") from None
                    continue
            except Broken as error:
                if method != "GET":
                    raise CommandFailed(f"{error}: the command may or may not be committed") from None
                trouble = str(error)
            else:
                self._heard = True
                if answer.status not in (307, 503):
                    return answer
                trouble = f"{address} says: {answer.message()}"
                if answer.status == 307:
                    target = _location(answer)
                    trouble = f"{address} says that {target} leads"
                    if not redirected:
                        continue
            # A redirect to a node that is gone or sends us on: leadership is moving, give it a moment.
            time.sleep(min(PAUSE, max(deadline - time.monotonic(), 0)))
        raise CommandFailed(f"gave up after {self._timeout:g} s, nothing was changed: {trouble}")

    def _turn(self) -> Address:
        address = self._addresses[self._next % len(self._addresses)]
        self._next += 1
        return address


def _location(answer: Answer) -> Address:
    location = answer.headers.get("location", "")
    try:
        parts = urlsplit(location)
        return parse_http(f"{parts.scheme}://{parts.netloc}")
    except ValueError:
        raise CommandFailed(f"redirected to {location!r}, which is no address") from None
