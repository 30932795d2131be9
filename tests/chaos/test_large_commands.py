"""Commands as large as they may be, while small ones go on: nobody loses leadership for them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from random import Random

from tests.chaos.nodes import all_alike, put, status
from tests.cli.support import cluster_of, wait_for_leader

SIZE = (16 << 20) - 1000
COUNT = 4
OPTIONS = ["--election-ms", "500-1000"]
"""The machine that runs the tests may give a process no time for longer than the shortest timeout by default."""


def test_they_cost_no_leader_its_place(tmp_path: Path, seed: int) -> None:
    with cluster_of(3, tmp_path, options=OPTIONS) as cluster:
        term = status(cluster, wait_for_leader(cluster))["term"]
        ends = threading.Event()
        small: dict[str, bytes] = {}
        slowest = [0.0]

        def go_on() -> None:
            while not ends.is_set():
                begun = time.monotonic()
                key = f"small{len(small)}"
                put(cluster, key, b"value")
                small[key] = b"value"
                slowest[0] = max(slowest[0], time.monotonic() - begun)
                time.sleep(0.005)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            values = {f"large{number}": Random(seed + number).randbytes(SIZE) for number in range(COUNT)}
            for key, value in values.items():
                put(cluster, key, value)
        finally:
            ends.set()
            thread.join()
        print(f"{len(small)} small ones meanwhile, the slowest took {slowest[0]:.3f} s")
        assert len(small) > COUNT
        assert {status(cluster, node_id)["term"] for node_id in cluster.ids} == {term}
        all_alike(cluster, {**values, **small})
