"""Every call of a node, of a host and of its groups, for those who ask whether each of them says what it must."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftpy import BlockingMembers, BlockingNode, Members, Node, RemoveMember
from raftpy.runtime.group_calls import GroupCalls
from raftpy.runtime.host import Host


def group_calls(group: GroupCalls | BlockingNode) -> dict[str, Callable[[], Any]]:
    """Everything that needs the group; ``failed``, ``quarantine``, ``lacks_state``, ``max_command`` and ``starting``
    anybody may look up."""
    return {
        "propose": lambda: group.propose(b"x"),
        "propose_many": lambda: group.propose_many([b"x"]),
        "read_index": group.read_index,
        "require_leader": group.require_leader,
        "transfer_leadership": lambda: group.transfer_leadership(1),
        "hand_over": group.hand_over,
        "set_priority": lambda: group.set_priority(1, 1),
        "set_max_command": lambda: group.set_max_command(1),
        "snapshot": group.snapshot,
        "commits": group.commits,
        "wait_for_leader": group.wait_for_leader,
        "term_at": lambda: group.term_at(1),
        "status": group.status,
        **{f"members.{name}": call for name, call in member_calls(group.members).items()},
    }


def member_calls(members: Members | BlockingMembers) -> dict[str, Callable[[], Any]]:
    """Everything that is asked of the members; ``Node.members`` itself asks nothing."""
    return {
        "list": members.list,
        "change": lambda: members.change([RemoveMember(1)]),
        "add": lambda: members.add(2, "127.0.0.1:7102", learner=False),
        "promote": lambda: members.promote(1),
        "demote": lambda: members.demote(1),
        "remove": lambda: members.remove(1),
        "replace": lambda: members.replace(1, 2, "127.0.0.1:7102"),
        "set_address": lambda: members.set_address(1, "127.0.0.1:7102"),
    }


def calls(node: Node | BlockingNode) -> dict[str, Callable[[], Any]]:
    """Everything that needs the node: what a group has, and its end."""
    return {**group_calls(node), "stop": node.stop}


def host_calls(host: Host) -> dict[str, Callable[[], Any]]:
    """Everything that needs the host, the calls of each of its groups included; ``failed`` anybody may look up, and
    ``group`` asks nothing of it."""
    groups = {
        f"{name} of group {group_id}": call
        for group_id in host._calls
        for name, call in group_calls(host.group(group_id)).items()
    }
    return {**groups, "unknown_frames": lambda: host.unknown_frames, "stop": host.stop}
