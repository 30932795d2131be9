"""Mistakes in the lanes of appends to far peers (docs/wire-format.md, "Lanes")."""

from tests.seeded_bugs.bug import Bug

NEAR = "tests/transport/test_lanes.py"
SENT = "tests/unit/test_fragments_sent.py"
LANES = "raftpy/transport/exchange/lanes.py"

BUGS = (
    Bug(
        name="lane-handed-out-as-it-comes",
        breaks="datagrams of a lane are handed out by their numbers (docs/wire-format.md)",
        file=LANES,
        old="        if number < self._next or number in self._held:\n",
        new="        if number != 0:\n",
        near=NEAR,
    ),
    Bug(
        name="lane-waits-for-what-was-given-up",
        breaks="what is older than the oldest of a lane is not waited for (docs/wire-format.md)",
        file=LANES,
        old="        self._skip_to(oldest, out)\n",
        new="",
        near=NEAR,
    ),
    Bug(
        name="lane-waits-for-ever",
        breaks="what is missing in a lane is waited for for 3 seconds (docs/wire-format.md)",
        file=LANES,
        old="or now_us - self._oldest_us() > HELD_US",
        new="",
        near=NEAR,
    ),
    Bug(
        name="lane-held-without-a-bound",
        breaks="so many bytes of a lane wait at the receiver, and no more (docs/wire-format.md)",
        file=LANES,
        old="(self._is_too_much() or now_us",
        new="(now_us",
        near=NEAR,
    ),
    Bug(
        name="lane-runs-ahead-of-what-is-missing",
        breaks="no number of a lane is under way that is larger by 400 than the oldest (docs/wire-format.md)",
        file=LANES,
        old=">= MOST_APART:\n            return None\n",
        new=">= MOST_APART:\n            pass\n",
        near=NEAR,
    ),
    Bug(
        name="lane-of-an-earlier-incarnation-goes-on",
        breaks="of another incarnation of a peer nothing is known (docs/design.md, fragments)",
        file="raftpy/transport/datagram/paths.py",
        old="        peer.round_trips.clear()\n",
        new="        return\n",
        near=NEAR,
    ),
    Bug(
        name="lane-to-one-who-knows-none",
        breaks="who does not say that it takes lanes is sent none (docs/wire-format.md)",
        file="raftpy/transport/datagram/known.py",
        old="        told = peer.takes is not None and peer.lanes > 0\n",
        new="        told = peer.takes is not None\n",
        near=NEAR,
    ),
    Bug(
        name="commits-overtake-their-lane",
        breaks="appends to a far peer go in a lane, also those without entries (docs/wire-format.md)",
        file="raftpy/transport/datagram/fragments.py",
        old="        if not (peer.far and message.type == MessageType.MsgApp and outgoing.room >= GATHERED):\n",
        new="        if not (peer.far and message.entries is not None and outgoing.room >= GATHERED):\n",
        near=NEAR,
    ),
    Bug(
        name="urgent-messages-wait-for-the-others",
        breaks="messages of a lane go before all others (docs/wire-format.md)",
        file="raftcore/wire/outgoing.pyx",
        old="        if urgent is not None:\n            return urgent\n",
        new="        if urgent is not None and patient is None:\n            return urgent\n",
        near=SENT,
    ),
    Bug(
        name="numbers-of-messages-fall",
        breaks="numbers of messages rise, and what is older than what was forgotten is over (docs/wire-format.md)",
        file="raftcore/wire/outgoing.pyx",
        old="        message.number = self.last = max(message.number, self.last + 1)\n",
        new="",
        near=SENT,
    ),
)
