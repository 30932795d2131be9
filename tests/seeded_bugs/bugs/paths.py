"""Mistakes in finding out how large datagrams to a peer may be, and in what a path is taken to carry."""

from tests.seeded_bugs.bug import Bug

PATH_SIZE = "raftcore/wire/path_size.py"
PATHS = "raftpy/transport/datagram/paths.py"
BBR = "raftcore/wire/bbr.pyx"
RULES = "tests/unit/test_path_size.py"
WHOLE = "tests/transport/test_paths.py"
AWAY = "tests/transport/test_paths_away.py"
RATE = "tests/unit/test_bbr.py"

BUGS = (
    Bug(
        name="silence-of-a-peer-counts-against-a-size",
        breaks="a probe that is not answered counts only if something else of the peer was heard (path_size.py)",
        file=PATH_SIZE,
        old="        if silent and self._count:\n",
        new="        if silent and self._count > MAX_PROBES:\n",
        near=RULES,
    ),
    Bug(
        name="search-keeps-the-size-in-use-from-being-asked-about",
        breaks="a black hole is found as fast while larger sizes are being tried (path_size.py)",
        file=PATH_SIZE,
        old="and self.phase in (Phase.SEARCHING, Phase.COMPLETE) and not self._confirms():\n",
        new="and self.phase is Phase.COMPLETE and not self._confirms():\n",
        near=RULES,
    ),
    Bug(
        name="answer-to-a-probe-of-before-believed",
        breaks="an answer counts for the probes of the size that is being tried (RFC 8899, 5.2)",
        file=PATH_SIZE,
        old="        elif size != self._probed or not self._first <= number <= self._last:\n",
        new="        elif size < self._probed or number > self._last:\n",
        near=RULES,
    ),
    Bug(
        name="size-below-the-base-believed",
        breaks="what the network says makes a size smaller, and never than the base (RFC 8899, 4.6)",
        file=PATH_SIZE,
        old="        if self._probed > max(most, self.base):\n            self._too_large = max(most, self.base) + 1\n",
        new="        if self._probed > most:\n            self._too_large = most + 1\n",
        near=RULES,
    ),
    Bug(
        name="what-did-not-pass-once-never-tried-again",
        breaks="the search begins again after ten minutes, as the path may have become wider (RFC 8899, 5.1.1)",
        file=PATH_SIZE,
        old="            self._too_large = self.largest + 1  # what did not pass ten minutes ago may pass now\n",
        new="",
        near=RULES,
    ),
    Bug(
        name="interrupted-search-begins-anew",
        breaks="a search goes on where it was once the size in use is confirmed (path_size.py)",
        file=PATH_SIZE,
        old="        self._probed, self._count, self._first, self._due_us = interrupted\n",
        new="        self._probed, _, self._first, self._due_us = interrupted\n",
        near=RULES,
    ),
    Bug(
        name="nothing-left-free-for-sealing",
        breaks="48 bytes of a datagram are left free for what seals the others (path_size.py, SEALING)",
        file=PATHS,
        old="        size = min(self.most, path.size - SEALING)\n",
        new="        size = min(self.most, path.size)\n",
        near=WHOLE,
    ),
    Bug(
        name="sealing-forgotten-where-paths-are-not-searched",
        breaks="48 bytes of a datagram are left free also where sizes are not found out (docs/wire-format.md)",
        file=PATHS,
        old=" if searches else most - SEALING\n",
        new=" if searches else most\n",
        near=WHOLE,
    ),
    Bug(
        name="hole-to-a-peer-that-is-away",
        breaks="fragments to a peer that goes away are no black hole (docs/design.md)",
        file=PATHS,
        old="        if peer.hole_when != peer.counters.received:\n",
        new="        if peer.presence.reachable:\n",
        near=AWAY,
    ),
    Bug(
        name="path-of-the-former-address-taken-for-the-new-one",
        breaks="the path to another address of a peer is found out anew (transport.py, change_peers)",
        file=PATHS,
        old="        before = peer.builder.max_datagram\n        self.forget(peer)\n",
        new="        before = peer.builder.max_datagram\n",
        near=WHOLE,
    ),
    Bug(
        name="probes-of-while-it-was-away-count",
        breaks="what a peer did not answer while it was away does not count (docs/design.md)",
        file=PATHS,
        old=(
            "            peer.path_probed_when = peer.counters.received  # what it did not answer while it was away "
            "does not count\n"
        ),
        new="",
        near=AWAY,
    ),
    Bug(
        name="pauses-saved-up",
        breaks="what leaves without a pause is bounded, however long nothing has left (draft-ietf-ccwg-bbr, 5.6.3)",
        file="raftcore/wire/congestion.pyx",
        old="            self.tokens = min(self.model.quantum(), self.tokens + more)\n",
        new="            self.tokens = self.tokens + more\n",
        near=RATE,
    ),
    Bug(
        name="draining-without-an-end",
        breaks="draining ends after three round trips at the latest (draft-ietf-ccwg-bbr, 5.3.2)",
        file=BBR,
        old="                                    or self.rounds > self.drain_round + DRAIN_ROUNDS):\n",
        new="                                    ):\n",
        near=RATE,
    ),
    Bug(
        name="bandwidth-of-a-former-path-kept",
        breaks="what a path took two cycles ago is forgotten (draft-ietf-ccwg-bbr, 5.5.6)",
        file=BBR,
        old="                self.last_cycle_bandwidth = self.cycle_bandwidth\n",
        new="                self.last_cycle_bandwidth = max(self.last_cycle_bandwidth, self.cycle_bandwidth)\n",
        near=RATE,
    ),
    Bug(
        name="window-kept-after-silence",
        breaks="silence begins anew with the smallest window (RFC 9002, 7.6.2)",
        file=BBR,
        old="        self.window = LEAST_WINDOW_DATAGRAMS * self.datagram\n        self.newly = 0\n",
        new="        self.newly = 0\n",
        near=RATE,
    ),
    Bug(
        name="cut-anew-under-the-same-number",
        breaks="a message and its cut have one number (docs/wire-format.md)",
        file="raftcore/wire/outgoing.pyx",
        old=(
            "            cut(message, self.step)\n"
            "            message.number = self.last = number + taken\n"
            "            taken += 1\n"
            "        self.open"
        ),
        new="            cut(message, self.step)\n        self.open",
        near="tests/unit/test_fragments_resized.py",
    ),
)
