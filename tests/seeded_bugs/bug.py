"""A seeded bug: what it replaces, and what it breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

GROUPS = ("tables", "model", "explorer")


class PatchError(Exception):
    """A record that no longer fits the source, or does not build: the list has to be mended, nothing was tested."""


@dataclass(frozen=True)
class Patch:
    """One mistake as a change of the source.

    Attributes:
        name: in words, with hyphens; unique.
        breaks: the rule that it breaks, and where the paper (or the thesis, or our documentation) states it.
        file: the source file, relative to the root.
        old: text that stands in the file exactly once.
        new: what the mistake makes of it.
    """

    name: str
    breaks: str
    file: str
    old: str
    new: str

    def patched(self, text: str) -> str:
        """The file's text with the mistake in it. PatchError when ``old`` is not there exactly once."""
        count = text.count(self.old)
        if count != 1:
            raise PatchError(
                f"{self.name}: patch no longer applies: its old text stands {count} times in {self.file}, not once"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Bug(Patch):
    """A mistake in the core.

    Attributes:
        found_by: the groups of finders that find it: "tables", "model", "explorer"; measured, not guessed.
        near: the test file that finds it soonest; asked first, so that a run stays short.
        seen: where it has really happened, if that is known: a project and the number of its issue.
    """

    found_by: tuple[str, ...] = ("tables",)
    near: str = ""
    seen: str = ""


_Patch = TypeVar("_Patch", bound=Patch)


def named(only: str | None, bugs: Sequence[_Patch]) -> list[_Patch]:
    """Those of ``bugs`` that ``only`` names, separated by commas; all for None. ValueError for a name that is not in
    the list, or none at all."""
    if only is None:
        return list(bugs)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = sorted(set(names) - {bug.name for bug in bugs})
    if unknown or not names:
        raise ValueError(f"no such bug: {', '.join(unknown) or repr(only)}; --list prints all")
    return [bug for bug in bugs if bug.name in names]
