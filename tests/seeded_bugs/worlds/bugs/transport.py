"""Mistakes in the transport: who is believed, and what waits for whom."""

from tests.seeded_bugs.bug import Patch

BASE = "raftpy/transport/datagram/base.py"
RULES = "raftpy/transport/identity/rules.py"
GATE = "raftpy/transport/identity/gate.py"
EXCHANGE = "raftpy/transport/exchange/exchange.pyx"

BUGS = (
    Patch(
        name="damaged-datagram-taken",
        breaks="a damaged datagram is refused (docs/wire-format.md)",
        file=EXCHANGE,
        old=(
            "            elif not whole(datagram):\n"
            "                self.counters.malformed += 1\n"
            "                continue\n"
        ),
        new="",
    ),
    Patch(
        name="datagram-to-an-earlier-incarnation-taken",
        breaks="what was said to an earlier incarnation does nothing (rules.py 2)",
        file=RULES,
        old="    if header.to_store == own_store and header.to_boot == own_boot:\n",
        new="    if header.to_store == own_store and header.to_boot >> BOOT_SHIFT:\n",
    ),
    Patch(
        name="older-incarnation-comes-back",
        breaks="a delayed datagram never brings an older incarnation back (rules.py 2)",
        file=RULES,
        old="        if counter < known_counter:\n            return Verdict.STALE_BOOT\n",
        new="",
    ),
    Patch(
        name="held-datagrams-without-bound",
        breaks="at most one open datagram is held for a peer that has not been heard (peer.py 1)",
        file=BASE,
        old="                peer.give_up_queued()\n                peer.held_since_s = self.clock.monotonic()\n",
        new="                peer.ready.append(peer.builder.finish())\n",
    ),
    Patch(
        name="hello-timer-left-behind",
        breaks="a stop leaves no timer behind",
        file=BASE,
        old="        if self._timer is not None:\n            self._timer.cancel()\n        self._fragments.close()\n",
        new="        self._fragments.close()\n",
    ),
    Patch(
        name="pinned-only-in-memory",
        breaks="a peer's pin is durable before anything it says is believed (decision 5)",
        file=GATE,
        old="            if self.pin is not None:\n",
        new="            if self.pin is not None and peer.incarnation.boot:\n",
    ),
)
