"""All nodes of a transcript, the one list of messages in flight between them, and what can be done with both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raftcore.base.config import Config
from raftcore.base.errors import RaftError
from raftcore.base.types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MessageType
from raftcore.values.message import HardState, Message, Snapshot
from tests.interaction import describe
from tests.interaction.nodes import Node
from tests.interaction.output import Output
from tests.interaction.parser import TranscriptError

_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
# Rounds of `stabilize` after which nodes are taken to be talking in circles.
MOST_ROUNDS = 10_000


@dataclass(frozen=True)
class Recipient:
    """Whose messages are taken, and whether they are delivered or dropped."""

    id: int
    drop: bool = False


class Environment:
    """Nodes are numbered from 1, in the order in which they were added. `carry` is what a network does to a message."""

    def __init__(self, carry: Callable[[Message], Message] = lambda message: message) -> None:
        self.nodes: list[Node] = []
        self.messages: list[Message] = []
        self.output = Output()
        self._carry = carry

    def node(self, node_id: int) -> Node:
        if not 1 <= node_id <= len(self.nodes):
            raise TranscriptError(f"node {node_id}: there are nodes 1 to {len(self.nodes)}")
        return self.nodes[node_id - 1]

    def add_nodes(self, count: int, start: Snapshot, configure: Callable[[int], Config]) -> None:
        """Add nodes that start from a snapshot, or from nothing when it is empty."""
        if start != Snapshot() and start.index <= 1:
            raise RaftError("index must be specified as > 1 due to bootstrap")
        for node_id in range(len(self.nodes) + 1, len(self.nodes) + 1 + count):
            self.nodes.append(Node(configure(node_id), start))

    # One step of one node

    def process_ready(self, node: Node) -> None:
        """Take the Ready and do what it says; async storage work is only queued."""
        ready = node.raw.ready()
        self.output.write(describe.describe_ready(ready))
        if not node.config.async_storage_writes:
            node.store(ready.hard_state, ready.entries, ready.snapshot)
            node.apply(ready.committed_entries)
        for message in ready.messages:
            if message.to == LOCAL_APPEND_THREAD:
                node.append_work.append(message)
            elif message.to == LOCAL_APPLY_THREAD:
                node.apply_work.append(message)
            else:
                self.send(message)
        if not node.config.async_storage_writes:
            node.raw.advance()

    def process_append(self, node: Node) -> None:
        """Perform the oldest piece of append work."""
        if not node.append_work:
            self.output.write("no append work to perform")
            return
        message = node.append_work.popleft()
        self._processing(message)
        node.store(HardState(message.term, message.vote, message.commit), message.entries, message.snapshot)
        self._respond(message)

    def process_apply(self, node: Node) -> None:
        """Perform the oldest piece of apply work."""
        if not node.apply_work:
            self.output.write("no apply work to perform")
            return
        message = node.apply_work.popleft()
        self._processing(message)
        node.apply(message.entries)
        self._respond(message)

    def _processing(self, message: Message) -> None:
        self.output.write("Processing:")
        self.output.write(describe.describe_message(message, responses=False))

    def _respond(self, message: Message) -> None:
        self.output.write("Responses:")
        for response in message.responses or ():
            self.output.write(describe.describe_message(response))
            self.send(response)

    # Messages

    def send(self, message: Message) -> None:
        """Put a message in flight. Only what would really cross the network is carried over it."""
        self.messages.append(message if is_local(message) else self._carry(message))

    def deliver(self, recipients: Sequence[Recipient], kind: MessageType | None = None) -> int:
        """Deliver or drop, for each recipient in order, its messages in order; how many there were."""
        count = 0
        for recipient in recipients:
            taken = [message for message in self.messages if self._concerns(message, recipient, kind)]
            self.messages = [message for message in self.messages if not self._concerns(message, recipient, kind)]
            count += len(taken)
            for message in taken:
                if recipient.drop:
                    self.output.write(f"dropped: {describe.describe_message(message)}")
                    continue
                self.output.write(describe.describe_message(message))
                try:
                    self.node(recipient.id).raw.step(message)
                except RaftError as error:
                    self.output.write(str(error))
        return count

    @staticmethod
    def _concerns(message: Message, recipient: Recipient, kind: MessageType | None) -> bool:
        if message.to != recipient.id or (recipient.drop and is_local(message)):
            return False
        return kind is None or message.type == kind

    # Until nothing is left to do

    def stabilize(self, nodes: Sequence[Node]) -> None:
        """Handle Readys, deliver messages and do storage work of these nodes until there is none."""
        for _ in range(MOST_ROUNDS):
            if not self._round(nodes):
                return
        raise TranscriptError(f"not stable after {MOST_ROUNDS} rounds")

    def _round(self, nodes: Sequence[Node]) -> bool:
        busy = False
        for node in nodes:
            if node.raw.has_ready():
                busy = True
                self.under(f"> {node.id} handling Ready", lambda node=node: self.process_ready(node))
        for node in nodes:
            recipient = Recipient(node.id)
            if any(self._concerns(message, recipient, None) for message in self.messages):
                busy = True
                self.under(f"> {node.id} receiving messages", lambda recipient=recipient: self.deliver([recipient]))
        for node in nodes:
            if node.append_work:
                busy = True
                self.under(f"> {node.id} processing append thread", lambda node=node: self._drain_append(node))
        for node in nodes:
            if node.apply_work:
                busy = True
                self.under(f"> {node.id} processing apply thread", lambda node=node: self._drain_apply(node))
        return busy

    def _drain_append(self, node: Node) -> None:
        while node.append_work:
            self.process_append(node)

    def _drain_apply(self, node: Node) -> None:
        while node.apply_work:
            self.process_apply(node)

    def under(self, title: str, action: Callable[[], object]) -> None:
        """Print a title, and what the action prints indented below it."""
        self.output.write(title)
        with self.output.indented():
            action()


def is_local(message: Message) -> bool:
    """Does the message stay on its node? Such messages are never lost."""
    return message.from_ == message.to or message.from_ in _THREADS or message.to in _THREADS
