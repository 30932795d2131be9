"""Each setting of the core has its bounds; what lies beyond them is refused by name and value."""

from __future__ import annotations

from typing import Any

import pytest

from raftcore import UNLIMITED, Config
from raftcore.base.errors import ConfigError

LEASE = {"check_quorum": True, "read_only": "lease"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"id": 0}, r"id must be 1 to 18446744073709551613, not 0"),
        ({"id": 2**64 - 2}, r"id must be 1 to 18446744073709551613, not 18446744073709551614"),
        ({"heartbeat_tick": 0}, "heartbeat_tick must be at least 1, not 0"),
        ({"election_tick": 3, "heartbeat_tick": 3}, r"above heartbeat_tick \(3\) and below 2\*\*30, not 3"),
        (
            {"heartbeat_tick": 2, "quiet_heartbeat_tick": 1},
            r"quiet_heartbeat_tick must be 0, or at least heartbeat_tick \(2\) and below election_tick \(10\), not 1",
        ),
        ({"quiet_heartbeat_tick": 10}, r"quiet_heartbeat_tick .* below election_tick \(10\), not 10"),
        ({"quiet_heartbeat_tick": -1}, r"quiet_heartbeat_tick must be 0, or .* not -1"),
        ({"election_tick": 1 << 30}, r"election_tick must be .* below 2\*\*30, not 1073741824"),
        ({"max_inflight_msgs": 0}, r"max_inflight_msgs must be 1 to 2\*\*31 - 1, not 0"),
        ({"max_inflight_msgs": 1 << 31}, r"max_inflight_msgs must be 1 to 2\*\*31 - 1, not 2147483648"),
        ({"max_size_per_msg": -1}, r"max_size_per_msg must be 0 to 2\*\*64 - 1, not -1"),
        ({"max_committed_size_per_ready": UNLIMITED + 1}, "max_committed_size_per_ready must be"),
        ({"max_uncommitted_size": -1}, "max_uncommitted_size must be"),
        ({"applied": -1}, "applied must be"),
        ({"seed": -1}, "seed must be"),
        ({"max_inflight_bytes": 0}, r"max_inflight_bytes must be 1 to 2\*\*64 - 1, not 0"),
        (
            {"max_size_per_msg": 100, "max_inflight_bytes": 99},
            r"max_inflight_bytes must be at least max_size_per_msg \(100\), not 99",
        ),
        ({"max_window_bytes": -1}, r"max_window_bytes must be 0 to 2\*\*64 - 1, not -1"),
        ({"max_window_entries": UNLIMITED + 1}, "max_window_entries must be"),
        ({"read_only": "fast"}, "read_only must be one of safe, lease, not 'fast'"),
        ({"read_only": "lease-based"}, "read_only must be one of safe, lease, not 'lease-based'"),
        ({"read_only": "lease", "lease_ms": 5}, "read_only='lease' needs check_quorum=True, not False"),
        ({**LEASE, "lease_ms": 0}, "lease_ms must be above 0 with read_only='lease' and 0 otherwise, not 0"),
        ({**LEASE, "lease_ms": -5}, "lease_ms must be above 0 with .*, not -5"),
        ({"lease_ms": 5}, "lease_ms must be above 0 with read_only='lease' and 0 otherwise, not 5"),
        ({"max_reject_runs": -1}, r"max_reject_runs must be 0 to 2\*\*20 - 1, not -1"),
        ({"max_reject_runs": 1 << 20}, r"max_reject_runs must be 0 to 2\*\*20 - 1, not 1048576"),
        ({"priorities": {2: -1}}, r"the priority of node 2 must be 0 to 2\*\*31 - 1, not -1"),
        ({"priorities": {1: 0, 2: 1 << 31}}, r"the priority of node 2 must be .*, not 2147483648"),
    ],
)
def test_beyond_a_bound(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Config(**{"id": 1, **settings})


@pytest.mark.parametrize(
    "settings",
    [
        {"id": 2**64 - 3},
        {"heartbeat_tick": 1, "election_tick": 2},
        {"election_tick": (1 << 30) - 1},
        {"max_inflight_msgs": (1 << 31) - 1},
        {"max_size_per_msg": 100, "max_inflight_bytes": 100},
        {"max_size_per_msg": 0, "max_committed_size_per_ready": 0, "max_uncommitted_size": 0},
        {**LEASE, "lease_ms": 1},
        {"max_reject_runs": (1 << 20) - 1},
        {"priorities": {1: 0, 2: (1 << 31) - 1}},
    ],
)
def test_the_bounds_themselves(settings: dict[str, Any]) -> None:
    config = Config(**{"id": 1, **settings})
    assert all(getattr(config, name) == value for name, value in settings.items())
