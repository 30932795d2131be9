"""Builds the peers' programs, where their toolchains are, into a cache that git ignores."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "benchmarks" / "peers"
CACHE = ROOT / ".peers"
LANGUAGES = {"etcdraft": "go", "hashicorp": "go", "dragonboat": "go", "porcupine": "go", "raftrs": "cargo"}
BUILD_S = 1800.0


def missing(tool: str) -> str | None:
    """Why programs of a toolchain cannot be built here; None when they can."""
    return None if shutil.which(tool) else f"not installed: it needs {tool}"


def program(name: str) -> Path:
    """Where a peer's program lies once it is built."""
    return CACHE / "bin" / name


def sources(name: str) -> list[Path]:
    """All files that a peer is built from, the shared harness of the Go peers included."""
    folders = [PEERS / name] + ([PEERS / "harness"] if LANGUAGES[name] == "go" else [])
    kinds = {".go", ".mod", ".sum", ".rs", ".toml"}
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in kinds)


def digest(name: str) -> str:
    """Tells one state of a peer's sources from another."""
    text = hashlib.blake2b(digest_size=16)
    for path in sources(name):
        text.update(path.relative_to(PEERS).as_posix().encode() + b"\0" + path.read_bytes())
    return text.hexdigest()


def is_built(name: str) -> bool:
    """Whether the program is there and was made from the sources as they are now."""
    mark = CACHE / "bin" / f"{name}.sources"
    return program(name).exists() and mark.exists() and mark.read_text() == digest(name)


def build(name: str) -> None:
    """Builds a peer unless it is built; minutes the first time, because it fetches and compiles its dependencies.

    RuntimeError with the last lines of the compiler when that fails.
    """
    if is_built(name):
        return
    target = program(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if LANGUAGES[name] == "go":
        _run(name, ["go", "build", "-o", str(target), "."], os.environ.copy())
    else:
        environment = {**os.environ, "CARGO_TARGET_DIR": str(CACHE / "target")}
        if (protoc := find_protoc(name)) is not None:
            environment["PROTOC"] = protoc
        _run(name, ["cargo", "build", "--release"], environment)
        shutil.copy2(CACHE / "target" / "release" / name, target)
    (target.parent / f"{name}.sources").write_text(digest(name))


def _run(name: str, command: list[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            command, cwd=PEERS / name, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"building {name} took more than {BUILD_S:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"building {name} failed:\n" + "\n".join(done.stderr.strip().splitlines()[-8:]))
    return done.stdout


def find_protoc(name: str) -> str | None:
    """The protocol compiler that raft-rs's build asks for: the machine's own, or the one that comes with a crate."""
    if found := shutil.which("protoc"):
        return found
    known = json.loads(_run(name, ["cargo", "metadata", "--format-version", "1"], os.environ.copy()))
    for package in known["packages"]:
        if package["name"] == "protobuf-build":
            machine = os.uname()
            kind = "osx" if machine.sysname == "Darwin" else "linux"
            processor = {"aarch64": "aarch_64", "arm64": "x86_64"}.get(machine.machine, machine.machine)
            bundled = Path(package["manifest_path"]).parent / "bin" / f"protoc-{kind}-{processor}"
            if bundled.exists():
                return str(bundled)
    return None


def versions(name: str) -> dict[str, str]:
    """The libraries that a peer's program is made of and their versions, as its sources ask for them."""
    if LANGUAGES[name] == "cargo":
        text = (PEERS / name / "Cargo.toml").read_text()
        return {"raft-rs": found[1]} if (found := re.search(r'raft = \{ version = "=([^"]+)"', text)) else {}
    text = (PEERS / name / "go.mod").read_text()
    wanted = re.findall(r"^\s*(?:require )?(\S+) (v\S+)$", text, re.MULTILINE)
    left_out = ("harness", "go.uber.org/zap", "github.com/hashicorp/go-hclog")
    return {module.split("/", 1)[-1]: version for module, version in wanted if module not in left_out}
