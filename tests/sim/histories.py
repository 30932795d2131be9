"""Histories made from a true execution: one store does one thing at a time, somewhere between call and return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from raftpy.sim.linearizability.history import ANY, Input, Kind, Operation, Output


@dataclass(frozen=True)
class Shape:
    """What a history is to be like."""

    operations: int
    clients: int = 3
    keys: int = 1
    values: int = 0
    """So many different ones are written; 0: never the same twice."""
    kinds: Sequence[Kind] = (Kind.READ, Kind.READ, Kind.WRITE, Kind.SWAP, Kind.DELETE)
    versions: bool = False
    """Whether answers tell versions, and conditions ask for them."""
    unknown: float = 0.05
    """This share of the operations has no outcome; half of those happen all the same."""
    untold: float = 0.0
    """This share of the swaps and deletes is not told whether it was done."""


class Store:
    """The truth: values and versions, one after the other."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.index = 0

    def perform(self, key: str, asked: Input) -> Output:
        """What the operation gives, all of it told."""
        self.index += 1
        value, version = self.values.get(key), self.versions.get(key, 0)
        if asked.kind is Kind.READ:
            return Output(value=value, version=version)
        holds = (asked.expected is ANY or asked.expected == value) and (
            asked.version is None or (value is not None and asked.version == version)
        )
        if asked.kind in (Kind.SWAP, Kind.DELETE) and not (holds and (value is not None or asked.kind is Kind.SWAP)):
            return Output(False, value, version)
        if asked.kind is Kind.DELETE:
            del self.values[key], self.versions[key]
        else:
            self.values[key] = (value or "") + asked.value if asked.kind is Kind.APPEND else asked.value
            self.versions[key] = self.index
        return Output(version=self.index)


def make(source: Random, shape: Shape) -> list[Operation]:
    """A history as clients saw it. Each client asks, its operation happens some time after, and then it is told; one
    without an outcome ends with a client who goes on under another number."""
    store = Store()
    history: list[Operation] = []
    waiting: dict[int, tuple[int, str, Input]] = {}
    happened: dict[int, tuple[int, str, Input, Output]] = {}
    late: list[tuple[str, Input]] = []
    names = list(range(shape.clients))
    made, now = 0, 0
    while made < shape.operations or waiting or happened:
        now += 1
        if late and source.random() < 0.05:
            store.perform(*late.pop(source.randrange(len(late))))
        client = source.randrange(shape.clients)
        if client in happened:
            call, key, asked, output = happened.pop(client)
            told = answer(source, shape, asked, output)
            history.append(Operation(names[client], key, call, now, asked, told))
        elif client not in waiting:
            if made < shape.operations:
                made += 1
                key = f"k{source.randrange(shape.keys)}"
                waiting[client] = (now, key, question(source, shape, store, key, made))
        else:
            call, key, asked = waiting.pop(client)
            if source.random() < shape.unknown:
                history.append(Operation(names[client], key, call, None, asked, None))
                names[client] += shape.clients
                if source.random() < 0.5:
                    late.append((key, asked))
            else:
                happened[client] = (call, key, asked, store.perform(key, asked))
    return history


def question(source: Random, shape: Shape, store: Store, key: str, number: int) -> Input:
    kind = source.choice(shape.kinds)
    if kind is Kind.READ:
        return Input(kind)
    value = f"v{source.randrange(shape.values)}" if shape.values else f"v{number}"
    if kind not in (Kind.SWAP, Kind.DELETE):
        return Input(kind, value)
    there, version = store.values.get(key), store.versions.get(key, 0)
    expected: Any = source.choice((ANY, there, f"v{source.randrange(shape.values or number)}", None))
    condition = None
    if shape.versions and source.random() < 0.7:
        condition = max(1, version + source.choice((0, 0, 0, -1, 1)))
    return Input(kind, value if kind is Kind.SWAP else None, expected, condition)


def answer(source: Random, shape: Shape, asked: Input, output: Output) -> Output:
    """What of an output the client is told."""
    if asked.kind in (Kind.SWAP, Kind.DELETE) and source.random() < shape.untold:
        return Output(done=None)
    version = output.version if shape.versions and source.random() < 0.9 else None
    value = output.value
    if not output.done and source.random() < 0.5:
        value = ANY
    if asked.kind is Kind.READ and source.random() < 0.02:
        value = ANY
    return Output(output.done, value, version)


def spoil(source: Random, history: Sequence[Operation]) -> list[Operation]:
    """The history with one answer or one time changed."""
    spoilt = list(history)
    place = source.randrange(len(spoilt))
    one = spoilt[place]
    values = [each.input.value for each in history if each.input.value is not None] + [None]
    if one.output is None or one.returned is None:
        spoilt[place] = one._replace(call=one.call + source.randrange(4))
    elif one.input.kind is Kind.READ or (one.output.value is not ANY and source.random() < 0.7):
        spoilt[place] = one._replace(output=one.output._replace(value=source.choice(values)))
    elif one.output.version is not None and source.random() < 0.5:
        moved = max(0, one.output.version + source.choice((-2, -1, 1, 2)))
        spoilt[place] = one._replace(output=one.output._replace(version=moved))
    elif one.input.kind in (Kind.SWAP, Kind.DELETE):
        spoilt[place] = one._replace(output=Output(not one.output.done))
    else:
        spoilt[place] = one._replace(call=one.call + 0.5, returned=one.call + 0.5)
    return spoilt
