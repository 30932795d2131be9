"""Every transcript and every table, replayed: the shared ones of etcd/raft, and our own for a stranger's clone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interaction import default_folder
from tests.interaction.replay import replay

OWN = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))
# Known beforehand, so that where the folder is missing the tests exist and are reported as left out.
KNOWN = [
    *(f"confchange/{name}.txt" for name in ("joint_autoleave", "joint_safety", "simple_safety", "update")),
    *(f"quorum/{name}.txt" for name in ("joint_commit", "majority_vote")),
    "transcripts/async_storage_writes.txt",
    "transcripts/campaign.txt",
    "transcripts/checkquorum.txt",
    "transcripts/confchange_v1_add_single.txt",
    "transcripts/confchange_v1_remove_leader.txt",
    "transcripts/confchange_v2_add_double_implicit.txt",
    "transcripts/confchange_v2_add_single_auto.txt",
    "transcripts/confchange_v2_replace_leader.txt",
    "transcripts/forget_leader.txt",
    "transcripts/heartbeat_resp_recovers_from_probing.txt",
    "transcripts/prevote.txt",
    "transcripts/probe_and_replicate.txt",
    "transcripts/single_node.txt",
    "transcripts/slow_follower_after_compaction.txt",
]
# Whatever else is in the folder is replayed as well.
SHARED = sorted({*KNOWN, *(path.relative_to(default_folder()).as_posix() for path in default_folder().rglob("*.txt"))})


@pytest.mark.parametrize("through_codec", [False, True], ids=["memory", "codec"])
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_own(path: Path, through_codec: bool) -> None:
    result = replay(path, through_codec=through_codec)
    assert result.difference is None, str(result)
    assert result.commands > 0


@pytest.mark.needs_shared
@pytest.mark.parametrize("through_codec", [False, True], ids=["memory", "codec"])
@pytest.mark.parametrize("name", SHARED)
def test_shared(name: str, through_codec: bool) -> None:
    result = replay(default_folder() / name, through_codec=through_codec)
    assert result.difference is None, str(result)
    assert result.commands > 0


def test_there_are_own_transcripts() -> None:
    assert len(OWN) >= 15
