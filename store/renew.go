package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Renew reads the URL again. If it is another one and a connection can be had with it, all others
// are replaced. Until then they are used as they are.
func (s *Store) Renew(ctx context.Context) (renewed bool, err error) {
	t, err := s.current()
	if err != nil {
		return false, fmt.Errorf("read database URL again: %w", err)
	}
	s.targeting.Lock()
	known := t == s.filled
	s.targeting.Unlock()
	if known {
		return false, nil
	}
	if s.proven.Load() != t {
		conn, err := pgx.ConnectConfig(ctx, t.conn.Copy())
		if err != nil {
			return false, fmt.Errorf("connect with the new database URL: %w", err)
		}
		if err := conn.Close(ctx); err != nil {
			return false, errors.Join(err, ctx.Err())
		}
	}
	s.targeting.Lock()
	s.filled = t
	s.targeting.Unlock()
	s.resets.force()
	return true, nil
}
