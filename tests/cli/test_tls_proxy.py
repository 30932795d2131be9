"""Nodes behind a proxy that speaks TLS: redirects, status and the command line keep to its addresses."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from raftpy.cli.addresses import Address
from raftpy.cli.demo_cluster import free_ports
from raftpy.cli.http_client import ask
from tests.cli.support import check_one_line, raftpy, serving

PEM = Path(__file__).parent / "tls.pem"
"""Key and certificate of 127.0.0.1 and localhost, for this test and nothing else."""


class Proxy:
    """Takes TLS off and passes the bytes on, in a thread; counts the connections of each target."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(PEM)

    def call(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def lead(self, port: int, target: int) -> None:
        """From a port with TLS to one without."""
        self.taken[target] = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.taken[target] += 1
            self._writers.append(writer)
            back, forth = await asyncio.open_connection("127.0.0.1", target)
            self._writers.append(forth)
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))

        async def start() -> None:
            self._servers.append(await asyncio.start_server(serve, "127.0.0.1", port, ssl=self._tls))

        self.call(start())

    def close(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

        self.call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def proxied_pair(directory: Path) -> Iterator[tuple[Proxy, dict[int, int], dict[int, int]]]:
    """Two nodes behind the proxy; the ports that it has with TLS, and theirs without."""
    one, two, *ports = free_ports(6)
    inner, outer = dict(enumerate(ports[:2], 1)), dict(enumerate(ports[2:], 1))
    proxy = Proxy()
    try:
        with ExitStack() as stack:
            cluster = f"1=127.0.0.1:{one},2=127.0.0.1:{two}"
            for i in (1, 2):
                proxy.lead(outer[i], inner[i])
                node = stack.enter_context(
                    serving(
                        "--id", f"{i}", "--cluster", cluster, "--data", f"{directory}/{i}",
                        "--http", f"127.0.0.1:{inner[i]}", "--advertise-http", f"https://localhost:{outer[i]}",
                    )
                )  # fmt: skip
                assert f"http https://localhost:{outer[i]}," in node.first_line()
            yield proxy, outer, inner
    finally:
        proxy.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Proxy, dict[int, int], dict[int, int]]]:
    with proxied_pair(tmp_path_factory.mktemp("proxied")) as pair:
        yield pair


def test_redirects_lead_to_the_proxy(pair: tuple[Proxy, dict[int, int], dict[int, int]]) -> None:
    proxy, outer, inner = pair
    trusted = {"SSL_CERT_FILE": str(PEM)}
    for i in (1, 2):
        put = raftpy("kv", "--http", f"https://127.0.0.1:{outer[i]}", "put", f"k{i}", "v", env=trusted)
        assert (put.status, put.err) == (0, "")
    answers = {i: ask(Address("127.0.0.1", inner[i]), "GET", "/v1/kv/k1?consistency=linearizable") for i in (1, 2)}
    (leader,) = (i for i, answer in answers.items() if answer.status == 200)
    follower = 3 - leader
    location = f"https://localhost:{outer[leader]}/v1/kv/k1?consistency=linearizable"
    assert answers[follower].status == 307
    assert answers[follower].headers["location"] == location
    assert answers[follower].json() == {"leader": leader, "location": location}
    before = dict(proxy.taken)
    got = raftpy("kv", "--http", f"https://localhost:{outer[follower]}", "get", "k1", env=trusted)
    assert (got.status, got.out, got.err) == (0, b"v", "")
    assert proxy.taken == {inner[i]: before[inner[i]] + 1 for i in (1, 2)}


def test_status_asks_through_the_proxy(pair: tuple[Proxy, dict[int, int], dict[int, int]]) -> None:
    _, outer, _ = pair
    ended = raftpy("status", "--http", f"https://localhost:{outer[1]}", env={"SSL_CERT_FILE": str(PEM)})
    assert (ended.status, ended.err) == (0, "")
    rows = [line.split() for line in ended.text.splitlines() if "https" in line]
    assert [row[-1] for row in rows] == [f"https://localhost:{outer[i]}" for i in (1, 2)]
    assert sorted(row[1] for row in rows) == ["follower", "leader"]


def test_a_certificate_that_is_not_trusted(pair: tuple[Proxy, dict[int, int], dict[int, int]]) -> None:
    _, outer, _ = pair
    ended = raftpy("kv", "--http", f"https://localhost:{outer[1]}", "put", "k", "v", env={"SSL_CERT_FILE": ""})
    check_one_line(ended, 1, f"no node answers: https://localhost:{outer[1]}: TLS: self", "signed certificate")
