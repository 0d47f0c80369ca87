package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"coderhook/hook/proof"
)

// Limits of one server. Supabase Auth sends small headers and keeps few connections; the largest
// headers are a front end's, with an access token in them.
const (
	maxConnections = 1024
	maxHeaderBytes = 48 << 10
	maxStreams     = 16       // of one HTTP/2 connection
	maxStreamBytes = 64 << 10 // that it may send before they are read
)

// frontDoor serves HTTP and leaves without breaking a request. http.Server.Shutdown alone drops
// those that it reads after it was called, on connections that are accepted already:
// so first the port is closed, then what was accepted is answered, and only then is it called.
type frontDoor struct {
	server   *http.Server
	listener *net.TCPListener
	guests   *guests
	served   chan error
}

// openFrontDoor listens on addr; serve answers.
func openFrontDoor(ctx context.Context, addr string, handler http.Handler) (*frontDoor, error) {
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
	d := &frontDoor{listener: tcp, served: make(chan error, 1), guests: newGuests(maxConnections)}
	d.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: maxStreamBytes, MaxReceiveBufferPerConnection: 2 * maxStreamBytes,
		},
		ConnState: d.guests.connState,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return proof.NewContext(ctx, guestOf(conn).prove)
		},
	}
	return d, nil
}

// serve answers until close is called, with TLS if there is a certificate.
func (d *frontDoor) serve(cert *certificate) {
	if cert == nil {
		d.served <- d.server.Serve(d)
		return
	}
	d.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	d.served <- d.server.ServeTLS(d, "", "")
}

// close ends it within ctx.
func (d *frontDoor) close(ctx context.Context) error {
	if err := d.listener.SetDeadline(time.Now().Add(endQueue(d.listener))); err != nil {
		return err
	}
	select {
	case <-d.served:
	case <-ctx.Done():
		return errors.Join(errors.New("gave up on waiting connections"), d.server.Close())
	}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for d.guests.isBusy() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(errors.New("gave up on running requests"), d.server.Close())
		}
	}
	return d.server.Shutdown(ctx)
}

// Accept is the listener's, until its deadline: then, once nobody is left in the kernel's queue, the port is closed.
// On a busy machine the deadline passes before we come to look at the queue.
func (d *frontDoor) Accept() (net.Conn, error) {
	conn, err := d.listener.Accept()
	for errors.Is(err, os.ErrDeadlineExceeded) {
		if queued(d.listener) == 0 {
			return nil, errors.Join(net.ErrClosed, d.listener.Close())
		}
		if err = d.listener.SetDeadline(time.Now().Add(time.Second)); err == nil {
			conn, err = d.listener.Accept()
		}
		_ = d.listener.SetDeadline(time.Unix(1, 0))
	}
	if err != nil {
		return nil, err
	}
	return d.guests.join(conn), nil
}

// Close closes the port.
func (d *frontDoor) Close() error { return d.listener.Close() }

// Addr is where the port is.
func (d *frontDoor) Addr() net.Addr { return d.listener.Addr() }
