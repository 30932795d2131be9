// porcupine checks one history again and again and says how long that takes.
//
// It reads a history from standard input: one operation a line, as {"client", "key", "call", "return", "kind", "value",
// "expected", "done", "seen"}, where values are numbers or strings and null stands for no key. An operation without an
// outcome has no "return". The flag -model says which of the two models is meant, those of the histories' own tests in
// what they allow: "register" (numbers; read, write, swap) or "kv" (strings; read, write, append; keys apart). It prints
// {"linearizable": ..., "us": microseconds of the fastest check, "checks": how many there were}.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

const nothing = math.MinInt // no key, in a register

type line struct {
	Client   int             `json:"client"`
	Key      string          `json:"key"`
	Call     int64           `json:"call"`
	Return   *int64          `json:"return"`
	Kind     string          `json:"kind"`
	Value    json.RawMessage `json:"value"`
	Expected json.RawMessage `json:"expected"`
	Done     bool            `json:"done"`
	Seen     json.RawMessage `json:"seen"`
}

const (
	read = iota
	write
	swap
	attach
)

var kinds = map[string]int{"read": read, "write": write, "swap": swap, "append": attach}

type number struct{ kind, value, expected int }

type numberAnswer struct {
	known, done bool
	seen        int
}

type text struct {
	kind       int
	key, value string
}

type textAnswer struct {
	known bool
	seen  string
}

// register is one number that is read, written, and swapped if it is as expected.
var register = porcupine.Model{
	Init: func() interface{} { return nothing },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		now, asked, told := state.(int), input.(number), output.(numberAnswer)
		switch asked.kind {
		case read:
			return !told.known || told.seen == now, now
		case write:
			return true, asked.value
		default:
			holds := asked.expected == now
			if told.known && told.done != holds {
				return false, now
			}
			if holds {
				return true, asked.value
			}
			return true, now
		}
	},
	Hash: func(state interface{}) uint64 { return uint64(state.(int)) },
}

// kv is one key's string; keys are checked apart.
var kv = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		place := map[string]int{}
		var parts [][]porcupine.Operation
		for _, one := range history {
			key := one.Input.(text).key
			at, there := place[key]
			if !there {
				at = len(parts)
				place[key] = at
				parts = append(parts, nil)
			}
			parts[at] = append(parts[at], one)
		}
		return parts
	},
	Init: func() interface{} { return "" },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		now, asked, told := state.(string), input.(text), output.(textAnswer)
		switch asked.kind {
		case read:
			return !told.known || told.seen == now, now
		case write:
			return true, asked.value
		default:
			return true, now + asked.value
		}
	},
	// Without it states are compared one by one, and the history with 50 clients takes fifty times as long.
	Hash: func(state interface{}) uint64 { return maphash.String(seed, state.(string)) },
}

var seed = maphash.MakeSeed()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func asNumber(raw json.RawMessage) int {
	value := nothing
	if len(raw) > 0 && string(raw) != "null" {
		must(json.Unmarshal(raw, &value))
	}
	return value
}

func asText(raw json.RawMessage) string {
	var value string
	if len(raw) > 0 {
		must(json.Unmarshal(raw, &value))
	}
	return value
}

func history(numbers bool) []porcupine.Operation {
	var operations []porcupine.Operation
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var one line
		must(json.Unmarshal(scanner.Bytes(), &one))
		operation := porcupine.Operation{ClientId: one.Client, Call: one.Call, Return: math.MaxInt64}
		if one.Return != nil {
			operation.Return = *one.Return
		}
		kind, there := kinds[one.Kind]
		if !there {
			panic("no such kind: " + one.Kind)
		}
		if numbers {
			operation.Input = number{kind, asNumber(one.Value), asNumber(one.Expected)}
			operation.Output = numberAnswer{one.Return != nil, one.Done, asNumber(one.Seen)}
		} else {
			operation.Input = text{kind, one.Key, asText(one.Value)}
			operation.Output = textAnswer{one.Return != nil, asText(one.Seen)}
		}
		operations = append(operations, operation)
	}
	must(scanner.Err())
	return operations
}

func main() {
	name := flag.String("model", "register", "register or kv")
	seconds := flag.Float64("seconds", 0.2, "check again and again for so long, three times at least")
	flag.Parse()
	model := map[string]porcupine.Model{"register": register, "kv": kv}[*name]
	operations := history(*name == "register")
	fastest := time.Duration(math.MaxInt64)
	checks, linearizable := 0, false
	for begun := time.Now(); checks < 3 || time.Since(begun).Seconds() < *seconds; checks++ {
		at := time.Now()
		linearizable = porcupine.CheckOperations(model, operations)
		fastest = min(fastest, time.Since(at))
	}
	fmt.Printf("{\"linearizable\": %t, \"us\": %.1f, \"checks\": %d}\n", linearizable, float64(fastest.Nanoseconds())/1e3, checks)
}
