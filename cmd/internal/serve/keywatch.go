package serve

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/exposure"

	"github.com/rs/zerolog"
)

const (
	// judgeTimeout bounds one look at the catalogue.
	judgeTimeout = 10 * time.Second
	// judgeSoon is when to look again while keys are readable, so that the cure is noticed.
	judgeSoon = time.Minute
	// judgeAgain is when to look again after the database could not tell.
	judgeAgain = 2 * time.Second
)

var (
	errReadable  = errors.New("keys are readable by others: coderhook migrate --lock-keys")
	errNotJudged = errors.New("it is not known yet whether keys are readable by others")
)

// keyWatch looks who can read the keys, and lets none be made while everybody can.
type keyWatch struct {
	look    func(context.Context) (exposure.Report, error)
	every   time.Duration
	allowed bool // by the operator
	log     zerolog.Logger

	mu      sync.Mutex
	judged  bool
	readers []string
	doubts  []string
	failed  bool          // the last look
	looked  chan struct{} // closed after the first, whatever came of it
}

func newKeyWatch(catalogue exposure.Catalogue, c config.Config, log zerolog.Logger) *keyWatch {
	return &keyWatch{
		look:  func(ctx context.Context) (exposure.Report, error) { return exposure.Look(ctx, catalogue) },
		every: c.Upkeep.Interval, allowed: c.AllowReadable, log: log, looked: make(chan struct{}),
	}
}

// WatchKeys returns what says why no key may be made, for a command: from when it is first asked, it looks who can read
// the keys, until stop, which waits.
func WatchKeys(ctx context.Context, catalogue exposure.Catalogue, c config.Config, log zerolog.Logger) (mayMake func(context.Context) error, stop func()) {
	w := newKeyWatch(catalogue, c, log)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	begin := sync.OnceFunc(func() { watching.Go(func() { w.run(ctx) }) })
	mayMake = func(asking context.Context) error {
		begin()
		return w.mayMake(asking)
	}
	return mayMake, func() { cancel(); watching.Wait() }
}

// run looks until ctx ends.
func (w *keyWatch) run(ctx context.Context) {
	for first := true; ; first = false {
		w.judge(ctx)
		if first {
			close(w.looked)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.pause()):
		}
	}
}

func (w *keyWatch) pause() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failed:
		return min(w.every, judgeAgain)
	case len(w.readers) > 0:
		return min(w.every, judgeSoon)
	}
	return w.every
}

// judge keeps the last verdict where there is no new one: a database that can't be asked has not changed.
func (w *keyWatch) judge(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	found, err := w.look(asking)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if !w.failed {
			w.log.Warn().Err(err).Msg("it can't be judged who can read the keys")
		}
		w.failed = true
		return
	}
	w.failed = false
	w.note(found.Readers(), found.Doubts())
}

// note logs what is new.
func (w *keyWatch) note(readers, doubts []string) {
	switch {
	case len(readers) > 0 && !slices.Equal(readers, w.readers):
		text := "everybody can read the keys of all users: no new key is made until coderhook migrate --lock-keys was run"
		if w.allowed {
			text = "everybody can read the keys of all users, which ALLOW_READABLE_KEYS allows"
		}
		w.log.Error().Strs("readers", readers).Msg(text)
	case len(readers) == 0 && len(w.readers) > 0:
		w.log.Info().Msg("the keys can't be read by others any more")
	}
	if len(doubts) > 0 && !slices.Equal(doubts, w.doubts) {
		w.log.Warn().Strs("who", doubts).Msg("it could not be judged whether others can read keys: coderhook doctor says more")
	}
	w.judged, w.readers, w.doubts = true, readers, doubts
}

// mayMake waits for the first verdict, as long as ctx lasts.
func (w *keyWatch) mayMake(ctx context.Context) error {
	if w.allowed {
		return nil
	}
	select {
	case <-w.looked:
	case <-ctx.Done():
	}
	return w.verdict()
}

func (w *keyWatch) verdict() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.judged:
		return errNotJudged
	case len(w.readers) > 0:
		return errReadable
	}
	return nil
}

// check returns what /readyz shows.
func (w *keyWatch) check(context.Context) error {
	if err := w.verdict(); !w.allowed && errors.Is(err, errReadable) {
		return err
	}
	return nil
}

// readable reports whether everybody can read the keys of all users.
func (w *keyWatch) readable() bool { return errors.Is(w.verdict(), errReadable) }
