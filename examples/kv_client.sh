#!/usr/bin/env bash
# Talks to a running cluster (`raftpy demo --keep`, or three times `raftpy serve`) from a shell.
#
#   RAFTPY_HTTP=127.0.0.1:8101,127.0.0.1:8102,127.0.0.1:8103 bash examples/kv_client.sh
set -euo pipefail

raftpy=${RAFTPY:-raftpy}

# Any node can be asked: the one that does not lead sends us on.
$raftpy kv put example/greeting 'hello'
$raftpy kv get example/greeting
echo

# A counter that many shells can share: read, add one, write only if nobody else was quicker, else begin again.
$raftpy kv cas example/counter 0 0 2>/dev/null || true
increment() {
    local version value
    while true; do
        # key, version and size, with tabs between
        version=$($raftpy kv list example/counter | cut -f 2)
        value=$($raftpy kv get example/counter)
        if $raftpy kv cas example/counter "$version" "$((value + 1))" 2>/dev/null; then
            return
        fi
    done
}
increment
increment
echo "counted to $($raftpy kv get example/counter)"

# The keys with their versions and sizes, then the cluster.
$raftpy kv list example/
$raftpy status --http "${RAFTPY_HTTP:-127.0.0.1:8101}"

$raftpy kv delete example/greeting
$raftpy kv delete example/counter
