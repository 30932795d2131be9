"""UDP: one non-blocking socket under the loop's reader, drained in one bounded pass.

The loop's readiness is level-triggered: what a pass leaves in the socket wakes the reader again in the loop's next
turn, after everything else that is due had its chance. A sender's address is not looked at: identity stands in the
header. Bytes move through datagram_io, which also says why not through Python's socket.

On Linux the socket asks for ICMP errors (IP_RECVERR), which tell within microseconds that nobody listens at a peer's
address. They come with two duties: the error queue must be read, or the socket stays readable for ever; and a pending
error makes the next `sendto` fail in place of the one it belongs to, so that one is repeated. The queue is asked when a
`recv` or `sendto` has failed, for every error makes one of them fail; and, to be safe, when several reads in a row met
nothing. Asking each time nothing waits would cost more than all the rest of a look at the socket.

There no datagram is cut by IP either (IP_PMTUDISC_PROBE: the don't-fragment bit is set, and what the system believes to
know of a path is not asked), so that each path's size can be found out (paths.py). What the own system does not take
(EMSGSIZE), and what a router reports of a narrower link, stand in the error queue with the size that would pass.

Fragments that leave at the same time are handed over at once where the system takes that (UDP_SEGMENT), and come so
where it gives that (UDP_GRO): a system call costs more than a small datagram. On the wire each is a datagram as ever.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from raftpy.contracts.clock import Clock
from raftpy.contracts.entropy import Entropy
from raftpy.contracts.errors import TransportFailed
from raftpy.contracts.executor import Executor
from raftpy.system.forking import call_in_child
from raftpy.system.threads import Threads
from raftpy.transport.datagram.base import HELLO_PERIOD_S, DatagramTransport
from raftpy.transport.datagram.names import Names
from raftpy.transport.datagram.oversized import note_refused
from raftpy.transport.exchange.address import (
    SocketAddress,
    is_loopback,
    is_number,
    numeric_family,
    parse_address,
    resolve,
)
from raftpy.transport.exchange.exchange import DatagramIO, pack_address
from raftpy.transport.exchange.sizes import (
    LARGEST_MESSAGE,
    NETWORK_DATAGRAM,
    USUAL_DATAGRAM,
)
from raftpy.transport.exchange.unreliable import Unreliable
from raftpy.transport.identity.hello import Takes
from raftpy.transport.identity.peer import Peer

ASKED_BUFFER = 4 << 20
"""Bytes asked for each socket buffer."""
WANTED_DATAGRAMS = 32
"""Full datagrams the receive buffer should hold: a leader's burst to a follower that is busy for a moment."""

# Linux's numbers where Python does not name them.
_LINUX = sys.platform == "linux"
_IP_RECVERR, _IPV6_RECVERR, _MSG_ERRQUEUE = 11, 25, 0x2000
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG = 10, 23, 62
_PMTUDISC_DONT, _PMTUDISC_PROBE = 0, 3
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_MEMINFO = 32, 33, 55
_SOL_UDP, _UDP_SEGMENT = 17, 103
_NO_RUNS = frozenset({errno.EINVAL, errno.EIO, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
"""What a system or a device says that does not take several datagrams at once."""
_ORIGIN_LOCAL = 1
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
_UNREACHABLE = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_FULL = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})

log = logging.getLogger("raftpy.transport")


class UdpTransport(DatagramTransport):
    """A ``Transport`` over UDP, IPv4 or IPv6; start it on a running asyncio loop.

    ``listen`` is the ``host:port`` to bind in place of the node's own address among the members (``0.0.0.0:7101``);
    ``receive_buffer`` and ``send_buffer`` are asked for in bytes; names are looked up in threads of ``executor`` (None:
    the process's). The rest as in ``DatagramTransport``.
    """

    runs: bool = True
    """Whether several datagrams are handed to the system, and taken from it, at once. False once it has refused that;
    whoever sets it before the start does without."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        max_datagram: int | None = None,
        unreliable: Unreliable | None = None,
        listen: str | None = None,
        receive_buffer: int = ASKED_BUFFER,
        send_buffer: int = ASKED_BUFFER,
        executor: Executor | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        super().__init__(clock=clock, max_datagram=max_datagram, unreliable=unreliable, entropy=entropy)
        self._executor = executor or Threads()
        self._listen = listen
        self._asked = (receive_buffer, send_buffer)
        self._granted = (0, 0)
        self._usual = 0  # bytes in a full datagram, as far as one can guess
        self._family: int = socket.AF_UNSPEC
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._by_target: dict[tuple[str, int], Peer] = {}
        self._names: Names | None = None
        self._hellos_at_s = 0.0

    # --- Opening ------------------------------------------------------------------------------------------------

    def _is_near(self, peer: Peer) -> bool:
        return _all_here([peer.address])

    def _searches(self) -> bool:
        return _LINUX

    def _default_max_datagram(self, addresses: Iterable[str]) -> int:
        if self._searches() or _all_here(addresses):
            return super()._default_max_datagram(addresses)
        return NETWORK_DATAGRAM

    def _open(self) -> None:
        own = self._own
        loop = asyncio.get_running_loop()
        address = self._listen or own.members[own.node_id]
        udp, target = _socket_for(own.node_id, own.members, self._listen)
        self._family = udp.family
        self._by_target = {}
        try:
            self._ask_for_errors(udp)
            self._let_ip_cut(udp, False)
            self._granted = (_set_buffer(udp, "RCV", self._asked[0]), _set_buffer(udp, "SND", self._asked[1]))
            udp.bind(target)
        except OSError as error:
            udp.close()
            raise _cannot_listen(own.node_id, address, error) from None
        self._socket = udp
        self._usual = self._max_datagram if _all_here(own.members.values()) else min(self._max_datagram, USUAL_DATAGRAM)
        self.runs = self.runs and _takes_runs(udp)
        self._io = DatagramIO(udp.fileno(), self.runs)
        self._check_buffers()
        self._loop = loop
        self._hellos_at_s = self.clock.monotonic() + HELLO_PERIOD_S
        self._names = Names(own.node_id, self._family, loop, self.clock.monotonic, self._executor, self._locate)
        call_in_child(self._in_child)
        loop.add_reader(udp, self._wake)

    def _attach(self, peer: Peer) -> None:
        if is_number(parse_address(peer.address).host):
            _, target = resolve(peer.address, self._family, whose=f"node {peer.id}'s address")
            peer.target, peer.packed = target, pack_address(target)

    def change_peers(self, members: Mapping[int, str]) -> None:
        """See ``Transport.change_peers``. Names are looked up behind it, and again while they do not resolve."""
        super().change_peers(members)
        self._list_targets()
        if self._names is not None:
            self._names.change_peers(self._peers)

    def _list_targets(self) -> None:
        self._by_target = {peer.target[:2]: peer for peer in self._peers.values() if peer.target is not None}

    def _locate(self, peer: Peer, target: SocketAddress) -> None:
        """The peer's name has been found to mean this address."""
        peer.target, peer.packed = target, pack_address(target)
        self._list_targets()
        self._probe(peer, self.clock.monotonic())

    def _look_at(self, peer: Peer) -> None:
        super()._look_at(peer)
        if self._names is not None:
            self._names.look(peer)

    def reachable(self, node_id: int) -> bool:
        """See ``Transport.reachable``. A peer may be heard while its name does not resolve."""
        peer = self._peers.get(node_id)
        return peer is not None and peer.target is not None and super().reachable(node_id)

    def _in_child(self) -> None:
        super()._in_child()
        self._names = None
        # The loop's own selector may be one with the parent's, and is left alone. The copy of the socket goes, so that
        # the address is free when the parent's has gone.
        udp, self._socket = self._socket, None
        if udp is not None:
            udp.close()

    def _shut(self) -> None:
        if self._names is not None:
            self._names.close()
        if self._socket is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = self._io = None

    def _ask_for_errors(self, udp: socket.socket) -> None:
        if _LINUX:
            if self._family == socket.AF_INET6:
                udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            else:
                udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)

    def _let_ip_cut(self, udp: socket.socket, may: bool) -> None:
        """Whether IP may cut what leaves from now on, where that can be said."""
        if not _LINUX:
            return
        how = _PMTUDISC_DONT if may else _PMTUDISC_PROBE
        if self._family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, how)
            udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 0 if may else 1)
        else:
            udp.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, how)

    def fileno(self) -> int:
        """See ``SocketTransport.fileno``."""
        return -1 if self._socket is None else self._socket.fileno()

    # --- Chores -------------------------------------------------------------------------------------------------

    def do_chores(self) -> float:
        """See ``PatientTransport.do_chores``."""
        if not self._patient:
            self._patient = True
            if self._timer is not None:
                self._timer.cancel()
        if self._running and self.clock.monotonic() >= self._hellos_at_s:
            self._hello_or_probe_all()
        return self._hellos_at_s

    def _hello_or_probe_all(self) -> None:
        self._hellos_at_s = self.clock.monotonic() + HELLO_PERIOD_S
        super()._hello_or_probe_all()

    # --- Moving bytes -------------------------------------------------------------------------------------------

    def _put(self, peer: Peer, datagram: bytes) -> None:
        io = self._io
        if io is None:
            return
        number = io.write(datagram, peer.packed)
        if number:
            self._put_failed(peer, datagram, number)

    def _transmit_run(self, peer: Peer, datagrams: list[bytes]) -> None:
        io = self._io
        if not self.runs or len(datagrams) == 1 or self._unreliable is not None or type(io) is not DatagramIO:
            super()._transmit_run(peer, datagrams)
            return
        peer.counters.sent += len(datagrams)
        peer.counters.sent_bytes += sum(map(len, datagrams))
        number = io.write_run(datagrams, peer.packed)
        if number == 0:
            return
        # By itself each says what is the matter with it: the path may have become narrower, or the buffer be full.
        taken = 0
        for datagram in datagrams:
            if failed := io.write(datagram, peer.packed):
                self._put_failed(peer, datagram, failed)
            else:
                taken += 1
        if number in _NO_RUNS and taken == len(datagrams):
            self.runs = False
            log.debug("node %d sends datagrams one by one from now on: %s", self._own.node_id, _reason(number))

    def _put_failed(self, peer: Peer, datagram: bytes, number: int) -> None:
        if self._read_errors() and self._io is not None and not too_long(peer, datagram):
            number = self._io.write(datagram, peer.packed)  # it was an earlier datagram's error
            if number == errno.EMSGSIZE:
                self._read_errors()  # which says what would have passed
        if number:
            self._count_failure(peer, number, len(datagram))

    def _send_cut_by_ip(self, peer: Peer, datagram: bytes) -> None:
        if self._socket is None:
            return
        self._let_ip_cut(self._socket, True)
        try:
            self._transmit(peer, datagram)
        finally:
            self._let_ip_cut(self._socket, False)

    def _read_errors(self) -> bool:
        """Empties the socket's error queue; True when there was something in it, or the queue cannot be asked."""
        if self._socket is None or not _LINUX:
            return True
        some = False
        while True:
            try:
                _, ancillary, _, address = self._socket.recvmsg(0, 256, _MSG_ERRQUEUE)
            except BlockingIOError:
                return some
            except OSError:
                self.counters.read_errors += 1
                return some
            some = True
            peers = self._peers_at(address)
            self.counters.read_errors += not peers
            for _, _, data in ancillary:
                if len(data) >= _EXTENDED_ERROR.size:
                    number, origin, _, _, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
                    for peer in peers:
                        if number != errno.EMSGSIZE or not self._paths.told(peer, info - self._headers()):
                            self._count_failure(peer, number)
                        else:  # what the own system refuses is counted where it does
                            peer.counters.too_long += origin != _ORIGIN_LOCAL

    def _peers_at(self, address: SocketAddress) -> list[Peer]:
        """Whom an error is about. IPv4 does not say which port the own system has found a datagram too long for."""
        if address[1] == 0:
            return [peer for (host, _), peer in self._by_target.items() if host == address[0]]
        peer = self._by_target.get(address[:2])
        return [] if peer is None else [peer]

    def _headers(self) -> int:
        """Bytes of a packet before a datagram: those of IP, without options, and of UDP."""
        return 48 if self._family == socket.AF_INET6 else 28

    def _count_failure(self, peer: Peer, number: int, refused: int = 0) -> None:
        """A datagram of ``refused`` bytes, 0 if that is not known, was not sent, for this errno."""
        if peer.target is None:
            peer.counters.unresolved += 1
            self._tell_unreachable(peer)
        elif number in _UNREACHABLE:
            self._report_refused(peer)
        elif number in _FULL:
            peer.counters.send_buffer_full += 1
        elif number == errno.EMSGSIZE and self._paths.told(peer, 0, refused):
            peer.counters.too_long += 1
            note_refused(peer, number)
        else:
            peer.counters.send_failed += 1
            reason = note_refused(peer, number) or _reason(number)
            self._gate.warn_once(
                ("send", peer.id, number), f"cannot send to node {peer.id} at {peer.address}: {reason}"
            )

    # --- Buffers ------------------------------------------------------------------------------------------------

    def _check_buffers(self) -> None:
        holds = self._granted[0] // datagram_cost(self._usual)
        if holds < WANTED_DATAGRAMS:
            log.warning(
                "node %d: the UDP receive buffer holds %d full datagrams of %d bytes (%d bytes granted, %d asked): "
                "bursts will be lost and repeated; raise it with: sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d",
                self._own.node_id, holds, self._usual, self._granted[0], self._asked[0], *self._asked,
            )  # fmt: skip

    def _takes(self, peer: Peer) -> Takes | None:
        # Half of what the socket holds, as others send as well; and one datagram always. The peer's are taken to be as
        # large as those to it.
        size = peer.builder.max_datagram
        return Takes(LARGEST_MESSAGE, max(1, self._granted[0] // datagram_cost(size) // 2) * size)

    def _wire_stats(self) -> dict[str, Any]:
        return {
            "receive_buffer": self._granted[0],
            "send_buffer": self._granted[1],
            "receive_buffer_datagrams": self._granted[0] // datagram_cost(self._usual),
            "receive_buffer_drops": _kernel_drops(self._socket),
        }


def _all_here(addresses: Iterable[str]) -> bool:
    """Whether all of them are of this machine's loopback."""
    return all(is_loopback(parse_address(address).host) for address in addresses)


def too_long(peer: Peer, datagram: bytes) -> bool:
    """Whether it is known by now that the path does not take it, be it a probe or has the path become narrower."""
    return peer.path is not None and len(datagram) > peer.path.tried


def datagram_cost(size: int) -> int:
    """Bytes of a socket's receive buffer that Linux charges for a datagram of ``size`` bytes; rather more than fewer.

    It charges allocations with the bookkeeping beside them: powers of two up to 16 KiB, pages above (measured on 6.18).
    """
    if size <= 16_000:
        return int(1 << (size + 384 - 1).bit_length()) + 512
    return size + 2048


def _set_buffer(udp: socket.socket, which: str, wanted: int) -> int:
    """Asks for a buffer, past the system's limit where this process may; what is granted then, in bytes."""
    option = getattr(socket, f"SO_{which}BUF")
    udp.setsockopt(socket.SOL_SOCKET, option, wanted)
    # Linux gives twice what it is asked for, as its bookkeeping counts too, and quietly less when that is too much.
    if _LINUX and udp.getsockopt(socket.SOL_SOCKET, option) < 2 * wanted:
        try:
            udp.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE if which == "RCV" else _SO_SNDBUFFORCE, wanted)
        except PermissionError:
            pass
    return udp.getsockopt(socket.SOL_SOCKET, option)


def _takes_runs(udp: socket.socket) -> bool:
    """Whether the system knows datagrams that are handed over at once: one that does not would send them as one."""
    if not _LINUX:
        return False
    try:
        udp.setsockopt(_SOL_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def _kernel_drops(udp: socket.socket | None) -> int | None:
    """Datagrams the system threw away because the receive buffer was full; None where it does not say."""
    if udp is None or not _LINUX:
        return None
    try:
        meminfo = udp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    except OSError:
        return None
    return int(struct.unpack_from("=9I", meminfo)[8]) if len(meminfo) >= 36 else None


def _reason(number: int) -> str:
    return errno.errorcode.get(number, str(number)) + (
        ": too long for the path; set a smaller max_datagram" if number == errno.EMSGSIZE else ""
    )


def check_listening(node_id: int, members: Mapping[int, str], listen: str | None) -> None:
    """Raises ``TransportFailed``, as a start would, where a node with these settings cannot listen now."""
    udp, target = _socket_for(node_id, members, listen)
    with udp:
        try:
            udp.bind(target)
        except OSError as error:
            raise _cannot_listen(node_id, listen or members[node_id], error) from None


def _socket_for(node_id: int, members: Mapping[int, str], listen: str | None) -> tuple[socket.socket, SocketAddress]:
    """A socket for the address at which the node listens, and that address."""
    address = listen or members[node_id]
    family = numeric_family([address, *members.values()])
    whose = "own address" if listen is None else "listening address"
    family, target = resolve(address, family, whose=f"node {node_id}'s {whose}")
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.setblocking(False)
    if family == socket.AF_INET6:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return udp, target


def _cannot_listen(node_id: int, address: str, error: OSError) -> TransportFailed:
    advice = {
        errno.EADDRINUSE: "the port is in use; stop the process that has it, or give the node another address",
        errno.EADDRNOTAVAIL: "it is no address of this machine; give one that is, or a wildcard such as 0.0.0.0, "
        "for where to listen (--listen, Config.listen)",
        errno.EACCES: "permission denied; ports below 1024 are for privileged processes",
    }.get(error.errno or 0, error.strerror or str(error))
    return TransportFailed(f"node {node_id} cannot listen at UDP address {address}: {advice}")
