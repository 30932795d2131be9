"""Mistakes in what makes up for a lost fragment (docs/wire-format.md, "Parities")."""

from tests.seeded_bugs.bug import Bug

NEAR = "tests/unit/test_parity.py"
PARITY = "raftcore/wire/parity.pyx"
INCOMING = "raftcore/wire/incoming.pyx"

BUGS = (
    Bug(
        name="what-was-made-up-for-acknowledged",
        breaks="a fragment that was made up for is lost to its sender, and counts as lost (docs/wire-format.md)",
        file=INCOMING,
        old="            self.restored += 1\n",
        new="            self.restored += 1\n            self.note(fragment.packet)\n",
        near=NEAR,
    ),
    Bug(
        name="parity-of-what-nobody-waits-for",
        breaks="no parity leaves where no message of a lane is in the group (docs/wire-format.md)",
        file=PARITY,
        old="        if (not self.takes or not self.urgent or not closes(packet)",
        new="        if (not self.takes or not closes(packet)",
        near=NEAR,
    ),
    Bug(
        name="parity-larger-than-datagrams-are-by-now",
        breaks="no datagram is larger than the path takes (docs/wire-format.md)",
        file=PARITY,
        old=" or self.sum.size > FIELDS_SIZE + step):\n",
        new="):\n",
        near=NEAR,
    ),
    Bug(
        name="fragment-in-the-place-of-a-parity-added-up",
        breaks="the last datagram of a group is no parity where it holds a fragment (docs/wire-format.md)",
        file=INCOMING,
        old="        if self.groups is not None and not closes(fragment.packet):\n",
        new="        if self.groups is not None:\n",
        near=NEAR,
    ),
    Bug(
        name="datagram-that-came-twice-added-up-twice",
        breaks="a datagram may come any number of times (docs/wire-format.md)",
        file=PARITY,
        old="        if group < found.group or found.have >> (packet % GROUP) & 1:\n",
        new="        if group < found.group:\n",
        near=NEAR,
    ),
    Bug(
        name="datagram-of-an-earlier-group-added-to-a-later-one",
        breaks="the sum is that of the datagrams of one group (docs/wire-format.md)",
        file=PARITY,
        old="        if group < found.group or found.have >> (packet % GROUP) & 1:\n",
        new="        if found.have >> (packet % GROUP) & 1:\n",
        near=NEAR,
    ),
    Bug(
        name="sum-begins-with-what-the-last-group-left",
        breaks="the sum is that of the datagrams of one group (docs/wire-format.md)",
        file=PARITY,
        old="        self.have = self.size = 0\n",
        new="        self.have = 0\n",
        near=NEAR,
    ),
)
