"""Mistakes in how members come and go: what a change comes to, when it is done, and who is told that it was removed."""

from tests.seeded_bugs.bug import Bug

CHANGES = "raftpy/members/changes.py"
OPERATIONS = "raftpy/members/operations.py"
PLANNED = "tests/node/test_member_changes.py"
CHANGING = "tests/node/test_changing_members.py"

BUGS = (
    Bug(
        name="voter-of-an-unknown-store",
        breaks="a member is a voter only once its store stands in the table (design.md, decision 5)",
        file=CHANGES,
        old="        if not self._record(node_id).store_id:\n            raise",
        new="        if safe and not self._record(node_id).store_id:\n            raise",
        near=PLANNED,
    ),
    Bug(
        name="removed-id-added-again",
        breaks="an id that was removed is never a member's again",
        file=CHANGES,
        old="        self.used_up = set(now.table.removed)\n",
        new="        self.used_up: set[int] = set()\n",
        near=PLANNED,
    ),
    Bug(
        name="voters-that-are-down-make-a-majority",
        breaks="a change that leaves no majority of voters that are heard is refused where it is to be safe",
        file=CHANGES,
        old="node_id == self.now.own_id or self.now.reachable(node_id)}",
        new="node_id == self.now.own_id or True}",
        near=PLANNED,
    ),
    Bug(
        name="first-member-waits-for-who-was-removed",
        breaks="nobody is removed while a first member is new, which would wait for it for ever",
        file=CHANGES,
        old="        self._check_heard()\n",
        new="",
        near=PLANNED,
    ),
    Bug(
        name="change-done-where-it-is-applied",
        breaks="a change of the members is done once an entry behind it is committed (design.md, decision 5)",
        file=OPERATIONS,
        old="            request.applied = not self._raw.conf_state.voters_outgoing\n",
        new="            request.done.set_result(index)\n",
        near=CHANGING,
    ),
    Bug(
        name="removed-node-told-before-it-is-known-for-good",
        breaks="who was removed is told so once an entry behind it is committed: until then its vote may be needed",
        file=OPERATIONS,
        old=" if member.index < self._raw.conf_index\n",
        new="\n",
        near=CHANGING,
    ),
    Bug(
        name="removal-of-a-former-leader-left-alone",
        breaks="the leader sees to an entry behind each removal, also of a former leader's",
        file=OPERATIONS,
        old="if alone or self._to_be_confirmed() else None\n",
        new="if self._to_be_confirmed() else None\n",
        near=CHANGING,
    ),
    Bug(
        name="expected-configuration-not-compared",
        breaks="a change that is meant for another configuration is refused",
        file=OPERATIONS,
        old="request.expected is not None and request.expected != raw.conf_index:\n",
        new="request.expected is not None and request.expected > raw.conf_index:\n",
        near=CHANGING,
    ),
    Bug(
        name="old-notice-of-removal-heeded",
        breaks="a notice of a removal that is older than the receiver's configuration does nothing",
        file="raftpy/runtime/driver.py",
        old="        if index > self.first.raw.conf_index or (known",
        new="        if index or (known",
        near=CHANGING,
    ),
    Bug(
        name="removal-not-in-a-snapshot",
        breaks="a member table says who was removed, also as bytes (wire-format.md)",
        file="raftpy/members/table.py",
        old="        if not self._removed:\n            return plain\n",
        new="        if len(self._removed) < 9:\n            return plain\n",
        near="tests/node/test_members.py",
    ),
    Bug(
        name="contact-counted-as-a-first-member",
        breaks="a first member asks the first members whether it is known, and nobody else (founding.py)",
        file="raftpy/runtime/founding.py",
        old="if self._joins else members\n",
        new="if self._id else members\n",
        near="tests/node/test_founding_questions.py",
    ),
)
