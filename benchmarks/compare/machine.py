"""What a measurement was made on and with: a figure without it says nothing."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.compare import build


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=build.ROOT)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"


def _found(path: str, pattern: str) -> str:
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return "unknown"
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else "unknown"


def file_system(folder: Path) -> str:
    """The type of the file system that a folder lies on, as far as Linux says: on tmpfs a sync costs nothing."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    where = folder.resolve()
    best, kind = 0, "unknown"
    for line in lines:
        _, mounted, this, *_ = line.split(" ")
        if where.is_relative_to(mounted) and len(mounted) >= best:
            best, kind = len(mounted), this
    return kind


def machine(folder: Path) -> dict[str, str]:
    """Processor, memory, system and disk."""
    processor = _found("/proc/cpuinfo", r"^model name\s*: (.*)$")
    memory = _found("/proc/meminfo", r"^MemTotal:\s+(\d+) kB")
    return {
        "processor": f"{processor}, {os.cpu_count()} logical cores",
        "memory": f"{int(memory) / (1 << 20):.0f} GiB" if memory.isdigit() else memory,
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "file system of the data": file_system(folder),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
    }


def _distribution(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def versions(systems: list[str]) -> dict[str, str]:
    """Versions of raftpy, of what it runs on, and of the peers measured beside it."""
    revision = _output("git", "describe", "--always", "--dirty", "--exclude", "*")
    found = {
        "raftpy": f"{_distribution('raftpy')} ({revision})",
        "Python": f"{platform.python_version()}, {platform.python_compiler()}",
        "plyvel": _distribution("plyvel" if _distribution("plyvel") != "not installed" else "plyvel-next"),
    }
    programs = {"hashicorp-wal": "hashicorp", "etcd-raft": "etcdraft", "dragonboat-tan": "dragonboat"}
    go = [program for name, program in programs.items() if name in systems]
    if go:
        found["Go"] = _output("go", "version").removeprefix("go version ")
    for program in go:
        found |= build.versions(program)
    if "raft-rs" in systems:
        found["Rust"] = _output("rustc", "--version")
        found |= build.versions("raftrs")
    if "pysyncobj" in systems:
        found["PySyncObj"] = _distribution("pysyncobj")
    return found
