package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"coderhook/coderclient"

	"github.com/rs/zerolog"
)

const (
	// watchInterval is how often a Coder that is down is asked whether it is back.
	watchInterval = time.Second
	// probeTimeout is how long Coder may take to answer: while it is asked, nobody else may.
	probeTimeout = 2 * time.Second
	// checkEvery is after how many of them one that is up is asked whether it still takes the owner's token.
	checkEvery = 30
)

// coderWatch finds out how Coder is, so that neither a sign-in nor a load balancer's question has
// to wait for the answer. Its question is also what closes the breaker.
type coderWatch struct {
	coder *coderclient.Client
	log   zerolog.Logger

	mu  sync.Mutex
	err error
}

// run asks until ctx ends.
func (w *coderWatch) run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if n%checkEvery == 0 || !w.coder.Available() {
			w.probe(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *coderWatch) probe(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := w.coder.Probe(asking); ctx.Err() == nil {
		w.note(err)
	}
}

// note logs what is new.
func (w *coderWatch) note(err error) {
	if errors.Is(err, coderclient.ErrUnauthorized) {
		err = nil // Coder answers; of the owner's token its keeper tells
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil && w.err == nil:
		w.log.Warn().Err(err).Msg("Coder can't be used: users without a key get none")
	case err == nil && w.err != nil:
		w.log.Info().Msg("Coder can be used again")
	}
	w.err = err
}

// check returns what /readyz shows.
func (w *coderWatch) check(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.coder.Available() {
		return coderclient.ErrUnavailable
	}
	return w.err
}
