"""How large datagrams to one peer may be: found out and watched over, as RFC 8899 has it.

Its name for this is datagram packetization layer path MTU discovery. Datagrams of ``BASE_SIZE`` bytes pass nearly every
path. Whether larger ones do is tried with probes: datagrams of the size in question that hold nothing, one at a time,
which the peer answers. A size is used once a probe of it was answered, and given up once ``MAX_PROBES`` were not, each
while something else of the peer was heard: a peer that is away answers nothing of any size. No message depends on one.
Section numbers below are the RFC's; the phases are its states (5.2):

    OFF        the peer has not said that it answers
    BASE       whether the base size passes is being tried
    SEARCHING  a larger one is being tried
    COMPLETE   the largest is found; after ``RAISE_US`` the search begins again, as the path may have become wider. One
               that has found nothing larger than the base ends with asking once more whether that passes
    ERROR      not even the base size passes: ``LEAST_SIZE`` is used, and the base tried now and then

A path may also become narrower. Where the network says so, or the own system, ``told`` takes it up: never for more than
that a size is too large, since anybody might have said it, and the base stays. A *black hole* says nothing: small
datagrams come through and large ones vanish. It shows by three probes of the size in use that nobody answers
(``confirm``), or by what is known of other datagrams (``lost``); then the base is used at once, and the former size is
the first to be tried. A mistake there costs one round trip.

Sizes are bytes behind the UDP header. Nothing here reads a clock: times are whole microseconds of one clock.
"""

from __future__ import annotations

from enum import Enum

BASE_SIZE = 1200
"""BASE_PLPMTU (5.1.2): what passes any path that IPv6 allows."""
LEAST_SIZE = 512
"""MIN_PLPMTU: with its headers in the 576 bytes that every IPv4 host puts together."""
LARGEST_SIZE = 65_507
"""What UDP carries over IPv4."""
SEALING = 48
"""Bytes of a datagram of the path's size that are left free, for what authenticates and encrypts the others."""

MAX_PROBES = 3
PROBE_TIMER_US = 1_000_000
"""How long an answer is waited for: the least that 5.1.1 allows, since answers leave at once."""
RAISE_US = 600_000_000
"""PMTU_RAISE_TIMER (5.1.1)."""
ERROR_US = 10_000_000
"""How often the base is tried while it does not pass."""

COMMON_SIZES = (1372, 1392, 1412, 1424, 1452, 1472, 4352, 8952, 8972)
"""What is left of the links that there are, below IP (28 bytes) or IPv6 (48) and UDP: tunnels in 1,500, Ethernet
itself, FDDI, and the jumbo frames of 9,000."""


class Phase(Enum):
    """What a :class:`PathSize` is at."""

    OFF = "off"
    BASE = "base"
    SEARCHING = "searching"
    COMPLETE = "complete"
    ERROR = "error"


class PathSize:
    """The path to one incarnation of a peer; ``largest``: bytes of the largest datagram that may ever be sent, at least
    ``LEAST_SIZE`` (ValueError).

    Each call may change ``size``, what the path takes, and :meth:`deadline`.
    """

    __slots__ = (
        "_count", "_due_us", "_first", "_interrupted", "_jumped", "_last", "_probed", "_too_large", "_try_first",
        "base", "largest", "narrowed", "phase", "size",
    )  # fmt: skip

    def __init__(self, largest: int) -> None:
        if not LEAST_SIZE <= largest <= LARGEST_SIZE:
            raise ValueError(f"the largest datagram must have {LEAST_SIZE} to {LARGEST_SIZE} bytes, got {largest}")
        self.largest = largest
        self.base = min(BASE_SIZE, largest)
        self.size = self.base  # in use
        self.phase = Phase.OFF
        self.narrowed = 0  # how often what was in use did not pass any more
        self._too_large = largest + 1  # the smallest size that is taken not to pass
        self._try_first = 0  # a size to try before all others; 0: none
        self._jumped = False  # the largest size has been tried since the search began
        self._probed = 0  # the size that is being tried; 0: none
        self._count = 0  # probes of it that have left and count,
        self._first = 1  # the number of the first of them,
        self._last = 0  # and of the newest of all
        self._due_us = 0  # when the next of them, another size, or another search is due
        self._interrupted: tuple[int, int, int, int] | None = None
        # What there was when the size in use had to be confirmed: _probed, _count, _first and _due_us of the search.

    # --- What happens -------------------------------------------------------------------------------------------

    def start(self, largest: int, now_us: int) -> None:
        """The peer answers probes, and takes datagrams of ``largest`` bytes. Said again it does nothing, and a size
        that cannot be is not listened to."""
        if self.phase is not Phase.OFF or largest < LEAST_SIZE:
            return
        self.largest = min(self.largest, largest)
        self.base = self.size = min(BASE_SIZE, self.largest)
        self._too_large = self.largest + 1
        self._enter(Phase.BASE, now_us)

    def answered(self, number: int, size: int, now_us: int) -> bool:
        """The peer has had this probe; True when ``size`` has changed."""
        if self._interrupted is not None and size == self._interrupted[0]:
            if not self._interrupted[2] <= number < self._first:
                return False
        elif size != self._probed or not self._first <= number <= self._last:
            return False  # of a size that is not being tried any more
        elif self._confirms():
            self._resume()
            return False  # it still passes
        before = self.size
        self._settle()
        self.size = size
        self._enter(Phase.SEARCHING, now_us)
        if self._candidate() == 0:
            self._complete(now_us)
        return self.size != before

    def told(self, limit: int, refused: int, now_us: int) -> bool:
        """The network, or the own system, does not take a datagram of ``refused`` bytes (0: not said), and
        none of more than ``limit`` (0: not said). True when ``size`` has changed."""
        named = limit if limit >= LEAST_SIZE else 0
        most = named or refused - 1
        if self._interrupted is not None and self.size <= most < self._interrupted[0]:
            self._resume()  # it is of what the search was at
        if self.phase is Phase.OFF or most <= 0 or (most >= self.size and not most < self._probed):
            return False  # nothing that is in use or being tried
        if most < self.size and self.size > self.base:
            self._too_large = min(self._too_large, max(most, self.base) + 1)
            return self._fall(named, now_us)
        if self._probed > max(most, self.base):
            self._too_large = max(most, self.base) + 1
            self._try_first = named
            self._settle()
            self._search_on(now_us)
        elif self._probed == self.base:
            self._count = MAX_PROBES + 1  # the base itself: another probe tells nothing, whoever is heard meanwhile
            self._due_us = now_us
        elif self.phase is Phase.COMPLETE:
            self._enter(Phase.BASE, now_us)  # does the base still pass?
        return False

    def lost(self, now_us: int) -> bool:
        """Datagrams of more than the base are lost, and smaller ones arrive: a black hole. True when ``size`` has
        changed."""
        return self.phase is not Phase.OFF and self.size > self.base and self._fall(self.size, now_us)

    def confirm(self, now_us: int) -> None:
        """Datagrams of more than the base are being sent, and nobody says whether they arrive: it is asked. A search
        waits for that, as larger sizes are of no use while the one in use may be lost; it goes on where it was."""
        if self.size > self.base and self.phase in (Phase.SEARCHING, Phase.COMPLETE) and not self._confirms():
            self._interrupted = (self._probed, self._count, self._first, self._due_us)
            self._try(self.size, now_us)

    # --- Probes -------------------------------------------------------------------------------------------------

    def probe(self, now_us: int, *, silent: bool = False) -> tuple[int, int] | None:
        """(number, size) of a probe that is to leave now, and counts as sent; None: none is due. It may change
        ``size``, when what was tried is given up.

        ``silent``: nothing at all has been heard of the peer since the last probe left. That nobody has answered it
        says nothing of its size then, and it does not count.
        """
        due_us = self.deadline()
        if due_us is None or now_us < due_us:
            return None
        if silent and self._count:
            self._count -= 1
            if self._interrupted is not None:
                size, _, first, due_us = self._interrupted
                self._interrupted = (size, 0, first, due_us)
        if self._probed and self._count >= MAX_PROBES:
            self._give_up(now_us)
        if not self._probed and now_us >= self._due_us:
            self._choose(now_us)
        if not self._probed:
            return None
        self._last += 1
        self._count += 1
        self._due_us = now_us + PROBE_TIMER_US
        return self._last, self._probed

    def deadline(self) -> int | None:
        """When :meth:`probe` has something to do, unless something happens before; None: never."""
        if self.phase is Phase.OFF:
            return None
        if self.phase is Phase.COMPLETE and not self._probed and self.size == self.largest:
            return None
        return self._due_us

    @property
    def tried(self) -> int:
        """The largest size that may pass, as far as known: the one in use, or the one that is being tried."""
        return max(self.size, self._probed, 0 if self._interrupted is None else self._interrupted[0])

    def _choose(self, now_us: int) -> None:
        """Nothing is being tried, and the time has come for something."""
        if self.phase is Phase.COMPLETE:
            self._too_large = self.largest + 1  # what did not pass ten minutes ago may pass now
            self._enter(Phase.SEARCHING, now_us)
        if self.phase is Phase.SEARCHING:
            size = self._candidate()
            if size == 0:
                self._found_nothing(now_us)
                return
            self._jumped |= size == self.largest
            self._try(size, now_us)
        else:
            self._try(self.base, now_us)

    def _candidate(self) -> int:
        """The next size to try; 0: what is in use is as good as the largest.

        First what is known to have passed or was named by the network; then the largest, since between two processes of
        one machine it does; then the common ones, from small to large, since what passes costs a round trip and what
        does not, seconds; then halves of what is left between, down to a thirty-second.
        """
        low, high = self.size, self._too_large
        if low < self._try_first < high:
            return self._try_first
        if not self._jumped and low < self.largest < high:
            return self.largest
        for size in COMMON_SIZES:
            if low < size < high:
                return size
        return (low + high) // 2 if high - low > max(low // 32, 1) else 0

    def _give_up(self, now_us: int) -> None:
        """The size that was tried does not pass."""
        if self._confirms():
            self._fall(self.size, now_us)
            return
        failed = self._probed
        self._settle()
        if self.phase is Phase.SEARCHING:
            self._too_large = failed
            self._search_on(now_us)
        else:
            self.size = min(LEAST_SIZE, self.base)
            self.phase = Phase.ERROR
            self._due_us = now_us + ERROR_US

    def _fall(self, first: int, now_us: int) -> bool:
        """The size in use does not pass any more: the base, and ``first`` is tried next. True, as it has changed."""
        self.narrowed += 1
        self._settle()
        self.size = self.base
        self._enter(Phase.BASE, now_us)
        self._try_first = first
        return True

    # --- Phases -------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase, now_us: int) -> None:
        if phase is Phase.SEARCHING and self.phase is not Phase.SEARCHING:
            self._jumped = False
        self.phase = phase
        self._due_us = now_us

    def _search_on(self, now_us: int) -> None:
        self._due_us = now_us
        if self.phase is Phase.SEARCHING and self._candidate() == 0:
            self._found_nothing(now_us)

    def _found_nothing(self, now_us: int) -> None:
        """Nothing larger than what is in use passes. Where that is the base, it may not pass any more either: no other
        datagrams tell, as those that are counted are larger. So it is asked once more."""
        if self.size == self.base:
            self._enter(Phase.BASE, now_us)
        else:
            self._complete(now_us)

    def _complete(self, now_us: int) -> None:
        self.phase = Phase.COMPLETE
        self._due_us = now_us + RAISE_US

    def _try(self, size: int, now_us: int) -> None:
        self._probed = size
        self._count = 0
        self._first = self._last + 1
        self._due_us = now_us

    def _settle(self) -> None:
        """What was tried is not any more."""
        self._probed = self._count = 0
        self._first = self._last + 1
        self._interrupted = None

    def _confirms(self) -> bool:
        """Whether the size in use is what is being tried; in other phases it is the base, which is tried as any."""
        return self.phase in (Phase.SEARCHING, Phase.COMPLETE) and self._probed == self.size

    def _resume(self) -> None:
        """The size in use is confirmed, or need not be: the search goes on where it was."""
        interrupted = self._interrupted
        assert interrupted is not None
        self._settle()
        self._probed, self._count, self._first, self._due_us = interrupted
