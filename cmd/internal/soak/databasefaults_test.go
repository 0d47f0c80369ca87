package soak

import (
	"context"
	"time"

	"coderhook/store/storetest/pgserver"

	"github.com/jackc/pgx/v5"
)

func postgresRestarts(s *soak, f fault) { s.db.outage(s, f, pgserver.Fast) }
func postgresCrashes(s *soak, f fault)  { s.db.outage(s, f, pgserver.Immediate) }

func (d *database) outage(s *soak, f fault, how pgserver.Shutdown) {
	d.power.Lock()
	defer d.power.Unlock()
	d.server.Halt(how)
	s.pause(f.lasts / 2)
	if err := d.server.Resume(s.t.Context()); err != nil {
		s.breach("%v", err)
	}
}

const cutSQL = `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'coderhook' and random() < $1`

// connectionsAreCut: some or all, several times.
func connectionsAreCut(s *soak, f fault) {
	for range 1 + f.choice(4) {
		_, _ = s.db.pool.Exec(s.t.Context(), cutSQL, []float64{1, .5}[f.choice(2)]) // while it is down none need be cut
		s.pause(f.lasts / 4)
	}
}

// connectionsRunOut: others take all that there are, and those of coderhook are cut.
func connectionsRunOut(s *soak, f fault) {
	ctx := s.t.Context()
	var taken []*pgx.Conn
	defer func() {
		for _, conn := range taken {
			_ = conn.Close(ctx)
		}
	}()
	for until := time.Now().Add(f.lasts); time.Now().Before(until); s.pause(10 * time.Millisecond) {
		for {
			conn, err := pgx.Connect(ctx, s.db.adminURL)
			if err != nil {
				break
			}
			taken = append(taken, conn)
		}
		_, _ = s.db.pool.Exec(ctx, cutSQL, 1)
	}
}

func rowsAreLocked(s *soak, f fault) {
	s.db.lock(s, f, `select from public.profiles where hashtext(id::text) % 2 = 0 for update`)
}

// tableIsLocked as a migration of the product does.
func tableIsLocked(s *soak, f fault) {
	s.db.lock(s, f, `lock table public.profiles in access exclusive mode`)
}

// lock gives up where a sign-in holds what it wants, as long as that lasts.
func (d *database) lock(s *soak, f fault, sql string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), f.lasts)
	defer cancel()
	_ = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
}
