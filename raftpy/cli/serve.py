"""``raftpy serve``: one node of a cluster, with its HTTP server, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from raftpy.cli.addresses import one_address
from raftpy.cli.settings import Settings, from_options

EPILOG = """\b
Examples:
  raftpy serve --id 1 --cluster 1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103 \\
               --data n1 --http 127.0.0.1:8101
  raftpy serve --config node1.toml

\b
A configuration file holds the same options without their dashes, for example:
  id = 1
  cluster = "1=127.0.0.1:7101,2=127.0.0.1:7102,3=127.0.0.1:7103"   # or a table [cluster] of id = "HOST:PORT"
  data = "/var/lib/raftpy"
  http = "127.0.0.1:8101"
  election-ms = "150-300"
What is given on the command line wins.
"""


@click.command(epilog=EPILOG)
@click.option("--id", "id", type=int, metavar="N", help="This node's id, one of the cluster's, or --udp is given.")
@click.option(
    "--cluster",
    metavar="ID=HOST:PORT,..",
    help="The members and the UDP addresses at which the others reach them. Counts at the first start of a data "
    "directory.",
)
@click.option(
    "--udp",
    metavar="HOST:PORT",
    help="This node's own UDP address, where it is none of the first members, and takes part once it was added, or has "
    "moved since.  [default: the one in --cluster]",
)
@click.option(
    "--contacts",
    metavar="ID=HOST:PORT,..",
    help="Other nodes to speak to from the start, or where those in --cluster are reached by now.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to listen for the other nodes, such as 0.0.0.0:7101.  [default: this node's address in --cluster]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the node keeps its state: made when missing, refused when it holds other files.",
)
@click.option("--http", metavar="HOST:PORT", callback=one_address, help="Where to serve HTTP.")
@click.option(
    "--advertise-http",
    metavar="[https://]HOST:PORT",
    callback=one_address,
    help="The HTTP address told to clients and peers, with https:// that of a TLS proxy.  [default: --http, with this "
    "node's host from --cluster when that is a wildcard such as 0.0.0.0]",
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE.toml", help="Read these options from a file.")
@click.option("--tick-ms", type=int, metavar="MS", help="Length of a tick.  [default: 10]")
@click.option("--heartbeat-ms", type=int, metavar="MS", help="How often a leader says that it is there.  [default: 50]")
@click.option("--quiet-heartbeat-ms", type=int, metavar="MS", help="The same while nothing is going on.  [default: 70]")
@click.option(
    "--election-ms",
    metavar="FROM-TO",
    help="How long a follower waits for a leader before it stands for election.  [default: 150-300]",
)
@click.option(
    "--max-datagram",
    type=int,
    metavar="BYTES",
    help="Size of the largest UDP datagram; what does not fit one goes in fragments.  "
    "[default: what the path to each peer takes, which is found out]",
)
@click.option(
    "--log-cache-bytes",
    type=int,
    metavar="BYTES",
    help="How much of the log's end is kept in memory; what a follower lacks beyond is read back from the disk.  "
    "[default: 67108864]",
)
@click.option(
    "--catch-up-rate",
    type=int,
    metavar="BYTES",
    help="Bytes of the log a second that a follower which is far behind is sent, at least 65536; more, where the log "
    "grows faster.  [default: 25165824]",
)
@click.option(
    "--snapshot-bytes",
    type=int,
    metavar="BYTES",
    help="A snapshot is taken when so much was written to the log since the last one, and as much as that one has.  "
    "[default: 268435456]",
)
@click.option(
    "--snapshot-entries",
    type=int,
    metavar="COUNT",
    help="Also after so many entries of the log.  [default: they do not count]",
)
@click.option(
    "--snapshots-kept",
    type=int,
    metavar="COUNT",
    help="So many snapshots are kept, 2 to 64, and the log behind the oldest of them.  [default: 2]",
)
@click.option(
    "--snapshot-rate",
    type=int,
    metavar="BYTES",
    help="Bytes of snapshots a second that this node gives to others, at least 1048576.  [default: as the path allows]",
)
@click.option(
    "--scrub-rate",
    type=int,
    metavar="BYTES",
    help="Read back segments and snapshots once a day, so many bytes a second, at least 65536; 0: do not.  "
    "[default: 1048576]",
)
@click.option(
    "--trailing-bytes",
    type=int,
    metavar="BYTES",
    help="So much of the log may stay behind the snapshots for members that need it.  [default: 1073741824]",
)
@click.option(
    "--log-level",
    metavar="LEVEL",
    help="What to print on stderr: debug, info (changes of the leader, peers up and down), warning, error or critical, "
    "and what is above it.  [default: info]",
)
@click.option(
    "--bootstrap",
    is_flag=True,
    default=None,
    help="At the first start: do not wait for members that are not there yet. Never for a node that lost its data.",
)
@click.option("--unreliable", is_flag=True, default=None, help="For tests: delay and drop datagrams on purpose.")
def serve(config: Path | None, **options: Any) -> None:
    """Run one node of a cluster and serve its key-value store over HTTP.

    SIGTERM, SIGINT (Ctrl-C) and SIGHUP stop it cleanly; a leader hands over first. Under nohup, which ignores SIGHUP,
    it runs on.
    """
    settings: Settings = from_options(config, options)
    # Only now: what follows loads the event loop, the store and the HTTP server.
    from raftpy.cli.serving import run_node

    run_node(settings)
