"""Every call of a node, for those who ask whether each of them says what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftpy import BlockingNode, Node


def calls(node: Node | BlockingNode) -> dict[str, Callable[[], Any]]:
    """Everything that needs the node; ``failed``, ``quarantine`` and ``max_command`` anybody may look up."""
    return {
        "propose": lambda: node.propose(b"x"),
        "propose_many": lambda: node.propose_many([b"x"]),
        "read_index": node.read_index,
        "require_leader": node.require_leader,
        "transfer_leadership": lambda: node.transfer_leadership(1),
        "hand_over": node.hand_over,
        "set_priority": lambda: node.set_priority(1, 1),
        "commits": node.commits,
        "wait_for_leader": node.wait_for_leader,
        "term_at": lambda: node.term_at(1),
        "status": node.status,
        "stop": node.stop,
    }
