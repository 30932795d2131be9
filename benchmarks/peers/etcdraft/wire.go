package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

const most = 1 << 20 // bytes of messages in one write

func (n *node) send(messages []pb.Message) {
	for _, message := range messages {
		select {
		case n.peers[message.To] <- message:
		default: // the queue is full: dropped, and raft is told
			n.unreachable(message.To)
		}
	}
}

func (n *node) unreachable(id uint64) {
	select {
	case n.down <- id:
	default:
	}
}

func encode(buffer []byte, message pb.Message) []byte {
	at, size := len(buffer), message.Size()
	buffer = slices.Grow(buffer, 4+size)[:at+4+size]
	binary.LittleEndian.PutUint32(buffer[at:], uint32(size))
	_, err := message.MarshalTo(buffer[at+4:])
	must(err)
	return buffer
}

func (n *node) sender(id uint64, address string, messages chan pb.Message) {
	buffer := make([]byte, 0, most)
	for {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			for len(messages) > 0 { // stale by now
				<-messages
			}
			continue
		}
		for message := range messages {
			buffer = encode(buffer[:0], message)
			for len(buffer) < most && len(messages) > 0 {
				buffer = encode(buffer, <-messages)
			}
			if _, err = connection.Write(buffer); err != nil {
				break
			}
		}
		connection.Close()
		n.unreachable(id)
	}
}

func (n *node) accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		must(err)
		go n.receiver(connection)
	}
}

func (n *node) receiver(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 256<<10)
	var header [4]byte
	var buffer []byte
	for {
		if _, err := io.ReadFull(reader, header[:]); err != nil {
			return
		}
		size := int(binary.LittleEndian.Uint32(header[:]))
		if cap(buffer) < size {
			buffer = make([]byte, 2*size)
		}
		if _, err := io.ReadFull(reader, buffer[:size]); err != nil {
			return
		}
		message := pb.Message{}
		must(message.Unmarshal(buffer[:size]))
		n.received <- message
	}
}
