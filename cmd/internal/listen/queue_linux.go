package listen

import (
	"net"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The kernel completes handshakes by itself: clients in its queue of connections that are not accepted yet count as
// connected, and send their requests, which are lost when the port is closed. So first the queue is closed: packets that
// ask for a new connection are dropped. Their senders repeat them a second later, when the port is closed, or another
// process listens there. Handshakes that have begun go on.
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

// endQueue lets no new connection into the queue. It returns how long handshakes that have begun may still take.
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

// queued returns how many are connected and not accepted.
func queued(listener *net.TCPListener) (n int) {
	onSocket(listener, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			n = int(info.Unacked) // of a listening socket: the length of its queue
		}
	})
	return n
}

func onSocket(listener *net.TCPListener, do func(fd int)) {
	if raw, err := listener.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { do(int(fd)) }) // a closed one has no queue
	}
}
