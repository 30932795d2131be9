"""Core and model on random schedules, and the proof that a difference would be seen."""

from __future__ import annotations

import pytest

from tests.model.__main__ import main
from tests.model.check import check, shrink
from tests.model.elections import Elections
from tests.model.progress import Progress
from tests.model.report import replay_command, report

STEPS = 600
SEEDS = 60  # about 10 seconds on a quiet machine


def expect_no_difference(first: int, count: int) -> None:
    for seed in range(first, first + count):
        result = check(seed, STEPS)
        assert result.what is None, f"{report(result, STEPS)}\nreplay: {replay_command(result, STEPS)}"


def test_core_and_model_do_the_same(seed: int) -> None:
    expect_no_difference(seed, SEEDS)


def test_the_seeds_that_once_showed_something() -> None:
    """Seeds 0 to 29: a forwarded proposal that was taken apart, answers to a former leadership that counted."""
    expect_no_difference(0, 30)


@pytest.mark.slow
def test_core_and_model_do_the_same_for_longer(seed: int) -> None:
    expect_no_difference(seed + 1_000_000, 5 * SEEDS)


def test_a_schedule_is_the_same_every_time() -> None:
    first, again = check(11, STEPS), check(11, STEPS)
    assert [done.what for done in first.history] == [done.what for done in again.history]
    assert first.calls == again.calls > STEPS // 2


def test_a_difference_is_found_shrunk_and_replayed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe_one_too_late(self: Progress) -> None:
        self.enter("StateProbe")
        self.next = self.match + 2

    monkeypatch.setattr(Progress, "probe", probe_one_too_late)
    assert main(["--seeds", "50", "--shrink", "3"]) == 1
    printed = capsys.readouterr().out
    assert "- core, + model:" in printed
    last, summary = printed.splitlines()[-2:]
    assert "1 differences" in summary
    arguments = last.removeprefix("replay: python -m tests.model ").split()
    assert arguments[-2] == "--only"
    assert main(arguments) == 1
    monkeypatch.undo()
    assert main(arguments) == 0


def test_shrinking_keeps_a_difference_and_is_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Elections, "patience", lambda self: 1)
    found = check(0, STEPS)
    assert found.what is not None
    shorter = shrink(found, STEPS, seconds=3)
    assert shorter.what is not None
    assert len(shorter.numbers) <= len(found.numbers)
    assert check(0, STEPS, shorter.numbers).what == shorter.what


@pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--steps", "0"], ["--only", "600"], ["--only", "-1,2"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
