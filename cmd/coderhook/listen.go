package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// lastAccept is how long we still accept connections that are already on their way.
const lastAccept = 20 * time.Millisecond

// Limits of one server. Supabase Auth sends small headers and keeps few connections; the largest
// headers are a front end's, with an access token in them.
const (
	maxConnections = 1024
	maxHeaderBytes = 48 << 10
)

// frontDoor serves HTTP and leaves without breaking a request. http.Server.Shutdown alone drops
// those that it reads after it was called, on connections that are accepted already:
// so first the port is closed, then what was accepted is answered, and only then is it called.
type frontDoor struct {
	server   *http.Server
	listener *net.TCPListener
	limited  net.Listener // the same, for so many connections at a time
	served   chan error

	mu   sync.Mutex
	busy map[net.Conn]bool // accepted, and not idle since
}

// openFrontDoor listens on addr; serve answers.
func openFrontDoor(ctx context.Context, addr string, handler http.Handler) (*frontDoor, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no TCP address", addr), listener.Close())
	}
	d := &frontDoor{listener: tcp, served: make(chan error, 1), busy: make(map[net.Conn]bool)}
	d.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         d.connState,
	}
	d.limited = netutil.LimitListener(d, maxConnections)
	return d, nil
}

// serve answers until close is called, with TLS if there is a certificate.
func (d *frontDoor) serve(cert *certificate) {
	if cert == nil {
		d.served <- d.server.Serve(d.limited)
		return
	}
	d.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	d.served <- d.server.ServeTLS(d.limited, "", "")
}

// close ends it within ctx.
func (d *frontDoor) close(ctx context.Context) error {
	if err := d.listener.SetDeadline(time.Now().Add(lastAccept)); err != nil {
		return err
	}
	select {
	case <-d.served:
	case <-time.After(2 * lastAccept): // at the limit of connections nobody accepts
		_ = d.limited.Close()
		<-d.served
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for d.isBusy() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(errors.New("gave up on running requests"), d.server.Close())
		}
	}
	return d.server.Shutdown(ctx)
}

func (d *frontDoor) connState(conn net.Conn, state http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		d.busy[conn] = true
	default:
		delete(d.busy, conn)
	}
}

func (d *frontDoor) isBusy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.busy) > 0
}

// Accept is the listener's, until its deadline: then the port is closed at once.
func (d *frontDoor) Accept() (net.Conn, error) {
	conn, err := d.listener.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errors.Join(net.ErrClosed, d.listener.Close())
	}
	return conn, err
}

// Close closes the port.
func (d *frontDoor) Close() error { return d.listener.Close() }

// Addr is where the port is.
func (d *frontDoor) Addr() net.Addr { return d.listener.Addr() }
