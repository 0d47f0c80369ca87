package store

import (
	"context"
	"fmt"
)

// Statuses are all that an account can have.
var Statuses = []Status{Pending, Active, Conflict, Suspended, Orphaned, Offboarded}

// PoolStats describes the connection pool.
type PoolStats struct {
	InUse, Idle, Max int
	Waits            int64 // how often somebody had to wait for a connection
}

// PoolStats returns the pool's numbers of now.
func (s *Store) PoolStats() PoolStats {
	stat := s.pool.Stat()
	return PoolStats{
		InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Max: int(stat.MaxConns()),
		Waits: stat.EmptyAcquireCount(),
	}
}

const countSQL = `select count(*)::bigint as accounts from coderhook.accounts where status = $1`

// CountByStatus counts the ledger's accounts with that status, from an index.
func (s *Store) CountByStatus(ctx context.Context, status Status) (int64, error) {
	row, err := one[struct{ Accounts int64 }](ctx, s, countSQL, string(status))
	if err != nil {
		return 0, fmt.Errorf("count accounts: %w", err)
	}
	return row.Accounts, nil
}
