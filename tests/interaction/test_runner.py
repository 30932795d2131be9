"""The runner itself: what it reads, what it refuses, and that a wrong expectation does not pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raftcore.base.types import LOCAL_APPEND_THREAD, EntryKind, MessageType
from raftcore.values.message import Entries, Entry, Message, Snapshot
from tests.interaction import ROOT, default_folder
from tests.interaction import replay as replay_module
from tests.interaction.__main__ import files, main
from tests.interaction.describe import describe_entry, describe_message, describe_target, quote
from tests.interaction.environment import is_local
from tests.interaction.output import Output, compared
from tests.interaction.parser import Argument, TranscriptError, parse, parse_command
from tests.interaction.replay import Result, replay

START = "add-nodes 1 voters=(1) index=5\n----\nok\n\n"


def replayed(tmp_path: Path, text: str, **options: bool) -> Result:
    path = tmp_path / "case.txt"
    path.write_text(text, encoding="utf-8")
    return replay(path, **options)


def fault(tmp_path: Path, text: str) -> str:
    difference = replayed(tmp_path, text).difference
    assert difference is not None
    return str(difference)


# A wrong expectation is reported


def test_the_first_difference_names_file_line_command_and_both_sides(tmp_path: Path) -> None:
    text = (
        START + 'campaign 1\n----\nok\n\n# A comment.\nraft-log 1\n----\n1/6 EntryNormal ""\n\nraft-log 1\n----\nno\n'
    )
    difference = replayed(tmp_path, text).difference
    assert difference is not None
    assert (difference.line, difference.command) == (10, "raft-log 1")
    assert difference.expected == ('1/6 EntryNormal ""',)
    assert difference.got == ("log is empty: first index=6, last index=5",)
    assert str(difference) == (
        f"FAILED {tmp_path}/case.txt:10: raft-log 1\n"
        '  expected:\n  > 1/6 EntryNormal ""\n'
        "  got:\n  > log is empty: first index=6, last index=5"
    )


def test_a_file_that_holds_is_counted(tmp_path: Path) -> None:
    result = replayed(tmp_path, START + "campaign 1\n----\nok\n")
    assert str(result) == f"ok {tmp_path}/case.txt (2 commands)"


@pytest.mark.parametrize(
    "wrong",
    [
        ["ok"],
        ["<empty Ready>"],
        ["Ready MustSync=true:", "Lead:0 State:StateCandidate"],
        ["Ready MustSync=true:", "Lead:0 State:StateCandidate", "HardState Term:1 Vote:1 Commit:6"],
        ["Ready MustSync=true:", "Lead:0 State:StateCandidate", " HardState Term:1 Vote:1 Commit:5"],
        ["Ready MustSync=true:", "Lead:0 State:StateCandidate", "HardState Term:1 Vote:1 Commit:5", "x"],
        ["Ready MustSync=true:", "HardState Term:1 Vote:1 Commit:5", "Lead:0 State:StateCandidate"],
    ],
)
def test_any_other_line_is_a_difference(tmp_path: Path, wrong: list[str]) -> None:
    right = ["Ready MustSync=true:", "Lead:0 State:StateCandidate", "HardState Term:1 Vote:1 Commit:5"]
    before = START + "campaign 1\n----\nok\n\nprocess-ready 1\n----\n"
    assert replayed(tmp_path, before + "\n".join(right)).difference is None
    assert replayed(tmp_path, before + "\n".join(wrong)).difference is not None


@pytest.mark.parametrize(
    "table",
    [
        "committed cfg=(1,2,3) idx=(5,7,9)\n----\n8\n",
        "vote cfg=(1,2,3) votes=(y,n,_)\n----\nVoteWon\n",
        "simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=2\n",
        "simple\nv1\n----\nok\n",
    ],
)
def test_wrong_tables_are_differences(tmp_path: Path, table: str) -> None:
    assert replayed(tmp_path, table).difference is not None


def test_drawings_above_a_quorum_result_are_not_compared(tmp_path: Path) -> None:
    assert replayed(tmp_path, "committed cfg=(1) idx=(4)\n----\n  idx\n> 77 (id=1)\n4\n").difference is None
    assert replayed(tmp_path, "committed\n----\n<empty majority quorum>∞\n").difference is None


def test_lines_of_the_logger_are_not_compared(tmp_path: Path) -> None:
    text = START.replace("ok", "INFO 1 became follower at term 0\n  DEBUG something")
    assert replayed(tmp_path, text).difference is None
    assert compared(["> 1 handling Ready", "  WARN a", "INFORMATION b"]) == ["> 1 handling Ready", "INFORMATION b"]
    assert compared(["ERROR a"]) == ["ok"]


def test_an_exception_of_the_core_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[str]:
        raise ZeroDivisionError("not ours")

    monkeypatch.setattr(replay_module.commands, "run", broken)
    assert "ZeroDivisionError: not ours" in fault(tmp_path, START)


# What the language does not have is refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dance 1", "unknown command 'dance'"),
        ("campaign", "the argument node is missing"),
        ("campaign one", "node 'one': it must be a number"),
        ("campaign 2", "node 2: there are nodes 1 to 1"),
        ("campaign 0", "node 0: there are nodes 1 to 1"),
        ("campaign 1 2", "unknown argument or option: 2"),
        ("campaign 1 now=true", "unknown argument or option: now="),
        ("add-nodes 1 voters=(1) index=5 speed=9", "unknown argument or option: speed="),
        ("add-nodes 1 index=(5,6)", "option index: it takes one value, not 2"),
        ("add-nodes 1 index=5 index=6", "option index: it is given twice"),
        ("add-nodes 1 prevote=maybe", "prevote 'maybe': it must be one of true, false"),
        ("propose 1", "the argument data is missing"),
        ("propose 1 a\nb", "propose takes no input lines"),
        ("propose-conf-change 1 transition=slow\nv2", "transition 'slow': it must be one of auto, implicit, explicit"),
        ("propose-conf-change 1 v1=true", "v1=true needs a change in the input"),
        ("process-ready", "the argument node is missing"),
        ("deliver-msgs 1 drop=(1)", "messages to 1 cannot be both delivered and dropped"),
        ("deliver-msgs 1 type=MsgNone", "type 'MsgNone': it must be one of MsgHup, MsgBeat"),
        ("stabilize log-level=loud", "log level 'loud': it must be one of debug, info"),
        ("log-level loud", "log level 'loud': it must be one of debug, info"),
        ("set-randomized-election-timeout 1", "the option timeout= must be given, above 0"),
        ("set-randomized-election-timeout 1 timeout=0", "the option timeout= must be given, above 0"),
        ("transfer-leadership from=1", "the options from= and to= must be given"),
        ("transfer-leadership from=1 to=9", "node 9: there are nodes 1 to 1"),
        ("campaign (1)", "cannot read '(1)' of the command 'campaign (1)'"),
        ("raft-state 1", "unknown argument or option: 1"),
    ],
)
def test_what_a_transcript_cannot_say(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in fault(tmp_path, f"{START}{text}\n----\nok\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("committed cfg=(1,2) idx=(1)\n----\n1\n", "idx: 1 values for the voters (1, 2)"),
        ("committed cfg=(1,1) idx=(1)\n----\n1\n", "a voter is named twice in one half"),
        ("committed cfg=(1) idx=(x)\n----\n1\n", "idx 'x': it must be a number"),
        ("vote cfg=(1) votes=(x)\n----\nVoteWon\n", "votes 'x': it must be one of y, n, _"),
        ("vote cfg=(1) votes=(y)\nv1\n----\nVoteWon\n", "vote takes no input lines"),
        ("vote cfg=(1) votes=(y)\n----\nVoteWon\n\nsimple\n----\nok\n", "unknown command 'simple'"),
        ("vote cfg=(1) votes=(y) idx=(1)\n----\nVoteWon\n", "unknown argument or option: idx="),
        ("simple\nv1\n----\nvoters=(1)\n1: StateProbe match=0 next=1\n\nvote\n----\n-\n", "unknown command 'vote'"),
        ("simple now\nv1\n----\nok\n", "unknown argument or option: now"),
        ("", "no commands in this file"),
        ("# nothing\n\n", "no commands in this file"),
        ("campaign 1\n", "line 1: no ---- after the command 'campaign 1'"),
        ("campaign 1\n\n----\nok\n", "line 1: no ---- after the command 'campaign 1'"),
        ("log-level none\n----\n----\nok\n", "line 1: the framed output has no end"),
    ],
)
def test_what_a_file_cannot_be(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in fault(tmp_path, text)


def test_a_message_that_changes_on_its_way_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "add-nodes 2 voters=(1,2) index=5\n----\nok\n\ncampaign 1\n----\nok\n\nprocess-ready 1\n----\nx\n"

    def another(kind: int, body: bytes) -> Message:
        return Message(kind, index=99)

    monkeypatch.setattr(replay_module, "decode_message", another)
    result = replayed(tmp_path, text, through_codec=True)
    assert result.difference is not None
    assert "arrives through the codec as" in str(result.difference)


def test_local_messages_do_not_cross_the_network() -> None:
    assert is_local(Message(MessageType.MsgAppResp, to=1, from_=1))
    assert is_local(Message(MessageType.MsgStorageAppend, to=LOCAL_APPEND_THREAD, from_=1))
    assert is_local(Message(MessageType.MsgStorageAppendResp, to=1, from_=LOCAL_APPEND_THREAD))
    assert not is_local(Message(MessageType.MsgApp, to=2, from_=1))


# What it reads


def test_commands_and_arguments() -> None:
    assert parse_command("add-nodes 3 voters=(1, 2,3) index=5 content= drop=()") == (
        "add-nodes",
        (
            Argument("3"),
            Argument("voters", ("1", "2", "3")),
            Argument("index", ("5",)),
            Argument("content", ("",)),
            Argument("drop", ()),
        ),
    )
    assert parse_command('propose 1 "a"') == ("propose", (Argument("1"), Argument('"a"')))
    with pytest.raises(TranscriptError, match="a command begins with its name"):
        parse_command("voters=(1)")


def test_files() -> None:
    text = "# c\n\none a \\\n  b\nin 1\nin 2\n----\nout 1\nout 2\n\n\n# d\n"
    text += "two\n----\n----\nx\n\n\ny\n----\n----\n\nthree\n----\n"
    first, second, third = parse(text)
    assert (first.line, first.text, first.name) == (3, "one a b", "one")
    assert (first.arguments, first.input) == ((Argument("a"), Argument("b")), ("in 1", "in 2"))
    assert first.expected == ("out 1", "out 2")
    assert (second.line, second.expected) == (13, ("x", "", "", "y"))
    assert (third.line, third.expected) == (23, ())


# What it prints


def test_quoting_is_that_of_go() -> None:
    assert quote(b'a"b\\c') == '"a\\"b\\\\c"'
    assert quote(b"\x00\x07\x08\x0c\n\r\t\x0b\x7f") == '"\\x00\\a\\b\\f\\n\\r\\t\\v\\x7f"'
    assert quote("é世\u200b\U000e0001".encode()) == '"é世\\u200b\\U000e0001"'
    assert quote(b"\xff\xc3") == '"\\xff\\xc3"'


def test_entries() -> None:
    assert describe_entry(Entry(1, 2, EntryKind.EntryNormal, b"x y ")) == '1/2 EntryNormal "x y "'
    assert describe_entry(Entry(1, 2, EntryKind.EntryNoop)) == '1/2 EntryNormal ""'
    assert describe_entry(Entry(1, 2, EntryKind.EntryConfChangeV2)) == "1/2 EntryConfChangeV2"
    text = describe_entry(Entry(1, 2, EntryKind.EntryConfChange, b"?"))
    assert text == "1/2 EntryConfChange configuration change of 1 bytes: it has at least 9"


def test_messages() -> None:
    message = Message(
        MessageType.MsgStorageAppend, to=LOCAL_APPEND_THREAD, from_=10, term=3, commit=2, vote=1,
        entries=Entries.build([Entry(3, 5), Entry(3, 6)]), snapshot=Snapshot(4, 2),
        responses=[Message(MessageType.MsgAppResp, to=1, from_=10, reject=True, reject_hint=7)],
    )  # fmt: skip
    nobody = "Voters:[] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false"
    with_responses = describe_message(message).split("\n")
    assert with_responses == [
        "a->AppendThread MsgStorageAppend Term:3 Log:0/0 Commit:2 Vote:1 Entries:[",
        '  3/5 EntryNormal ""',
        '  3/6 EntryNormal ""',
        "]",
        f"  Snapshot: Index:4 Term:2 ConfState:{nobody} Responses:[",
        "  a->1 MsgAppResp Term:0 Log:0/0 Rejected (Hint: 7)",
        "]",
    ]
    assert describe_message(message, responses=False).split("\n")[-1] == with_responses[4].removesuffix(" Responses:[")
    assert describe_target(0) == "None"


def test_forwarded_proposals_have_no_term_and_index_yet(tmp_path: Path) -> None:
    text = """add-nodes 2 voters=(1,2) index=2
----
ok

campaign 1
----
ok

stabilize log-level=none
----
ok

propose 2 foo
----
ok

propose-conf-change 2
l3
----
ok

process-ready 2
----
Ready MustSync=false:
Messages:
2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "foo"]
2->1 MsgProp Term:0 Log:0/0 Entries:[0/0 EntryConfChangeV2 l3]
"""
    assert replayed(tmp_path, text).difference is None
    entries = Entries.build([Entry(1, 1), Entry(1, 2)])
    message = Message(MessageType.MsgProp, to=1, from_=2, entries=entries)
    assert describe_message(message).split("\n")[1:3] == ['  0/0 EntryNormal ""'] * 2


def test_levels() -> None:
    output = Output()
    output.set_level("warn")
    output.log("info", "unheard")
    output.log("warning", "heard")
    assert output.take() == ["WARN heard"]
    with output.at_level("none"):
        output.write("unheard")
        output.error("always heard")
        assert output.quiet
    assert not output.quiet
    with output.indented():
        output.write("two\nlines")
    assert output.take() == ["always heard", "  two", "  lines"]
    assert output.take() == ["ok"]


def test_nodes_of_several_commands_are_told_apart(tmp_path: Path) -> None:
    text = (
        "add-nodes 2 voters=(1,2) index=5\n----\nok\n\nprocess-ready 1 2\n----\n> 1 handling Ready\n  <empty Ready>\n"
    )
    assert replayed(tmp_path, text + "> 2 handling Ready\n  <empty Ready>\n").difference is None


# The command


def test_exit_status_and_a_line_for_each_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "good.txt").write_text(START)
    (tmp_path / "sub" / "bad.txt").write_text(START + "raft-log 1\n----\nok\n")
    assert main([str(tmp_path / "good.txt")]) == 0
    assert capsys.readouterr().out == f"ok {tmp_path}/good.txt (1 commands)\n"
    assert main([str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert [line for line in captured.out.split("\n") if not line.startswith(" ")] == [
        f"ok {tmp_path}/good.txt (1 commands)",
        f"FAILED {tmp_path}/sub/bad.txt:5: raft-log 1",
        "",
    ]
    assert captured.err == "1 of 2 files differ\n"


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/missing: no such file\n"
    assert main([str(tmp_path)]) == 2
    assert "no .txt file in this folder" in capsys.readouterr().err


def test_a_folder_is_every_text_file_below_it(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", "a/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files([tmp_path]) == [tmp_path / "a" / "c.txt", tmp_path / "b.txt"]


def test_the_folder_without_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAFTPY_TRANSCRIPTS", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("RAFTPY_TRANSCRIPTS")
    assert default_folder() == ROOT.parent / "shared" / "interaction"


def test_as_a_command() -> None:
    """`python -m tests.interaction` from the root, in a process of its own."""
    own = ROOT / "tests" / "interaction" / "transcripts" / "single_node.txt"
    command = [sys.executable, "-m", "tests.interaction", str(own)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ok {own} (10 commands)\n", "")
