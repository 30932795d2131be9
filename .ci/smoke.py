"""What an installed raftpy must do anywhere: the example of the README, and a demo with its own kill -9.

Run by .ci/wheel.py outside the source tree, so that everything comes from the installation.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import raftcore
import raftpy
from raftpy.system.leveldb import BINDING

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    for package in (raftcore, raftpy):
        place = Path(str(package.__file__)).resolve()
        if place.is_relative_to(ROOT):
            raise SystemExit(f"{package.__name__} comes from the source tree: {place}")
    print(f"raftpy {raftpy.__version__} on Python {sys.version.split()[0]} and {BINDING}", flush=True)
    subprocess.run([sys.executable, ROOT / "examples" / "tally.py"], check=True, timeout=60)
    raftpy_command = Path(sys.executable).with_name("raftpy")
    subprocess.run([raftpy_command, "demo", "--seconds", "5"], check=True, timeout=90)


if __name__ == "__main__":
    main()
