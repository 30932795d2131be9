package harness

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	warmUp     = 100 // sequential commands before the first that counts
	sampled    = 16  // every how manieth client of a crowd is timed
	fillers    = 1024
	longestRun = 500 * time.Millisecond // of a crowd's warm-up
)

// Figures of one work. Times in microseconds, rate in operations a second; Operations are all that were done, those of
// the warm-up too, which processor time is divided by.
type Figures struct {
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	P99_9      float64 `json:"p99_9_us"`
	P99_99     float64 `json:"p99_99_us"`
	Rate       float64 `json:"rate"`
	Operations int     `json:"operations"`
}

func figures(taken []time.Duration, operations int, elapsed time.Duration) Figures {
	slices.Sort(taken)
	at := func(part float64) float64 {
		if len(taken) == 0 {
			return 0
		}
		return micro(taken[min(len(taken)-1, int(float64(len(taken))*part))])
	}
	rate := math.Round(float64(operations)/elapsed.Seconds()*10) / 10
	return Figures{P50: at(0.5), P99: at(0.99), P99_9: at(0.999), P99_99: at(0.9999), Rate: rate, Operations: operations}
}

func micro(d time.Duration) float64 { return math.Round(float64(d)/100) / 10 }

func many(count, size int) [][]byte {
	payloads := make([]byte, count*size)
	commands := make([][]byte, count)
	for i := range commands {
		commands[i] = payloads[i*size : (i+1)*size : (i+1)*size]
	}
	return commands
}

// sequential commits count commands, one after the other.
func sequential(node Node, size, count int) (Figures, error) {
	command := make([]byte, size)
	for i := 0; i < warmUp; i++ {
		if err := node.Propose(command); err != nil {
			return Figures{}, err
		}
	}
	taken := make([]time.Duration, 0, count)
	var total time.Duration
	for i := 0; i < count; i++ {
		began := time.Now()
		if err := node.Propose(command); err != nil {
			return Figures{}, err
		}
		taken = append(taken, time.Since(began))
		total += taken[i]
	}
	sequence := figures(taken, count, total)
	sequence.Operations += warmUp
	return sequence, nil
}

// crowd has clients call, each one call at a time, for a warm-up and then for duration. A call does each operations.
func crowd(clients, each int, duration time.Duration, call func() error) (Figures, error) {
	warm := min(longestRun, duration/4)
	warmed, err := phase(clients, each, warm, call)
	if err != nil {
		return Figures{}, err
	}
	measured, err := phase(clients, each, duration, call)
	measured.Operations += warmed.Operations
	return measured, err
}

func phase(clients, each int, duration time.Duration, call func() error) (Figures, error) {
	var done atomic.Int64
	taken := make([][]time.Duration, clients)
	began := time.Now()
	until := began.Add(duration)
	err := together(clients, func(client int) error {
		calls := 0
		for start := time.Now(); start.Before(until); {
			if err := call(); err != nil {
				return err
			}
			now := time.Now()
			calls++
			if client%sampled == 0 {
				taken[client] = append(taken[client], now.Sub(start))
			}
			start = now
		}
		done.Add(int64(calls))
		return nil
	})
	elapsed := time.Since(began)
	if err != nil {
		return Figures{}, err
	}
	return figures(slices.Concat(taken...), int(done.Load())*each, elapsed), nil
}

// together has clients 0, 1, ... work at a time, until each has ended; one of the errors, if there are any.
func together(clients int, work func(client int) error) error {
	var all sync.WaitGroup
	failed := make(chan error, clients)
	for client := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := work(client); err != nil {
				failed <- err
			}
		}()
	}
	all.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// put commits count puts, one key after the other.
func put(node Node, count, keys, size int) (map[string]int, error) {
	value := make([]byte, size)
	var next atomic.Int64
	commands := func(n int) [][]byte {
		made := make([][]byte, 0, n)
		for range n {
			number := next.Add(1) - 1
			if number >= int64(count) {
				break
			}
			made = append(made, PutCommand(uint64(number)%uint64(keys), value))
		}
		return made
	}
	batcher, batched := node.(Batcher)
	clients, each := fillers, 1
	if batched {
		clients, each = 4, 500
	}
	err := together(clients, func(int) error {
		for made := commands(each); len(made) > 0; made = commands(each) {
			var err error
			if batched {
				err = batcher.ProposeMany(made)
			} else {
				err = node.Propose(made[0])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]int{"operations": count}, nil
}

// fill commits count commands: in batches where batch is not 0 and the node has a call for them, else one by one.
func fill(node Node, count, size, batch int) (map[string]int, error) {
	clients, each := fillers, 1
	command := make([]byte, size)
	call := func() error { return node.Propose(command) }
	if batcher, ok := node.(Batcher); ok && batch > 0 {
		commands := many(batch, size)
		clients, each = 4, batch
		call = func() error { return batcher.ProposeMany(commands) }
	}
	var left atomic.Int64
	left.Store(int64(count))
	err := together(clients, func(int) error {
		for left.Add(-int64(each)) >= 0 {
			if err := call(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]int{"operations": count}, nil
}
