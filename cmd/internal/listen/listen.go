// Package listen serves HTTP at a port that neither strangers nor the server's end can keep from answering.
//
// At the limit of connections one is closed for the next that comes: see [Port]. At the end no request is broken.
package listen

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"coderhook/cmd/internal/keypair"

	"github.com/rs/zerolog"
)

// Limits of one server. Supabase Auth sends small headers and keeps few connections; the largest
// headers are a front end's, with an access token in them.
const (
	maxConnections = 1024 // without [Options].Connections
	maxStreams     = 16   // without [Options].Streams
	maxHeaderBytes = 48 << 10
	maxStreamBytes = 64 << 10 // that an HTTP/2 stream may send before they are read
)

// Options say what a port does.
type Options struct {
	Handler     http.Handler  // required
	Certificate *keypair.Pair // nil: without TLS
	Log         zerolog.Logger
	Connections int // that may be open; 0: 1,024. WebSockets leave them
	Streams     int // that may be open on each HTTP/2 connection; 0: 16

	// Proof returns the context of a connection's requests, through which the handler calls proven for each request
	// whose sender is known, and what that returned once it is answered. Nil: nobody is ever known.
	Proof func(ctx context.Context, proven func() (answered func())) context.Context
}

// Port serves HTTP at one address, and ends without breaking a request. http.Server.Shutdown alone drops
// those that it reads after it was called, on connections that are accepted already:
// so first the port is closed, then what was accepted is answered, and only then is it called.
type Port struct {
	server *http.Server
	queue  *queue
	pool   *pool
	served chan error
}

// Open listens on addr; Serve answers.
func Open(ctx context.Context, addr string, o Options) (*Port, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false) // it has no queue to look at, and nothing to filter
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no TCP address", addr), listener.Close())
	}
	connections := newPool(cmp.Or(o.Connections, maxConnections))
	return &Port{newServer(o, connections), &queue{tcp, connections}, connections, make(chan error, 1)}, nil
}

func newServer(o Options, connections *pool) *http.Server {
	server := &http.Server{
		Handler:           o.Handler,
		ErrorLog:          stdlog.New(serverErrors{o.Log}, "", 0),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: cmp.Or(o.Streams, maxStreams), MaxReceiveBufferPerStream: maxStreamBytes, MaxReceiveBufferPerConnection: 2 * maxStreamBytes,
		},
		ConnState: connections.connState,
	}
	if o.Certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: o.Certificate.ForClient}
	}
	if o.Proof != nil {
		server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return o.Proof(ctx, connectionOf(c).prove)
		}
	}
	return server
}

// Serve answers until the port is closed.
func (p *Port) Serve() {
	if p.server.TLSConfig == nil {
		p.served <- p.server.Serve(p.queue)
		return
	}
	p.served <- p.server.ServeTLS(p.queue, "", "")
}

// Ended tells how Serve ended.
func (p *Port) Ended() <-chan error { return p.served }

// Addr returns where the port is.
func (p *Port) Addr() net.Addr { return p.queue.Addr() }

// Close closes a port that was not served.
func (p *Port) Close() error { return p.queue.Close() }

// Shutdown ends it within ctx.
func (p *Port) Shutdown(ctx context.Context) error {
	if err := p.queue.end(); err != nil {
		return err
	}
	select {
	case <-p.served:
	case <-ctx.Done():
		return errors.Join(errors.New("gave up on waiting connections"), p.server.Close())
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for p.pool.isBusy() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(errors.New("gave up on running requests"), p.server.Close())
		}
	}
	return p.server.Shutdown(ctx)
}

// Connections returns how many are open.
func (p *Port) Connections() int { return p.pool.count() }

// Limit returns how many connections may be open.
func (p *Port) Limit() int { return p.pool.limit }

// Evicted returns how many connections were closed to make room for others.
func (p *Port) Evicted() int64 { return p.pool.evicted.Load() }

// serverErrors logs what http.Server has to say.
type serverErrors struct{ log zerolog.Logger }

// Write logs one message. Broken handshakes are of strangers, and many.
func (e serverErrors) Write(text []byte) (int, error) {
	event := e.log.Warn()
	if bytes.Contains(text, []byte("TLS handshake")) {
		event = e.log.Debug()
	}
	event.Bytes("error", bytes.TrimSpace(text)).Msg("http server")
	return len(text), nil
}
