"""Proposals: their way into the log and out of it. How they are waited for is in test_awaited.py."""

from __future__ import annotations

import asyncio
import gc

import pytest

from raftpy.contracts.errors import NotLeader, Stopped, Timeout, TooLarge
from raftpy.runtime.pending_proposals import Proposal
from tests.node.waiting import ProposalBench as Bench


def test_await_gives_what_apply_returned() -> None:
    async def main() -> None:
        bench = Bench()
        bench.soon()
        assert await bench.proposals.propose(b"x") == b"x"

    asyncio.run(main())


@pytest.mark.parametrize("appended", [False, True])
def test_cancelling_leaves_nothing_behind(appended: bool) -> None:
    async def main() -> None:
        bench = Bench()

        async def caller() -> None:
            await bench.proposals.propose(b"x")

        task = asyncio.create_task(caller())
        other = asyncio.create_task(bench.proposals.propose(b"y"))
        await asyncio.sleep(0)
        commands = bench.append() if appended else []
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not appended:
            commands = bench.append()
            assert commands == [b"y"]  # it never comes into the log
        bench.proposals.expire(0.0)
        assert len(bench.proposals) == 1
        bench.apply(commands)
        bench.proposals.resume_soon()
        assert await other == b"y"
        assert len(bench.proposals) == 0

    asyncio.run(main())


@pytest.mark.parametrize("result", [(), (1, 2), None, [3], ValueError("a result"), StopIteration(4)])
def test_every_result_comes_out_as_it_is(result: object) -> None:
    class Machine:
        def apply(self, index: int, command: bytes) -> object:
            return result

    async def main() -> None:
        bench = Bench(Machine())
        for early in (False, True):
            proposal = bench.proposals.propose(b"x")
            if early:
                bench.finish()
            else:
                bench.soon()
            assert await proposal is result

    asyncio.run(main())


def test_its_place_in_the_log() -> None:
    async def main() -> None:
        bench = Bench()
        bench.next = 4
        proposal = bench.proposals.propose(b"x")
        assert (proposal.index, proposal.term) == (0, 0)
        assert repr(proposal) == "<Proposal queued, 1 commands>"
        bench.append(term=3)
        assert (proposal.index, proposal.term) == (4, 3)
        assert repr(proposal) == "<Proposal appended at 3/4, 1 commands>"

    asyncio.run(main())


def test_what_was_not_appended_raises_why() -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"x")

        def refuse() -> None:
            assert bench.proposals.take() == [b"x"]
            bench.proposals.refused(NotLeader)
            bench.proposals.resume()

        asyncio.get_running_loop().call_soon(refuse)
        with pytest.raises(NotLeader):
            await proposal
        assert len(bench.proposals) == 0

    asyncio.run(main())


def test_a_command_that_does_not_fit_is_refused_before_anything_happens() -> None:
    async def main() -> None:
        bench = Bench()
        with pytest.raises(TooLarge, match="101 bytes.*at most 100"):
            await bench.proposals.propose(bytes(101))
        with pytest.raises(TooLarge):
            await bench.proposals.propose_many([b"x", bytes(101)])
        assert len(bench.proposals) == 0
        assert bench.append() == []
        bench.soon()
        assert await bench.proposals.propose(bytes(100)) == bytes(100)

    asyncio.run(main())


def test_wrong_arguments_are_errors_of_the_call_itself() -> None:
    async def main() -> None:
        proposals = Bench().proposals
        with pytest.raises(TypeError, match="got str"):
            proposals.propose("text")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at least 0 seconds, got -1"):
            proposals.propose(b"x", -1)
        with pytest.raises(ValueError, match="got nan"):
            proposals.propose(b"x", float("nan"))
        assert len(proposals) == 0

    asyncio.run(main())


def test_bytes_like_commands_are_copied() -> None:
    async def main() -> None:
        bench = Bench()
        command = bytearray(b"abc")
        proposal = bench.proposals.propose(command)
        command[:] = b"xyz"
        bench.finish()
        assert await proposal == b"abc"

    asyncio.run(main())


def test_timeouts_begin_when_the_command_is_appended() -> None:
    async def main() -> None:
        bench = Bench()
        short = bench.proposals.propose(b"1", 1.0)
        long = bench.proposals.propose(b"2", 2.0)
        never = bench.proposals.propose(b"3", None)
        bench.now = 10.0
        commands = bench.append()
        bench.proposals.expire(10.99)
        assert not short.done()
        bench.proposals.expire(11.0)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="may or may not be committed"):
            await short
        assert not long.done()
        bench.proposals.expire(1e9)
        assert long.done()
        assert not never.done()
        bench.apply(commands)
        bench.proposals.resume()
        assert await never == b"3"
        assert len(bench.proposals) == 0

    asyncio.run(main())


def test_leadership_lost() -> None:
    async def main() -> None:
        bench = Bench()
        committed, lost = bench.proposals.propose(b"1"), bench.proposals.propose(b"2")
        commands = bench.append()
        bench.proposals.lose(1)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="lost the leadership"):
            await lost
        bench.apply(commands)
        bench.proposals.resume()
        assert await committed == b"1"

    asyncio.run(main())


def test_another_leaders_entry_at_the_same_place_is_no_answer() -> None:
    async def main() -> None:
        bench = Bench()
        proposal = bench.proposals.propose(b"mine")
        bench.append(term=1)
        bench.apply([b"theirs"], term=2)
        bench.proposals.resume()
        with pytest.raises(Timeout, match="another leader's entry"):
            await proposal

    asyncio.run(main())


def test_entries_nobody_waits_for_pass_by() -> None:
    async def main() -> None:
        bench = Bench()
        bench.next = 4
        bench.apply([b"a", b"b", b"c"], term=1)
        proposal = bench.proposals.propose(b"x")
        bench.append(term=2)
        bench.next += 2
        bench.apply([b"x", b"y", b"z"], term=2)
        bench.proposals.resume()
        assert await proposal == b"x"
        assert (proposal.index, proposal.term) == (4, 2)

    asyncio.run(main())


def test_stop_ends_all_and_later_ones_too() -> None:
    async def main() -> None:
        bench = Bench()
        appended = bench.proposals.propose(b"1")
        bench.append()
        queued = bench.proposals.propose(b"2")
        bench.proposals.stop(Stopped)
        bench.proposals.resume_soon()
        later = bench.proposals.propose(b"3")
        for proposal in (appended, queued, later, bench.proposals.propose_many([b"4"])):
            with pytest.raises(Stopped):
                await proposal

    asyncio.run(main())


def test_propose_many_of_nothing() -> None:
    async def main() -> None:
        assert await Bench().proposals.propose_many([]) == []

    asyncio.run(main())


def test_what_was_waited_for_is_let_go() -> None:
    class Result:
        pass

    class Machine:
        def apply(self, index: int, command: bytes) -> Result:
            return Result()

    async def main() -> None:
        bench = Bench(Machine())

        async def wait() -> None:
            await bench.proposals.propose(b"x")

        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        bench.soon()
        await asyncio.gather(*tasks)
        del tasks
        await asyncio.sleep(0)  # the loop's own handle, which has the gathering, ends
        gc.collect()
        assert not [o for o in gc.get_objects() if isinstance(o, Result)]

    asyncio.run(main())


def test_a_proposal_is_made_by_the_node_only() -> None:
    with pytest.raises(TypeError, match="made by Node.propose"):
        Proposal()
