"""Entries of the runtime's own: what the context of a configuration change says.

    nothing                                 of a change that says nothing else
    member records, versions 1 and 2        as they stand (table.py): every release reads them, so they are written so
    0, then a typed part                    everything else (raftpy.contracts.typed): its header, then its contents

No member records begin with a 0, so the first byte tells. The header says whether the part must be understood. Whoever
does not know a part that must be stops there by name: passing over it would make another replica of this one, silently.
One that need not be understood is passed over. Releases before this form pass over all of it.
"""

from __future__ import annotations

from raftcore.base.errors import DecodeError
from raftpy.contracts.errors import NotUnderstood
from raftpy.contracts.typed import TypeHeader, unwrap, wrap

ENVELOPE = b"\0"
"""What a typed part has in front."""
MEMBERS = TypeHeader("members", 1)
"""Member records in their own byte form, which has a version of its own; also the section of a snapshot."""
KNOWN = {MEMBERS.name: MEMBERS.version}


def enveloped(header: TypeHeader, contents: bytes) -> bytes:
    """The context of an entry with such a part."""
    return ENVELOPE + wrap(header, contents)


def records_in(context: bytes, where: str) -> bytes:
    """The member records that a context holds, in their byte form, unread; empty where there are none for this release.

    Raises ``NotUnderstood``, which names ``where``, for a part that must be understood and is not, and for one of which
    not even that can be read.
    """
    if not context.startswith(ENVELOPE):
        return context
    try:
        header, contents = unwrap(context[len(ENVELOPE) :])
    except DecodeError as error:
        form = context[1] if len(context) > 1 else 0
        raise NotUnderstood(where, f"header of an entry ({error})", form) from None
    return contents if header.is_understood(KNOWN, where) else b""
