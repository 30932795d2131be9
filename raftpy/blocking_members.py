"""BlockingMembers: what a program without asyncio asks of the members (``BlockingNode.members``)."""

# ruff: noqa: A002 (``id`` is a member's everywhere else, too)

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from raftpy.members.changes import MemberChange
from raftpy.node import Node
from raftpy.runtime.member_calls import DEFAULT_CHANGE_TIMEOUT, Membership

_T = TypeVar("_T")


class Waiting(Protocol):
    """Has the node's thread start a call, and waits for what comes of it."""

    def __call__(self, start: Callable[[Node], Coroutine[Any, Any, _T]], /) -> _T:
        """What the coroutine that ``start`` gives returns."""


class BlockingMembers:
    """:class:`raftpy.Members` with plain calls, which may come from any thread but the node's own.

    They return, raise and mean what those do; all of them, ``list`` too, raise ``Stopped`` before ``start`` and after
    ``stop``.
    """

    def __init__(self, wait: Waiting) -> None:
        self._wait = wait

    def list(self) -> Membership:
        """As ``Members.list``."""

        async def listed(node: Node) -> Membership:
            return node.members.list()

        return self._wait(listed)

    def change(
        self,
        changes: Sequence[MemberChange],
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.change``."""
        given = [*changes]
        return self._wait(lambda node: node.members.change(given, expected=expected, safe=safe, timeout=timeout))

    def add(
        self,
        id: int,
        udp: str,
        http: str | None = None,
        *,
        learner: bool = True,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.add``."""
        return self._wait(
            lambda node: node.members.add(id, udp, http, learner=learner, expected=expected, safe=safe, timeout=timeout)
        )

    def promote(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.promote``."""
        return self._wait(lambda node: node.members.promote(id, expected=expected, safe=safe, timeout=timeout))

    def demote(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.demote``."""
        return self._wait(lambda node: node.members.demote(id, expected=expected, safe=safe, timeout=timeout))

    def remove(
        self,
        id: int,
        *,
        expected: int | None = None,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.remove``."""
        return self._wait(lambda node: node.members.remove(id, expected=expected, safe=safe, timeout=timeout))

    def set_address(
        self,
        id: int,
        udp: str | None = None,
        http: str | None = None,
        *,
        expected: int | None = None,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.set_address``."""
        return self._wait(lambda node: node.members.set_address(id, udp, http, expected=expected, timeout=timeout))

    def replace(
        self,
        old: int,
        new: int,
        udp: str,
        http: str | None = None,
        *,
        safe: bool = True,
        timeout: float | None = DEFAULT_CHANGE_TIMEOUT,
    ) -> int:
        """As ``Members.replace``."""
        return self._wait(lambda node: node.members.replace(old, new, udp, http, safe=safe, timeout=timeout))
