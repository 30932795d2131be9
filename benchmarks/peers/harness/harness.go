// Package harness is what the Go peers share: one node of a measured cluster as a process of its own, told what to do
// line by line on standard input, as JSON, by benchmarks/cluster.py. The orders are those of benchmarks/member.py:
//
//	{"do": "leader"}                                            -> {"leader": id}, once there is one
//	{"do": "sequential", "size": B, "count": N}                 -> figures
//	{"do": "in_flight", "size": B, "concurrency": C, "seconds": S} -> figures
//	{"do": "batches", "size": B, "batch": K, "calls": C, "seconds": S} -> figures
//	{"do": "reads", "concurrency": C, "seconds": S}             -> figures
//	{"do": "fill", "size": B, "count": N, "batch": K}           -> {"operations": N}; one by one with batch 0
//	{"do": "put", "count": N, "keys": K, "size": B}             -> {"operations": N}; with -state
//	{"do": "snapshot"}                                          -> {"applied": n}, once one is durable; with -state
//	{"do": "attempt"}                                           -> {"done": bool}: one command, given up soon
//	{"do": "wait_applied", "count": N}                          -> {"applied": n}, once n >= N commands are applied
//	{"do": "usage"}                                             -> {"cpu_s": seconds, "applied": commands}
//	{"do": "stop"}, or the end of standard input                -> the process ends
//
// Figures are {"p50_us", "p99_us", "p99_9_us", "p99_99_us", "rate", "operations"}; what goes wrong is {"error": text}.
package harness

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Node is what an implementation gives the load.
type Node interface {
	// Leader is the id of the leader as far as this node knows; 0 for none.
	Leader() uint64
	// Applied counts the commands that the state machine of this node has applied.
	Applied() uint64
	// Propose returns once the command is committed and applied on this node.
	Propose(command []byte) error
}

// Batcher is a Node that takes many commands at once.
type Batcher interface {
	ProposeMany(commands [][]byte) error
}

// Reader is a Node that can read without writing to the log.
type Reader interface {
	// Read returns once the state machine may be read linearizably.
	Read() error
}

// Snapshotter is a Node with a key-value state that it takes snapshots of.
type Snapshotter interface {
	// Snapshot returns once a snapshot of all that this node has applied is durable.
	Snapshot() error
}

// Options say which node of which cluster a process is.
type Options struct {
	ID      uint64
	Members map[uint64]string // host:port by id
	Data    string            // its directory
	// Quick asks for a heartbeat every 50 ms and elections after 150 to 300 ms, as raftpy has them, and for a log that
	// stays whole in memory. Without it heartbeats come every 100 ms and elections after a second or more, so that load
	// on few cores costs no leader.
	Quick bool
	// State asks for a key-value store, the State of this package, in place of a state machine that counts, and for
	// snapshots of it, taken only when they are asked for.
	State bool
}

// Main reads the command line, starts the node and serves it until standard input ends.
func Main(start func(Options) (Node, error)) {
	var options Options
	cluster := flag.String("cluster", "", "1=host:port,2=host:port,...")
	flag.Uint64Var(&options.ID, "id", 0, "this node's id")
	flag.StringVar(&options.Data, "data", "", "its directory")
	flag.BoolVar(&options.Quick, "quick", false, "quick elections, and the whole log in memory")
	flag.BoolVar(&options.State, "state", false, "a key-value state, and snapshots of it")
	flag.Parse()
	options.Members = map[uint64]string{}
	for _, member := range strings.Split(*cluster, ",") {
		id, address, _ := strings.Cut(member, "=")
		number, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			fail(fmt.Errorf("cluster %q: %w", *cluster, err))
		}
		options.Members[number] = address
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // memory for speed, as their users do under load
	}
	if err := os.MkdirAll(options.Data, 0o755); err != nil {
		fail(err)
	}
	node, err := start(options)
	if err != nil {
		fail(err)
	}
	say(map[string]any{"started": options.ID})
	serve(node, options.ID)
}

func fail(err error) {
	say(map[string]any{"error": err.Error()})
	os.Exit(1)
}

func say(what any) {
	line, _ := json.Marshal(what)
	os.Stdout.Write(append(line, '\n'))
}

type order struct {
	Do                                     string
	Size, Count, Batch, Calls, Concurrency float64
	Seconds, Keys                          float64
}

func serve(node Node, id uint64) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fail(err)
		}
		if o.Do == "stop" {
			break
		}
		answer, err := carryOut(node, id, o)
		if err != nil {
			say(map[string]any{"error": err.Error()})
		} else {
			say(answer)
		}
	}
	os.Exit(0)
}

func carryOut(node Node, id uint64, o order) (any, error) {
	duration := time.Duration(o.Seconds * float64(time.Second))
	switch o.Do {
	case "leader":
		for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
			if leader := node.Leader(); leader != 0 {
				return map[string]uint64{"leader": leader}, nil
			}
		}
		return nil, errors.New("no leader within 30 s")
	case "sequential":
		return sequential(node, int(o.Size), int(o.Count))
	case "in_flight":
		command := make([]byte, int(o.Size))
		return crowd(int(o.Concurrency), 1, duration, func() error { return node.Propose(command) })
	case "batches":
		batcher, ok := node.(Batcher)
		if !ok {
			return nil, errors.New("it has no call for many commands")
		}
		commands := many(int(o.Batch), int(o.Size))
		return crowd(int(o.Calls), len(commands), duration, func() error { return batcher.ProposeMany(commands) })
	case "reads":
		reader, ok := node.(Reader)
		if !ok {
			return nil, errors.New("it has no linearizable read")
		}
		return crowd(int(o.Concurrency), 1, duration, reader.Read)
	case "fill":
		return fill(node, int(o.Count), int(o.Size), int(o.Batch))
	case "put":
		return put(node, int(o.Count), int(o.Keys), int(o.Size))
	case "snapshot":
		snapshotter, ok := node.(Snapshotter)
		if !ok {
			return nil, errors.New("it takes no snapshots")
		}
		if err := snapshotter.Snapshot(); err != nil {
			return nil, err
		}
		return map[string]uint64{"applied": node.Applied()}, nil
	case "attempt":
		return map[string]bool{"done": attempt(node, id)}, nil
	case "wait_applied":
		for until := time.Now().Add(120 * time.Second); node.Applied() < uint64(o.Count); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				return nil, fmt.Errorf("applied %d of %.0f within 120 s", node.Applied(), o.Count)
			}
		}
		return map[string]uint64{"applied": node.Applied()}, nil
	case "usage":
		return map[string]any{"cpu_s": cpuSeconds(), "applied": node.Applied()}, nil
	}
	return nil, fmt.Errorf("unknown order %q", o.Do)
}

// attempt proposes one command and gives up after half a second.
func attempt(node Node, id uint64) bool {
	if node.Leader() != id {
		time.Sleep(time.Millisecond)
		return false
	}
	done := make(chan error, 1)
	go func() { done <- node.Propose([]byte("attempt")) }()
	select {
	case err := <-done:
		return err == nil
	case <-time.After(500 * time.Millisecond):
		return false
	}
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
