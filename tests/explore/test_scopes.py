"""Small scopes, whole: every state of a cluster of real cores keeps every rule. The large ones: docs/testing.md."""

from __future__ import annotations

import pytest

from tests.explore import report
from tests.explore.scope import PRESETS, Scope
from tests.explore.search import Search


def explored(scope: Scope) -> None:
    search = Search(scope)
    result = search.run()
    assert result.broken is None, "\n".join([str(result.broken), *report.story(search, result)])
    assert result.complete


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(log=1, heartbeats=1),
        Scope(log=1, crashes=1),
        Scope(nodes=2, log=1, pre_vote=True, check_quorum=True),
        Scope(**{**PRESETS["prevote"], "log": 1}),
        Scope(**PRESETS["witness"]),
        Scope(log=0, priority=True),
        Scope(log=0, transfers=1),
        Scope(terms=1, log=1, reads=1),
        Scope(log=1, change="remove"),
        Scope(nodes=2, log=1, crashes=1, async_writes=True),
        Scope(terms=1, log=0, crashes=1, async_writes=True, waiting=1),
    ],
    ids=Scope.describe,
)
def test_no_rule_is_ever_broken(scope: Scope) -> None:
    explored(scope)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scope",
    [Scope(crashes=1), Scope(transfers=1), Scope(**PRESETS["prevote"]), Scope(terms=3), Scope(nodes=4, terms=1)],
    ids=Scope.describe,
)
def test_no_rule_is_ever_broken_in_more_states(scope: Scope) -> None:
    explored(scope)
