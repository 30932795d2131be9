"""One HTML file that shows a picture: it loads nothing, and works without a network."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.resources import files

from raftpy.sim.drawing.picture import MOST_EVENTS, picture
from raftpy.sim.outcome import Failure
from raftpy.sim.trace import Event


def page(
    events: Sequence[Event],
    failure: Failure | None = None,
    *,
    title: str,
    start: float | None = None,
    end: float | None = None,
    most: int = MOST_EVENTS,
) -> str:
    """The text of the file.

    ``start`` and ``end``: what to draw, in virtual seconds; None: all. ``most``: so many events at the most, the
    newest; the page says what is left out. Raises ``ValueError`` for a range in which nothing happened.
    """
    drawn = json.dumps(picture(events, failure, start=start, end=end, most=most), separators=(",", ":"))
    # Inside a script element nothing is unescaped; "</script" and "<!--" would end it, in whatever text of a command.
    for sign in "<>&\u2028\u2029":
        drawn = drawn.replace(sign, f"\\u{ord(sign):04x}")
    parts = {
        "TITLE": html.escape(title),
        "STYLE": _text("page.css"),
        "SCRIPT": "".join(_text(name) for name in ("model.js", "drawing.js", "listing.js", "page.js")),
        "DATA": drawn,
    }
    text, *rest = _text("page.html").split("{{")
    for piece in rest:
        name, _, after = piece.partition("}}")
        text += parts[name] + after
    return text


def _text(name: str) -> str:
    return (files("raftpy.sim.drawing") / name).read_text(encoding="utf-8")
