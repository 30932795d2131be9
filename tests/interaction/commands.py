"""The command language of transcripts: one function a command, in one table.

Every argument and option is checked; what the language does not have is a TranscriptError, never silently ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raftcore.base.config import Config
from raftcore.base.errors import RaftError
from raftcore.base.types import MessageType, StateType
from raftcore.membership.confchange import ConfChange, ConfChangeTransition, ConfChangeV2, parse
from raftcore.values.message import ConfState, Message, Snapshot
from tests.interaction import describe
from tests.interaction.arguments import Arguments, one_of
from tests.interaction.environment import Environment, Recipient
from tests.interaction.nodes import Node
from tests.interaction.parser import Case, TranscriptError

ELECTION_TICKS = 3
HEARTBEAT_TICKS = 1
MOST_INFLIGHT = 2**31 - 1

_TRANSITIONS = {
    "auto": ConfChangeTransition.TransitionAuto,
    "implicit": ConfChangeTransition.TransitionJointImplicit,
    "explicit": ConfChangeTransition.TransitionJointExplicit,
}


def run(environment: Environment, case: Case) -> list[str]:
    """Run one command; what it prints. A RaftError is printed, a TranscriptError (the file is wrong) is raised."""
    if case.name not in COMMANDS:
        raise TranscriptError(f"unknown command {case.name!r}")
    if case.input and case.name != "propose-conf-change":
        raise TranscriptError(f"{case.name} takes no input lines")
    arguments = Arguments(case.arguments)
    try:
        if case.name == "propose-conf-change":
            propose_conf_change(environment, arguments, " ".join(case.input))
        else:
            COMMANDS[case.name](environment, arguments)
    except RaftError as error:
        if environment.output.quiet:
            environment.output.take()
        environment.output.error(str(error))
    return environment.output.take()


def add_nodes(environment: Environment, arguments: Arguments) -> None:
    count = arguments.number("number of nodes")
    voters, learners = arguments.id_list("voters"), arguments.id_list("learners")
    index = arguments.number_option("index") or 0
    arguments.option("content")  # the state machine's, which no transcript shows
    settings: dict[str, Any] = {
        "max_inflight_msgs": arguments.number_option("inflight"),
        "max_committed_size_per_ready": arguments.number_option("max-committed-size-per-ready"),
        "async_storage_writes": arguments.bool_option("async-storage-writes"),
        "pre_vote": arguments.bool_option("prevote"),
        "check_quorum": arguments.bool_option("checkquorum"),
        "disable_conf_change_validation": arguments.bool_option("disable-conf-change-validation"),
        "step_down_on_removal": arguments.bool_option("step-down-on-removal"),
    }
    read_only = arguments.option("read-only")
    arguments.finish()
    if read_only not in (None, "safe", "lease-based"):
        raise RaftError(f'invalid read-only option "{read_only}"')
    # The language cannot ask for a read: what it shows of lease-based ones is that nobody forgets a leader.
    settings["ignore_forget_leader"] = read_only == "lease-based"
    settings = {"max_inflight_msgs": MOST_INFLIGHT} | {
        name: value for name, value in settings.items() if value is not None
    }
    start = Snapshot(index, 0, ConfState(voters=voters, learners=learners), 0)
    if start != Snapshot():
        start = Snapshot(index, 1, start.conf_state, 0)

    def configure(node_id: int) -> Config:
        return Config(
            id=node_id,
            election_tick=ELECTION_TICKS,
            heartbeat_tick=HEARTBEAT_TICKS,
            applied=index,
            seed=node_id,
            votes_before_write=True,  # as etcd/raft
            **settings,
        )

    environment.add_nodes(count, start, configure)


def _one_node(environment: Environment, arguments: Arguments) -> Node:
    node = environment.node(arguments.number("node"))
    arguments.finish()
    return node


def campaign(environment: Environment, arguments: Arguments) -> None:
    _one_node(environment, arguments).raw.campaign()


def propose(environment: Environment, arguments: Arguments) -> None:
    node, data = environment.node(arguments.number("node")), arguments.word("data")
    arguments.finish()
    node.raw.propose([data.encode()])


def propose_conf_change(environment: Environment, arguments: Arguments, text: str) -> None:
    node = environment.node(arguments.number("node"))
    first_kind = arguments.bool_option("v1") or False
    transition = one_of("transition", arguments.option("transition") or "auto", _TRANSITIONS)
    arguments.finish()
    changes = parse(text)
    if not first_kind:
        node.raw.propose_conf_change(ConfChangeV2(tuple(changes), transition))
    elif len(changes) > 1 or transition != ConfChangeTransition.TransitionAuto:
        raise RaftError("v1 conf change can only have one operation and no transition")
    elif not changes:
        raise TranscriptError("v1=true needs a change in the input")
    else:
        node.raw.propose_conf_change(ConfChange(changes[0].type, changes[0].node_id))


def _on_each(title: str, action: Callable[[Environment, Node], None]) -> Callable[[Environment, Arguments], None]:
    """A command that does one thing on each node named; with a title above each when there are several."""

    def command(environment: Environment, arguments: Arguments) -> None:
        nodes = [environment.node(node_id) for node_id in arguments.numbers("node", at_least=1)]
        arguments.finish()
        for node in nodes:
            if len(nodes) == 1:
                action(environment, node)
            else:
                environment.under(f"> {node.id} {title}", lambda node=node: action(environment, node))

    return command


def deliver_msgs(environment: Environment, arguments: Arguments) -> None:
    delivered, dropped = arguments.numbers("node"), arguments.id_list("drop")
    kind_name = arguments.option("type")
    arguments.finish()
    for node_id in dropped:
        if node_id in delivered:
            raise TranscriptError(f"messages to {node_id} cannot be both delivered and dropped")
    kind = None if kind_name is None else one_of("type", kind_name, MessageType.__members__)
    recipients = [*map(Recipient, delivered), *(Recipient(node_id, drop=True) for node_id in dropped)]
    if not environment.deliver(recipients, kind):
        environment.output.write("no messages")


def stabilize(environment: Environment, arguments: Arguments) -> None:
    nodes = [environment.node(node_id) for node_id in arguments.numbers("node")]
    level = arguments.option("log-level")
    arguments.finish()
    with environment.output.at_level(_level(level)):
        environment.stabilize(nodes or environment.nodes)


def _level(name: str | None) -> str | None:
    levels = ("debug", "info", "warn", "error", "fatal", "none")
    return None if name is None else one_of("log level", name.lower(), {level: level for level in levels})


def log_level(environment: Environment, arguments: Arguments) -> None:
    name = arguments.word("level")
    arguments.finish()
    environment.output.set_level(_level(name) or "")


def tick_election(environment: Environment, arguments: Arguments) -> None:
    _one_node(environment, arguments).tick(ELECTION_TICKS)


def tick_heartbeat(environment: Environment, arguments: Arguments) -> None:
    _one_node(environment, arguments).tick(HEARTBEAT_TICKS)


def set_randomized_election_timeout(environment: Environment, arguments: Arguments) -> None:
    node, ticks = environment.node(arguments.number("node")), arguments.number_option("timeout")
    arguments.finish()
    if not ticks:
        raise TranscriptError("the option timeout= must be given, above 0")
    node.raw.set_randomized_election_timeout(ticks)


def raft_log(environment: Environment, arguments: Arguments) -> None:
    _print_log(environment, _one_node(environment, arguments))


def _print_log(environment: Environment, node: Node) -> None:
    storage = node.storage
    if storage.last_index < storage.first_index:
        environment.output.write(f"log is empty: first index={storage.first_index}, last index={storage.last_index}")
        return
    for entry in storage.entries(storage.first_index, storage.last_index + 1):
        environment.output.write(describe.describe_entry(entry))


def raft_state(environment: Environment, arguments: Arguments) -> None:
    arguments.finish()
    for node in environment.nodes:
        status = node.raw.status()
        conf_state = status.conf_state
        votes = node.id in conf_state.voters or node.id in conf_state.voters_outgoing
        environment.output.write(
            f"{node.id}: {StateType(status.state).name} ({'Voter' if votes else 'Non-Voter'}) "
            f"Term:{status.term} Lead:{status.leader}"
        )


def status(environment: Environment, arguments: Arguments) -> None:
    """A leader's progress map; nobody else has one."""
    for node_id, progress in sorted(_one_node(environment, arguments).raw.status().progress.items()):
        environment.output.write(f"{node_id}: {progress.describe()}")


def compact(environment: Environment, arguments: Arguments) -> None:
    node, index = environment.node(arguments.number("node")), arguments.number("index")
    arguments.finish()
    node.compact(index)
    _print_log(environment, node)


def send_snapshot(environment: Environment, arguments: Arguments) -> None:
    source, target = environment.node(arguments.number("from")), arguments.number("to")
    arguments.finish()
    status = source.raw.status()
    message = Message(
        type=MessageType.MsgSnap,
        from_=source.id,
        to=target,
        term=status.term,
        snapshot=source.storage.snapshot(),
        # The answer counts only if it echoes which configuration entry made the leader's progress of the target.
        conf_index=status.progress[target].conf_index if target in status.progress else 0,
    )
    environment.send(message)
    environment.output.write(describe.describe_message(message))


def report_unreachable(environment: Environment, arguments: Arguments) -> None:
    node, unreachable = environment.node(arguments.number("node")), environment.node(arguments.number("unreachable"))
    arguments.finish()
    node.raw.report_unreachable(unreachable.id)


def transfer_leadership(environment: Environment, arguments: Arguments) -> None:
    source, target = arguments.number_option("from"), arguments.number_option("to")
    arguments.finish()
    if not source or not target:
        raise TranscriptError("the options from= and to= must be given")
    environment.node(source).raw.transfer_leader(environment.node(target).id)


def forget_leader(environment: Environment, arguments: Arguments) -> None:
    _one_node(environment, arguments).raw.forget_leader()


def nothing(environment: Environment, arguments: Arguments) -> None:
    """A place for a debugger to stop at."""
    arguments.finish()


COMMANDS: dict[str, Callable[[Environment, Arguments], None]] = {
    "_breakpoint": nothing,
    "add-nodes": add_nodes,
    "campaign": campaign,
    "compact": compact,
    "deliver-msgs": deliver_msgs,
    "forget-leader": forget_leader,
    "log-level": log_level,
    "process-append-thread": _on_each("processing append thread", Environment.process_append),
    "process-apply-thread": _on_each("processing apply thread", Environment.process_apply),
    "process-ready": _on_each("handling Ready", Environment.process_ready),
    "propose": propose,
    "propose-conf-change": nothing,  # takes input, see run()
    "raft-log": raft_log,
    "raft-state": raft_state,
    "report-unreachable": report_unreachable,
    "send-snapshot": send_snapshot,
    "set-randomized-election-timeout": set_randomized_election_timeout,
    "stabilize": stabilize,
    "status": status,
    "tick-election": tick_election,
    "tick-heartbeat": tick_heartbeat,
    "transfer-leadership": transfer_leadership,
}
