"""Every extension module has a stub beside it, and no stub is left without its module."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("raftcore", "raftpy")


def sources(suffix: str) -> set[Path]:
    """Paths, without suffix, of all files of the two packages that end in `suffix`."""
    return {p.relative_to(ROOT).with_suffix("") for name in PACKAGES for p in (ROOT / name).rglob("*" + suffix)}


def test_every_extension_has_a_stub() -> None:
    assert sorted(sources(".pyx") - sources(".pyi")) == []


def test_every_stub_has_an_extension() -> None:
    assert sorted(sources(".pyi") - sources(".pyx")) == []


def test_packages_are_marked_as_typed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()] == []
