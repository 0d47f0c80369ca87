package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Pooling is what lies between us and the server.
type Pooling struct {
	PerTransaction bool // a transaction-mode pooler
	Expected       bool // the URL says so, and no statement is prepared
}

// Pooling finds out by behaviour: a server process that answers a second connection while
// the first is still open belongs to neither.
func (i *Inspector) Pooling(ctx context.Context) (Pooling, error) {
	p := Pooling{Expected: i.pooled}
	other, err := pgx.ConnectConfig(ctx, i.conn.Config())
	if err != nil {
		return p, fmt.Errorf("open a second connection: %w", err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	// Other clients of the pooler may take the process in between.
	for range 3 {
		first, err := process(ctx, i.conn)
		if err != nil {
			return p, err
		}
		second, err := process(ctx, other)
		if err != nil {
			return p, err
		}
		p.PerTransaction = p.PerTransaction || first == second
	}
	return p, nil
}

func process(ctx context.Context, conn *pgx.Conn) (id int, err error) {
	if err = conn.QueryRow(ctx, `select pg_catalog.pg_backend_pid()`).Scan(&id); err != nil {
		return 0, fmt.Errorf("ask for the server process: %w", err)
	}
	return id, nil
}

// Wire says whether what goes to the database and back is encrypted, and whether it leaves this machine.
func (i *Inspector) Wire() (encrypted, local bool) {
	_, encrypted = i.conn.PgConn().Conn().(*tls.Conn)
	host := i.conn.Config().Host
	address := net.ParseIP(host)
	local = strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || address != nil && address.IsLoopback()
	return encrypted, local
}

// Elsewhere reports whether the server is in a container or on another machine: it is at another address than the
// one that was dialled, or that one is none of this machine's.
func (i *Inspector) Elsewhere(ctx context.Context) (bool, error) {
	dialled, ok := i.conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr)
	if !ok { // a Unix socket
		return false, nil
	}
	var answers *netip.Addr
	if err := i.conn.QueryRow(ctx, `select pg_catalog.inet_server_addr()`).Scan(&answers); err != nil {
		return false, fmt.Errorf("inspect server's address: %w", err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("inspect this machine's addresses: %w", err)
	}
	return elsewhere(dialled.AddrPort().Addr().Unmap(), answers, own), nil
}

// elsewhere gets no address of a server that was asked through a socket.
func elsewhere(dialled netip.Addr, answers *netip.Addr, own []net.Addr) bool {
	here := dialled.IsLoopback()
	for _, address := range own {
		prefix, err := netip.ParsePrefix(address.String())
		here = here || err == nil && prefix.Addr().Unmap() == dialled
	}
	return !here || answers != nil && answers.Unmap() != dialled
}
