package harness

import (
	"flag"
	"fmt"
	"math"
	"os"
	"time"
)

// Core is a cluster of three cores in one process, without disk and sockets.
type Core interface {
	// Propose proposes a batch of 16 B entries and carries on until all three have applied it.
	Propose(batch int)
	// Applied counts the entries applied on each of the three.
	Applied() [3]uint64
}

// CoreMain is `core -batch N -entries M`: prints {"ns_per_entry": ...} of M entries in batches of N.
func CoreMain(arguments []string, start func() Core) {
	flags := flag.NewFlagSet("core", flag.ExitOnError)
	batch := flags.Int("batch", 1000, "entries a batch")
	entries := flags.Int("entries", 400000, "entries in all")
	if err := flags.Parse(arguments); err != nil {
		fail(err)
	}
	core := start()
	run := func(total int) {
		for done := 0; done < total; done += *batch {
			core.Propose(*batch)
		}
	}
	run(*entries / 10)
	before := core.Applied()
	began := time.Now()
	run(*entries)
	elapsed := time.Since(began)
	after := core.Applied()
	done := after[0] - before[0]
	if done < uint64(*entries) || after[0] != after[1] || after[1] != after[2] {
		fail(fmt.Errorf("applied %v after %v, of %d entries", after, before, *entries))
	}
	say(map[string]float64{"ns_per_entry": math.Round(float64(elapsed.Nanoseconds())/float64(done)*10) / 10})
	os.Exit(0)
}
