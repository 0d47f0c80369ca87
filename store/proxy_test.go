package store_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// proxy stands between a store and its database and counts what the store sends.
type proxy struct {
	url string

	mu            sync.Mutex
	conns         []net.Conn
	trips, writes int
	served        int // clients now
	swallowed     map[net.Conn]bool
}

// newProxy returns a proxy for the database of upstream.
func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	cfg, err := pgx.ParseConfig(upstream)
	must(t, err)
	network, addr := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: l.Addr().String(),
		Path: "/" + cfg.Database, RawQuery: "sslmode=disable",
	}
	p := &proxy{url: u.String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, addr)
			if err != nil {
				client.Close()
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.served++
			p.mu.Unlock()
			wg.Go(func() { p.forward(server, client); client.Close(); server.Close() })
			wg.Go(func() { _, _ = io.Copy(client, server); client.Close(); server.Close(); p.left() })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(); wg.Wait() })
	return p
}

// forward copies what the client sends, and counts it once the start-up is over.
func (p *proxy) forward(server io.Writer, client net.Conn) {
	r, w := io.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer w.Close()
	wg.Go(func() { p.countTrips(r) })
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.writes++
		swallowed := p.swallowed[client]
		p.mu.Unlock()
		if swallowed {
			continue
		}
		// Counted before it is sent, and so before it is answered.
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// countTrips counts the messages that make the server answer and wait.
func (p *proxy) countTrips(r *io.PipeReader) {
	defer r.Close()
	if _, err := readMessage(r, false); err != nil {
		return
	}
	for {
		var kind [1]byte
		if _, err := io.ReadFull(r, kind[:]); err != nil {
			return
		}
		if slices.Contains([]byte("SQ"), kind[0]) { // Sync, simple Query
			p.mu.Lock()
			p.trips++
			p.mu.Unlock()
		}
		if _, err := readMessage(r, false); err != nil {
			return
		}
	}
}

// readMessage reads a message of Postgres's protocol and returns its body.
func readMessage(r io.Reader, typed bool) ([]byte, error) {
	header := make([]byte, 4)
	if typed {
		header = make([]byte, 5)
	}
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(header[len(header)-4:])-4)
	_, err := io.ReadFull(r, body)
	return body, err
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

// swallow lets nothing through any more on the connections that there are.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallowed = make(map[net.Conn]bool)
	for _, conn := range p.conns {
		p.swallowed[conn] = true
	}
}

func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trips, p.writes = 0, 0
}

func (p *proxy) count() (trips, writes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips, p.writes
}

// relay connects the client with the address until one of them ends.
func relay(client net.Conn, address string) { relayTo(client, "tcp", address) }

func relayTo(client net.Conn, network, address string) {
	defer client.Close()
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client); server.Close() }()
	_, _ = io.Copy(client, server)
}

func (p *proxy) left() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served--
}

// open is how many connections the server has not ended.
func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served
}
