"""The diagram of a run: what is in the picture, and that the page is one whole, quiet HTML file."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from raftcore.base.types import MessageType
from raftcore.values.message import ConfState, Message, Snapshot
from raftcore.wire.codec import crc32c
from raftpy.sim.drawing.datagrams import describe
from raftpy.sim.drawing.page import page
from raftpy.sim.drawing.picture import picture
from raftpy.sim.outcome import Failure
from raftpy.sim.trace import Event
from tests.sim.story import append, datagram, story

VOID = {"meta", "input", "br"}
HOSTILE = "</script><script>alert(1)</script><!-- ]]> & \u2028 \" ' \\ {{DATA}}"


class Page(HTMLParser):
    """Holds tags against one another, and keeps what stands in each script and in each text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.scripts[0]))


def made(events: list[Event], failure: Failure | None = None, **choice: Any) -> Page:
    return Page(page(events, failure, title="seed 7", **choice))


# --- The page -----------------------------------------------------------------------------------------------------


def test_it_is_well_formed_and_holds_every_event() -> None:
    events, failure = story()
    read = made(events, failure)
    assert [tag for tag, _ in read.tags].count("script") == 2
    rows = read.data["events"]
    kinds = read.data["kinds"]
    assert [(row[0], row[1], kinds[row[2]]) for row in rows] == [(round(e.time, 7), e.node, e.kind) for e in events]
    assert read.data["failure"] == [1.5, "durable", failure.text]
    assert "seed 7" in read.texts


def test_it_needs_no_network() -> None:
    text = page(*story(), title="seed 7")
    assert "default-src 'none'" in text
    assert re.findall(r"""https?:|//cdn|@import|url\(|(?:src|href)\s*=|fetch\(|XMLHttp|import\(""", text) == []


def test_hostile_text_stays_text() -> None:
    events = [
        Event(0.0, 1, "start", (1,)),
        Event(0.1, 1, "invoke", (1, HOSTILE, HOSTILE)),
        Event(0.1, 1, "send", (1, 2, datagram(1, 2, [append(1, 2, 1, 0, HOSTILE.encode())]))),
        Event(0.2, 2, "deliver", (1,)),
        Event(0.2, 0, "fault", (HOSTILE, HOSTILE)),
        Event(0.3, 1, HOSTILE, (HOSTILE,)),
        Event(0.3, 1, "return", (1, HOSTILE)),
    ]
    text = page(events, Failure(HOSTILE, HOSTILE, 0.3), title=HOSTILE)
    read = Page(text)
    assert [tag for tag, _ in read.tags].count("script") == 2
    assert read.data["failure"][1:] == [HOSTILE, HOSTILE]
    assert read.data["spans"][0][3:5] == [HOSTILE, HOSTILE]
    assert read.data["kinds"][-2] == HOSTILE
    assert "<" not in read.scripts[0]
    assert HOSTILE in "".join(read.texts)  # the title, as text


# --- The picture --------------------------------------------------------------------------------------------------


def test_an_arrow_goes_from_sending_to_each_arrival() -> None:
    data = datagram(1, 2, [Message(MessageType.MsgVote, to=2, from_=1, term=3, index=9, log_term=2)])
    drawn = picture(
        [
            Event(1.0, 1, "send", (5, 2, data)),
            Event(1.1, 2, "deliver", (5,)),
            Event(1.4, 2, "deliver", (5,)),
            Event(1.5, 1, "send", (6, 2, data)),
            Event(1.6, 2, "drop", (6, "loss")),
            Event(1.7, 1, "send", (7, 2, data)),
        ]
    )
    twice, lost, open_ = drawn["arrows"]
    assert twice[:4] == [1, 2, 1.0, 0]
    assert twice[8] == [[1.1, "", 1], [1.4, "", 2]]
    assert lost[8] == [[1.6, "loss", 4]]
    assert open_[8] == []
    assert [drawn["types"][number] for number in twice[4]] == ["Vote"]
    assert "term 3" in twice[6]
    assert "last entry is 9 of term 2" in twice[6]
    assert drawn["events"][4][3] == "lost (loss) from 1: Vote t3"
    assert drawn["nodes"] == [1, 2]


def test_roles_end_with_the_next_one_and_with_the_node() -> None:
    drawn = picture(
        [
            Event(0.0, 1, "start", (1,)),
            Event(0.0, 1, "role", (0, 0, 0)),
            Event(0.2, 1, "role", (1, 1, 0)),
            Event(0.3, 1, "role", (1, 2, 1)),
            Event(0.5, 1, "pause", ()),
            Event(0.6, 1, "resume", ()),
            Event(0.9, 1, "crash", ("power",)),
            Event(1.2, 1, "start", (2,)),
            Event(1.2, 1, "role", (1, "follower", 0)),
            Event(1.3, 1, "role", (1, "StateFollower", 2)),
        ]
    )
    assert [role[2:] for role in drawn["roles"]] == [
        [0.0, 0.2, 0, "Follower", 0],
        [0.2, 0.3, 1, "Candidate", 0],
        [0.3, 0.9, 1, "Leader", 1],
        [1.2, -1, 1, "Follower", 2],
    ]
    assert [life[1:4] for life in drawn["lives"]] == [
        [0.0, 0.5, "up"],
        [0.5, 0.6, "paused"],
        [0.6, 0.9, "up"],
        [0.9, 1.2, "down"],
        [1.2, -1, "up"],
    ]


def test_groups_have_roles_of_their_own() -> None:
    drawn = picture([Event(0.0, 1, "role", (1, 2, 1, 1)), Event(0.0, 1, "role", (1, 0, 2, 2))])
    assert [role[1] for role in drawn["roles"]] == [1, 2]
    assert drawn["groups"] == [1, 2]


def test_what_a_group_has_committed_and_applied_is_its_own() -> None:
    events = [Event(0.0, 1, "role", (1, 3, 1, group)) for group in (0, 1)]
    events += [Event(0.1, 1, "commit", (7, 0)), Event(0.2, 1, "commit", (5, 1)), Event(0.3, 1, "applied", (5, 99, 1))]
    assert [mark[2:4] + mark[5:] for mark in picture(events)["marks"]] == [
        ["commit", "committed up to 7 of group 0", 0],
        ["commit", "committed up to 5 of group 1", 1],
        ["applied", "applied 5 of group 1 (checksum 99)", 1],
    ]
    alone = [event for event in events if event.detail[-1] == 0]
    assert picture(alone)["marks"][0][3] == "committed up to 7"


def test_operations_are_spans_from_question_to_answer() -> None:
    drawn = picture(
        [
            Event(0.1, 2, "invoke", (1, 4, "put a 1")),
            Event(0.2, 0, "invoke", (2, 5, "get a")),
            Event(0.4, 2, "return", (1, "ok 7")),
        ]
    )
    assert drawn["spans"] == [["4", 0.1, 0.4, "put a 1", "ok 7", 0, 2, 2], ["5", 0.2, -1, "get a", "", 1, -1, 0]]
    assert drawn["clients"] == ["4", "5"]


# --- A part of it -------------------------------------------------------------------------------------------------


def test_a_range_knows_how_things_stood_at_its_beginning() -> None:
    data = datagram(1, 2, [append(1, 2, 1, 0, b"a")])
    events = [
        Event(0.0, 1, "start", (1,)),
        Event(0.1, 1, "role", (1, 2, 1)),
        Event(0.1, 2, "role", (1, 1, 0)),
        Event(0.2, 2, "role", (1, 0, 1)),
        Event(0.3, 1, "send", (1, 2, data)),
        Event(0.35, 1, "send", (2, 2, data)),
        Event(0.36, 2, "deliver", (2,)),
        Event(0.9, 1, "invoke", (1, 1, "put")),
        Event(1.2, 2, "deliver", (1,)),
        Event(1.3, 1, "return", (1, "ok")),
        Event(1.9, 1, "role", (2, 0, 0)),
    ]
    read = made(events, start=1.0, end=1.5).data
    assert [row[0] for row in read["events"]] == [1.2, 1.3]
    assert [(role[0], role[5]) for role in read["roles"]] == [(1, "Leader"), (2, "Follower")]
    # Sent before, and arrives in it; the other one was there before.
    assert [arrow[2:4] for arrow in read["arrows"]] == [[0.3, -4]]
    assert read["arrows"][0][6].startswith("App: term 1")
    assert [span[1] for span in read["spans"]] == [0.9]
    assert read["cut"] == "2 of 11 events lie in the chosen range."
    assert (read["start"], read["end"]) == (1.0, 1.5)


def test_what_is_too_much_is_cut_and_said() -> None:
    events, failure = story()
    read = made(events, failure, most=100).data
    assert len(read["events"]) == 100
    assert read["events"][-1][0] == pytest.approx(events[-1].time)
    assert read["cut"].startswith(f"Of {len(events):,} events the newest 100 are drawn, from ")
    assert made(events, failure).data["cut"] == ""


def test_a_range_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"nothing happened from 5 s to the end: the events are from 0 s to 1\.58"):
        picture(story()[0], start=5)
    with pytest.raises(ValueError, match="no events"):
        picture([])


# --- What a datagram says -----------------------------------------------------------------------------------------


def test_a_datagram_is_told_message_by_message() -> None:
    said = describe(
        datagram(
            1,
            2,
            [
                append(1, 2, 3, 41, b"x" * 100, b"b", commit=40),
                Message(MessageType.MsgAppResp, to=2, from_=1, term=3, index=7, reject=True, reject_hint=5, log_term=2),
                Message(MessageType.MsgVoteResp, to=2, from_=1, term=3, reject=True),
                Message(MessageType.MsgSnap, to=2, from_=1, term=3, snapshot=Snapshot(30, 2, ConfState([1]))),
            ],
            group=4,
        )
    )
    assert [part.type for part in said] == ["App", "AppResp", "VoteResp", "Snap"]
    assert [part.label for part in said] == ["App 42..43", "no 7", "no", "Snap 30"]
    assert {part.group for part in said} == {4}
    assert said[0].text.splitlines() == [
        "App: term 3; behind entry 41 of term 3, committed up to 40",
        f"  entry 42 of term 3: '{'x' * 40}'.. (100 bytes)",
        "  entry 43 of term 3: 'b'",
    ]
    assert "hint is entry 5 of term 2" in said[1].text


def test_of_many_entries_the_first_are_shown() -> None:
    [said] = describe(datagram(1, 2, [append(1, 2, 1, 0, *[b"c"] * 20)]))
    assert said.text.splitlines()[-1] == "  and 12 more, up to entry 20"
    assert len(said.text.splitlines()) == 1 + 8 + 1


@pytest.mark.parametrize("cut", [0, 3, 63, 64, 70, 90, -1])
def test_a_broken_datagram_is_said_to_be_broken(cut: int) -> None:
    whole = datagram(1, 2, [append(1, 2, 1, 0, b"abc")])
    assert len(describe(whole[:cut])) >= 1


def test_every_flipped_bit_is_survived() -> None:
    whole = datagram(1, 2, [append(1, 2, 1, 0, b"abc")])
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        assert describe(bytes(flipped))
        # With a checksum that fits it again, so that the frames are looked at.
        flipped[:4] = crc32c(flipped[4:]).to_bytes(4, "little")
        assert describe(bytes(flipped))
