"""A quick look at durable commits: a preset of ``benchmarks.compare``, raftpy beside the floor.

    python -m benchmarks.commit [--rounds 3] [--count N] [--seconds S] [--json FILE]

Sequential commits of 16 B and 1 KB, commits a second with 1,024 commands in flight, and the length of the outage after
kill -9 of the leader. The machine's speed drifts, so the ratio to the floor is what counts.
"""

from __future__ import annotations

import sys

from benchmarks.compare.__main__ import main

PRESET = ("--quick", "--system", "floor,raftpy", "--work", "seq16,seq1k,inflight16,failover")

if __name__ == "__main__":
    sys.exit(main([*PRESET, *sys.argv[1:]]))
