package main

import (
	"net"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Those who have been let into the kernel's queue are told that they are connected, and send their request. When the
// port is closed they lose it. So nobody is let in any more first: what asks for a connection is dropped, and who asked
// does so again a second later, when the port is closed, or another process has it. Handshakes that have begun go on.
const (
	handshakeTime = 200 * time.Millisecond
	lastAccept    = 20 * time.Millisecond // where the kernel can't do that
)

// dropSYN lets through what a connection under way needs: all but its very first packet.
var dropSYN = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 13, Size: 1}, // the flags in TCP's header
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x02, SkipFalse: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: 1<<32 - 1},
}

// endQueue lets nobody into the queue any more. It returns how long those need who are on their way into it.
func endQueue(listener *net.TCPListener) time.Duration {
	program, err := bpf.Assemble(dropSYN)
	if err != nil {
		return lastAccept
	}
	filter := make([]unix.SockFilter, len(program))
	for i, op := range program {
		filter[i] = unix.SockFilter{Code: op.Op, Jt: op.Jt, Jf: op.Jf, K: op.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	onSocket(listener, func(fd int) {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog)
	})
	if err != nil {
		return lastAccept
	}
	return handshakeTime
}

// queued is how many are connected and not accepted.
func queued(listener *net.TCPListener) (n int) {
	onSocket(listener, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Unacked) // of a listening socket it is that
		}
	})
	return n
}

func onSocket(listener *net.TCPListener, do func(fd int)) {
	if raw, err := listener.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // a closed one has no queue
	}
}
