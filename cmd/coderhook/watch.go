package main

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
			w.note(w.coder.Probe(ctx))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
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
	case errors.Is(err, context.Canceled):
		return
	case err != nil && w.err == nil:
		w.log.Warn().Err(err).Msg("Coder can't be used: users without a key get none")
	case err == nil && w.err != nil:
		w.log.Info().Msg("Coder can be used again")
	}
	w.err = err
}

// check is for /readyz.
func (w *coderWatch) check(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && !w.coder.Available() {
		return coderclient.ErrUnavailable
	}
	return w.err
}
