"""A snapshot in the place of one group's log: what that is to the other groups of the host, and how it may end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from raftpy.contracts.errors import RestoreFailed
from raftpy.contracts.state_machine import SavedState
from tests.node.loop import run
from tests.node.steps import LoopSteps
from tests.node.test_groups import Hosts
from tests.node.words import Words


class Failing(Words):
    """Whose ``restore`` fails while ``fails``."""

    fails = False

    def restore(self, saved: SavedState) -> None:
        if Failing.fails:
            raise ZeroDivisionError
        super().restore(saved)


def play(seed: int, scenario: Callable[[Hosts, int], Awaitable[None]]) -> None:
    """With three hosts, of which the one that the scenario is given is left behind by group 1, and by no other."""

    async def main() -> None:
        hosts = Hosts(seed, range(3), machine=Failing, trailing_bytes=0)
        for host_id in hosts.addresses:
            await hosts.start(host_id, executor=LoopSteps())
        for group_id in hosts.groups:
            await hosts.propose(group_id, b"before")
            await hosts.committed(group_id, b"before", [1, 2, 3])
        leader = await hosts.leader(1)
        lost = next(i for i in hosts.addresses if i != leader)
        others = [i for i in hosts.addresses if i != lost]
        hosts.network.disconnect(lost)
        for number in range(3):
            await hosts.hosts[leader].group(1).propose(b"without it %d" % number)
            for host_id in others:
                await hosts.hosts[host_id].group(1).read_index()
                await hosts.hosts[host_id].group(1).snapshot()
        last = hosts.hosts[lost].group(1).status().last_index
        await hosts.until(
            lambda: all(hosts.hosts[i].group(1).status().first_index > last + 1 for i in others), "logs are cut"
        )
        hosts.network.reconnect(lost)
        await scenario(hosts, lost)
        for host in hosts.hosts.values():
            await host.stop()

    run(main())


def test_the_others_go_on_by_their_logs(seed: int) -> None:
    async def scenario(hosts: Hosts, lost: int) -> None:
        machines = hosts.machines[lost]
        await hosts.until(lambda: machines[1].restored, "group 1 is restored")
        for group_id in hosts.groups:
            await hosts.propose(group_id, b"after")
            await hosts.committed(group_id, b"after", [1, 2, 3])
        assert [bool(machines[group_id].restored) for group_id in hosts.groups] == [False, True, False]
        assert [hosts.hosts[lost].group(g).status().first_index > 1 for g in hosts.groups] == [False, True, False]
        # And after a restart, from the disk that all share.
        await hosts.hosts[lost].stop()
        await hosts.start(lost, executor=LoopSteps())
        for group_id in hosts.groups:
            await hosts.propose(group_id, b"at last")
            await hosts.committed(group_id, b"at last", [1, 2, 3])
        assert hosts.machines[lost][1].commands == hosts.machines[lost % 3 + 1][1].commands

    play(seed, scenario)


def test_a_restore_that_fails_ends_its_group_alone(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(hosts: Hosts, lost: int) -> None:
        host = hosts.hosts[lost]
        await hosts.until(lambda: host.group(1).failed, "group 1 has ended")
        error = host.group(1).failed
        assert isinstance(error, RestoreFailed)
        assert str(error).endswith("group 1 has ended here, and the host goes on with the others")
        assert host.failed is None
        with pytest.raises(RestoreFailed):
            await host.group(1).read_index()
        for group_id in (0, 2):
            await hosts.propose(group_id, b"after")
            await hosts.committed(group_id, b"after", [1, 2, 3])
        monkeypatch.setattr(Failing, "fails", False)
        await host.stop()
        await hosts.start(lost, executor=LoopSteps())
        await hosts.propose(1, b"after")
        await hosts.committed(1, b"after", [1, 2, 3])

    monkeypatch.setattr(Failing, "fails", True)
    play(seed, scenario)
