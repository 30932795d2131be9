"""Mistakes in what is made of paths that have become narrower."""

from tests.seeded_bugs.bug import Patch

PATH_SIZE = "raftcore/wire/path_size.py"

BUGS = (
    Patch(
        name="size-in-use-never-asked-about",
        breaks="large datagrams that nobody acknowledges are confirmed by probes (RFC 8899, 4.5)",
        file=PATH_SIZE,
        old="and self.phase in (Phase.SEARCHING, Phase.COMPLETE) and not self._confirms():\n",
        new="and self.phase is Phase.ERROR and not self._confirms():\n",
    ),
    Patch(
        name="what-fragments-show-is-no-hole",
        breaks="where fragments show a black hole, the base is used at once (paths.py)",
        file=PATH_SIZE,
        old="self.size > self.base and self._fall(self.size, now_us)\n",
        new="self.size > self.largest and self._fall(self.size, now_us)\n",
    ),
    Patch(
        name="fragments-under-way-not-cut-anew",
        breaks="what is under way in datagrams that are too large begins again in smaller ones (docs/wire-format.md)",
        file="raftpy/transport/datagram/fragments.py",
        old="        if peer.outgoing is not None:\n            self._number +=",
        new="        if peer.outgoing is not None and not peer.outgoing.waiting:\n            self._number +=",
    ),
)
