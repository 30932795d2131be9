"""Hypothesis strategies for messages that may travel, shared by the tests of the codec and the fuzzers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from raftcore import ConfState, Entries, Entry, Message, MessageType, Snapshot
from tests import model_codec as model

# Small numbers, and numbers at the edges of bytes and of what is allowed.
numbers = st.one_of(st.integers(0, 20), st.sampled_from([255, 256, 2**32, 2**62, 2**63 - 1]))
ids = st.one_of(st.integers(0, 9), st.sampled_from([2**32, 2**63, 2**64 - 3]))
some_ids = st.lists(st.one_of(st.integers(1, 9), st.just(2**64 - 3)), max_size=4, unique=True)


@st.composite
def entry_runs(draw: st.DrawFn, first: int, terms: bool = True) -> Entries:
    """Entries from `first` on; with terms=False all of term 1."""
    term = draw(st.integers(1, 9)) if terms else 1
    entries: list[Entry] = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(1, 3))):
            payload = b"" if kind == 3 else draw(st.binary(max_size=12))
            entries.append(Entry(term, first + len(entries), kind, payload))
        term += draw(st.integers(0, 1)) if terms else 0
    return Entries.build(entries, draw(st.integers(0, 2**64 - 1)))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    voters = draw(st.lists(st.integers(1, 9), min_size=1, max_size=5, unique=True))
    state = ConfState(voters, draw(some_ids), draw(some_ids), draw(some_ids), draw(st.booleans()))
    index = draw(st.integers(1, 2**63 - 1))
    conf_index, time_ms = draw(st.integers(0, index)), draw(st.integers(0, 2**64 - 1))
    return Snapshot(index, draw(st.integers(1, 99)), state, conf_index, time_ms)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message that may travel, as the wire format's page says."""
    kind = MessageType(draw(st.sampled_from(sorted(model.TRAVELLING))))
    fields: dict[str, Any] = {name: draw(numbers) for name in model.FIELDS if name not in model.ID_FIELDS}
    fields |= {name: draw(ids) for name in model.ID_FIELDS}
    fields["reject"] = draw(st.booleans())
    fields["context"] = draw(st.none() | st.binary(max_size=16))
    if kind in (model.PROP, model.READ_INDEX):
        fields["term"] = 0
    elif kind != model.TRANSFER:
        fields["term"] = fields["term"] or 1
    if kind == model.SNAP:
        fields["snapshot"] = draw(snapshots())
    if kind == model.PROP:
        fields["entries"] = draw(entry_runs(1, terms=False))
    if kind == model.APP and draw(st.booleans()):
        fields["entries"] = draw(entry_runs(fields["index"] + 1))
    return Message(kind, **fields)


def as_model(message: Message) -> model.Body:
    """The message as the model has it."""
    body: model.Body = {name: getattr(message, name) for name in model.FIELDS}
    body |= {"type": message.type, "reject": message.reject, "context": message.context, "snapshot": None}
    body["blocks"] = None
    if message.snapshot is not None:
        snapshot = message.snapshot
        fields = ("index", "term", "conf_index", "time_ms")
        body["snapshot"] = {name: getattr(snapshot, name) for name in fields}
        body["snapshot"] |= {name: getattr(snapshot.conf_state, name) for name in (*model.GROUPS, "auto_leave")}
    if message.entries is not None:
        commands = iter(message.entries.commands())
        body["blocks"] = [
            {
                "first": first,
                "term": term,
                "time_ms": time_ms,
                "kind": kind,
                "payloads": [next(commands) for _ in range(count)],
            }
            for first, count, term, kind, time_ms in message.entries.runs()
        ]
    return body
