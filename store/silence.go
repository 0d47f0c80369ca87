package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// errSilent says that the server answered on no connection at all.
var errSilent = errors.New("the server does not answer on this connection")

// heard runs f. Two thirds of the time are for the first connection; if by then the server has answered nobody, as
// when it has moved to another machine, the others are as dead, and the rest of the time is for a new one. A server
// that is only slow answers somebody.
func (s *Store) heard(ctx context.Context, conn *pgxpool.Conn, f statement) error {
	deadline, limited := ctx.Deadline()
	if !limited {
		return f(ctx, conn)
	}
	before := s.answers.Load()
	trying, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(time.Until(deadline)*2/3, func() {
		if s.answers.Load() == before {
			cancel(errSilent)
		}
	})
	defer watch.Stop()
	err := f(trying, conn)
	if err == nil || sqlState(err) != "" {
		s.answers.Add(1)
	} else if errors.Is(context.Cause(trying), errSilent) {
		s.resets.since(s.resets.count.Load())
		if _, known := errors.AsType[judged](err); !known { // an earlier verdict is better founded
			err = judged{errors.Join(errSilent, err), dead}
		}
	}
	return err
}
