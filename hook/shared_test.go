package hook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/store"
)

// A hundred strangers who ask at once and again cost one query a second.
func TestReadyzAsksTheDatabaseOnceASecond(t *testing.T) {
	t.Parallel()
	clock := authtest.NewClock()
	w := newWorld(t, patient())
	var queries atomic.Int64
	w.Checks["database"] = Check{Required: true, Run: Shared(func(ctx context.Context) error {
		queries.Add(1)
		return w.store.Writable(ctx)
	}, clock.Now)}
	for second := range int64(3) {
		var strangers sync.WaitGroup
		for range 100 {
			strangers.Go(func() {
				if status, body := w.do(t, "GET", "/readyz"); status != 200 || !strings.Contains(body, `"database":"ok"`) {
					t.Errorf("%d %s", status, body)
				}
			})
		}
		strangers.Wait()
		if n := queries.Load(); n != second+1 {
			t.Errorf("%d queries in %d s", n, second+1)
		}
		clock.Advance(time.Second)
	}
	w.store.Close()
	if status, _ := w.do(t, "GET", "/readyz"); status != 503 {
		t.Errorf("without a database: %d", status)
	}
}

// Whoever hangs up does not take the answer away from the others.
func TestSharedCheckOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan error)
	check := Shared(func(ctx context.Context) error {
		close(asked)
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}, authtest.NewClock().Now)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- check(ctx) }()
	<-asked
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up got %v", err)
	}
	bad := errors.New("bad")
	go func() { answer <- bad }()
	if err := check(t.Context()); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}

// Who has a key does not notice that nothing can be written.
func TestReadOnlyIsDegraded(t *testing.T) {
	t.Parallel()
	check := Check{Required: true, Run: func(context.Context) error { return fmt.Errorf("ask: %w", store.ErrReadOnly) }}
	if got := check.health(t.Context()); got != healthDegraded {
		t.Errorf("read-only: %s", got)
	}
}
