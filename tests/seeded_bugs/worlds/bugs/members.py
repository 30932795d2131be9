"""Mistakes in how members come and go, as worlds see them: who is met, who is told, and what the table says."""

from tests.seeded_bugs.bug import Patch

OPERATIONS = "raftpy/members/operations.py"
DRIVER = "raftpy/runtime/driver.py"

BUGS = (
    Patch(
        name="new-members-not-spoken-to",
        breaks="whom a node speaks to follows the configuration that it has applied (design.md, decision 5)",
        file=DRIVER,
        old="        self._loop.call_soon(self._meet)\n",
        new="        pass\n",
    ),
    Patch(
        name="removed-member-never-told",
        breaks="who was removed is told so when it speaks (gate.py)",
        file="raftpy/transport/identity/gate.py",
        old="        self._refuse(peer, header, encode_removal(removed.index))\n",
        new="",
    ),
    Patch(
        name="removal-under-an-index-of-its-own",
        breaks="a table is the same on every replica at the same index (table.py)",
        file=OPERATIONS,
        old="            self.table.remove(node_id, index)\n",
        new="            self.table.remove(node_id, self._raw.last_index)\n",
    ),
    Patch(
        name="removal-not-in-the-table-of-a-snapshot",
        breaks="a member table says who was removed, also as bytes (wire-format.md)",
        file="raftpy/members/table.py",
        old="        if not self._removed:\n            return plain\n",
        new="        if len(self._removed) < 9:\n            return plain\n",
    ),
    Patch(
        name="no-entry-behind-a-removal",
        breaks="the leader sees to an entry behind each removal, so that who was removed can end",
        file=OPERATIONS,
        old="if alone or self._to_be_confirmed() else None\n",
        new="if False else None\n",
    ),
)
