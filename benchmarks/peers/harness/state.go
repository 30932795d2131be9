package harness

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync"
)

// State is a key-value store: what the peers replicate when they are asked for a state. A command is a key of eight
// bytes and the value behind it.
type State struct {
	mutex   sync.Mutex
	values  map[uint64][]byte
	applied uint64
}

// NewState is an empty one.
func NewState() *State { return &State{values: map[uint64][]byte{}} }

// PutCommand puts a value under a key.
func PutCommand(key uint64, value []byte) []byte {
	command := make([]byte, 8+len(value))
	binary.LittleEndian.PutUint64(command, key)
	copy(command[8:], value)
	return command
}

// Apply carries a command out; what is shorter than a key counts, and puts nothing.
func (s *State) Apply(command []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.applied++
	if len(command) >= 8 {
		s.values[binary.LittleEndian.Uint64(command)] = append([]byte(nil), command[8:]...)
	}
}

// Applied counts the commands, those in a restored snapshot included.
func (s *State) Applied() uint64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.applied
}

// View is the state as of now: values are never changed in place, so that a copy of the table will do.
func (s *State) View() *State {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	view := &State{values: make(map[uint64][]byte, len(s.values)), applied: s.applied}
	for key, value := range s.values {
		view.values[key] = value
	}
	return view
}

// Write gives out all of it. Nothing may be applied meanwhile.
func (s *State) Write(to io.Writer) error {
	out := bufio.NewWriterSize(to, 1<<20)
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], s.applied)
	binary.LittleEndian.PutUint64(head[8:], uint64(len(s.values)))
	if _, err := out.Write(head[:]); err != nil {
		return err
	}
	for key, value := range s.values {
		binary.LittleEndian.PutUint64(head[:], key)
		binary.LittleEndian.PutUint64(head[8:], uint64(len(value)))
		if _, err := out.Write(head[:]); err != nil {
			return err
		}
		if _, err := out.Write(value); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Read takes the place of all that there was.
func (s *State) Read(from io.Reader) error {
	in := bufio.NewReaderSize(from, 1<<20)
	var head [16]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	applied, count := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:])
	values := make(map[uint64][]byte, count)
	for range count {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		value := make([]byte, binary.LittleEndian.Uint64(head[8:]))
		if _, err := io.ReadFull(in, value); err != nil {
			return err
		}
		values[binary.LittleEndian.Uint64(head[:])] = value
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.values, s.applied = values, applied
	return nil
}
